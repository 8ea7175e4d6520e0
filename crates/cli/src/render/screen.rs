//! Progress on a terminal: a block of lines that is drawn again in its place, one for each layer and one for the totals.
//!
//! The cursor stands below the block, at the first column. No line of it is as wide as the terminal, so that none wraps and
//! the block has as many rows as lines; where it would be higher than the terminal, layers that are done and layers that wait
//! are left out and counted. What is no layer's is written below, and makes what was above history, with all its layers.
//!
//! # Compatibility
//! Words and bars are those of Docker's `jsonmessage`.

use std::collections::HashMap;
use std::time::Duration;

use api::message::Message;

use super::line;
use super::phase::Phase;
use super::tally::{Tally, about_layer};
use crate::output::printable;

/// The rows and columns of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

/// The rows that are drawn, and the layers that are to be.
#[derive(Debug)]
pub(super) struct Screen {
    size: Size,
    /// The last line about each layer, in the order in which they came.
    layers: Vec<Message>,
    places: HashMap<String, usize>,
    /// The rows on the terminal.
    drawn: Vec<String>,
}

impl Screen {
    pub(super) fn new(size: Size) -> Screen {
        Screen { size, layers: Vec::new(), places: HashMap::new(), drawn: Vec::new() }
    }

    /// Returns what to write for a message on a terminal of this size.
    pub(super) fn show(
        &mut self,
        message: &Message,
        tally: &Tally,
        now: Duration,
        size: Size,
    ) -> String {
        if message.aux.is_some() {
            return String::new();
        }
        let counts = message.progress_detail.is_some() || message.progress.is_some();
        let stream = message.stream.as_deref().filter(|stream| !stream.is_empty());
        if !counts || stream.is_some() {
            return self.history(size) + &unlayered(message, stream);
        }
        let id = message.id.clone().unwrap_or_default();
        let place = *self.places.entry(id).or_insert(self.layers.len());
        match self.layers.get_mut(place) {
            Some(layer) => layer.clone_from(message),
            None => self.layers.push(message.clone()),
        }
        self.draw(tally, now, size)
    }

    /// Returns what to write for what has changed beside the layers: the time, the size of the terminal.
    pub(super) fn draw(&mut self, tally: &Tally, now: Duration, size: Size) -> String {
        if self.layers.is_empty() {
            return String::new();
        }
        let columns = columns(size);
        // Below the totals stands the cursor, and above them a layer.
        let totals = line::of_totals(tally, now, columns).filter(|_| size.rows > 2);
        let room = size.rows.saturating_sub(1 + usize::from(totals.is_some())).max(1);
        let rows = self.rows(room, columns).into_iter().chain(totals).collect();
        self.replace(rows, size)
    }

    /// Returns what leaves all layers on the terminal, as lines like any other.
    pub(super) fn history(&mut self, size: Size) -> String {
        let columns = columns(size);
        let rows = self.layers.iter().map(|layer| line::of_layer(layer, columns)).collect();
        let text = self.replace(rows, size);
        (self.layers, self.drawn) = (Vec::new(), Vec::new());
        self.places.clear();
        text
    }

    /// Chooses the layers for which there is room: those in work, then those that wait, then those that are done.
    fn rows(&self, room: usize, columns: usize) -> Vec<String> {
        if self.layers.len() <= room {
            return self.layers.iter().map(|layer| line::of_layer(layer, columns)).collect();
        }
        let urgency = |layer: &Message| match about_layer(layer) {
            Some((_, phase)) if phase.is_over() => 2,
            Some((_, Phase::Waiting)) => 1,
            _ => 0,
        };
        let mut chosen: Vec<usize> = (0..self.layers.len()).collect();
        chosen.sort_by_key(|place| urgency(&self.layers[*place]));
        let left_out = chosen.split_off(room - 1);
        let count = |kind| left_out.iter().filter(|at| urgency(&self.layers[**at]) == kind).count();
        let kinds = [(2, "done"), (1, "waiting"), (0, "in work")].map(|(kind, name)| {
            let count = count(kind);
            (count > 0).then(|| format!("{count} {name}"))
        });
        let kinds: Vec<String> = kinds.into_iter().flatten().collect();
        let more = format!("{} more: {}", left_out.len(), kinds.join(", "));
        chosen.sort_unstable();
        let chosen = chosen.into_iter().map(|place| line::of_layer(&self.layers[place], columns));
        chosen.chain([line::cut(&more, columns)]).collect()
    }

    /// Returns what makes the rows on the terminal these.
    fn replace(&mut self, rows: Vec<String>, size: Size) -> String {
        let mut text = String::new();
        if self.size != size {
            // A terminal that became narrower has wrapped what stood there.
            let columns = size.columns.max(1);
            let height: usize =
                self.drawn.iter().map(|row| line::width(row).div_ceil(columns).max(1)).sum();
            up(height.min(size.rows.saturating_sub(1)), &mut text);
            text.push_str("\x1b[J");
            self.drawn.clear();
            self.size = size;
        }
        let same = self.drawn.iter().zip(&rows).take_while(|(old, new)| old == new).count();
        if same == self.drawn.len() && same == rows.len() {
            return text;
        }
        up(self.drawn.len() - same, &mut text);
        for (place, row) in rows.iter().enumerate().skip(same) {
            // Rubbed out behind the new text, as what is rubbed out before it flickers.
            if self.drawn.get(place) != Some(row) {
                text.extend([row, "\x1b[K"]);
            }
            text.push('\n');
        }
        if rows.len() < self.drawn.len() {
            text.push_str("\x1b[J");
        }
        self.drawn = rows;
        text
    }
}

fn up(rows: usize, text: &mut String) {
    text.push('\r');
    if rows > 0 {
        text.extend(["\x1b[", &rows.to_string(), "A"]);
    }
}

/// Returns the columns that are written to: in the last one, terminals differ.
fn columns(size: Size) -> usize {
    size.columns.saturating_sub(1).max(1)
}

/// Returns the text of a message that is about no layer.
fn unlayered(message: &Message, stream: Option<&str>) -> String {
    if let Some(stream) = stream {
        return printable(stream).into_owned();
    }
    let id = message.id.as_deref().filter(|id| !id.is_empty());
    let name = id.map(|id| format!("{}: ", printable(id))).unwrap_or_default();
    format!("{name}{}\n", printable(message.status.as_deref().unwrap_or_default()))
}
