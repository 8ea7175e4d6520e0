//! Pushes that are killed in the middle of an upload. Moments are counted in bytes, not in time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;

use test_support::image::{Compression, Image, Layer};
use test_support::servers::{DockerRegistry, LocalRegistry};
use test_support::tar::Entry;

use super::support::{Home, files_below, noise};

/// The bytes of requests besides the layer, and what a killed client had sent that the registry has not taken.
const OVERHEAD: u64 = 2 << 20;

/// Passes connections on, counts the bytes that go to the registry, and holds them up at a limit.
struct Gate {
    address: SocketAddr,
    sent: AtomicU64,
    limit: AtomicU64,
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    /// `reached` is told when `limit` bytes have been sent.
    fn start(upstream: &str, limit: u64, reached: mpsc::Sender<()>) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            sent: AtomicU64::new(0),
            limit: AtomicU64::new(limit),
            open: Mutex::new(false),
            opened: Condvar::new(),
        });
        let (shared, upstream) = (Arc::clone(&gate), upstream.to_owned());
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(origin)) = (client, TcpStream::connect(&upstream)) else {
                    return;
                };
                let (mut from, mut to) = (origin.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || std::io::copy(&mut from, &mut to));
                let (gate, reached) = (Arc::clone(&shared), reached.clone());
                thread::spawn(move || gate.pump(client, origin, &reached));
            }
        });
        gate
    }

    fn pump(&self, mut client: TcpStream, mut origin: TcpStream, reached: &mpsc::Sender<()>) {
        let mut buffer = [0; 16 << 10];
        // Not a byte of the layer more goes through than is counted as there when the client is killed.
        let left = || {
            let sent = self.sent.load(Ordering::SeqCst);
            let left = self.limit.load(Ordering::SeqCst).saturating_sub(sent);
            usize::try_from(left).unwrap().clamp(1, 16 << 10)
        };
        while let Ok(length @ 1..) = client.read(&mut buffer[..left()]) {
            let sent = self.sent.fetch_add(length as u64, Ordering::SeqCst) + length as u64;
            if origin.write_all(&buffer[..length]).is_err() {
                break;
            }
            if sent >= self.limit.load(Ordering::SeqCst) {
                let _ = reached.send(());
                // Until the client is dead: the connection ends when this does.
                let open = self.open.lock().unwrap();
                drop(self.opened.wait_while(open, |open| !*open).unwrap());
                break;
            }
        }
        let _ = origin.shutdown(std::net::Shutdown::Both);
    }

    /// Lets others through from now on, and counts anew.
    fn pass(&self) {
        self.limit.store(u64::MAX, Ordering::SeqCst);
        self.sent.store(0, Ordering::SeqCst);
    }

    /// Lets everything through from now on, but for the connections that it held up, and counts anew.
    fn open(&self) {
        self.pass();
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

/// An image in a data root, and its name at a registry behind a gate.
struct Pushed {
    home: Home,
    image: Image,
    pulled: String,
    gate: Arc<Gate>,
    name: String,
}

impl Pushed {
    /// Starts a push and waits until the gate has held it up, after `limit` bytes.
    fn start(registry: &str, megabytes: u64, limit: u64) -> (Self, Child) {
        let source = LocalRegistry::start().unwrap();
        let entry = Entry::file("noise", noise(9, usize::try_from(megabytes << 20).unwrap()));
        let image = Image::builder().layer(Layer::new(Compression::Gzip, &[entry])).build();
        image.push(&source.client(), "app", "1").unwrap();
        let home = Home::new();
        let pulled = format!("{}/app:1", source.address());
        home.run(&["pull", "-q", &pulled]).success();

        let (sender, reached) = mpsc::channel();
        let gate = Gate::start(registry, limit, sender);
        let name = format!("{}/app:1", gate.address);
        home.run(&["tag", &pulled, &name]).success();
        let mut push = home.longshore();
        push.args(["push", "-q", &name]);
        let push = push.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        reached.recv().unwrap();
        (Self { home, image, pulled, gate, name }, push)
    }

    fn uploads(&self) -> PathBuf {
        self.home.data_root().join("longshore/uploads")
    }
}

/// Kills a push after `killed` bytes, of which the registry keeps `kept`, and insists that the next one sends no more than
/// the rest.
fn goes_on(registry: &str, megabytes: u64, killed: u64, kept: u64) {
    let (pushed, mut push) = Pushed::start(registry, megabytes, killed);
    push.kill().unwrap();
    push.wait().unwrap();

    let uploads = pushed.uploads();
    let Pushed { home, image, pulled, gate, name } = pushed;
    let notes = files_below(&uploads);
    assert_eq!(notes.len(), 1, "{notes:?}");
    // The place may carry secrets.
    assert_eq!(uploads.join(&notes[0]).metadata().unwrap().mode() & 0o777, 0o600);

    gate.open();
    home.run(&["push", "-q", &name]).success();
    let (sent, size) = (gate.sent.load(Ordering::SeqCst), image.layers[0].blob.size);
    assert!(sent <= size - kept + OVERHEAD, "{sent} bytes went, {} were missing", size - kept);
    assert!(sent >= size - killed, "{sent}");
    assert_eq!(files_below(&uploads), [""; 0]);
    home.run(&["rmi", "-f", &name, &pulled]).success();
    home.run(&["pull", "-q", &name]).success();
}

#[test]
fn a_push_that_was_killed_goes_on_in_the_next_process() {
    let registry = LocalRegistry::start().unwrap();
    goes_on(&registry.address().to_string(), 12, 8 << 20, 8 << 20);
}

#[test]
fn to_dockers_own_registry_which_drops_what_was_cut_it_starts_anew() {
    let registry = DockerRegistry::builder().start().unwrap();
    goes_on(registry.address(), 10, 6 << 20, 0);
}

#[test]
fn a_push_that_still_sends_is_not_taken_over() {
    let registry = LocalRegistry::start().unwrap();
    let (pushed, mut first) = Pushed::start(&registry.address().to_string(), 12, 8 << 20);
    let notes = files_below(&pushed.uploads());
    assert_eq!(notes.len(), 1, "{notes:?}");
    pushed.gate.pass();
    pushed.home.run(&["push", "-q", &pushed.name]).success();
    let (sent, size) = (pushed.gate.sent.load(Ordering::SeqCst), pushed.image.layers[0].blob.size);
    assert!(sent >= size, "{sent} of {size}: an upload of its own");
    assert_eq!(files_below(&pushed.uploads()), notes, "the first one's note is as it was");
    pushed.gate.open();
    assert!(first.wait().unwrap().success());
    assert_eq!(files_below(&pushed.uploads()), [""; 0]);
}
