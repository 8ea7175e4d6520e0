//! `longshore inspect` and `longshore image inspect`

mod shapes;

use api::{ApiVersion, Query};
use bytes::Bytes;
use go_template::shape::Shape;
use go_template::{Execution, Template, Value, json};
use serde_json::Value as Json;

use super::parameters;
use crate::client::Call;
use crate::error::CliError;
use crate::output;
use crate::session::Session;

/// The version of the API since which an inspection takes a platform.
const PLATFORM_VERSION: ApiVersion = ApiVersion::new(1, 49);

/// Return low-level information on Docker objects
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore inspect [OPTIONS] NAME|ID [NAME|ID...]")]
pub(crate) struct Arguments {
    /// Format output using a custom template: 'json' or 'TEMPLATE' (a Go template)
    #[arg(short = 'f', long, value_name = "string")]
    format: Option<String>,
    /// Display total file sizes if the type is container
    #[arg(short = 's', long)]
    size: bool,
    /// Only inspect objects of the given type
    #[arg(long = "type", value_name = "string")]
    kind: Option<String>,
    #[arg(hide = true, required = true, value_name = "NAME")]
    names: Vec<String>,
}

/// Display detailed information on one or more images
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore image inspect [OPTIONS] IMAGE [IMAGE...]")]
pub(crate) struct ImageArguments {
    /// Format output using a custom template: 'json' or 'TEMPLATE' (a Go template)
    #[arg(short = 'f', long, value_name = "string")]
    format: Option<String>,
    /// Inspect a specific platform of the multi-platform image: 'os[/arch[/variant]]'
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    #[arg(hide = true, required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// The kinds of objects, in the order in which a name is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    name: &'static str,
    /// The path before the name.
    path: &'static str,
    /// The path after it.
    suffix: &'static str,
    /// True if only a swarm has such objects: they are not looked for unless asked for by kind.
    swarm: bool,
}

const KINDS: [Kind; 10] = [
    Kind { name: "container", path: "/containers/", suffix: "/json", swarm: false },
    Kind { name: "image", path: "/images/", suffix: "/json", swarm: false },
    Kind { name: "network", path: "/networks/", suffix: "", swarm: false },
    Kind { name: "volume", path: "/volumes/", suffix: "", swarm: false },
    Kind { name: "service", path: "/services/", suffix: "", swarm: true },
    Kind { name: "task", path: "/tasks/", suffix: "", swarm: true },
    Kind { name: "node", path: "/nodes/", suffix: "", swarm: true },
    Kind { name: "plugin", path: "/plugins/", suffix: "/json", swarm: false },
    Kind { name: "secret", path: "/secrets/", suffix: "", swarm: true },
    Kind { name: "config", path: "/configs/", suffix: "", swarm: true },
];
const IMAGE: Kind = KINDS[1];

/// An object as the daemon told it.
struct Object {
    kind: Kind,
    raw: Bytes,
}

/// Shows objects of any kind.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let kinds: Vec<Kind> = match arguments.kind.as_deref() {
        None => KINDS.into_iter().filter(|kind| !kind.swarm).collect(),
        Some(name) => match KINDS.into_iter().find(|kind| kind.name == name) {
            Some(kind) => vec![kind],
            None => return Err(unknown_kind(name)),
        },
    };
    let mut report = Report::new(arguments.format.as_deref())?;
    for name in &arguments.names {
        let found = find(session, name, &kinds, arguments.size).await;
        report.add(found);
    }
    report.print()
}

/// Shows images.
pub(crate) async fn run_images(
    arguments: ImageArguments,
    session: &Session,
) -> Result<(), CliError> {
    let mut query = Query::new();
    let platform = arguments.platform.as_deref();
    if let Some(platform) = parameters::platform(platform, PLATFORM_VERSION, session).await? {
        query.add("platform", platform);
    }
    let mut report = Report::new(arguments.format.as_deref())?;
    for image in &arguments.images {
        report.add(fetch(session, image, IMAGE, query.clone()).await);
    }
    report.print()
}

