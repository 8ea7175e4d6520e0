//! `longshore registry referrers`

use api::remote::Referrers;
use go_template::Listing;
use http::Method;
use spec::go::{LIST_DIGITS, human_bytes};

use super::Question;
use crate::cells::row;
use crate::error::CliError;
use crate::output;
use crate::session::Session;

const TABLE: &str = "table {{.Digest}}\t{{.ArtifactType}}\t{{.Size}}\t{{.ListedBy}}";
const HEADERS: [(&str, &str); 6] = [
    ("Digest", "DIGEST"),
    ("ArtifactType", "ARTIFACT TYPE"),
    ("MediaType", "MEDIA TYPE"),
    ("Size", "SIZE"),
    ("ListedBy", "LISTED BY"),
    ("Tag", "TAG"),
];

/// List what refers to an image at its registry: signatures, SBOMs, attestations
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore registry referrers [OPTIONS] NAME")]
pub(crate) struct Arguments {
    /// Only those of this type
    #[arg(long, value_name = "string")]
    artifact_type: Option<String>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE' (a Go template)
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// What refers to the image of an index for this platform: 'os[/arch[/variant]]'
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    #[arg(hide = true, required = true, value_name = "NAME")]
    pub(super) name: String,
}

/// Lists referrers.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let route = (Method::GET, "/longshore/registry/referrers");
    let platform = arguments.platform.as_deref();
    let mut question = Question::about(session, route, &arguments.name, platform).await?;
    if let Some(artifact_type) = &arguments.artifact_type {
        question = question.with("artifactType", artifact_type);
    }
    let found: Referrers =
        question.document(session).await.map_err(|error| error.about(&arguments.name))?;
    let format = match arguments.format.as_deref().unwrap_or_default() {
        "" | "table" => TABLE,
        format => format,
    };
    let rows = found.referrers.into_iter().map(|referrer| {
        // Those that cosign keeps have a name that says as much.
        let listed_by = match referrer.tag.as_str() {
            "" => referrer.listed_by,
            tag => format!("{} ({tag})", referrer.listed_by),
        };
        let fields = [
            ("Digest", referrer.digest),
            ("ArtifactType", referrer.artifact_type),
            ("MediaType", referrer.media_type),
            ("Size", human_bytes(referrer.size, LIST_DIGITS)),
            ("ListedBy", listed_by),
            ("Tag", referrer.tag),
        ];
        row("registry.referrer", fields)
    });
    let rows: Vec<_> = rows.collect();
    output::print(&Listing { format, headers: &HEADERS }.render(&rows)?)
}
