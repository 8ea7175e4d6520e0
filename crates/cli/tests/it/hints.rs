//! Hints below an error: the one thing to do, on standard error alone, and docker's words above it as they are.

use std::fs;
use std::os::unix::net::UnixListener;

use serde_json::Value;
use test_support::image::Image;
use test_support::scripted::{Answer, Scripted};
use test_support::servers::{LocalRegistry, Process, free_port};
use tokio::runtime::Runtime;

use super::support::{Bench, Done, Front, Home, run, small_image};

/// Pushes an image and returns its name.
fn pushed(registry: &LocalRegistry, image: &Image) -> String {
    image.push(&registry.client(), "app", "1").unwrap();
    format!("{}/app:1", registry.address())
}

/// Insists on an error in docker's words with a hint below it, and nothing of that on standard output.
#[track_caller]
fn check(done: Done, error: &str, hint: &str) {
    assert!(!done.stdout.contains("hint:"), "{}", done.stdout);
    let told = done.failure();
    let (words, hints) = told.split_once("hint: ").unwrap_or_else(|| panic!("no hint: {told}"));
    assert!(words.contains(error), "{told}");
    assert!(hints.contains(hint) && hints.trim_end().lines().count() == 1, "{told}");
}

#[test]
fn what_a_registry_says_gets_a_hint() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Scripted::start()).unwrap();
    let host = server.host();
    let page = "<html><head><title>Sign in</title></head></html>";
    let of = |status, code| Answer::error(status, code, "no");
    let login = format!("`longshore login {host}`");
    for (name, answer, error, hint) in [
        ("denied", of(403, "DENIED"), "pull access denied for ".to_owned(), login.clone()),
        (
            "wanted",
            of(401, "UNAUTHORIZED"),
            "Error response from daemon: unauthorized: no\n".to_owned(),
            format!("{host} wants another user name or password: {login}"),
        ),
        (
            "page",
            Answer::default().header("content-type", "text/html").body(page),
            "error unmarshalling content: invalid character '<' looking for beginning of value"
                .to_owned(),
            format!("{host} answers with a web page"),
        ),
        (
            "many",
            of(429, "TOOMANYREQUESTS").header("Retry-After", "3600"),
            "Error response from daemon: toomanyrequests: no".to_owned(),
            login.clone(),
        ),
        (
            "tag",
            of(404, "MANIFEST_UNKNOWN"),
            format!(
                "Error response from daemon: manifest for {host}/tag:1 not found: manifest unknown: no\n"
            ),
            format!("`longshore registry tags {host}/tag`"),
        ),
        (
            "repository",
            of(404, "NAME_UNKNOWN"),
            format!("repository {host}/repository not found: name unknown: no\n"),
            format!("{host} has no repository {host}/repository"),
        ),
    ] {
        for method in ["HEAD", "GET"] {
            server.on(method, &format!("/v2/{name}/manifests/1"), [answer.clone()]);
        }
        let done = Home::new().run(&["pull", &format!("{host}/{name}:1")]);
        check(done, &error, &hint);
    }
}

#[test]
fn too_few_files_get_a_hint_and_are_raised_where_they_may_be() {
    let registry = LocalRegistry::start().unwrap();
    let name = pushed(&registry, &small_image(7));
    let pull = |limit: &str| {
        let home = Home::new();
        let mut command = home.clean("sh");
        command.args(["-c", &format!("ulimit {limit} 16 && exec \"$@\""), "sh"]);
        command.args([env!("CARGO_BIN_EXE_longshore"), "pull", &name]);
        run(&mut command, "")
    };
    check(pull("-n"), "Too many open files", "`ulimit -n 1024` before the command");
    pull("-S -n").success();
}

