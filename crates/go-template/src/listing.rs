//! Lists: one row a line, by a template, as a table, or as JSON.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use super::error::TemplateError;
use super::evaluator::{Execution, Template};
use super::value::{Element, Value};
use crate::tabwriter::Columns;

/// The form of a list.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a> {
    /// `json`, `table TEMPLATE` or a template, in which `\t` and `\n` stand for a tab and a line end.
    pub format: &'a str,
    /// The header of each field's column in a table.
    pub headers: &'a [(&'a str, &'a str)],
}

impl Listing<'_> {
    /// Returns whether the list may show a field of its rows. The others need not be there.
    pub fn shows(self, field: &str) -> bool {
        // A dot without a name, as a variable, stands for a whole row.
        let is_nameless = |(at, _)| !self.format[at + 1..].starts_with(char::is_alphabetic);
        self.format == "json"
            || self.format.contains(field)
            || self.format.contains('$')
            || self.format.match_indices('.').any(is_nameless)
    }

    /// Returns the text of the list. Each row is wanted when its turn comes, and not again.
    pub fn render(
        self,
        rows: impl IntoIterator<Item = impl Borrow<Value>>,
    ) -> Result<String, TemplateError> {
        let mut lines = self.begin()?;
        for row in rows {
            lines.push(row.borrow())?;
        }
        Ok(lines.finish())
    }

    /// Begins a list whose rows are told one after the other.
    pub fn begin(self) -> Result<Lines, TemplateError> {
        let table = self.format.strip_prefix("table");
        let source = match self.format {
            "json" => "{{json .}}",
            format => table.unwrap_or(format),
        };
        let source = source.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n");
        let template = Template::parse(&source)?;
        let mut text = String::new();
        if table.is_some() {
            let header = |(field, header): &(&str, &str)| ((*field).to_owned(), (*header).into());
            let headers: BTreeMap<String, Value> = self.headers.iter().map(header).collect();
            text.push_str(&template.header(&Value::Map(Some(headers), Element::Text)));
            text.push('\n');
        }
        Ok(Lines { template, is_table: table.is_some(), text })
    }
}

/// A list that has begun.
#[derive(Debug)]
pub struct Lines {
    template: Template,
    is_table: bool,
    text: String,
}

impl Lines {
    /// Adds a row. After an error nothing of the list is left.
    pub fn push(&mut self, row: &Value) -> Result<(), TemplateError> {
        self.template.append(row, Execution::Values, &mut self.text)?;
        self.text.push('\n');
        Ok(())
    }

    /// Returns the text of the list.
    pub fn finish(self) -> String {
        if self.is_table { Columns::LIST.align(&self.text) } else { self.text }
    }
}
