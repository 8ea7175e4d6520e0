//! Imports from files and standard input by every front, and compared with a dockerd.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use test_support::servers::{DockerRegistry, Dockerd, installed};
use test_support::tar::{Entry, Writer};

use super::support::{Bench, FRONTS, Front, Home, is_root, noise, run};

fn write_tar(path: &Path) {
    let mut writer = Writer::new(Vec::new());
    writer.append(&Entry::directory("etc")).unwrap();
    writer.append(&Entry::file("etc/noise", noise(7, 300_000))).unwrap();
    writer.append(&Entry::file("etc/zeros", vec![0; 100_000])).unwrap();
    std::fs::write(path, writer.finish().unwrap()).unwrap();
}

/// `ulimit -f`: the signal that comes with it would kill the command before it could say which file it is.
#[test]
fn a_write_beyond_the_limit_of_file_sizes_is_told() {
    let home = Home::new();
    let (tar, saved) = (home.path().join("fs.tar"), home.path().join("saved.tar"));
    write_tar(&tar);
    home.run(&["import", &tar.to_string_lossy(), "app:1"]).success();
    let mut limited = home.clean("sh");
    limited.args(["-c", "ulimit -f 200; exec \"$@\"", "sh"]).arg(home.longshore().get_program());
    limited.args(home.longshore().get_args()).args(["save", "-o"]).arg(&saved).arg("app:1");
    let told = run(&mut limited, "").failure();
    assert!(told.contains("saved.tar") && told.contains("file too large"), "{told}");
    assert!(!saved.exists());
}

/// Compresses with a program that keeps its input; `None` if it is not installed.
fn compress(program: &str, arguments: &[&str], tar: &Path) -> Option<Vec<u8>> {
    if !installed(&[program]) {
        println!("skipped: needs {program}");
        return None;
    }
    let output = Command::new(program).args(arguments).arg("-c").arg(tar).output().unwrap();
    Some(output.stdout)
}

#[test]
fn every_front_imports_what_any_compressor_makes() {
    let scratch = Home::new();
    let tar = scratch.path().join("fs.tar");
    write_tar(&tar);
    let diff_id = spec::Digest::sha256(&std::fs::read(&tar).unwrap()).to_string();
    let forms = [("gzip", &[][..]), ("bzip2", &[]), ("xz", &["-9", "-T2"]), ("zstd", &["-q"])];
    for front in FRONTS {
        if front == Front::Docker && !installed(&["docker"]) {
            println!("skipped: needs docker");
            continue;
        }
        let bench = Bench::new(front, &[]);
        let file = tar.to_str().unwrap();
        let id = bench.run(&["import", "-m", "by hand", "-c", "CMD [\"x\"]", file, "plain:1"]);
        let id = id.success();
        let shown = bench.run(&[
            "image",
            "inspect",
            "--format",
            "{{.Id}} {{.Comment}} {{.Config.Cmd}}",
            "plain:1",
        ]);
        assert_eq!(shown.success(), format!("{} by hand [x]\n", id.trim()));
        for (program, arguments) in forms {
            let Some(bytes) = compress(program, arguments, &tar) else { continue };
            let compressed = scratch.path().join(program);
            std::fs::write(&compressed, bytes).unwrap();
            let name = format!("from/{program}");
            bench.run(&["import", compressed.to_str().unwrap(), &name]).success();
            let layers = ["image", "inspect", "--format", "{{index .RootFS.Layers 0}}", &name];
            assert_eq!(bench.run(&layers).success().trim(), diff_id, "{program}, {front:?}");
        }
        // From standard input, and what it says when it does not work.
        let text = Writer::new(Vec::new()).finish().unwrap();
        let text = String::from_utf8(text).unwrap();
        bench.run_with(&["import", "-", "from/stdin"], &text).success();
        let failed = bench.run(&["import", "/nowhere.tar"]).failure();
        assert_eq!(failed, "open /nowhere.tar: no such file or directory\n");
        let failed = bench.run(&["import", "-c", "RUN x", file]).failure();
        assert!(failed.contains("RUN is not a valid change command"), "{failed}");
    }
}

