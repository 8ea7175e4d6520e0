//! Mirrors of any registry by `hosts.toml`, with real registries behind taps that keep every request: who is asked for
//! what, and who is shown what.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use test_support::http::Client;
use test_support::image::Image;
use test_support::scripted::{Answer, Received, Scripted};
use test_support::servers::{DockerRegistry, installed};
use tokio::runtime::Runtime;

use super::support::{Bench, FRONTS, Front, small_image};

/// The registry's own user.
const ANN: (&str, &str) = ("ann", "canary-of-the-registry");
/// The user of a mirror that asks for a password.
const BOB: (&str, &str) = ("bob", "canary-of-bobs-mirror");
/// The user of a mirror that asks for a token.
const EVE: (&str, &str) = ("eve", "canary-of-eves-mirror");

fn encoded((user, password): (&str, &str)) -> String {
    STANDARD.encode(format!("{user}:{password}"))
}

fn skip() -> bool {
    let missing = !installed(&["docker-registry", "docker"]);
    if missing {
        println!("skipped: needs docker-registry and docker");
    }
    missing
}

/// A registry that hands on what it is asked to a real one, and remembers it.
struct Tap {
    // Dropped before the runtime that serves it.
    server: Scripted,
    _runtime: Runtime,
}

impl Tap {
    /// Begins to hand on requests for what is below `root` to the API of the registry at `address`.
    fn on(address: &str, root: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(Scripted::start()).unwrap();
        for method in ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"] {
            let (behind, before) = (address.to_owned(), server.host());
            let root = root.to_owned();
            server.reply(method, "*", move |request| {
                let Some(path) = request.target.strip_prefix(&root) else {
                    return Answer::status(404).body("not below the root");
                };
                hand_on(request, &format!("/v2/{path}"), &behind, &before)
            });
        }
        Self { server, _runtime: runtime }
    }

    fn host(&self) -> String {
        self.server.host()
    }

    fn url(&self) -> String {
        self.server.url()
    }

    /// All that was ever shown to it as authority, each once.
    fn shown(&self) -> Vec<String> {
        let received = self.server.received();
        let shown = received.iter().filter_map(|request| request.header("authorization"));
        let mut shown: Vec<String> = shown.map(ToOwned::to_owned).collect();
        shown.sort();
        shown.dedup();
        shown
    }

    /// Everything that was sent to it, as text.
    fn everything(&self) -> String {
        format!("{:?}", self.server.received())
    }

    fn methods(&self) -> Vec<String> {
        let received = self.server.received();
        let mut methods: Vec<String> =
            received.iter().map(|request| request.method.to_string()).collect();
        methods.sort();
        methods.dedup();
        methods
    }
}

fn hand_on(request: &Received, path: &str, behind: &str, before: &str) -> Answer {
    const OWN: [&str; 4] = ["host", "connection", "content-length", "transfer-encoding"];
    let headers = request.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let headers: Vec<_> = headers.filter(|(name, _)| !OWN.contains(name)).collect();
    let method = request.method.as_str();
    let answered = Client::new(behind).send(method, path, &headers, &request.body);
    let Ok(response) = answered else { return Answer::hang_up() };
    let mut answer = Answer::status(response.status);
    for (name, value) in &response.headers {
        let length = name == "content-length" && method == "HEAD";
        if length || !OWN.contains(&name.as_str()) {
            answer = answer.header(name, value.replace(behind, before));
        }
    }
    answer.body(response.body)
}

/// An engine whose registries are described by files of its own, and whose user has these logins.
fn bench(
    front: Front,
    files: &[(&str, &str)],
    logins: &[(String, (&str, &str))],
) -> (Bench, Certs) {
    let certs = Certs(tempfile::tempdir().unwrap());
    for (registry, text) in files {
        certs.write(registry, text);
    }
    let path = certs.0.path().display().to_string();
    let bench = Bench::new(front, &["--certs-dir", &path, "--log-level", "debug"]);
    let auths: serde_json::Map<String, Value> = logins
        .iter()
        .map(|(host, user)| (host.clone(), json!({ "auth": encoded(*user) })))
        .collect();
    let config = bench.home.path().join("config");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("config.json"), json!({ "auths": auths }).to_string()).unwrap();
    (bench, certs)
}

/// A folder with `hosts.toml` files.
struct Certs(tempfile::TempDir);

impl Certs {
    fn write(&self, registry: &str, text: &str) -> PathBuf {
        let folder = self.0.path().join(registry);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("hosts.toml"), text).unwrap();
        folder.join("hosts.toml")
    }
}

/// A real registry with an image, behind a second server over the same folder that asks nobody for anything.
fn stocked(asking: &DockerRegistry) -> Image {
    let open = DockerRegistry::builder().storage(asking.storage()).start().unwrap();
    let image = small_image(11);
    image.push(&open.client(), "lib/app", "1").unwrap();
    image
}

