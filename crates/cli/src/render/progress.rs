//! `--progress`: how a command shows what it is doing.
//!
//! Standard output stays docker's, in pipes to the byte, unless another form is asked for. What docker does not print (the
//! totals while something moves, and the line at the end) is for a terminal and for who asks.

use std::time::{Duration, Instant};

use api::message::{Message, ProgressDetail};
use clap::ValueEnum;

use super::screen::{Screen, Size};
use super::tally::Tally;
use super::{ImageOutcome, json, line, plain};
use crate::error::CliError;
use crate::session::Session;
use crate::{output, terminal};

/// The time after which a display is drawn again though nothing has come: the rate sinks.
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// The least time between two counts; layers have the same from the engine.
const COUNT_INTERVAL: Duration = Duration::from_millis(100);

/// The forms of progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Look {
    /// Bars at a terminal, docker's lines in pipes.
    #[default]
    Auto,
    /// Docker's lines, and at the end one line on standard error.
    Plain,
    /// Bars and totals, drawn again in their place.
    Tty,
    /// JSON, one object a line.
    Json,
    /// Nothing.
    Quiet,
}

/// The flag that chooses one.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct ProgressFlag {
    /// Show progress as "auto", "plain", "tty", "json" or "quiet"
    #[arg(
        long,
        value_name = "string",
        default_value = "auto",
        hide_default_value = true,
        hide_possible_values = true
    )]
    progress: Look,
}

/// The stream that progress goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Output,
    Error,
}

/// Shows the progress of one operation, and the command's last word.
#[derive(Debug)]
pub(crate) struct Display {
    form: Form,
    stream: Stream,
    /// True to end with a line of what was moved, on standard error.
    sums_up: bool,
    tally: Tally,
    started: Instant,
    /// The moment of the last count.
    counted: Option<Duration>,
}

#[derive(Debug)]
enum Form {
    Quiet,
    Plain,
    Screen(Screen),
    Json,
}

impl Stream {
    fn is_terminal(self) -> bool {
        match self {
            Stream::Output => terminal::writes_terminal(),
            Stream::Error => terminal::warns_terminal(),
        }
    }

    /// Returns the size of the terminal, now; one of common size where none tells.
    fn size(self) -> Size {
        let size = match self {
            Stream::Output => terminal::size(std::io::stdout()),
            Stream::Error => terminal::size(std::io::stderr()),
        };
        let (columns, rows) = size.unwrap_or((80, 24));
        Size { columns, rows }
    }

    fn write(self, text: &str) -> Result<(), CliError> {
        match self {
            Stream::Output => output::print_drawn(text)?,
            Stream::Error => output::warn_drawn(text),
        }
        Ok(())
    }
}

impl ProgressFlag {
    /// Begins to show an operation on `stream`, nothing of it if the command is to be `quiet`.
    pub(crate) fn start(self, quiet: bool, stream: Stream, session: &Session) -> Display {
        let at_terminal = stream.is_terminal();
        let screen = || Form::Screen(Screen::new(stream.size()));
        let form = match self.progress {
            Look::Quiet => Form::Quiet,
            _ if quiet => Form::Quiet,
            Look::Json => Form::Json,
            Look::Tty => screen(),
            Look::Auto if at_terminal && !session.environment.dumb_terminal => screen(),
            // What docker does not tell is told to a user alone.
            Look::Auto if stream == Stream::Error => Form::Quiet,
            Look::Auto | Look::Plain => Form::Plain,
        };
        let sums_up = match self.progress {
            Look::Auto => at_terminal && terminal::warns_terminal(),
            Look::Plain | Look::Tty => true,
            Look::Json | Look::Quiet => false,
        };
        let sums_up = sums_up && !matches!(form, Form::Quiet);
        let (tally, started) = (Tally::default(), Instant::now());
        Display { form, stream, sums_up, tally, started, counted: None }
    }
}

impl Display {
    /// Says whether the daemon is to tell facts that docker's lines do not hold.
    pub(crate) fn wants_facts(&self) -> bool {
        self.sums_up || matches!(self.form, Form::Screen(_) | Form::Json)
    }

    /// Says whether nothing is shown but the command's last word, which then is a name.
    pub(crate) fn is_quiet(&self) -> bool {
        matches!(self.form, Form::Quiet)
    }

