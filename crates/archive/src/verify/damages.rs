//! The damages that a look at a layer found.

use crate::error::printable;

/// The most damages that are described; the others are only counted.
const MAX_DESCRIBED: usize = 1000;

/// Something in a layer's directory that is not as its tar says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// The path within the layer, fit for a terminal.
    pub path: String,
    /// The damage, as a clause: `it is gone`.
    pub problem: String,
}

/// The damages so far.
#[derive(Debug, Default)]
pub(super) struct Damages {
    pub(super) described: Vec<Damage>,
    pub(super) count: u64,
}

impl Damages {
    pub(super) fn add(&mut self, path: &[u8], problem: impl Into<String>) {
        let damage = Damage { path: printable(path), problem: problem.into() };
        // A file that is gone is missed for its content and for itself.
        if self.described.contains(&damage) {
            return;
        }
        self.count += 1;
        if self.described.len() < MAX_DESCRIBED {
            self.described.push(damage);
        }
    }
}