fn assert_pulled(printed: &str, image: &Image) {
    let digest = &image.manifest.digest;
    assert!(printed.contains(&format!("Digest: {digest}")), "{printed}");
    assert!(printed.contains("Status: Downloaded newer image"), "{printed}");
}

/// Says that no secret of this file is in any log.
fn assert_no_canary(log: &str) {
    assert!(!log.is_empty());
    for user in [ANN, BOB, EVE] {
        for secret in [user.1.to_owned(), encoded(user)] {
            assert!(!log.contains(&secret), "{secret} in {log}");
        }
    }
    // The tokens of docker-registry are JWTs.
    assert!(!log.contains("eyJ"), "{log}");
}

fn daemon_log(bench: &Bench) -> String {
    fs::read_to_string(bench.home.path().join("daemon.log")).unwrap_or_default()
}

#[test]
fn each_host_gets_its_own_credentials_and_no_log_has_any() {
    if skip() {
        return;
    }
    let registry = DockerRegistry::builder().password(ANN.0, ANN.1).start().unwrap();
    let with_password = DockerRegistry::builder().password(BOB.0, BOB.1).start().unwrap();
    let with_token = DockerRegistry::builder().token(EVE.0, EVE.1).start().unwrap();
    let image = stocked(&registry);
    for front in FRONTS {
        // Two mirrors that have nothing, one without a login; the registry is asked in the end.
        let taps = [registry.address(), with_password.address(), with_token.address()]
            .map(|address| Tap::on(address, "/v2/"));
        let stranger = Tap::on(with_password.address(), "/v2/");
        let [own, bob, eve] = &taps;
        let hosts = format!(
            "server = \"{}\"\n[host.\"http://127.0.0.1:1\"]\n[host.\"{}\"]\n[host.\"{}\"]\n[host.\"{}\"]",
            own.url(),
            stranger.url(),
            bob.url(),
            eve.url()
        );
        let logins = [(own.host(), ANN), (bob.host(), BOB), (eve.host(), EVE)];
        let (bench, _certs) = bench(front, &[(&own.host(), &hosts)], &logins);
        let done = bench.run(&["pull", &format!("{}/lib/app:1", own.host())]);
        let log = if front == Front::InProcess { done.stderr.clone() } else { daemon_log(&bench) };
        assert_pulled(&done.success(), &image);

        assert_eq!(own.shown(), [format!("Basic {}", encoded(ANN))], "{front:?}");
        assert_eq!(bob.shown(), [format!("Basic {}", encoded(BOB))], "{front:?}");
        assert_eq!(stranger.shown(), [""; 0], "{front:?}");
        let tokens = eve.shown();
        assert!(!tokens.is_empty() && tokens.iter().all(|shown| shown.starts_with("Bearer ")));
        for (tap, own) in [(own, ANN), (bob, BOB), (eve, EVE), (&stranger, ("", ""))] {
            let everything = tap.everything();
            for user in [ANN, BOB, EVE].into_iter().filter(|user| *user != own) {
                assert!(!everything.contains(user.1) && !everything.contains(&encoded(user)));
            }
        }

        assert_no_canary(&log);
        for said in ["mirror passed over", "registry endpoint used", "credentials looked for"] {
            assert!(log.contains(said), "{front:?}: no {said:?} in {log}");
        }
        assert!(log.contains("config.json"), "{log}");
    }
}

#[test]
fn mirrors_with_a_password_and_with_a_token_are_pulled_from() {
    if skip() {
        return;
    }
    let with_password = DockerRegistry::builder().password(BOB.0, BOB.1).start().unwrap();
    let with_token = DockerRegistry::builder().token(EVE.0, EVE.1).start().unwrap();
    for (mirror, user) in [(with_password, BOB), (with_token, EVE)] {
        let image = stocked(&mirror);
        let tap = Tap::on(mirror.address(), "/v2/");
        for front in FRONTS {
            let files = [("registry.invalid", &*format!("[host.\"{}\"]", tap.url()))];
            let (bench, _certs) = bench(front, &files, &[(tap.host(), user)]);
            let done = bench.run(&["pull", "registry.invalid/lib/app:1"]);
            assert_pulled(&done.success(), &image);
        }
        let received = tap.server.received();
        let manifests: Vec<_> =
            received.iter().filter(|request| request.path().contains("/manifests/")).collect();
        assert!(!manifests.is_empty());
        assert!(manifests.iter().all(|request| request.query() == "ns=registry.invalid"));
    }
}

