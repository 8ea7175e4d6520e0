//! The command line: the tree of verbs.
//!
//! Names and letters of flags are Docker's; the flags of each verb are in the verb's own file. Flags that Docker has
//! not carry a sentence of their own in the help.

use clap::{Parser, Subcommand};

use crate::globals::Globals;
use crate::hints::Subject;
use crate::verbs::{
    check, completion, copy, daemon, df, dial_stdio, diff, doctor, events, help, history, images,
    import, info, inspect, load, login, logout, man, manifest, mount, prune, pull, push, registry,
    rmi, save, search, sync, tag, trust, unpack, verify, version,
};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "longshore",
    about = "A Docker image engine: pull, push and keep images, with a daemon or without",
    override_usage = "longshore [OPTIONS] COMMAND",
    after_help = "Run 'longshore COMMAND --help' for more information on a command.",
    disable_version_flag = true,
    disable_help_subcommand = true,
    args_override_self = true,
    subcommand_value_name = "COMMAND",
    subcommand_help_heading = "Commands"
)]
pub(crate) struct CommandLine {
    /// Print version information and quit
    #[arg(short = 'v', long = "version")]
    pub(crate) version: bool,
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

/// The commands of `longshore`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Pull(pull::Arguments),
    Push(push::Arguments),
    Copy(copy::Arguments),
    Images(images::Arguments),
    History(history::Arguments),
    Events(events::Arguments),
    Login(login::Arguments),
    Logout(logout::Arguments),
    Version(version::Arguments),
    Info(info::Arguments),
    Inspect(inspect::Arguments),
    Rmi(rmi::Arguments),
    Save(save::Arguments),
    Load(load::Arguments),
    Prune(prune::Arguments),
    Import(import::Arguments),
    Search(search::Arguments),
    Sync(sync::Arguments),
    Tag(tag::Arguments),
    Unpack(unpack::Arguments),
    Verify(verify::Arguments),
    /// Manage Docker image manifests and manifest lists
    #[command(
        subcommand,
        override_usage = "longshore manifest COMMAND",
        disable_help_subcommand = true
    )]
    Manifest(manifest::ManifestVerb),
    /// Manage trust on Docker images
    #[command(
        subcommand,
        override_usage = "longshore trust COMMAND",
        disable_help_subcommand = true
    )]
    Trust(trust::TrustVerb),
    Mount(mount::Arguments),
    Umount(mount::UmountArguments),
    /// Manage images
    #[command(
        subcommand,
        override_usage = "longshore image COMMAND",
        disable_help_subcommand = true
    )]
    Image(ImageVerb),
    /// Manage Longshore
    #[command(
        subcommand,
        override_usage = "longshore system COMMAND",
        disable_help_subcommand = true
    )]
    System(SystemVerb),
    Daemon(Box<daemon::Arguments>),
    Doctor(doctor::Arguments),
    Registry(registry::Arguments),
    Completion(completion::Arguments),
    Man(man::Arguments),
    #[command(hide = true)]
    Help(help::Arguments),
}

impl Verb {
    /// Says whether the verb only asks, or changes a name: it moves no layers, so that one thread does it best.
    pub(crate) fn is_quick(&self) -> bool {
        match self {
            Verb::Images(_)
            | Verb::History(_)
            | Verb::Inspect(_)
            | Verb::Tag(_)
            | Verb::Version(_)
            | Verb::Info(_) => true,
            // A check may read every file and fetch what is damaged.
            Verb::System(verb) => !matches!(verb, SystemVerb::Check(_)),
            Verb::Image(verb) => matches!(
                verb,
                ImageVerb::Ls(_)
                    | ImageVerb::History(_)
                    | ImageVerb::Inspect(_)
                    | ImageVerb::Tag(_)
            ),
            _ => false,
        }
    }
}

impl Verb {
    /// Says whether the verb is about images that are kept. The others are about registries alone, and work without a data
    /// root.
    pub(crate) fn needs_store(&self) -> bool {
        match self {
            Verb::Copy(arguments) => return arguments.needs_store(),
            Verb::Trust(verb) => return verb.needs_store(),
            _ => {}
        }
        !matches!(
            self,
            Verb::Login(_)
                | Verb::Logout(_)
                | Verb::Manifest(_)
                | Verb::Registry(_)
                | Verb::Search(_)
                | Verb::Sync(_)
                | Verb::Verify(_)
                | Verb::Version(_)
        )
    }
}

impl Verb {
    /// Says whether the verb only lists images: where there can be no store, there are none, which is no failure.
    pub(crate) fn lists_images(&self) -> bool {
        matches!(self, Verb::Images(_) | Verb::Image(ImageVerb::Ls(_)))
    }
}

impl Verb {
    /// Returns what the verb is about, for hints.
    pub(crate) fn subject(&self) -> Subject {
        match self {
            Verb::Pull(arguments) | Verb::Image(ImageVerb::Pull(arguments)) => {
                Subject::image(&arguments.name)
            }
            Verb::Push(arguments) | Verb::Image(ImageVerb::Push(arguments)) => {
                Subject::push(&arguments.name)
            }
            Verb::Login(arguments) => Subject::registry(arguments.server.as_deref()),
            Verb::Search(_) => Subject::registry(None),
            Verb::Copy(arguments) => arguments.subject(),
            Verb::Verify(arguments) => Subject::image(&arguments.name),
            Verb::Registry(arguments) => arguments.subject(),
            _ => Subject::default(),
        }
    }
}

/// The verbs of `longshore image`.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageVerb {
    #[command(override_usage = "longshore image pull [OPTIONS] NAME[:TAG|@DIGEST]")]
    Pull(pull::Arguments),
    #[command(override_usage = "longshore image push [OPTIONS] NAME[:TAG]")]
    Push(push::Arguments),
    #[command(alias = "list", override_usage = "longshore image ls [OPTIONS] [REPOSITORY[:TAG]]")]
    Ls(images::Arguments),
    #[command(override_usage = "longshore image history [OPTIONS] IMAGE")]
    History(history::Arguments),
    #[command(override_usage = "longshore image tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]")]
    Tag(tag::Arguments),
    #[command(
        aliases = ["rmi", "remove"],
        override_usage = "longshore image rm [OPTIONS] IMAGE [IMAGE...]"
    )]
    Rm(rmi::Arguments),
    #[command(override_usage = "longshore image prune [OPTIONS]")]
    Prune(prune::Arguments),
    Inspect(inspect::ImageArguments),
    #[command(override_usage = "longshore image save [OPTIONS] IMAGE [IMAGE...]")]
    Save(save::Arguments),
    #[command(override_usage = "longshore image load [OPTIONS]")]
    Load(load::Arguments),
    #[command(override_usage = "longshore image import [OPTIONS] file|URL|- [REPOSITORY[:TAG]]")]
    Import(import::Arguments),
    #[command(override_usage = "longshore image diff [OPTIONS] [FROM] IMAGE")]
    Diff(diff::Arguments),
}

/// The verbs of `longshore system`.
#[derive(Debug, Subcommand)]
pub(crate) enum SystemVerb {
    Df(df::Arguments),
    #[command(override_usage = "longshore system events [OPTIONS]")]
    Events(events::Arguments),
    #[command(override_usage = "longshore system info [OPTIONS]")]
    Info(info::Arguments),
    #[command(hide = true)]
    DialStdio(dial_stdio::Arguments),
    Check(check::Arguments),
}
