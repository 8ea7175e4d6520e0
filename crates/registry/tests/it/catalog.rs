//! The list of repositories, page by page.

use registry::RegistryError;
use test_support::scripted::{Answer, Scripted, challenge_bearer};

use crate::support::{ann, client};

const PATH: &str = "/v2/_catalog";

fn page(names: &str) -> Answer {
    Answer::status(200).json(format!(r#"{{"repositories":{names}}}"#))
}

async fn catalog(server: &Scripted) -> Result<Vec<String>, RegistryError> {
    let found = client().catalog(&server.host(), &ann()).await?;
    Ok(found.iter().map(|repository| repository.path().to_owned()).collect())
}

#[tokio::test]
async fn pages_are_put_together() {
    let server = Scripted::start().await.unwrap();
    server.reply("GET", PATH, |request| match request.query() {
        "n=1000" => {
            page(r#"["b","a/b"]"#).header("link", r#"</v2/_catalog?last=a&n=2>; rel="next""#)
        }
        _ => page("null"),
    });
    assert_eq!(catalog(&server).await.unwrap(), ["b", "a/b"]);
    assert_eq!(server.count("GET", PATH), 2);
}

#[tokio::test]
async fn who_does_not_give_so_many_at_once_is_asked_for_what_it_gives() {
    let server = Scripted::start().await.unwrap();
    server.reply("GET", PATH, |request| match request.query() {
        "" => page(r#"["a"]"#).header("link", r#"</v2/_catalog?last=a&n=1>; rel="next""#),
        "last=a&n=1" => page(r#"["b"]"#),
        _ => Answer::error(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested"),
    });
    assert_eq!(catalog(&server).await.unwrap(), ["a", "b"]);
}

#[tokio::test]
async fn the_token_is_for_the_catalog() {
    let server = Scripted::start().await.unwrap();
    let (name, value) = challenge_bearer(&format!("{}/token", server.url()), "s");
    server.on("GET", "/v2/", [Answer::status(401).header(name, value)]);
    server.on("GET", "/token", [Answer::status(200).json(r#"{"token":"t"}"#)]);
    server.reply("GET", PATH, |request| {
        assert_eq!(request.header("authorization"), Some("Bearer t"));
        page(r#"["a"]"#)
    });
    assert_eq!(catalog(&server).await.unwrap(), ["a"]);
    let token = server.lines().into_iter().find(|line| line.starts_with("GET /token")).unwrap();
    assert!(token.contains("scope=registry%3Acatalog%3A*"), "{token}");
}

#[tokio::test]
async fn nonsense_and_endless_lists_are_refused() {
    let server = Scripted::start().await.unwrap();
    for (body, part) in [
        (r#"["../../etc"]"#, r#"invalid repository name "../../etc""#),
        (r#"["a:b"]"#, r#"invalid repository name "a:b""#),
        (r#"["A"]"#, r#"invalid repository name "A""#),
        (r#"["\u001b[2J"]"#, r#"invalid repository name "[2J""#),
        (r#""a""#, "error parsing"),
    ] {
        server.on("GET", PATH, [page(body)]);
        let error = catalog(&server).await.unwrap_err().to_string();
        assert!(error.starts_with(part), "{body}: {error}");
    }
    let mut pages = 0;
    server.reply("GET", PATH, move |_| {
        pages += 1;
        page(r#"["a"]"#).header("link", format!("<?last={pages}>; rel=\"next\""))
    });
    let error = catalog(&server).await.unwrap_err();
    assert!(matches!(error, RegistryError::ListTooLong { what: "pages", .. }), "{error}");
    server.on("GET", PATH, [Answer::error(404, "UNSUPPORTED", "no catalog")]);
    assert!(catalog(&server).await.unwrap_err().is_unsupported());
}
