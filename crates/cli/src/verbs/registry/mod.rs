//! `longshore registry`: a small registry, and questions about registries.

pub(crate) mod check;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use registry_server::{Options, RegistryServer};
use tokio::net::TcpListener;

use crate::error::{CliError, with_causes};
use crate::{output, signals};

/// Run a small registry over a folder: plain HTTP, without users
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "longshore registry [OPTIONS] --root DIRECTORY\n       longshore registry check [OPTIONS] NAME",
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Option<RegistryVerb>,
    #[command(flatten)]
    server: ServerArguments,
}

/// The verbs of `longshore registry`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum RegistryVerb {
    #[command(override_usage = "longshore registry check [OPTIONS] NAME")]
    Check(check::Arguments),
}

// What the server is told. Not a comment for clap, which would show it in place of the verb's own.
#[derive(Debug, clap::Args)]
struct ServerArguments {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "address", default_value = "127.0.0.1:5000")]
    listen: SocketAddr,
    /// Folder that keeps the registry's content; made if it is not there
    #[arg(long, value_name = "directory", required = true)]
    root: Option<PathBuf>,
}

/// Serves until a signal ends it.
pub(crate) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let ServerArguments { listen, root } = arguments.server;
    // The command line insists on it.
    let root = root.unwrap_or_default();
    let shutdown = signals::termination()?;
    let failed = |error: String| CliError::Serve(error);
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| failed(format!("listen on {listen}: {error}")))?;
    let address =
        listener.local_addr().map_err(|error| failed(format!("listen on {listen}: {error}")))?;
    let opened =
        tokio::task::spawn_blocking(move || RegistryServer::open(Options::new(root))).await;
    let server = opened.map_err(|error| failed(error.to_string()))?;
    let server = server.map_err(|error| failed(with_causes(&error)))?;
    output::print_line(&format!("listening on {address}"))?;
    let shutdown = async {
        shutdown.await;
    };
    Arc::new(server).serve(listener, shutdown).await.map_err(|error| failed(error.to_string()))
}
