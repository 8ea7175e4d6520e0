//! `longshore registry serve`

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;

use registry_server::{Options, RegistryServer};
use tokio::net::TcpListener;

use crate::error::{CliError, with_causes};
use crate::{output, signals};

/// The address of registries on a developer's machine.
const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5000));

/// Run a small registry over a folder: plain HTTP, without users
#[derive(Clone, Debug, clap::Args)]
#[command(override_usage = "longshore registry serve [OPTIONS] --root DIRECTORY")]
pub(crate) struct Arguments {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "address", default_value_t = LISTEN)]
    listen: SocketAddr,
    /// Folder that keeps the registry's content; made if it is not there
    #[arg(long, value_name = "directory")]
    root: PathBuf,
}

impl Arguments {
    pub(super) fn new(listen: Option<SocketAddr>, root: PathBuf) -> Self {
        Self { listen: listen.unwrap_or(LISTEN), root }
    }
}

/// Names the address, the cause and the way out.
fn cannot_listen(listen: SocketAddr, error: &io::Error) -> CliError {
    let port = listen.port();
    let (cause, hint) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            "another program listens there",
            format!(
                "`ss -ltnp sport = :{port}` shows which; end it, or take another address: --listen {}",
                SocketAddr::new(listen.ip(), port.checked_add(1).unwrap_or_default())
            ),
        ),
        io::ErrorKind::PermissionDenied => (
            "ports below 1024 are root's",
            format!("take another port: --listen {}", SocketAddr::new(listen.ip(), LISTEN.port())),
        ),
        io::ErrorKind::AddrNotAvailable => (
            "no network interface of this machine has this address",
            "`ip address` lists them; 0.0.0.0 means all: anyone who reaches the port may then push"
                .to_owned(),
        ),
        _ => return CliError::Serve(format!("cannot listen on {listen}: {error}")),
    };
    let error = Box::new(CliError::Serve(format!("cannot listen on {listen}: {cause}")));
    CliError::Advised { error, hint }
}

/// Serves until a signal ends it.
pub(crate) async fn run(Arguments { listen, root }: Arguments) -> Result<(), CliError> {
    let shutdown = signals::termination()?;
    let failed = |error: String| CliError::Serve(error);
    let listener =
        TcpListener::bind(listen).await.map_err(|error| cannot_listen(listen, &error))?;
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
