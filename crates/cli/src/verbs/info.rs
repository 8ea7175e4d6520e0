//! `longshore info`

mod shapes;

use api::system::Info;
use go_template::shape::Shape;
use go_template::{Execution, Field, Marshal, Structure, Template, Value};
use serde::Deserialize;
use spec::go::binary_size;

use super::version::client_value;
use crate::build_info::VERSION;
use crate::client::Call;
use crate::credentials::DOCKER_HUB_KEY;
use crate::error::CliError;
use crate::output;
use crate::session::Session;

/// Display system-wide information
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore info [OPTIONS]")]
pub(crate) struct Arguments {
    /// Format output using a custom template: 'json' or 'TEMPLATE' (a Go template)
    #[arg(short = 'f', long, value_name = "string")]
    format: Option<String>,
}

/// Fields that only newer or other daemons tell, and that are shown where they are told.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Extras {
    discovered_devices: Option<Vec<Device>>,
    product_license: String,
    default_address_pools: Option<Vec<AddressPool>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Device {
    source: String,
    #[serde(rename = "ID")]
    id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct AddressPool {
    base: String,
    size: i64,
}

/// Shows what client and server say of themselves.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    match arguments.format.as_deref() {
        None | Some("") => show(session).await,
        Some("json") => show_template(session, "{{json .}}").await,
        Some(template) => show_template(session, template).await,
    }
}

async fn show(session: &Session) -> Result<(), CliError> {
    let answer = fetch(session).await;
    let mut text = format!(
        "Client: Longshore\n Version:    {VERSION}\n Context:    {}\n Debug Mode: {}\n\nServer:\n",
        session.context, session.debug
    );
    let parsed = match &answer {
        Ok(answer) => Some((read::<Info>(answer)?, read::<Extras>(answer)?)),
        Err(_) => None,
    };
    if let Some((info, extras)) = &parsed {
        let user =
            session.credentials_to_read().file().entry(DOCKER_HUB_KEY).unwrap_or_default().username;
        server_text(info, extras, &user, session.debug, &mut text);
    }
    output::print(&text)?;
    if let Some((info, _)) = &parsed {
        info.warnings.iter().flatten().for_each(|warning| output::warn_line(warning));
    }
    match answer {
        Ok(_) => Ok(()),
        Err(error) if error.is_connection_failure() => Err(error),
        Err(error) => {
            output::warn_line(&format!("ERROR: {error}"));
            Err(CliError::Refused("errors pretty printing info".to_owned()))
        }
    }
}

async fn show_template(session: &Session, text: &str) -> Result<(), CliError> {
    let template = Template::parse(text).map_err(CliError::TemplateArgument)?;
    // A template that needs nothing of the server is answered without one.
    let client_only = Value::Structure(information(Vec::new(), session, Vec::new()));
    if text.contains("{{")
        && text != "{{json .}}"
        && !text.contains("{{.}}")
        && text.contains(".Client")
        && let Ok(printed) = template.execute(&client_only, Execution::Values)
    {
        return output::print_line(&printed);
    }
    let (fields, errors, failure) = match fetch(session).await {
        Ok(answer) => match Shape::Structure(&shapes::INFO).read(Some(&read(&answer)?)) {
            Value::Structure(structure) => (structure.fields.to_vec(), Vec::new(), None),
            _ => (Vec::new(), Vec::new(), None),
        },
        Err(error) if error.is_connection_failure() => (Vec::new(), Vec::new(), Some(error)),
        Err(error) => {
            output::warn_line(&error.to_string());
            (Vec::new(), vec![error.to_string()], None)
        }
    };
    let value = Value::Structure(information(fields, session, errors));
    let printed = template.execute(&value, Execution::Values);
    output::print_line(printed.as_deref().unwrap_or_default())?;
    if let Some(error) = failure {
        return Err(error);
    }
    printed.map(|_| ()).map_err(CliError::TemplateRun)
}

