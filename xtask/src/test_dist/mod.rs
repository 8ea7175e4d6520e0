//! `cargo xtask test-dist`: what `cargo xtask dist` made, in a Debian 12 with nothing else and in an empty folder.

mod names;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::geteuid;
use test_support::image::{Compression, Format, Image, Layer};
use test_support::servers::LocalRegistry;
use test_support::tar::Entry;

use crate::shell;
use crate::workspace::Workspace;

/// Beside the smallest Debian: what reads manual pages, completions and units.
const READERS: &str = "bash-completion,ca-certificates,fish,man-db,systemd,zsh";
/// An address that nobody else on a machine has, for the name server.
const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 77, 53);

pub(crate) fn run(options: &[String]) -> Result<()> {
    let given = match options {
        [] => None,
        [flag, folder] if flag == "--debian" => Some(PathBuf::from(folder)),
        _ => bail!("`test-dist` takes `--debian FOLDER` or nothing"),
    };
    ensure!(
        geteuid().is_root(),
        "`test-dist` makes root file systems, for which it has to be root"
    );
    let workspace = Workspace::read()?;
    let dist = workspace.target.join("dist");
    check_sums(&dist)?;
    let scratch = tempfile::Builder::new().prefix("test-dist-").tempdir_in(&workspace.target)?;
    let debian = match given {
        Some(folder) => folder,
        None => bootstrap(&scratch.path().join("debian"))?,
    };
    let registry = LocalRegistry::start()?;
    let layer = Layer::new(Compression::Gzip, &[Entry::file("hello", "world\n")]);
    let image = Image::builder().format(Format::Oci).layer(layer).build();
    image.push(&registry.client(), "hello", "1")?;
    let test = Test { dist, scratch: scratch.path().to_owned(), registry: registry.address() };
    test.package(&debian)?;
    test.archive(&debian)?;
    test.empty_root()?;
    println!("\nThe release works.");
    Ok(())
}

/// Makes a Debian of the packages that the machine's own sources have.
fn bootstrap(folder: &Path) -> Result<PathBuf> {
    let mut command = Command::new("debootstrap");
    command.args(["--variant=minbase", "--include", READERS, "bookworm"]).arg(folder);
    shell::run(&mut command).context("debootstrap comes from Debian's package of that name")?;
    Ok(folder.to_owned())
}

fn check_sums(dist: &Path) -> Result<()> {
    let mut command = Command::new("sha256sum");
    command.args(["--check", "--strict", "SHA256SUMS"]).current_dir(dist);
    shell::run(&mut command).context("`cargo xtask dist` makes what is tested")
}

struct Test {
    dist: PathBuf,
    scratch: PathBuf,
    registry: SocketAddr,
}

