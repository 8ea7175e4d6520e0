//! Files at a URL: gone on with where a connection broke off, and shown no more than is theirs.

use registry::{Client, RegistryConfig};
use test_support::scripted::{Answer, Identity, Scripted};

use crate::support::config;

const TEXT: &str = "all of an archive";

/// Downloads from a server that gives these answers; returns what came, or what is said.
async fn got(server: &Scripted, answers: Vec<Answer>) -> Result<String, String> {
    server.on("GET", "/a.tar", answers);
    let url = format!("http://ann:s3cret@{}/a.tar?token=hidden", server.host());
    read(config(), &url).await
}

async fn read(settings: RegistryConfig, url: &str) -> Result<String, String> {
    let client = Client::new(settings).unwrap();
    let read = async {
        let mut download = client.download(url).await?;
        let mut text = Vec::new();
        while let Some(chunk) = download.chunk().await? {
            text.extend_from_slice(&chunk);
            assert_eq!(download.position(), text.len() as u64);
        }
        Ok::<_, registry::RegistryError>(String::from_utf8(text).unwrap())
    };
    read.await.map_err(|error| error.to_string())
}

fn whole(tag: &str) -> Answer {
    Answer::status(200).header("ETag", tag).body(TEXT)
}

/// The rest of the file, without a word of which file it is.
fn nameless(start: usize, says: &str) -> Answer {
    Answer::status(206).header("Content-Range", says).body(&TEXT.as_bytes()[start..])
}

fn part(start: usize, says: &str) -> Answer {
    nameless(start, says).header("ETag", "\"1\"")
}

#[tokio::test]
async fn a_broken_connection_is_gone_on_with_where_the_file_is_the_same() {
    let cut = || whole("\"1\"").cut_after(5);
    let dated = |day: &str| whole("\"1\"").header("Last-Modified", day);
    let dated_part = |day: &str| part(5, "bytes 5-16/17").header("Last-Modified", day);
    let rest = || nameless(5, "bytes 5-16/17");
    let first_part =
        || Answer::status(206).header("ETag", "\"1\"").header("Content-Range", "bytes 5-8/17");
    let changed = Err("the file changed while it was read");
    let table = [
        (vec![whole("\"1\"")], Ok(TEXT)),
        (vec![Answer::status(200).body(TEXT)], Ok(TEXT)),
        (vec![cut(), part(5, "bytes 5-16/17")], Ok(TEXT)),
        (vec![cut(), part(5, "bytes 5-16/17").cut_after(4), part(9, "bytes 9-16/17")], Ok(TEXT)),
        // A server without ranges, and one that is down for a moment.
        (vec![cut(), whole("\"1\"")], Ok(TEXT)),
        (vec![cut(), Answer::status(503), part(5, "bytes 5-16/17")], Ok(TEXT)),
        (vec![cut(), whole("\"2\"")], changed),
        (vec![cut(), Answer::status(200).body(TEXT)], changed),
        (vec![cut(), part(5, "bytes 4-16/17")], changed),
        (vec![cut(), part(5, "bytes 5-16/18")], changed),
        (vec![cut(), part(5, "nonsense")], changed),
        (vec![cut(), Answer::status(416)], changed),
        // Servers that do not heed the condition.
        (vec![cut(), rest().header("ETag", "\"2\"")], changed),
        (vec![cut(), rest()], changed),
        (vec![cut(), rest().header("ETag", "W/\"1\"")], changed),
        (vec![cut(), rest().header("Last-Modified", "Mon")], changed),
        (vec![dated("Mon").cut_after(5), dated_part("Tue")], changed),
        (vec![dated("Mon").cut_after(5), dated_part("Mon")], Ok(TEXT)),
        // Sizes are compared where both are known, and a part that ends early is not taken for the end.
        (vec![cut(), part(5, "bytes 5-16/*")], Ok(TEXT)),
        (vec![cut().chunked(), part(5, "bytes 5-16/17")], Ok(TEXT)),
        (vec![cut().chunked(), first_part().body("f an"), part(9, "bytes 9-16/17")], Ok(TEXT)),
        (vec![cut().chunked(), part(5, "bytes 5-16/*")], changed),
        (vec![cut(), Answer::status(403)], Err("403 Forbidden")),
        // Nothing says which file it is, nor may a date beside a weak tag.
        (vec![whole("W/\"1\"").cut_after(5)], Err("unexpected EOF")),
        (vec![whole("W/\"1\"").header("Last-Modified", "Mon").cut_after(5)], Err("unexpected EOF")),
        (vec![Answer::status(404)], Err("404 Not Found")),
        (vec![Answer::hang_up()], Err("EOF")),
    ];
    for (answers, expected) in table {
        let server = Scripted::start().await.unwrap();
        let text = format!("{answers:?}");
        match (got(&server, answers).await, expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{text}"),
            (Err(said), Err(expected)) => {
                let shown = format!("http://{}/a.tar?token=REDACTED", server.host());
                assert!(said.contains(&shown) && said.contains(expected), "{said}: {text}");
                assert!(!said.contains("s3cret") && !said.contains("hidden"), "{said}");
            }
            (got, _) => panic!("{text}: {got:?}"),
        }
        for (number, request) in server.received().iter().enumerate() {
            let Some(range) = request.header("range") else {
                assert!(number == 0 || expected == Err("EOF"), "{text}");
                continue;
            };
            assert_eq!(request.header("if-range"), Some("\"1\""), "{text}");
            assert!(range == "bytes=5-" || (number == 2 && range == "bytes=9-"), "{range}");
        }
    }
}

