//! Runs a template over a value.

use super::MAX_DEPTH;
use super::ast::{Command, Node, Operand, OperandKind, Pipeline, Position};
use super::error::TemplateError;
use super::functions::{self, FunctionError};
use super::parser::{Parsed, parse};
use super::print::printed;
use super::value::Value;

/// The functions that leave the text of a table's header as it is.
const HEADER_FUNCTIONS: [&str; 7] =
    ["json", "split", "join", "title", "lower", "upper", "truncate"];

/// The number to which `{{range 3}}` counts: far above what anyone reads, far below what fills a memory.
const MAX_COUNT: usize = 1_000_000;

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
        let mut evaluator = self.evaluator(value, execution);
        evaluator.nodes(&self.parsed.body, value).map_err(|error| error.named(self.name))?;
        Ok(evaluator.output)
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
            depth: 0,
        }
    }
}

struct Evaluator<'a> {
    parsed: &'a Parsed,
    execution: Execution,
    /// The variables in scope, innermost last.
    variables: Vec<(String, Value)>,
    output: String,
    /// The number of `{{template}}` calls that are open.
    depth: usize,
}

/// The way on from a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl Evaluator<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, TemplateError> {
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, TemplateError> {
        match node {
            Node::Text(text) => self.output.push_str(text),
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                self.bind(pipeline, &value);
                if pipeline.variables.is_empty() {
                    self.output.push_str(&printed(&value));
                }
            }
            Node::If { condition, then, otherwise } => {
                let scope = self.variables.len();
                let value = self.pipeline(condition, dot)?;
                self.bind(condition, &value);
                let flow = self.nodes(if value.truth() { then } else { otherwise }, dot)?;
                self.variables.truncate(scope);
                return Ok(flow);
            }
            Node::With { subject, then, otherwise } => {
                let scope = self.variables.len();
                let value = self.pipeline(subject, dot)?;
                self.bind(subject, &value);
                let flow = if value.truth() {
                    self.nodes(then, &value)?
                } else {
                    self.nodes(otherwise, dot)?
                };
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

    /// Sets the variable of an `{{$x := …}}`, if there is one.
    fn bind(&mut self, pipeline: &Pipeline, value: &Value) {
        let Some(name) = pipeline.variables.first() else { return };
        let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
        match known {
            Some((_, slot)) if pipeline.assigns => *slot = value.clone(),
            _ => self.variables.push((name.clone(), value.clone())),
        }
    }

    fn range(
        &mut self,
        over: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<Flow, TemplateError> {
        let scope = self.variables.len();
        let value = self.pipeline(over, dot)?;
        let items: Vec<(Value, Value)> = match value {
            Value::Missing | Value::List(None) | Value::Map(None, _) => Vec::new(),
            Value::List(Some(items)) => {
                items.into_iter().enumerate().map(|(at, item)| (position_value(at), item)).collect()
            }
            Value::Int(number) => {
                // Counting is bounded as everything that a template can make.
                let end = usize::try_from(number).unwrap_or(0).min(MAX_COUNT);
                (0..end).map(|at| (position_value(at), position_value(at))).collect()
            }
            Value::Map(Some(members), _) => {
                members.into_iter().map(|(key, member)| (Value::Text(key), member)).collect()
            }
            other => {
                let message = format!("range can't iterate over {}", printed(&other));
                return Err(failure(&over.commands[0].operands[0], message));
            }
        };
        if items.is_empty() {
            let flow = self.nodes(otherwise, dot)?;
            self.variables.truncate(scope);
            return Ok(flow);
        }
        for (key, item) in items {
            self.bind_item(over, &key, &item);
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
    fn bind_item(&mut self, over: &Pipeline, key: &Value, item: &Value) {
        let values = match over.variables.as_slice() {
            [] => return,
            [name] => vec![(name, item)],
            [key_name, name, ..] => vec![(key_name, key), (name, item)],
        };
        for (name, value) in values {
            let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
            match known {
                Some((_, slot)) if over.assigns => *slot = value.clone(),
                _ => self.variables.push((name.clone(), value.clone())),
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
        let error =
            |message: String| failed(position, &format!("{{{{template {name:?}}}}}"), message);
        let parsed = self.parsed;
        let Some(body) = parsed.definitions.get(name) else {
            return Err(error(format!("template \"{name}\" not defined")));
        };
        if self.depth >= MAX_DEPTH {
            return Err(error("exceeded maximum template depth".to_owned()));
        }
        let value = match argument {
            Some(pipeline) => self.pipeline(pipeline, dot)?,
            None => Value::Missing,
        };
        let outer = std::mem::replace(&mut self.variables, vec![(String::new(), value.clone())]);
        self.depth += 1;
        self.nodes(body, &value)?;
        self.depth -= 1;
        self.variables = outer;
        Ok(())
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, TemplateError> {
        let mut last = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.unwrap_or(Value::Missing))
    }

    fn command(
        &mut self,
        command: &Command,
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, TemplateError> {
        let [first, arguments @ ..] = command.operands.as_slice() else {
            return Ok(Value::Missing);
        };
        if let OperandKind::Function(name) = &first.kind {
            return self.function(name, command, dot, last);
        }
        if first.kind == OperandKind::Nil {
            return Err(failure(first, "nil is not a command".to_owned()));
        }
        if !arguments.is_empty() || last.is_some() {
            let message = match &first.kind {
                OperandKind::Field(names) => {
                    let name = names.last().map_or("", String::as_str);
                    match dot {
                        Value::Map(..) => format!("{name} is not a method but has arguments"),
                        _ => format!("{name} has arguments but cannot be invoked as function"),
                    }
                }
                _ => format!("can't give argument to non-function {}", first.text),
            };
            return Err(failure(first, message));
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
        let [function, arguments @ ..] = command.operands.as_slice() else {
            return Ok(Value::Missing);
        };
        let explain = |error: FunctionError| match error {
            FunctionError::Count(message) => failure(function, message),
            FunctionError::Argument(at, wrong) => {
                let operand = arguments.get(at).unwrap_or(function);
                failure(operand, wrong.message(operand))
            }
            FunctionError::Failed(message) => failed(command.position, &command.text, message),
        };
        if matches!(name, "and" | "or") {
            functions::count_arguments(name, arguments.len() + usize::from(last.is_some()))
                .map_err(explain)?;
            return self.short_circuit(name == "or", arguments, dot, last);
        }
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for argument in arguments {
            values.push(self.operand(argument, dot)?);
        }
        values.extend(last);
        if self.execution == Execution::Header
            && HEADER_FUNCTIONS.contains(&name)
            && let Some(first) = values.first()
        {
            return Ok(first.clone());
        }
        if name == "call" {
            let message = match (values.first(), arguments.first()) {
                (Some(Value::Missing | Value::Nil), _) => "call of nil".to_owned(),
                (Some(value), Some(operand)) => {
                    format!("non-function {} of type {}", operand.text, value.type_name())
                }
                _ => "wrong number of args for call: want at least 1 got 0".to_owned(),
            };
            return Err(explain(FunctionError::Failed(format!("error calling call: {message}"))));
        }
        functions::call(name, &values).map_err(explain)
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
            value = self.operand(argument, dot)?;
            if value.truth() == deciding {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, TemplateError> {
        Ok(match &operand.kind {
            OperandKind::Dot => dot.clone(),
            OperandKind::Nil => Value::Missing,
            OperandKind::Bool(value) => Value::Bool(*value),
            OperandKind::Int(value) => Value::Int(*value),
            OperandKind::Float(value) => Value::Float(*value),
            OperandKind::Text(text) => Value::Text(text.clone()),
            OperandKind::Variable(name) => self.variable(name),
            OperandKind::Field(names) => self.fields(dot, names, operand)?,
            OperandKind::Chain(base, names) => {
                let base = self.operand(base, dot)?;
                self.fields(&base, names, operand)?
            }
            OperandKind::Function(name) => {
                let (position, text) = (operand.position, operand.text.clone());
                let alone = Command { operands: vec![operand.clone()], position, text };
                self.function(name, &alone, dot, None)?
            }
            OperandKind::Pipeline(pipeline) => self.pipeline(pipeline, dot)?,
        })
    }

    /// Returns a variable's value; the parser has seen to it that there is one.
    fn variable(&self, name: &str) -> Value {
        let found = self.variables.iter().rev().find(|(known, _)| known == name);
        found.map_or(Value::Missing, |(_, value)| value.clone())
    }

    fn fields(
        &self,
        value: &Value,
        names: &[String],
        operand: &Operand,
    ) -> Result<Value, TemplateError> {
        let step = |value: &Value, name: &String| {
            self.field(value, name).map_err(|message| failure(operand, message))
        };
        let [first, rest @ ..] = names else { return Ok(value.clone()) };
        rest.iter().try_fold(step(value, first)?, |value, name| step(&value, name))
    }

    fn field(&self, value: &Value, name: &str) -> Result<Value, String> {
        match value {
            Value::Map(members, _) => {
                match members.as_ref().and_then(|members| members.get(name)) {
                    Some(member) => Ok(member.clone()),
                    None if self.execution == Execution::Strict => {
                        Err(format!("map has no entry for key {name:?}"))
                    }
                    None => Ok(Value::Missing),
                }
            }
            Value::Structure(structure) => structure.get(name).cloned().ok_or_else(|| {
                format!("can't evaluate field {name} in type {}", structure.type_name)
            }),
            Value::Missing if self.execution != Execution::Strict => Ok(Value::Missing),
            Value::Missing | Value::Nil => {
                Err(format!("nil pointer evaluating interface {{}}.{name}"))
            }
            // What is decoded into an interface is one for Go's messages.
            _ if self.execution == Execution::Strict => {
                Err(format!("can't evaluate field {name} in type interface {{}}"))
            }
            other => Err(format!("can't evaluate field {name} in type {}", other.type_name())),
        }
    }
}

fn position_value(at: usize) -> Value {
    Value::Int(i64::try_from(at).unwrap_or(i64::MAX))
}

fn failure(operand: &Operand, message: String) -> TemplateError {
    failed(operand.position, &operand.text, message)
}

fn failed(position: Position, text: &str, message: String) -> TemplateError {
    TemplateError::Execution {
        name: "",
        line: position.line,
        column: position.column,
        source_text: text.to_owned(),
        message,
    }
}
