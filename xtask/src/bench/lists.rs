//! Tasks that a user waits for at a terminal: lists, inspections and tags where there are a thousand images.
//!
//! All images share one small layer, so the archive that every store loads is small, too.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;
use test_support::image::{Compression, Image, Layer};
use test_support::tar::{Entry, Writer};

use super::measure::measure;
use super::options::{Operation, Options};
use super::peers::Peer;
use super::table::{Key, Results};
use crate::shell::output;

/// Number of images in the store.
pub(super) const COUNT: usize = 1000;
/// Repetitions of each task for each of the options' runs: it takes next to no time.
const REPETITIONS: usize = 5;
/// The tasks, as they are called and as they are typed.
pub(super) const TASKS: [(&str, &str); 4] = [
    ("images", "`images`"),
    ("images -q", "`images -q`"),
    ("inspect", "`inspect` of one image"),
    ("tag", "`tag` of one image"),
];

/// Loads the images everywhere, and measures.
pub(super) fn run(
    peers: &[Peer],
    folder: &Path,
    options: &Options,
    results: &mut Results,
) -> Result<()> {
    let archive = folder.join("thousand.tar");
    write_archive(&archive).with_context(|| format!("cannot write `{}`", archive.display()))?;
    let input = archive.to_str().context("the target folder's name is not UTF-8")?;
    let peers: Vec<&Peer> = peers.iter().filter(|peer| peer.lists()).collect();
    for peer in &peers {
        println!("loading {COUNT} images into {}", peer.name());
        peer.clear()?;
        if let Err(error) = output(&mut peer.command(&["load", "--quiet", "--input", input])?) {
            for (image, _) in TASKS {
                let key = Key { operation: Operation::List, image, peer: peer.name() };
                results.fail(key, &error);
            }
        }
    }
    rustix::fs::sync();
    for round in 1..=options.runs * REPETITIONS {
        for (image, _) in TASKS {
            for peer in &peers {
                let key = Key { operation: Operation::List, image, peer: peer.name() };
                if results.has_failed(&key) {
                    continue;
                }
                match measure(peer.command(&arguments(image))?, peer.daemon()) {
                    Ok(sample) => {
                        println!("{key} {round}: {sample}");
                        results.add(key, sample);
                    }
                    Err(error) => results.fail(key, &error),
                }
            }
        }
    }
    for peer in &peers {
        peer.clear()?;
    }
    Ok(())
}

fn arguments(task: &str) -> Vec<&str> {
    match task {
        "inspect" => vec!["inspect", "bench/many-500:1"],
        "tag" => vec!["tag", "bench/many-500:1", "bench/tagged:1"],
        list => list.split(' ').collect(),
    }
}

/// Writes an archive as `docker save` writes them, with images that differ in a label and in their age.
fn write_archive(path: &PathBuf) -> io::Result<()> {
    let layer = Layer::new(Compression::None, &[Entry::file("hello", *b"hello")]);
    let mut tar = Writer::new(BufWriter::new(File::create(path)?));
    tar.append(&Entry::file("layer.tar", layer.blob.read()?))?;
    let mut images = Vec::with_capacity(COUNT);
    for number in 0..COUNT {
        let created = format!(
            "2024-01-{:02}T{:02}:{:02}:00Z",
            1 + number / 60 / 24,
            number / 60 % 24,
            number % 60
        );
        let image = Image::builder()
            .layer(layer.clone())
            .label("number", &number.to_string())
            .created(&created)
            .build();
        let config = format!("{}.json", image.config.digest.hex());
        tar.append(&Entry::file(config.as_str(), image.config.read()?))?;
        let name = format!("bench/many-{number}:1");
        images.push(json!({ "Config": config, "RepoTags": [name], "Layers": ["layer.tar"] }));
    }
    tar.append(&Entry::file("manifest.json", json!(images).to_string()))?;
    tar.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}
