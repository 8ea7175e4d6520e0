//! `POST /images/create?fromSrc=…`.

use serde_json::{Value, json};
use spec::Digest;
use test_support::scripted::{Answer, Scripted};
use test_support::tar::{Entry, Writer};

use crate::fixture::House;

/// A small tar, which is text.
fn tar() -> String {
    let mut writer = Writer::new(Vec::new());
    writer.append(&Entry::file("etc/motd", *b"hello\n")).unwrap();
    String::from_utf8(writer.finish().unwrap()).unwrap()
}

fn status(line: &Value) -> &str {
    line["status"].as_str().unwrap()
}

#[tokio::test]
async fn a_body_becomes_an_image_of_one_layer() {
    let house = House::open().await;
    let tar = tar();
    let path = "/images/create?fromSrc=-&repo=me/imported&tag=1&message=by%20hand&changes=CMD%20%5B%22x%22%5D\
                &changes=ENV%20A%3Db&platform=linux%2Farm64%2Fv8";
    let imported = house.send("POST", path, &[], &tar).await;
    assert_eq!(imported.status, 200, "{}", imported.text);
    let [line] = imported.lines().try_into().unwrap();
    let id = status(&line).to_owned();

    let image = house.get("/images/me/imported:1/json").await.json();
    assert_eq!(image["Id"], id);
    assert_eq!(image["Comment"], "by hand");
    assert_eq!(image["Config"]["Cmd"], json!(["x"]));
    assert_eq!(image["Config"]["Env"], json!(["A=b"]));
    assert_eq!((&image["Os"], &image["Architecture"]), (&json!("linux"), &json!("arm64")));
    let layers = json!([Digest::sha256(tar.as_bytes()).to_string()]);
    assert_eq!(image["RootFS"]["Layers"], layers, "the tar as it came");
    assert_eq!(image["Size"], 6);

    let history = house.get("/images/me/imported:1/history").await.json();
    assert_eq!(history[0]["Comment"], "by hand");
    assert_eq!(history[0]["CreatedBy"], "");

    // Without a name it is there, too, and says where it came from.
    let plain = house.send("POST", "/images/create?fromSrc=-", &[], &tar).await;
    let image = house.get(&format!("/images/{}/json", status(&plain.lines()[0]))).await.json();
    assert_eq!((&image["Comment"], &image["RepoTags"]), (&json!("Imported from -"), &json!([])));
}

