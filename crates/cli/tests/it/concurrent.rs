//! Several processes on one data root.

use std::process::Stdio;

use test_support::servers::LocalRegistry;

use super::support::{Home, small_image};

#[test]
fn two_pulls_and_a_removal_leave_everything_right() {
    let registry = LocalRegistry::start().unwrap();
    let host = registry.address();
    for seed in 0..4 {
        small_image(seed).push(&registry.client(), &format!("app{seed}"), "1").unwrap();
    }
    let home = Home::new();
    let name = |seed: u64| format!("{host}/app{seed}:1");
    for round in 0..10 {
        home.run(&["pull", "-q", &name(0)]).success();
        home.run(&["pull", "-q", &name(1)]).success();
        // All share a layer with those that are being removed.
        let pulls: Vec<_> = [2, 3]
            .map(|seed| {
                let mut pull = home.longshore();
                pull.args(["pull", "-q", &name(seed)])
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped());
                pull.spawn().unwrap()
            })
            .into();
        home.run(&["rmi", &name(0)]).success();
        home.run(&["rmi", &name(1)]).success();
        for pull in pulls {
            let output = pull.wait_with_output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "round {round}: {error}");
        }
        let listed = home.run(&["images", "--format", "{{.Repository}}"]).success();
        let mut listed: Vec<&str> = listed.lines().collect();
        listed.sort_unstable();
        assert_eq!(listed, [format!("{host}/app2"), format!("{host}/app3")]);
        for seed in [2, 3] {
            // A push reads every layer and blob of the image.
            let copy = format!("{host}/copy{round}/app{seed}:1");
            home.run(&["tag", &name(seed), &copy]).success();
            home.run(&["push", "-q", &copy]).success();
            home.run(&["rmi", &copy]).success();
            home.run(&["rmi", &name(seed)]).success();
        }
    }
    let left = super::support::files_below(&home.data_root().join("longshore/content/blobs"));
    assert_eq!(left, [""; 0]);
}
