use std::fs;
use std::path::PathBuf;

use spec::{ChainId, DiffId};

use crate::EngineError;
use crate::error::Missing;
use crate::testing::{Fixture, Made};

use super::*;

/// Lines of what a check says: what is wrong with what, the remedy, and what became of it.
fn check(fixture: &Fixture, deep: bool, repair: bool) -> Vec<String> {
    let request = CheckRequest { deep, repair };
    let outcome = fixture.run(fixture.engine.check(request, Progress::silent())).unwrap();
    let lines = outcome.findings.iter().map(|found| {
        let file = found.file.as_ref().map(|file| format!("{file}: ")).unwrap_or_default();
        let (remedy, repair) = (found.remedy, &found.repair);
        fixture
            .words(&format!("{}: {file}{} [{remedy:?}] {repair:?}", found.subject, found.problem))
    });
    lines.collect()
}

fn chain(made: &Made) -> Vec<ChainId> {
    let diff_ids: Vec<DiffId> = made.layers.iter().map(|layer| layer.diff_id.clone()).collect();
    ChainId::chain(&diff_ids)
}

/// The file of a kept blob.
fn blob(fixture: &Fixture, image: &str, layer: usize) -> PathBuf {
    let digest = &fixture.made(image).layers[layer].blob.digest;
    fixture.store().blob(digest).unwrap().unwrap().path
}

/// The directory of an unpacked layer.
fn files(fixture: &Fixture, image: &str, layer: usize) -> PathBuf {
    let chain = &chain(fixture.made(image))[layer];
    fixture.store().layer_path(chain).unwrap().unwrap()
}

/// The folder of a layer in dockerd's layer database.
fn entry(fixture: &Fixture, image: &str, layer: usize) -> PathBuf {
    let chain = chain(fixture.made(image))[layer].clone();
    fixture.store().root().join("image/overlay2/layerdb/sha256").join(chain.digest().hex())
}