    /// Says whether all output is for a program.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self.form, Form::Json)
    }

    /// Shows a line of the command's own.
    pub(crate) fn say(&mut self, text: &str) -> Result<(), CliError> {
        self.show(&Message::status(text))
    }

    /// Tells programs what became of an image; false where it is for people, who are told in words.
    pub(crate) fn tell_image(&mut self, image: &ImageOutcome<'_>) -> Result<bool, CliError> {
        if !matches!(self.form, Form::Json) {
            return Ok(false);
        }
        self.stream.print(&json::image(image)).map(|()| true)
    }

    /// Shows a message of the operation.
    pub(crate) fn show(&mut self, message: &Message) -> Result<(), CliError> {
        let now = self.started.elapsed();
        self.tally.note(message, now);
        // What a user waits for is told in every form.
        if let (Form::Quiet | Form::Plain, Some(note)) = (&self.form, &message.note) {
            output::warn_line(note);
            return Ok(());
        }
        let text = match &mut self.form {
            // Output is what the command was asked for.
            Form::Quiet if message.stream.is_none() => return Ok(()),
            Form::Quiet | Form::Plain => return self.stream.print(&plain::message(message)),
            Form::Json => return self.stream.print(&json::message(message, &self.tally)),
            Form::Screen(screen) => {
                // A note without a line of its own is one.
                let note = message.note.as_ref().filter(|_| message.status.is_none());
                let alone = note.map(|note| Message::status(note.as_str()));
                let message = alone.as_ref().unwrap_or(message);
                screen.show(message, &self.tally, now, self.stream.size())
            }
        };
        self.stream.write(&text)
    }

    /// Shows how much of one thing has come or gone.
    pub(crate) fn count(
        &mut self,
        status: &str,
        done: u64,
        total: Option<u64>,
    ) -> Result<(), CliError> {
        let now = self.started.elapsed();
        let due = self.counted.is_none_or(|last| now.saturating_sub(last) >= COUNT_INTERVAL);
        if !due && total != Some(done) {
            return Ok(());
        }
        self.counted = Some(now);
        let detail = ProgressDetail::bytes(done, total.unwrap_or_default());
        let message = Message { progress_detail: Some(detail), ..Message::status(status) };
        // docker has no such line, not even one without counts.
        if matches!(self.form, Form::Plain) {
            self.tally.note(&message, now);
            return Ok(());
        }
        self.show(&message)
    }

    /// Shows how time passes.
    pub(crate) fn tick(&mut self) -> Result<(), CliError> {
        let now = self.started.elapsed();
        let Form::Screen(screen) = &mut self.form else { return Ok(()) };
        let text = screen.draw(&self.tally, now, self.stream.size());
        self.stream.write(&text)
    }

    /// Ends the display as the operation ended, with the command's last word if it has one: that is printed in every form.
    pub(crate) fn finish(
        &mut self,
        ended: Result<Option<String>, CliError>,
    ) -> Result<(), CliError> {
        let time = self.started.elapsed();
        self.leave()?;
        let last = match &ended {
            Ok(last) => last.as_deref(),
            Err(error) => {
                if matches!(self.form, Form::Json) {
                    self.stream.print(&json::error(&error.to_string()))?;
                }
                return ended.map(drop);
            }
        };
        if matches!(self.form, Form::Json) {
            let last = last.map(json::result).unwrap_or_default();
            let summary = json::summary(self.tally.sums(), time.as_secs_f64());
            return self.stream.print(&(last + &summary));
        }
        if let Some(last) = last {
            self.stream.print(&format!("{last}\n"))?;
        }
        if self.sums_up && !self.tally.is_empty() {
            output::warn_line(&line::of_sums(&self.tally.sums(), time));
        }
        Ok(())
    }

    /// Leaves out the line at the end, as the command says the same in words of its own.
    pub(crate) fn sums_are_told(&mut self) {
        self.sums_up = false;
    }

    /// Makes what is drawn history, so that others can write to the terminal.
    pub(crate) fn leave(&mut self) -> Result<(), CliError> {
        let Form::Screen(screen) = &mut self.form else { return Ok(()) };
        let text = screen.history(self.stream.size());
        self.stream.write(&text)
    }
}

impl Stream {
    /// Writes text of others, of which nothing steers a terminal.
    fn print(self, text: &str) -> Result<(), CliError> {
        match self {
            Stream::Output => output::print(text)?,
            Stream::Error => output::warn(text),
        }
        Ok(())
    }
}
