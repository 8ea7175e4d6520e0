//! One data root, two engines, one after the other: Longshore and a real dockerd.

use std::collections::BTreeSet;
use std::path::Path;

use test_support::image::{Compression, Image, Layer};
use test_support::program;
use test_support::servers::{Dockerd, LocalRegistry, installed};
use test_support::tar::Entry;

use super::support::{Done, Home, is_root, noise, run};

const GREETING: &str = "hello from the image\n";

/// Returns true if this can be tried here, with the program for the containers.
fn program() -> Option<Vec<u8>> {
    let can = is_root() && installed(&["dockerd", "docker"]);
    let program = program::printing(GREETING).filter(|_| can);
    if program.is_none() {
        println!("skipped: needs root, dockerd and an x86-64 machine");
    }
    program
}

fn layer(compression: Compression, entries: &[Entry]) -> Layer {
    Layer::new(compression, entries)
}

/// Five images that differ in what is hard about them.
fn images(program: &[u8]) -> Vec<(&'static str, Image)> {
    let base = || {
        layer(
            Compression::Gzip,
            &[
                Entry::directory("bin"),
                Entry::file("bin/hello", program).mode(0o755),
                Entry::directory("etc"),
                Entry::file("etc/gone", *b"gone"),
                Entry::directory("dir"),
                Entry::file("dir/hidden", *b"hidden"),
            ],
        )
    };
    let command = serde_json::json!(["/bin/hello"]);
    let start = || Image::builder().config("Cmd", command.clone()).layer(base());
    let mut many = start();
    for number in 0..12 {
        let file = Entry::file(format!("etc/{number}"), noise(number, 3000));
        many = many.layer(layer(Compression::Gzip, &[file]));
    }
    let whiteouts = start().layer(layer(
        Compression::Gzip,
        &[
            Entry::whiteout("etc/gone"),
            Entry::directory("dir"),
            Entry::opaque("dir"),
            Entry::file("dir/new", *b"new"),
        ],
    ));
    let links = start().layer(layer(
        Compression::Gzip,
        &[
            Entry::file("etc/first", *b"one file"),
            Entry::hard_link("etc/second", "etc/first"),
            Entry::file("etc/noted", *b"x").xattr("user.note", *b"kept"),
            Entry::file("bin/hello", program).mode(0o755).owner(7, 8),
        ],
    ));
    let foreign =
        Image::builder().platform(spec::Platform::parse("linux/arm64").unwrap()).layer(base());
    let zstd =
        start().layer(layer(Compression::Zstd, &[Entry::file("etc/zstd", noise(99, 50_000))]));
    vec![
        ("many", many.build()),
        ("whiteouts", whiteouts.build()),
        ("links", links.build()),
        ("foreign", foreign.build()),
        ("zstd", zstd.build()),
    ]
}

fn docker(dockerd: &Dockerd, arguments: &[&str]) -> String {
    match dockerd.docker(arguments) {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => panic!("docker {arguments:?}: {error}"),
    }
}

/// The facts that both engines must agree on, sorted.
fn listed(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}

const LIST: [&str; 5] = [
    "images",
    "--digests",
    "--no-trunc",
    "--format",
    "{{.Repository}}:{{.Tag}} {{.Digest}} {{.ID}} {{.Size}}",
];

fn start(root: &Path) -> Dockerd {
    Dockerd::builder().data_root(root).start().unwrap()
}

fn clean(home: &Home) {
    let done: Done = home.run(&["system", "check", "--deep"]);
    assert!(done.ok, "{done:?}");
}

