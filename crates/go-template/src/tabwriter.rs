//! Text in columns, as Docker's fork of Go's `text/tabwriter` aligns it.
//!
//! A cell is text that a tab ends; the text after the last tab of a line belongs to no column. A column is a run
//! of neighbouring lines that have that cell, and is as wide as its widest one.

use unicode_width::UnicodeWidthStr;

/// The measures of columns.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    /// The least width of a column, padding included.
    pub minimum: usize,
    /// Spaces after the widest cell.
    pub padding: usize,
}

impl Columns {
    /// The columns of lists (`images`).
    pub const LIST: Columns = Columns { minimum: 10, padding: 3 };
    /// The columns of `version`.
    pub const VERSION: Columns = Columns { minimum: 20, padding: 1 };

    /// Returns `text` with its tabs replaced by the spaces that align its columns.
    pub fn align(self, text: &str) -> String {
        let lines: Vec<Vec<&str>> =
            text.split('\n').map(|line| line.split('\t').collect()).collect();
        let mut aligned =
            Aligned { lines: &lines, columns: self, widths: Vec::new(), output: String::new() };
        aligned.format(0, lines.len());
        aligned.output
    }
}

struct Aligned<'a> {
    lines: &'a [Vec<&'a str>],
    columns: Columns,
    widths: Vec<usize>,
    output: String,
}

impl Aligned<'_> {
    /// Writes the lines `start..end`, of which the columns left of `self.widths.len()` are measured.
    fn format(&mut self, start: usize, end: usize) {
        let column = self.widths.len();
        let has_cell = |line: &[&str]| column + 1 < line.len();
        let mut written = start;
        let mut line = start;
        while line < end {
            if !has_cell(&self.lines[line]) {
                line += 1;
                continue;
            }
            self.write(written, line);
            let block = line;
            let mut width = self.columns.minimum;
            while line < end && has_cell(&self.lines[line]) {
                width = width.max(columns(self.lines[line][column]) + self.columns.padding);
                line += 1;
            }
            self.widths.push(width);
            self.format(block, line);
            self.widths.pop();
            written = line;
        }
        self.write(written, end);
    }

    fn write(&mut self, start: usize, end: usize) {
        for index in start..end {
            for (column, cell) in self.lines[index].iter().enumerate() {
                self.output.push_str(cell);
                if let Some(width) = self.widths.get(column) {
                    self.output
                        .extend(std::iter::repeat_n(' ', width.saturating_sub(columns(cell))));
                }
            }
            if index + 1 < self.lines.len() {
                self.output.push('\n');
            }
        }
    }
}

/// Returns the columns of a terminal that a cell takes.
fn columns(cell: &str) -> usize {
    let is_plain = cell.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if is_plain { cell.len() } else { cell.width() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        for (columns, text, expected) in [
            (Columns::LIST, "", ""),
            (Columns::LIST, "A\n", "A\n"),
            (
                Columns::LIST,
                "REPOSITORY\tTAG\tSIZE\nx\tlatest-and-longer\t1B\n",
                "REPOSITORY   TAG                 SIZE\nx            latest-and-longer   1B\n",
            ),
            // A line without the cell ends the column: below it, widths start again.
            (
                Columns::LIST,
                "longlonglong\tb\nplain\nc\td\n",
                "longlonglong   b\nplain\nc         d\n",
            ),
            (
                Columns::VERSION,
                " Version:\t1\n OS/Arch:\tlinux\n",
                " Version:           1\n OS/Arch:           linux\n",
            ),
            // Text after the last tab is not measured, and an empty last cell is only padding.
            (Columns::LIST, "a\t\nb\tcc\n", "a         \nb         cc\n"),
            // Wide characters take two columns of a terminal.
            (
                Columns::LIST,
                "\u{6f22}\u{5b57}\tx\nab\ty\n",
                "\u{6f22}\u{5b57}      x\nab        y\n",
            ),
        ] {
            assert_eq!(columns.align(text), expected, "{text:?}");
        }
    }
}
