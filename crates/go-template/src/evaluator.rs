//! Runs a template over a value.

use std::borrow::Cow;
use std::iter;

use super::MAX_MADE;
use super::ast::{Command, Node, Operand, OperandKind, Pipeline, Position};
use super::error::{TemplateError, failed, failure, not_a_function, within};
use super::functions::{self, FunctionError};
use super::parser::{Parsed, parse};
use super::print::{nested, print};
use super::value::Value;

/// The functions that leave the text of a table's header as it is.
const HEADER_FUNCTIONS: [&str; 7] =
    ["json", "split", "join", "title", "lower", "upper", "truncate"];

/// The number to which `{{range 3}}` counts: far above what anyone reads, far below what fills a memory.
const MAX_COUNT: usize = 1_000_000;

/// The bodies (of templates, `if`, `with` and `range`) that may be open in each other where a template is called; the body that
/// is called can add [`MAX_DEPTH`](super::MAX_DEPTH) to them, and no pipeline calls templates. Go has a bound of its own, on
/// a stack that grows; these fit on the 2 MiB of a thread.
const MAX_OPEN: usize = 160;

/// The purpose that a template is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// To show a value; a key that a map has not is `<no value>`.
    Values,
    /// To show a value; a key that a map has not is an error.
    Strict,
    /// To make a table's header: the functions that would change a cell's text leave it alone.
    Header,
}

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    name: &'static str,
    parsed: Parsed,
}

impl Template {
    /// Parses a template.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        Template::named("", text)
    }

    /// Parses a template that has a name, which its errors say.
    pub fn named(name: &'static str, text: &str) -> Result<Template, TemplateError> {
        let parsed = parse(text).map_err(|error| error.named(name))?;
        Ok(Template { name, parsed })
    }

    /// Runs the template over `value` and returns what it prints.
    pub fn execute(&self, value: &Value, execution: Execution) -> Result<String, TemplateError> {
        let mut output = String::new();
        self.append(value, execution, &mut output)?;
        Ok(output)
    }

    /// Runs the template over `value` and puts what it prints behind `output`, which is lost with an error.
    pub(super) fn append(
        &self,
        value: &Value,
        execution: Execution,
        output: &mut String,
    ) -> Result<(), TemplateError> {
        let mut evaluator = self.evaluator(value, execution);
        evaluator.output = std::mem::take(output);
        evaluator.nodes(&self.parsed.body, value).map_err(|error| error.named(self.name))?;
        *output = evaluator.output;
        Ok(())
    }

    /// Runs the template over the headers of a table's columns; what fails ends it there, as Docker does.
    pub fn header(&self, headers: &Value) -> String {
        let mut evaluator = self.evaluator(headers, Execution::Header);
        let _ = evaluator.nodes(&self.parsed.body, headers);
        evaluator.output
    }

    fn evaluator(&self, value: &Value, execution: Execution) -> Evaluator<'_> {
        Evaluator {
            parsed: &self.parsed,
            execution,
            variables: vec![(String::new(), value.clone())],
            output: String::new(),
            open: 0,
            made: 0,
        }
    }
}

type Variables = Vec<(String, Value)>;

struct Evaluator<'a> {
    parsed: &'a Parsed,
    execution: Execution,
    /// The variables in scope, innermost last.
    variables: Variables,
    output: String,
    /// The number of bodies that are open.
    open: usize,
    /// The bytes that were printed, computed and kept.
    made: usize,
}

