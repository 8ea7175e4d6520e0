use spec::{Digest, MediaType};

use super::*;

/// A directory of scripts.
fn verifiers(scripts: &[(&str, &str)]) -> (TempDir, Verifiers) {
    let folder = TempDir::new().unwrap();
    for (name, script) in scripts {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let verifiers = Verifiers::new(folder.path().to_owned());
    (folder, verifiers)
}

fn descriptor() -> Descriptor {
    Descriptor::new(MediaType::OciManifest, Digest::sha256(b"manifest"), 8)
}

async fn ask(verifiers: &Verifiers, credentials: &Credentials) -> Vec<(String, Finding)> {
    let descriptor = descriptor();
    let credentials = Some(("r.example", credentials));
    let question = Question { name: "r.example/app:1", descriptor: &descriptor, credentials };
    verifiers.ask(&question).await
}

async fn refusal(scripts: &[(&str, &str)]) -> String {
    let (_folder, verifiers) = verifiers(scripts);
    let verifiers = Verifiers { timeout: Duration::from_millis(300), ..verifiers };
    match ask(&verifiers, &Credentials::Anonymous).await.pop() {
        Some((_, Finding::Refused(reasons))) => reasons.concat(),
        other => panic!("{other:?}"),
    }
}

fn allowed(name: &str, reason: &str) -> (String, Finding) {
    (name.to_owned(), Finding::Allowed { vouched: None, reason: reason.to_owned() })
}

#[tokio::test]
async fn each_is_told_the_image_and_all_must_allow_it() {
    let (_folder, verifiers) = verifiers(&[
        ("b", "cat"),
        ("a", "echo \"$@\""),
        ("c", "echo not this one; exit 3"),
        ("d", "true"),
    ]);
    let mut findings = ask(&verifiers, &Credentials::Anonymous).await;
    let digest = descriptor().digest;
    let arguments = format!(
        "-name r.example/app:1 -digest {digest} -stdin-media-type application/vnd.oci.descriptor.v1+json"
    );
    assert_eq!(
        findings.pop().unwrap(),
        ("c".to_owned(), Finding::refused("it ended with 3: not this one"))
    );
    let (name, finding) = findings.pop().unwrap();
    let Finding::Allowed { reason, .. } = finding else { panic!("{finding:?}") };
    assert_eq!(
        (name.as_str(), serde_json::from_str::<Descriptor>(&reason).unwrap()),
        ("b", descriptor())
    );
    assert_eq!(findings, [allowed("a", &arguments)]);
}

#[tokio::test]
async fn whoever_hangs_dies_or_floods_does_not_allow_it() {
    assert_eq!(refusal(&[("hangs", "exec sleep 1000")]).await, "it did not end within 300ms");
    assert_eq!(refusal(&[("dies", "kill -9 $$")]).await, "it died of signal 9");
    assert_eq!(refusal(&[("floods", "exec yes")]).await, "it did not end within 300ms");
    assert_eq!(refusal(&[("errs", "exec yes >&2")]).await, "it did not end within 300ms");
    let told = refusal(&[("floods", "head -c 1000000 /dev/zero | tr '\\0' x; exit 1")]).await;
    assert_eq!(told.len(), "it ended with 1: ".len() + MAX_SAID);
    // What it has left behind, which holds its output, does not hold it up: it is killed.
    let told = refusal(&[("leaves", "sleep 1000 & exit 1")]).await;
    assert_eq!(told, "it ended with 1");
    // Nor does what has left its group, which nobody kills here.
    let helper = "f=$(mktemp -u); mkfifo $f; setsid sh -c \"echo \\$\\$ >$f; exec sleep 5\" & read p <$f; rm $f; echo $p";
    let (_folder, verifiers) = verifiers(&[("leaves", helper)]);
    let findings = ask(&verifiers, &Credentials::Anonymous).await;
    let [(_, Finding::Allowed { reason, .. })] = findings.as_slice() else {
        panic!("{findings:?}")
    };
    let helper = Pid::from_raw(reason.parse().unwrap()).unwrap();
    rustix::process::kill_process(helper, Signal::KILL).unwrap();
}

/// The words of a verifier may come from a registry, and go to a terminal.
#[tokio::test]
async fn letters_that_are_none_are_written_out() {
    let told = refusal(&[("red", "printf 'one\\n\\tt\\033[31mred\\r'; exit 1")]).await;
    assert_eq!(told, "it ended with 1: one\n\tt\\u{1b}[31mred");
}

#[tokio::test]
async fn a_directory_that_says_nothing_allows_nothing() {
    let reason = |findings: Vec<(String, Finding)>| match findings.into_iter().next() {
        Some((_, Finding::Refused(reasons))) => reasons.concat(),
        other => panic!("{other:?}"),
    };
    let folder = TempDir::new().unwrap();
    let of = |path: &Path| Verifiers::new(path.to_owned());
    let told = reason(ask(&of(&folder.path().join("gone")), &Credentials::Anonymous).await);
    assert!(told.ends_with("No such file or directory (os error 2)"), "{told}");
    let told = reason(ask(&of(folder.path()), &Credentials::Anonymous).await);
    assert_eq!(told, format!("there is no verifier in {}", folder.path().display()));
    std::fs::write(folder.path().join("x"), "").unwrap();
    let told = reason(ask(&of(folder.path()), &Credentials::Anonymous).await);
    assert!(told.starts_with("it cannot be run: Permission denied"), "{told}");
    for at in 0..MAX_VERIFIERS {
        std::fs::write(folder.path().join(at.to_string()), "").unwrap();
    }
    let told = reason(ask(&of(folder.path()), &Credentials::Anonymous).await);
    assert!(told.starts_with("there are 11 verifiers in "), "{told}");
}

#[tokio::test]
async fn credentials_are_given_only_where_the_settings_say_so() {
    let basic = Credentials::Basic { username: "ann".into(), password: "s3cret".into() };
    let script = "ls -A $DOCKER_CONFIG; cat $DOCKER_CONFIG/config.json; stat -c %a $DOCKER_CONFIG";
    let (_folder, verifiers) = verifiers(&[("a", script)]);
    assert_eq!(ask(&verifiers, &basic).await, [allowed("a", "700")]);
    let with = Verifiers { credentials: true, ..verifiers };
    let auth = STANDARD.encode("ann:s3cret");
    let expected =
        format!("config.json\n{{\"auths\":{{\"r.example\":{{\"auth\":\"{auth}\"}}}}}}700");
    assert_eq!(ask(&with, &basic).await, [allowed("a", &expected)]);
    assert_eq!(ask(&with, &Credentials::Anonymous).await, [allowed("a", "700")]);
    // They are in memory, and as long as the verifier runs.
    let (_folder, of) = verifiers_of_path();
    let with = Verifiers { credentials: true, ..of };
    let findings = ask(&with, &basic).await;
    let [(_, Finding::Allowed { reason, .. })] = findings.as_slice() else {
        panic!("{findings:?}")
    };
    let (folder, file) = reason.split_once('\n').unwrap();
    assert!(file.starts_with(&format!("/proc/{}/fd/", std::process::id())), "{file}");
    assert!(!Path::new(folder).exists());
}

/// A verifier that says where its configuration is.
fn verifiers_of_path() -> (TempDir, Verifiers) {
    verifiers(&[("a", "echo $DOCKER_CONFIG; readlink $DOCKER_CONFIG/config.json")])
}
