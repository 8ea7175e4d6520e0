//! `longshore events`

use std::fmt::Write as _;

use api::{Filters, Query, timestamp};
use go_template::shape::{Member, Shape, Type};
use go_template::{Execution, Template, Value};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value as Json;

use crate::cells::nanoseconds;
use crate::client::Call;
use crate::error::CliError;
use crate::output;
use crate::session::Session;

/// Get real time events from the server
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore events [OPTIONS]")]
pub(crate) struct Arguments {
    /// Filter output based on conditions provided
    #[arg(short = 'f', long, value_name = "filter", value_parser = super::images::parse_filter)]
    filter: Vec<(String, String)>,
    /// Format output using a custom template: 'json' or 'TEMPLATE' (a Go template)
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Show all events created since timestamp
    #[arg(long, value_name = "string")]
    since: Option<String>,
    /// Stream events until this timestamp
    #[arg(long, value_name = "string")]
    until: Option<String>,
}

static MESSAGE: Type = Type {
    name: "*events.Message",
    members: &[
        Member::optional("Status", Shape::Text).key("status"),
        Member::optional("ID", Shape::Text).key("id"),
        Member::optional("From", Shape::Text).key("from"),
        Member::new("Type", Shape::Text),
        Member::new("Action", Shape::Text),
        Member::new("Actor", Shape::Structure(&ACTOR)),
        Member::optional("Scope", Shape::Text).key("scope"),
        Member::optional("Time", Shape::Int).key("time"),
        Member::optional("TimeNano", Shape::Int).key("timeNano"),
    ],
};

static ACTOR: Type = Type {
    name: "events.Actor",
    members: &[Member::new("ID", Shape::Text), Member::new("Attributes", Shape::Map(&Shape::Text))],
};

/// Shows what happened and what happens, until the time that was given or for ever.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let template = template(arguments.format.as_deref())?;
    let query = query(&arguments, Timestamp::now(), &TimeZone::system())?;
    if !session.asks_daemon() {
        output::warn_line(
            "No daemon is asked: this process will see no events but its own (-H names a daemon)",
        );
    }
    let mut events = session.client.get("/events", Call::query(query)).await?.messages::<Json>();
    while let Some(event) = events.next().await? {
        let line = match &template {
            Some(template) => {
                let event = Shape::Structure(&MESSAGE).read(Some(&event));
                let text = template.execute(&event, Execution::Values);
                output::print_line(text.as_deref().unwrap_or_default())?;
                text.map_err(CliError::TemplateRun)?;
                continue;
            }
            None => line(&event, &TimeZone::system()),
        };
        output::print(&line)?;
    }
    Ok(())
}

/// Parses the template, and runs it over an event without content to find its mistakes now.
fn template(format: Option<&str>) -> Result<Option<Template>, CliError> {
    let text = match format {
        None | Some("") => return Ok(None),
        Some("json") => "{{json .}}",
        Some(text) => text,
    };
    let template = Template::parse(text).map_err(CliError::EventTemplate)?;
    let empty: Value = Shape::Structure(&MESSAGE).read(None);
    template.execute(&empty, Execution::Values).map_err(CliError::EventTemplate)?;
    Ok(Some(template))
}

fn query(arguments: &Arguments, now: Timestamp, zone: &TimeZone) -> Result<Query, CliError> {
    let mut query = Query::new();
    for (name, time) in [("since", &arguments.since), ("until", &arguments.until)] {
        if let Some(time) = time.as_deref().filter(|time| !time.is_empty()) {
            query.add(name, timestamp::parameter(time, now, zone).map_err(CliError::Refused)?);
        }
    }
    let mut filters = Filters::default();
    for (name, value) in super::images::asking(&arguments.filter) {
        filters.add(name, value);
    }
    if let Some(filters) = filters.encode() {
        query.add("filters", filters);
    }
    Ok(query)
}

/// Returns an event's line: when, the kind, the action, whom, and the attributes by name.
fn line(event: &Json, zone: &TimeZone) -> String {
    let text = |event: &Json, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let seconds = || event["time"].as_i64().unwrap_or(0).checked_mul(1_000_000_000);
    let moment = event["timeNano"].as_i64().filter(|moment| *moment != 0).or_else(seconds);
    let mut line = String::new();
    if let Some(moment) = moment.filter(|moment| *moment != 0) {
        let _ = write!(line, "{} ", nanoseconds(moment, zone)); // Writing to a String cannot fail.
    }
    let actor = &event["Actor"];
    line.push_str(&[text(event, "Type"), text(event, "Action"), text(actor, "ID")].join(" "));
    if let Some(attributes) = actor["Attributes"].as_object().filter(|all| !all.is_empty()) {
        let mut pairs: Vec<(&String, &str)> = attributes
            .iter()
            .map(|(name, value)| (name, value.as_str().unwrap_or_default()))
            .collect();
        pairs.sort_unstable();
        let pairs: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let _ = write!(line, " ({})", pairs.join(", "));
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_dockers() {
        let east = TimeZone::fixed(jiff::tz::offset(2));
        for (event, expected) in [
            (
                json!({"Type": "image", "Action": "pull", "time": 1_795_283_739, "timeNano": 1_795_283_739_330_926_300_i64,
                    "Actor": {"ID": "busybox:latest", "Attributes": {"name": "busybox", "a": "b"}}}),
                "2026-11-21T19:55:39.330926300+02:00 image pull busybox:latest (a=b, name=busybox)\n",
            ),
            (
                json!({"Type": "image", "Action": "prune", "time": 5, "Actor": {"ID": "", "Attributes": null}}),
                "1970-01-01T02:00:05.000000000+02:00 image prune \n",
            ),
            (json!({}), "  \n"),
        ] {
            assert_eq!(line(&event, &east), expected, "{event}");
        }
    }

    #[test]
    fn mistakes_of_a_template_are_found_before_the_first_event() {
        for (format, expected) in [
            ("{{", "Error parsing format: template: :1: unclosed action"),
            (
                "{{.Nope}}",
                "Error parsing format: template: :1:2: executing \"\" at <.Nope>: can't evaluate field Nope in type *events.Message",
            ),
        ] {
            let error = template(Some(format)).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.status()), (expected, 64));
        }
        assert!(template(Some("")).unwrap().is_none());
        assert!(template(Some("json")).unwrap().is_some());
    }
}