async fn fetch(session: &Session) -> Result<bytes::Bytes, CliError> {
    session.client.get("/info", Call::default()).await?.bytes().await
}

fn read<'a, T: Deserialize<'a>>(answer: &'a [u8]) -> Result<T, CliError> {
    serde_json::from_slice(answer).map_err(CliError::AnswerJson)
}

/// Returns what templates see: the daemon's fields, and the client's in `ClientInfo`.
fn information(server: Vec<Field>, session: &Session, errors: Vec<String>) -> Structure {
    let mut client = vec![Field::new("Debug", Value::Bool(session.debug))];
    if let Value::Structure(version) = client_value("", &session.context) {
        client.extend(version.fields.iter().cloned());
    }
    client.push(Field::new("Plugins", Value::List(Some(Vec::new()))));
    client.push(Field::new("Warnings", Value::List(None)));
    let client = Structure {
        type_name: "*system.clientInfo",
        fields: client.into(),
        marshal: Marshal::Fields,
    };
    let mut fields = server;
    fields.push(Field::new("ServerErrors", Value::from(errors)).omit_empty());
    fields.push(Field::new("ClientInfo", Value::Structure(client)));
    fields.push(Field::new("ClientErrors", Value::List(None)).omit_empty());
    Structure { type_name: "system.dockerInfo", fields: fields.into(), marshal: Marshal::Fields }
}

/// Text in lines of `label: value`, of which those without a value can be left out.
struct Lines<'a>(&'a mut String);

impl Lines<'_> {
    fn say(&mut self, label: &str, value: impl std::fmt::Display) {
        self.0.extend([label, " ", &value.to_string(), "\n"]);
    }

    fn say_if(&mut self, label: &str, value: &str) {
        if !value.is_empty() {
            self.say(label, value);
        }
    }

    fn head(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn list<'a>(&mut self, head: &str, items: impl IntoIterator<Item = &'a String>) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_some() {
            self.head(head);
            items.for_each(|item| self.head(&format!("  {item}")));
        }
    }
}

fn server_text(info: &Info, extras: &Extras, user: &str, debug: bool, text: &mut String) {
    let mut lines = Lines(text);
    storage_text(info, &mut lines);
    plugins_text(info, extras, &mut lines);
    if info.os_type == "linux" {
        lines.say_if(" Init Binary:", &info.init_binary);
        lines.say_if(" containerd version:", &info.containerd_commit.id);
        lines.say_if(" runc version:", &info.runc_commit.id);
        lines.say_if(" init version:", &info.init_commit.id);
        security_text(&info.security_options, &mut lines);
    }
    if info.os_type == "windows" {
        lines.say_if(" Default Isolation:", &info.isolation);
    }
    lines.say_if(" Kernel Version:", &info.kernel_version);
    lines.say_if(" Operating System:", &info.operating_system);
    lines.say_if(" OSType:", &info.os_type);
    lines.say_if(" Architecture:", &info.architecture);
    lines.say(" CPUs:", info.n_cpu);
    lines.say(" Total Memory:", binary_size(i64::try_from(info.mem_total).unwrap_or(i64::MAX)));
    lines.say_if(" Name:", &info.name);
    lines.say_if(" ID:", &info.id);
    lines.say_if(" Docker Root Dir:", &info.docker_root_dir);
    lines.say(" Debug Mode:", info.debug);
    if info.debug || debug {
        lines.say("  File Descriptors:", info.n_fd);
        lines.say("  Goroutines:", info.n_goroutines);
        lines.say_if("  System Time:", &info.system_time);
        lines.say("  EventsListeners:", info.n_events_listener);
    }
    lines.say_if(" HTTP Proxy:", &info.http_proxy);
    lines.say_if(" HTTPS Proxy:", &info.https_proxy);
    lines.say_if(" No Proxy:", &info.no_proxy);
    lines.say_if(" Username:", user);
    lines.list(" Labels:", &info.labels);
    lines.say(" Experimental:", info.experimental_build);
    registries_text(info, &mut lines);
    lines.say(" Live Restore Enabled:", info.live_restore_enabled);
    lines.say_if(" Product License:", &extras.product_license);
    let pools = extras.default_address_pools.as_deref().unwrap_or_default();
    if !pools.is_empty() {
        lines.head(" Default Address Pools:");
    }
    for pool in pools {
        lines.head(&format!("   Base: {}, Size: {}", pool.base, pool.size));
    }
    lines.head("");
}

