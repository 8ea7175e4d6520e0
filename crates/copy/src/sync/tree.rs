//! A file as a tree that knows its lines, whether it is written in TOML or in YAML.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Fault, SyncError, Syntax};

/// The depth of a list of copies is 4; the bound keeps a hostile one from costing the stack.
const MAX_DEPTH: usize = 16;
/// The most values of a file: ten thousand entries of some twenty.
const MAX_NODES: usize = 200_000;

/// A value, and the line it begins in.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Text(String),
    /// Of YAML, without quotes: a text, a number or a truth, as it is wanted.
    Word(String),
    Bool(bool),
    Number(String),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
    /// A time, a fraction.
    Other,
}

impl Node {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            // As other readers of YAML have it, nothing is no text.
            Value::Word(word) if !matches!(&**word, "" | "~" | "null") => Some(word),
            _ => None,
        }
    }

    pub(super) fn truth(&self) -> Option<bool> {
        match &self.value {
            Value::Bool(truth) => Some(*truth),
            Value::Word(word) => word.parse().ok(),
            _ => None,
        }
    }

    /// Returns the value as it is told: a text or a number, or a list of such.
    pub(super) fn words(&self) -> String {
        match &self.value {
            Value::Text(text) | Value::Word(text) | Value::Number(text) => text.clone(),
            Value::List(nodes) => nodes.iter().map(Self::words).collect::<Vec<_>>().join(", "),
            Value::Bool(_) | Value::Table(_) | Value::Other => String::new(),
        }
    }

    pub(super) fn count(&self) -> Option<usize> {
        match &self.value {
            Value::Number(text) | Value::Word(text) => text.parse().ok(),
            _ => None,
        }
    }
}

/// Reads a file.
pub(super) fn parse(text: &str, syntax: Syntax) -> Result<Node, SyncError> {
    match syntax {
        Syntax::Toml => toml(text),
        Syntax::Yaml => Yaml::read(text),
    }
}

fn toml(text: &str) -> Result<Node, SyncError> {
    let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
    let newlines: Vec<usize> = newlines.map(|(at, _)| at).collect();
    let line = |at: usize| newlines.partition_point(|newline| *newline < at) + 1;
    let root = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        SyncError::new(line(at), Fault::Syntax(error.message().to_owned()))
    })?;
    let fields = root.get_ref().iter();
    let fields = fields.map(|(key, value)| (key.get_ref().to_string(), node(value, &line)));
    Ok(Node { line: 1, value: Value::Table(fields.collect()) })
}

/// The parser bounds the depth.
fn node(value: &Spanned<DeValue<'_>>, line: &impl Fn(usize) -> usize) -> Node {
    let at = line(value.span().start);
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(truth) => Value::Bool(*truth),
        DeValue::Integer(number) => Value::Number(number.as_str().to_owned()),
        DeValue::Array(values) => {
            Value::List(values.iter().map(|value| node(value, line)).collect())
        }
        DeValue::Table(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(key, value)| (key.get_ref().to_string(), node(value, line)));
            Value::Table(fields.collect())
        }
        DeValue::Float(_) | DeValue::Datetime(_) => Value::Other,
    };
    Node { line: at, value }
}

/// Events of a file of YAML. Aliases are refused: some bytes of them can stand for gigabytes.
struct Yaml<'t> {
    events: Parser<'t, StrInput<'t>>,
    nodes: usize,
}

impl<'t> Yaml<'t> {
    fn read(text: &'t str) -> Result<Node, SyncError> {
        let mut yaml = Self { events: Parser::new_from_str(text), nodes: 0 };
        let mut root = None;
        while let Some((event, span)) = yaml.next()? {
            match event {
                Event::StreamStart
                | Event::StreamEnd
                | Event::DocumentStart(_)
                | Event::DocumentEnd
                | Event::Nothing => {}
                _ if root.is_some() => {
                    let what = "a second document".to_owned();
                    return Err(SyncError::new(span.start.line(), Fault::Syntax(what)));
                }
                event => root = Some(yaml.node(event, span, 0)?),
            }
        }
        Ok(root.unwrap_or(Node { line: 1, value: Value::Table(Vec::new()) }))
    }

    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, SyncError> {
        let wrong = |error: ScanError| {
            SyncError::new(error.marker().line(), Fault::Syntax(error.info().to_owned()))
        };
        self.events.next().transpose().map_err(wrong)
    }

    /// Returns the next value, or nothing at the end of the list or table that it would be in.
    fn member(&mut self, depth: usize) -> Result<Option<Node>, SyncError> {
        match self.next()? {
            None | Some((Event::SequenceEnd | Event::MappingEnd, _)) => Ok(None),
            Some((event, span)) => self.node(event, span, depth).map(Some),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, SyncError> {
        let line = span.start.line();
        let wrong = |what: &str| Err(SyncError::new(line, Fault::Syntax(what.to_owned())));
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(SyncError::new(line, Fault::TooMany));
        }
        if depth > MAX_DEPTH {
            return wrong("lists and tables are nested too deep");
        }
        let value = match event {
            Event::Scalar(text, ScalarStyle::Plain, _, _) => Value::Word(text.into_owned()),
            Event::Scalar(text, ..) => Value::Text(text.into_owned()),
            Event::SequenceStart(..) => {
                let mut nodes = Vec::new();
                while let Some(node) = self.member(depth + 1)? {
                    nodes.push(node);
                }
                Value::List(nodes)
            }
            Event::MappingStart(..) => {
                let mut fields: Vec<(String, Node)> = Vec::new();
                let mut seen = std::collections::HashSet::new();
                while let Some(key) = self.member(depth + 1)? {
                    let (Value::Word(name) | Value::Text(name)) = key.value else {
                        return Err(SyncError::new(
                            key.line,
                            Fault::Syntax("a key is no text".to_owned()),
                        ));
                    };
                    if !seen.insert(name.clone()) {
                        return Err(SyncError::new(key.line, Fault::Twice(name)));
                    }
                    match self.member(depth + 1)? {
                        Some(value) => fields.push((name, value)),
                        None => return wrong("a key has no value"),
                    }
                }
                Value::Table(fields)
            }
            Event::Alias(_) => return wrong("aliases are not read: write out what they stand for"),
            _ => return wrong("it ends within a value"),
        };
        Ok(Node { line, value })
    }
}
