//! The images: files of this machine in layers of different character.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context as _, Result, anyhow, bail};
use test_support::http::Client;
use test_support::image::{Compression, Format, Image, ImageBuilder, Layer};
use test_support::servers::DockerRegistry;

use super::options::Options;
use crate::machine::{self, Adder, Found, tar_size};
use crate::shell;

const MB: u64 = 1_000_000;

/// One image of the benchmark.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recipe {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    compression: Compression,
    shape: Shape,
    /// Divisor of the sizes.
    divisor: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// The layers of [`CHARACTERS`].
    Characters,
    /// One layer of 800 MB.
    One,
    /// 40 layers of 0.2 to 3 MB.
    Many,
}

/// Common traits of a layer's files, their bytes, and their description.
type Character = (&'static str, u64, fn(&Found) -> bool);

/// The layers of an image of about 1 GB, the bottom one first: how much, and of which files. A
/// file belongs to the first that wants it, whatever the order of the layers.
const CHARACTERS: [Character; 8] = [
    ("shared libraries", 260 * MB, |file| {
        named(file, &[".so"]) || file.path.to_string_lossy().contains(".so.")
    }),
    ("programs", 180 * MB, |file| under(file, &["/usr/bin", "/usr/sbin"])),
    ("small files", 30 * MB, |file| file.size < 2048),
    ("headers", 40 * MB, |file| named(file, &[".h", ".hpp", ".inc", ".pc"])),
    ("scripts", 130 * MB, |file| named(file, &[".py", ".pl", ".pm", ".js", ".rb", ".sh", ".json"])),
    ("compiled objects", 150 * MB, |file| named(file, &[".a", ".o", ".pyc", ".rlib", ".jar"])),
    ("shared data", 190 * MB, |file| under(file, &["/usr/share"])),
    ("everything else", 20 * MB, |_| true),
];

fn named(file: &Found, endings: &[&str]) -> bool {
    let path = file.path.to_string_lossy();
    endings.iter().any(|ending| path.ends_with(ending))
}

fn under(file: &Found, folders: &[&str]) -> bool {
    folders.iter().any(|folder| file.path.starts_with(folder))
}

/// The images that the options ask for.
pub(super) fn selected(options: &Options) -> Vec<Recipe> {
    let divisor = if options.quick { 10 } else { 1 };
    let recipe = |name, description, compression, shape, divisor| Recipe {
        name,
        description,
        compression,
        shape,
        divisor,
    };
    let all = [
        recipe("app", "8 layers, gzip", Compression::Gzip, Shape::Characters, divisor),
        recipe("app-zstd", "the same as zstd", Compression::Zstd, Shape::Characters, divisor),
        recipe("one", "1 layer, gzip", Compression::Gzip, Shape::One, divisor),
        recipe("many", "40 small layers, gzip", Compression::Gzip, Shape::Many, 1),
        recipe("tenth", "app at a tenth", Compression::Gzip, Shape::Characters, divisor * 10),
    ];
    all.into_iter().filter(|recipe| options.includes_image(recipe.name)).collect()
}

impl Recipe {
    /// The image's repository and tag. The tag holds what the content depends on.
    pub(super) fn reference(&self) -> String {
        format!("{}:{}", self.repository(), self.tag())
    }

    /// It is there to compare memory with that of `app`.
    pub(super) fn pull_only(&self) -> bool {
        self.name == "tenth"
    }

    pub(super) fn is_zstd(&self) -> bool {
        self.compression == Compression::Zstd
    }

    fn repository(&self) -> String {
        format!("bench/{}", self.name)
    }

    fn tag(&self) -> String {
        format!("v1-{}", self.divisor)
    }

    /// Makes the image and pushes it, unless the registry, whose folder is kept, has it.
    pub(super) fn prepare(&self, registry: &DockerRegistry, folder: &Path) -> Result<()> {
        let client = registry.client();
        if self.is_there(&client)? {
            return Ok(());
        }
        println!("making the image `{}` ({})", self.name, self.description);
        let temporary = tempfile::tempdir_in(folder).context("cannot make a folder for layers")?;
        let layers = self.make_layers(self.choose_files()?, temporary.path())?;
        // OCI has a media type for zstd, Docker's own formats have none.
        let format = if self.is_zstd() { Format::Oci } else { Format::Docker };
        let builder = Image::builder().format(format);
        let image = layers.into_iter().fold(builder, ImageBuilder::layer).build();
        let sum = |size: fn(&Layer) -> u64| image.layers.iter().map(size).sum::<u64>() / MB;
        println!(
            "  {} layers, {} MB as tars, {} MB compressed",
            image.layers.len(),
            sum(|layer| layer.tar_size),
            sum(|layer| layer.blob.size),
        );
        image.push(&client, &self.repository(), &self.tag()).context("cannot push the image")
    }

    fn is_there(&self, client: &Client) -> Result<bool> {
        let path = format!("/v2/{}/manifests/{}", self.repository(), self.tag());
        let accept = "application/vnd.docker.distribution.manifest.v2+json, \
                      application/vnd.oci.image.manifest.v1+json";
        Ok(client.send("HEAD", &path, &[("Accept", accept)], b"")?.status == 200)
    }

    /// Files of each layer.
    fn choose_files(&self) -> Result<Vec<Vec<Found>>> {
        let mut files: Vec<Found> = machine::walk(Path::new("/usr"));
        // A small /usr alone does not make a gigabyte, and who runs this has a toolchain.
        let sysroot = shell::output(Command::new("rustc").args(["--print", "sysroot"]))?;
        files.extend(machine::walk(Path::new(sysroot.trim())));
        let layers = match self.shape {
            Shape::Characters => by_character(files, self.divisor),
            Shape::One => vec![machine::take(&mut mixed(files), 800 * MB / self.divisor)],
            Shape::Many => {
                let mut pool = mixed(files);
                // From 0.2 to 3 MB, in an order that mixes large and small.
                let size = |number: u64| 200_000 + (number * 17 % 40) * 70_000;
                (0..40).map(|number| machine::take(&mut pool, size(number))).collect()
            }
        };
        if layers.iter().any(Vec::is_empty) {
            bail!("this machine has too few files under /usr to make the image `{}`", self.name);
        }
        Ok(layers)
    }

    /// Compresses the layers, as many at once as there are cores.
    fn make_layers(&self, layers: Vec<Vec<Found>>, folder: &Path) -> Result<Vec<Layer>> {
        let waiting: Mutex<VecDeque<(usize, Vec<Found>)>> =
            Mutex::new(layers.into_iter().enumerate().collect());
        let next = || waiting.lock().ok().and_then(|mut waiting| waiting.pop_front());
        let worker = || {
            let mut made = Vec::new();
            while let Some((number, files)) = next() {
                let path = folder.join(format!("layer-{number}"));
                let mut adder = Adder::default();
                let layer = Layer::in_file(&path, self.compression, |tar| {
                    files.iter().try_for_each(|file| adder.add(tar, file))
                });
                made.push((number, layer?));
            }
            Ok::<_, io::Error>(made)
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let made = thread::scope(|scope| {
            let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
            workers
                .into_iter()
                .map(|worker| {
                    worker.join().map_err(|_| anyhow!("a worker panicked"))?.map_err(Into::into)
                })
                .collect::<Result<Vec<_>>>()
        });
        let mut made: Vec<(usize, Layer)> =
            made.context("cannot make the layers")?.into_iter().flatten().collect();
        made.sort_by_key(|(number, _)| *number);
        Ok(made.into_iter().map(|(_, layer)| layer).collect())
    }
}

/// Sorts files into [`CHARACTERS`]. What one has too few of, it takes from what the others leave.
fn by_character(files: Vec<Found>, divisor: u64) -> Vec<Vec<Found>> {
    let mut pools: Vec<VecDeque<Found>> = vec![VecDeque::new(); CHARACTERS.len()];
    for file in mixed(files) {
        if let Some(index) = CHARACTERS.iter().position(|(_, _, wants)| wants(&file)) {
            pools[index].push_back(file);
        }
    }
    let mut layers: Vec<Vec<Found>> = Vec::new();
    for (pool, (_, size, _)) in pools.iter_mut().zip(CHARACTERS) {
        layers.push(machine::take(pool, size / divisor));
    }
    let mut left: VecDeque<Found> = pools.into_iter().flatten().collect();
    for (layer, (_, size, _)) in layers.iter_mut().zip(CHARACTERS) {
        let has: u64 = layer.iter().map(tar_size).sum();
        layer.extend(machine::take(&mut left, (size / divisor).saturating_sub(has)));
        layer.sort_by(|one, other| one.path.cmp(&other.path));
    }
    layers
}

/// The files in an order that is the same each time and follows nothing, so that a part of them is
/// like the whole.
fn mixed(mut files: Vec<Found>) -> VecDeque<Found> {
    files.sort_by_cached_key(|file| {
        let mut hasher = DefaultHasher::new();
        file.path.hash(&mut hasher);
        hasher.finish()
    });
    files.into()
}

/// Reads every file of a folder, so that it is in the page cache.
pub(super) fn read_all(folder: &Path) -> Result<()> {
    let mut waiting = BTreeSet::from([folder.to_owned()]);
    while let Some(path) = waiting.pop_first() {
        let read = || -> io::Result<Vec<PathBuf>> {
            if !path.is_dir() {
                io::copy(&mut File::open(&path)?, &mut io::sink())?;
                return Ok(Vec::new());
            }
            fs::read_dir(&path)?.map(|entry| entry.map(|entry| entry.path())).collect()
        };
        waiting.extend(read().with_context(|| format!("cannot read `{}`", path.display()))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, size: u64) -> Found {
        Found { path: PathBuf::from(path), size }
    }

    #[test]
    fn a_file_goes_to_the_layer_of_its_kind_and_fills_others_where_they_lack() {
        let files = vec![
            found("/usr/lib/libc.so.6", 2 * MB),
            found("/usr/bin/program", 2 * MB),
            found("/usr/share/large", 2 * MB),
            found("/usr/lib/x/tiny", 10),
        ];
        let layers = by_character(files, 1);
        let paths = |index: usize| {
            layers[index].iter().map(|file| file.path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(paths(0), ["/usr/lib/libc.so.6"]);
        assert_eq!(paths(1), ["/usr/bin/program"]);
        assert_eq!(paths(2), ["/usr/lib/x/tiny"]);
        assert_eq!(paths(6), ["/usr/share/large"]);

        let many: Vec<Found> =
            (0..1000).map(|number| found(&format!("/usr/share/{number}"), MB / 10)).collect();
        let layers = by_character(many, 10);
        let total: u64 = layers.iter().flatten().map(tar_size).sum();
        assert!((99 * MB..103 * MB).contains(&total), "{total}");
        assert!(layers.iter().all(|layer| !layer.is_empty()));
    }
}