fn unknown_kind(name: &str) -> CliError {
    let mut names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    names.sort_unstable();
    let names = names.join("\", \"");
    CliError::Refused(match name {
        "" => format!("type is empty: must be one of \"{names}\""),
        _ => format!("unknown type: {name:?}: must be one of \"{names}\""),
    })
}

/// Tries a name as each of the kinds.
async fn find(
    session: &Session,
    name: &str,
    kinds: &[Kind],
    size: bool,
) -> Result<Object, CliError> {
    for kind in kinds {
        let query = if size && kind.name == "container" {
            Query::new().with("size", "1")
        } else {
            Query::new()
        };
        match fetch(session, name, *kind, query).await {
            Err(error) if kinds.len() > 1 && is_skippable(&error) => {}
            Ok(object) => {
                if size && kind.name != "container" {
                    output::warn_line(&format!("WARNING: --size ignored for {}", kind.name));
                }
                return Ok(object);
            }
            Err(error) => return Err(error),
        }
    }
    Err(CliError::Refused(format!("Error: No such object: {name}")))
}

/// Returns whether an error only says that the name is none of this kind.
fn is_skippable(error: &CliError) -> bool {
    match error {
        CliError::Daemon { status: 404 | 501, .. } => true,
        CliError::Daemon { message, .. } => {
            message.contains("not supported") || message.contains("invalid reference format")
        }
        _ => false,
    }
}

async fn fetch(
    session: &Session,
    name: &str,
    kind: Kind,
    query: Query,
) -> Result<Object, CliError> {
    // Of images docker asks for any name that is not empty.
    let is_blank = if kind.name == "image" { name.is_empty() } else { name.trim().is_empty() };
    if is_blank {
        return Err(CliError::Refused(match kind.name {
            "container" => "invalid container name or ID: value is empty".to_owned(),
            other => format!("Error: No such {other}: {name}"),
        }));
    }
    let path = format!("{}{name}{}", kind.path, kind.suffix);
    let raw = session.client.get(&path, Call::query(query)).await?.bytes().await?;
    Ok(Object { kind, raw })
}

/// The output: the objects that were found, and the errors of those that were not.
struct Report {
    template: Option<Template>,
    compact: bool,
    /// The objects' JSON, or what the template made of them.
    texts: Vec<String>,
    errors: Vec<CliError>,
}

impl Report {
    fn new(format: Option<&str>) -> Result<Report, CliError> {
        let (template, compact) = match format {
            None | Some("") => (None, false),
            Some("json") => (None, true),
            Some(text) => (Some(Template::parse(text).map_err(CliError::TemplateArgument)?), false),
        };
        Ok(Report { template, compact, texts: Vec::new(), errors: Vec::new() })
    }

    fn add(&mut self, found: Result<Object, CliError>) {
        match found.and_then(|object| self.text(&object)) {
            Ok(text) => self.texts.push(text),
            Err(error) => self.errors.push(error),
        }
    }

    fn text(&self, object: &Object) -> Result<String, CliError> {
        let document: Json = serde_json::from_slice(&object.raw).map_err(CliError::AnswerJson)?;
        let Some(template) = &self.template else {
            return Ok(String::from_utf8_lossy(&object.raw).into_owned());
        };
        if object.kind == IMAGE {
            let typed = Shape::Structure(&shapes::IMAGE).read(Some(&document));
            if let Ok(text) = template.execute(&typed, Execution::Values) {
                return Ok(text + "\n");
            }
        }
        // What the type has not, or has under another name, the daemon's own words may have.
        let text = template.execute(&Value::from_json(&document), Execution::Strict)?;
        Ok(text + "\n")
    }

    fn print(self) -> Result<(), CliError> {
        let text = match (&self.template, self.texts.is_empty()) {
            (Some(_), true) => "\n".to_owned(),
            (Some(_), false) => self.texts.concat(),
            (None, true) => "[]\n".to_owned(),
            (None, false) => {
                let document = format!("[{}]", self.texts.join(","));
                let text =
                    if self.compact { json::compact(&document) } else { json::indent(&document) };
                text + "\n"
            }
        };
        output::print(&text)?;
        if self.errors.is_empty() { Ok(()) } else { Err(CliError::Several(self.errors)) }
    }
}
