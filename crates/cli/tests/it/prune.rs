//! Prunes by policy, by every front end and on both drivers: what a dry run says is what then happens, to the byte.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use test_support::image::{Compression, Image, Layer};
use test_support::servers::{Dockerd, LocalRegistry, Process, installed};
use test_support::tar::Entry;

use super::mount::Unmount;
use super::support::{Bench, Front, Home, is_root, noise, run};

const DAY: Duration = Duration::from_hours(24);
/// Tells what goes, and why.
const FORMAT: &str = "{{.Type}} {{.Names}}: {{.Reason}}";

/// An image whose layers are far larger than a block. All share a layer.
fn image(number: u64) -> Image {
    let base = Layer::new(Compression::Gzip, &[Entry::file("base", noise(1, 600_000))]);
    let top = Layer::new(Compression::Gzip, &[Entry::file("top", noise(number, 300_000))]);
    Image::builder().layer(base).layer(top).label("number", &number.to_string()).build()
}

/// Pretends that an image came, and was used last, so long ago.
fn age(data_root: &Path, image: &Image, age: Duration) {
    let hex = image.id().digest().hex();
    let driver = if data_root.join("overlay2").exists() { "overlay2" } else { "packed" };
    let configs = data_root.join("image").join(driver).join("imagedb/content/sha256");
    for folder in [data_root.join("longshore/used"), configs] {
        let file = File::options().write(true).open(folder.join(&hex)).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }
    let noted = data_root.join("image").join(driver).join("imagedb/metadata/sha256").join(&hex);
    let _ = fs::remove_file(noted.join("lastUpdated")); // Only what was tagged or loaded has one.
}

/// The bytes that files take of the disk, and the number of files and folders.
fn taken(path: &Path) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs::symlink_metadata(path).unwrap();
    let mut sum = (metadata.blocks() * 512, 1);
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            let (bytes, count) = taken(&entry.unwrap().path());
            sum = (sum.0 + bytes, sum.1 + count);
        }
    }
    sum
}

/// The engines and drivers that can be tried here.
fn benches() -> Vec<Bench> {
    let drivers: &[&str] = if is_root() { &["overlay2", "packed"] } else { &["packed"] };
    let fronts = [Front::InProcess, Front::Longshore];
    let all = fronts.iter().flat_map(|front| drivers.iter().map(|driver| (*front, *driver)));
    all.map(|(front, driver)| Bench::new(front, &["--storage-driver", driver])).collect()
}

