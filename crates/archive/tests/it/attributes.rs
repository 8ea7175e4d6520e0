//! Extended attributes that are kept, left out, or overlayfs's own.

use crate::builder::{Entry, directory, file, hard_link, symlink, tar};
use crate::fixture::{Fixture, is_root};

fn names(fixture: &Fixture, path: &str) -> Vec<String> {
    let mut list = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(fixture.path(path), &mut list[..]).unwrap();
    let names = list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| String::from_utf8(name.to_vec()).unwrap()).collect()
}

fn with(entry: Entry, attributes: &[(&str, &[u8])]) -> Entry {
    attributes
        .iter()
        .fold(entry, |entry, (name, value)| entry.pax(&format!("SCHILY.xattr.{name}"), value))
}

#[test]
fn what_cannot_be_here_is_left_out_and_is_no_damage() {
    if !is_root() {
        return;
    }
    let huge = vec![b'x'; 70_000];
    let large = vec![b'x'; 30_000];
    let named_acl =
        b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x02\0\x05\0\x08\0\0\0\x04\0\x05\0\xff\xff\xff\xff\x10\0\x07\0\xff\xff\xff\xff\x20\0\x05\0\xff\xff\xff\xff";
    let plain_acl =
        b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x04\0\x05\0\xff\xff\xff\xff\x20\0\x05\0\xff\xff\xff\xff";
    let attributes: [(&str, &[u8]); 12] = [
        ("com.apple.provenance", b"\x01\x02\0abc"),
        ("com.apple.quarantine", b"0081;"),
        ("system.nfs4_acl", b"\0\0"),
        ("nonsense", b"1"),
        ("user.huge", &huge),
        ("user.large", &large),
        ("security.capability", b"1"),
        ("system.posix_acl_access", b"1"),
        ("system.posix_acl_access", named_acl),
        ("system.posix_acl_access", plain_acl),
        ("system.posix_acl_default", named_acl),
        ("trusted.mine", b"1"),
    ];
    for attribute in attributes {
        println!("{}", attribute.0);
        let fixture = Fixture::new();
        let kept = ("user.kept", &b"yes"[..]);
        let entries = [
            with(file("f", "content").mode(0o640), &[kept, attribute]),
            with(directory("d").mode(0o750), &[attribute, kept]),
            with(symlink("l", "f"), &[attribute]),
            with(Entry::new(b"p", b'6'), &[attribute]),
        ];
        fixture.apply_all_ways(&tar(entries)).unwrap();
        assert!(names(&fixture, "f").contains(&"user.kept".to_owned()));
        assert!(names(&fixture, "d").contains(&"user.kept".to_owned()));
        assert_eq!((fixture.mode("f"), fixture.mode("d")), (0o640, 0o750));
    }
}

#[test]
fn an_attribute_that_could_be_and_is_gone_is_damage() {
    if !is_root() {
        return;
    }
    for (name, value) in [("user.a", &b"1"[..]), ("trusted.a", b"1"), ("security.a", b"1")] {
        let fixture = Fixture::new();
        let layer = fixture.apply(&tar([with(file("f", "x"), &[(name, value)])])).unwrap();
        rustix::fs::removexattr(fixture.path("f"), name).unwrap();
        let verified = archive::verify(&layer.tar_split[..], &fixture.root()).unwrap();
        assert_eq!(verified.damages[0].problem, format!("its attribute {name} differs"));
    }
}

#[test]
fn a_hard_link_takes_capabilities_away() {
    if !is_root() {
        return;
    }
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let fixture = Fixture::new();
    let entries =
        [with(file("f", "x"), &[("security.capability", capability)]), hard_link("g", "f")];
    fixture.apply_all_ways(&tar(entries)).unwrap();
    assert_eq!(names(&fixture, "f"), [] as [&str; 0], "as the kernel does at a change of owner");
}

#[test]
fn overlayfs_s_own_are_dropped() {
    if !is_root() {
        return;
    }
    let fixture = Fixture::new();
    let private: [(&str, &[u8]); 7] = [
        ("trusted.overlay.opaque", b"y"),
        ("trusted.overlay.redirect", b"/etc"),
        ("trusted.overlay.metacopy", b""),
        ("trusted.overlay.whiteout", b"y"),
        ("trusted.overlay.overlay.opaque", b"y"),
        ("user.overlay.opaque", b"y"),
        ("user.a", b"1"),
    ];
    let entries = [
        with(directory("d"), &private),
        with(file("f", "x"), &private),
        with(symlink("l", "f"), &private[..5]),
        with(hard_link("g", "f"), &private),
    ];
    fixture.apply_all_ways(&tar(entries)).unwrap();
    assert_eq!(names(&fixture, "d"), ["user.a"]);
    assert_eq!(names(&fixture, "f"), ["user.a"]);
    assert_eq!(names(&fixture, "l"), [] as [&str; 0]);
}
