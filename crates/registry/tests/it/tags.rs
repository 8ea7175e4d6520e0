//! The list of tags, page by page.

use registry::RegistryError;
use test_support::scripted::{Answer, Scripted};

use crate::support::{ann, client, remote, remote_of};

const PATH: &str = "/v2/me/app/tags/list";

fn page(tags: &str) -> Answer {
    Answer::status(200).json(format!(r#"{{"name":"me/app","tags":{tags}}}"#))
}

#[tokio::test]
async fn pages_are_put_together() {
    let server = Scripted::start().await.unwrap();
    server.reply("GET", PATH, |request| match request.query() {
        "n=1000" => {
            page(r#"["b","a"]"#).header("link", r#"</v2/me/app/tags/list?last=a&n=2>; rel="next""#)
        }
        "last=a&n=2" => page(r#"["c"]"#).header("link", r#"<?last=c&n=2>; rel="next""#),
        _ => page("null"),
    });
    let tags = remote(&server).await.tags().await.unwrap();
    let tags: Vec<_> = tags.iter().map(spec::Tag::as_str).collect();
    assert_eq!(tags, ["b", "a", "c"]);
    assert_eq!(server.count("GET", PATH), 3);
}

#[tokio::test]
async fn a_list_without_tags_is_empty() {
    let server = Scripted::start().await.unwrap();
    for body in ["{}", r#"{"tags":null}"#, r#"{"tags":[]}"#] {
        server.on("GET", PATH, [Answer::status(200).json(body)]);
        assert_eq!(remote(&server).await.tags().await.unwrap(), [], "{body}");
    }
}

#[tokio::test]
async fn no_list_leads_astray() {
    let server = Scripted::start().await.unwrap();
    for link in [
        // Circles, of one page and of two.
        r#"</v2/me/app/tags/list?n=1000>; rel="next""#.to_owned(),
        r#"<?n=1000#again>; rel="next""#.to_owned(),
        r#"<file:///etc/passwd>; rel="next""#.to_owned(),
        r#"<http://[>; rel="next""#.to_owned(),
    ] {
        server.on("GET", PATH, [page(r#"["a"]"#).header("link", &link)]);
        let remote = remote_of(&client(), &server, &ann()).await;
        let error = remote.tags().await.unwrap_err();
        assert!(matches!(error, RegistryError::Link { .. }), "{link}: {error}");
    }
}

#[tokio::test]
async fn a_list_goes_on_at_its_own_registry_whatever_the_link_says() {
    let elsewhere = Scripted::start().await.unwrap();
    let server = Scripted::start().await.unwrap();
    for link in [
        format!("{}{PATH}?last=a", elsewhere.url()),
        format!("https://{}{PATH}?last=a", server.host()),
        format!("http://localhost:{}{PATH}?last=a", server.address().port()),
        format!("//registry.internal{PATH}?last=a"),
        "?last=a".to_owned(),
        "list?last=a".to_owned(),
    ] {
        server.reply("GET", PATH, move |request| match request.query() {
            "last=a" => page(r#"["b"]"#),
            _ => page(r#"["a"]"#).header("link", format!("<{link}>; rel=\"next\"")),
        });
        let tags = remote_of(&client(), &server, &ann()).await.tags().await.unwrap();
        assert_eq!(tags.iter().map(spec::Tag::as_str).collect::<Vec<_>>(), ["a", "b"]);
    }
    assert_eq!(elsewhere.lines(), [""; 0]);
}

#[tokio::test]
async fn lists_are_bounded() {
    let server = Scripted::start().await.unwrap();
    let mut pages = 0;
    server.reply("GET", PATH, move |_| {
        pages += 1;
        page(r#"["a"]"#).header("link", format!("<?n=1&last={pages}>; rel=\"next\""))
    });
    let error = remote(&server).await.tags().await.unwrap_err();
    assert!(
        matches!(error, RegistryError::ListTooLong { what: "pages", limit: 1000, .. }),
        "{error}"
    );
    assert_eq!(server.count("GET", PATH), 1000);

    server.on("GET", PATH, [Answer::status(200).body(vec![b' '; 65536]).endless()]);
    let error = remote(&server).await.tags().await.unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn nonsense_is_refused() {
    let server = Scripted::start().await.unwrap();
    for (body, part) in [
        (r#"{"tags":["../../etc"]}"#, r#"invalid tag "../../etc""#),
        (r#"{"tags":"a"}"#, "error parsing"),
        ("<html>", "Get \""),
    ] {
        server.on("GET", PATH, [Answer::status(200).json(body)]);
        let error = remote(&server).await.tags().await.unwrap_err().to_string();
        assert!(error.starts_with(part), "{error}");
    }
    server.on(
        "GET",
        PATH,
        [Answer::error(404, "NAME_UNKNOWN", "repository name not known to registry")],
    );
    let error = remote(&server).await.tags().await.unwrap_err();
    assert_eq!(error.to_string(), "name unknown: repository name not known to registry");
    assert!(error.is_not_found());
}
