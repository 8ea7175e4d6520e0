//! Docker Content Trust with the real notary: what docker signed is pulled here, what is signed here is pulled by docker, and
//! both say the same.

mod attacks;
mod terminal;
mod transcript;

use std::path::Path;
use std::process::Command;

use test_support::servers::{DockerRegistry, Notary, installed};
use test_support::tar::{Entry, Writer};

use crate::support::{Bench, Done, Front, files_below, is_root, run, without_hints};

const ROOT: &str = "root passphrase";
const REPOSITORY: &str = "repository passphrase";

/// Says whether the programs are here that the tests need.
fn can_run() -> bool {
    let programs = ["docker", "docker-registry", "notary", "notary-server", "notary-signer"];
    let can = is_root() && installed(&programs);
    if !can {
        println!("skipped: needs root and {programs:?}");
    }
    can
}

/// Servers for images and signatures.
struct Place {
    registry: DockerRegistry,
    notary: Notary,
}

impl Place {
    fn new() -> Place {
        let registry = DockerRegistry::builder().start().unwrap();
        Place { registry, notary: Notary::start().unwrap() }
    }

    /// The same with keys of a signer.
    fn with_signer() -> Place {
        Place { notary: Notary::with_signer().unwrap(), ..Place::new() }
    }

    fn name(&self, rest: &str) -> String {
        format!("{}/me/{rest}", self.registry.address())
    }

    /// Adds what makes a command one with content trust.
    fn trusting<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("DOCKER_CONTENT_TRUST", "1")
            .env("DOCKER_CONTENT_TRUST_SERVER", self.notary.url())
            .env("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", ROOT)
            .env("DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", REPOSITORY)
    }

    /// Prepares the client of notary, on the keys and the memory of a configuration.
    fn notary_client(&self, config: &Path) -> Command {
        self.notary.introduce(config).unwrap();
        let mut command = Command::new("notary");
        command
            .env("NOTARY_ROOT_PASSPHRASE", ROOT)
            .env("NOTARY_TARGETS_PASSPHRASE", REPOSITORY)
            .env("NOTARY_DELEGATION_PASSPHRASE", REPOSITORY)
            .args(["-s", &self.notary.url(), "--tlscacert"])
            .arg(config.join("tls").join(self.notary.address()).join("ca.crt"))
            .arg("-d")
            .arg(config.join("trust"));
        command
    }

    fn run(&self, bench: &Bench, arguments: &[&str]) -> Done {
        let mut command = bench.command();
        run(self.trusting(&mut command).args(arguments), "")
    }
}

/// Makes an image of one file.
fn import(bench: &Bench, content: &str, name: &str) {
    let mut tar = Writer::new(Vec::new());
    tar.append(&Entry::file("content", content)).unwrap();
    let path = bench.home.path().join("image.tar");
    std::fs::write(&path, tar.finish().unwrap()).unwrap();
    bench.run(&["import", path.to_str().unwrap(), name]).success();
}

#[test]
fn what_docker_signs_is_pulled_here_and_the_other_way_round() {
    if !can_run() {
        return;
    }
    let place = Place::with_signer();
    let [docker, ours] = [Front::Docker, Front::Longshore].map(|front| Bench::new(front, &[]));
    for (signer, reader, tag) in [(&docker, &ours, "of-docker"), (&ours, &docker, "of-ours")] {
        let name = place.name(&format!("{tag}:1"));
        import(signer, tag, &name);
        let said = place.run(signer, &["push", &name]).success();
        assert!(said.contains(&format!("Successfully signed {name}")), "{said}");
        let said = place.run(reader, &["pull", &name]).success();
        assert!(said.starts_with(&format!("Pull (1 of 1): {name}@sha256:")), "{said}");
        let id = |bench: &Bench| bench.run(&["inspect", "-f", "{{.Id}}", &name]).success();
        assert_eq!(id(signer), id(reader), "{tag}");
        let all = place.run(reader, &["pull", "-a", &place.name(tag)]).success();
        assert!(all.contains("(1 of 1)"), "{all}");
        // The tag is moved at the registry, and goes on meaning what was signed.
        import(signer, "other", &name);
        place.run(signer, &["push", "--disable-content-trust", &name]).success();
        let before = id(reader);
        place.run(reader, &["pull", &name]).success();
        assert_eq!(id(reader), before, "{tag}");
        place.run(reader, &["pull", "--disable-content-trust", &name]).success();
        assert_ne!(id(reader), before, "{tag}");
        // What nobody signed is not pulled.
        let unsigned = place.name(&format!("{tag}:2"));
        import(signer, "unsigned", &unsigned);
        place.run(signer, &["push", "--disable-content-trust", &unsigned]).success();
        let said = place.run(reader, &["pull", &unsigned]).failure();
        assert_eq!(without_hints(&said), "No valid trust data for 2\n", "{tag}");
        assert!(!reader.run(&["inspect", &unsigned]).ok, "{tag}");
    }
    let notary = listed(&place, "of-ours");
    assert!(notary.contains("targets") && notary.lines().count() == 3, "{notary}");
}

