//! The losses that are worth a look.
//!
//! What a power cut takes is a subset of what no sync has covered, of hundreds of things at once: nobody can look at them all. A
//! sync that is missing shows where one thing is lost and what came after it is not, or where one thing is on the disk before what
//! it needs. So before and after each sync: nothing is lost, everything is, each thing alone is, or all but it; all names without
//! the contents; each state of a disk that keeps the order; and some subsets by chance. Between syncs, while many things are
//! unsynced, the newest stands for each.

use super::model::{Fate, Image, Model, Unsynced};

/// A tree that a power cut leaves.
#[derive(Clone, Debug)]
pub(in crate::tests) struct Loss {
    /// The tree that is found.
    pub(super) image: Image,
    /// Set where nothing was lost, as when only the process dies.
    pub(in crate::tests) is_none: bool,
}

impl Loss {
    pub(in crate::tests) fn key(&self) -> u64 {
        self.image.key()
    }

    pub(in crate::tests) fn write(&self, root: &std::path::Path) {
        self.image.write(root);
    }
}

/// Returns what is there if nothing is lost.
pub(super) fn nothing(model: &Model) -> Loss {
    Loss { image: model.after(|_| Fate::Kept), is_none: true }
}

/// Is given a loss, and what tells its story: when the power went, and what was lost.
pub(in crate::tests) type Watch = dyn FnMut(Loss, &dyn Fn() -> String) + Send;

/// The place of a moment between the syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Between,
    Before,
    /// There is less that can be lost, and so more of it to look at.
    After,
}

/// Hands `watch` the losses of this moment.
pub(super) fn each(model: &Model, before: &str, moment: Moment, watch: &mut Watch) {
    watch(nothing(model), &|| format!("before {before}: nothing lost"));
    let unsynced = model.unsynced();
    if unsynced.is_empty() {
        return;
    }
    let mut lose = |what: &dyn Fn() -> String, fate: &dyn Fn(Unsynced) -> Fate| {
        let loss = Loss { image: model.after(fate), is_none: false };
        watch(loss, &|| format!("before {before}: {}", what()));
    };
    let is_content = |what: Unsynced| matches!(what, Unsynced::Content(_));
    let of = |what: &'static str| move || what.to_owned();
    lose(&of("all lost"), &|_| Fate::Lost);
    lose(&of("contents lost"), &|what| if is_content(what) { Fate::Lost } else { Fate::Kept });
    lose(&of("contents torn"), &|what| if is_content(what) { Fate::Torn } else { Fate::Kept });
    lose(&of("names lost"), &|what| if is_content(what) { Fate::Kept } else { Fate::Lost });
    let is_all = moment != Moment::Between || unsynced.len() <= FEW;
    let skipped = if is_all { 0 } else { unsynced.len() - 1 };
    for (number, one) in unsynced.iter().copied().enumerate().skip(skipped) {
        let named = |what: &'static str| move || format!("{}: {what}", model.describe(one));
        lose(&named("lost"), &|what| if what == one { Fate::Lost } else { Fate::Kept });
        if moment == Moment::After || number + 1 == unsynced.len() {
            let alone = |what| if what == one { Fate::Kept } else { Fate::Lost };
            lose(&named("all else lost"), &alone);
        }
        if is_content(one) {
            lose(&named("torn"), &|what| if what == one { Fate::Torn } else { Fate::Kept });
        } else if moment == Moment::After {
            let until = |what| match (what, one) {
                (Unsynced::Change(this), Unsynced::Change(last)) if this > last => Fate::Lost,
                _ => Fate::Kept,
            };
            lose(&named("all names after it lost"), &until);
        }
    }
    for seed in 0..SUBSETS {
        let chance = |what| by_chance(seed, &unsynced, what);
        lose(&|| format!("subset {seed} lost"), &chance);
    }
}

/// The most things that are looked at one by one where no sync is before or behind.
const FEW: usize = 6;
/// Subsets by chance at each moment.
const SUBSETS: u64 = 2;

fn by_chance(seed: u64, unsynced: &[Unsynced], what: Unsynced) -> Fate {
    let number = unsynced.iter().position(|other| *other == what).unwrap_or_default() as u64;
    // A step of splitmix64.
    let mut bits = ((seed << 32) | (unsynced.len() as u64 + 1))
        .wrapping_add((number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^= bits >> 27;
    if bits & 1 == 0 { Fate::Kept } else { Fate::Lost }
}