#[test]
fn what_is_wrong_here_gets_a_hint() {
    let home = Home::new();
    let port = free_port().unwrap();
    let dead = home.path().join("dead.sock");
    drop(UnixListener::bind(&dead).unwrap());
    let archive = home.path().join("a.txt");
    fs::write(&archive, "hello").unwrap();
    let archive = archive.to_str().unwrap();
    let name = format!("127.0.0.1:{port}/app:1");
    for (arguments, error, hint) in [
        (
            &["pull", &name][..],
            "connect: connection refused",
            format!("nobody listens at 127.0.0.1:{port}"),
        ),
        (
            &["pull", "Alpine"],
            "repository name (library/Alpine) must be lowercase",
            "alpine".to_owned(),
        ),
        (
            &["push", "nothere:1"],
            "An image does not exist locally with the tag: nothere",
            "`longshore images`".to_owned(),
        ),
        (
            &["rmi", "nothere"],
            "Error response from daemon: No such image: nothere:latest\n",
            "`longshore pull nothere:latest`".to_owned(),
        ),
        (&["load", "-i", archive], "unexpected EOF", "is no archive".to_owned()),
        (
            &["pul", "alpine"],
            "longshore: unknown command: longshore pul\n\nRun 'longshore --help' for more information\n",
            "did you mean `longshore pull`?".to_owned(),
        ),
        (
            &["run", "alpine"],
            "longshore: unknown command: longshore run\n",
            "Longshore keeps images and does not run containers".to_owned(),
        ),
        (
            &["pull", "--platfrom", "x", "y"],
            "unknown flag: --platfrom\n",
            "did you mean `--platform`?".to_owned(),
        ),
    ] {
        check(home.run(arguments), error, &hint);
    }
    let mut command = home.clean(env!("CARGO_BIN_EXE_longshore"));
    command.env("DOCKER_HOST", format!("unix://{}", dead.display()));
    let error = format!(
        "Cannot connect to the Docker daemon at unix://{}. Is the docker daemon running?\n",
        dead.display()
    );
    check(run(command.arg("images"), ""), &error, "longshore needs no daemon");
}

#[test]
fn an_image_with_several_names_is_removed_by_force() {
    let home = Home::new();
    let registry = LocalRegistry::start().unwrap();
    let name = pushed(&registry, &small_image(3));
    home.run(&["pull", "-q", &name]).success();
    let other = LocalRegistry::start().unwrap();
    home.run(&["tag", &name, &format!("{}/app", other.address())]).success();
    let id = home.run(&["images", "-q", &name]).success();
    let done = home.run(&["rmi", id.trim()]);
    check(done, "conflict: unable to delete", "`longshore rmi -f`");
}

#[test]
fn typos_of_files_are_named_with_their_line() {
    let home = Home::new();
    let file = home.path().join("daemon.json");
    fs::write(&file, "{\n  \"registry-mirors\": []\n}").unwrap();
    let path = file.to_str().unwrap();
    let flag = ["--config-file", path];
    let hint =
        format!("{path}: \"registry-mirors\" stands in line 2: did you mean \"registry-mirrors\"?");
    let error = "the following directives don't match any configuration option: registry-mirors\n";
    check(home.run(&[&flag[..], &["images"]].concat()), error, &hint);
    check(home.run(&[&flag[..], &["daemon", "--validate"]].concat()), error, &hint);
    fs::write(&file, "{\n\n  \"registry-mirrors\": \"https://m.example\"}").unwrap();
    let told = home.run(&[&flag[..], &["images"]].concat()).failure();
    assert!(
        told.contains("invalid JSON: registry-mirrors (line 3): invalid type: string"),
        "{told}"
    );

    let registry = LocalRegistry::start().unwrap();
    let name = pushed(&registry, &small_image(4));
    let folder = home.path().join("certs").join(registry.address().to_string());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("hosts.toml"), format!("sever = \"http://{}\"\n", registry.address()))
        .unwrap();
    let certs = home.path().join("certs");
    let done = home.run(&["--certs-dir", certs.to_str().unwrap(), "pull", &name]);
    let told = format!(
        "{}:1: unknown key \"sever\": did you mean \"server\"?\n",
        folder.join("hosts.toml").display()
    );
    assert!(done.stderr.contains(&told), "{done:?}");
    done.success();
}

#[test]
fn a_doctor_says_what_is_not_well() {
    let home = Home::new();
    let report = |done: &Done| serde_json::from_str::<Value>(&done.stdout).unwrap();
    let certs = home.path().join("certs");
    let flag = ["--certs-dir", certs.to_str().unwrap()];
    let doctor =
        |extra: &[&str]| home.run(&[&flag[..], &["doctor", "--format", "json"], extra].concat());
    let done = doctor(&[]);
    assert_eq!(report(&done)["Well"], true, "{done:?}");
    done.success();
    assert!(!home.data_root().exists(), "nothing is made to be looked at");

    let config = home.path().join("config");
    fs::create_dir(&config).unwrap();
    fs::write(config.join("config.json"), r#"{"credsStore": "nowhere"}"#).unwrap();
    let folder = certs.join("127.0.0.1:1");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("ca.crt"), "hello").unwrap();
    let done = doctor(&["--network"]);
    let report = report(&done);
    assert_eq!(report["Well"], false);
    for (check, said) in [
        ("credentials", "no docker-credential-nowhere in $PATH"),
        ("registries", "ca.crt: no certificate in this file"),
        ("network", "127.0.0.1:1"),
    ] {
        let findings = report["Findings"].as_array().unwrap();
        let is_it = |one: &&Value| {
            one["Check"] == check
                && one["State"] == "bad"
                && one["Said"].as_str().unwrap().contains(said)
        };
        let found = findings.iter().find(is_it).unwrap_or_else(|| panic!("{check}: {report}"));
        assert!(found["Advice"].is_string(), "{found}");
    }
    let told = done.failure();
    assert!(told.trim_end().ends_with("things are not well"), "{told}");
}