/// Returns what the client of notary says of a repository.
fn listed(place: &Place, repository: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = place.notary_client(folder.path());
    run(command.args(["list", &place.name(repository)]), "").success()
}

#[test]
fn both_use_the_same_keys_and_the_same_memory() {
    if !can_run() {
        return;
    }
    let place = Place::new();
    let [docker, ours] = [Front::Docker, Front::Longshore].map(|front| Bench::new(front, &[]));
    let config = docker.home.path().join("config");
    // Ours has docker's configuration, too.
    let run_ours = |arguments: &[&str]| {
        let mut command = ours.command();
        run(place.trusting(&mut command).env("DOCKER_CONFIG", &config).args(arguments), "")
    };
    let name = place.name("app:1");
    import(&docker, "one", &name);
    place.run(&docker, &["push", &name]).success();
    let keys = files_below(&config.join("trust/private"));
    assert_eq!(keys.len(), 2, "{keys:?}");
    let second = place.name("app:2");
    import(&ours, "two", &second);
    run_ours(&["push", &second]).success();
    assert_eq!(files_below(&config.join("trust/private")), keys, "no other key was needed");
    // A repository of one's own, with a key that docker signs with afterwards.
    let other = place.name("other:1");
    import(&ours, "other", &other);
    run_ours(&["push", &other]).success();
    import(&docker, "other", &other);
    place.run(&docker, &["push", &other]).success();
    for program in ["docker", "ours"] {
        let arguments = ["trust", "inspect", "--pretty", &place.name("app")];
        let said = if program == "docker" {
            place.run(&docker, &arguments).success()
        } else {
            run_ours(&arguments).success()
        };
        assert_eq!(said.matches("(Repo Admin)").count(), 2, "{said}");
    }
    // A passphrase that is wrong opens nothing.
    let mut command = ours.command();
    let command = place.trusting(&mut command).env("DOCKER_CONFIG", &config);
    command.env("DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", "wrong").args(["push", &second]);
    let said = run(command, "");
    // It is signed already, so that nothing needs the key.
    said.success();
    import(&ours, "three", &second);
    let mut command = ours.command();
    let command = place.trusting(&mut command).env("DOCKER_CONFIG", &config);
    command.env("DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", "wrong").args(["push", &second]);
    let said = run(command, "").failure();
    assert!(
        said.starts_with(&format!(
            "failed to sign {second}: could not find necessary signing keys"
        )),
        "{said}"
    );
}

#[test]
fn a_server_must_be_who_it_says_and_speak_https() {
    if !can_run() {
        return;
    }
    let place = Place::new();
    let bench = Bench::new(Front::InProcess, &[]);
    // Its registry is elsewhere, so that its certificate counts.
    let name = "registry.example:5000/me/app:1";
    let said = place.run(&bench, &["pull", name]).failure();
    assert!(said.starts_with("Error: error contacting notary server: "), "{said}");
    assert!(said.contains("certificate signed by unknown authority"), "{said}");
    place.notary.introduce(&bench.home.path().join("config")).unwrap();
    let said = place.run(&bench, &["pull", name]).failure();
    assert!(said.starts_with("Error: remote trust data does not exist for"), "{said}");
    let mut command = bench.command();
    place.trusting(&mut command).env("DOCKER_CONTENT_TRUST_SERVER", "http://127.0.0.1:1");
    let said = run(command.args(["pull", name]), "").failure();
    let expected = "error establishing connection to trust repository: valid https URL required for trust server, got http://127.0.0.1:1\n";
    assert_eq!(said, expected);
    assert!(!bench.home.data_root().join("image").exists(), "nothing was asked of the engine");
}