#[test]
fn a_dry_run_is_what_then_happens() {
    let registry = LocalRegistry::start().unwrap();
    let images: Vec<Image> = (2..6).map(image).collect();
    let names: Vec<String> =
        (1..=4).map(|tag| format!("{}/app:{tag}", registry.address())).collect();
    for (image, name) in images.iter().zip(&names) {
        image.push(&registry.client(), "app", name.rsplit(':').next().unwrap()).unwrap();
    }
    for bench in benches() {
        for name in &names {
            bench.run(&["pull", "-q", name]).success();
        }
        let data_root = bench.home.data_root();
        for (image, days) in images.iter().zip([40, 30, 20, 10]) {
            age(&data_root, image, DAY * days);
        }
        let ask = |flags: &[&str]| {
            let flags = [&["prune", "--dry-run", "--format", FORMAT], flags].concat();
            bench.run(&flags).success().replace(&format!("{}/", registry.address()), "")
        };
        let goes = |number: usize, reason: &str| {
            let digest = &images[number - 1].manifest.digest;
            format!("image app:{number},app@{digest}: {reason}\n")
        };
        assert_eq!(ask(&[]), "");
        assert_eq!(ask(&["--keep-last", "4"]), "");
        let three = "3 others of its repository were used later";
        assert_eq!(ask(&["--keep-last", "3"]), goes(1, three));
        assert_eq!(ask(&["--unused-for", "5w"]), goes(1, "it was not used for 5 weeks"));
        assert_eq!(ask(&["--reference", "*/app:2"]), goes(2, "its name was asked for"));
        assert_eq!(ask(&["--unused-for", "5w", "--reference", "*/app:2"]), "");
        assert_eq!(ask(&["--max-size", "1GB"]), "");
        // A use is as good as a pull.
        bench
            .run(&["save", "-o", bench.home.path().join("x.tar").to_str().unwrap(), &names[0]])
            .success();
        assert_eq!(ask(&["--keep-last", "3"]), goes(2, three));

        // The two that were used last stay within a size that three do not, as they share a layer.
        let json =
            bench.run(&["prune", "--max-size", "0", "--dry-run", "--format", "json"]).success();
        let bytes = |line: &str| -> u64 {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            row["Bytes"].as_str().unwrap().parse().unwrap()
        };
        let frees: Vec<u64> = json.lines().map(bytes).collect();
        assert!(
            frees.len() == 4 && frees[3] > frees[0],
            "the last frees what all share: {frees:?}"
        );
        let left = frees[2] + frees[3];
        let flags = ["--max-size", &left.to_string(), "--keep-last", "1"];
        let planned = ask(&flags);
        assert_eq!(planned.lines().count(), 2, "{planned}");
        let before = taken(&data_root);
        let question = bench.run_with(&[&["prune"], &flags[..]].concat(), "n\n").success();
        assert!(question.starts_with("WARNING! This will free "), "{question}");
        assert!(question.contains(&format!("  image {}", names[1])), "{question}");
        assert!(question.ends_with("\nAre you sure you want to continue? [y/N] "), "{question}");
        assert_eq!(ask(&flags), planned);
        let pruned =
            bench.run_with(&[&["prune", "--format", FORMAT], &flags[..]].concat(), "y\n").success();
        let pruned = pruned.rsplit("[y/N] ").next().unwrap();
        assert_eq!(pruned.replace(&format!("{}/", registry.address()), ""), planned);
        let listed = bench.run(&["images", "--format", "{{.Tag}}"]).success();
        let mut tags: Vec<&str> = listed.lines().collect();
        tags.sort_unstable();
        assert_eq!(tags, ["1", "4"]);
        // What the disk has back is what was said, but for what each file and folder fills of its last block.
        let after = taken(&data_root);
        let (back, said) = (before.0 - after.0, frees[0] + frees[1]);
        let slack = (before.1 - after.1 + 8) * 4096;
        assert!(back.abs_diff(said) <= slack, "{back} {said} {slack}");
        assert_eq!(ask(&flags), "");
        let done = bench.run(&[&["prune", "-f"], &flags[..]].concat()).success();
        assert_eq!(done, "Total reclaimed space: 0B\n");
        assert_all_goes_as_planned(&bench, &images);
    }
}

/// With docker's own flags, too, what is told and gone is what the dry run says.
fn assert_all_goes_as_planned(bench: &Bench, images: &[Image]) {
    let planned = bench.run(&["prune", "-a", "--dry-run"]).success();
    let told = |text: &str, before: &str, after: &str| {
        let rest = text.split_once(before).unwrap_or_else(|| panic!("{text}")).1;
        rest.split_once(after).unwrap_or_else(|| panic!("{text}")).0.to_owned()
    };
    let rows = bench.run(&["prune", "-a", "--dry-run", "--format", "{{.Names}} {{.ID}}"]);
    let done = bench.run(&["image", "prune", "-af"]).success();
    assert_eq!(
        told(&done, "Total reclaimed space: ", "\n"),
        told(&planned, "Would reclaim: ", "; left: 0B\n")
    );
    let mut listed: Vec<String> = Vec::new();
    for row in rows.success().lines() {
        let (names, id) = row.rsplit_once(' ').unwrap();
        listed.extend(names.split(',').map(|name| format!("untagged: {name}")));
        listed.push(format!("deleted: sha256:{id}"));
    }
    let ids: Vec<String> = images.iter().map(|image| image.id().to_string()).collect();
    let is_listed = |line: &&str| {
        let deleted = line.strip_prefix("deleted: ");
        line.starts_with("untagged: ") || deleted.is_some_and(|id| ids.iter().any(|it| it == id))
    };
    let mut gone: Vec<String> = done.lines().filter(is_listed).map(str::to_owned).collect();
    for line in gone.iter_mut().filter(|line| line.starts_with("deleted: ")) {
        line.truncate("deleted: sha256:".len() + 12);
    }
    for list in [&mut listed, &mut gone] {
        list.sort();
    }
    assert_eq!(gone, listed);
}

