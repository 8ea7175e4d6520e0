//! A terminal of a given size that shows what programs write to it: enough of one for progress displays, and nothing that is not
//! understood is passed over.

use std::collections::VecDeque;

/// Screen and cursor of a terminal, with the rows that left it.
#[derive(Debug)]
pub struct Terminal {
    columns: usize,
    rows: VecDeque<Row>,
    height: usize,
    /// Rows that left it at the top.
    history: Vec<Row>,
    row: usize,
    column: usize,
    /// True if a line was too long for its row.
    wrapped: bool,
}

/// The characters of a row.
#[derive(Clone, Debug, Default)]
struct Row {
    cells: Vec<char>,
    /// True if it goes on with what was too much for the row above it.
    goes_on: bool,
}

impl Terminal {
    /// Makes an empty one.
    pub fn new(columns: usize, height: usize) -> Self {
        let rows = std::iter::repeat_n(Row::default(), height).collect();
        let (history, row, column) = (Vec::new(), 0, 0);
        Self { columns, rows, height, history, row, column, wrapped: false }
    }

    /// Writes to it.
    ///
    /// # Panics
    /// Panics at a sequence that it does not know.
    pub fn write(&mut self, text: &str) {
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            rest = &rest[character.len_utf8()..];
            match character {
                '\r' => self.column = 0,
                '\n' => {
                    self.column = 0;
                    self.down();
                }
                '\x1b' => {
                    let sequence = rest.strip_prefix('[');
                    let sequence = sequence.unwrap_or_else(|| panic!("not known: ESC {rest:?}"));
                    let end = sequence.find(|c: char| !c.is_ascii_digit() && c != ';');
                    let end = end.unwrap_or_else(|| panic!("without an end: ESC [{sequence:?}"));
                    self.control(&sequence[..end], &sequence[end..=end]);
                    rest = &sequence[end + 1..];
                }
                _ => {
                    assert!(!character.is_control(), "not known: {character:?} in {text:?}");
                    self.put(character);
                }
            }
        }
    }

    fn control(&mut self, parameter: &str, command: &str) {
        let count = parameter.parse().unwrap_or(1);
        match (command, parameter) {
            ("A", _) => self.row = self.row.saturating_sub(count),
            ("B", _) => self.row = (self.row + count).min(self.height - 1),
            ("K", "" | "0") => self.rows[self.row].cells.truncate(self.column),
            ("K", "2") => self.rows[self.row].cells.clear(),
            ("J", "" | "0") => {
                self.rows[self.row].cells.truncate(self.column);
                self.rows.iter_mut().skip(self.row + 1).for_each(|row| *row = Row::default());
            }
            _ => panic!("not known: ESC [{parameter}{command}"),
        }
    }

    fn put(&mut self, character: char) {
        // The next line begins with the character that is too much, as with all terminals of today.
        if self.column == self.columns {
            self.wrapped = true;
            self.column = 0;
            self.down();
            self.rows[self.row].goes_on = true;
        }
        let row = &mut self.rows[self.row].cells;
        while row.len() <= self.column {
            row.push(' ');
        }
        row[self.column] = character;
        self.column += 1;
    }

    fn down(&mut self) {
        if self.row + 1 < self.height {
            self.row += 1;
            return;
        }
        self.history.extend(self.rows.pop_front());
        self.rows.push_back(Row::default());
    }

    /// Makes it as wide as this. Rows that have become too long are wrapped, as most terminals do it; none are joined.
    pub fn resize(&mut self, columns: usize) {
        let before = self.row;
        let mut rows = VecDeque::new();
        for (place, row) in std::mem::take(&mut self.rows).into_iter().enumerate() {
            if place == before {
                self.row = rows.len();
            }
            if row.cells.is_empty() {
                rows.push_back(row);
                continue;
            }
            for (part, cells) in row.cells.chunks(columns).enumerate() {
                let goes_on = row.goes_on || part > 0;
                rows.push_back(Row { cells: cells.to_vec(), goes_on });
            }
        }
        // What is empty below the cursor is room for what was wrapped.
        while rows.len() > self.height && rows.len() > self.row + 1 {
            rows.pop_back();
        }
        while rows.len() > self.height {
            self.history.extend(rows.pop_front());
            self.row -= 1;
        }
        self.column = self.column.min(columns);
        (self.rows, self.columns) = (rows, columns);
    }

    /// Returns the rows that are seen, without those that are empty at the end.
    pub fn screen(&self) -> Vec<String> {
        without_end(self.rows.iter().map(Row::text).collect())
    }

    /// Returns the rows that are seen, and before them those that were.
    pub fn all(&self) -> Vec<String> {
        without_end(self.history.iter().chain(&self.rows).map(Row::text).collect())
    }

    /// Returns all lines as they were written: rows that go on are joined.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for row in self.history.iter().chain(&self.rows) {
            match lines.last_mut() {
                Some(line) if row.goes_on => line.extend(&row.cells),
                _ => lines.push(row.cells.iter().collect()),
            }
        }
        without_end(lines.iter().map(|line| line.trim_end().to_owned()).collect())
    }

    /// Says whether a line was longer than a row since the last call.
    pub fn take_wrapped(&mut self) -> bool {
        std::mem::take(&mut self.wrapped)
    }
}

impl Row {
    fn text(&self) -> String {
        let text: String = self.cells.iter().collect();
        text.trim_end().to_owned()
    }
}

fn without_end(mut rows: Vec<String>) -> Vec<String> {
    while rows.last().is_some_and(String::is_empty) {
        rows.pop();
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_drawn_over_and_scroll_away() {
        let mut terminal = Terminal::new(10, 3);
        terminal.write("one\ntwo\n\x1b[1A\x1b[2K\rTWO\n");
        assert_eq!(terminal.screen(), ["one", "TWO"]);
        terminal.write("x\x1b[2A\rONE+\r\n\x1b[J");
        assert_eq!(terminal.screen(), ["ONE+"]);
        assert!(!terminal.take_wrapped());
        terminal.write("a\nb\n0123456789");
        assert_eq!(terminal.all(), ["ONE+", "a", "b", "0123456789"]);
        assert!(!terminal.take_wrapped());
        terminal.write("x");
        assert!(terminal.take_wrapped());
        assert_eq!(terminal.screen(), ["b", "0123456789", "x"]);
        assert_eq!(terminal.lines(), ["ONE+", "a", "b", "0123456789x"]);
    }
}