#[tokio::test]
async fn what_makes_no_sense_has_dockerds_words_and_leaves_nothing() {
    let house = House::open().await;
    let digest = Digest::sha256(b"x");
    let table = [
        ("fromSrc=-&changes=NOSUCH%20x", 400, "NOSUCH is not a valid change command"),
        ("fromSrc=-&changes=ENV%20a", 400, "ENV must have two arguments"),
        ("fromSrc=-&platform=windows%2Famd64", 400, "operating system is not supported"),
        (
            "fromSrc=-&repo=UPPER",
            400,
            "invalid reference format: repository name (library/UPPER) must be lowercase",
        ),
        (&format!("fromSrc=-&repo=a@{digest}"), 400, "cannot import digest reference"),
        (
            "fromSrc=ftp%3A%2F%2Fx%2Fy",
            500,
            "Get \"ftp://x/y\": unsupported protocol scheme \"ftp\"",
        ),
    ];
    for (query, expected, message) in table {
        let path = format!("/images/create?{query}");
        let refused = house.send("POST", &path, &[], &tar()).await;
        assert_eq!((refused.status, refused.message().as_str()), (expected, message), "{query}");
    }
    let garbage = house.send("POST", "/images/create?fromSrc=-", &[], &"x".repeat(5000)).await;
    assert_eq!(garbage.status, 500, "{}", garbage.text);
    let cut = house.send("POST", "/images/create?fromSrc=-", &[], "BZh91AY&SY").await;
    assert_eq!(cut.status, 500, "{}", cut.text);
    assert_eq!(house.get("/images/json?all=1").await.json(), json!([]));
    let staging = house.folder.path().join("data/longshore/staging");
    assert_eq!(std::fs::read_dir(staging).unwrap().count(), 0);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_image() {
    let house = House::open().await;
    let head = "POST /images/create?fromSrc=- HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n";
    let mut connection = house.connect();
    let request = format!("{head}{}", &tar()[..1024]);
    tokio::io::AsyncWriteExt::write_all(&mut connection, request.as_bytes()).await.unwrap();
    drop(connection);
    // Another import comes after it, on threads that are free again.
    let whole = house.send("POST", "/images/create?fromSrc=-&repo=whole", &[], &tar()).await;
    assert_eq!(whole.status, 200, "{}", whole.text);
    let images = house.get("/images/json?all=1").await.json();
    assert_eq!(images.as_array().unwrap().len(), 1, "{images}");
}

#[tokio::test]
async fn senders_that_dawdle_keep_nobody_else_waiting() {
    let house = House::open().await;
    let head = "POST /images/create?fromSrc=- HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n";
    let mut dawdling = Vec::new();
    for _ in 0..16 {
        let mut connection = house.connect();
        let request = format!("{head}{}", &tar()[..1024]);
        let sent = tokio::io::AsyncWriteExt::write_all(&mut connection, request.as_bytes());
        sent.await.unwrap();
        dawdling.push(connection);
    }
    let whole = house.send("POST", "/images/create?fromSrc=-&repo=whole", &[], &tar()).await;
    assert_eq!(whole.status, 200, "{}", whole.text);
}

#[tokio::test]
async fn a_url_is_downloaded_with_its_credentials_and_through_redirects() {
    let house = House::open().await;
    let (first, second) = (Scripted::start().await.unwrap(), Scripted::start().await.unwrap());
    first.on("GET", "/moved", [Answer::redirect(302, &format!("{}/fs.tar", second.url()))]);
    second.on("GET", "/fs.tar", [Answer::status(200).body(tar())]);
    let host = first.host();
    let source = format!("http%3A%2F%2Fann%3As3%2540cret%40{host}%2Fmoved");
    let path = format!("/images/create?fromSrc={source}&repo=from/url");
    let imported = house.send("POST", &path, &[], "").await;
    assert_eq!(imported.status, 200, "{}", imported.text);
    let lines = imported.lines();
    assert_eq!(status(&lines[0]), format!("Downloading from http://ann:xxxxx@{host}/moved"));
    let image = house.get("/images/from/url/json").await;
    let comment = format!("Imported from http://ann:xxxxx@{host}/moved");
    assert_eq!(image.json()["Comment"], comment, "a pushed image shows its history to anybody");
    let size = tar().len();
    let done = json!({"status": "Importing", "progressDetail": {"current": size, "total": size}});
    assert_eq!(lines[lines.len() - 2], done, "{lines:?}");
    assert!(status(&lines[lines.len() - 1]).starts_with("sha256:"));

    let shown = |server: &Scripted| {
        let log = server.received();
        let header = |name: &str| log[0].headers.get(name).map(|v| v.to_str().unwrap().to_owned());
        header("authorization")
    };
    assert_eq!(shown(&first).as_deref(), Some("Basic YW5uOnMzQGNyZXQ="), "ann:s3@cret");
    assert_eq!(shown(&second), None, "credentials are for the host that they were given for");

    // The scheme may be left out, and refusals have dockerd's statuses.
    second.on("GET", "/denied", [Answer::status(403).body("go away\n")]);
    for (source, expected, said) in [
        (format!("{}/fs.tar", second.host()), 200, String::new()),
        (
            format!("{}/nosuch", second.host()),
            404,
            format!("failed to GET {}/nosuch with status 404 Not Found:", second.url()),
        ),
        (
            format!("{}/denied", second.host()),
            403,
            format!("failed to GET {}/denied with status 403 Forbidden: go away", second.url()),
        ),
    ] {
        let reply = house.send("POST", &format!("/images/create?fromSrc={source}"), &[], "").await;
        assert_eq!(reply.status, expected, "{}", reply.text);
        if expected != 200 {
            assert!(reply.message().starts_with(&said), "{}", reply.text);
        }
    }
}

#[tokio::test]
async fn a_download_that_breaks_off_ends_the_stream_with_an_error() {
    let house = House::open().await;
    let server = Scripted::start().await.unwrap();
    server.on("GET", "/fs.tar", [Answer::status(200).body(tar()).cut_after(600)]);
    let path = format!("/images/create?fromSrc={}/fs.tar&repo=x", server.host());
    let reply = house.send("POST", &path, &[], "").await;
    assert_eq!(reply.status, 200, "the first line came before");
    let lines = reply.lines();
    assert!(lines.last().unwrap()["error"].is_string(), "{lines:?}");
    assert_eq!(house.get("/images/json?all=1").await.json(), json!([]));
}