#[test]
fn a_mirror_may_have_a_path_and_stand_for_all_registries() {
    if skip() {
        return;
    }
    let mirror = DockerRegistry::builder().start().unwrap();
    let image = stocked(&mirror);
    for front in FRONTS {
        let prefixed = Tap::on(mirror.address(), "/proxy/hub/");
        let text = format!(
            "[host.\"{}/proxy/hub\"]\noverride_path = true\n[host.\"{0}/proxy/hub\".header]\nx-tenant = \"canary\"",
            prefixed.url()
        );
        let (bench, certs) = bench(front, &[("_default", &text)], &[]);
        for name in ["one.invalid/lib/app:1", "two.invalid:5000/lib/app:1"] {
            let done = bench.run(&["pull", name]).success();
            assert!(done.contains(&image.manifest.digest.to_string()), "{done}");
        }
        let received = prefixed.server.received();
        assert!(received.iter().all(|request| request.header("x-tenant") == Some("canary")));

        // A file of its own ends what the default says, and is seen without a restart.
        bench.run(&["rmi", "two.invalid:5000/lib/app:1"]).success();
        let own = certs.write("two.invalid_5000_", "serve = \"x\"\n[host");
        let error = bench.run(&["pull", "two.invalid:5000/lib/app:1"]).failure();
        assert!(error.contains(&format!("{}`:2: invalid TOML", own.display())), "{error}");
    }
}

#[test]
fn a_mirror_that_cannot_be_pushed_to_is_not() {
    if skip() {
        return;
    }
    let [registry, mirror] = [(); 2].map(|()| DockerRegistry::builder().start().unwrap());
    let image = stocked(&mirror);
    for front in FRONTS {
        let [registry_tap, mirror_tap] =
            [&registry, &mirror].map(|server| Tap::on(server.address(), "/v2/"));
        let text =
            format!("[host.\"{}\"]\ncapabilities = [\"pull\", \"resolve\"]", mirror_tap.url());
        let name = format!("{}/lib/app:1", registry_tap.host());
        let (bench, _certs) = bench(front, &[(&registry_tap.host(), &text)], &[]);
        assert_pulled(&bench.run(&["pull", &name]).success(), &image);
        let target = format!("{}/lib/app:{front:?}", registry_tap.host()).to_lowercase();
        bench.run(&["tag", &name, &target]).success();
        let pushed = bench.run(&["push", &target]).success();
        assert!(pushed.contains(&image.manifest.digest.to_string()), "{pushed}");
        assert_eq!(mirror_tap.methods(), ["GET", "HEAD"], "{front:?}");
        assert!(registry_tap.methods().contains(&"PUT".to_owned()), "{front:?}");
    }
}

#[test]
fn check_says_who_would_be_asked_and_what_each_answers() {
    if skip() {
        return;
    }
    let registry = DockerRegistry::builder().password(ANN.0, ANN.1).start().unwrap();
    let mirror = DockerRegistry::builder().password(BOB.0, BOB.1).start().unwrap();
    let image = stocked(&registry);
    for front in [Front::InProcess, Front::Longshore] {
        let [own, bob] = [&registry, &mirror].map(|server| Tap::on(server.address(), "/v2/"));
        let text = format!("server = \"{}\"\n[host.\"{}\"]", own.url(), bob.url());
        let logins = [(own.host(), ANN), (bob.host(), BOB)];
        let (bench, certs) = bench(front, &[(&own.host(), &text)], &logins);
        let name = format!("{}/lib/app:1", own.host());
        let printed = bench.run(&["registry", "check", &name]).success();
        let config = bench.home.path().join("config/config.json").display().to_string();
        let escaped = own.host().replace(':', "%3A");
        for part in [
            format!("1. {}/ (mirror)", bob.url()),
            format!("2. {}/ (registry)", own.url()),
            format!("{}:2", file_of(&certs, &own.host()).display()),
            format!("HEAD {}/v2/lib/app/manifests/1?ns={escaped} -> 404", bob.url()),
            format!("Resolved by:  2. {}/", own.url()),
            image.manifest.digest.to_string(),
        ] {
            assert!(printed.contains(&part), "{front:?}: no {part:?} in {printed}");
        }
        assert_eq!(printed.matches(&format!("Credentials: {config}")).count(), 2, "{printed}");
        assert_no_canary(&printed);
        let requests = [&own, &bob].map(Tap::everything);
        assert!(requests.iter().all(|all| !all.contains("/blobs/")), "nothing is downloaded");

        let done = bench.run(&["registry", "check", "--format", "json", &name]);
        let document: Value = serde_json::from_str(&done.success()).unwrap();
        assert_eq!(document["Resolver"], 1);
        assert_eq!(document["Endpoints"][1]["Requests"][1]["Status"], 200);
        let absent = format!("{}/lib/app:none", name.split('/').next().unwrap());
        let done = bench.run(&["registry", "check", &absent]);
        assert!(done.stderr.contains(&format!("{absent} cannot be resolved")), "{done:?}");
        done.failure();
    }
}

fn file_of(certs: &Certs, registry: &str) -> PathBuf {
    Path::new(certs.0.path()).join(registry).join("hosts.toml")
}
