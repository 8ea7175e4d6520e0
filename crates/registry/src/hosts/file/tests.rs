use std::fs;

use super::*;
use std::time::Duration;

use crate::hosts::access::{Capabilities, Need};

/// Parses a file `/certs.d/reg/hosts.toml`.
fn parsed(text: &str) -> Result<HostsFile, String> {
    parse::parse(Path::new("/certs.d/reg/hosts.toml"), text.as_bytes())
        .map_err(|error| error.to_string())
}

fn host(body: &str) -> Result<Settings, String> {
    let file = parsed(&format!("[host.\"https://m\"]\n{body}"))?;
    assert_eq!(file.warnings, [""; 0], "{body}");
    Ok(file.hosts[0].settings.clone())
}

#[test]
fn a_whole_file_is_read_in_its_order() {
    let file = parsed(
        r#"
        server = "https://registry.corp"
        capabilities = ["pull", "resolve"]
        [header]
          x-root = "r"
        [host."https://z.corp:5000/us/"]
          capabilities = ["PULL", "referrers"]
          ca = "z.crt"
          [host."https://z.corp:5000/us/".header]
            x-one = ["a", "b"]
            Authorization = "Bearer s3cret"
        [host."http://a.corp/api/v2"]
          skip_verify = true
          client = [["a.cert", "/keys/a.key"], ["both.pem", ""], "other.pem"]
          dial_timeout = "1m30s"
        [host."m.corp/v2/upstream"]
          override_path = true
          ca = ["/one.pem", "sub/two.pem"]
          client = "client.pem"
        "#,
    )
    .unwrap();
    let hosts: Vec<_> =
        file.hosts.iter().map(|host| (host.url.as_str(), host.root.as_str(), host.line)).collect();
    assert_eq!(
        hosts,
        [
            ("https://z.corp:5000/us/", "/us/v2/", 6),
            ("http://a.corp/api/v2/", "/api/v2/", 12),
            ("https://m.corp/v2/upstream/", "/v2/upstream/", 16),
        ]
    );
    let [z, a, m] = [0, 1, 2].map(|at| &file.hosts[at].settings);
    assert_eq!(z.capabilities.names(), ["pull"]);
    assert_eq!(z.authorities, [Path::new("/certs.d/reg/z.crt")]);
    assert_eq!(z.headers.get_all("x-one").iter().collect::<Vec<_>>(), ["a", "b"]);
    assert!(!format!("{file:?}").contains("s3cret"), "{file:?}");
    assert_eq!(a.capabilities, Capabilities::ALL);
    assert_eq!(a.skip_verify, Some(true));
    let path = |text: &str| PathBuf::from(text);
    assert_eq!(
        a.identities,
        [
            (path("/certs.d/reg/a.cert"), Some(path("/keys/a.key"))),
            (path("/certs.d/reg/both.pem"), None),
            (path("/certs.d/reg/other.pem"), None),
        ]
    );
    assert_eq!(a.dial_timeout, Some(Duration::from_secs(90)));
    assert_eq!(m.authorities, [path("/one.pem"), path("/certs.d/reg/sub/two.pem")]);
    assert_eq!(m.identities, [(path("/certs.d/reg/client.pem"), None)]);
    let Server::Named(server) = &file.server else { panic!("{file:?}") };
    assert_eq!(server.url.as_str(), "https://registry.corp/");
    assert_eq!(server.settings.capabilities, Capabilities::READ);
    assert_eq!(server.settings.headers["x-root"], "r");
    assert_eq!(file.warnings, [""; 0]);
}

#[test]
fn the_order_is_that_of_the_first_mention() {
    for text in [
        "[host.\"https://z\"]\n[host.\"https://a\"]",
        "[host.\"https://z\".header]\nx = \"1\"\n[host.\"https://a\"]\n[host.\"https://z\"]",
        "host.\"https://z\".skip_verify = true\nhost.\"https://a\".skip_verify = true",
        "[host]\n\"https://z\" = {}\n\"https://a\" = {}",
    ] {
        let file = parsed(text).unwrap();
        let hosts: Vec<_> = file.hosts.iter().map(|host| host.url.as_str()).collect();
        assert_eq!(hosts, ["https://z/", "https://a/"], "{text}");
    }
}

