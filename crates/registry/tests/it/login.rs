//! `docker login`.

use registry::{Client, Credentials, RegistryConfig};
use test_support::scripted::{Answer, Scripted, challenge_basic, challenge_bearer};

use crate::support::{ANN, ann, client, config, nobody};

#[tokio::test]
async fn a_password_is_checked() {
    let server = Scripted::start().await.unwrap();
    let (name, value) = challenge_basic();
    server.reply("GET", "/v2/", move |request| match request.header("authorization") {
        Some(ANN) => Answer::status(200).json("{}"),
        _ => Answer::status(401).header(name, &value),
    });
    let login = client().login(&server.host(), &ann()).await.unwrap();
    assert_eq!((login.status, login.identity_token), ("Login Succeeded", None));

    let wrong = Credentials::Basic { username: "ann".into(), password: "guess".into() };
    let error = client().login(&server.host(), &wrong).await.unwrap_err();
    let url = format!("{}/v2/", server.url());
    let expected = format!("login attempt to {url} failed with status: 401 Unauthorized");
    assert_eq!(error.to_string(), expected);

    let error = client().login(&server.host(), &Credentials::Anonymous).await.unwrap_err();
    assert_eq!(error.to_string(), format!(r#"Get "{url}": no basic auth credentials"#));
}

#[tokio::test]
async fn a_token_server_gives_a_token_to_keep() {
    let server = Scripted::start().await.unwrap();
    let (name, value) = challenge_bearer(&format!("{}/token", server.url()), "s");
    server.reply("GET", "/v2/", move |request| match request.header("authorization") {
        Some("Bearer t") => Answer::status(200),
        _ => Answer::status(401).header(name, &value),
    });
    server.reply("GET", "/token", |request| match request.header("authorization") {
        Some(ANN) => Answer::status(200).json(r#"{"token":"t","refresh_token":"keep"}"#),
        _ => Answer::status(401).json(r#"{"details":"incorrect username or password"}"#),
    });
    let client = client();
    let login = client.login(&format!("http://{}/v1/", server.host()), &ann()).await.unwrap();
    assert_eq!(login.identity_token.as_deref(), Some("keep"));
    assert!(!format!("{login:?}").contains("keep"));
    let asked = server.received().into_iter().find(|asked| asked.path() == "/token").unwrap();
    assert_eq!(asked.query(), "service=s&offline_token=true&client_id=docker&account=ann");

    // Each login is a question of its own, whatever is remembered.
    let wrong = Credentials::Basic { username: "ann".into(), password: "guess".into() };
    for _ in 0..2 {
        let error = client.login(&server.host(), &wrong).await.unwrap_err();
        let url = format!("{}/v2/", server.url());
        let expected = format!(r#"Get "{url}": unauthorized: incorrect username or password"#);
        assert_eq!(error.to_string(), expected);
        assert!(error.is_unauthorized());
    }
}

#[tokio::test]
async fn an_open_registry_takes_anybody() {
    let server = Scripted::start().await.unwrap();
    client().login(&server.host(), &ann()).await.unwrap();
    let shown = server.received().iter().any(|request| request.header("authorization").is_some());
    assert!(!shown, "nobody asked for the password");
}

#[tokio::test]
async fn mirrors_are_not_asked() {
    let hub = Scripted::start().await.unwrap();
    let mirror = Scripted::start().await.unwrap();
    let (mirrors, hub_endpoint) = (vec![mirror.url()], Some(hub.url()));
    let client = Client::new(RegistryConfig { mirrors, hub_endpoint, ..config() }).unwrap();
    for address in ["", "https://index.docker.io/v1/"] {
        client.login(address, &ann()).await.unwrap();
    }
    assert_eq!(hub.count("GET", "/v2/"), 4);
    assert_eq!(mirror.lines(), [""; 0]);
}

#[tokio::test]
async fn nobody_at_home_is_told_as_docker_tells_it() {
    let address = nobody().await;
    let error = client().login(&address, &ann()).await.unwrap_err();
    let expected =
        format!(r#"Get "http://{address}/v2/": dial tcp {address}: connect: connection refused"#);
    assert_eq!(error.to_string(), expected);
}