#[test]
fn a_rotated_key_is_followed_and_a_rewritten_history_is_not() {
    if !can_run() {
        return;
    }
    let place = Place::new();
    let [docker, ours] = [Front::Docker, Front::Longshore].map(|front| Bench::new(front, &[]));
    let name = place.name("app:1");
    import(&docker, "one", &name);
    place.run(&docker, &["push", &name]).success();
    place.run(&ours, &["pull", &name]).success();
    let config = docker.home.path().join("config");
    let rotate = |role: &str| {
        let mut command = place.notary_client(&config);
        run(command.args(["key", "rotate", &place.name("app"), role]), "yes\n").success();
    };
    rotate("root");
    rotate("targets");
    import(&docker, "two", &name);
    place.run(&docker, &["push", &name]).success();
    let said = place.run(&ours, &["pull", &name]).success();
    assert!(
        said.contains("Downloaded newer image") || said.contains("Image is up to date"),
        "{said}"
    );
    let id = |bench: &Bench| bench.run(&["inspect", "-f", "{{.Id}}", &name]).success();
    assert_eq!(id(&docker), id(&ours));
    // Another server that knows the repository by other keys.
    let other = Place { notary: Notary::start().unwrap(), ..place };
    let stranger = Bench::new(Front::Docker, &[]);
    import(&stranger, "evil", &name);
    other.run(&stranger, &["push", &name]).success();
    let said = other.run(&ours, &["pull", &name]).failure();
    assert!(said.starts_with("Warning: potential malicious behavior"), "{said}");
    assert_eq!(id(&docker), id(&ours));
}

#[test]
fn a_signer_that_is_removed_signs_nothing_any_more() {
    if !can_run() {
        return;
    }
    let place = Place::new();
    let [ours, docker] = [Front::InProcess, Front::Docker].map(|front| Bench::new(front, &[]));
    let (repository, name) = (place.name("app"), place.name("app:1"));
    let keys = ours.home.path().display().to_string();
    for signer in ["ann", "bob"] {
        place.run(&ours, &["trust", "key", "generate", "--dir", &keys, signer]).success();
        let key = format!("{keys}/{signer}.pub");
        place.run(&ours, &["trust", "signer", "add", "--key", &key, signer, &repository]).success();
    }
    import(&ours, "one", &name);
    place.run(&ours, &["trust", "sign", &name]).success();
    let signers = |bench: &Bench| {
        let said = place.run(bench, &["trust", "inspect", "--pretty", &name]).success();
        said.lines().nth(4).unwrap_or_default().rsplit("   ").next().unwrap_or_default().to_owned()
    };
    assert_eq!(signers(&docker), "ann, bob");
    let said = place.run(&ours, &["trust", "signer", "remove", "ann", &repository]).success();
    assert!(said.ends_with(&format!("Successfully removed ann from {repository}\n\n")), "{said}");
    assert_eq!(signers(&docker), "bob");
    // The last one is asked about, and nobody answers.
    let remove = ["trust", "signer", "remove", "bob", &repository];
    let said = place.run(&ours, &remove).success();
    assert!(said.ends_with("Are you sure you want to continue? [y/N] "), "{said}");
    assert_eq!(signers(&docker), "bob");
    let mut command = ours.command();
    run(place.trusting(&mut command).args(remove), "y\n").success();
    for reader in [&ours, &docker] {
        let said = place.run(reader, &["pull", &name]).failure();
        assert!(said.contains("No valid trust data for 1"), "{said}");
    }
}