fn storage_text(info: &Info, lines: &mut Lines<'_>) {
    lines.say(" Containers:", info.containers);
    lines.say("  Running:", info.containers_running);
    lines.say("  Paused:", info.containers_paused);
    lines.say("  Stopped:", info.containers_stopped);
    lines.say(" Images:", info.images);
    lines.say_if(" Server Version:", &info.server_version);
    lines.say_if(" Storage Driver:", &info.driver);
    for (name, value) in &info.driver_status {
        lines.head(&format!("  {name}: {value}"));
    }
    lines.say_if(" Logging Driver:", &info.logging_driver);
    lines.say_if(" Cgroup Driver:", &info.cgroup_driver);
    lines.say_if(" Cgroup Version:", &info.cgroup_version);
}

fn plugins_text(info: &Info, extras: &Extras, lines: &mut Lines<'_>) {
    let authorization = info.plugins.authorization.as_deref().unwrap_or_default();
    let plugins = [
        ("  Volume:", info.plugins.volume.join(" ")),
        ("  Network:", info.plugins.network.join(" ")),
        ("  Authorization:", authorization.join(" ")),
        ("  Log:", info.plugins.log.join(" ")),
    ];
    if plugins.iter().any(|(_, names)| !names.is_empty()) {
        lines.head(" Plugins:");
    }
    for (label, names) in &plugins {
        lines.say_if(label, names);
    }
    lines.list(" CDI spec directories:", &info.cdi_spec_dirs);
    let devices = extras.discovered_devices.as_deref().unwrap_or_default();
    let devices: Vec<String> =
        devices.iter().map(|device| format!("{}: {}", device.source, device.id)).collect();
    lines.list(" Discovered Devices:", &devices);
    lines.say_if(" Swarm:", &info.swarm.local_node_state);
    if !matches!(info.swarm.local_node_state.as_str(), "inactive" | "locked" | "") {
        lines.say_if("  NodeID:", &info.swarm.node_id);
        lines.say_if("  Error:", &info.swarm.error);
        lines.say("  Is Manager:", info.swarm.control_available);
        lines.say_if("  Node Address:", &info.swarm.node_addr);
    }
    if !info.runtimes.is_empty() {
        let names: Vec<&str> = info.runtimes.keys().map(String::as_str).collect();
        lines.say(" Runtimes:", names.join(" "));
        lines.say_if(" Default Runtime:", &info.default_runtime);
    }
}

/// Shows `name=seccomp,profile=builtin` as a name with its profile below it.
fn security_text(options: &[String], lines: &mut Lines<'_>) {
    if options.is_empty() {
        return;
    }
    lines.head(" Security Options:");
    for option in options {
        // Daemons of long ago sent the name alone.
        let pairs = option.split(',').map(|pair| pair.split_once('=').unwrap_or(("name", pair)));
        for (key, value) in pairs {
            match key {
                "name" => lines.head(&format!("  {value}")),
                "profile" => lines.say("   Profile:", value),
                _ => {}
            }
        }
    }
}