#[test]
fn an_imported_image_goes_to_a_registry_and_back_from_either_driver() {
    if !installed(&["docker-registry"]) {
        println!("skipped: needs docker-registry");
        return;
    }
    let registry = DockerRegistry::builder().start().unwrap();
    let scratch = Home::new();
    let tar = scratch.path().join("fs.tar");
    write_tar(&tar);
    let name = format!("{}/me/imported:1", registry.address());
    let drivers: &[&str] = if is_root() { &["packed", "overlay2"] } else { &["packed"] };
    let mut layers = Vec::new();
    for driver in drivers {
        let home = Home::new();
        let with = ["--storage-driver", driver];
        let file = tar.to_str().unwrap();
        let id = home.run(&[&with[..], &["import", file, &name]].concat()).success();
        let check = [&with[..], &["system", "check", "--deep"]].concat();
        home.run(&check).success();
        home.run(&[&with[..], &["push", &name]].concat()).success();
        home.run(&check).success();
        let other = Home::new();
        other.run(&["pull", "-q", &name]).success();
        let format = ["image", "inspect", "--format", "{{.Id}}", &name];
        assert_eq!(other.run(&format).success(), id);
        let manifest = test_support::http::Client::new(registry.address())
            .send(
                "GET",
                "/v2/me/imported/manifests/1",
                &[("accept", "application/vnd.docker.distribution.manifest.v2+json")],
                &[],
            )
            .unwrap();
        layers.push(manifest.json()["layers"].clone());
        // Nothing of it stays when the image goes.
        home.run(&[&with[..], &["rmi", &name]].concat()).success();
        let blobs = home.data_root().join("longshore/content/blobs");
        assert_eq!(super::support::files_below(&blobs), [""; 0], "{driver}");
    }
    assert!(layers.windows(2).all(|two| two[0] == two[1]), "one blob by either driver: {layers:?}");
}

#[test]
fn changes_mean_what_they_mean_to_a_dockerd() {
    if !is_root() || !installed(&["dockerd", "docker"]) {
        println!("skipped: needs root and dockerd");
        return;
    }
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../../../engine/src/import/changes/cases.json"))
            .unwrap();
    let dockerd = Dockerd::builder().start().unwrap();
    let scratch = Home::new();
    let tar = scratch.path().join("fs.tar");
    std::fs::write(&tar, Writer::new(Vec::new()).finish().unwrap()).unwrap();
    let docker = |arguments: &[&str]| {
        run(scratch.clean("docker").args(["-H", &dockerd.host()]).args(arguments), "")
    };
    // Without a template, which would show the CLI's own form of the config.
    let config = |id: &str| -> serde_json::Map<String, Value> {
        let text = docker(&["image", "inspect", id.trim()]).success();
        let mut images: Vec<Value> = serde_json::from_str(&text).unwrap();
        serde_json::from_value(images[0]["Config"].take()).unwrap()
    };
    let file = tar.to_str().unwrap();
    let plain = config(&docker(&["import", file]).success());
    for case in &cases {
        let expected = case.get("old").unwrap_or(&case["expected"]);
        let lines: Vec<&str> =
            case["changes"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        let mut arguments = vec!["import"];
        for line in &lines {
            arguments.extend(["--change", line]);
        }
        arguments.push(file);
        let done = docker(&arguments);
        if let Some(sentence) = expected.as_str() {
            let said = done.failure();
            let said = said.strip_prefix("Error response from daemon:").unwrap_or(&said);
            assert_eq!(said.trim(), sentence.trim(), "{lines:?}");
            continue;
        }
        let mut changed = config(&done.success());
        changed.retain(|name, value| plain.get(name) != Some(value));
        assert_eq!(&Value::Object(changed), expected, "{lines:?}");
    }
}
