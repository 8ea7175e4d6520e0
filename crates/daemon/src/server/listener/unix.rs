//! Unix sockets: their names, owners and modes.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::Gid;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::{UnixListener, UnixStream};

use super::error::ListenError;
use crate::config::Group;

/// Connections that may wait to be accepted; what Go asks for.
const BACKLOG: i32 = 4096;
/// Owner and group may use the socket: whoever may is as good as the daemon's user.
pub(super) const SOCKET_MODE: u32 = 0o660;

/// The name of a socket in the file system.
#[derive(Debug)]
pub(super) struct SocketFile {
    pub(super) path: PathBuf,
    inode: Inode,
}

/// Identity of a file.
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

/// Makes a socket and listens on it.
pub(super) async fn bind(
    path: &Path,
    group: &Group,
) -> Result<(UnixListener, SocketFile), ListenError> {
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

    #[test]
    fn groups_are_found_by_name() {
        let groups = "root:x:0:\ndocker:x:998:me,you\nbroken\n:x:5:\n";
        assert_eq!(find_group(groups, "docker"), Some(998));
        for missing in ["dock", "broken", "", "me"] {
            assert_eq!(find_group(groups, missing), None, "{missing}");
        }
    }
}
