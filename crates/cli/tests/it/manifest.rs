//! `manifest inspect`, which docker's command line does by itself and ours through an engine.

use test_support::image::{Compression, Format, Image, Index, Layer};
use test_support::servers::{DockerRegistry, Dockerd, installed};
use test_support::tar::Entry;

use super::equality::docker_is_the_recorded_one;
use super::support::{Bench, Done, Front, Home, files_below, is_root, run};

fn image(format: Format, seed: u8) -> Image {
    let layer = Layer::new(Compression::Gzip, &[Entry::file("file", vec![seed; 100])]);
    Image::builder().format(format).label("a<b>", "x & y").layer(layer).build()
}

#[test]
fn what_is_shown_is_what_docker_shows() {
    if !installed(&["docker-registry", "docker"]) {
        println!("skipped: needs docker-registry and docker");
        return;
    }
    let registry = DockerRegistry::builder().start().unwrap();
    let client = registry.client();
    for (name, format) in [("docker", Format::Docker), ("oci", Format::Oci)] {
        image(format, 1).push(&client, "me/app", name).unwrap();
        let several = Index::new(format, vec![image(format, 1), image(format, 2)]);
        several.push(&client, "me/app", &format!("{name}-list")).unwrap();
    }
    let docker = Home::new();
    let fronts = [Bench::new(Front::InProcess, &[]), Bench::new(Front::Longshore, &[])];
    let dockerd =
        (is_root() && installed(&["dockerd"])).then(|| Dockerd::builder().start().unwrap());
    for tag in ["docker", "oci", "docker-list", "oci-list", "nosuch"] {
        let name = format!("{}/me/app:{tag}", registry.address());
        for flags in [&["--insecure"][..], &["--insecure", "-v"]] {
            let command = [&["manifest", "inspect"], flags, &[name.as_str()]].concat();
            // The words of docker 28 are in the tables of `equality`, too; those of another version are not ours.
            let expected = if docker_is_the_recorded_one() {
                run(docker.clean("docker").args(&command), "")
            } else {
                fronts[0].run(&command)
            };
            assert_eq!(expected.ok, tag != "nosuch", "{}", expected.stderr);
            let mut shown: Vec<_> = fronts.iter().map(|front| front.run(&command)).collect();
            // A daemon that is not ours knows no such question: the command asks by itself.
            if let Some(dockerd) = &dockerd {
                let mut command_line = docker.clean(env!("CARGO_BIN_EXE_longshore"));
                command_line.args(["-H", &dockerd.host()]).args(&command);
                shown.push(run(&mut command_line, ""));
            }
            for shown in shown {
                assert_eq!(shown.stdout, expected.stdout, "{command:?}");
                assert_eq!(
                    (shown.ok, shown.stderr),
                    (expected.ok, expected.stderr.clone()),
                    "{command:?}"
                );
            }
        }
    }
    let local = fronts[0].run(&["manifest", "inspect", "list", "me/app"]).failure();
    assert_eq!(local, "No such manifest: docker.io/me/app:latest\n");
}

/// Lists that both programs make are alike to the byte, and either goes on with the other's.
#[test]
fn lists_are_kept_and_pushed_as_by_docker() {
    if !installed(&["docker-registry", "docker"]) || !docker_is_the_recorded_one() {
        println!("skipped: needs docker-registry and docker 28.2.2");
        return;
    }
    let registry = DockerRegistry::builder().start().unwrap();
    image(Format::Docker, 1).push(&registry.client(), "me/one", "1").unwrap();
    image(Format::Oci, 2).push(&registry.client(), "me/two", "1").unwrap();
    let at = |name: &str| format!("{}/{name}", registry.address());
    let (list, one, two) = (at("me/list:1"), at("me/one:1"), at("me/two:1"));
    let home = Home::new();
    let bench = Bench::new(Front::Longshore, &[]);
    let docker = |arguments: &[&str]| run(home.clean("docker").args(arguments), "");
    let longshore = |arguments: &[&str]| bench.run(arguments);
    let both = |arguments: &[&str]| {
        let [theirs, ours] = [docker(arguments), longshore(arguments)];
        assert_eq!((theirs.ok, theirs.stdout), (ours.ok, ours.stdout), "{arguments:?}");
    };
    both(&["manifest", "create", "--insecure", &list, &one, &two]);
    both(&["manifest", "annotate", "--os-features", "b,a", "--variant", "v8", &list, &two]);
    let kept = |home: &Home| {
        let folder = home.path().join("config/manifests");
        let read = |path: &String| std::fs::read_to_string(folder.join(path)).unwrap();
        let files = files_below(&folder);
        files.iter().map(|path| (path.clone(), read(path))).collect::<Vec<_>>()
    };
    assert_eq!(kept(&home), kept(&bench.home));
    assert_eq!(kept(&home).len(), 2);

    // In this process, and with docker's own list.
    let here = |arguments: &[&str]| -> Done {
        run(home.clean(env!("CARGO_BIN_EXE_longshore")).args(arguments), "")
    };
    let push = ["manifest", "push", "--insecure", &list];
    let pushed = docker(&push).success();
    assert_eq!(pushed.lines().count(), 3, "{pushed}");
    assert_eq!(longshore(&push).success(), pushed);
    assert_eq!(here(&push).success(), pushed);
    let digest = longshore(&["registry", "digest", &list]).success();
    assert_eq!(digest.lines().next(), pushed.lines().last());
    // The other way round.
    here(&[
        "manifest",
        "create",
        "-a",
        "--insecure",
        &list,
        &at("me/one@DIGEST")
            .replace("DIGEST", &image(Format::Docker, 1).manifest.digest.to_string()),
    ])
    .success();
    let shown = docker(&["manifest", "inspect", &list]).success();
    assert_eq!(here(&["manifest", "inspect", &list]).success(), shown);
    // What is in the list's own repository need not be sent there.
    let within = at("me/one:list");
    here(&["manifest", "create", "--insecure", &within, &one]).success();
    let push = ["manifest", "push", "--insecure", &within];
    let pushed = here(&push).success();
    assert_eq!(pushed.lines().count(), 1, "{pushed}");
    assert_eq!(docker(&push).success(), pushed);
    // A name by a digest is but the name of a file: the list goes under the digest that it has.
    let digest = spec::Digest::sha256(b"whichever");
    let by_digest = format!("{}@{digest}", at("me/list"));
    both(&["manifest", "create", "--insecure", &by_digest, &one, &two]);
    let push = ["manifest", "push", "--insecure", &by_digest];
    let pushed = docker(&push).success();
    assert_eq!(longshore(&push).success(), pushed);
    let own = pushed.lines().last().unwrap();
    both(&["manifest", "inspect", "--insecure", &format!("{}@{own}", at("me/list"))]);
    both(&["manifest", "rm", &list]);
    both(&["manifest", "push", "--insecure", &list]);
}
