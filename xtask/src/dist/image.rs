//! The binary alone as an image, which the binary itself packs.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::json;
use test_support::image::{Compression, Format, Image, Layer};
use test_support::tar::Entry;

use super::build::Commit;
use super::target::Target;
use crate::shell;
use crate::workspace::longshore;

/// Writes an OCI archive to `path`: one layer with `/longshore`. `packer` runs on this machine.
pub(super) fn write(
    path: &Path,
    (version, target, commit): (&str, &Target, &Commit),
    binary: &[u8],
    (packer, scratch): (&Path, &Path),
) -> Result<()> {
    let file = Entry::file("longshore", binary).mode(0o755).modified(commit.seconds, 0);
    // Where it keeps what it is told to keep, and what a first `pull` needs to be there.
    let folder = |path: &str, mode| Entry::directory(path).mode(mode).modified(commit.seconds, 0);
    let entries = [file, folder("tmp", 0o1777), folder("var", 0o755), folder("var/lib", 0o755)];
    let document = json!({
        "architecture": target.machine.debian,
        "os": "linux",
        "created": commit.time,
        "config": {
            "Entrypoint": ["/longshore"],
            "Env": ["PATH=/"],
            "Labels": {
                "org.opencontainers.image.title": "Longshore",
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.revision": commit.name,
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        },
        "history": [{ "created": commit.time, "created_by": "cargo xtask dist" }],
    });
    let layer = Layer::new(Compression::Gzip, &entries);
    let image = Image::builder().format(Format::Oci).layer(layer).document(document).build();
    let layout = scratch.join(format!("layout-{}", target.machine.rust));
    image.write_layout(&layout, version)?;
    let mut command = longshore(packer, scratch)?;
    command.args(["copy", "--quiet"]);
    command.arg(format!("oci:{}:{version}", layout.display()));
    command.arg(format!("oci-archive:{}:longshore:{version}", path.display()));
    shell::output(&mut command)?;
    fs::remove_dir_all(layout)?;
    Ok(())
}