#[test]
fn a_doctor_takes_no_file_for_a_data_root_and_no_word_for_a_proxy() {
    let home = Home::new();
    fs::write(home.data_root(), "").unwrap();
    let mut command = home.longshore();
    command.arg("doctor").env("HTTPS_PROXY", "me:s3cret@p:1").env("NO_PROXY", "a.example");
    let done = run(&mut command, "");
    for part in [
        format!("BAD   engine         no images yet in {}, and it", home.data_root().display()),
        "ok    proxies        https:// goes by the proxy http://p:1/\n".to_owned(),
        "ok    proxies        without a proxy (NO_PROXY): this machine, a.example\n".to_owned(),
    ] {
        assert!(done.stdout.contains(&part), "no {part:?} in {done:?}");
    }
    done.failure();
    let done = run(home.longshore().arg("doctor").env("HTTPS_PROXY", "ftp://p"), "");
    let expected =
        "BAD   configuration  invalid proxy address `ftp://p/`: must be http, https or socks5\n";
    let (said, advice) = done.stdout.split_once("-> ").unwrap();
    assert!(said.starts_with(expected) && advice.contains("http://HOST:PORT"), "{done:?}");
}

#[test]
fn a_doctor_speaks_of_the_daemon_that_is_asked() {
    let bench = Bench::new(Front::Longshore, &[]);
    let told = bench.run(&["doctor"]).success();
    assert!(told.contains("a daemon answers: 0 images"), "{told}");
    assert!(!told.contains("none is needed"), "{told}");
}

#[test]
fn a_daemon_listens_where_the_flag_before_the_verb_says() {
    let home = Home::new();
    let socket = home.path().join("before.sock");
    let host = format!("unix://{}", socket.display());
    let mut command = home.longshore();
    command.args(["-H", &host, "daemon"]);
    let ready = || std::os::unix::net::UnixStream::connect(&socket).is_ok();
    let daemon = Process::start(command, &home.path().join("log"), ready).unwrap();
    run(home.clean(env!("CARGO_BIN_EXE_longshore")).args(["-H", &host, "images"]), "").success();
    drop(daemon);
}

#[test]
fn a_registry_that_cannot_listen_says_why_and_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (home, address) = (Home::new(), taken.local_addr().unwrap());
    let root = home.path().join("registry").display().to_string();
    let serve = ["registry", "serve", "--root", &root, "--listen", &address.to_string()];
    let told = home.run(&serve).failure();
    let expected = format!("cannot listen on {address}: another program listens there\nhint: ");
    assert!(told.contains(&expected) && told.contains("--listen 127.0.0.1:"), "{told}");
    assert!(!home.path().join("registry").exists());
}

#[test]
fn a_daemon_logs_the_end_of_pulls_and_pushes() {
    let registry = LocalRegistry::start().unwrap();
    let image = small_image(5);
    let name = pushed(&registry, &image);
    let bench = Bench::new(Front::Longshore, &[]);
    bench.run(&["pull", "-q", &name]).success();
    bench.run(&["push", "-q", &name]).success();
    bench.run(&["pull", "-q", &format!("{}/app:none", registry.address())]).failure();
    let log = fs::read_to_string(bench.home.path().join("daemon.log")).unwrap();
    let bytes: usize = image.layers.iter().map(|layer| layer.blob.read().unwrap().len()).sum();
    let digest = &image.manifest.digest;
    let host = registry.address().to_string();
    for parts in [
        [
            "pull done",
            &format!("image=\"{name}\" digest=\"{digest}\" images=1 bytes={bytes} took="),
            &format!("host=\"{host}\""),
        ],
        [
            "push done",
            &format!("image=\"{name}\" digest=\"{digest}\" images=1 bytes=0 took="),
            &format!("host=\"{host}\""),
        ],
        ["pull failed", &format!("image=\"{host}/app:none\""), "error=\"manifest "],
    ] {
        assert!(
            log.lines().any(|line| parts.iter().all(|part| line.contains(part))),
            "{parts:?}\n{log}"
        );
    }
}
