//! `cargo xtask demo`: a real image there and back, on a machine that has nothing else.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use test_support::http::Client;
use test_support::image::{Compression, Format, Image, Layer};

use crate::machine::{self, Adder, Found};
use crate::shell;
use crate::workspace::{Workspace, longshore};

/// The layers: a name, where on this machine its files are, and how many bytes of them.
const LAYERS: [(&str, &str, u64); 4] = [
    ("configuration", "/etc", 2 << 20),
    ("programs", "/usr/bin", 24 << 20),
    ("libraries", "/usr/lib", 24 << 20),
    ("shared data", "/usr/share", 8 << 20),
];

const REPOSITORY: &str = "demo/machine";

pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::read()?;
    println!(
        "The demo builds Longshore, for which cargo fetches the crates of `Cargo.lock`. It installs nothing, and writes \
         to `target/` alone."
    );
    workspace.build_release()?;
    let binary = workspace.release_binary();
    // Removed when this ends, however it ends; the registry stops first.
    let folder = tempfile::Builder::new()
        .prefix("demo-")
        .tempdir_in(&workspace.target)
        .context("cannot make a folder for the demo")?;
    let demo = Demo { binary, folder: folder.path().to_owned() };
    let result = demo.play();
    drop(demo);
    folder.close().context("cannot remove the demo's folder")?;
    result
}

struct Demo {
    binary: PathBuf,
    folder: PathBuf,
}

impl Demo {
    fn play(&self) -> Result<()> {
        section("Two registries over empty folders, so that what is pushed has to be sent");
        let origin = self.start_registry("origin")?;
        let destination = self.start_registry("destination")?;
        let seed = format!("{}/{REPOSITORY}:1", origin.address);
        let name = format!("{}/{REPOSITORY}:1", destination.address);

        section("An image of files of this machine, put there with plain HTTP");
        let image = self.make_image()?;
        image.push(&Client::new(&origin.address), REPOSITORY, "1")?;
        println!("{seed}\n  {}", image.manifest.digest);

        section("Pull it, give it another name, push that, remove both");
        let first = self.folder.join("first");
        self.longshore(&first, &["pull", &seed])?;
        self.longshore(&first, &["tag", &seed, &name])?;
        self.longshore(&first, &["push", &name])?;
        self.longshore(&first, &["rmi", &seed, &name])?;
        let left = self.ask(&first, &["images", "--quiet"])?;
        ensure!(left.trim().is_empty(), "images are left after `rmi`: {left}");

        section("Pull what was pushed into an empty data root, and list it");
        let second = self.folder.join("second");
        self.longshore(&second, &["pull", &name])?;
        self.longshore(&second, &["images", "--digests"])?;

        section("The digests");
        self.compare(&second, &name, &image, [&origin, &destination])?;
        println!("\nThe demo succeeded: the digests agree.");
        Ok(())
    }

    fn start_registry(&self, name: &str) -> Result<Registry> {
        let mut command = longshore(&self.binary, &self.folder)?;
        command.args(["registry", "serve", "--listen", "127.0.0.1:0", "--root"]);
        command.arg(self.folder.join(name));
        println!("\n$ {}", self.line(&command));
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.context("cannot start the registry")?;
        let output = child.stdout.take();
        let mut registry = Registry { child, address: String::new() };
        let mut line = String::new();
        BufReader::new(output.context("the registry has no output")?).read_line(&mut line)?;
        print!("{line}");
        let address = line.trim().strip_prefix("listening on ");
        let address = address
            .with_context(|| format!("the registry said `{}` and no address", line.trim()))?;
        address.clone_into(&mut registry.address);
        Ok(registry)
    }

    fn make_image(&self) -> Result<Image> {
        let now = shell::output(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]))?;
        let mut builder = Image::builder().format(Format::Oci).created(now.trim());
        for (number, (name, root, size)) in LAYERS.into_iter().enumerate() {
            let mut pool: VecDeque<Found> = machine::walk(Path::new(root)).into();
            let files = machine::take(&mut pool, size);
            let mut adder = Adder::default();
            let path = self.folder.join(format!("layer-{number}"));
            let layer = Layer::in_file(&path, Compression::Gzip, |tar| {
                files.iter().try_for_each(|file| adder.add(tar, file))
            });
            let layer = layer.with_context(|| format!("cannot make the layer of `{root}`"))?;
            println!(
                "{name}: {} files of {root}, {} as a tar, {} compressed",
                files.len(),
                megabytes(layer.tar_size),
                megabytes(layer.blob.size),
            );
            builder = builder.layer(layer);
        }
        Ok(builder.build())
    }

    /// Compares the image that was made with those that either registry holds, and with the one pulled last.
    fn compare(
        &self,
        data_root: &Path,
        name: &str,
        made: &Image,
        registries: [&Registry; 2],
    ) -> Result<()> {
        let mut digests = vec![("as made".to_owned(), made.manifest.digest.to_string())];
        let path = format!("/v2/{REPOSITORY}/manifests/1");
        let accept = [("Accept", made.manifest.media_type.as_str())];
        for Registry { address, .. } in registries {
            let response = Client::new(address).send("HEAD", &path, &accept, b"")?.expect(200)?;
            let digest = response.header("docker-content-digest").unwrap_or_default().to_owned();
            digests.push((format!("in the registry {address}"), digest));
        }
        let format = "{{index .RepoDigests 0}}";
        let pulled = self.ask(data_root, &["inspect", "--format", format, name])?;
        let pulled = pulled.trim().rsplit('@').next().unwrap_or_default().to_owned();
        digests.push(("pulled into the empty data root".to_owned(), pulled));
        for (place, digest) in &digests {
            println!("{place:40} {digest}");
        }
        if digests.iter().any(|(_, digest)| *digest != digests[0].1) {
            bail!("the digests differ");
        }
        let id = self.ask(data_root, &["inspect", "--format", "{{.Id}}", name])?;
        ensure!(id.trim() == made.id().to_string(), "the image's ID is {id}, not {}", made.id());
        Ok(())
    }

    fn longshore(&self, data_root: &Path, arguments: &[&str]) -> Result<()> {
        let mut command = self.command(data_root, arguments)?;
        println!("\n$ {}", self.line(&command));
        let status = command.stdin(Stdio::null()).status().context("cannot run longshore")?;
        ensure!(status.success(), "`longshore {}` ended with {status}", arguments.join(" "));
        Ok(())
    }

    fn ask(&self, data_root: &Path, arguments: &[&str]) -> Result<String> {
        shell::output(&mut self.command(data_root, arguments)?)
    }

    fn command(&self, data_root: &Path, arguments: &[&str]) -> Result<Command> {
        let mut command = longshore(&self.binary, &self.folder)?;
        command.arg("--data-root").arg(data_root).args(arguments);
        Ok(command)
    }

    /// A command without what only keeps the demo apart from the user's own configuration.
    fn line(&self, command: &Command) -> String {
        let line = shell::line(command);
        let folder = self.folder.display().to_string();
        let hidden = format!(" --config {folder}/config --config-file {folder}/daemon.json");
        line.replace(&hidden, "").replace(&folder, ".")
    }
}

struct Registry {
    child: Child,
    address: String,
}

impl Drop for Registry {
    fn drop(&mut self) {
        // Its folder goes with it: there is nothing to save.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn section(title: &str) {
    println!("\n== {title}");
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}
