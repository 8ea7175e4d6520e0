//! Errors in Docker's words, and the recovery from them.

pub(crate) mod everywhere;
pub(crate) mod fault;
pub(crate) mod fields;
pub(crate) mod foreign;
pub(crate) mod recovery;
pub(crate) mod redact;
pub(crate) mod refusal;
pub(crate) mod retry_after;
pub(crate) mod settings;

use std::{io, time::Duration};

use spec::{Digest, ReferenceError};

use crate::jws::error::SignatureError;
use everywhere::FailedEverywhere;
use fault::RequestFailed;
use foreign::ForeignFailure;
use redact::quoted;
use refusal::Refusal;
use settings::SettingsError;

/// An error of this crate. `Display` is dockerd's sentence where it has one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The settings make no sense, or their files cannot be read.
    #[error(transparent)]
    Settings(Box<SettingsError>),
    /// The address given to a login is no URL.
    #[error("unable to parse server address: `{address}`: {reason}")]
    ServerAddress {
        /// The text as given.
        address: String,
        /// The fault in it.
        reason: String,
    },
    /// A search term looks like a URL.
    #[error("invalid repository name: repository name ({term}) should not have a scheme")]
    SearchScheme {
        /// The text as given.
        term: String,
    },
    /// More or fewer results are asked for than there can be.
    #[error("limit {limit} is outside the range of [1, 100]")]
    SearchLimit {
        /// The limit that was asked for.
        limit: i64,
    },
    /// An index that must be secure cannot be reached so.
    #[error(
        "invalid registry endpoint {endpoint}: {failure}. If this private registry supports only HTTP or HTTPS with an \
         unknown CA certificate, add `--insecure-registry {host}` to the daemon's arguments. In the case of HTTPS, if \
         you have access to the registry's CA certificate, no need for the flag; place the CA certificate at \
         /etc/docker/certs.d/{host}/ca.crt"
    )]
    SecureIndex {
        /// The index.
        endpoint: String,
        /// Host and port, as in an image's name.
        host: String,
        /// The cause.
        failure: Box<RegistryError>,
    },
    /// An insecure index cannot be reached at all.
    #[error("invalid registry endpoint {}. HTTPS attempt: {https}. HTTP attempt: {http}", quoted(.endpoint))]
    InsecureIndex {
        /// The index.
        endpoint: String,
        /// The failure by HTTPS.
        https: Box<RegistryError>,
        /// The failure by HTTP.
        http: Box<RegistryError>,
    },
    /// An index does not want to search.
    #[error("unexpected status code {status}")]
    SearchStatus {
        /// The HTTP status.
        status: u16,
    },
    /// The results of a search cannot be read.
    #[error("error decoding registry search results")]
    SearchResults {
        /// The fault in them.
        source: serde_json::Error,
    },
    /// A file's address is no URL.
    #[error("parse {}: {reason}", quoted(.url))]
    DownloadUrl {
        /// The address, without user name and password.
        url: String,
        /// The fault in it.
        reason: String,
    },
    /// A file's address has a scheme that is not HTTP's.
    #[error("Get {}: unsupported protocol scheme {}", quoted(.url), quoted(.scheme))]
    DownloadScheme {
        /// The part before `://`.
        scheme: String,
        /// The address, without password.
        url: String,
    },
    /// A server does not give a file.
    #[error("failed to GET {url} with status {line}: {body}")]
    DownloadRefused {
        /// The address, without password.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The status in words.
        line: String,
        /// The server's words, cut where they are long.
        body: String,
    },
    /// A file is not the one any more of which a part has come.
    #[error("read `{url}`: the file changed while it was read")]
    DownloadChanged {
        /// The address, without password.
        url: String,
    },
    /// The HTTP client could not be set up.
    #[error("cannot set up the HTTP client")]
    Client {
        /// The cause.
        source: reqwest::Error,
    },
    /// A request got no answer: no connection, no credentials to show, no end of redirects.
    #[error(transparent)]
    Request(Box<RequestFailed>),
    /// The registry answered with an error.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// Nobody of several could help.
    #[error(transparent)]
    Everywhere(Box<FailedEverywhere>),
    /// A body that should be a document, a manifest or a list, is none.
    #[error("{request}: error unmarshalling content: {reason}")]
    Unmarshalling {
        /// Method and URL, as in a failed request.
        request: String,
        /// Go's words for it.
        reason: String,
    },
    /// Nothing, or next to nothing, arrived for the stall timeout.
    #[error("read `{url}`: too little data for {} ms", after.as_millis())]
    Stalled {
        /// The URL without its secrets.
        url: String,
        /// The stall timeout.
        after: Duration,
    },
    /// An answer's body ended in the middle.
    #[error("read `{url}`: {reason}")]
    Interrupted {
        /// The URL without its secrets.
        url: String,
        /// Go's words for it: `unexpected EOF`, `read: connection reset by peer`.
        reason: String,
    },
    /// An answer ended properly, but short of what was asked for.
    #[error("read `{url}`: received {received} bytes of {expected}")]
    Truncated {
        /// The URL without its secrets.
        url: String,
        /// Bytes received.
        received: u64,
        /// Bytes asked for.
        expected: u64,
    },
    /// An answer is larger than what it may be.
    #[error("{what} of `{url}` is larger than {limit} bytes")]
    TooLarge {
        /// The kind of content.
        what: &'static str,
        /// The URL without its secrets.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// Content hashes to something else than its digest.
    #[error("{what} verification failed for digest {expected}{}", everywhere::named(.request))]
    DigestMismatch {
        /// `manifest`, `image` (of schema 1), `config` or `blob`.
        what: &'static str,
        /// The digest asked for.
        expected: Digest,
        /// The digest of what came, or what the registry said it is.
        actual: Digest,
        /// The request that it is the answer to, as a failed one is named; empty where there was none.
        request: String,
    },
    /// A manifest of the first schema, which nobody has allowed.
    #[error(
        "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. Suggest the \
         author of {name} to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. More \
         information at https://docs.docker.com/go/deprecated-image-specs/"
    )]
    FirstSchema {
        /// The image, in full.
        name: String,
    },
    /// A manifest of the first schema is not as it was signed.
    #[error("verification of the manifest of {name} (schema 1) failed: {source}")]
    Signature {
        /// The image, in full.
        name: String,
        /// The fault in it.
        source: SignatureError,
    },
    /// A blob has another size than its descriptor says.
    #[error("{request}: size of {digest} is {actual} bytes, its descriptor says {expected}")]
    SizeMismatch {
        /// The request that it is the answer to, as a failed one is named.
        request: String,
        /// The blob.
        digest: Digest,
        /// The descriptor's size in bytes.
        expected: u64,
        /// The registry's size in bytes.
        actual: u64,
    },
    /// A header that the protocol demands is missing or makes no sense.
    #[error("missing or malformed `{name}` header in the answer of `{url}`")]
    Header {
        /// The header's name.
        name: &'static str,
        /// The URL without its secrets.
        url: String,
    },
    /// An answer's JSON is not what it should be.
    #[error("error parsing the answer of `{url}`: {source}")]
    Json {
        /// The URL without its secrets.
        url: String,
        /// The fault in it.
        source: serde_json::Error,
    },
    /// A list is longer than any registry's.
    #[error("{list} `{url}` has more than {limit} {what}")]
    ListTooLong {
        /// The list's name, `list of tags` for instance.
        list: &'static str,
        /// The URL without its secrets.
        url: String,
        /// `pages`, or the name of its entries.
        what: &'static str,
        /// The most that are read.
        limit: usize,
    },
    /// A list leads in a circle or to what is no web server.
    #[error("refusing to follow the {list} to `{link}`")]
    Link {
        /// The list's name, `list of tags` for instance.
        list: &'static str,
        /// The link without its secrets.
        link: String,
    },
    /// The list of tags holds something that is no tag.
    #[error("invalid tag {} in `{url}`: {source}", quoted(.tag))]
    Tag {
        /// The registry's text.
        tag: String,
        /// The URL without its secrets.
        url: String,
        /// The fault in it.
        source: ReferenceError,
    },
    /// The list of repositories holds something that is no name of one.
    #[error("invalid repository name {} in `{url}`: {source}", quoted(.name))]
    Name {
        /// The registry's text.
        name: String,
        /// The URL without its secrets.
        url: String,
        /// The fault in it.
        source: ReferenceError,
    },
    /// The body of an upload could not be produced; the registry is not to blame.
    #[error("cannot read what is to be uploaded: {source}")]
    Source {
        /// The source's error.
        source: io::Error,
    },
    /// The registry no longer knows the upload: it has to be started again.
    #[error("blob upload unknown{}", everywhere::named(.request))]
    UploadUnknown {
        /// The request that it is the answer to, as a failed one is named.
        request: String,
    },
    /// The registry takes whole blobs only: the upload has to be started again, and will be one `PUT`.
    #[error("the registry does not take blobs in parts (status {status}){}", everywhere::named(.request))]
    PartsRefused {
        /// Its answer.
        status: u16,
        /// The request that it is the answer to, as a failed one is named.
        request: String,
    },
    /// The registry, or a proxy before it, takes less in one request: what is left goes in smaller parts.
    #[error("the registry takes at most {most} bytes in a request")]
    PartTooLarge {
        /// The most that is tried next.
        most: u64,
    },
    /// The registry no longer took the token; there is a new one, but the body was on its way.
    #[error("the token for `{url}` was renewed in the middle of an upload")]
    TokenRenewed {
        /// The URL without its secrets.
        url: String,
    },
    /// The registry says that it deletes something, which is there all the same.
    #[error(
        "{name} is still there, although the registry says that it deletes it: perhaps it does so later"
    )]
    StillThere {
        /// The tag or the manifest, with its repository.
        name: String,
    },
    /// The registry says that it stored a manifest under a tag, which means something else.
    #[error("{name} {}, although the registry says that it is stored", not_moved(.actual.as_ref()))]
    NotMoved {
        /// The tag, with its repository.
        name: String,
        /// The digest that the tag has, if there is such a tag.
        actual: Option<Digest>,
    },
    /// A login was answered, but not with 200.
    #[error("login attempt to {url} failed with status: {status}")]
    Login {
        /// The `/v2/` URL.
        url: String,
        /// Code and words, `401 Unauthorized`.
        status: String,
    },
    /// A layer that is not to be redistributed is neither at the registry nor at its own URLs.
    #[error("layer {digest} is not at the registry ({registry}), nor at its own URLs: {}", foreign::listed(.failures))]
    Foreign {
        /// The layer's blob.
        digest: Digest,
        /// The registry's answer.
        registry: Box<RegistryError>,
        /// The failure of each URL.
        failures: Vec<ForeignFailure>,
    },
    /// The name is one that no registry can have.
    #[error("Get \"https:/v2/\": http: no Host in request URL")]
    NoDomain,
    /// There is nobody to ask.
    #[error("no endpoint for registry `{host}`")]
    NoEndpoint {
        /// The registry.
        host: String,
    },
}

