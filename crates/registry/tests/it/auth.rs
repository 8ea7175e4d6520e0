//! Credentials at each host: passwords, tokens, and when they are renewed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use registry::{Credentials, Recovery, RegistryError, TagOrDigest};
use spec::{Digest, Repository, Tag};
use test_support::scripted::{Answer, Received, Scripted, challenge_basic, challenge_bearer};

use crate::support::{
    ANN, ann, blob_path, client, content, descriptor, drain, manifest, pushing, remote_of,
};

const PATH: &str = "/v2/me/app/manifests/1";

fn tag() -> TagOrDigest {
    TagOrDigest::Tag("1".parse::<Tag>().unwrap())
}

fn bearer(realm: &str) -> Answer {
    let (name, value) = challenge_bearer(realm, "the registry");
    Answer::error(401, "UNAUTHORIZED", "authentication required").header(name, value)
}

/// A registry that takes the token `t1` (and so on) of its own token server, `/token`.
async fn with_tokens() -> Scripted {
    let server = Scripted::start().await.unwrap();
    let realm = format!("{}/token", server.url());
    server.on("GET", "/v2/", [bearer(&realm)]);
    let mut given = 0;
    server.reply("GET", "/token", move |_| {
        given += 1;
        Answer::status(200).json(format!(r#"{{"token":"t{given}","expires_in":300}}"#))
    });
    takes(&server, PATH, "Bearer t1", || manifest(b"{}"));
    server
}

/// Makes a path answer to one `Authorization` only.
fn takes(
    server: &Scripted,
    path: &str,
    authorization: &'static str,
    answer: impl Fn() -> Answer + Send + 'static,
) {
    let realm = format!("{}/token", server.url());
    server.reply("GET", path, move |request| {
        if request.header("authorization") == Some(authorization) {
            answer()
        } else {
            bearer(&realm)
        }
    });
}

fn tokens(server: &Scripted) -> Vec<Received> {
    server.received().into_iter().filter(|request| request.path() == "/token").collect()
}

#[tokio::test]
async fn a_token_is_fetched_before_it_is_missed() {
    for (who, authorization, account) in
        [(ann(), Some(ANN), "&account=ann"), (Credentials::Anonymous, None, "")]
    {
        let server = with_tokens().await;
        remote_of(&client(), &server, &who).await.manifest(&tag()).await.unwrap();
        let scope = "repository%3Ame%2Fapp%3Apull";
        let expected = [
            "GET /v2/".to_owned(),
            format!("GET /token?service=the+registry&scope={scope}{account}"),
            format!("GET {PATH}"),
        ];
        assert_eq!(server.lines(), expected);
        assert_eq!(server.received()[0].header("authorization"), None);
        assert_eq!(server.received()[1].header("authorization"), authorization);
    }
}

#[tokio::test]
async fn scopes_are_no_wider_than_needed() {
    let server = with_tokens().await;
    let here = "/v2/me/app/blobs/uploads/1";
    server.on("POST", "/v2/me/app/blobs/uploads/", [Answer::status(202).header("location", here)]);
    let remote = pushing(&server).await;
    remote.start_upload().await.unwrap();
    let sibling = Repository::parse_familiar(&format!("{}/you/base", server.host())).unwrap();
    remote.mount(&Digest::sha256(b""), &sibling).await.unwrap();
    let scopes: Vec<_> = tokens(&server).iter().map(|asked| asked.query().to_owned()).collect();
    let push = "service=the+registry&scope=repository%3Ame%2Fapp%3Apull%2Cpush";
    assert_eq!(scopes[0], format!("{push}&account=ann"));
    let both = format!("{push}&scope=repository%3Ayou%2Fbase%3Apull&account=ann");
    assert_eq!(scopes[1..], [both]);
}

#[tokio::test]
async fn one_fetch_is_for_all_who_wait() {
    let server = with_tokens().await;
    let client = client();
    let one = remote_of(&client, &server, &ann()).await;
    let other = remote_of(&client, &server, &ann()).await;
    let all = (0..8).map(|at| {
        let remote = if at % 2 == 0 { one.clone() } else { other.clone() };
        async move { remote.manifest(&tag()).await }
    });
    for fetched in futures_util::future::join_all(all).await {
        fetched.unwrap();
    }
    assert_eq!(tokens(&server).len(), 1);
    // Somebody else's token is another.
    let stranger = remote_of(&client, &server, &Credentials::Anonymous).await;
    stranger.manifest(&tag()).await.unwrap_err();
    assert!(tokens(&server).len() > 1);
}

#[tokio::test]
async fn a_token_that_is_no_longer_taken_is_renewed_once() {
    let server = with_tokens().await;
    let remote = remote_of(&client(), &server, &ann()).await;
    remote.manifest(&tag()).await.unwrap();
    // In the middle of a pull, the registry wants another: many notice, one fetches.
    let blob = descriptor(&content(1000));
    takes(&server, &blob_path(&blob), "Bearer t2", || Answer::status(200).body(content(1000)));
    let all = (0..8).map(|_| remote.blob(&blob, 0..1000));
    for stream in futures_util::future::join_all(all).await {
        let (bytes, error) = drain(stream.unwrap()).await;
        assert!(error.is_none() && bytes.len() == 1000);
    }
    assert_eq!(tokens(&server).len(), 2);

    // One that is never content does not go on for ever.
    server.forget();
    takes(&server, PATH, "Bearer never", || manifest(b"{}"));
    let error = remote.manifest(&tag()).await.unwrap_err();
    assert_eq!(error.to_string(), "unauthorized: authentication required");
    assert!(error.is_unauthorized());
    assert_eq!(error.recovery(), Recovery::Fail);
    assert_eq!((tokens(&server).len(), server.count("GET", PATH)), (1, 2));
}

#[tokio::test]
async fn a_token_that_does_not_reach_is_not_renewed() {
    let server = with_tokens().await;
    let realm = format!("{}/token", server.url());
    let asked = format!(r#"Bearer realm="{realm}",service="s",error="insufficient_scope""#);
    let short = Answer::error(401, "UNAUTHORIZED", "authentication required")
        .header("www-authenticate", asked);
    server.on("GET", PATH, [short]);
    let error = remote_of(&client(), &server, &ann()).await.manifest(&tag()).await.unwrap_err();
    let first = error.api_errors()[0].to_string();
    assert_eq!(first, "denied: requested access to the resource is denied");
    assert!(error.is_denied() && !error.is_unauthorized());
    assert_eq!((tokens(&server).len(), server.count("GET", PATH)), (1, 1));
}

#[tokio::test]
async fn an_upload_under_way_cannot_be_sent_again_but_the_token_is_new() {
    let server = with_tokens().await;
    let here = "/v2/me/app/blobs/uploads/1";
    server.on("POST", "/v2/me/app/blobs/uploads/", [Answer::status(202).header("location", here)]);
    let realm = format!("{}/token", server.url());
    server.reply("PATCH", here, move |request| match request.header("authorization") {
        Some("Bearer t2") => Answer::status(202).header("range", "0-2"),
        _ => bearer(&realm),
    });
    let mut upload = pushing(&server).await.start_upload().await.unwrap();
    let body = || futures_util::stream::iter([Ok(bytes::Bytes::from_static(b"abc"))]);
    let error = upload.append(body(), Some(3)).await.unwrap_err();
    assert!(matches!(error, RegistryError::TokenRenewed { .. }), "{error}");
    assert_eq!(error.recovery(), Recovery::Retry { after: None });
    upload.append(body(), Some(3)).await.unwrap();
    assert_eq!(upload.offset(), 3);
}

#[tokio::test]
async fn a_registry_that_asks_late_is_answered() {
    // `/v2/` is open, the repository is not.
    let server = Scripted::start().await.unwrap();
    let (name, value) = challenge_basic();
    server.reply("GET", PATH, move |request| match request.header("authorization") {
        Some(ANN) => manifest(b"{}"),
        _ => Answer::status(401).header(name, &value),
    });
    remote_of(&client(), &server, &ann()).await.manifest(&tag()).await.unwrap();
    assert_eq!(server.count("GET", PATH), 2);

    // A wrong password is wrong at once.
    server.forget();
    let wrong = Credentials::Basic { username: "ann".into(), password: "guess".into() };
    let remote = remote_of(&client(), &server, &wrong).await;
    assert!(remote.manifest(&tag()).await.unwrap_err().is_unauthorized());
    assert_eq!(server.count("GET", PATH), 2);
}

#[tokio::test]
async fn no_password_is_dockers_error() {
    let server = Scripted::start().await.unwrap();
    let (name, value) = challenge_basic();
    server.on("GET", "/v2/", [Answer::status(401).header(name, value)]);
    let remote = remote_of(&client(), &server, &Credentials::Anonymous).await;
    let error = remote.resolve(&tag()).await.unwrap_err();
    let expected = format!(r#"Head "{}{PATH}": no basic auth credentials"#, server.url());
    assert_eq!(error.to_string(), expected);
    assert!(error.lacks_credentials() && !error.is_unauthorized());
    assert_eq!(error.recovery(), Recovery::Fail);
    assert_eq!(server.lines(), ["GET /v2/"]);
}

#[tokio::test]
async fn every_challenge_gets_what_it_asks_for() {
    let token = Credentials::RegistryToken("r-token".into());
    for (challenge, who, expected) in [
        (r#"Bearer realm="{realm}",service="s""#, ann(), Some("Bearer t1")),
        (r#"Basic realm="a, b""#, ann(), Some(ANN)),
        (r#"Basic realm="x", Bearer realm="{realm}""#, ann(), Some("Bearer t1")),
        (r#"Negotiate, Basic realm="x""#, ann(), Some(ANN)),
        ("Negotiate", ann(), None),
        (r#"bearer REALM="{realm}""#, token.clone(), Some("Bearer r-token")),
        (r#"Basic realm="x", Bearer realm="{realm}""#, token, Some("Bearer r-token")),
    ] {
        let server = with_tokens().await;
        let realm = format!("{}/token", server.url());
        let asked =
            Answer::status(401).header("www-authenticate", challenge.replace("{realm}", &realm));
        server.on("GET", "/v2/", [asked]).on("GET", PATH, [manifest(b"{}")]);
        remote_of(&client(), &server, &who).await.manifest(&tag()).await.unwrap();
        let last = server.received().pop().unwrap();
        assert_eq!(last.header("authorization"), expected, "{challenge}");
    }
}

#[tokio::test]
async fn an_identity_token_is_posted() {
    let who = Credentials::IdentityToken { username: "ann".into(), token: "re fresh".into() };
    let server = with_tokens().await;
    server.on("POST", "/token", [Answer::status(200).json(r#"{"access_token":"t1"}"#)]);
    remote_of(&client(), &server, &who).await.manifest(&tag()).await.unwrap();
    let posted = tokens(&server).pop().unwrap();
    assert_eq!(posted.method, "POST");
    assert_eq!(posted.target, "/token");
    assert_eq!(posted.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(posted.header("authorization"), None);
    let expected = "grant_type=refresh_token&service=the+registry&client_id=docker\
        &scope=repository%3Ame%2Fapp%3Apull&refresh_token=re+fresh";
    assert_eq!(posted.body, expected);

    // A server of the older kind.
    for status in [404, 405] {
        let server = with_tokens().await;
        server.on("POST", "/token", [Answer::status(status)]);
        remote_of(&client(), &server, &who).await.manifest(&tag()).await.unwrap();
        let asked = tokens(&server).pop().unwrap();
        assert_eq!(
            (asked.method.as_str(), asked.header("authorization")),
            ("GET", Some("Basic YW5uOnJlIGZyZXNo"))
        );
    }
}

#[tokio::test]
async fn token_servers_are_not_believed() {
    let elsewhere = Scripted::start().await.unwrap();
    elsewhere.on("GET", "/token", [Answer::status(200).json(r#"{"token":"x"}"#)]);
    let away = Answer::redirect(307, &format!("{}/token", elsewhere.url()));
    let wrong = Answer::status(401).json(r#"{"details":"incorrect username or password"}"#);
    for (name, answer, expected) in [
        (
            "endless",
            Answer::status(200).body(vec![b' '; 65536]).endless(),
            "is larger than 1048576 bytes",
        ),
        ("no token", Answer::status(200).json("{}"), "did not include a token in the response"),
        ("no JSON", Answer::status(200).body("<html>"), "unable to decode token response: "),
        ("a redirect", away, "refusing the redirect"),
        ("wrong", wrong, r#"": unauthorized: incorrect username or password"#),
        ("down", Answer::status(503), "received unexpected HTTP status: 503 Service Unavailable"),
    ] {
        let server = with_tokens().await;
        server.on("GET", "/token", [answer]);
        let error = remote_of(&client(), &server, &ann()).await.manifest(&tag()).await.unwrap_err();
        let shown = error.to_string();
        assert!(shown.contains(expected), "{name}: {shown}");
        assert!(
            shown.starts_with(&format!(r#"Get "{}{PATH}": "#, server.url())),
            "{name}: {shown}"
        );
        assert_eq!(error.is_unauthorized(), name == "wrong", "{name}");
        assert_eq!(server.count("GET", PATH), 0, "{name}");
    }
    assert_eq!(elsewhere.lines(), [""; 0]);
}

#[tokio::test]
async fn a_token_server_may_redirect_within_its_host() {
    let identity = Credentials::IdentityToken { username: "ann".into(), token: "fresh".into() };
    for (who, method, status) in [
        (ann(), "GET", 301),
        (ann(), "GET", 307),
        (Credentials::Anonymous, "GET", 302),
        (identity.clone(), "POST", 301),
        (identity, "POST", 308),
    ] {
        let server = with_tokens().await;
        let token = Answer::status(200).json(r#"{"token":"t1"}"#);
        server.on(method, "/token", [Answer::redirect(status, "/token/")]).on(
            method,
            "/token/",
            [token],
        );
        remote_of(&client(), &server, &who).await.manifest(&tag()).await.unwrap();
        let asked: Vec<_> =
            server.received().into_iter().filter(|r| r.path().starts_with("/token")).collect();
        assert_eq!(asked[0].header("authorization"), asked[1].header("authorization"));
        assert_eq!((asked[1].method.as_str(), &asked[1].body), (method, &asked[0].body));
    }
}

#[tokio::test]
async fn who_shows_nothing_may_be_led_to_another_token_server() {
    let elsewhere = Scripted::start().await.unwrap();
    elsewhere.on("GET", "/token", [Answer::status(200).json(r#"{"token":"t1"}"#)]);
    let server = with_tokens().await;
    server.on("GET", "/token", [Answer::redirect(307, &format!("{}/token", elsewhere.url()))]);
    let remote = remote_of(&client(), &server, &Credentials::Anonymous).await;
    remote.manifest(&tag()).await.unwrap();
}

#[tokio::test]
async fn a_registry_that_has_moved_is_read_with_what_anybody_gets() {
    let real = with_tokens().await;
    let front = Scripted::start().await.unwrap();
    let to = |path: &str| Answer::redirect(308, &format!("{}{path}", real.url()));
    let blob = descriptor(&content(100));
    takes(&real, &blob_path(&blob), "Bearer t1", || Answer::status(200).body(content(100)));
    front.on("GET", "/v2/", [to("/v2/")]).on("GET", PATH, [to(PATH)]).on(
        "GET",
        &blob_path(&blob),
        [to(&blob_path(&blob))],
    );
    let remote = remote_of(&client(), &front, &ann()).await;
    remote.manifest(&tag()).await.unwrap();
    let (bytes, error) = drain(remote.blob(&blob, 0..100).await.unwrap()).await;
    assert!(error.is_none() && bytes.len() == 100);
    // One token, for which nobody showed a password.
    assert_eq!(tokens(&real).len(), 1);
    for request in real.received() {
        assert_ne!(request.header("authorization"), Some(ANN), "{request}");
    }

    // What it refuses to anybody is refused.
    takes(&real, PATH, "Bearer never", || manifest(b"{}"));
    assert!(remote.manifest(&tag()).await.unwrap_err().is_unauthorized());
    assert_eq!(tokens(&real).len(), 1);
}

#[tokio::test]
async fn odd_realms_are_refused() {
    for (challenge, expected) in [
        ("Bearer service=s", "no realm specified for token auth challenge"),
        ("Bearer realm=/token", "invalid token auth challenge realm: /token"),
        (
            "Bearer realm=file:///etc/passwd",
            "invalid token auth challenge realm: file:///etc/passwd",
        ),
        (r#"Bearer realm="http://a:b@h/""#, "invalid token auth challenge realm"),
    ] {
        let server = Scripted::start().await.unwrap();
        server.on("GET", "/v2/", [Answer::status(401).header("www-authenticate", challenge)]);
        let error = remote_of(&client(), &server, &ann()).await.manifest(&tag()).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{challenge}: {error}");
        assert_eq!(server.lines(), ["GET /v2/"]);
    }
}

#[tokio::test]
async fn a_token_goes_to_no_other_registry() {
    // Two registries that name the same token server, the second one to steal the first one's token.
    let server = with_tokens().await;
    let thief = Scripted::start().await.unwrap();
    let realm = format!("{}/token", server.url());
    thief.on("GET", "/v2/", [bearer(&realm)]).on("GET", PATH, [manifest(b"{}")]);
    let client = client();
    remote_of(&client, &server, &ann()).await.manifest(&tag()).await.unwrap();
    remote_of(&client, &thief, &ann()).await.manifest(&tag()).await.unwrap();
    let stolen = thief.received().pop().unwrap();
    assert_eq!(stolen.header("authorization"), Some("Bearer t2"));
}

#[tokio::test]
async fn tokens_are_tried_again_like_anything() {
    let server = with_tokens().await;
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    server.reply("GET", "/token", move |_| match counted.fetch_add(1, Ordering::Relaxed) {
        0 => Answer::status(503).header("retry-after", "0"),
        _ => Answer::status(200).json(r#"{"token":"t1"}"#),
    });
    remote_of(&client(), &server, &ann()).await.manifest(&tag()).await.unwrap();
    assert_eq!(tries.load(Ordering::Relaxed), 2);
}
