//! The user of an image's config, looked up in the image's own `/etc/passwd` and `/etc/group`.
//!
//! Both files are a stranger's: numbers are never looked up as names, and what is out of range is refused rather than cut
//! (CVE-2024-40635).

use std::os::fd::BorrowedFd;

use crate::error::Mistake;
use crate::{EngineError, Result};

/// The most of either file that is read, in bytes: tens of thousands of users.
const MAX_FILE: u64 = 4 << 20;

/// The most groups that a process can be in: `NGROUPS_MAX`.
const MAX_GROUPS: usize = 65_536;

/// The IDs that a process runs under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Groups besides `gid`, sorted.
    pub(super) groups: Vec<u32>,
    pub(super) home: Option<String>,
}

/// Finds the user that `text` means (`name`, `uid`, each with `:group` or `:gid`) in the files below `root`. Blocking.
pub(super) fn find(root: BorrowedFd<'_>, text: &str) -> Result<User> {
    let read = |path: &str| -> Result<String> {
        let bytes = archive::read_file(root, path, MAX_FILE)
            .map_err(|error| Mistake::UserFile { path: path.to_owned(), error })
            .map_err(EngineError::InvalidParameter)?;
        Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
    };
    resolve(text, &read("etc/passwd")?, &read("etc/group")?)
}

fn resolve(text: &str, passwd: &str, group: &str) -> Result<User> {
    let (name, group_name) = match text.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (text, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let mut user = User::default();
    let mut login = None;
    let number = number(name)?;
    let entry = passwd.lines().filter_map(passwd_entry).find(|entry| match number {
        Some(uid) => entry.uid == uid,
        None => entry.name == name,
    });
    match (entry, number) {
        (Some(entry), _) => {
            (user.uid, user.gid) = (entry.uid, entry.gid);
            user.home = Some(entry.home.to_owned()).filter(|home| home.starts_with('/'));
            login = Some(entry.name);
        }
        (None, Some(uid)) => user.uid = uid,
        (None, None) => {
            return Err(EngineError::InvalidParameter(Mistake::NoUser(name.to_owned())));
        }
    }
    if let Some(name) = group_name.filter(|name| !name.is_empty()) {
        user.gid = match self::number(name)? {
            Some(gid) => gid,
            None => group
                .lines()
                .filter_map(group_entry)
                .find(|entry| entry.name == name)
                .map(|entry| entry.gid)
                .ok_or_else(|| EngineError::InvalidParameter(Mistake::NoGroup(name.to_owned())))?,
        };
    } else if let Some(login) = login {
        // As runc: the other groups only where none was asked for.
        let others = group.lines().filter_map(group_entry).filter(|entry| {
            entry.members.split(',').any(|member| member == login) && entry.gid != user.gid
        });
        user.groups = others.map(|entry| entry.gid).collect();
        user.groups.sort_unstable();
        user.groups.dedup();
        if user.groups.len() > MAX_GROUPS {
            let (user, max) = (name.to_owned(), MAX_GROUPS);
            return Err(EngineError::InvalidParameter(Mistake::TooManyGroups { user, max }));
        }
    }
    Ok(user)
}

/// Reads an ID. `None` if it is a name.
fn number(text: &str) -> Result<Option<u32>> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    // The kernel's IDs are of 32 bits; runtimes take them as signed ones.
    match text.parse::<u32>() {
        Ok(id) if i32::try_from(id).is_ok() => Ok(Some(id)),
        _ => Err(EngineError::InvalidParameter(Mistake::IdOutOfRange(text.to_owned()))),
    }
}

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// `name:password:uid:gid:comment:home:shell`
fn passwd_entry(line: &str) -> Option<PasswdEntry<'_>> {
    let mut fields = line.trim().split(':');
    let (name, _) = (fields.next()?, fields.next()?);
    let uid = number(fields.next()?).ok()??;
    let gid = number(fields.next()?).ok()??;
    let home = fields.nth(1).unwrap_or_default();
    Some(PasswdEntry { name, uid, gid, home })
}

struct GroupEntry<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// `name:password:gid:members`
fn group_entry(line: &str) -> Option<GroupEntry<'_>> {
    let mut fields = line.trim().split(':');
    let (name, _) = (fields.next()?, fields.next()?);
    let gid = number(fields.next()?).ok()??;
    Some(GroupEntry { name, gid, members: fields.next().unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
                          # a comment\n\
                          app:x:1000:100::/home/app:/bin/sh\n\
                          1001:x:7:7::/seven:\n\
                          huge:x:4294967296:0::/:\n\
                          short:x:9\n";
    const GROUP: &str =
        "root:x:0:\nusers:x:100:app\nwheel:x:10:root,app\naudio:x:29:app\n7:x:70:\n";

    #[test]
    fn users_are_found_numbers_first() {
        let user = |uid, gid, groups: &[u32], home: Option<&str>| User {
            uid,
            gid,
            groups: groups.to_vec(),
            home: home.map(str::to_owned),
        };
        let table = [
            ("", user(0, 0, &[10], Some("/root"))),
            ("root", user(0, 0, &[10], Some("/root"))),
            ("app", user(1000, 100, &[10, 29], Some("/home/app"))),
            ("1000", user(1000, 100, &[10, 29], Some("/home/app"))),
            ("app:wheel", user(1000, 10, &[], Some("/home/app"))),
            ("app:5", user(1000, 5, &[], Some("/home/app"))),
            (":wheel", user(0, 10, &[], Some("/root"))),
            // A number is an ID, even if somebody's name is that number.
            ("1001", user(1001, 0, &[], None)),
            ("app:7", user(1000, 7, &[], Some("/home/app"))),
            ("4711:4712", user(4711, 4712, &[], None)),
        ];
        for (text, expected) in table {
            assert_eq!(resolve(text, PASSWD, GROUP).unwrap(), expected, "{text:?}");
        }
        assert_eq!(resolve("", "", "").unwrap(), User::default(), "an image without the files");
    }

    #[test]
    fn nobody_is_in_more_groups_than_linux_takes() {
        let groups = |count: usize| -> String {
            (1..=count).map(|gid| ["g:x:", &gid.to_string(), ":app\n"].concat()).collect()
        };
        let passwd = "app:x:5:0::/:";
        assert_eq!(resolve("app", passwd, &groups(MAX_GROUPS)).unwrap().groups.len(), MAX_GROUPS);
        let error = resolve("app", passwd, &groups(MAX_GROUPS + 1)).unwrap_err().to_string();
        assert!(error.contains("more than the 65536 groups"), "{error}");
    }

    #[test]
    fn what_is_unknown_or_out_of_range_is_refused() {
        for (text, part) in [
            ("nobody", "unable to find user nobody"),
            ("app:nobody", "unable to find group nobody"),
            ("huge", "unable to find user huge"),
            ("4294967296", "out of range"),
            ("2147483648", "out of range"),
            ("0:99999999999999999999", "out of range"),
            ("-1", "unable to find user -1"),
        ] {
            let error = resolve(text, PASSWD, GROUP).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
