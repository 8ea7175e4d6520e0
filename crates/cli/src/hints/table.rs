//! The table of hints.

use spec::Repository;

use super::dockerd;
use super::failure::Failure;

/// Words of a failure, all of which it must have, and what can be done about it.
pub(super) struct Rule {
    pub(super) words: &'static [&'static str],
    pub(super) hint: fn(&Failure<'_>) -> Option<String>,
}

/// A rule; the text may hold what [`Failure`] tells.
macro_rules! rule {
    ([$($words:literal),+], $hint:ident) => {
        Rule { words: &[$($words),+], hint: |at| Some($hint(at)) }
    };
    ([$($words:literal),+], |$at:pat_param| $($text:tt)+) => {
        Rule { words: &[$($words),+], hint: |$at| Some(format!($($text)+)) }
    };
}

/// The first rule that fits counts: particular ones stand before general ones.
pub(super) const RULES: &[Rule] = &[
    // Of this process, whatever it was about to do.
    rule!(["Too many open files"], more_files),
    rule!(["too many open files"], more_files),
    // Certificates.
    rule!(
        ["x509: certificate signed by unknown authority"],
        |at| "{host}'s certificate is of an authority that is not known here: put the authority's certificate (PEM) at \
              {place}{port}",
        host = at.host()?,
        place = certificate_places(&at.host()?),
        port = if at.host()?.contains(':') { ", with the port in the folder's name" } else { "" }
    ),
    rule!(
        ["certificate has expired or is not yet valid", " is before "],
        |at| "{}'s certificate is not valid yet: set this machine's clock (`date`) if it is slow",
        at.host()?
    ),
    rule!(
        ["certificate has expired or is not yet valid"],
        |at| "{}'s certificate has expired: its administrator must renew it, unless this machine's clock (`date`) is fast",
        at.host()?
    ),
    Rule { words: &["x509: certificate is "], hint: for_other_names },
    Rule { words: &["x509: certificate relies on legacy Common Name"], hint: for_other_names },
    Rule { words: &["x509: cannot validate certificate for "], hint: for_other_names },
    rule!(
        ["server gave HTTP response to HTTPS client"],
        |at| "{host} speaks plain HTTP; if you trust the network to it: --insecure-registry {host}, or \
              `insecure-registries` in daemon.json",
        host = at.host()?
    ),
    rule!(
        ["Client sent an HTTP request to an HTTPS server"],
        |at| "{} speaks TLS: write https:// where it is configured with http://",
        at.host()?
    ),
    // The way to the host.
    Rule { words: &[" (mirror): "], hint: mirror_wants_login },
    rule!(
        [" (mirror): "],
        |at| "neither the mirrors nor {} could help: mend the mirrors or take them out of --registry-mirror, \
              `registry-mirrors` in daemon.json, or hosts.toml",
        at.registry()?
    ),
    rule!(
        ["invalid proxy address"],
        |_| "a proxy is written http://HOST:PORT: in HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, or in `proxies` of daemon.json"
    ),
    rule!(
        ["proxy authorization required", "with a user and a password"],
        |_| "the proxy does not know the user and the password that stand in its address: correct them in HTTPS_PROXY, or in \
             `proxies` of daemon.json"
    ),
    rule!(
        ["proxy authorization required"],
        |_| "put user and password into the proxy's address: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
    ),
    rule!(
        ["proxyconnect tcp: ", " to connect to "],
        |at| "the proxy made no connection to {host}, as it may not or cannot reach it: its log says why; or name {host} in \
              NO_PROXY",
        host = at.host()?
    ),
    rule!(
        ["proxyconnect tcp: "],
        |at| "the proxy does not answer: correct HTTPS_PROXY (or `proxies` in daemon.json), or name {} in NO_PROXY",
        at.host()?
    ),
    rule!(
        ["registry-1.docker.io", "no such host"],
        |_| "Docker Hub's name has no address here: check the DNS (`getent hosts registry-1.docker.io`); where there is no way \
             to it, set HTTPS_PROXY, or name a mirror by --registry-mirror"
    ),
    rule!(
        ["no such host"],
        |at| "the name {host} has no address: check how it is written, then the DNS (`getent hosts {bare}`)",
        host = at.host()?,
        bare = bare(&at.host()?)
    ),
    rule!(
        ["server misbehaving"],
        |at| "the DNS of this machine does not answer for {}: see /etc/resolv.conf",
        at.host()?
    ),
    rule!(
        ["connect: connection refused"],
        |at| "nobody listens at {}: check host and port, and that the registry runs",
        at.host()?
    ),
    Rule { words: &["no route to host"], hint: no_way },
    Rule { words: &["network is unreachable"], hint: no_way },
    Rule { words: &["i/o timeout"], hint: no_answer },
    Rule { words: &["TLS handshake timeout"], hint: no_answer },
    Rule { words: &["timeout awaiting response headers"], hint: no_answer },
    // What is there instead of an image, or of a registry.
    rule!(
        ["error unmarshalling content", "a web page"],
        |at| "{} answers with a web page instead of an image: the network's sign-in page, a proxy's, or a wrong host",
        at.host()?
    ),
    rule!(
        ["error unmarshalling content"],
        |at| "what {} answers is no manifest: is it a registry?",
        at.host()?
    ),
    rule!(
        ["received unexpected HTTP status: 50"],
        |at| "{} has a fault of its own: try again later, or ask its administrator",
        at.host()?
    ),
    rule!(
        ["toomanyrequests"],
        |at| "{} allows fewer pulls to who is not logged in: {}, wait, or pull from a mirror (--registry-mirror)",
        at.registry()?,
        at.login()?
    ),
    rule!(["invalid archive: the content of ", " does not match its digest"], damaged_archive),
    rule!(["verification failed for digest", " in the archive "], damaged_archive),
    rule!(
        ["verification failed for digest"],
        |at| "what {} or a proxy on the way sends is damaged, and nothing of it was kept: try again; if it stays so, the \
              image must be pushed again",
        at.host()?
    ),
    rule!(
        ["schema 1 support has been removed"],
        |at| "`DOCKER_ENABLE_DEPRECATED_PULL_SCHEMA_1_IMAGE=1 longshore pull {}` takes it all the same; a daemon takes \
              `allow-schema1` in daemon.json",
        at.image()?
    ),
    rule!(
        ["CertificateRequired"],
        |_| "the daemon wants a certificate of yours: --tlscert and --tlskey, or cert.pem and key.pem in DOCKER_CERT_PATH"
    ),
    rule!(
        ["mount", "Operation not permitted"],
        |_| "only root may mount; `longshore unpack` writes the files of an image into a folder without"
    ),
    rule!(["Permission denied (os error 13)"], not_allowed_here),
    // Who asks.
    Rule { words: &["pull access denied for "], hint: pull_denied },
    Rule { words: &["permission denied"], hint: file_not_allowed },
    Rule { words: &["denied"], hint: push_without_host },
    Rule { words: &["unauthorized"], hint: push_without_host },
    Rule { words: &["no basic auth credentials"], hint: push_without_host },
    Rule { words: &["login attempt to ", "401"], hint: wrong_password },
    Rule { words: &["incorrect username or password"], hint: wrong_password },
    rule!(
        ["no basic auth credentials"],
        |at| "{} wants to know who asks: {}",
        at.host()?,
        at.login()?
    ),
    rule!(
        ["denied"],
        |at| "{} does not allow this to who is logged in: {}, as somebody who may",
        at.host()?,
        at.login()?
    ),
    rule!(
        ["unauthorized"],
        |at| "{} wants another user name or password: {}",
        at.host()?,
        at.login()?
    ),
    // Names.
    rule!(
        ["repository name (", "must be lowercase"],
        |at| "names have small letters only: {}",
        lowercase(misspelt(at)?)
    ),
    rule!(
        ["invalid reference format"],
        |_| "a name is [HOST[:PORT]/]PATH[:TAG][@DIGEST], as alpine:3.20 or ghcr.io/owner/name"
    ),
    rule!(
        ["no matching manifest for ", "in the manifest list entries"],
        |at| "`longshore registry inspect {}` lists the platforms that there are; choose one with --platform",
        at.image()?
    ),
    rule!(["no matching manifest for "], |_| "choose one of these platforms with --platform"),
    Rule { words: &["manifest unknown"], hint: no_tag },
    Rule { words: &["manifest for ", " not found"], hint: no_tag },
    Rule { words: &["name unknown"], hint: no_repository },
    rule!(
        ["An image does not exist locally with the tag: "],
        |at| "`longshore images` lists what is here; `longshore tag IMAGE {}` gives an image this name",
        at.image()?
    ),
    rule!(
        ["tag does not exist: "],
        |at| "`longshore images {}` lists the tags that are here",
        at.repository()?
    ),
    rule!(
        ["No such image: "],
        |at| "`longshore images` lists what is here; `longshore pull {}` fetches it",
        at.between("No such image: ", "")?.trim()
    ),
    // What the user or the policy asked for.
    rule!(
        ["is refused by the policy"],
        |at| "`longshore verify {}` shows what the policy wants and who signed; whoever owns that file decides",
        at.subject.name.as_deref().or_else(|| at.between("image ", " ("))?
    ),
    rule!(
        ["remote trust data does not exist for "],
        |at| "nobody signed {}: `longshore trust sign` does, and DOCKER_CONTENT_TRUST=0 does without for this once",
        at.image().or_else(|| at.between("does not exist for ", ": "))?
    ),
    rule!(
        ["No valid trust data for "],
        |at| "this tag is not signed: `longshore trust inspect {name}` lists those that are, `longshore trust sign` signs \
              another one",
        name = at.repository()?
    ),
    rule!(
        ["maximum number of passphrase attempts exceeded"],
        |_| "where nobody can be asked, passphrases are taken from DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE and \
             DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE"
    ),
    // The store.
    rule!(["no space left on device"], no_space),
    rule!(["No space left on device"], no_space),
    rule!(["disk quota exceeded"], no_space),
    rule!(
        ["data root `", " is in use by dockerd"],
        |at| "to use that dockerd's images: `longshore -H {} images`",
        dockerd::address(at.between("(process ", ")")?)?
    ),
    rule!(
        ["data root `", " is in use by dockerd"],
        |_| "to use that dockerd's images, name its address by -H: it stands in its `hosts` in daemon.json, or in its log"
    ),
    rule!(
        [" uses storage driver "],
        |_| "leave out --storage-driver, or choose another folder with --data-root"
    ),
    rule!(
        ["keeps its images with the storage driver "],
        |_| "choose another folder with --data-root"
    ),
    rule!(["Read-only file system"], read_only),
    rule!(
        ["image is referenced in multiple repositories"],
        |_| "remove it by its names, which `longshore images` lists, or by all at once with `longshore rmi -f`"
    ),
    rule!(
        ["image is mounted on "],
        |at| "`longshore umount {}` first",
        at.between("image is mounted on ", "")?
    ),
    rule!(
        ["conflict: unable to ", "container "],
        |_| "remove the container with the dockerd that made it (`docker rm`), then the image"
    ),
    // Files.
    rule!(
        [" credentials - err: exec: ", "executable file not found"],
        |_| "install that credential helper, or take `credsStore` or `credHelpers` out of config.json"
    ),
    rule!(
        ["parsing config file ("],
        |_| "correct the file at that place, or move it away and log in again"
    ),
    rule!(
        ["does not contain a manifest.json"],
        |_| "`longshore load` takes what `save` of docker or longshore wrote, and OCI layouts; `longshore import` takes a \
             root file system"
    ),
    rule!(
        ["invalid tar header"],
        |_| "`longshore load` takes what `save` of docker or longshore wrote, and OCI layouts"
    ),
];

