//! Comparing the directory of a layer with what its tar says of every file.
//!
//! # Flow
//! [`Rebuilt`] puts the tar together again from tar-split and directory, notes content that differs and goes on behind it.
//! [`Expectations`] reads the headers of that tar and so learns what every path must be in the end; [`compare`] then looks
//! at each of them, and for what does not belong there.

mod compare;
mod damages;
mod expected;
mod rebuilt;

use std::io::Read;
use std::path::Path;

use spec::DiffId;

use crate::ArchiveError;
use crate::split::SplitWriter;
use crate::walk::{Repeats, walk};

pub use damages::Damage;
use damages::Damages;
use expected::Expectations;
use rebuilt::Rebuilt;

/// The findings of a look at all of a layer.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The digest of the tar that the directory makes. Not the layer's if content is damaged.
    pub diff_id: DiffId,
    /// The size of the layer's files in bytes as dockerd counts it, by what the tar says.
    pub size: u64,
    /// The damages, at most a thousand of them.
    pub damages: Vec<Damage>,
    /// The number of damages.
    pub damaged: u64,
}

/// Compares every file of the layer that was unpacked into `root` with its tar: kind, mode, owner, size, content,
/// modification time, link target, device, extended attributes; and looks for files that do not belong to it.
///
/// `tar_split_gz` is what [`apply`](crate::apply()) wrote, or a dockerd. Needs the memory for all names of the layer. Fails
/// where the tar-split itself cannot be read; damages of the directory are no failure.
pub fn verify<R: Read>(tar_split_gz: R, root: &Path) -> Result<Verified, ArchiveError> {
    let mut damages = Damages::default();
    let mut rebuilt = Rebuilt::new(tar_split_gz, root, &mut damages)?;
    let mut expectations = Expectations::new(rebuilt.read());
    walk(&mut rebuilt, SplitWriter::disabled(), &mut expectations, Repeats::Taken)?;
    let diff_id = rebuilt.finish();
    let size = expectations.tree.size();
    compare::compare(root, &expectations.tree, &mut damages)?;
    let Damages { mut described, count } = damages;
    described.sort();
    Ok(Verified { diff_id, size, damages: described, damaged: count })
}
