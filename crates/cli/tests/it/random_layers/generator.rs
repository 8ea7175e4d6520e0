//! Layers made at random, the same for the same seed.

use test_support::tar::{Entry, Kind, PaxSparse, Writer};

/// An image, as it is known before anybody looks at it.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) seed: u64,
    /// The tars, the lowest first.
    pub(super) layers: Vec<Vec<u8>>,
    /// The same for dockerd, which does not take sparse files in GNU's old format: there they have a PAX header.
    pub(super) for_dockerd: Vec<Vec<u8>>,
    /// It has attributes of overlayfs's own, which dockerd 20.10 sets, and overlayfs then believes.
    pub(super) has_private: bool,
}

/// The names of everything: few, so that entries meet.
const NAMES: [&str; 5] = ["a", "b", "c", "d", "lib"];
const MODES: [u32; 6] = [0o755, 0o644, 0o700, 0o4755, 0o1777, 0o555];
/// Attributes by names, with a weight of one each.
const ATTRIBUTES: [&str; 6] = [
    "user.a",
    "user.b",
    "trusted.mine",
    "com.apple.provenance",
    "system.nfs4_acl",
    "trusted.overlay.opaque",
];

/// The claims of a global PAX header about later entries; Go, and so dockerd, does not apply it.
const GLOBAL: [(&str, &str); 3] = [("path", "b"), ("uid", "7"), ("comment", "of no use")];

/// Makes the image of a seed.
pub(super) fn make(seed: u64) -> Made {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d);
    let mut forms = Random(random.0 ^ 0x5851_f42d_4c95_7f2d);
    let mut has_private = false;
    let count = 1 + random.below(3);
    let layers = (0..count).map(|_| layer(&mut random, &mut forms, &mut has_private));
    let (layers, for_dockerd) = layers.unzip();
    Made { seed, layers, for_dockerd, has_private }
}

/// splitmix64
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn is_one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        let index = usize::try_from(self.below(all.len() as u64)).unwrap();
        all[index]
    }
}

/// Makes a layer for all, and for dockerd. What is in it is `random`'s choice, the form of that in the tar is that of `forms`.
fn layer(random: &mut Random, forms: &mut Random, has_private: &mut bool) -> (Vec<u8>, Vec<u8>) {
    let mut tars = [Writer::new(Vec::new()), Writer::new(Vec::new())];
    let mut used = Used::default();
    for _ in 0..=random.below(10) {
        let mut path = path(random);
        // Most layers are to be accepted, or nothing else would be seen.
        for _ in 0..8 {
            if used.suits(&path) || random.is_one_in(30) {
                break;
            }
            path = self::path(random);
        }
        let entry = entry(random, forms, &path, &mut used, has_private);
        let global = forms.is_one_in(12).then(|| format!("GlobalHead.{}", forms.below(9)));
        let number = forms.below(4);
        for (tar, old) in tars.iter_mut().zip([true, false]) {
            // dockerd takes the name of a global header, which its records may say, for one of a file, that must not come twice.
            match &global {
                Some(name) if old => tar.global(name, &GLOBAL).unwrap(),
                Some(_) => {
                    let name = format!("GlobalHead.{}", used.paths.len());
                    tar.global(&name, &GLOBAL[1..]).unwrap();
                }
                None => {}
            }
            tar.append(&in_form(entry.clone(), number, old)).unwrap();
        }
        used.paths.push(path);
    }
    let [tar, for_dockerd] = tars.map(|tar| tar.finish().unwrap());
    (tar, for_dockerd)
}

/// Puts an entry of a sparse file into one of the four forms; GNU's old one only if it is wanted.
fn in_form(entry: Entry, number: u64, old: bool) -> Entry {
    match number {
        0 => entry.sparse_as(PaxSparse::V0_0),
        1 => entry.sparse_as(PaxSparse::V0_1),
        2 if old => entry,
        _ => entry.sparse_as(PaxSparse::V1_0),
    }
}

/// The paths that a layer has so far.
#[derive(Default)]
struct Used {
    paths: Vec<String>,
    files: Vec<String>,
}

impl Used {
    /// Says whether an entry may have this path: one that occurs twice, or whose parent is a file, is refused.
    fn suits(&self, path: &str) -> bool {
        let is_below =
            |file: &String| path.strip_prefix(&**file).is_some_and(|p| p.starts_with('/'));
        !self.paths.iter().any(|used| used == path) && !self.files.iter().any(is_below)
    }
}