/// The way on from a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl<'a> Evaluator<'a> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, TemplateError> {
        let mut flow = Flow::On;
        self.open += 1;
        for node in nodes {
            flow = self.node(node, dot)?;
            if flow != Flow::On {
                break;
            }
        }
        self.open -= 1;
        Ok(flow)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, TemplateError> {
        match node {
            // What is made of more and more text is counted where it is called for again: in loops and calls.
            Node::Text(text) => {
                self.made += text.len();
                self.output.push_str(text);
            }
            Node::Action(pipeline) => self.action(pipeline, dot)?,
            Node::If { condition, then, otherwise } => {
                let scope = self.variables.len();
                let value = self.bound(condition, dot)?;
                let flow = self.nodes(if value.truth() { then } else { otherwise }, dot)?;
                self.variables.truncate(scope);
                return Ok(flow);
            }
            Node::With { subject, then, otherwise } => {
                let scope = self.variables.len();
                let value = self.bound(subject, dot)?;
                let (body, dot) = if value.truth() { (then, &*value) } else { (otherwise, dot) };
                let flow = self.nodes(body, dot)?;
                self.variables.truncate(scope);
                return Ok(flow);
            }
            Node::Range { over, body, otherwise } => return self.range(over, body, otherwise, dot),
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::Call { name, argument, position } => {
                self.call(name, argument.as_ref(), *position, dot)?;
            }
        }
        Ok(Flow::On)
    }

    /// Counts what is made at an operand; a template that makes too much ends.
    fn make(&mut self, size: usize, at: &Operand) -> Result<(), TemplateError> {
        self.made = self.made.saturating_add(size);
        if self.made > MAX_MADE {
            return Err(failure(at, functions::too_much()));
        }
        Ok(())
    }

    fn action(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<(), TemplateError> {
        let value = self.bound(pipeline, dot)?;
        if pipeline.variables.is_empty() {
            let before = self.output.len();
            print(&mut self.output, &value);
            self.make(self.output.len() - before, &pipeline.commands[0].operands[0])?;
        }
        Ok(())
    }

    /// Evaluates a pipeline and sets the variable of an `{{$x := …}}`, if there is one.
    fn bound<'v>(
        &mut self,
        pipeline: &Pipeline,
        dot: &'v Value,
    ) -> Result<Cow<'v, Value>, TemplateError> {
        let value = self.pipeline(pipeline, dot)?;
        if let Some(name) = pipeline.variables.first() {
            self.set(name, &value, pipeline)?;
        }
        Ok(value)
    }

    fn set(&mut self, name: &str, value: &Value, by: &Pipeline) -> Result<(), TemplateError> {
        self.make(value.size(), &by.commands[0].operands[0])?;
        let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
        match known {
            Some((_, slot)) if by.assigns => *slot = value.clone(),
            _ => self.variables.push((name.to_owned(), value.clone())),
        }
        Ok(())
    }

    fn range(
        &mut self,
        over: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<Flow, TemplateError> {
        let scope = self.variables.len();
        let value = self.pipeline(over, dot)?.into_owned();
        let mut items = items(value, over)?.peekable();
        if items.peek().is_none() {
            let flow = self.nodes(otherwise, dot)?;
            self.variables.truncate(scope);
            return Ok(flow);
        }
        for (key, item) in items {
            self.bind_item(over, &key, &item)?;
            let flow = self.nodes(body, &item)?;
            if !over.assigns {
                self.variables.truncate(scope);
            }
            if flow == Flow::Break {
                break;
            }
        }
        self.variables.truncate(scope);
        Ok(Flow::On)
    }

    /// Sets the variables of a `{{range $x := …}}` or `{{range $key, $x := …}}`.
    fn bind_item(
        &mut self,
        over: &Pipeline,
        key: &Value,
        item: &Value,
    ) -> Result<(), TemplateError> {
        match over.variables.as_slice() {
            [] => self.make(0, &over.commands[0].operands[0]),
            [name] => self.set(name, item, over),
            [key_name, name, ..] => {
                self.set(key_name, key, over)?;
                self.set(name, item, over)
            }
        }
    }

    fn call(
        &mut self,
        name: &str,
        argument: Option<&Pipeline>,
        position: Position,
        dot: &Value,
    ) -> Result<(), TemplateError> {
        let value = match argument {
            Some(pipeline) => self.pipeline(pipeline, dot)?.into_owned(),
            None => Value::Missing,
        };
        let (body, outer) = self.enter(name, &value, position)?;
        self.nodes(body, &value).map_err(|error| within(name, error))?;
        self.variables = outer;
        Ok(())
    }

    /// Begins a call of a template: returns its body, and the variables of the one that calls.
    fn enter(
        &mut self,
        name: &str,
        value: &Value,
        position: Position,
    ) -> Result<(&'a [Node], Variables), TemplateError> {
        let error = |message| failed(position, &format!("{{{{template {name:?}}}}}"), message);
        let Some(body) = self.parsed.definitions.get(name) else {
            return Err(error(format!("template \"{name}\" not defined")));
        };
        if self.open >= MAX_OPEN {
            // Go's words, with its bound: what gets here calls itself without end.
            return Err(error("exceeded maximum template depth (100000)".to_owned()));
        }
        self.made = self.made.saturating_add(value.size());
        if self.made > MAX_MADE {
            return Err(error(functions::too_much()));
        }
        let variables = vec![(String::new(), value.clone())];
        Ok((body, std::mem::replace(&mut self.variables, variables)))
    }

    fn pipeline<'v>(
        &mut self,
        pipeline: &Pipeline,
        dot: &'v Value,
    ) -> Result<Cow<'v, Value>, TemplateError> {
        let mut last = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.unwrap_or(Cow::Borrowed(&Value::Missing)))
    }

    fn command<'v>(
        &mut self,
        command: &Command,
        dot: &'v Value,
        last: Option<Cow<'v, Value>>,
    ) -> Result<Cow<'v, Value>, TemplateError> {
        let [first, arguments @ ..] = command.operands.as_slice() else {
            return Ok(Cow::Borrowed(&Value::Missing));
        };
        if let OperandKind::Function(name) = &first.kind {
            return self.function(name, command, dot, last.map(Cow::into_owned)).map(Cow::Owned);
        }
        if first.kind == OperandKind::Nil {
            return Err(failure(first, "nil is not a command".to_owned()));
        }
        if !arguments.is_empty() || last.is_some() {
            return Err(not_a_function(first, dot));
        }
        self.operand(first, dot)
    }

    fn function(
        &mut self,
        name: &str,
        command: &Command,
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, TemplateError> {
        let arguments = &command.operands[1..];
        if matches!(name, "and" | "or") {
            functions::count_arguments(name, arguments.len() + usize::from(last.is_some()))
                .map_err(|error| explain(error, command))?;
            return self.short_circuit(name == "or", arguments, dot, last);
        }
        let mut values = Vec::with_capacity(arguments.len() + 1);
        let mut size = 0;
        for argument in arguments {
            let value = self.operand(argument, dot)?;
            size += value.size();
            if size > MAX_MADE {
                return Err(failure(argument, functions::too_much()));
            }
            values.push(value.into_owned());
        }
        values.extend(last);
        self.apply(name, command, &values)
    }

    /// Calls a function with its arguments' values.
    fn apply(
        &mut self,
        name: &str,
        command: &Command,
        values: &[Value],
    ) -> Result<Value, TemplateError> {
        if self.execution == Execution::Header
            && HEADER_FUNCTIONS.contains(&name)
            && let Some(first) = values.first()
        {
            return Ok(first.clone());
        }
        if name == "call" {
            let message = match (values.first(), command.operands.get(1)) {
                (Some(Value::Missing | Value::Nil), _) => "call of nil".to_owned(),
                (Some(value), Some(operand)) => {
                    format!("non-function {} of type {}", operand.text, value.type_name())
                }
                _ => "wrong number of args for call: want at least 1 got 0".to_owned(),
            };
            let error = FunctionError::Failed(format!("error calling call: {message}"));
            return Err(explain(error, command));
        }
        let value = functions::call(name, values).map_err(|error| explain(error, command))?;
        self.make(value.size(), &command.operands[0])?;
        Ok(value)
    }

    /// Evaluates the arguments of `and` and `or` up to the one that decides: the first that is `deciding`.
    fn short_circuit(
        &mut self,
        deciding: bool,
        arguments: &[Operand],
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, TemplateError> {
        let mut value = Value::Missing;
        for argument in arguments {
            value = self.operand(argument, dot)?.into_owned();
            if value.truth() == deciding {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn operand<'v>(
        &mut self,
        operand: &Operand,
        dot: &'v Value,
    ) -> Result<Cow<'v, Value>, TemplateError> {
        Ok(Cow::Owned(match &operand.kind {
            OperandKind::Dot => return Ok(Cow::Borrowed(dot)),
            OperandKind::Field(names) => {
                return self.fields(dot, names, operand).map(Cow::Borrowed);
            }
            OperandKind::Pipeline(pipeline) => return self.pipeline(pipeline, dot),
            OperandKind::Nil => Value::Missing,
            OperandKind::Bool(value) => Value::Bool(*value),
            OperandKind::Int(value) => Value::Int(*value),
            OperandKind::Float(value) => Value::Float(*value),
            OperandKind::Text(text) => Value::Text(text.clone()),
            OperandKind::Variable(name) => self.variable(name),
            OperandKind::Chain(base, names) => {
                let base = self.operand(base, dot)?;
                self.fields(&base, names, operand)?.clone()
            }
            OperandKind::Function(name) => self.alone(name, operand, dot)?,
        }))
    }

    /// Calls a function without arguments.
    fn alone(
        &mut self,
        name: &str,
        function: &Operand,
        dot: &Value,
    ) -> Result<Value, TemplateError> {
        let (position, text) = (function.position, function.text.clone());
        let command = Command { operands: vec![function.clone()], position, text };
        self.function(name, &command, dot, None)
    }

    /// Returns a variable's value; the parser has seen to it that there is one.
    fn variable(&self, name: &str) -> Value {
        let found = self.variables.iter().rev().find(|(known, _)| known == name);
        found.map_or(Value::Missing, |(_, value)| value.clone())
    }

    fn fields<'v>(
        &self,
        value: &'v Value,
        names: &[String],
        operand: &Operand,
    ) -> Result<&'v Value, TemplateError> {
        let is_strict = self.execution == Execution::Strict;
        names.iter().try_fold(value, |value, name| {
            value.field(name, is_strict).map_err(|message| failure(operand, message))
        })
    }
}

