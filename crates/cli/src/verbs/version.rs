//! `longshore version`

use go_template::shape::{Member, Shape, Type};
use go_template::{Columns, Execution, Field, Marshal, Structure, Template, Value};
use serde_json::{Value as Json, json};

use crate::build_info::{BUILD_TIME, COMMIT, VERSION};
use crate::client::{Call, MAX_VERSION};
use crate::error::CliError;
use crate::output;
use crate::session::Session;

/// The format without `--format`: Docker's, without the lines of what is not known.
const TEMPLATE: &str = r#"{{with .Client -}}
Client:{{if ne .Platform nil}}{{if ne .Platform.Name ""}} {{.Platform.Name}}{{end}}{{end}}
 Version:	{{.Version}}
 API version:	{{.APIVersion}}{{if ne .APIVersion .DefaultAPIVersion}} (downgraded from {{.DefaultAPIVersion}}){{end}}
{{- if .GitCommit}}
 Git commit:	{{.GitCommit}}
{{- end}}
{{- if .BuildTime}}
 Built:	{{.BuildTime}}
{{- end}}
 OS/Arch:	{{.Os}}/{{.Arch}}
 Context:	{{.Context}}
{{- end}}

{{- if ne .Server nil}}{{with .Server}}

Server:{{if ne .Platform.Name ""}} {{.Platform.Name}}{{end}}
 {{- range $component := .Components}}
 {{$component.Name}}:
  {{- if eq $component.Name "Engine" }}
  Version:	{{.Version}}
  API version:	{{index .Details "ApiVersion"}} (minimum version {{index .Details "MinAPIVersion"}})
  {{- if index .Details "GoVersion"}}
  Go version:	{{index .Details "GoVersion"}}
  {{- end}}
  {{- if index .Details "GitCommit"}}
  Git commit:	{{index .Details "GitCommit"}}
  {{- end}}
  {{- if index .Details "BuildTime"}}
  Built:	{{index .Details "BuildTime"}}
  {{- end}}
  OS/Arch:	{{index .Details "Os"}}/{{index .Details "Arch"}}
  Experimental:	{{index .Details "Experimental"}}
  {{- else }}
  Version:	{{$component.Version}}
  {{- $detailsOrder := getDetailsOrder $component}}
  {{- range $key := $detailsOrder}}
  {{$key}}:	{{index $component.Details $key}}
   {{- end}}
  {{- end}}
 {{- end}}
 {{- end}}{{- end}}"#;

static CLIENT: Type = Type {
    name: "system.clientVersion",
    members: &[
        Member::optional("Platform", Shape::Pointer(&PLATFORM)),
        Member::optional("Version", Shape::Text),
        Member::optional("APIVersion", Shape::Text).key("ApiVersion"),
        Member::optional("DefaultAPIVersion", Shape::Text),
        Member::optional("GitCommit", Shape::Text),
        Member::optional("GoVersion", Shape::Text),
        Member::optional("Os", Shape::Text),
        Member::optional("Arch", Shape::Text),
        Member::optional("BuildTime", Shape::Text),
        Member::new("Context", Shape::Text),
    ],
};

static PLATFORM: Type =
    Type { name: "*system.platformInfo", members: &[Member::optional("Name", Shape::Text)] };

static SERVER: Type = Type {
    name: "*types.Version",
    members: &[
        Member::new("Platform", Shape::Structure(&SERVER_PLATFORM)),
        Member::optional("Components", Shape::List(&Shape::Structure(&COMPONENT))),
        Member::new("Version", Shape::Text),
        Member::new("APIVersion", Shape::Text).key("ApiVersion"),
        Member::optional("MinAPIVersion", Shape::Text),
        Member::new("GitCommit", Shape::Text),
        Member::new("GoVersion", Shape::Text),
        Member::new("Os", Shape::Text),
        Member::new("Arch", Shape::Text),
        Member::optional("KernelVersion", Shape::Text),
        Member::optional("Experimental", Shape::Bool),
        Member::optional("BuildTime", Shape::Text),
    ],
};

static SERVER_PLATFORM: Type =
    Type { name: "struct { Name string }", members: &[Member::new("Name", Shape::Text)] };

static COMPONENT: Type = Type {
    name: "types.ComponentVersion",
    members: &[
        Member::new("Name", Shape::Text),
        Member::new("Version", Shape::Text),
        Member::optional("Details", Shape::Map(&Shape::Text)),
    ],
};

/// Show the Longshore version information
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore version [OPTIONS]")]
pub(crate) struct Arguments {
    /// Format output using a custom template: 'json' or 'TEMPLATE' (a Go template)
    #[arg(short = 'f', long, value_name = "string")]
    format: Option<String>,
}

/// Shows the versions of client and server. Without a server, those of the client, and then the error.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let template = match arguments.format.as_deref() {
        None | Some("") => TEMPLATE,
        Some("json") => "{{json .}}",
        Some(template) => template,
    };
    let template = Template::named("version", template).map_err(CliError::TemplateArgument)?;
    let negotiated = session.client.version().await.unwrap_or(MAX_VERSION);
    let server = server(session).await;
    let value = Value::Structure(Structure {
        type_name: "system.versionInfo",
        fields: vec![
            Field::new("Client", client_value(&negotiated.to_string(), &session.context)),
            Field::new("Server", Shape::Pointer(&SERVER).read(server.as_ref().ok())),
        ]
        .into(),
        marshal: Marshal::Fields,
    });
    let printed = template.execute(&value, Execution::Values);
    let text = printed.as_deref().unwrap_or_default();
    output::print(&Columns::VERSION.align(&format!("{text}\n")))?;
    server?;
    printed.map(|_| ()).map_err(CliError::TemplateRun)
}