/// Changes a byte, so that a file has the size that it had.
fn damage(path: &std::path::Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_is_looked_at_is_counted_and_told() {
    let lines = &["web tags=web:1 digests=web layers=base,web", "other kept layers=base,other"];
    let packed = Some((Fixture::new(lines), 0));
    let unpacked = Fixture::unpacked(lines).map(|fixture| (fixture, 3));
    for (fixture, layers) in packed.into_iter().chain(unpacked) {
        for deep in [false, true] {
            let (progress, mut receiver) = Progress::channel();
            let request = CheckRequest { deep, repair: false };
            let outcome = fixture.run(fixture.engine.check(request, progress)).unwrap();
            assert_eq!(outcome.findings, []);
            // Of each image the manifest and the config, too.
            let CheckOutcome { references, images, layers: entries, blobs, .. } = outcome;
            assert_eq!((references, images, entries), (2, 2, 3));
            assert_eq!(blobs, 3 + 2 * 2);
            let mut told = Vec::new();
            while let Some(event) = fixture.run(receiver.recv()) {
                let ProgressEvent::Checking { number, total, part } = event else {
                    panic!("{event:?}")
                };
                told.push((number, total, matches!(part, CheckedPart::Layer(_))));
            }
            assert_eq!(told.is_empty(), !deep);
            let total = told.len();
            let counted = (1..=total).map(|number| (number, total, number <= layers));
            assert_eq!(told, counted.collect::<Vec<_>>(), "layers come first, then blobs");
        }
    }
}

#[test]
fn only_a_deep_look_reads_all_bytes_and_only_a_repair_changes_something() {
    let fixture = Fixture::new(&["web tags=web:1 layers=base,web"]);
    let path = blob(&fixture, "web", 1);
    let digest = fixture.made("web").layers[1].blob.digest.to_string();
    damage(&path);
    let damaged = fs::read(&path).unwrap();
    assert_eq!(check(&fixture, false, false), [""; 0]);
    assert_eq!(check(&fixture, false, true), [""; 0]);
    let problem = format!("blob {digest}: its content does not match its digest [Fetch]");
    assert_eq!(check(&fixture, true, false), [format!("{problem} NotTried")]);
    assert_eq!(fs::read(&path).unwrap(), damaged);
    // Nothing is known of a registry, and no registry is asked by chance.
    let missing = EngineError::Missing(Missing::OriginOfLayer).message();
    assert_eq!(check(&fixture, true, true), [format!("{problem} Failed({missing:?})")]);
}

/// Each damage of an unpacked layer, and what a deep look says of it.
#[test]
fn damaged_layers_are_made_again_from_kept_blobs() {
    type Case = (&'static str, fn(&Fixture), &'static [&'static str]);
    let cases: [Case; 5] = [
        (
            "a file that says something else",
            |fixture| damage(&files(fixture, "web", 0).join("base")),
            &[
                "layer <layer base>: base: its content differs",
                "layer <layer base>: base: its modification time differs",
            ],
        ),
        (
            "a file that is gone",
            |fixture| fs::remove_file(files(fixture, "web", 1).join("web")).unwrap(),
            &["layer <layer base/web>: web: "],
        ),
        (
            "a wrong size",
            |fixture| fs::write(entry(fixture, "web", 1).join("size"), "11").unwrap(),
            &["layer <layer base/web>: its `size` is not the 10 bytes of its files"],
        ),
        (
            "a tar-split that is none",
            |fixture| {
                let path = entry(fixture, "web", 0).join("tar-split.json.gz");
                fs::write(path, "nothing").unwrap();
            },
            &["layer <layer base>: its `tar-split.json.gz` cannot be used: "],
        ),
        (
            "two layers",
            |fixture| {
                damage(&files(fixture, "web", 0).join("base"));
                damage(&files(fixture, "web", 1).join("web"));
            },
            &["layer <layer base>: base: ", "layer <layer base/web>: web: "],
        ),
    ];
    for (what, harm, expected) in cases {
        let Some(fixture) = Fixture::unpacked(&["web tags=web:1 kept layers=base,web"]) else {
            return;
        };
        harm(&fixture);
        let mut lines = check(&fixture, true, true);
        lines.sort();
        let all = lines.iter().all(|line| line.ends_with(" [Fetch] Done"));
        let starts = lines.iter().all(|line| expected.iter().any(|start| line.starts_with(start)));
        assert!(!lines.is_empty() && all && starts, "{what}: {lines:?}");
        assert_eq!(check(&fixture, true, false), [""; 0], "{what}");
        assert_eq!(fs::read(files(&fixture, "web", 1).join("web")).unwrap(), b"webwebwebw");
    }
}

/// Whatever their digests are: those below are brought first, as what stands on a layer that is not there cannot be.
#[test]
fn all_layers_of_an_image_come_back() {
    let Some(fixture) =
        Fixture::unpacked(&["web tags=web:1 kept layers=a,b,c,d,e,f,g,h", "one layers=a kept"])
    else {
        return;
    };
    fs::remove_dir_all(entry(&fixture, "web", 0).parent().unwrap()).unwrap();
    let lines = check(&fixture, false, true);
    assert!(lines.len() >= 8 && lines.iter().all(|line| line.ends_with(" Done")), "{lines:?}");
    assert_eq!(check(&fixture, true, false), [""; 0]);
}

#[test]
fn what_is_still_there_was_not_repaired() {
    let fixture = Fixture::new(&["web tags=web:1 kept layers=base,web"]);
    fs::remove_file(blob(&fixture, "web", 0)).unwrap();
    let found = fixture.store().check().unwrap().findings;
    assert_eq!(found.len(), 1, "{found:?}");
    let done = || vec![Repair::Done];
    let mut findings = found.clone();
    assert_eq!(look_again(&mut findings, done(), Vec::new()), done());
    let Repair::Failed(why) = &look_again(&mut findings, done(), found.clone())[0] else {
        panic!()
    };
    assert_eq!(why, "it is still so afterwards");
    let mut findings = Vec::new();
    let told = look_again(&mut findings, Vec::new(), found.clone());
    assert!(matches!(&told[..], [Repair::Failed(_)]) && findings == found, "{told:?}");
}

/// Files that are nobody's may be the only copy of those of a layer whose entry is damaged.
#[test]
fn what_may_be_a_layers_files_stays_until_every_layer_is_whole() {
    for (harm_blob, done) in [(false, true), (true, false)] {
        let Some(fixture) = Fixture::unpacked(&["web tags=web:1 kept layers=base"]) else { return };
        let directory = files(&fixture, "web", 0);
        if harm_blob {
            damage(&blob(&fixture, "web", 0));
        }
        fs::write(entry(&fixture, "web", 0).join("cache-id"), "").unwrap();
        let lines = check(&fixture, false, true);
        let [layer, stray] = &lines[..] else { panic!("{lines:?}") };
        assert!(
            layer.starts_with("layer <layer base>: its `cache-id` names no directory"),
            "{layer}"
        );
        assert!(stray.contains("it is no layer's [Remove]"), "{stray}");
        assert_eq!(layer.ends_with(" Done"), done, "{layer}");
        assert_eq!(stray.ends_with(" Done"), done, "{stray}");
        assert_eq!(directory.exists(), !done);
        if !done {
            assert!(stray.ends_with(&format!(" Failed({KEPT:?})")), "{stray}");
        }
    }
}

#[test]
fn a_kept_blob_that_cannot_be_had_keeps_nothing_else_from_being_mended() {
    let Some(fixture) = Fixture::unpacked(&["web tags=web:1 kept layers=base"]) else { return };
    let kept = blob(&fixture, "web", 0);
    damage(&kept);
    let stray = fixture.store().root().join("overlay2/stray");
    fs::create_dir(&stray).unwrap();
    let lines = check(&fixture, true, true);
    let missing = EngineError::Missing(Missing::OriginOfBlob).message();
    let digest = &fixture.made("web").layers[0].blob.digest;
    let expected = [
        format!("blob {digest}: its content does not match its digest [Fetch] Failed({missing:?})"),
        "overlay2/stray: it is no layer's [Remove] Done".to_owned(),
    ];
    assert_eq!(lines, expected);
    assert!(kept.exists(), "a repair makes nothing less");
    assert!(!stray.exists());
}
