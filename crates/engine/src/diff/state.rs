//! The files of an image, as overlayfs shows its layers.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use archive::{FileKind, LayerFile};

use super::layers::FilePath;

/// A file, and the layer that it is from.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) file: Arc<LayerFile>,
    /// The number under which the layer was read.
    pub(super) number: usize,
    /// Its place in its image.
    pub(super) layer: usize,
}

/// All files of an image by their paths.
#[derive(Clone, Debug, Default)]
pub(super) struct State(pub(super) BTreeMap<FilePath, Placed>);

/// The files that a layer touched: what was there before it, and what is after it.
pub(super) type Touched = BTreeMap<FilePath, (Option<Placed>, Option<Placed>)>;

impl State {
    /// Puts a layer on top, of which `number` and `layer` are as in [`Placed`]. Returns what that changes.
    pub(super) fn apply(
        &mut self,
        number: usize,
        layer: usize,
        files: &[(FilePath, Arc<LayerFile>)],
    ) -> Touched {
        let mut touched = Touched::new();
        // What it hides is all from below.
        for (path, file) in files {
            if file.kind == FileKind::Whiteout {
                self.remove_below(path, &mut touched);
                self.put(path, None, &mut touched);
            } else if file.is_opaque() {
                self.remove_below(path, &mut touched);
            }
        }
        for (path, file) in files {
            let is_directory = matches!(file.kind, FileKind::Directory { .. });
            match self.0.get(path) {
                _ if file.kind == FileKind::Whiteout => continue,
                Some(there) if matches!(there.file.kind, FileKind::Directory { .. }) => {
                    if !is_directory {
                        self.remove_below(path, &mut touched);
                    } else if file.owner.is_none() {
                        // The layer only has something in it.
                        continue;
                    }
                }
                _ => {}
            }
            let placed = Placed { file: Arc::clone(file), number, layer };
            self.put(path, Some(placed), &mut touched);
        }
        touched
    }

    fn put(&mut self, path: &FilePath, placed: Option<Placed>, touched: &mut Touched) {
        let before = match placed.clone() {
            Some(placed) => self.0.insert(Arc::clone(path), placed),
            None => self.0.remove(path),
        };
        touched.entry(Arc::clone(path)).or_insert((before, None)).1 = placed;
    }

    fn remove_below(&mut self, path: &FilePath, touched: &mut Touched) {
        // What begins with the path and a slash comes before the path and the character after a slash.
        let (start, end) = ([path, &b"/"[..]].concat(), [path, &b"0"[..]].concat());
        let range = (Bound::Included(&start[..]), Bound::Excluded(&end[..]));
        let below: Vec<FilePath> =
            self.0.range::<[u8], _>(range).map(|(path, _)| Arc::clone(path)).collect();
        for path in below {
            self.put(&path, None, touched);
        }
    }
}
