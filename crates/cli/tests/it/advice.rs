//! Advice to whoever is new: where a login is from and goes to, whose fault a failure is, and what `doctor` sees of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use test_support::scripted::{Answer, Received, Scripted, challenge_basic};
use test_support::servers::LocalRegistry;
use tokio::runtime::Runtime;

use super::support::{Done, Home, is_root, run, small_image};

/// A user that no machine has.
const NOBODY: u32 = 54_321;

/// Insists on an error and a hint with these parts.
#[track_caller]
fn check(done: Done, error: &str, hint: &str) {
    let told = done.failure();
    let (words, hints) = told.split_once("hint: ").unwrap_or_else(|| panic!("no hint: {told}"));
    assert!(words.contains(error) && hints.contains(hint), "{told}");
}

/// A registry that knows `ci` with the password `s3cret`, and has nothing.
fn asking(runtime: &Runtime) -> Scripted {
    let server = runtime.block_on(Scripted::start()).unwrap();
    let known = format!("Basic {}", STANDARD.encode("ci:s3cret"));
    server.reply("GET", "*", move |asked: &Received| {
        let (name, value) = challenge_basic();
        match asked.header("authorization") {
            Some(shown) if shown == known && asked.path() == "/v2/" => Answer::status(200),
            Some(shown) if shown == known => Answer::error(404, "NAME_UNKNOWN", "no"),
            _ => Answer::error(401, "UNAUTHORIZED", "authentication required").header(name, &value),
        }
    });
    server
}

