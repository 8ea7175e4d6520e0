//! Layers made at random, and pulled. What is accepted is whole afterwards: a deep check finds nothing, a save, also one by a dockerd on
//! the same data root, gives the bytes that were pulled and can be loaded, `mount` and `unpack` show one tree, and so does dockerd. What
//! is refused is refused by all.
//!
//! `LONGSHORE_RANDOM_LAYERS=500 cargo test -p longshore --test it random_layers` tries five hundred images instead of a few, and
//! `LONGSHORE_RANDOM_SEED` says where to begin. The seed of a difference is printed and goes into [`REGRESSIONS`].

mod generator;
pub(crate) mod tree;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::json;
use test_support::image::{Compression, Format, Image, Layer};
use test_support::servers::{Dockerd, LocalRegistry, installed};
use test_support::tar::{Entry, Writer};

use super::support::{Bench, Front, is_root};
use generator::Made;
use tree::{Mounted, Tree};

/// The number of images that are tried where nothing else is said.
const COUNT: u64 = 12;
/// The number of those in one data root at a time.
const BATCH: usize = 100;
/// Seeds of images that were treated differently by someone.
const REGRESSIONS: &[u64] = &[398];

#[test]
fn layers_at_random_are_whole_or_refused_by_all() {
    if !is_root() {
        println!("skipped: not root");
        return;
    }
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse().ok());
    let count: u64 = number("LONGSHORE_RANDOM_LAYERS").unwrap_or(COUNT);
    let first: u64 = number("LONGSHORE_RANDOM_SEED").unwrap_or(1);
    let seeds: Vec<u64> = REGRESSIONS.iter().copied().chain(first..first + count).collect();
    let mut differences = Vec::new();
    let mut accepted = 0;
    for seeds in seeds.chunks(BATCH) {
        let mut batch = Batch::new(seeds);
        batch.run();
        differences.append(&mut batch.differences);
        accepted += batch.accepted.len();
    }
    println!("{} images, {accepted} of them accepted", seeds.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Images that are in one data root of each kind.
struct Batch {
    images: Vec<Made>,
    registry: LocalRegistry,
    overlay2: Bench,
    packed: Bench,
    /// For what is saved from the others.
    again: Bench,
    dockerd: Option<Dockerd>,
    /// The indices of those that were accepted.
    accepted: Vec<usize>,
    differences: Vec<String>,
}

impl Batch {
    fn new(seeds: &[u64]) -> Self {
        let bench = |driver| Bench::new(Front::InProcess, &["--storage-driver", driver]);
        let dockerd =
            installed(&["dockerd", "docker"]).then(|| Dockerd::builder().start().unwrap());
        if dockerd.is_none() {
            println!("dockerd is not installed: nothing is compared with it");
        }
        Self {
            images: seeds.iter().map(|seed| generator::make(*seed)).collect(),
            registry: LocalRegistry::start().unwrap(),
            overlay2: bench("overlay2"),
            packed: bench("packed"),
            again: bench("packed"),
            dockerd,
            accepted: Vec::new(),
            differences: Vec::new(),
        }
    }

    fn run(&mut self) {
        for index in 0..self.images.len() {
            if let Err(difference) = self.image(index) {
                self.differ(index, &difference);
            }
        }
        for bench in [&self.overlay2, &self.packed, &self.again] {
            let checked = bench.run(&["system", "check", "--deep"]);
            if !checked.ok {
                self.differences.push(format!("check: {}{}", checked.stdout, checked.stderr));
            }
        }
        self.dockerd = None;
        if installed(&["dockerd", "docker"]) && !self.accepted.is_empty() {
            self.saved_by_dockerd();
        }
    }

    fn differ(&mut self, index: usize, difference: &str) {
        let line = format!("seed {}: {difference}", self.images[index].seed);
        println!("{line}");
        self.differences.push(line);
    }

    fn file(&self, name: &str) -> PathBuf {
        self.overlay2.home.path().join(name)
    }

    /// Takes one image through everything.
    fn image(&mut self, index: usize) -> Result<(), String> {
        let image = &self.images[index];
        let pull = ["pull", "-q", &self.name(image)];
        let built = built(image, &image.layers);
        built.push(&self.registry.client(), "random", &tag(image)).unwrap();
        let here = self.overlay2.run(&pull);
        let packed = self.packed.run(&pull);
        if here.ok != packed.ok {
            return Err(format!(
                "overlay2: {}packed: {}",
                said(&here.stderr),
                said(&packed.stderr)
            ));
        }
        let dockerd = self.dockerd.as_ref().filter(|_| !image.has_private);
        let there = dockerd.map(|dockerd| {
            let path = self.file("image.tar");
            self.write_archive(image, &path);
            dockerd.docker(&["load", "-q", "-i", path.to_str().unwrap()])
        });
        if !here.ok {
            return match there {
                Some(Ok(_)) => Err(format!("refused only here: {}", said(&here.stderr))),
                _ => Ok(()),
            };
        }
        let mounted = self.mounted(&self.overlay2, image)?;
        let packed = self.mounted(&self.packed, image)?;
        mounted.compare(&packed).map_err(|text| format!("overlay2 and packed: {text}"))?;
        for bench in [&self.overlay2, &self.packed] {
            let unpacked = self.unpacked(bench, image)?;
            mounted.compare(&unpacked).map_err(|text| format!("mount and unpack: {text}"))?;
        }
        for bench in [&self.overlay2, &self.packed] {
            self.saved(bench, image, &built)?;
        }
        match there {
            Some(Ok(_)) => {
                let theirs = self.mounted_by_dockerd(image)?;
                mounted.compare(&theirs).map_err(|text| format!("mount and dockerd: {text}"))?;
            }
            Some(Err(error)) if !is_only_dockerd_s(&error.to_string()) => {
                return Err(format!("refused only by dockerd: {error}"));
            }
            _ => {}
        }
        self.accepted.push(index);
        Ok(())
    }

    fn name(&self, image: &Made) -> String {
        format!("{}/random:{}", self.registry.address(), tag(image))
    }

    /// Writes what dockerd loads.
    fn write_archive(&self, image: &Made, path: &Path) {
        let layers = &image.for_dockerd;
        let config = built(image, layers).config.read().unwrap();
        let names: Vec<_> = (0..layers.len()).map(|number| format!("{number}.tar")).collect();
        let manifest =
            json!([{"Config": "config.json", "RepoTags": [self.name(image)], "Layers": names}]);
        let mut tar = Writer::new(File::create(path).unwrap());
        tar.append(&Entry::file("config.json", config)).unwrap();
        tar.append(&Entry::file("manifest.json", manifest.to_string())).unwrap();
        for (name, layer) in names.iter().zip(layers) {
            tar.append(&Entry::file(name, layer.clone())).unwrap();
        }
        tar.finish().unwrap();
    }

    fn mounted(&self, bench: &Bench, image: &Made) -> Result<Tree, String> {
        let target = self.file("mounted");
        fs::create_dir_all(&target).unwrap();
        let path = target.to_str().unwrap();
        let done = bench.run(&["mount", &self.name(image), path]);
        if !done.ok {
            return Err(format!("mount: {}", done.stderr));
        }
        let tree = Tree::of(&target);
        let done = bench.run(&["umount", path]);
        if done.ok { Ok(tree) } else { Err(format!("umount: {}", done.stderr)) }
    }

    fn unpacked(&self, bench: &Bench, image: &Made) -> Result<Tree, String> {
        let target = self.file("unpacked");
        let done = bench.run(&["unpack", "-q", &self.name(image), target.to_str().unwrap()]);
        if !done.ok {
            return Err(format!("unpack: {}", done.stderr));
        }
        let tree = Tree::of(&target);
        fs::remove_dir_all(&target).unwrap();
        Ok(tree)
    }

    fn mounted_by_dockerd(&self, image: &Made) -> Result<Tree, String> {
        let Some(dockerd) = &self.dockerd else { return Err("there is no dockerd".to_owned()) };
        let format = "{{json .GraphDriver.Data}}";
        let output = dockerd.docker(&["inspect", "-f", format, &self.name(image)]);
        let output = output.map_err(|error| format!("docker inspect: {error}"))?;
        let data: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut layers = vec![data["UpperDir"].as_str().unwrap().to_owned()];
        layers.extend(data["LowerDir"].as_str().map(str::to_owned));
        let mounted = Mounted::new(&layers.join(":"), &self.file("theirs"));
        mounted.map(|mounted| Tree::of(mounted.path())).map_err(|error| error.to_string())
    }

    /// Looks for the layers in a save, and loads it.
    fn saved(&self, bench: &Bench, image: &Made, built: &Image) -> Result<(), String> {
        let (path, name) = (self.file("saved.tar"), self.name(image));
        let (path, id) = (path.to_str().unwrap(), &*built.id().to_string());
        let inspect = ["inspect", "-f", "{{.Id}}", &name];
        let steps: [(&Bench, &[&str]); 4] = [
            (bench, &["save", "-o", path, &name]),
            (&self.again, &["load", "-q", "-i", path]),
            (&self.again, &inspect),
            (bench, &inspect),
        ];
        let mut said = Vec::new();
        for (bench, arguments) in steps {
            let done = bench.run(arguments);
            if !done.ok {
                return Err(format!("{}: {}", arguments[0], done.stderr));
            }
            said.push(done.stdout.trim().to_owned());
        }
        if said[2..] != [id, id] {
            return Err(format!("{id} became {}", said[2..].join(", and loaded ")));
        }
        // What is loaded next is to be stored, not found.
        let removed = self.again.run(&["rmi", &name]);
        if !removed.ok {
            return Err(format!("rmi: {}", removed.stderr));
        }
        holds_layers(&fs::read(path).unwrap(), image, built)
    }

    /// Has a dockerd save all that was unpacked here.
    fn saved_by_dockerd(&mut self) {
        let dockerd =
            Dockerd::builder().data_root(&self.overlay2.home.data_root()).start().unwrap();
        let path = self.file("theirs.tar");
        for index in self.accepted.clone() {
            let image = &self.images[index];
            let saved = dockerd.docker(&["save", "-o", path.to_str().unwrap(), &self.name(image)]);
            let held = match saved {
                Ok(_) => holds_layers(&fs::read(&path).unwrap(), image, &built(image, &[])),
                Err(error) => Err(error.to_string()),
            };
            if let Err(text) = held {
                self.differ(index, &format!("docker save on the data root: {text}"));
            }
        }
    }
}

fn tag(image: &Made) -> String {
    format!("seed-{}", image.seed)
}

/// Compressed in every way, the lowest of the first image by gzip.
fn built(image: &Made, layers: &[Vec<u8>]) -> Image {
    let ways = [Compression::None, Compression::Gzip, Compression::Zstd];
    // Images of the same layers are not the same image.
    let mut built = Image::builder().format(Format::Oci).label("seed", &image.seed.to_string());
    for (layer, number) in layers.iter().zip(image.seed..) {
        let way = ways[usize::try_from(number % 3).unwrap()];
        built = built.layer(Layer::of_tar(way, layer).unwrap());
    }
    built.build()
}

fn said(text: &str) -> &str {
    if text.is_empty() { "accepted\n" } else { text }
}

/// Looks for the layers, or the blobs that they were pulled as.
fn holds_layers(archive: &[u8], image: &Made, built: &Image) -> Result<(), String> {
    // Everything in an archive begins at a block.
    let holds = |bytes: &[u8]| {
        (0..archive.len()).step_by(512).any(|start| archive[start..].starts_with(bytes))
    };
    for (number, layer) in image.layers.iter().enumerate() {
        let blob = built.layers.get(number).map(|layer| layer.blob.read().unwrap());
        if !holds(layer) && !blob.is_some_and(|blob| holds(&blob)) {
            return Err(format!("layer {number} is not the one that was pulled"));
        }
    }
    Ok(())
}

/// Refusals of dockerd alone: entries behind a symlink to what is not there, and times of directories that are no longer where they were.
fn is_only_dockerd_s(error: &str) -> bool {
    let is_whiteout_of_own = error.contains("failed to mknod") && error.contains("file exists");
    let is_way = error.contains("no such file or directory") || error.contains("file exists");
    (is_way && !is_whiteout_of_own) || error.contains("chtimes ")
}