/// Returns what this program says of itself; the API's version is empty before it is negotiated.
pub(super) fn client_value(api_version: &str, context: &str) -> Value {
    let architecture = spec::Platform::host().architecture;
    Shape::Structure(&CLIENT).read(Some(&json!({
        "Platform": {"Name": "Longshore"},
        "Version": VERSION,
        "ApiVersion": api_version,
        "DefaultAPIVersion": MAX_VERSION.to_string(),
        "GitCommit": COMMIT,
        "Os": std::env::consts::OS,
        "Arch": architecture,
        "BuildTime": BUILD_TIME,
        "Context": context,
    })))
}

async fn server(session: &Session) -> Result<Json, CliError> {
    let mut version: Json = session.client.get("/version", Call::default()).await?.json().await?;
    let engine =
        version.get_mut("Components").and_then(Json::as_array_mut).and_then(|components| {
            components.iter_mut().find(|component| component["Name"] == "Engine")
        });
    if let Some(engine) = engine {
        if let Some(time) = engine.pointer_mut("/Details/BuildTime") {
            *time = Json::from(readable_time(time.as_str().unwrap_or_default()));
        }
        return Ok(version);
    }
    // Daemons before the version had components tell of the engine alone.
    let text = |key: &str| version.get(key).cloned().unwrap_or_else(|| Json::from(""));
    let build_time = readable_time(text("BuildTime").as_str().unwrap_or_default());
    let engine = json!({
        "Name": "Engine",
        "Version": text("Version"),
        "Details": {
            "ApiVersion": text("ApiVersion"),
            "MinAPIVersion": text("MinAPIVersion"),
            "GitCommit": text("GitCommit"),
            "GoVersion": text("GoVersion"),
            "Os": text("Os"),
            "Arch": text("Arch"),
            "BuildTime": build_time,
            "Experimental": version.get("Experimental").and_then(Json::as_bool).unwrap_or(false).to_string(),
        },
    });
    if let Some(document) = version.as_object_mut() {
        match document.get_mut("Components").and_then(Json::as_array_mut) {
            Some(components) => components.push(engine),
            None => {
                document.insert("Components".to_owned(), Json::Array(vec![engine]));
            }
        }
    }
    Ok(version)
}

/// Returns an RFC 3339 time as C's `ctime` prints it, any other text as it is.
fn readable_time(text: &str) -> String {
    let Ok(timestamp) = text.parse::<jiff::Timestamp>() else { return text.to_owned() };
    let offset = jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%.f%:z", text)
        .ok()
        .and_then(|parsed| parsed.offset())
        .unwrap_or(jiff::tz::Offset::UTC);
    timestamp
        .to_zoned(jiff::tz::TimeZone::fixed(offset))
        .strftime("%a %b %e %H:%M:%S %Y")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(server: &Json) -> String {
        let value = Value::Structure(Structure {
            type_name: "system.versionInfo",
            fields: vec![
                Field::new("Client", client_value("1.41", "default")),
                Field::new("Server", Shape::Pointer(&SERVER).read(Some(server))),
            ]
            .into(),
            marshal: Marshal::Fields,
        });
        let text = Template::parse(TEMPLATE).unwrap().execute(&value, Execution::Values).unwrap();
        Columns::VERSION.align(&format!("{text}\n"))
    }

    #[test]
    fn the_servers_part_is_dockers() {
        let server = json!({
            "Platform": {"Name": ""},
            "Components": [
                {"Name": "Engine", "Version": "29.7.2", "Details": {
                    "ApiVersion": "1.55", "Arch": "amd64", "BuildTime": "library-import", "Experimental": "false",
                    "GitCommit": "library-import", "GoVersion": "go1.27.3", "MinAPIVersion": "1.40", "Os": "linux"}},
                {"Name": "containerd", "Version": "v2.3.4", "Details": {"GitCommit": ""}},
            ],
        });
        let text = print(&server);
        let expected = "
Server:
 Engine:
  Version:          29.7.2
  API version:      1.55 (minimum version 1.40)
  Go version:       go1.27.3
  Git commit:       library-import
  Built:            library-import
  OS/Arch:          linux/amd64
  Experimental:     false
 containerd:
  Version:          v2.3.4
  GitCommit:        \n";
        assert!(text.ends_with(expected), "{text}");
        assert!(text.starts_with("Client: Longshore\n Version:           "), "{text}");
        assert!(text.contains("\n API version:       1.41 (downgraded from 1.50)\n"), "{text}");
    }

    #[test]
    fn without_a_server_only_the_client_is_shown() {
        let text = print(&Json::Null);
        assert!(
            text.ends_with(" Context:           default\n") && !text.contains("Server:"),
            "{text}"
        );
    }

    #[test]
    fn build_times_are_readable() {
        for (text, expected) in [
            ("2025-05-30T12:07:14.000000000+00:00", "Fri May 30 12:07:14 2025"),
            ("2025-05-03T02:07:14+02:00", "Sat May  3 02:07:14 2025"),
            ("library-import", "library-import"),
            ("", ""),
        ] {
            assert_eq!(readable_time(text), expected);
        }
    }
}
