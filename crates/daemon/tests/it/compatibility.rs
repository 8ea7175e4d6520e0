//! The stock docker command line against the daemon.

use std::path::Path;
use std::process::Output;

use daemon::{Group, ListenAddress, Listener};
use test_support::servers::installed;
use tokio::process::Command;

use crate::fixture::House;
use crate::images::registry_with_an_image;

async fn docker(socket: &Path, arguments: &[&str]) -> Output {
    Command::new("docker")
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        // No credentials and no contexts of whoever runs the test.
        .env("HOME", socket.parent().unwrap())
        .env("DOCKER_CONFIG", socket.parent().unwrap())
        .output()
        .await
        .unwrap()
}

async fn output(socket: &Path, arguments: &[&str]) -> String {
    let output = docker(socket, arguments).await;
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_docker_command_line_works() {
    if !installed(&["docker"]) {
        return;
    }
    let house = House::open().await;
    let (registry, image) = registry_with_an_image().await;
    let socket = house.folder.path().join("l.sock");
    let group = Group { name: "nosuchgroup".into(), required: false };
    let listener = Listener::bind(&ListenAddress::Unix(socket.clone()), &group).await.unwrap();
    let daemon = house.daemon.clone();
    let serving =
        tokio::spawn(async move { daemon.serve(vec![listener], std::future::pending()).await });
    let name = format!("{}/me/app:1", registry.address());
    let run = async |arguments: &[&str]| output(&socket, arguments).await;

    assert!(run(&["version"]).await.contains("API version:      1.55 (minimum version 1.12)"));
    let info = docker(&socket, &["info"]).await;
    assert!(String::from_utf8_lossy(&info.stdout).contains("Storage Driver: packed"));
    assert_eq!(String::from_utf8_lossy(&info.stderr), "", "no warnings");

    let pulled = run(&["pull", &name]).await;
    let digest = &image.manifest.digest;
    assert!(
        pulled.contains(&format!("Digest: {digest}\nStatus: Downloaded newer image for {name}\n")),
        "{pulled}"
    );
    assert!(run(&["pull", &name]).await.contains("Status: Image is up to date"));
    let listed = run(&["images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}}"]).await;
    assert_eq!(listed, format!("{name} {} 5kB\n", image.id().digest().short()));
    let inspected =
        run(&["inspect", "-f", "{{.Id}} {{index .Config.Labels \"flavour\"}}", &name]).await;
    assert_eq!(inspected, format!("{} plain\n", image.id()));
    let copy = format!("{}/you/app:2", registry.address());
    run(&["tag", &name, &copy]).await;
    let pushed = run(&["push", &copy]).await;
    assert!(
        pushed.ends_with(&format!("2: digest: {digest} size: {}\n", image.manifest.size)),
        "{pushed}"
    );
    assert!(run(&["rmi", &name]).await.starts_with(&format!("Untagged: {name}\n")));
    assert!(run(&["rmi", &copy]).await.contains(&format!("Deleted: {}\n", image.id())));
    assert_eq!(
        run(&["images", "-q"]).await
            + &run(&["ps", "-aq"]).await
            + &run(&["volume", "ls", "-q"]).await,
        ""
    );

    let failed = docker(&socket, &["run", "--pull", "never", &name]).await;
    let error = String::from_utf8_lossy(&failed.stderr);
    assert!(error.contains("Longshore keeps images and does not run containers"), "{error}");
    let failed = docker(&socket, &["inspect", "nosuch"]).await;
    assert_eq!(String::from_utf8_lossy(&failed.stderr), "Error: No such object: nosuch\n");
    serving.abort();
}

#[tokio::test]
async fn versions_older_than_the_configured_one_are_refused() {
    let house = House::with(|config| config.min_api_version = api::ApiVersion::new(1, 40)).await;
    let reply = house.get("/v1.39/images/json").await;
    let expected = "client version 1.39 is too old. Minimum supported API version is 1.40, please upgrade your client \
                    to a newer version";
    assert_eq!((reply.status, reply.message().as_str()), (400, expected));
    assert_eq!(house.get("/v1.40/images/json").await.status, 200);
    assert_eq!(house.get("/version").await.json()["MinAPIVersion"], "1.40");
}
