//! The places of `unpack` and `mount`: directories that are there already, that are somebody else's, or the store's own;
//! and what they do without root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use test_support::image::{Compression, Image, Layer};
use test_support::servers::{LocalRegistry, installed};
use test_support::tar::Entry;

use super::support::{Bench, Front, Home, files_below, is_root, run};

/// A user without rights: `nobody`.
const NOBODY: u32 = 65_534;

/// Something mounted for a test.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

fn image(registry: &LocalRegistry, tag: &str, layers: &[&[Entry]]) -> String {
    let mut image = Image::builder();
    for entries in layers {
        image = image.layer(Layer::new(Compression::Gzip, entries));
    }
    image.build().push(&registry.client(), "app", tag).unwrap();
    format!("{}/app:{tag}", registry.address())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_is_empty_already_is_filled() {
    let registry = LocalRegistry::start().unwrap();
    let name = image(&registry, "1", &[&[Entry::directory("d"), Entry::file("d/f", "content")]]);
    let bench = Bench::new(Front::InProcess, &["--storage-driver", "packed"]);
    bench.run(&["pull", "-q", &name]).success();
    let at = |name: &str| bench.home.path().join(name);
    fs::create_dir(at("real")).unwrap();
    symlink("real", at("link")).unwrap();
    bench.run(&["unpack", "-q", &name, text(&at("link"))]).success();
    assert_eq!(files_below(&at("real")), ["d/f"]);
    // The directory that a shell is in stays the same one.
    for (number, path) in [".", "./", "../here1/.", "$PWD"].into_iter().enumerate() {
        let here = at(&format!("here{number}"));
        fs::create_dir(&here).unwrap();
        let before = fs::metadata(&here).unwrap().ino();
        let path = if path == "$PWD" {
            text(&here).to_owned()
        } else {
            path.replace('1', &number.to_string())
        };
        let mut command = bench.command();
        run(command.current_dir(&here).args(["unpack", "-q", &name, &path]), "").success();
        assert_eq!(files_below(&here), ["d/f"], "{path}");
        assert_eq!(fs::metadata(&here).unwrap().ino(), before, "{path}");
    }
    if is_root() {
        fs::create_dir(at("disk")).unwrap();
        mount("none", at("disk"), "tmpfs", MountFlags::empty(), None::<&std::ffi::CStr>).unwrap();
        let _mounted = Mounted(at("disk"));
        bench.run(&["unpack", "-q", "--bundle", &name, text(&at("disk"))]).success();
        assert_eq!(files_below(&at("disk")), ["config.json", "rootfs/d/f"]);
    }
}

#[test]
fn places_that_are_none_are_refused() {
    let registry = LocalRegistry::start().unwrap();
    let name = image(&registry, "1", &[&[Entry::file("f", "content")]]);
    let bench = Bench::new(Front::InProcess, &["--storage-driver", "packed"]);
    bench.run(&["pull", "-q", &name]).success();
    let at = |name: &str| bench.home.path().join(name);
    fs::create_dir_all(at("disk/lost+found")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    let data_root = bench.home.data_root();
    symlink(&data_root, at("link")).unwrap();
    let mut table = vec![
        (at("disk"), "lost+found"),
        (at("dangling"), "is a symbolic link to what does not exist"),
        (data_root.clone(), "lies in the data root"),
        (data_root.join("new"), "lies in the data root"),
        (data_root.join("longshore/new"), "lies in the data root"),
        (at("link/image/new"), "lies in the data root"),
    ];
    let mut mounted = Vec::new();
    if is_root() {
        for (source, target) in [(data_root.clone(), "bind"), (data_root.join("longshore"), "part")]
        {
            fs::create_dir(at(target)).unwrap();
            mount_bind(source, at(target)).unwrap();
            mounted.push(Mounted(at(target)));
            table.push((at(target).join("new"), "lies in the data root"));
        }
    }
    for (path, part) in &table {
        let error = bench.run(&["unpack", "-q", &name, text(path)]).failure();
        assert!(error.contains(part) && error.contains(text(path)), "{error}");
    }
    if is_root() {
        let parts = [
            (bench.home.path().to_owned(), "has the data root"),
            (data_root.clone(), "lies in the data root"),
            (at("link"), "lies in the data root"),
            (at("bind"), "lies in the data root"),
            (PathBuf::from("/"), "has the data root"),
        ];
        for (path, part) in parts {
            let error = bench.run(&["mount", &name, text(&path)]).failure();
            assert!(error.contains(part), "{error}");
        }
    }
    // The directory that the user is in was removed.
    fs::create_dir(at("gone")).unwrap();
    let script = format!("cd {0} && rmdir {0} && exec \"$@\"", text(&at("gone")));
    let mut command = bench.home.clean("sh");
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_longshore"), "--data-root"]);
    command.arg(&data_root).args(["unpack", "-q", &name, "new"]);
    let error = run(&mut command, "").failure();
    assert!(error.contains("current directory") && error.contains("absolute path"), "{error}");
}

/// A user without rights, with a home and the program.
struct Nobody {
    home: Home,
    own: PathBuf,
}

impl Nobody {
    /// `None` where root cannot become anybody else.
    fn new() -> Option<Self> {
        if is_root() && !installed(&["setpriv"]) {
            println!("skipped: needs setpriv");
            return None;
        }
        let home = Home::new();
        fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
        let nobody = Self { own: home.path().join("own"), home };
        nobody.make_directory("");
        fs::copy(env!("CARGO_BIN_EXE_longshore"), nobody.own.join("longshore")).unwrap();
        Some(nobody)
    }

    fn make_directory(&self, name: &str) {
        fs::create_dir(self.own.join(name)).unwrap();
        if is_root() {
            chown(self.own.join(name), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    fn run(&self, arguments: &[&str]) {
        let program = self.own.join("longshore");
        let mut command =
            if is_root() { self.home.clean("setpriv") } else { self.home.clean(&program) };
        if is_root() {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
        }
        command.env("HOME", &self.own).arg("--data-root").arg(self.own.join("data"));
        run(command.args(arguments), "").success();
    }
}

/// Directories that shut out their owner, in every way that a later layer may change them.
#[test]
fn without_root_read_only_directories_are_unpacked() {
    let Some(nobody) = Nobody::new() else { return };
    let registry = LocalRegistry::start().unwrap();
    let deep = "usr/bin/deep/f";
    let changes: [(&str, Vec<Entry>, &[&str]); 4] = [
        ("add", vec![Entry::file("usr/bin/n", "n")], &[deep, "usr/bin/n", "usr/bin/old"]),
        ("remove", vec![Entry::whiteout("usr/bin/old")], &[deep]),
        ("remove-directory", vec![Entry::whiteout("usr/bin")], &[]),
        ("opaque", vec![Entry::opaque("usr/bin"), Entry::file("usr/bin/n", "n")], &["usr/bin/n"]),
    ];
    for mode in [0o555, 0o000] {
        let lower = [
            Entry::directory("usr").mode(mode),
            Entry::directory("usr/bin").mode(mode),
            Entry::file("usr/bin/old", "o"),
            Entry::directory("usr/bin/deep").mode(mode),
            Entry::file(deep, "f"),
            Entry::symlink("bin", "usr/bin"),
        ];
        for (what, upper, files) in &changes {
            let mut upper = upper.clone();
            upper.insert(0, Entry::directory("usr").mode(mode));
            let name = image(&registry, &format!("{what}-{mode:o}"), &[&lower, &upper]);
            nobody.run(&["pull", "-q", &name]);
            nobody.make_directory("existing");
            for target in ["existing", "new"] {
                let target = nobody.own.join(target);
                nobody.run(&["unpack", "-q", &name, text(&target)]);
                assert_eq!(fs::metadata(target.join("usr")).unwrap().mode() & 0o7777, mode);
                if is_root() {
                    let mut found = files_below(&target);
                    found.retain(|name| name != "bin");
                    assert_eq!(&found, files, "{what} {mode:o}");
                }
                remove(&target);
            }
            let entries = fs::read_dir(&nobody.own).unwrap();
            let left = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            assert!(left.into_iter().all(|name| !name.contains(".longshore-")), "{what}");
        }
    }
}

/// Removes a directory as a user who is not root must.
fn remove(path: &Path) {
    fn open(path: &Path) {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        for entry in fs::read_dir(path).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                open(&entry.path());
            }
        }
    }
    open(path);
    fs::remove_dir_all(path).unwrap();
}
