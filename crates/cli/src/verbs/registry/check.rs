//! `longshore registry check`

use std::fmt::Write as _;

use api::Query;
use api::registry::{Endpoint, GIVEN, RegistryCheck, Request};
use go_template::{Execution, Template, Value};
use spec::Reference;

use crate::client::Call;
use crate::credentials::{DOCKER_HUB_KEY, ambient, host_of, key_of_domain};
use crate::error::CliError;
use crate::hints::{self, Subject};
use crate::output;
use crate::session::Session;
use crate::verbs::verify;

/// Show who would be asked for an image, and what each answers; nothing is downloaded
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Format output using a custom template: 'json' or 'TEMPLATE' (a Go template)
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// An image, or a registry's host
    #[arg(hide = true, required = true, value_name = "NAME")]
    name: String,
}

/// Asks for a check and shows it. Fails if the name cannot be resolved.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let format = arguments.format.as_deref().unwrap_or_default();
    let template = (!matches!(format, "" | "json")).then_some(format);
    let template = template.map(Template::parse).transpose().map_err(CliError::TemplateArgument)?;
    session.refuse_policy_for_daemon()?;
    let store = session.credentials_to_read();
    let registry = registry(&arguments.name)?;
    let key = key_of_domain(&registry);
    let auth = store.get_or_warn(key).await;
    let mut query = Query::new();
    query.add("name", arguments.name.as_str());
    let call = Call { query, registry_auth: Some(auth.encode()), ..Call::default() };
    let answer = session.client.get("/longshore/registry/check", call).await;
    let answer = answer.map_err(foreign)?;
    let mut check: RegistryCheck = answer.json().await?;
    for origin in check.endpoints.iter_mut().filter_map(|endpoint| endpoint.credentials.as_mut()) {
        if origin == GIVEN {
            *origin = store.origin(key);
        }
    }
    // Credentials that nobody came to ask for are there all the same.
    let held = (!auth.is_empty()).then(|| store.origin(key));
    match template {
        None if format == "json" => {
            output::print_line(&serde_json::to_string(&check).map_err(CliError::AnswerJson)?)?;
        }
        None => output::print(&text(&check, held.as_deref()))?,
        Some(template) => {
            let json = serde_json::to_value(&check).map_err(CliError::AnswerJson)?;
            output::print_line(&template.execute(&Value::from_json(&json), Execution::Strict)?)?;
        }
    }
    if check.resolver.is_some() {
        return Ok(());
    }
    Err(CliError::Refused(format!("{} cannot be resolved", check.name)).advised(hint(&check)))
}

/// Returns advice on the first endpoint that fails for a reason that something can be done about.
fn hint(check: &RegistryCheck) -> Option<String> {
    check.endpoints.iter().filter(|endpoint| !endpoint.works).find_map(|endpoint| {
        let last = endpoint.requests.last()?;
        let host = if endpoint.mirror { host_of(&endpoint.url) } else { check.registry.as_str() };
        let fault = last.error.as_deref().unwrap_or_default();
        let subject = Subject::registry(Some(host)).with_ambient(ambient());
        hints::of_answer(fault, last.status, &subject)
    })
}

/// Returns the registry that a name is of, or is.
fn registry(name: &str) -> Result<String, CliError> {
    // The grammar of names decides what a host may be.
    let image = match api::registry::host(name) {
        Some(host) => format!("{host}/a/b"),
        None => name.to_owned(),
    };
    Ok(Reference::parse_familiar(&image)?.repository().domain().to_owned())
}

fn foreign(error: CliError) -> CliError {
    let instead = "without -H, LONGSHORE_HOST and DOCKER_HOST, `longshore registry check` asks from this machine itself";
    error.of_another_daemon("say whom it would ask", instead)
}

