//! `longshore manifest inspect`

mod json;

use api::Query;
use api::auth::AuthConfig;
use api::manifest::{FoundManifest, ManifestInspect};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;
use spec::{Descriptor, MediaType, Platform, Reference, to_go_json};

use crate::client::{Call, Client};
use crate::credentials::key_of_domain;
use crate::error::CliError;
use crate::output;
use crate::session::Session;

/// Display an image manifest, or manifest list
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore manifest inspect [OPTIONS] [MANIFEST_LIST] MANIFEST")]
pub(crate) struct Arguments {
    /// Allow communication with an insecure registry
    #[arg(long)]
    insecure: bool,
    /// Output additional info including layers and platform
    #[arg(short = 'v', long)]
    verbose: bool,
    #[arg(hide = true, required = true, value_name = "MANIFEST")]
    first: String,
    #[arg(hide = true, value_name = "MANIFEST")]
    second: Option<String>,
}

/// Shows what a name leads to at its registry. Lists that are made here, which docker looks at first, there are none.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let (list, name) = match &arguments.second {
        Some(second) => (Some(&arguments.first), second),
        None => (None, &arguments.first),
    };
    let reference = Reference::parse_familiar(name)?.with_default_tag();
    if let Some(list) = list {
        Reference::parse_familiar(list)?;
        return Err(CliError::Refused(format!("No such manifest: {reference}")));
    }
    let key = key_of_domain(reference.repository().domain());
    // As Docker does: what can be had without credentials still can.
    let auth = session.credentials_to_read().get(key).await.unwrap_or_default();
    let found = match ask(&session.client, &arguments, &reference, &auth).await {
        // A daemon that is not Longshore's, or does not answer this there: this process asks, as docker's own would.
        Err(error) if error.is_unknown_route() || error.is_closed_route() => {
            let client = session.in_process()?;
            let found = ask(&client, &arguments, &reference, &auth).await;
            client.close().await;
            found
        }
        found => found,
    };
    let found = found.map_err(|error| match error {
        // Docker has no daemon in between.
        CliError::Daemon { message, .. } => CliError::Refused(message),
        error => error,
    })?;
    output::print(&text(&found, arguments.verbose)?)
}

async fn ask(
    client: &Client,
    arguments: &Arguments,
    reference: &Reference,
    auth: &AuthConfig,
) -> Result<ManifestInspect, CliError> {
    let mut query = Query::new().with("name", reference.to_string());
    if arguments.insecure {
        query.add("insecure", "1");
    }
    let call = Call { query, registry_auth: Some(auth.encode()), ..Call::default() };
    client.get("/longshore/manifest/inspect", call).await?.json().await
}

/// Returns what docker prints.
fn text(found: &ManifestInspect, verbose: bool) -> Result<String, CliError> {
    let failed = CliError::AnswerJson;
    let text = match (verbose, found.is_list) {
        (false, false) => {
            let raw = found.manifests.first().map_or("", |manifest| &manifest.raw);
            json::indent(raw, "\t")
        }
        (false, true) => {
            json::indent(&to_go_json(&List::of(&found.manifests)).map_err(failed)?, "   ")
        }
        (true, is_list) => {
            let shown = found.manifests.iter().map(Shown::of).collect::<Result<Vec<_>, _>>();
            let shown = shown.map_err(failed)?;
            let document = match shown.first() {
                Some(only) if !is_list => to_go_json(only),
                _ => to_go_json(&shown),
            };
            json::indent(&document.map_err(failed)?, "\t")
        }
    };
    Ok(text + "\n")
}

/// A manifest with all that is known of it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown<'a> {
    r#ref: &'a str,
    descriptor: ShownDescriptor<'a>,
    raw: String,
    #[serde(rename = "SchemaV2Manifest", skip_serializing_if = "Option::is_none")]
    docker: Option<&'a RawValue>,
    #[serde(rename = "OCIManifest", skip_serializing_if = "Option::is_none")]
    oci: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownDescriptor<'a> {
    media_type: &'a MediaType,
    digest: String,
    size: u64,
    platform: ShownPlatform<'a>,
}

impl<'a> Shown<'a> {
    fn of(found: &'a FoundManifest) -> Result<Self, serde_json::Error> {
        let document: &RawValue = serde_json::from_str(&found.raw)?;
        let Descriptor { media_type, digest, size, platform, .. } = &found.descriptor;
        let is_docker = *media_type == MediaType::DockerManifest;
        Ok(Self {
            r#ref: &found.reference,
            descriptor: ShownDescriptor {
                media_type,
                digest: digest.to_string(),
                size: *size,
                platform: ShownPlatform::of(platform.as_ref()),
            },
            raw: STANDARD.encode(&found.raw),
            docker: is_docker.then_some(document),
            oci: (!is_docker).then_some(document),
        })
    }
}

/// A list as docker would make it of the manifests, whatever the registry's own looks like.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    schema_version: u32,
    media_type: MediaType,
    manifests: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    media_type: &'a MediaType,
    size: u64,
    digest: String,
    platform: ShownPlatform<'a>,
}

impl<'a> List<'a> {
    fn of(found: &'a [FoundManifest]) -> Self {
        let is_oci = found
            .first()
            .is_some_and(|first| first.descriptor.media_type == MediaType::OciManifest);
        let entries = found.iter().map(|found| Entry {
            media_type: &found.descriptor.media_type,
            size: found.descriptor.size,
            digest: found.descriptor.digest.to_string(),
            platform: ShownPlatform::of(found.descriptor.platform.as_ref()),
        });
        Self {
            schema_version: 2,
            media_type: if is_oci { MediaType::OciIndex } else { MediaType::DockerManifestList },
            manifests: entries.collect(),
        }
    }
}

#[derive(Default, Serialize)]
struct ShownPlatform<'a> {
    architecture: &'a str,
    os: &'a str,
    #[serde(rename = "os.version", skip_serializing_if = "str::is_empty")]
    os_version: &'a str,
    #[serde(rename = "os.features", skip_serializing_if = "<[String]>::is_empty")]
    os_features: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    variant: &'a str,
}

impl<'a> ShownPlatform<'a> {
    fn of(platform: Option<&'a Platform>) -> Self {
        let Some(platform) = platform else { return Self::default() };
        Self {
            architecture: &platform.architecture,
            os: &platform.os,
            os_version: platform.os_version.as_deref().unwrap_or_default(),
            os_features: &platform.os_features,
            variant: platform.variant.as_deref().unwrap_or_default(),
        }
    }
}
