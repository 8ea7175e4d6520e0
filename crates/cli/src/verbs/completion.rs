//! `longshore completion`

use clap::CommandFactory;
use clap_complete::Shell;

use crate::arguments::CommandLine;
use crate::error::CliError;
use crate::output;

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore completion bash|zsh|fish")]
pub(crate) struct Arguments {
    #[arg(hide = true)]
    shell: Language,
}

/// The shells that there are scripts for.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Language {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script.
pub(crate) fn run(arguments: &Arguments) -> Result<(), CliError> {
    let shell = match arguments.shell {
        Language::Bash => Shell::Bash,
        Language::Zsh => Shell::Zsh,
        Language::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "longshore", &mut script);
    output::print_bytes(&script)
}