#[test]
fn a_mounted_image_stays_whatever_the_policy() {
    if !is_root() {
        println!("skipped: not root");
        return;
    }
    let registry = LocalRegistry::start().unwrap();
    let used = image(2);
    used.push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    for bench in benches() {
        bench.run(&["pull", "-q", &name]).success();
        bench.run(&["tag", &name, "other:1"]).success();
        let target = bench.home.path().join("target");
        fs::create_dir(&target).unwrap();
        let path = target.to_str().unwrap();
        bench.run(&["mount", &name, path]).success();
        let mounted = Unmount(&target);
        age(&bench.home.data_root(), &used, DAY * 100);
        let all = [
            "-a",
            "--unused-for",
            "1d",
            "--max-size",
            "0",
            "--reference",
            "*",
            "--reference",
            "*/*",
        ];
        let planned = bench.run(&[&["prune", "--dry-run"], &all[..]].concat()).success();
        let stays = format!("In use, and stays: {name}, ");
        assert!(planned.contains(&stays), "{planned}");
        assert!(planned.contains(", other:1 (mounted on /"), "{planned}");
        let pruned = bench.run(&[&["prune", "-f"], &all[..]].concat()).success();
        assert_eq!(pruned, "Total reclaimed space: 0B\n");
        bench.run(&["image", "prune", "-af"]).success();
        let kept = bench.run(&["images", "-q"]).success();
        assert_eq!(kept.lines().count(), 2);
        drop(mounted);
        let pruned = bench.run(&[&["prune", "-f"], &all[..]].concat()).success();
        assert!(pruned.contains("untagged: other:1"), "{pruned}");
        assert_eq!(bench.run(&["images", "-q"]).success(), "");
    }
}

#[test]
fn another_daemon_is_not_pruned_by_what_it_does_not_know() {
    if !is_root() || !installed(&["dockerd", "docker"]) {
        println!("skipped: needs root, dockerd and docker");
        return;
    }
    let registry = LocalRegistry::start().unwrap();
    image(2).push(&registry.client(), "app", "1").unwrap();
    let dockerd = Dockerd::builder().start().unwrap();
    let name = format!("{}/app:1", registry.address());
    dockerd.docker(&["pull", "-q", &name]).unwrap();
    let home = Home::new();
    let longshore = |flags: &[&str]| {
        let mut command = home.clean(env!("CARGO_BIN_EXE_longshore"));
        run(command.args(["-H", &dockerd.host(), "prune", "-f"]).args(flags), "")
    };
    for flags in [
        &["--dry-run"][..],
        &["-a", "--dry-run"],
        &["-a", "--keep-last", "1"],
        &["-a", "--filter", "unused-for=1h"],
        &["-a", "--format", "json"],
    ] {
        let error = longshore(flags).failure();
        assert!(
            error.contains("this daemon is not Longshore's and cannot prune by policy"),
            "{error}"
        );
        let listed = dockerd.docker(&["images", "-q"]).unwrap();
        assert_eq!(String::from_utf8(listed.stdout).unwrap().lines().count(), 1, "{flags:?}");
    }
    longshore(&["-a"]).success();
    assert!(dockerd.docker(&["images", "-q"]).unwrap().stdout.is_empty());
}

#[test]
fn docker_prunes_by_policy_with_filters() {
    if !installed(&["docker"]) {
        println!("skipped: needs docker");
        return;
    }
    let registry = LocalRegistry::start().unwrap();
    let bench = Bench::new(Front::Docker, &[]);
    for number in 2..5 {
        image(number).push(&registry.client(), "app", &number.to_string()).unwrap();
        let name = format!("{}/app:{number}", registry.address());
        bench.run(&["pull", "-q", &name]).success();
        age(&bench.home.data_root(), &image(number), DAY * u32::try_from(number).unwrap());
    }
    bench.run(&["image", "prune", "-af", "--filter", "keep-last=2"]).success();
    let listed = bench.run(&["images", "--format", "{{.Tag}}"]).success();
    let mut tags: Vec<&str> = listed.lines().collect();
    tags.sort_unstable();
    assert_eq!(tags, ["2", "3"]);
}

#[test]
fn wrong_values_are_refused_before_anything_is_asked() {
    let home = Home::new();
    for (flags, expected) in [
        (&["--keep-last", "0"][..], "--keep-last"),
        (&["--unused-for", "30"], "time: missing unit in duration \"30\""),
        (&["--max-size", "much"], "invalid size \"much\""),
        (
            &["--reference", "a["],
            "invalid value for 'reference' filter: \"a[\": syntax error in pattern",
        ),
    ] {
        let error = home.run(&[&["prune", "-f"], flags].concat()).failure();
        assert!(error.contains(expected), "{flags:?}: {error}");
    }
}