fn registries_text(info: &Info, lines: &mut Lines<'_>) {
    let Some(registries) = &info.registry_config else { return };
    if !registries.insecure_registry_cidrs.is_empty() || !registries.index_configs.is_empty() {
        lines.head(" Insecure Registries:");
        let insecure = registries.index_configs.values().filter(|index| !index.secure);
        insecure.for_each(|index| lines.head(&format!("  {}", index.name)));
        registries
            .insecure_registry_cidrs
            .iter()
            .for_each(|network| lines.head(&format!("  {network}")));
    }
    lines.list(" Registry Mirrors:", &registries.mirrors);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_servers_part_is_dockers() {
        let answer = json!({
            "ID": "a6a53def", "Containers": 0, "Images": 13, "Driver": "overlay2",
            "DriverStatus": [["Backing Filesystem", "extfs"], ["userxattr", "false"]],
            "Plugins": {"Volume": ["local"], "Network": ["bridge", "host"], "Authorization": null, "Log": ["json-file"]},
            "LoggingDriver": "json-file", "CgroupDriver": "cgroupfs", "CgroupVersion": "1", "NFd": 7,
            "KernelVersion": "6.18", "OperatingSystem": "Debian", "OSType": "linux", "Architecture": "x86_64",
            "RegistryConfig": {
                "InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128"],
                "IndexConfigs": {
                    "docker.io": {"Name": "docker.io", "Mirrors": [], "Secure": true, "Official": true},
                    "r.example": {"Name": "r.example", "Mirrors": [], "Secure": false, "Official": false},
                },
                "Mirrors": ["https://mirror.example/"],
            },
            "NCPU": 2, "MemTotal": 25_276_502_016_u64, "DockerRootDir": "/root", "HttpProxy": "", "Name": "vm",
            "Labels": ["a=b"], "ServerVersion": "29.7.2", "Runtimes": {"runc": {"path": "runc"}},
            "DefaultRuntime": "runc", "Swarm": {"LocalNodeState": "inactive"}, "InitBinary": "docker-init",
            "ContainerdCommit": {"ID": ""}, "RuncCommit": {"ID": "1.1.5"}, "InitCommit": {"ID": ""},
            "SecurityOptions": ["name=seccomp,profile=builtin"], "CDISpecDirs": ["/etc/cdi"], "Warnings": null,
            "DefaultAddressPools": [{"Base": "10.0.0.0/8", "Size": 24}],
        });
        let answer = answer.to_string();
        let mut text = String::new();
        let (info, extras) =
            (read::<Info>(answer.as_bytes()).unwrap(), read::<Extras>(answer.as_bytes()).unwrap());
        server_text(&info, &extras, "me", false, &mut text);
        let expected = " Containers: 0
  Running: 0
  Paused: 0
  Stopped: 0
 Images: 13
 Server Version: 29.7.2
 Storage Driver: overlay2
  Backing Filesystem: extfs
  userxattr: false
 Logging Driver: json-file
 Cgroup Driver: cgroupfs
 Cgroup Version: 1
 Plugins:
  Volume: local
  Network: bridge host
  Log: json-file
 CDI spec directories:
  /etc/cdi
 Swarm: inactive
 Runtimes: runc
 Default Runtime: runc
 Init Binary: docker-init
 runc version: 1.1.5
 Security Options:
  seccomp
   Profile: builtin
 Kernel Version: 6.18
 Operating System: Debian
 OSType: linux
 Architecture: x86_64
 CPUs: 2
 Total Memory: 23.54GiB
 Name: vm
 ID: a6a53def
 Docker Root Dir: /root
 Debug Mode: false
 Username: me
 Labels:
  a=b
 Experimental: false
 Insecure Registries:
  r.example
  127.0.0.0/8
  ::1/128
 Registry Mirrors:
  https://mirror.example/
 Live Restore Enabled: false
 Default Address Pools:
   Base: 10.0.0.0/8, Size: 24

";
        assert_eq!(text, expected);
        // What is said of nothing is not said, whoever answers.
        let mut text = String::new();
        server_text(&read::<Info>(b"{}").unwrap(), &Extras::default(), "", false, &mut text);
        assert!(text.lines().all(|line| !line.ends_with([' ', ':'])), "{text}");
    }
}
