//! The user's home directory, as docker finds it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The file of users.
const USERS: &str = "/etc/passwd";
/// The largest such file that is read: some hundred thousand users.
const MAX_FILE: u64 = 16 << 20;

/// Returns the home that the machine has for this user, for whoever runs without `HOME`, as services and jobs do.
pub(crate) fn of_user() -> Option<PathBuf> {
    let mut users = Vec::new();
    File::open(Path::new(USERS)).ok()?.take(MAX_FILE).read_to_end(&mut users).ok()?;
    in_users(&users, rustix::process::getuid().as_raw())
}

/// Finds a user's home in the text of a file of users: `name:password:uid:gid:comment:home:shell` a line.
fn in_users(users: &[u8], uid: u32) -> Option<PathBuf> {
    let uid = uid.to_string();
    let mut lines = users.split(|byte| *byte == b'\n').map(|line| line.split(|byte| *byte == b':'));
    let mut user = lines.find(|line| line.clone().nth(2) == Some(uid.as_bytes()))?;
    let home = Path::new(OsStr::from_bytes(user.nth(5)?));
    home.is_absolute().then(|| home.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_that_of_the_users_line() {
        let users = b"root:x:0:0:root:/root:/bin/bash\nshort:x:5\n# a comment\nci:x:1001:1001::/home/ci:/bin/sh\n\
                      lost:x:7:7:::/bin/sh\nhere:x:8:8::home:/bin/sh\n";
        for (uid, expected) in [
            (0, Some("/root")),
            (1001, Some("/home/ci")),
            (1, None),
            (5, None),
            (7, None),
            (8, None),
        ] {
            assert_eq!(in_users(users, uid), expected.map(PathBuf::from), "{uid}");
        }
    }
}