#[test]
fn what_is_wrong_is_told_by_line_and_key() {
    let long = "a".repeat(100);
    let many = (0..40).fold(String::new(), |text, n| format!("{text}[host.\"https://h{n}\"]\n"));
    let list = format!("ca = [{}]", "\"x\",".repeat(65));
    for (text, line, part) in [
        ("server = ", 1, "invalid TOML"),
        ("\n\n[host", 3, "invalid TOML"),
        ("server = \"a\"\nserver = \"b\"", 2, "invalid TOML"),
        ("server = 5", 1, "`server` is not a string, but of type integer"),
        ("host = \"https://m\"", 1, "`host` is not a table, but of type string"),
        ("[[host]]", 1, "`host` is not a table"),
        ("[host]\n\"https://m\" = 1", 2, "\"https://m/\"` is not a table"),
        ("[host.\"ftp://m\"]", 1, "\"ftp://m/\": the scheme is neither http nor https"),
        ("[host.\"https://\"]", 1, "empty host"),
        ("[host.\"https://a b\"]", 1, "invalid"),
        ("[host.\"https://m?x=y\"]", 1, "query or fragment"),
        ("server = \"https://m#x\"", 1, "server: a query or fragment"),
        ("[host.\"https://ann:s3cret@m\"]", 1, "\"https://m/\": a user name or password"),
        ("capabilities = \"pull\"", 1, "`capabilities` is not a list of strings"),
        ("capabilities = [\n\"pull\",\n\"fly\"]", 3, "unknown capability \"fly\""),
        ("capabilities = [1]", 1, "`capabilities` is not a string, but of type integer"),
        ("ca = true", 1, "`ca` is not a list of strings, but of type boolean"),
        ("ca = [[\"a\"]]", 1, "`ca` is not a string, but of type array"),
        ("client = 1", 1, "`client` is not a path"),
        ("client = [[\"a\"]]", 1, "no pair of paths"),
        ("client = [[\"a\", \"b\", \"c\"]]", 1, "no pair of paths"),
        ("client = [[\"a\", 1]]", 1, "`client` is not a string"),
        ("client = [{}]", 1, "`client` is not a path"),
        ("skip_verify = \"true\"", 1, "`skip_verify` is not a boolean"),
        ("override_path = 1", 1, "`override_path` is not a boolean"),
        ("dial_timeout = 5", 1, "`dial_timeout` is not a string"),
        ("dial_timeout = \"soon\"", 1, "`dial_timeout` is no duration: \"soon\""),
        ("dial_timeout = \"-1s\"", 1, "`dial_timeout` is no duration"),
        ("dial_timeout = \"0\"", 1, "`dial_timeout` is no duration"),
        ("header = []", 1, "`header` is not a table"),
        ("[header]\nx = 1", 2, "`header.x` is not a list of strings"),
        ("[header]\n\"a b\" = \"s3cret\"", 2, "\"a b\" cannot be the name of a header"),
        ("[header]\nx = \"s3cret\\n\"", 2, "header \"x\" has control characters"),
        (many.as_str(), 1, "more than 32 hosts"),
        (list.as_str(), 1, "`ca` has more than 64 entries"),
        (&format!("a = {}1{}", "[".repeat(5000), "]".repeat(5000)), 1, "invalid TOML"),
        (&format!("{}\n[host.\"https://{long}\\u0000\"]", "#".repeat(10)), 2, "invalid"),
    ] {
        let error = parsed(text).expect_err(text);
        assert!(error.starts_with(&format!("`/certs.d/reg/hosts.toml`:{line}: ")), "{error}");
        assert!(error.contains(part), "{text}: {error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    let error = parse::parse(Path::new("/h"), b"server = 1\n\xff").unwrap_err();
    assert_eq!(error.to_string(), "`/h`:2: not UTF-8");
}

#[test]
fn what_does_nothing_is_named() {
    for (text, expected) in [
        ("serve = \"x\"", "hosts.toml:1: unknown key \"serve\": did you mean \"server\"?"),
        (
            "[host.\"https://m\"]\ncapabilites = [\"pull\"]",
            "hosts.toml:2: unknown key \"capabilites\" of \"https://m/\": did you mean \"capabilities\"?",
        ),
        (
            "[host.\"https://m\"]\ncapability = []",
            "hosts.toml:2: unknown key \"capability\" of \"https://m/\"",
        ),
        ("[host.\"https://m\"]\nserver = \"x\"", "unknown key \"server\" of \"https://m/\""),
        (
            "[host.\"https://m\"]\n[host.\"https://m\".host.\"https://n\"]",
            "unknown key \"host\" of \"https://m/\"",
        ),
        ("capabilities = [\"pull\"]", "`capabilities` without `server` does nothing"),
        ("override_path = true", "`override_path` without `server` does nothing"),
        ("[header]\nHost = \"x\"", "header \"Host\" is not for a configuration to set"),
    ] {
        let file = parsed(text).unwrap();
        assert_eq!(file.warnings.len(), 1, "{text}: {:?}", file.warnings);
        assert!(file.warnings[0].contains(expected), "{text}: {:?}", file.warnings);
    }
    let file = parsed("capabilities = [\"pull\"]\nskip_verify = false").unwrap();
    let Server::Itself(settings) = file.server else { panic!() };
    assert_eq!((settings.capabilities, settings.skip_verify), (Capabilities::ALL, Some(false)));
}

#[test]
fn nothing_said_is_everything_allowed() {
    assert_eq!(host("").unwrap().capabilities, Capabilities::ALL);
    assert_eq!(host("capabilities = []").unwrap().capabilities, Capabilities::ALL);
    assert_eq!(host("dial_timeout = \"\"").unwrap().dial_timeout, None);
    let resolves = host("capabilities = [\"resolve\"]").unwrap().capabilities;
    assert!(!resolves.allow(Need::Resolve), "what is resolved is fetched, too");
    assert!(!resolves.allow(Need::Pull) && !resolves.allow(Need::Push));
}

/// Makes a tree of certificate directories with files.
fn tree(files: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "[host.\"https://m\"]").unwrap();
    }
    let directories = vec![folder.path().join("one"), folder.path().join("two")];
    (folder, directories)
}