/// One to three components; sometimes long ones, which do not fit into a plain header.
fn path(random: &mut Random) -> String {
    let count = 1 + random.below(3);
    let mut components: Vec<String> = (0..count).map(|_| random.pick(&NAMES).to_owned()).collect();
    if random.is_one_in(25) {
        components.push("long-".repeat(30));
    }
    components.join("/")
}

fn entry(
    random: &mut Random,
    forms: &mut Random,
    path: &str,
    used: &mut Used,
    has_private: &mut bool,
) -> Entry {
    let spelt = match random.below(12) {
        0 => format!("./{path}"),
        1 => format!("/{path}"),
        2 => path.replace('/', "//"),
        _ => path.to_owned(),
    };
    let spelt = match forms.below(60) {
        0 => format!("../{spelt}"),
        1 => format!("/../{spelt}"),
        2 => format!("a/../../{spelt}"),
        _ => spelt,
    };
    let (parent, name) = spelt.rsplit_once('/').unwrap_or(("", &spelt));
    let beside = |name: &str| {
        if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
    };
    let number = random.below(42);
    let is_sparse = number < 15 && forms.is_one_in(6);
    let mut entry = match number {
        0..15 if is_sparse => Entry::of(&*spelt, sparse(random, forms)),
        0..15 => Entry::file(&*spelt, content(random)),
        15..23 => Entry::directory(&*spelt),
        23..29 => Entry::symlink(&*spelt, target(random)),
        29..32 if !used.files.is_empty() => {
            let index = random.below(used.files.len() as u64);
            Entry::hard_link(&*spelt, used.files[usize::try_from(index).unwrap()].clone())
        }
        32..36 => Entry::whiteout(&spelt),
        36..38 => Entry::opaque(&spelt),
        38 => Entry::of(&*spelt, Kind::Fifo),
        39 => Entry::of(&*spelt, Kind::CharDevice(1, 3)),
        40 => Entry::of(&*spelt, Kind::CharDevice(0, 0)),
        // The content of a whiteout.
        _ => Entry::file(beside(&format!(".wh.{name}")), content(random)),
    };
    if matches!(number, 0..15 | 29..36 | 38..) {
        used.files.push(path.to_owned());
    }
    entry = entry.mode(random.pick(&MODES)).owner(
        u32::try_from(random.below(3) * 1000).unwrap(),
        u32::try_from(random.below(2) * 7).unwrap(),
    );
    let nanoseconds = if random.is_one_in(3) { 123_456_789 } else { 0 };
    entry = entry.modified(1_500_000_000 + i64::try_from(random.below(1000)).unwrap(), nanoseconds);
    while random.is_one_in(5) {
        let attribute = random.pick(&ATTRIBUTES);
        *has_private |= attribute.starts_with("trusted.overlay.");
        entry = entry.xattr(attribute, if random.is_one_in(2) { "y" } else { "1" });
    }
    if random.is_one_in(6) && !is_sparse { entry.gnu() } else { entry }
}

/// A file with holes: before, between or after its pieces, or nothing else.
fn sparse(random: &mut Random, forms: &mut Random) -> Kind {
    let content = content(random);
    let mut pieces = Vec::new();
    let mut end = 0;
    for piece in content.chunks(8192).take(3) {
        let offset = end + forms.pick(&[0, 512, 4096, 10_240]);
        end = offset + piece.len() as u64;
        pieces.push((offset, piece.to_vec()));
    }
    let is_whole = pieces.last().is_some_and(|(_, piece)| piece.len() % 512 == 0);
    if pieces.is_empty() || (is_whole && forms.is_one_in(2)) {
        // As GNU tar says where a file ends that ends with a hole.
        end += forms.pick(&[1, 512, 70_000]);
        pieces.push((end, Vec::new()));
    }
    Kind::Sparse(end, pieces)
}

fn content(random: &mut Random) -> Vec<u8> {
    let length = random.pick(&[0, 1, 5, 511, 512, 513, 20_000]);
    super::super::support::noise(random.next(), length)
}

fn target(random: &mut Random) -> String {
    let target = path(random);
    match random.below(6) {
        0 => format!("/{target}"),
        1 => format!("../{target}"),
        2 => ".".to_owned(),
        3 => "..".to_owned(),
        _ => target,
    }
}