type Items = Box<dyn Iterator<Item = (Value, Value)>>;

/// Returns the keys and values that a range goes over.
fn items(value: Value, over: &Pipeline) -> Result<Items, TemplateError> {
    Ok(match value {
        Value::Missing | Value::List(None) | Value::Map(None, _) => Box::new(iter::empty()),
        Value::List(Some(items)) => {
            let items = items.into_iter().enumerate();
            Box::new(items.map(|(at, item)| (position_value(at), item)))
        }
        Value::Int(number) => {
            let end = usize::try_from(number).unwrap_or(0).min(MAX_COUNT);
            Box::new((0..end).map(|at| (position_value(at), position_value(at))))
        }
        Value::Map(Some(members), _) => {
            Box::new(members.into_iter().map(|(key, member)| (Value::Text(key), member)))
        }
        other => {
            let message = format!("range can't iterate over {}", nested(&other));
            return Err(failure(&over.commands[0].operands[0], message));
        }
    })
}

fn position_value(at: usize) -> Value {
    Value::Int(i64::try_from(at).unwrap_or(i64::MAX))
}

/// Says why a function failed.
fn explain(error: FunctionError, command: &Command) -> TemplateError {
    let function = &command.operands[0];
    match error {
        FunctionError::Count(message) => failure(function, message),
        FunctionError::Argument(at, wrong) => {
            let operand = command.operands.get(at + 1).unwrap_or(function);
            failure(operand, wrong.message(operand))
        }
        FunctionError::Failed(message) => failed(command.position, &command.text, message),
    }
}
