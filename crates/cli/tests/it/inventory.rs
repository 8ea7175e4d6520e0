//! Verbs that show and tidy what is there: `history`, `image prune`, `system df`, by every front end and beside dockerd.

use std::process::Command;

use test_support::image::{Compression, Image, Layer};
use test_support::servers::{DockerRegistry, Dockerd, LocalRegistry, installed};
use test_support::tar::Entry;

use super::equality::docker_is_the_recorded_one;
use super::support::{
    Bench, Done, FRONTS, Front, Home, is_root, noise, run, small_image, without_hints,
};

/// The answer of the same command to, or about, different daemons; the names of the programs are not compared.
fn said(done: &Done) -> String {
    let text = format!("{}\n{}\n{}", done.ok, done.stdout, without_hints(&done.stderr));
    text.replace("docker", "longshore")
}

#[test]
fn a_store_is_described_as_dockerd_describes_it() {
    if !is_root() || !installed(&["dockerd", "docker", "docker-registry"]) {
        println!("skipped: needs root, dockerd, docker and docker-registry");
        return;
    }
    let registry = DockerRegistry::builder().start().unwrap();
    let names: Vec<String> =
        (1..=3).map(|number| format!("{}/app:{number}", registry.address())).collect();
    for (number, name) in (1..).zip(&names) {
        let tag = name.rsplit(':').next().unwrap();
        dated_image(number).push(&registry.client(), "app", tag).unwrap();
    }
    let dockerd = Dockerd::builder().start().unwrap();
    let bench = Bench::new(Front::Docker, &[]);
    for name in &names {
        dockerd.docker(&["pull", "-q", name]).unwrap();
        bench.run(&["pull", "-q", name]).success();
    }
    let host = dockerd.host();
    let commands: [&[&str]; 17] = [
        &["history", &names[2]],
        &["history", "--no-trunc", &names[2]],
        &["history", "-q", &names[0]],
        &["image", "history", "-H=false", &names[2]],
        &["history", "--format", "json", &names[2]],
        &["history", "--format", "table {{.ID}}\t{{.Size}}\t{{.Comment}}", &names[0]],
        &["history", "nosuch"],
        &["system", "df"],
        &["system", "df", "-v"],
        &["system", "df", "--format", "{{json .}}"],
        &[
            "system",
            "df",
            "-v",
            "--format",
            "{{range .Images}}{{.UniqueSize}} {{.Repository}}\n{{end}}",
        ],
        &["images", "--filter", "reference=*/app"],
        &["images", "--filter", "label=a=b", "-q"],
        &["image", "prune", "-f"],
        &["image", "prune", "-f", "--filter", "label!=kept"],
        &["image", "prune", "-af", "--filter", "until=2020-01-01"],
        &["image", "prune", "-af", "--filter", "label=nosuch"],
    ];
    for arguments in commands {
        let ask_dockerd = |program: &str| {
            said(&run(Home::new().clean(program).args(["-H", &host]).args(arguments), ""))
        };
        let theirs = ask_dockerd("docker");
        let ours = ask_dockerd(env!("CARGO_BIN_EXE_longshore"));
        // Another version of docker has other words of its own, but the same for both daemons.
        if docker_is_the_recorded_one() {
            assert_eq!(ours, theirs, "longshore to dockerd: {arguments:?}");
        }
        assert_eq!(said(&bench.run(arguments)), theirs, "docker to longshore: {arguments:?}");
        let mut alone = bench.home.run(arguments);
        // What dockerd does not have, and so does not tell.
        alone.stdout.truncate(alone.stdout.find("\nSTORE ").unwrap_or(alone.stdout.len()));
        assert_eq!(said(&alone), ours, "longshore alone: {arguments:?}");
    }
    // What goes is the same; dockerd takes images in any order.
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let theirs = dockerd.docker(&["image", "prune", "-af"]).unwrap();
    let ours = bench.run(&["image", "prune", "-af"]).success();
    assert_eq!(sorted(&ours), sorted(&String::from_utf8(theirs.stdout).unwrap()));
}

/// An image that no other is as old as: dockerd lists those of one age in any order. All share a layer.
fn dated_image(number: u64) -> Image {
    let base = Layer::new(Compression::Gzip, &[Entry::file("base", noise(1, 30_000))]);
    let top = Layer::new(Compression::Gzip, &[Entry::file("top", noise(number + 1, 12_345))]);
    let label = if number == 3 { "a" } else { "c" };
    let created = format!("202{number}-02-03T04:05:06.7Z");
    Image::builder().layer(base).layer(top).label(label, "b").created(&created).build()
}

#[test]
fn a_prune_asks_first_and_takes_partial_downloads() {
    let registry = LocalRegistry::start().unwrap();
    let image = small_image(1);
    image.push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    for front in FRONTS {
        if front == Front::Docker && !installed(&["docker"]) {
            println!("skipped: needs docker");
            continue;
        }
        let bench = Bench::new(front, &[]);
        bench.run(&["pull", "-q", &name]).success();
        let left = bench
            .home
            .data_root()
            .join("longshore/ingest")
            .join("sha256-".to_owned() + &"0".repeat(64));
        std::fs::write(&left, noise(1, 8192)).unwrap();
        let df = bench.run(&["system", "df", "--format", "{{.Type}} {{.Reclaimable}}"]).success();
        assert!(df.starts_with("Images 58.19kB (100%)\n"), "{front:?}: {df}");

        // As docker counts, or as a dry run does.
        let reclaimed = if front == Front::Docker {
            "58.19kB".to_owned()
        } else {
            let planned = bench.run(&["prune", "-a", "--dry-run"]).success();
            let (_, sum) = planned.rsplit_once("Would reclaim: ").unwrap();
            sum.split(';').next().unwrap().to_owned()
        };
        let question = "WARNING! This will remove all images without at least one container associated to them.\n\
                        Are you sure you want to continue? [y/N] ";
        let no = bench.run_with(&["image", "prune", "-a"], "n\n");
        // Docker before 28 goes on with an empty result.
        let rest = no.stdout.strip_prefix(question).unwrap_or_else(|| panic!("{front:?}: {no:?}"));
        assert!(no.ok && no.stderr.is_empty(), "{front:?}: {no:?}");
        assert!(rest.is_empty() || front == Front::Docker, "{front:?}: {rest}");
        assert!(left.exists());
        let yes = bench.run_with(&["image", "prune", "-a"], "Y\n").success();
        let told = yes.strip_prefix(question).unwrap_or_else(|| panic!("{front:?}: {yes}"));
        assert!(
            told.starts_with(&format!("Deleted Images:\nuntagged: {name}\n")),
            "{front:?}: {told}"
        );
        let sum = format!("\n\nTotal reclaimed space: {reclaimed}\n");
        assert!(told.ends_with(&sum), "{front:?}: {told}");
        assert!(!left.exists());
        assert_eq!(bench.run(&["images", "-aq"]).success(), "");
    }
}

#[test]
fn a_prune_is_also_a_verb_of_its_own() {
    let bench = Bench::new(Front::InProcess, &[]);
    let done = bench.run(&["prune", "--force", "--filter", "until=1h"]);
    assert_eq!(done.success(), "Total reclaimed space: 0B\n");
    let mut bad: Command = bench.command();
    let refused = run(bad.args(["prune", "-f", "--filter", "dangling"]), "").failure();
    assert!(refused.contains("bad format of filter (expected name=value)"), "{refused}");
}
