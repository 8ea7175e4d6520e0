//! Pulls that are killed at any moment.
//!
//! Moments are counted in bytes that a proxy has let through and in lines of output, not in time, so that every
//! run kills at the same places whatever the machine's speed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use test_support::image::{Compression, Image, Layer};
use test_support::servers::LocalRegistry;
use test_support::tar::Entry;

use super::support::{Home, assert_holds_only, files_below, noise};

/// The bytes of answers besides blobs (manifests, the config, headers), and for each of up to twelve connections the
/// write of 64 KiB that was not noted yet when the process died. The layers are much larger.
const OVERHEAD: u64 = 1 << 20;

/// Passes connections on and counts the bytes that come back.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    served: Arc<AtomicU64>,
}

impl Proxy {
    /// `reached` is told once when `threshold` bytes have been served; nothing more is let through then.
    pub(super) fn start(upstream: SocketAddr, threshold: u64, reached: mpsc::Sender<()>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&served);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(origin)) = (client, TcpStream::connect(upstream)) else {
                    return;
                };
                let (counter, reached) = (Arc::clone(&counter), reached.clone());
                let (mut from, mut to) = (client.try_clone().unwrap(), origin.try_clone().unwrap());
                thread::spawn(move || std::io::copy(&mut from, &mut to));
                thread::spawn(move || pump(origin, client, &counter, threshold, &reached));
            }
        });
        Self { address, served }
    }

    /// Returns how many bytes have come back so far.
    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::SeqCst)
    }
}

fn pump(
    mut origin: TcpStream,
    mut client: TcpStream,
    counter: &AtomicU64,
    threshold: u64,
    reached: &mpsc::Sender<()>,
) {
    let mut buffer = [0; 16 << 10];
    while let Ok(length @ 1..) = origin.read(&mut buffer) {
        let before = counter.fetch_add(length as u64, Ordering::SeqCst);
        if before + length as u64 >= threshold {
            let _ = reached.send(());
            // The connection stays open: it is the process that dies, not the link.
            thread::park();
            return;
        }
        if client.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}

/// Three layers, one of them large enough to be fetched in several ranges at once.
fn image() -> Image {
    let layer = |seed, megabytes: usize| {
        let content = noise(seed, megabytes << 20);
        let entries = [Entry::directory("d"), Entry::file(format!("d/{seed}"), content)];
        Layer::new(Compression::Gzip, &entries)
    };
    Image::builder().layer(layer(1, 20)).layer(layer(2, 5)).layer(layer(3, 1)).build()
}

/// Returns how many bytes of blobs a store has, complete or not.
fn present(data_root: &Path) -> u64 {
    let own = data_root.join("longshore");
    let sum = |folder: &Path, measure: fn(&std::fs::Metadata) -> u64| -> u64 {
        let files = files_below(folder).into_iter().filter(|name| !name.contains('.'));
        files.map(|name| measure(&std::fs::metadata(folder.join(name)).unwrap())).sum()
    };
    // A partial download is sparse: what it has is what it has blocks for.
    sum(&own.join("ingest"), |metadata| metadata.blocks() * 512)
        + sum(&own.join("content/blobs/sha256"), std::fs::Metadata::len)
}

/// Pulls again and insists that only what was missing comes, and that nothing else is left.
fn recovers(home: &Home, registry: &LocalRegistry, image: &Image, moment: &str) {
    let total: u64 = image.layers.iter().map(|layer| layer.blob.size).sum();
    let missing = total.saturating_sub(present(&home.data_root()));
    let (sender, _receiver) = mpsc::channel();
    let proxy = Proxy::start(registry.address(), u64::MAX, sender);
    let name = format!("{}/app:1", proxy.address);
    home.run(&["pull", &name]).success();
    let served = proxy.served();
    assert!(served <= missing + OVERHEAD, "{moment}: {served} bytes came, {missing} were missing");
    let ids = home.run(&["images", "-q", "--no-trunc"]).success();
    assert_eq!(ids.lines().next(), Some(&*image.id().to_string()), "{moment}");
    assert_holds_only(&home.data_root(), image);
}

#[test]
fn killed_at_any_byte_a_pull_goes_on_where_it_was() {
    let registry = LocalRegistry::start().unwrap();
    let image = image();
    image.push(&registry.client(), "app", "1").unwrap();
    let total: u64 = image.layers.iter().map(|layer| layer.blob.size).sum();
    for step in 1..=20 {
        let home = Home::new();
        let (sender, reached) = mpsc::channel();
        let proxy = Proxy::start(registry.address(), total * step / 20, sender);
        let mut pull = home.longshore();
        pull.args(["pull", &format!("{}/app:1", proxy.address)]);
        let mut pull = pull.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        reached.recv().unwrap();
        pull.kill().unwrap();
        pull.wait().unwrap();
        recovers(&home, &registry, &image, &format!("after {step}/20 of the bytes"));
    }
}

#[test]
fn killed_at_any_line_of_output_a_pull_goes_on_where_it_was() {
    let registry = LocalRegistry::start().unwrap();
    let image = image();
    image.push(&registry.client(), "app", "1").unwrap();
    for line in 1.. {
        let home = Home::new();
        let mut pull = home.longshore();
        pull.args(["pull", &format!("{}/app:1", registry.address())]);
        let mut pull = pull.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(pull.stdout.take().unwrap()).lines();
        let seen = lines.by_ref().take(line).count();
        pull.kill().unwrap();
        pull.wait().unwrap();
        recovers(&home, &registry, &image, &format!("after line {line}"));
        if seen < line {
            assert!(line > 10, "a pull of three layers prints more than {line} lines");
            return;
        }
    }
}
