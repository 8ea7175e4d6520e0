//! `longshore`: the command line of the image engine.
//!
//! A verb turns its flags into requests of the Docker Engine API ([`client`]), sent to a daemon or to the engine in
//! this very process, and what is answered into text ([`render`], `go_template`). Nothing here knows how images are
//! kept or fetched.
//!
//! # Flow
//! [`usage`] reads the command line into [`arguments`]; [`session`] decides where the engine is; a file below
//! [`verbs`] does the work; [`output`] writes; [`error`] says why it did not work and with which status to end.
//!
//! # Cancellation
//! The first SIGINT or SIGTERM drops the verb, by which its request is cancelled; the process ends when the engine in
//! it has removed what is half-done, or after a few seconds. A second signal ends it at once.

mod activation;
mod arguments;
mod aside;
mod build_info;
mod cells;
mod client;
mod context;
mod credentials;
mod environment;
mod error;
mod globals;
mod hints;
mod home;
mod input;
mod limits;
mod logging;
mod memory;
mod names;
mod output;
mod pflag;
mod render;
mod session;
mod settings;
mod signals;
mod terminal;
mod usage;
mod values;
mod verbs;

use std::process::ExitCode;
use std::time::Duration;

use arguments::{CommandLine, ImageVerb, SystemVerb, Verb};
use environment::Environment;
use error::CliError;
use session::Session;
use usage::Request;
use verbs::images::CalledAs;
use verbs::{
    check, completion, copy, daemon, df, dial_stdio, diff, doctor, events, history, images, import,
    info, inspect, load, login, logout, man, manifest, mount, prune, pull, push, registry, rmi,
    save, search, sync, tag, trust, unpack, verify, version,
};

/// The time to clean up for work that was told to stop.
const SHUTDOWN: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    names::need_no_modules();
    let request = usage::parse(std::env::args_os());
    let (subject, config) = match &request {
        Ok(Request::Run(line)) => {
            (line.verb.as_ref().map(Verb::subject), line.globals.config.clone())
        }
        _ => (None, None),
    };
    match request.and_then(answer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = error.to_string();
            if !text.is_empty() {
                output::warn_line(&text);
            }
            let config = config.unwrap_or_else(|| Environment::read().config_directory());
            let subject = subject.unwrap_or_default().with_ambient(credentials::ambient());
            let subject = subject.with_config(config);
            if let Some(hint) = hints::hint(&error, &subject) {
                output::hint(&hint);
            }
            ExitCode::from(error.status())
        }
    }
}

fn answer(request: Request) -> Result<(), CliError> {
    match request {
        Request::Help(text) => output::print(&text),
        Request::Complete(words) => completion::complete(&words, &usage::grammar()),
        Request::Nothing(text) => {
            output::warn(&text);
            Ok(())
        }
        Request::Run(line) => run(*line),
    }
}

fn run(line: CommandLine) -> Result<(), CliError> {
    let CommandLine { globals, version, verb } = line;
    let verb = match verb {
        _ if version => {
            return output::print_line(&format!("Longshore version {}", build_info::VERSION));
        }
        Some(verb) => verb,
        None => return Ok(()),
    };
    memory::share_arenas(if verb.is_quick() { 1 } else { 2 });
    let runtime = runtime(&verb).enable_all().build().map_err(CliError::Start)?;
    let environment = Environment::read();
    let ended = runtime.block_on(async {
        match verb {
            // These serve until a signal comes, and end in their own way.
            Verb::Daemon(arguments) => daemon::run(*arguments, &globals, environment).await,
            Verb::Doctor(arguments) => doctor::run(arguments, &globals, environment).await,
            Verb::Completion(arguments) => completion::run(&arguments),
            Verb::Man(arguments) => man::run(&arguments, &usage::tree()),
            verb => {
                if let Verb::Registry(arguments) = &verb
                    && let Some(arguments) = arguments.serves()
                {
                    logging::start(globals.level().unwrap_or(tracing::Level::INFO), false);
                    limits::open_many_files();
                    return registry::serve::run(arguments).await;
                }
                match globals.level() {
                    Some(level) => drop(logging::start(level, false)),
                    None => logging::start_notices(),
                }
                if !verb.is_quick() {
                    limits::open_many_files();
                }
                let mut session = Session::new(&globals, environment.clone(), verb.needs_store())?;
                if verb.lists_images() && !session.client.could_have_store() {
                    session = Session::new(&globals, environment, false)?;
                }
                until_signal(&session, verb).await
            }
        }
    });
    // Whatever still runs is told to stop here. What it leaves half-done on the disk it removes before it ends, for
    // which a thread that unpacks must come to its next read.
    runtime.shutdown_timeout(SHUTDOWN);
    ended
}