fn not_moved(actual: Option<&Digest>) -> String {
    actual.map_or_else(|| "does not exist".to_owned(), |actual| format!("still means {actual}"))
}

impl From<SettingsError> for RegistryError {
    fn from(error: SettingsError) -> Self {
        Self::Settings(Box::new(error))
    }
}

impl RegistryError {
    /// Tells whether the registry says that repository, manifest, blob or upload does not exist.
    pub fn is_not_found(&self) -> bool {
        match self.decisive() {
            Self::Refused(refusal) => refusal.is_not_found(),
            Self::UploadUnknown { .. } => true,
            _ => false,
        }
    }

    /// Tells whether the registry did not take a manifest as that of an image: code `MANIFEST_INVALID` or `TAG_INVALID`, or status
    /// 415. Old ones say so of every schema but the first.
    pub fn refuses_manifest(&self) -> bool {
        matches!(self.decisive(), Self::Refused(refusal) if refusal.refuses_manifest())
    }

    /// Tells whether registry or token server did not accept who asks: code `UNAUTHORIZED`, or status 401
    /// without a code.
    pub fn is_unauthorized(&self) -> bool {
        match self.decisive() {
            Self::Refused(refusal) => refusal.is_unauthorized(),
            Self::Request(failed) => failed.refusal().is_some_and(Self::is_unauthorized),
            _ => false,
        }
    }

    /// Tells whether registry or token server knows who asks and says no: code `DENIED`, or status 403
    /// without a code.
    pub fn is_denied(&self) -> bool {
        match self.decisive() {
            Self::Refused(refusal) => refusal.is_denied(),
            Self::Request(failed) => failed.refusal().is_some_and(Self::is_denied),
            _ => false,
        }
    }
}