#[test]
fn the_first_file_counts_alone() {
    for (registry, files, expected) in [
        ("reg:5000", vec![], None),
        ("reg:5000", vec!["one/reg:5000/hosts.toml", "two/reg:5000/hosts.toml"], Some(0)),
        ("reg:5000", vec!["one/reg:5000/hosts.toml", "one/reg_5000_/hosts.toml"], Some(1)),
        ("reg:5000", vec!["one/reg/hosts.toml", "one/reg_5000/hosts.toml"], None),
        ("reg", vec!["one/_default/hosts.toml", "two/reg/hosts.toml"], Some(1)),
        ("reg", vec!["two/_default/hosts.toml", "one/other/hosts.toml"], Some(0)),
        // A directory of its own is enough to have no default.
        ("reg", vec!["one/_default/hosts.toml", "two/reg/ca.crt"], None),
        ("[::1]:5000", vec!["one/[::1]_5000_/hosts.toml"], Some(0)),
        ("[::1]", vec!["one/[::1]/hosts.toml"], Some(0)),
        // Names that are none.
        ("..", vec!["hosts.toml"], None),
        ("../two", vec!["two/hosts.toml"], None),
    ] {
        let (folder, directories) = tree(&files);
        let found = load(&directories, registry).unwrap();
        let expected = expected.map(|at: usize| folder.path().join(files[at]));
        assert_eq!(found.map(|file| file.path), expected, "{registry} {files:?}");
    }
}

#[test]
fn files_that_are_none_are_refused() {
    let (folder, directories) = tree(&["one/reg/hosts.toml"]);
    let path = folder.path().join("one/reg/hosts.toml");
    let load = || load(&directories, "reg").map_err(|error| error.to_string());
    fs::write(&path, "").unwrap();
    assert!(load().unwrap().is_none(), "an empty file says nothing");
    fs::write(&path, " ".repeat(300_000)).unwrap();
    assert!(load().unwrap_err().contains("larger than 262144 bytes"));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(load().unwrap_err().contains("not a regular file"));
}
