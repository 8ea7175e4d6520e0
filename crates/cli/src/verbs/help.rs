//! `longshore help`: answered where the command line is read, which has the texts.

/// Help about the command
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore help [command]")]
pub(crate) struct Arguments {
    #[arg(hide = true)]
    pub(crate) topic: Vec<String>,
}
