//! The lines of `GET /longshore/diff`.

use api::diff::{DiffChange, DiffLayer, DiffSum, DiffSummary, DiffTotals};
use engine::{Aspect, Change, FileKind, ImageDiff, LayerFile, Sum, Totals};

/// The first line.
pub(crate) fn summary(diff: &ImageDiff) -> DiffSummary {
    let layer = |(index, layer): (usize, &engine::DiffLayer)| DiffLayer {
        number: index + 1,
        diff_id: layer.diff_id.to_string(),
        created_by: layer.created_by.clone(),
        shared: layer.is_shared,
        totals: totals(layer.totals),
    };
    DiffSummary {
        from: diff.from.as_ref().map(ToString::to_string),
        to: diff.to.to_string(),
        layers: diff.layers.iter().enumerate().map(layer).collect(),
        totals: totals(diff.totals),
    }
}

/// A line of a file.
pub(crate) fn change(change: &Change) -> DiffChange {
    let Change { path, before, after, aspects, layer } = change;
    let letter = match (before, after) {
        (None, _) => "A",
        (_, None) => "D",
        _ => "C",
    };
    let size = |file: &Option<_>| file.as_deref().map_or(0, LayerFile::size);
    DiffChange {
        change: letter.to_owned(),
        path: absolute(path),
        kind: after.as_ref().or(before.as_ref()).map_or("", |file| kind(&file.kind)).to_owned(),
        size: size(after),
        size_before: size(before),
        layer: layer.map_or(0, |layer| layer + 1),
        differs: aspects.iter().map(|aspect| word(*aspect).to_owned()).collect(),
    }
}

fn totals(Totals { added, changed, removed }: Totals) -> DiffTotals {
    let sum = |Sum { files, bytes }: Sum| DiffSum { files, bytes };
    DiffTotals { added: sum(added), changed: sum(changed), removed: sum(removed) }
}

fn kind(kind: &FileKind) -> &'static str {
    match kind {
        FileKind::File { .. } => "file",
        FileKind::Directory { .. } => "directory",
        FileKind::Symlink(_) => "symlink",
        FileKind::Character(..) | FileKind::Block(..) | FileKind::Whiteout => "device",
        FileKind::Fifo => "fifo",
    }
}

fn word(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Kind => "type",
        Aspect::Content => "content",
        Aspect::Target => "target",
        Aspect::Mode => "mode",
        Aspect::Owner => "owner",
        Aspect::Modified => "mtime",
        Aspect::Attributes => "xattrs",
    }
}

/// A path of a layer as text.
fn absolute(path: &[u8]) -> String {
    let mut text = String::from("/");
    for chunk in path.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_text() {
        for (path, expected) in [
            (&b"a/b"[..], "/a/b"),
            (b"caf\xc3\xa9", "/caf\u{e9}"),
            (b"caf\xe9/x\xff", "/caf\\xe9/x\\xff"),
        ] {
            assert_eq!(absolute(path), expected);
        }
    }
}