/// A command of a user without a home, in a folder of its own.
fn homeless(home: &Home, checkout: &Path) -> Command {
    // Another user may not read where this was built.
    let binary = home.path().join("longshore");
    if !binary.exists() {
        fs::copy(env!("CARGO_BIN_EXE_longshore"), &binary).unwrap();
    }
    for path in [home.path(), binary.as_path()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    std::os::unix::fs::chown(checkout, Some(NOBODY), Some(NOBODY)).unwrap();
    let mut command = home.clean(&binary);
    command.env_remove("HOME").env_remove("DOCKER_CONFIG").env_remove("XDG_RUNTIME_DIR");
    command.current_dir(checkout).uid(NOBODY).gid(NOBODY);
    command
}

#[test]
fn without_a_home_no_password_lands_where_the_command_runs() {
    if !is_root() {
        return;
    }
    let runtime = Runtime::new().unwrap();
    let server = asking(&runtime);
    let (home, host) = (Home::new(), server.host());
    let checkout = tempfile::tempdir().unwrap();
    let homeless = |arguments: &[&str], input: &str| {
        run(homeless(&home, checkout.path()).args(arguments), input)
    };
    let login = ["login", "-u", "ci", "--password-stdin", &host];
    check(
        homeless(&login, "s3cret\n"),
        "Error saving credentials: there is no directory",
        "DOCKER_CONFIG",
    );
    let list = ["manifest", "create", "r.example/l:1", "r.example/a:1"];
    check(homeless(&list, ""), "there is no directory", "DOCKER_CONFIG");
    let of_list = ["manifest", "inspect", "r.example/l:1", "r.example/a:1"];
    check(homeless(&of_list, ""), "there is no directory", "DOCKER_CONFIG");
    // What is at a registry is read without any.
    let registry = LocalRegistry::start().unwrap();
    small_image(1).push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    let shown = homeless(&["manifest", "inspect", &name], "").success();
    assert!(shown.contains("\"schemaVersion\": 2"), "{shown}");
    check(
        homeless(&["trust", "key", "generate", "ann"], ""),
        "there is no directory",
        "DOCKER_CONFIG",
    );
    let doctor = homeless(&["doctor"], "");
    assert!(doctor.stdout.contains("BAD   engine         no data root: set HOME"), "{doctor:?}");
    assert!(doctor.stdout.contains("client files in no folder"), "{doctor:?}");
    assert_eq!(fs::read_dir(checkout.path()).unwrap().count(), 0, "nothing is written there");
    let folder = checkout.path().join("elsewhere");
    let with_folder = [&["--config", folder.to_str().unwrap()][..], &login].concat();
    homeless(&with_folder, "s3cret\n").success();
    assert!(folder.join("config.json").is_file());
}

#[test]
fn a_hint_names_the_registry_that_wants_a_login_and_where_that_is_from() {
    let runtime = Runtime::new().unwrap();
    let server = asking(&runtime);
    let (home, host) = (Home::new(), server.host());
    let name = format!("{host}/app:1");
    let layout = format!("oci:{}:1", home.path().join("layout").display());
    let login = format!("`longshore login {host}`");
    check(home.run(&["copy", &name, &layout]), "", &login);
    check(home.run(&["registry", "tags", &name]), "", &login);
    check(
        home.run(&["copy", "--src-creds", "ci:wrong", &name, &layout]),
        "",
        "correct --src-creds",
    );
    let wrong = STANDARD.encode("ci:wrong");
    let logins = format!(r#"{{"auths":{{"{host}":{{"auth":"{wrong}"}}}}}}"#);
    let with_logins = |arguments: &[&str], logins: &str| {
        run(home.longshore().args(arguments).env("DOCKER_AUTH_CONFIG", logins), "")
    };
    check(
        with_logins(&["pull", &name], &logins),
        "",
        "correct DOCKER_AUTH_CONFIG, which goes before",
    );
    let keys = format!(r#"{{"auths":{{"{host}":{{"username":"ci","password":"s3cret"}}}}}}"#);
    let told = with_logins(&["pull", &name], &keys).failure();
    for part in [
        "from DOCKER_AUTH_CONFIG:  only \"auth\" (base64 of USER:PASSWORD) is read of a login",
        "correct DOCKER_AUTH_CONFIG, which cannot be read",
    ] {
        assert!(told.contains(part) && !told.contains("s3cret"), "{told}");
    }
    let list = home.path().join("list.toml");
    let source = format!("[[copy]]\nsource = \"{name}\"\ntarget = \"{host}/other\"\n");
    fs::write(&list, source).unwrap();
    check(home.run(&["sync", list.to_str().unwrap()]), "", &login);
}

#[test]
fn a_secret_that_is_not_there_is_told_from_a_terminal_that_is_not() {
    let home = Home::new();
    let words = "Error: Cannot perform an interactive login from a non TTY device\n";
    let done = home.run(&["login", "-u", "ci", "--password-stdin", "127.0.0.1:1"]);
    check(done, words, "standard input was empty");
    check(home.run(&["login", "-u", "ci", "127.0.0.1:1"]), words, "--password-stdin");
    let done = home.run(&["copy", "--dest-creds", "ci", "oci:/nowhere:1", "127.0.0.1:1/x:1"]);
    check(done, "no password of ci is given", "USER:PASSWORD");
}

#[test]
fn a_doctor_sees_logins_of_the_environment_and_asks_with_those_of_the_file() {
    let runtime = Runtime::new().unwrap();
    let server = asking(&runtime);
    let (home, host) = (Home::new(), server.host());
    let doctor = |arguments: &[&str], logins: &str| {
        let mut command = home.longshore();
        // Docker Hub is nobody's business here.
        command.env("HTTPS_PROXY", "http://127.0.0.1:1").env("DOCKER_AUTH_CONFIG", logins);
        let done = run(command.arg("doctor").args(arguments), "");
        // What is wrong is a finding, and not told besides.
        assert!(!done.stderr.contains("DOCKER_AUTH_CONFIG"), "{}", done.stderr);
        done.stdout
    };
    let good = STANDARD.encode("ci:s3cret");
    let entry = format!(r#"{{"auths":{{"{host}":{{"auth":"{good}"}}}}}}"#);
    let told = doctor(&[], &entry);
    assert!(
        told.contains(&format!("ok    credentials    logins in DOCKER_AUTH_CONFIG: {host}\n")),
        "{told}"
    );
    assert!(told.contains("ok    network        no registry and no proxy was asked"), "{told}");
    for arguments in [&[][..], &["--network"]] {
        let told = doctor(arguments, "{nope");
        assert!(told.contains("BAD   credentials    DOCKER_AUTH_CONFIG cannot be read"), "{told}");
    }
    // A login that works is no fault, and one that does not is told with the host it is for.
    let config = home.path().join("config");
    fs::create_dir(&config).unwrap();
    fs::write(config.join("config.json"), &entry).unwrap();
    let told = doctor(&["--network"], "");
    assert!(told.contains(&format!("ok    network        http://{host}/: answers\n")), "{told}");
    assert!(!told.contains(&format!("https://{host}/")), "{told}");
    let wrong = STANDARD.encode("ci:wrong");
    fs::write(config.join("config.json"), entry.replace(&good, &wrong)).unwrap();
    let told = doctor(&["--network"], "");
    let expected = format!("BAD   network        http://{host}/: ");
    assert!(
        told.contains(&expected) && told.contains(&format!("`longshore login {host}`")),
        "{told}"
    );
    assert!(told.contains("Docker Hub") || told.contains("proxy does not answer"), "{told}");
}

#[test]
fn a_doctor_tells_of_a_mirror_once_and_by_its_own_name() {
    let runtime = Runtime::new().unwrap();
    let server = asking(&runtime);
    let (home, mirror) = (Home::new(), server.host());
    let certs = home.path().join("certs");
    fs::create_dir_all(certs.join(&mirror)).unwrap();
    let folder = certs.join("docker.io");
    fs::create_dir_all(&folder).unwrap();
    let hosts = format!("[host.\"http://{mirror}\"]\n  capabilities = [\"pull\", \"resolve\"]\n");
    fs::write(folder.join("hosts.toml"), hosts).unwrap();
    let mut command = home.longshore();
    command.args(["--certs-dir", certs.to_str().unwrap(), "doctor", "--network"]);
    let told = run(command.env("HTTPS_PROXY", "http://127.0.0.1:1"), "").stdout;
    let lines: Vec<&str> = told.lines().filter(|line| line.contains(&mirror)).collect();
    let asked: Vec<&&str> = lines.iter().filter(|line| line.contains("network")).collect();
    assert_eq!(asked.len(), 1, "{told}");
    assert!(
        asked[0].contains(&format!("BAD   network        http://{mirror}/, for docker.io: ")),
        "{told}"
    );
    assert!(told.contains(&format!("`longshore login {mirror}`")), "{told}");
    // Nor are its logins told of besides.
    let told = run(command.env("DOCKER_AUTH_CONFIG", "{nope"), "").stderr;
    assert!(!told.contains("DOCKER_AUTH_CONFIG"), "{told}");
}

#[test]
fn a_mirror_that_does_not_help_is_told_of_and_one_without_the_image_is_not() {
    let runtime = Runtime::new().unwrap();
    let (wants, lacks) = (asking(&runtime), runtime.block_on(Scripted::start()).unwrap());
    lacks.on("GET", "/v2/", [Answer::status(200)]);
    for method in ["HEAD", "GET"] {
        lacks.on(method, "/v2/app/manifests/1", [Answer::error(404, "MANIFEST_UNKNOWN", "no")]);
    }
    let registry = LocalRegistry::start().unwrap();
    small_image(8).push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    for (mirror, expected) in [(&wants, true), (&lacks, false)] {
        let home = Home::new();
        let folder = home.path().join("certs").join(registry.address().to_string());
        fs::create_dir_all(&folder).unwrap();
        let hosts =
            format!("[host.\"{}\"]\n  capabilities = [\"pull\", \"resolve\"]\n", mirror.url());
        fs::write(folder.join("hosts.toml"), hosts).unwrap();
        let certs = home.path().join("certs");
        let done = home.run(&["--certs-dir", certs.to_str().unwrap(), "pull", "-q", &name]);
        let told = format!("the mirror {}/ does not help, and others are asked: ", mirror.url());
        assert_eq!(done.stderr.contains(&told), expected, "{done:?}");
        assert_eq!(done.success(), format!("{name}\n"));
    }
}

#[test]
fn an_image_of_another_architecture_is_told_of_to_who_wants_no_output() {
    let (home, registry) = (Home::new(), LocalRegistry::start().unwrap());
    small_image(9).push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    let done = home.run(&["pull", "-q", "--platform", "linux/s390x", &name]);
    assert!(done.stderr.starts_with("WARNING: image with reference "), "{done:?}");
    assert_eq!(done.success(), format!("{name}\n"));
    home.run(&["pull", "-q", &name]).success();
}

#[test]
fn a_key_that_a_document_has_not_fails_and_one_that_is_empty_does_not() {
    let (home, registry) = (Home::new(), LocalRegistry::start().unwrap());
    small_image(10).push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    for verb in [&["registry", "inspect"][..], &["registry", "check"], &["verify"]] {
        let done = home.run(&[verb, &["--format", "{{.Foo}}", &name]].concat());
        let told = done.failure();
        assert!(told.contains("map has no entry for key \"Foo\""), "{told}");
    }
    let format = ["--format", "{{.ArtifactType}}{{.Subject}}-", &name];
    assert_eq!(home.run(&[&["registry", "inspect"][..], &format].concat()).success(), "-\n");
}

#[test]
fn nobody_who_is_asked_gives_no_verdict() {
    let (home, registry) = (Home::new(), LocalRegistry::start().unwrap());
    small_image(11).push(&registry.client(), "app", "1").unwrap();
    let done = home.run(&["verify", &format!("{}/app:1", registry.address())]);
    assert!(done.stdout.contains("Verdict:   nobody was asked\n"), "{done:?}");
    assert!(done.failure().contains("nobody vouches"));
}

#[test]
fn where_no_store_can_be_there_are_no_images() {
    if !is_root() {
        return;
    }
    let (home, checkout) = (Home::new(), tempfile::tempdir().unwrap());
    let of_root = home.path().join("of root");
    fs::create_dir(&of_root).unwrap();
    let images = |root: &Path| {
        let mut command = homeless(&home, checkout.path());
        command.args(["--data-root", root.to_str().unwrap(), "images", "-q"]);
        run(&mut command, "")
    };
    assert_eq!(images(&of_root.join("none")).success(), "");
    assert_eq!(images(&checkout.path().join("none")).success(), "");
    // What is there and cannot be looked into may be full of images.
    for mode in [0o700, 0o755] {
        fs::set_permissions(&of_root, fs::Permissions::from_mode(mode)).unwrap();
        images(&of_root).failure();
    }
}

#[test]
fn a_trust_server_that_is_not_there_is_no_registry() {
    let registry = LocalRegistry::start().unwrap();
    let (home, host) = (Home::new(), registry.address().to_string());
    let name = format!("{host}/app:1");
    let pull = |server: &str| {
        let mut command = home.longshore();
        command.env("DOCKER_CONTENT_TRUST", "1").env("DOCKER_CONTENT_TRUST_SERVER", server);
        run(command.args(["pull", &name]), "")
    };
    let error = "error contacting notary server";
    check(
        pull(""),
        error,
        &format!("{host} has no trust server: name one in DOCKER_CONTENT_TRUST_SERVER"),
    );
    let done = pull("https://127.0.0.1:1");
    check(done, error, "the trust server https://127.0.0.1:1 does not answer");
}

#[test]
fn all_pages_are_written_whoever_reads_the_list_of_them() {
    let home = Home::new();
    let folder = home.path().join("man");
    let mut command = home.clean(env!("CARGO_BIN_EXE_longshore"));
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let status = command.args(["man", folder.to_str().unwrap()]).stdout(full).status().unwrap();
    assert!(!status.success());
    assert!(folder.join("longshore-version.1").is_file());
}

#[test]
fn a_name_that_is_a_file_here_is_told_of_where_its_registry_has_it_not() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Scripted::start()).unwrap();
    let (home, host) = (Home::new(), server.host());
    let (folder, name) = (home.path().join(&host).join("app"), format!("{host}/app"));
    fs::create_dir_all(&folder).unwrap();
    let copy = |source: &str, target: &str| {
        let mut command = home.longshore();
        run(command.current_dir(home.path()).args(["copy", source, target]), "")
    };
    let taken = |name: &str| format!("{name} is taken for the name of an image");
    let other = Answer::error(404, "NAME_UNKNOWN", "no");
    server.on("GET", "/v2/other/*", [other.clone()]).on("HEAD", "/v2/other/*", [other]);
    check(copy(&format!("{host}/other"), &name), "", &format!("{host} has no repository"));
    for answer in [Answer::error(404, "NAME_UNKNOWN", "no"), Answer::error(403, "DENIED", "no")] {
        server.on("GET", "/v2/app/*", [answer.clone()]).on("HEAD", "/v2/app/*", [answer]);
        check(copy(&name, "oci:layout:1"), "", &taken(&name));
    }
    // An archive is one whatever is wrong; what fails on the way to a registry is told as that.
    check(copy("127.0.0.1:1/a.tar", "oci:layout:1"), "", &taken("127.0.0.1:1/a.tar"));
    fs::create_dir_all(home.path().join("127.0.0.1:1/app")).unwrap();
    check(copy("127.0.0.1:1/app", "oci:layout:1"), "", "nobody listens at 127.0.0.1:1");
}
