//! `longshore manifest annotate`

use super::local::{Lists, normalized};
use crate::error::CliError;
use crate::session::Session;

/// The systems that docker takes, each with its architectures.
const PLATFORMS: [(&str, &[&str]); 9] = [
    ("darwin", &["386", "amd64", "arm", "arm64"]),
    ("dragonfly", &["amd64"]),
    ("freebsd", &["386", "amd64", "arm"]),
    (
        "linux",
        &["386", "amd64", "arm", "arm64", "mips64", "mips64le", "ppc64le", "riscv64", "s390x"],
    ),
    ("netbsd", &["386", "amd64", "arm"]),
    ("openbsd", &["386", "amd64", "arm"]),
    ("plan9", &["386", "amd64"]),
    ("solaris", &["amd64"]),
    ("windows", &["386", "amd64"]),
];

/// Add additional information to a local image manifest
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore manifest annotate [OPTIONS] MANIFEST_LIST MANIFEST")]
pub(crate) struct Arguments {
    /// Set architecture
    #[arg(long, value_name = "string", default_value = "", hide_default_value = true)]
    arch: String,
    /// Set operating system
    #[arg(long, value_name = "string", default_value = "", hide_default_value = true)]
    os: String,
    /// Set operating system feature
    #[arg(long, value_name = "strings", value_delimiter = ',')]
    os_features: Vec<String>,
    /// Set operating system version
    #[arg(long, value_name = "string", default_value = "", hide_default_value = true)]
    os_version: String,
    /// Set architecture variant
    #[arg(long, value_name = "string", default_value = "", hide_default_value = true)]
    variant: String,
    #[arg(hide = true, required = true, value_name = "MANIFEST_LIST")]
    list: String,
    #[arg(hide = true, required = true, value_name = "MANIFEST")]
    manifest: String,
}

/// Changes what a list says of one of its manifests.
pub(crate) fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let lists = Lists::new(session.own_directory()?);
    let parse = |what: &str, name: &str| {
        normalized(name).map_err(|error| {
            CliError::Refused(format!("annotate: error parsing name for {what} {name}: {error}"))
        })
    };
    let list = parse("manifest list", &arguments.list)?;
    let name = parse("manifest", &arguments.manifest)?;
    let mut manifest = lists.get(&list, &name)?.ok_or_else(|| {
        let (manifest, list) = (&arguments.manifest, &arguments.list);
        CliError::Refused(format!("manifest for image {manifest} does not exist in {list}"))
    })?;
    let platform = &mut manifest.descriptor.platform;
    let set = |field: &mut String, value: &str| {
        if !value.is_empty() {
            value.clone_into(field);
        }
    };
    set(&mut platform.os, &arguments.os);
    set(&mut platform.architecture, &arguments.arch);
    for feature in arguments.os_features.into_iter().filter(|feature| !feature.is_empty()) {
        if !platform.os_features.contains(&feature) {
            platform.os_features.push(feature);
        }
    }
    set(&mut platform.variant, &arguments.variant);
    set(&mut platform.os_version, &arguments.os_version);
    if !is_known(&platform.os, &platform.architecture) {
        return Err(CliError::Refused(format!(
            "manifest entry for image has unsupported os/arch combination: {}/{}",
            arguments.os, arguments.arch
        )));
    }
    lists.save(&list, &name, &manifest)
}

fn is_known(os: &str, architecture: &str) -> bool {
    PLATFORMS.iter().any(|(known, all)| *known == os && all.contains(&architecture))
}