#[test]
fn a_dockerd_starts_on_what_longshore_pulled() {
    let Some(program) = program() else { return };
    let registry = LocalRegistry::start().unwrap();
    let home = Home::new();
    let images = images(&program);
    for (name, image) in &images {
        image.push(&registry.client(), name, "1").unwrap();
        let name = format!("{}/{name}:1", registry.address());
        // The mark of another platform would be a warning.
        let platform = if name.contains("foreign") { "linux/arm64" } else { "linux/amd64" };
        home.run(&["pull", "-q", "--platform", platform, &name]).success();
    }
    let ours = listed(&home.run(&LIST).success());
    assert_eq!(ours.len(), 5);
    let inspected = |text: &str| -> serde_json::Value {
        let mut document: serde_json::Value = serde_json::from_str(text).unwrap();
        // dockerd 20.10 prints what newer APIs leave out.
        let image = document[0].as_object_mut().unwrap();
        image.retain(|key, _| {
            ["Id", "RepoTags", "RepoDigests", "RootFS", "Size", "Os", "Architecture"]
                .contains(&key.as_str())
        });
        document
    };

    let dockerd = start(&home.data_root());
    let error = home.run(&["images"]).failure();
    assert!(error.contains("is in use by dockerd"), "{error}");
    drop(dockerd);
    // Nothing in it says where it was made: a root that is prepared in one place is used in another.
    let elsewhere = home.path().join("elsewhere");
    std::fs::rename(home.data_root(), &elsewhere).unwrap();
    let dockerd = start(&elsewhere);
    assert_eq!(listed(&docker(&dockerd, &LIST)), ours);
    let target = LocalRegistry::start().unwrap();
    let mut theirs = Vec::new();
    for (name, image) in &images {
        let name = format!("{}/{name}:1", registry.address());
        theirs.push(inspected(&docker(&dockerd, &["image", "inspect", &name])));
        let history = docker(&dockerd, &["history", "-q", &name]);
        assert!(!history.is_empty());
        if !name.contains("foreign") {
            let said = docker(&dockerd, &["run", "--rm", "--network", "none", &name]);
            assert_eq!(said, GREETING, "{name}");
        }
        let copy = format!("{}/copy:1", target.address());
        docker(&dockerd, &["tag", &name, &copy]);
        docker(&dockerd, &["push", "-q", &copy]);
        // The same layers in the end, whatever they are compressed with on the way.
        let fresh = Home::new();
        let platform = if name.contains("foreign") { "linux/arm64" } else { "linux/amd64" };
        fresh.run(&["pull", "-q", "--platform", platform, &copy]).success();
        let id = fresh.run(&["images", "-q", "--no-trunc"]).success();
        assert_eq!(id.trim(), image.id().to_string(), "{name}");
        docker(&dockerd, &["rmi", &copy]);
    }
    let names: Vec<String> =
        images.iter().map(|(name, _)| format!("{}/{name}:1", registry.address())).collect();
    let archive = home.path().join("all.tar");
    let mut save = vec!["save", "-o", archive.to_str().unwrap()];
    save.extend(names.iter().map(String::as_str));
    docker(&dockerd, &save);
    drop(dockerd);

    std::fs::rename(&elsewhere, home.data_root()).unwrap();
    assert_eq!(listed(&home.run(&LIST).success()), ours);
    for (name, theirs) in names.iter().zip(theirs) {
        let ours = home.run(&["image", "inspect", name]).success();
        assert_eq!(inspected(&ours), theirs, "{name}");
    }
    clean(&home);
    let other = Home::new();
    other.run(&["load", "-q", "-i", archive.to_str().unwrap()]).success();
    let loaded = listed(&other.run(&["images", "-q", "--no-trunc"]).success());
    assert_eq!(loaded, images.iter().map(|(_, image)| image.id().to_string()).collect());
}