/// The time of a file without a tag does as well as a tag, if it is repeated.
#[tokio::test]
async fn a_time_tells_the_file_where_there_is_no_tag() {
    let dated = |answer: Answer, day: &str| answer.header("Last-Modified", day);
    let rest = || nameless(5, "bytes 5-16/17");
    for (next, is_same) in
        [(dated(rest(), "Mon"), true), (dated(rest(), "Tue"), false), (rest(), false)]
    {
        let server = Scripted::start().await.unwrap();
        let cut = dated(Answer::status(200).body(TEXT), "Mon").cut_after(5);
        let got = got(&server, vec![cut, next]).await;
        assert_eq!(got.as_deref().ok(), is_same.then_some(TEXT), "{got:?}");
        assert_eq!(server.received()[1].header("if-range"), Some("Mon"));
    }
}

/// A server that gives next to nothing with each connection would have a download connect for ever.
#[tokio::test]
async fn connections_that_bring_little_have_an_end() {
    let server = Scripted::start().await.unwrap();
    server.reply("GET", "/a.tar", |request| {
        let start: usize = request.header("range").map_or(0, |range| {
            range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap()
        });
        let says = format!("bytes {start}-16/17");
        let answer = if start == 0 { whole("\"1\"") } else { part(start, &says) };
        answer.cut_after(1)
    });
    let url = format!("{}/a.tar", server.url());
    let said = read(config(), &url).await.unwrap_err();
    assert!(said.contains("unexpected EOF"), "{said}");
    assert_eq!(server.received().len(), 6);
}

#[tokio::test]
async fn credentials_stay_with_their_host_and_redirects_end() {
    let (server, other) = (Scripted::start().await.unwrap(), Scripted::start().await.unwrap());
    other.on("GET", "/b.tar", [whole("\"1\"")]);
    let away = Answer::redirect(302, &format!("{}/b.tar", other.url()));
    assert_eq!(got(&server, vec![away]).await.unwrap(), TEXT);
    assert!(server.received()[0].header("authorization").is_some());
    let asked = &other.received()[0];
    assert_eq!((asked.header("authorization"), asked.header("referer")), (None, None));

    let server = Scripted::start().await.unwrap();
    let said = got(&server, vec![Answer::redirect(302, "/a.tar")]).await.unwrap_err();
    assert!(said.contains("redirect"), "{said}");
}

/// As for a registry of that name.
#[tokio::test]
async fn the_authority_of_a_host_is_found_in_its_folder() {
    let identity = Identity::new(&["127.0.0.1"]).unwrap();
    let server = Scripted::start_tls(&identity).await.unwrap();
    server.on("GET", "/a.tar", [whole("\"1\"").cut_after(5), part(5, "bytes 5-16/17")]);
    let certs = tempfile::tempdir().unwrap();
    let settings = || RegistryConfig { certs_dirs: vec![certs.path().to_owned()], ..config() };
    let url = format!("https://{}/a.tar", server.host());
    let said = read(settings(), &url).await.unwrap_err();
    assert!(said.contains("x509: certificate signed by unknown authority"), "{said}");
    let folder = certs.path().join(server.host());
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("ca.crt"), &identity.authority).unwrap();
    assert_eq!(read(settings(), &url).await.unwrap(), TEXT);
}
