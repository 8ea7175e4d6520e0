//! Where the daemon is reached: unix sockets and TCP ports.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::Gid;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::config::Group;

/// Docker's port for plain HTTP.
const DEFAULT_PORT: u16 = 2375;
/// Connections that may wait to be accepted; what Go asks for.
const BACKLOG: i32 = 4096;
/// Owner and group may use the socket: whoever may is as good as the daemon's user.
const SOCKET_MODE: u32 = 0o660;

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A unix socket.
    Unix(PathBuf),
    /// A TCP port, `HOST:PORT`.
    Tcp(String),
}

/// Why a text is no address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid bind address ({address}): {reason}")]
pub struct HostError {
    address: String,
    reason: String,
}

impl FromStr for Host {
    type Err = HostError;

    /// Reads `unix:///path`, `tcp://host:port` or `host:port`; host and port of TCP have defaults.
    fn from_str(text: &str) -> Result<Self, HostError> {
        let refuse =
            |reason: &str| HostError { address: text.to_owned(), reason: reason.to_owned() };
        let (proto, address) = text.trim().split_once("://").unwrap_or(("tcp", text.trim()));
        match proto {
            "unix" if address.starts_with('/') => Ok(Self::Unix(address.into())),
            "unix" => Err(refuse("the path of a unix socket must be absolute")),
            "tcp" => {
                let address = address.strip_suffix('/').unwrap_or(address);
                if address.contains('/') {
                    return Err(refuse("should not contain a path element"));
                }
                let (host, port) = match address.rsplit_once(':') {
                    // The last colon of a bare IPv6 address in brackets does not begin a port.
                    Some((host, port)) if !port.ends_with(']') => (host, port),
                    _ => (address, ""),
                };
                let port = match port {
                    "" => DEFAULT_PORT,
                    port => port.parse().map_err(|_| refuse("invalid port"))?,
                };
                let known = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
                if !host.chars().all(known) {
                    return Err(refuse("invalid character in host name"));
                }
                let host = if host.is_empty() { "127.0.0.1" } else { host };
                Ok(Self::Tcp(format!("{host}:{port}")))
            }
            other => Err(refuse(&format!("unsupported proto '{other}'"))),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// Where a daemon listens that was not told where: below `/run` for root, below the user's runtime directory
/// (`$XDG_RUNTIME_DIR`) for others. `None` when a user has no such directory.
pub fn default_host(root: bool, runtime_dir: Option<&Path>) -> Option<Host> {
    const NAME: &str = "longshore.sock";
    let directory = if root { Some(Path::new("/run")) } else { runtime_dir };
    directory.map(|directory| Host::Unix(directory.join(NAME)))
}

/// Why an address cannot be listened on.
#[derive(Debug, Error)]
pub enum ListenError {
    /// A daemon answers on the socket.
    #[error("can't create unix socket {}: another daemon is listening there", .0.display())]
    InUse(PathBuf),
    /// Something that is no socket has the socket's name.
    #[error("can't create unix socket {}: a file that is not a socket is in the way", .0.display())]
    NotASocket(PathBuf),
    /// The socket cannot be made.
    #[error("can't create unix socket {}: {source}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The group that was asked for does not exist.
    #[error("can't create unix socket {}: group {group} not found", path.display())]
    Group {
        /// The socket.
        path: PathBuf,
        /// The group.
        group: String,
    },
    /// The port cannot be listened on.
    #[error("can't listen on tcp://{address}: {source}")]
    Tcp {
        /// The address.
        address: String,
        /// What the system says.
        source: io::Error,
    },
}

/// An address that is listened on. Dropping it removes its socket.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Unix(UnixListener, SocketFile),
    Tcp(TcpListener),
}

/// A connection of either kind.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

impl Listener {
    /// Starts to listen. A socket that a dead daemon left is replaced; one that answers is not.
    pub async fn bind(host: &Host, group: &Group) -> Result<Self, ListenError> {
        let kind = match host {
            Host::Unix(path) => {
                let (listener, file) = bind_unix(path, group).await?;
                Kind::Unix(listener, file)
            }
            Host::Tcp(address) => {
                let bound = TcpListener::bind(address).await;
                Kind::Tcp(
                    bound
                        .map_err(|source| ListenError::Tcp { address: address.clone(), source })?,
                )
            }
        };
        Ok(Self { kind })
    }

    /// Where connections arrive: for TCP with the port that the system chose, if it was to choose.
    pub fn local(&self) -> io::Result<Host> {
        Ok(match &self.kind {
            Kind::Unix(_, file) => Host::Unix(file.path.clone()),
            Kind::Tcp(listener) => Host::Tcp(listener.local_addr()?.to_string()),
        })
    }

    /// The next connection. Cancel-safe.
    pub(crate) async fn accept(&self) -> io::Result<Box<dyn Connection>> {
        match &self.kind {
            Kind::Unix(listener, _) => Ok(Box::new(listener.accept().await?.0)),
            Kind::Tcp(listener) => {
                let stream = listener.accept().await?.0;
                // Progress lines are small and must not wait for each other.
                stream.set_nodelay(true)?;
                // A client whose network went away is noticed by this alone while nothing is written to it.
                rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// The name of a socket in the file system.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: Inode,
}

/// Which file a name means.
#[derive(Debug, PartialEq, Eq)]
struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self { device: metadata.dev(), number: metadata.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The name may be another daemon's socket by now.
        if Inode::of(&self.path).is_ok_and(|inode| inode == self.inode)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the socket cannot be removed");
        }
    }
}

async fn bind_unix(path: &Path, group: &Group) -> Result<(UnixListener, SocketFile), ListenError> {
    make_way(path).await?;
    let failed = |source| ListenError::Socket { path: path.to_owned(), source };
    let gid = group_id(group).map_err(failed)?;
    if gid.is_none() && group.required {
        return Err(ListenError::Group { path: path.to_owned(), group: group.name.clone() });
    }

    let address = SocketAddrUnix::new(path).map_err(|error| failed(error.into()))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(|error| failed(error.into()))?;
    rustix::net::bind(&socket, &address).map_err(|error| failed(error.into()))?;
    let file = SocketFile { path: path.to_owned(), inode: Inode::of(path).map_err(failed)? };
    // Nobody can connect before `listen`, so that nobody connects before owner and mode are right.
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
    if let Some(gid) = gid
        && let Err(error) = rustix::fs::chown(path, None, Some(gid))
    {
        if group.required {
            return Err(failed(error.into()));
        }
        tracing::debug!(%error, group = group.name, "the socket keeps the group of the daemon");
    }
    rustix::net::listen(&socket, BACKLOG).map_err(|error| failed(error.into()))?;
    let listener = UnixListener::from_std(StdUnixListener::from(socket)).map_err(failed)?;
    Ok((listener, file))
}

/// Removes a socket that nobody listens on any more.
async fn make_way(path: &Path) -> Result<(), ListenError> {
    let failed = |source| ListenError::Socket { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(ListenError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        // Any other answer, "permission denied" for instance, does not say that nobody is there.
        Ok(_) | Err(_) => Err(ListenError::InUse(path.to_owned())),
    }
}

/// The number of a group: a number stands for itself, a name is looked up in `/etc/group`.
fn group_id(group: &Group) -> io::Result<Option<Gid>> {
    if let Ok(number) = group.name.parse::<u32>() {
        return Ok(Some(Gid::from_raw(number)));
    }
    match fs::read_to_string("/etc/group") {
        Ok(groups) => Ok(find_group(&groups, &group.name).map(Gid::from_raw)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Looks a name up in lines of `name:password:number:members`.
fn find_group(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name || name.is_empty() {
            return None;
        }
        fields.nth(1)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody_in_particular() -> Group {
        Group { name: "nosuchgroup".into(), required: false }
    }

    async fn bind(path: &Path) -> Result<Listener, ListenError> {
        Listener::bind(&Host::Unix(path.to_owned()), &nobody_in_particular()).await
    }

    #[test]
    fn hosts_are_read_as_docker_writes_them() {
        let tcp = |address: &str| Ok(Host::Tcp(address.to_owned()));
        let table = [
            ("unix:///run/l.sock", Ok(Host::Unix("/run/l.sock".into()))),
            ("tcp://127.0.0.1:2376", tcp("127.0.0.1:2376")),
            ("tcp://0.0.0.0", tcp("0.0.0.0:2375")),
            ("tcp://:1234", tcp("127.0.0.1:1234")),
            ("tcp://", tcp("127.0.0.1:2375")),
            ("tcp://[::1]:80/", tcp("[::1]:80")),
            ("tcp://[::1]", tcp("[::1]:2375")),
            ("localhost:80", tcp("localhost:80")),
            ("unix://relative", Err("the path of a unix socket must be absolute")),
            ("unix://", Err("the path of a unix socket must be absolute")),
            ("fd://", Err("unsupported proto 'fd'")),
            ("://", Err("unsupported proto ''")),
            ("tcp://a:b", Err("invalid port")),
            ("tcp://a:70000", Err("invalid port")),
            ("tcp://a:1/x", Err("should not contain a path element")),
            ("something with spaces", Err("invalid character in host name")),
        ];
        for (text, expected) in table {
            let expected =
                expected.map_err(|reason| format!("invalid bind address ({text}): {reason}"));
            assert_eq!(text.parse::<Host>().map_err(|error| error.to_string()), expected);
        }
        assert_eq!("unix:///a b".parse::<Host>().unwrap().to_string(), "unix:///a b");
    }

    #[test]
    fn the_default_is_below_the_runtime_directory() {
        let user = Some(Path::new("/run/user/7"));
        assert_eq!(default_host(true, user), Some(Host::Unix("/run/longshore.sock".into())));
        assert_eq!(
            default_host(false, user),
            Some(Host::Unix("/run/user/7/longshore.sock".into()))
        );
        assert_eq!(default_host(false, None), None);
    }

    #[test]
    fn groups_are_found_by_name() {
        let groups = "root:x:0:\ndocker:x:998:me,you\nbroken\n:x:5:\n";
        assert_eq!(find_group(groups, "docker"), Some(998));
        for missing in ["dock", "broken", "", "me"] {
            assert_eq!(find_group(groups, missing), None, "{missing}");
        }
    }

    #[tokio::test]
    async fn a_socket_is_private_to_owner_and_group_and_goes_with_its_listener() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("l.sock");
        let listener = bind(&path).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, SOCKET_MODE);
        assert_eq!(listener.local().unwrap(), Host::Unix(path.clone()));
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_living_daemons_socket_stays_and_a_dead_ones_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("l.sock");
        let living = bind(&path).await.unwrap();
        let error = bind(&path).await.unwrap_err();
        assert!(matches!(&error, ListenError::InUse(named) if *named == path), "{error}");
        assert!(error.to_string().contains(&*path.to_string_lossy()));
        assert!(UnixStream::connect(&path).await.is_ok());
        drop(living);

        // A killed daemon closes its end and leaves the name.
        drop(StdUnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let replaced = bind(&path).await.unwrap();
        assert!(UnixStream::connect(&path).await.is_ok());

        // A successor's socket is not removed by the predecessor.
        fs::remove_file(&path).unwrap();
        let successor = bind(&path).await.unwrap();
        drop(replaced);
        assert!(path.exists());
        drop(successor);
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        fs::write(&path, "data").unwrap();
        assert!(matches!(bind(&path).await, Err(ListenError::NotASocket(_))));
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(bind(&link).await, Err(ListenError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "data");
        let missing = directory.path().join("no/such/l.sock");
        let error = bind(&missing).await.unwrap_err().to_string();
        assert!(error.contains("no/such/l.sock") && error.contains("No such file"), "{error}");
    }

    #[tokio::test]
    async fn a_group_that_was_asked_for_must_exist() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("l.sock");
        let group = Group { required: true, ..nobody_in_particular() };
        let error = Listener::bind(&Host::Unix(path.clone()), &group).await.unwrap_err();
        assert!(error.to_string().ends_with("group nosuchgroup not found"), "{error}");
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn tcp_tells_the_port_that_the_system_chose() {
        let host = Host::Tcp("127.0.0.1:0".into());
        let listener = Listener::bind(&host, &nobody_in_particular()).await.unwrap();
        let local = listener.local().unwrap();
        assert_ne!(local, host);
        let error = Listener::bind(&local, &nobody_in_particular()).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("can't listen on {local}: ")), "{error}");
    }
}