/// Returns a check as text.
fn text(check: &RegistryCheck, held: Option<&str>) -> String {
    let mut text = format!("Name:     {}\nRegistry: {}\n", check.name, check.registry);
    let file = check.hosts_file.as_deref().unwrap_or("none for this registry");
    let _ = writeln!(text, "Hosts:    {file}");
    for warning in &check.warnings {
        let _ = writeln!(text, "WARNING:  {warning}");
    }
    for (at, endpoint) in check.endpoints.iter().enumerate() {
        describe(&mut text, (at, endpoint), (&check.registry, held));
    }
    let url = |index: Option<usize>| {
        let endpoint = index.and_then(|index| Some((index, check.endpoints.get(index)?)));
        endpoint.map_or_else(
            || "nobody".to_owned(),
            |(index, endpoint)| format!("{}. {}", index + 1, endpoint.url),
        )
    };
    let _ = write!(
        text,
        "\nResolved by:  {}\nContent from: {}\n",
        url(check.resolver),
        url(check.provider)
    );
    let found = check.resolver.and_then(|index| check.endpoints.get(index));
    if let Some(found) =
        found.and_then(|endpoint| endpoint.requests.last()).and_then(|last| last.found.as_ref())
    {
        let _ =
            write!(text, "Digest:       {}\nMedia type:   {}\n", found.digest, found.media_type);
    }
    if let Some(verification) = &check.verification {
        text.push('\n');
        text.push_str(&verify::findings(verification));
    }
    text
}

fn describe(
    text: &mut String,
    (at, endpoint): (usize, &Endpoint),
    (registry, held): (&str, Option<&str>),
) {
    let role = if endpoint.mirror { "mirror" } else { "registry" };
    let _ = writeln!(text, "\n{}. {} ({role})", at + 1, endpoint.url);
    let tls = match endpoint.tls.mode.as_str() {
        "none" => "plain HTTP".to_owned(),
        "unverified" => "TLS, any certificate".to_owned(),
        _ => {
            let mut words = "TLS, the system's authorities".to_owned();
            for file in &endpoint.tls.ca {
                let _ = write!(words, " and {file}");
            }
            for file in &endpoint.tls.client {
                let _ = write!(words, ", with client certificate {file}");
            }
            words
        }
    };
    let headers = endpoint.headers.join(", ");
    let held = held.filter(|_| !endpoint.mirror).map(|held| format!("{held} (not asked for)"));
    let credentials = endpoint.credentials.as_deref().or(held.as_deref());
    let lines = [
        ("From", Some(endpoint.from.as_str())),
        ("May", Some(&endpoint.capabilities.join(", "))),
        ("Security", Some(&tls)),
        ("Proxy", endpoint.proxy.as_deref()),
        ("Headers", Some(headers.as_str()).filter(|headers| !headers.is_empty())),
        ("Credentials", Some(credentials.unwrap_or("none"))),
    ];
    for (name, value) in lines {
        if let Some(value) = value {
            let _ = writeln!(text, "   {:<13}{value}", format!("{name}:"));
        }
    }
    for request in &endpoint.requests {
        let host = if endpoint.mirror { host_of(&endpoint.url) } else { registry };
        let time = request.milliseconds;
        let _ = writeln!(text, "   {} ({time} ms)", outcome(request, host));
    }
}

/// Returns what a status means that is not 200, in words for whoever has to do something about it.
fn meaning(status: u16, request: &str, host: &str) -> String {
    // The first question is asked without a login: that one is wanted is no fault.
    let is_first = request.ends_with("/v2/");
    let words = match status {
        401 if is_first => ", it wants a token or a login",
        401 => {
            let host = if key_of_domain(host) == DOCKER_HUB_KEY { "" } else { host };
            return format!(
                ", it wants a login, or another one: `{}`",
                format!("longshore login {host}").trim_end()
            );
        }
        403 => ", this login may not",
        404 if is_first => ", this is no registry",
        404 => ", there is no such image, or not for this login",
        429 => ", too many requests: later",
        500.. => ", it fails itself",
        _ => "",
    };
    words.to_owned()
}

/// Returns a request and what came of it.
pub(in crate::verbs) fn outcome(request: &Request, host: &str) -> String {
    let mut line = format!("{} -> ", request.request);
    match (request.status, &request.error) {
        (Some(status), None) => {
            let _ = write!(line, "{status}{}", meaning(status, &request.request, host));
        }
        (Some(status), Some(error)) => {
            let _ = write!(line, "{status}: {error}");
        }
        (None, error) => line.push_str(error.as_deref().unwrap_or("no answer")),
    }
    line
}
