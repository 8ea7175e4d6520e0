//! `manifest inspect`, which docker's command line does by itself and ours through an engine.

use test_support::image::{Compression, Format, Image, Index, Layer};
use test_support::servers::{DockerRegistry, Dockerd, installed};
use test_support::tar::Entry;

use super::equality::docker_is_the_recorded_one;
use super::support::{Bench, Front, Home, is_root, run};

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