#[test]
fn a_daemon_prunes_by_the_clock() {
    let registry = LocalRegistry::start().unwrap();
    let home = Home::new();
    for number in [2, 3] {
        image(number).push(&registry.client(), "app", &number.to_string()).unwrap();
        let name = format!("{}/app:{number}", registry.address());
        home.run(&["pull", "-q", &name]).success();
    }
    let data_root = home.data_root();
    age(&data_root, &image(2), DAY * 9);
    // The last prune was two days ago.
    let pruned = data_root.join("longshore/pruned");
    let last = SystemTime::now() - DAY * 2;
    File::create(&pruned).unwrap().set_modified(last).unwrap();
    let file = home.path().join("daemon.json");
    let (socket, log) = (home.path().join("longshore.sock"), home.path().join("daemon.log"));
    let host = format!("unix://{}", socket.display());
    let start = |schedule: &str, ready: &dyn Fn() -> bool| {
        fs::write(&file, schedule).unwrap();
        let mut command = home.longshore();
        command.args(["--config-file", file.to_str().unwrap(), "daemon", "-H", &host]);
        Process::start(command, &log, ready).unwrap()
    };
    let connects = || std::os::unix::net::UnixStream::connect(&socket).is_ok();
    let says = |text: &str| fs::read_to_string(&log).unwrap_or_default().contains(text);
    // It is not yet time.
    let daemon = start(r#"{"prune": {"interval": "3d", "keep-last": 1}}"#, &connects);
    let ask = |arguments: &[&str]| {
        let mut command = home.clean(env!("CARGO_BIN_EXE_longshore"));
        run(command.args(["-H", &host]).args(arguments), "").success()
    };
    assert_eq!(ask(&["images", "-q"]).lines().count(), 2);
    drop(daemon);
    let daemon = start(r#"{"prune": {"interval": "24h", "keep-last": 1}}"#, &|| {
        connects() && says("scheduled prune done")
    });
    assert_eq!(ask(&["images", "--format", "{{.Tag}}"]), "3\n");
    assert!(says("others of its repository") || says("another of its repository was used later"));
    let told = ask(&["events", "--since", "1", "--until", "-1s", "--filter", "event=prune"]);
    assert!(told.contains("image prune"), "{told}");
    let info = ask(&["info", "--format", "{{json .DriverStatus}}"]);
    assert!(info.contains("Last Scheduled Prune") && info.contains(" 1 image, "), "{info}");
    assert!(fs::metadata(&pruned).unwrap().modified().unwrap() > last + DAY);
    drop(daemon);
    let mut command = home.longshore();
    fs::write(&file, r#"{"prune": {"max-size": "some"}}"#).unwrap();
    command.args(["--config-file", file.to_str().unwrap(), "daemon", "--validate"]);
    let error = run(&mut command, "").failure();
    assert!(
        error.contains("prune: invalid value for 'max-size' filter: invalid size \"some\""),
        "{error}"
    );
}

/// The bytes that the table of `system df` says can be had back of all that is on the disk, to four digits.
fn reclaimable(bench: &Bench) -> u64 {
    let table = bench.run(&["system", "df"]).success();
    let line = table.lines().find(|line| line.starts_with("All on the disk")).unwrap();
    let size = line.split_whitespace().rev().find(|word| word.ends_with('B')).unwrap();
    spec::go::parse_size(size).unwrap()
}

#[test]
fn what_df_says_can_be_had_back_is_what_a_prune_frees() {
    let registry = LocalRegistry::start().unwrap();
    let images: Vec<Image> = (2..5).map(image).collect();
    for bench in benches() {
        for (number, image) in images.iter().enumerate() {
            image.push(&registry.client(), "app", &number.to_string()).unwrap();
            bench.run(&["pull", "-q", &format!("{}/app:{number}", registry.address())]).success();
        }
        let data_root = bench.home.data_root();
        // An interrupted download, and an image that is in use.
        let left = data_root.join("longshore/ingest").join(format!("sha256-{}", "0".repeat(64)));
        fs::write(left, noise(9, 500_000)).unwrap();
        let container = data_root.join("containers/c");
        fs::create_dir_all(&container).unwrap();
        let config = format!(r#"{{"ID":"c","Image":"{}"}}"#, images[0].id());
        fs::write(container.join("config.v2.json"), config).unwrap();
        let (said, before) = (reclaimable(&bench), taken(&data_root));
        bench.run(&["image", "prune", "-af"]).success();
        let after = taken(&data_root);
        let freed = before.0 - after.0;
        // Each file and folder fills its last block, and the table has four digits.
        let slack = (before.1 - after.1 + 8) * 4096 + said / 1000;
        assert!(freed.abs_diff(said) <= slack, "{freed} {said} {slack}");
        assert_eq!(reclaimable(&bench), 0);
        assert_eq!(bench.run(&["images", "-q"]).success().lines().count(), 1);
    }
}