/// A question is answered before other threads would have been started.
fn runtime(verb: &Verb) -> tokio::runtime::Builder {
    if verb.is_quick() {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    }
}

/// Runs a verb to its end or to the first signal, then lets the engine in this process end cleanly.
async fn until_signal(session: &Session, verb: Verb) -> Result<(), CliError> {
    let termination = signals::termination()?;
    let ended = tokio::select! {
        ended = dispatch(verb, session) => ended,
        signal = termination => Err(CliError::Interrupted(signal)),
    };
    // What does not end by itself ends with the runtime.
    let _ = tokio::time::timeout(SHUTDOWN, session.client.close()).await;
    ended
}

async fn dispatch(verb: Verb, session: &Session) -> Result<(), CliError> {
    match verb {
        Verb::Pull(arguments) | Verb::Image(ImageVerb::Pull(arguments)) => {
            pull::run(arguments, session).await
        }
        Verb::Push(arguments) | Verb::Image(ImageVerb::Push(arguments)) => {
            push::run(arguments, session).await
        }
        Verb::Copy(arguments) => copy::run(arguments, session).await,
        Verb::Images(arguments) => images::run(arguments, CalledAs::Images, session).await,
        Verb::Image(ImageVerb::Ls(arguments)) => {
            images::run(arguments, CalledAs::ImageLs, session).await
        }
        Verb::History(arguments) | Verb::Image(ImageVerb::History(arguments)) => {
            history::run(arguments, session).await
        }
        Verb::Prune(arguments) | Verb::Image(ImageVerb::Prune(arguments)) => {
            prune::run(arguments, session).await
        }
        Verb::System(SystemVerb::Df(arguments)) => df::run(arguments, session).await,
        Verb::Tag(arguments) | Verb::Image(ImageVerb::Tag(arguments)) => {
            tag::run(arguments, session).await
        }
        Verb::Rmi(arguments) | Verb::Image(ImageVerb::Rm(arguments)) => {
            rmi::run(arguments, session).await
        }
        Verb::Image(ImageVerb::Diff(arguments)) => {
            session.plainly(diff::run(arguments, session).await)
        }
        Verb::Inspect(arguments) => inspect::run(arguments, session).await,
        Verb::Image(ImageVerb::Inspect(arguments)) => inspect::run_images(arguments, session).await,
        Verb::Save(arguments) | Verb::Image(ImageVerb::Save(arguments)) => {
            save::run(arguments, session).await
        }
        Verb::Manifest(verb) => manifest::run(verb, session).await,
        Verb::Trust(verb) => Box::pin(trust::run(verb, session)).await,
        Verb::Search(arguments) => search::run(arguments, session).await,
        Verb::Import(arguments) | Verb::Image(ImageVerb::Import(arguments)) => {
            import::run(arguments, session).await
        }
        Verb::Load(arguments) | Verb::Image(ImageVerb::Load(arguments)) => {
            load::run(arguments, session).await
        }
        Verb::Events(arguments) | Verb::System(SystemVerb::Events(arguments)) => {
            events::run(arguments, session).await
        }
        Verb::Login(arguments) => login::run(arguments, session).await,
        Verb::Logout(arguments) => logout::run(arguments, session).await,
        Verb::Sync(arguments) => sync::run(arguments, session).await,
        Verb::Version(arguments) => version::run(arguments, session).await,
        Verb::Info(arguments) | Verb::System(SystemVerb::Info(arguments)) => {
            info::run(arguments, session).await
        }
        Verb::Registry(arguments) => registry::run(arguments, session).await,
        Verb::System(SystemVerb::DialStdio(_)) => dial_stdio::run(session).await,
        Verb::System(SystemVerb::Check(arguments)) => check::run(arguments, session).await,
        Verb::Mount(arguments) => session.plainly(mount::run(arguments, session).await),
        Verb::Umount(arguments) => session.plainly(mount::unmount(arguments, session).await),
        Verb::Unpack(arguments) => session.plainly(unpack::run(arguments, session).await),
        Verb::Verify(arguments) => verify::run(arguments, session).await,
        Verb::Daemon(_) | Verb::Doctor(_) | Verb::Completion(_) | Verb::Man(_) | Verb::Help(_) => {
            Ok(())
        }
    }
}
