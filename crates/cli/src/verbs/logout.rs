//! `longshore logout`

use crate::credentials::{DOCKER_HUB_KEY, host_of};
use crate::error::CliError;
use crate::output;
use crate::session::Session;
use crate::verbs::login::browser;

/// Log out from a registry.
///
/// If no server is specified, the default is Docker Hub.
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore logout [SERVER]")]
pub(crate) struct Arguments {
    #[arg(hide = true)]
    server: Option<String>,
}

/// Forgets the credentials for a server, under each name that they may have been kept under.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let server = arguments.server.filter(|server| !server.is_empty());
    let (shown, names) = match &server {
        None => (DOCKER_HUB_KEY, vec![DOCKER_HUB_KEY.to_owned()]),
        Some(server) => {
            let host = host_of(server);
            let urls = [format!("http://{host}"), format!("https://{host}")];
            let mut names = vec![server.clone()];
            names.extend((server != host).then(|| host.to_owned()));
            names.extend(urls.into_iter().filter(|url| url != server));
            (host, names)
        }
    };
    let mut store = session.credentials()?;
    if server.is_none()
        && let Err(error) = browser::revoke(&mut store).await
    {
        output::warn_line(&format!("WARNING: {error}"));
    }
    output::print_line(&format!("Removing login credentials for {shown}"))?;
    let mut failures = Vec::new();
    for name in &names {
        if let Err(error) = store.erase(name).await {
            failures.push(format!("{name}: {error}"));
        }
    }
    if failures.len() == names.len() {
        output::warn_line("WARNING: could not erase credentials:");
        output::warn_line(&failures.join("\n"));
    }
    Ok(())
}