#[test]
fn longshore_goes_on_where_a_dockerd_stopped() {
    let Some(program) = program() else { return };
    let registry = LocalRegistry::start().unwrap();
    let home = Home::new();
    let root = home.data_root();
    let context = home.path().join("context");
    std::fs::create_dir(&context).unwrap();
    std::fs::write(context.join("hello"), &program).unwrap();
    std::fs::write(
        context.join("Dockerfile"),
        "FROM scratch\nCOPY hello /hello\nLABEL a=b\nCMD [\"/hello\"]\n",
    )
    .unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(context.join("hello"), executable).unwrap();
    let images = images(&program);

    let dockerd = start(&root);
    let mut names = Vec::new();
    for (name, image) in images.iter().filter(|(name, _)| *name != "zstd") {
        image.push(&registry.client(), name, "1").unwrap();
        let name = format!("{}/{name}:1", registry.address());
        docker(&dockerd, &["pull", "-q", &name]);
        names.push(name);
    }
    let mut build = home.clean("docker");
    build.env("DOCKER_BUILDKIT", "0").args(["-H", &dockerd.host(), "build", "-q", "-t", "built:1"]);
    run(build.arg(&context), "").success();
    docker(&dockerd, &["run", "--network", "none", "--name", "container", "built:1"]);
    docker(&dockerd, &["commit", "-c", "ENV A=1", "container", "committed:1"]);
    let theirs = listed(&docker(&dockerd, &LIST));
    let all = listed(&docker(&dockerd, &["images", "-aq", "--no-trunc"]));
    drop(dockerd);

    assert_eq!(listed(&home.run(&LIST).success()), theirs);
    assert_eq!(listed(&home.run(&["images", "-aq", "--no-trunc"]).success()), all);
    clean(&home);
    // What a container uses stays, with dockerd's refusal.
    let error = home.run(&["rmi", "built:1"]).failure();
    assert!(error.contains("conflict: unable to remove repository reference"), "{error}");
    assert!(error.contains("is using its referenced image"), "{error}");
    let archive = home.path().join("some.tar");
    home.run(&["save", "-o", archive.to_str().unwrap(), "built:1", "committed:1", &names[1]])
        .success();
    let copy = format!("{}/committed:1", registry.address());
    home.run(&["tag", "committed:1", &copy]).success();
    home.run(&["push", "-q", &copy]).success();
    home.run(&["rmi", &names[0]]).success();
    home.run(&["image", "prune", "-f"]).success();
    clean(&home);
    let left = listed(&home.run(&LIST).success());

    let dockerd = start(&root);
    assert_eq!(listed(&docker(&dockerd, &LIST)), left);
    // What Longshore put together and compressed is noted where dockerd looks for it.
    let pushed = docker(&dockerd, &["push", &copy]);
    assert!(pushed.contains("Layer already exists") && !pushed.contains(": Pushed"), "{pushed}");
    assert_eq!(docker(&dockerd, &["start", "-a", "container"]), GREETING);
    assert_eq!(docker(&dockerd, &["run", "--rm", "--network", "none", "committed:1"]), GREETING);
    assert_eq!(docker(&dockerd, &["run", "--rm", "--network", "none", &names[2]]), GREETING);
    // All of it can still be removed: nothing is held by anybody, and nothing is left.
    docker(&dockerd, &["rm", "container"]);
    docker(&dockerd, &["image", "prune", "-af"]);
    drop(dockerd);
    assert_eq!(listed(&home.run(&["images", "-aq"]).success()).len(), 0);
    let text = home.run(&["system", "check", "--deep"]).success();
    assert!(text.starts_with("0 problems in 0 references, 0 images, 0 layers"), "{text}");
    let directories = std::fs::read_dir(root.join("overlay2")).unwrap().count();
    assert_eq!(directories, 1, "only the folder of links");
}

/// A sequence that looks random and is the same each time.
struct Script(u64);

impl Script {
    fn next(&mut self, below: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}

#[test]
fn both_may_alternate() {
    let Some(program) = program() else { return };
    let registry = LocalRegistry::start().unwrap();
    let images: Vec<_> = images(&program)
        .into_iter()
        .filter(|(name, _)| !matches!(*name, "zstd" | "foreign"))
        .collect();
    let mut names = Vec::new();
    for (name, image) in &images {
        image.push(&registry.client(), name, "1").unwrap();
        names.push(format!("{}/{name}:1", registry.address()));
    }
    let home = Home::new();
    let archive = home.path().join("one.tar");
    let archive = archive.to_str().unwrap();
    let mut script = Script(4);
    let mut verbs = |each: &mut dyn FnMut(&[&str])| {
        for _ in 0..4 {
            let name = names[script.next(names.len())].as_str();
            let tag = format!("tag:{}", script.next(3));
            match script.next(6) {
                0 | 1 => each(&["pull", "-q", name]),
                2 => each(&["tag", name, &tag]),
                3 => each(&["rmi", "-f", name]),
                4 => {
                    each(&["save", "-o", archive, name]);
                    each(&["load", "-q", "-i", archive]);
                }
                _ => each(&["image", "prune", "-f"]),
            }
        }
    };
    for round in 0..10 {
        // What is not there cannot be removed: which verbs succeed is not the question, what is left is.
        verbs(&mut |arguments| _ = home.run(arguments));
        let ours = listed(&home.run(&LIST).success());
        clean(&home);
        let dockerd = start(&home.data_root());
        assert_eq!(listed(&docker(&dockerd, &LIST)), ours, "round {round}");
        verbs(&mut |arguments| _ = dockerd.docker(arguments));
        let theirs = listed(&docker(&dockerd, &LIST));
        drop(dockerd);
        assert_eq!(listed(&home.run(&LIST).success()), theirs, "round {round}");
        clean(&home);
    }
}