fn bare(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

fn lowercase(name: &str) -> String {
    // A tag may have capital letters.
    let last = name.rfind('/').map_or(0, |at| at + 1);
    let end = name[last..].find([':', '@']).map_or(name.len(), |at| last + at);
    name[..end].to_lowercase() + &name[end..]
}

fn no_way(at: &Failure<'_>) -> Option<String> {
    Some(format!(
        "no network of this machine leads to {}: check VPN and routes, or set HTTPS_PROXY where a proxy does",
        at.host()?
    ))
}

fn no_answer(at: &Failure<'_>) -> Option<String> {
    Some(format!(
        "{} does not answer: check host and port and the firewalls on the way, or set HTTPS_PROXY where a proxy is needed",
        at.host()?
    ))
}

fn wrong_password(at: &Failure<'_>) -> Option<String> {
    Some(format!(
        "{} does not know this user name with this password; many registries want an access token in its place",
        at.registry()?
    ))
}

fn no_tag(at: &Failure<'_>) -> Option<String> {
    let repository = at.repository()?;
    Some(format!("`longshore registry tags {repository}` lists the tags of {repository}"))
}

fn no_repository(at: &Failure<'_>) -> Option<String> {
    Some(format!(
        "{host} has no repository {name}, or does not show it to you: check the name, or {login}",
        host = at.host()?,
        name = at.repository()?,
        login = at.login()?
    ))
}

fn no_space(at: &Failure<'_>) -> String {
    // A pull alone names an image, and goes on where it was.
    let is_pull = at.subject.name.is_some() && !at.subject.is_push;
    let kept = if is_pull { "what was downloaded is kept for the next try; " } else { "" };
    format!(
        "{kept}free space, as with `longshore prune`; `longshore system df` tells what takes how much"
    )
}

/// Advises on names that a registry does not show to this user.
fn pull_denied(at: &Failure<'_>) -> Option<String> {
    let name = at.between("pull access denied for ", ", repository does not exist")?;
    let repository = Repository::parse_familiar(name).ok()?;
    if !repository.is_docker_hub() {
        let login = at.login()?;
        return Some(if login.starts_with('`') { format!("log in with {login}") } else { login });
    }
    Some(format!(
        "`{name}` means `{repository}`; for another registry write its host first, as in `ghcr.io/owner/name`"
    ))
}

/// Advises on a name without a host that nobody but Docker may push to.
fn push_without_host(at: &Failure<'_>) -> Option<String> {
    let repository = Repository::parse_familiar(&at.repository()?).ok()?;
    if !at.subject.is_push
        || !repository.is_docker_hub()
        || !repository.path().starts_with("library/")
    {
        return None;
    }
    let name = repository.familiar();
    Some(format!(
        "`{name}` means `{repository}`; give it a registry and a name of yours first, as in `longshore tag {name} \
         ghcr.io/OWNER/{name}`, and push that"
    ))
}

fn more_files(_: &Failure<'_>) -> String {
    "let more files be open: `ulimit -n 1024` before the command is enough; of a daemon that is asked, in its own shell, or \
     LimitNOFILE= in its unit"
        .to_owned()
}

fn damaged_archive(_: &Failure<'_>) -> String {
    "the archive is damaged: copy it here once more, and compare its checksum (`sha256sum`) with the one where it was made".to_owned()
}

fn not_allowed_here(at: &Failure<'_>) -> String {
    format!("run it as a user who may, or as root; {}", elsewhere(at))
}

fn read_only(at: &Failure<'_>) -> String {
    format!("mount that file system for writing; {}", elsewhere(at))
}

/// The way to another place than the one where it failed: by its path if that is in the configuration folder, and by the words
/// around it, of logins, a socket, a copy's destination or a registry's files; else it is the store.
fn elsewhere(at: &Failure<'_>) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| at.text.contains(word));
    // Words of paths do not count: an image may have a file of any name.
    if at.is_in_config() || says(&["Error saving credentials", "loading config file"]) {
        "for a configuration folder of your own: --config or DOCKER_CONFIG"
    } else if says(&["listen", "unix socket", "unix://"]) {
        "for a socket of your own leave out -H, or name a folder of yours by it"
    } else if says(&["certs.d"]) {
        "or have those who run it read that file"
    } else if says(&["cannot write "]) {
        "or choose another place"
    } else {
        "for a store of your own: --data-root"
    }
}

/// The places of a certificate, for whoever runs the command and for a daemon.
fn certificate_places(host: &str) -> String {
    let system = format!("/etc/longshore/certs.d/{host}/ca.crt");
    if rustix::process::geteuid().is_root() {
        return system;
    }
    format!("~/.config/longshore/certs.d/{host}/ca.crt (for a daemon: {system})")
}

/// A name with capital letters, as the user wrote it: the command's, one in quotes, or what the grammar refuses.
fn misspelt<'a>(at: &'a Failure<'_>) -> Option<&'a str> {
    let path = at.between("repository name (", ")")?;
    let written = at.subject.name.as_deref();
    written
        .or_else(|| at.text.split('"').nth(1).filter(|quoted| quoted.contains(path)))
        .or(Some(path))
}

fn for_other_names(at: &Failure<'_>) -> Option<String> {
    Some(format!(
        "{}'s certificate is for other names: ask the registry by one of them, or have the certificate made for this one",
        at.host()?
    ))
}

/// A mirror of the list of those who were asked, if it is one without a login.
fn mirror_wants_login(at: &Failure<'_>) -> Option<String> {
    let mut asked = at.text.lines().filter_map(|line| line.trim_start().split_once(" (mirror): "));
    let is_login = |said: &str| said.contains("no basic auth") || said.contains("unauthorized");
    let (url, _) = asked.find(|(_, said)| is_login(said))?;
    let host = url.split_once("://").map_or(url, |(_, host)| host);
    Some(format!("the mirror {host} wants to know who asks: `longshore login {host}`"))
}

/// A file or a folder that may not be opened; what a registry denies has a URL.
fn file_not_allowed(at: &Failure<'_>) -> Option<String> {
    let is_here = !at.text.contains("://");
    if is_here && elsewhere(at).contains("--config") {
        return Some(not_allowed_here(at));
    }
    is_here.then(|| "the user that runs this may not open it: see `ls -ld`".to_owned())
}