impl Test {
    /// The file of a release that ends so.
    fn file(&self, end: &str) -> Result<PathBuf> {
        for entry in fs::read_dir(&self.dist)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(end) && (name.contains("x86_64") || name.contains("amd64")) {
                return Ok(path);
            }
        }
        bail!("the release has no file that ends in `{end}`")
    }

    /// A copy of Debian with a file in `/`.
    fn root(&self, debian: &Path, name: &str, file: &Path) -> Result<PathBuf> {
        let root = self.scratch.join(name);
        shell::run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(debian).arg(&root))?;
        fs::copy(file, root.join("release"))?;
        Ok(root)
    }

    fn package(&self, debian: &Path) -> Result<()> {
        let root = self.root(debian, "package", &self.file(".deb")?)?;
        run_in(
            &root,
            "mv /release /release.deb && dpkg -i /release.deb && dpkg --verify longshore",
        )?;
        run_in(
            &root,
            "getent group docker && test -z \"$(dpkg-query -W -f '${Depends}' longshore)\"",
        )?;
        self.works(&root, "/usr")?;
        run_in(&root, "systemd-analyze verify longshore.service longshore.socket")?;
        run_in(
            &root,
            "longshore daemon --validate --config-file /etc/longshore/daemon.json.example",
        )?;
        run_in(
            &root,
            "systemctl enable longshore.socket && test -L /etc/systemd/system/sockets.target.wants/longshore.socket",
        )?;
        run_in(
            &root,
            "dpkg --remove longshore && ! test -e /usr/bin/longshore && test -d /etc/longshore",
        )?;
        run_in(&root, "dpkg --purge longshore && ! test -e /etc/longshore")?;
        nothing_is_left(&root)
    }

    fn archive(&self, debian: &Path) -> Result<()> {
        let root = self.root(debian, "archive", &self.file(".tar.gz")?)?;
        run_in(&root, "mkdir /u && tar -xf /release -C /u --strip-components=1 && /u/install.sh")?;
        self.works(&root, "/usr/local")?;
        let unit = "/usr/local/lib/systemd/system/longshore.service";
        run_in(
            &root,
            &format!("grep -qx 'ExecStart=/usr/local/bin/longshore daemon -H fd://' {unit}"),
        )?;
        run_in(
            &root,
            "systemd-sysusers && systemd-analyze verify longshore.service longshore.socket && systemctl enable longshore.socket",
        )?;
        run_in(&root, "/u/install.sh --uninstall && ! test -e /usr/local/bin/longshore")?;
        // It leaves the configuration, which may have been written, and the archive has its own files.
        run_in(
            &root,
            "rm -r /etc/longshore && mv /u /unpacked && tar -C / -cf /u.tar unpacked && rm -r /unpacked",
        )?;
        nothing_is_left(&root)?;
        run_in(&root, "tar -C / -xf /u.tar && mv /unpacked /u")?;
        // As a user, who has no place for units.
        run_in(
            &root,
            "useradd --create-home me && su me -c '/u/install.sh && ~/.local/bin/longshore --version && ! test -e ~/.local/lib'",
        )
    }

    /// Pulls, pushes and reads what was installed beside the binary.
    fn works(&self, root: &Path, prefix: &str) -> Result<()> {
        let host = self.registry;
        run_in(root, &format!("test \"$(command -v longshore)\" = {prefix}/bin/longshore"))?;
        run_in(
            root,
            &format!(
                "longshore pull {host}/hello:1 && longshore tag {host}/hello:1 {host}/again:1 \
                 && longshore push {host}/again:1 && longshore save {host}/again:1 | tar -t | grep manifest.json"
            ),
        )?;
        run_in(root, "man -P cat longshore-pull | grep -A1 '^NAME' | grep longshore-pull")?;
        run_in(
            root,
            "bash -c '. /usr/share/bash-completion/bash_completion; _completion_loader longshore; complete -p longshore'",
        )?;
        run_in(root, "fish -c 'complete -C \"longshore pul\"' | grep -w pull")?;
        run_in(
            root,
            "zsh -fc 'autoload -U compinit; compinit -u -d /tmp/dump; whence -v _longshore' | grep -i function",
        )
    }

    /// The binary alone, with nothing but what a name needs.
    fn empty_root(&self) -> Result<()> {
        let root = self.scratch.join("empty");
        fs::create_dir_all(root.join("etc"))?;
        fs::copy(self.file("x86_64-linux")?, root.join("longshore"))?;
        let port = self.registry.port();
        let pulling = |name: &str| {
            let mut command = Command::new("chroot");
            command.arg(&root).args(["/longshore", "--data-root", "/data"]);
            command.args(["--storage-driver", "packed", "pull"]);
            command.arg(format!("{name}:{port}/hello:1")).env_clear();
            command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
            command
        };
        let pull = |name: &str| shell::run(&mut pulling(name));
        pull("127.0.0.1")?;
        fs::write(root.join("etc/hosts"), "127.0.0.1 localhost of-a-file.localhost\n")?;
        pull("localhost")?;
        pull("of-a-file.localhost")?;
        names::serve(NAME_SERVER).context("cannot serve names")?;
        fs::write(root.join("etc/resolv.conf"), format!("nameserver {NAME_SERVER}\n"))?;
        // Plain HTTP is for loopback, so that an address of loopback is what the name has.
        pull(names::NAME)?;
        pull("of-a-file.localhost")?;
        let output = pulling("unknown.corp").output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        println!("\n$ {}\n{said}", shell::line(&pulling("unknown.corp")));
        ensure!(
            output.status.code() == Some(1)
                && said.contains("lookup unknown.corp")
                && said.contains("no such host"),
            "a name that nobody knows was to be told, and not: {}",
            output.status
        );
        Ok(())
    }
}

/// Insists that images alone are left of what was installed, used and removed.
fn nothing_is_left(root: &Path) -> Result<()> {
    run_in(root, "test -d /var/lib/longshore/image")?;
    run_in(
        root,
        "left=$(find / -xdev -name '*longshore*' ! -path '/var/lib/longshore*' ! -path '/var/cache/*' ! -path '/proc/*'); \
         echo \"$left\"; test -z \"$left\"",
    )
}

fn run_in(root: &Path, script: &str) -> Result<()> {
    let mut command = Command::new("chroot");
    command.arg(root).args(["/bin/sh", "-ec", script]).env_clear();
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    shell::run(command.env("PATH", path).env("HOME", "/root").env("LC_ALL", "C.UTF-8"))
}
