//! Tokens as a tree.

use std::collections::BTreeMap;

use spec::go::quoted;

use super::MAX_DEPTH;
use super::ast::{Command, Node, Operand, OperandKind, Pipeline, Position};
use super::error::TemplateError;
use super::functions;
use super::lexer::{Token, TokenKind, tokens};

/// The words that are no functions.
const KEYWORDS: [&str; 11] = [
    "block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with",
];

/// A template's parts: its own body and those that it defines by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Parsed {
    /// The nodes outside of definitions.
    pub(super) body: Vec<Node>,
    /// `{{define}}` and `{{block}}`.
    pub(super) definitions: BTreeMap<String, Vec<Node>>,
}

/// Parses a template.
pub(super) fn parse(template: &str) -> Result<Parsed, TemplateError> {
    let tokens = tokens(template)?;
    let mut parser = Parser {
        template,
        tokens: &tokens,
        next: 0,
        depth: 0,
        ranges: 0,
        variables: vec![String::new()],
        definitions: BTreeMap::new(),
    };
    let (body, end) = parser.nodes()?;
    if let Some(word) = end {
        return Err(parser.error(&format!("unexpected {{{{{word}}}}}")));
    }
    Ok(Parsed { body, definitions: parser.definitions })
}

struct Parser<'a> {
    template: &'a str,
    tokens: &'a [Token],
    next: usize,
    depth: usize,
    /// The number of ranges that are open: `break` and `continue` need one.
    ranges: usize,
    /// The variables in scope; `""` is `$`.
    variables: Vec<String>,
    definitions: BTreeMap<String, Vec<Node>>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&TokenKind> {
        self.tokens.get(self.next).map(|token| &token.kind)
    }

    fn skip_space(&mut self) {
        while self.peek() == Some(&TokenKind::Space) {
            self.next += 1;
        }
    }

    fn take(&mut self, kind: &TokenKind) -> bool {
        let found = self.peek() == Some(kind);
        self.next += usize::from(found);
        found
    }

    fn error(&self, message: &str) -> TemplateError {
        let token = self.tokens.get(self.next).or(self.tokens.last());
        let line = token.map_or(1, |token| token.position.line);
        TemplateError::Syntax { name: "", line, message: message.to_owned() }
    }

    fn enter(&mut self) -> Result<(), TemplateError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            Err(self.error("template is nested too deeply"))
        } else {
            Ok(())
        }
    }

    /// Reads nodes up to the end of the template or to an `end` or `else`, whose word is returned, already read.
    fn nodes(&mut self) -> Result<(Vec<Node>, Option<&'static str>), TemplateError> {
        self.enter()?;
        let mut nodes = Vec::new();
        while let Some(kind) = self.peek() {
            if let TokenKind::Text(text) = kind {
                nodes.push(Node::Text(text.clone()));
                self.next += 1;
                continue;
            }
            self.next += 1; // Outside of an action there is only text and Open.
            self.skip_space();
            let word = if let Some(TokenKind::Word(word)) = self.peek() {
                word.clone()
            } else {
                String::new()
            };
            let end = match word.as_str() {
                "end" => Some("end"),
                "else" => Some("else"),
                _ => None,
            };
            if end.is_some() {
                self.next += 1;
                self.depth -= 1;
                return Ok((nodes, end));
            }
            nodes.extend(self.action(&word)?);
        }
        self.depth -= 1;
        Ok((nodes, None))
    }

    fn action(&mut self, word: &str) -> Result<Option<Node>, TemplateError> {
        let block = matches!(
            word,
            "if" | "with" | "range" | "break" | "continue" | "define" | "template" | "block"
        );
        if block {
            self.next += 1;
        }
        Ok(Some(match word {
            "if" => {
                let (condition, then, otherwise) = self.control("if")?;
                Node::If { condition, then, otherwise }
            }
            "with" => {
                let (subject, then, otherwise) = self.control("with")?;
                Node::With { subject, then, otherwise }
            }
            "range" => {
                let (over, body, otherwise) = self.control("range")?;
                Node::Range { over, body, otherwise }
            }
            "break" | "continue" => {
                if self.ranges == 0 {
                    return Err(self.error(&format!("{{{{{word}}}}} outside {{{{range}}}}")));
                }
                self.close(word)?;
                if word == "break" { Node::Break } else { Node::Continue }
            }
            "define" => {
                self.define()?;
                return Ok(None);
            }
            "template" | "block" => self.call(word)?,
            _ => {
                let pipeline = self.pipeline("command", false)?;
                self.close("command")?;
                Node::Action(pipeline)
            }
        }))
    }

    /// Reads the rest of `if`, `with` and `range`: the pipeline, the body, and the `else` part.
    fn control(&mut self, word: &str) -> Result<(Pipeline, Vec<Node>, Vec<Node>), TemplateError> {
        let scope = self.variables.len();
        let pipeline = self.pipeline(word, word == "range")?;
        self.close(word)?;
        self.ranges += usize::from(word == "range");
        let (then, end) = self.nodes()?;
        self.ranges -= usize::from(word == "range");
        let otherwise = match end {
            Some("end") => Vec::new(),
            Some(_) => self.otherwise(word)?,
            None => return Err(self.error("unexpected EOF")),
        };
        if end == Some("end") {
            self.close("end")?;
        }
        self.variables.truncate(scope);
        Ok((pipeline, then, otherwise))
    }

    /// Reads what follows `else`: `if` or `with` chained on, or a body.
    fn otherwise(&mut self, word: &str) -> Result<Vec<Node>, TemplateError> {
        self.skip_space();
        let chained =
            matches!(self.peek(), Some(TokenKind::Word(next)) if next == word && word != "range");
        if chained {
            self.enter()?;
            self.next += 1;
            let (condition, then, otherwise) = self.control(word)?;
            self.depth -= 1;
            let node = match word {
                "if" => Node::If { condition, then, otherwise },
                _ => Node::With { subject: condition, then, otherwise },
            };
            return Ok(vec![node]);
        }
        self.close("else")?;
        let (nodes, end) = self.nodes()?;
        if end != Some("end") {
            return Err(self.error("expected end; found {{else}}"));
        }
        self.close("end")?;
        Ok(nodes)
    }

    fn define(&mut self) -> Result<(), TemplateError> {
        let name = self.name("define")?;
        self.close("define clause")?;
        let body = self.definition()?;
        self.definitions.insert(name, body);
        Ok(())
    }

    /// Reads the body of a definition, which sees no variable but `$`.
    fn definition(&mut self) -> Result<Vec<Node>, TemplateError> {
        let outer = std::mem::replace(&mut self.variables, vec![String::new()]);
        let ranges = std::mem::take(&mut self.ranges);
        let (body, end) = self.nodes()?;
        if end != Some("end") {
            return Err(self.error("unexpected EOF"));
        }
        self.close("end")?;
        self.variables = outer;
        self.ranges = ranges;
        Ok(body)
    }

    fn call(&mut self, word: &str) -> Result<Node, TemplateError> {
        self.skip_space();
        let position = self.position();
        let name = self.name(word)?;
        self.skip_space();
        let argument = if self.peek() == Some(&TokenKind::Close) && word == "template" {
            None
        } else {
            Some(self.pipeline(word, false)?)
        };
        self.close(word)?;
        if word == "block" {
            let body = self.definition()?;
            self.definitions.insert(name.clone(), body);
        }
        Ok(Node::Call { name, argument, position })
    }

    fn name(&mut self, context: &str) -> Result<String, TemplateError> {
        self.skip_space();
        let Some(TokenKind::String(name)) = self.peek() else {
            return Err(self.error(&format!("unexpected token in {context}")));
        };
        let name = name.clone();
        self.next += 1;
        Ok(name)
    }

    fn close(&mut self, context: &str) -> Result<(), TemplateError> {
        self.skip_space();
        if self.take(&TokenKind::Close) { Ok(()) } else { Err(self.unexpected(context)) }
    }

    fn unexpected(&self, context: &str) -> TemplateError {
        match self.tokens.get(self.next) {
            Some(token) => {
                let end =
                    self.tokens.get(self.next + 1).map_or(self.template.len(), |next| next.offset);
                let text = &self.template[token.offset..end];
                let is_keyword = match &token.kind {
                    TokenKind::RightParenthesis => return self.error("unexpected right paren"),
                    TokenKind::Dot => true,
                    TokenKind::Word(word) => KEYWORDS.contains(&word.as_str()),
                    _ => false,
                };
                // As Go prints tokens: keywords by themselves, other ones quoted and cut.
                let shown = match text.char_indices().nth(10) {
                    _ if is_keyword => format!("<{text}>"),
                    Some((end, _)) => format!("{}...", quoted(&text[..end])),
                    None => quoted(text),
                };
                self.error(&format!("unexpected {shown} in {context}"))
            }
            None => self.error("unexpected EOF"),
        }
    }

    fn position(&self) -> Position {
        self.tokens
            .get(self.next)
            .or(self.tokens.last())
            .map(|token| token.position)
            .unwrap_or_default()
    }

    /// Reads `$a, $b := command | command`, up to but not including the `}}` or `)`.
    fn pipeline(&mut self, context: &str, in_range: bool) -> Result<Pipeline, TemplateError> {
        self.enter()?;
        let (variables, assigns) = self.declaration(in_range)?;
        let mut commands = Vec::new();
        loop {
            self.skip_space();
            match self.peek() {
                // Go minds a pipe before the first command, and none after the last one.
                Some(TokenKind::Close | TokenKind::RightParenthesis) if !commands.is_empty() => {
                    break;
                }
                Some(TokenKind::Pipe) => return Err(self.unexpected(context)),
                _ => commands.push(self.command(context)?),
            }
            if !self.take(&TokenKind::Pipe) {
                break;
            }
        }
        for (index, command) in commands.iter().enumerate().skip(1) {
            if command.operands.first().is_some_and(|first| first.kind.is_constant()) {
                let stage = index + 1;
                return Err(
                    self.error(&format!("non executable command in pipeline stage {stage}"))
                );
            }
        }
        // A variable is in scope after the pipeline that declares it.
        if !assigns {
            self.variables.extend(variables.iter().cloned());
        }
        self.depth -= 1;
        Ok(Pipeline { variables, assigns, commands })
    }

    /// Reads the variables before `:=` or `=`, if there are any.
    fn declaration(&mut self, in_range: bool) -> Result<(Vec<String>, bool), TemplateError> {
        let start = self.next;
        let mut variables = Vec::new();
        loop {
            self.skip_space();
            let Some(TokenKind::Variable(name)) = self.peek() else { break };
            variables.push(name.clone());
            self.next += 1;
            self.skip_space();
            match self.peek() {
                Some(TokenKind::Comma) if in_range && variables.len() == 1 => self.next += 1,
                Some(TokenKind::Declare) => {
                    self.next += 1;
                    return Ok((variables, false));
                }
                Some(TokenKind::Assign) => {
                    self.next += 1;
                    for name in &variables {
                        self.known(name)?;
                    }
                    return Ok((variables, true));
                }
                _ => break,
            }
        }
        self.next = start;
        Ok((Vec::new(), false))
    }

    fn known(&self, variable: &str) -> Result<(), TemplateError> {
        if self.variables.iter().any(|known| known == variable) {
            return Ok(());
        }
        Err(self.error(&format!("undefined variable \"${variable}\"")))
    }

    fn command(&mut self, context: &str) -> Result<Command, TemplateError> {
        let mut operands: Vec<Operand> = Vec::new();
        self.skip_space();
        let position = self.position();
        loop {
            self.skip_space();
            match self.peek() {
                Some(TokenKind::Close | TokenKind::RightParenthesis | TokenKind::Pipe) | None => {
                    break;
                }
                _ => {
                    let context = if operands.is_empty() { context } else { "operand" };
                    operands.push(self.operand(context)?);
                }
            }
            let separated = matches!(
                self.peek(),
                Some(
                    TokenKind::Space
                        | TokenKind::Close
                        | TokenKind::RightParenthesis
                        | TokenKind::Pipe
                )
            );
            if !separated {
                return Err(self.unexpected("operand"));
            }
        }
        if operands.is_empty() {
            return Err(self.error(&format!("missing value for {context}")));
        }
        let words: Vec<&str> = operands.iter().map(|operand| operand.text.as_str()).collect();
        let text = words.join(" ");
        Ok(Command { operands, position, text })
    }

    fn operand(&mut self, context: &str) -> Result<Operand, TemplateError> {
        let start = self.next;
        let position = self.position();
        let kind = match self.peek().cloned() {
            Some(TokenKind::Dot) => OperandKind::Dot,
            Some(TokenKind::Field(name)) => OperandKind::Field(vec![name]),
            Some(TokenKind::Variable(name)) => {
                self.known(&name)?;
                OperandKind::Variable(name)
            }
            Some(TokenKind::String(text)) => OperandKind::Text(text),
            Some(TokenKind::Character(character)) => {
                OperandKind::Int(i64::from(u32::from(character)))
            }
            Some(TokenKind::Number(text)) => {
                number(&text).map_err(|fault| self.error(&format!("{fault}: {text:?}")))?
            }
            Some(TokenKind::Word(word)) => match word.as_str() {
                "true" => OperandKind::Bool(true),
                "false" => OperandKind::Bool(false),
                "nil" => OperandKind::Nil,
                _ if functions::exists(&word) => OperandKind::Function(word),
                _ => return Err(self.error(&format!("function {word:?} not defined"))),
            },
            Some(TokenKind::LeftParenthesis) => {
                self.next += 1;
                let pipeline = self.pipeline("parenthesized pipeline", false)?;
                self.skip_space();
                if self.peek() != Some(&TokenKind::RightParenthesis) {
                    return Err(self.error("unclosed left paren"));
                }
                OperandKind::Pipeline(Box::new(pipeline))
            }
            _ => return Err(self.unexpected(context)),
        };
        self.next += 1;
        let operand = Operand { kind, position, text: self.text(start) };
        self.chain(operand, start)
    }

    /// Reads the `.Field`s that follow an operand without a space.
    fn chain(&mut self, operand: Operand, start: usize) -> Result<Operand, TemplateError> {
        // Go reports a chain at its second part.
        let position = self.position();
        let mut names = Vec::new();
        while let Some(TokenKind::Field(name)) = self.peek() {
            names.push(name.clone());
            self.next += 1;
        }
        if names.is_empty() {
            return Ok(operand);
        }
        let kind = match operand.kind {
            OperandKind::Field(mut first) => {
                first.extend(names);
                OperandKind::Field(first)
            }
            OperandKind::Variable(_) | OperandKind::Pipeline(_) | OperandKind::Function(_) => {
                OperandKind::Chain(Box::new(operand), names)
            }
            _ => return Err(self.error(&format!("unexpected . after term {:?}", operand.text))),
        };
        Ok(Operand { kind, position, text: self.text(start) })
    }

    /// Returns the template's text from the token `start` to the next one.
    fn text(&self, start: usize) -> String {
        let end = self.tokens.get(self.next).map_or(self.template.len(), |token| token.offset);
        self.template[self.tokens[start].offset..end].to_owned()
    }
}

/// Reads a number as Go writes them: decimal, `0x`, `0o`, `0b`, with `_`, or with a fraction. An error is Go's words for it.
fn number(text: &str) -> Result<OperandKind, &'static str> {
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let lower = digits.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2), ("", 10)] {
        let digits = lower.strip_prefix(prefix).filter(|digits| !digits.starts_with(['-', '+']));
        // The least integer is one only with its sign.
        let value = digits.map(|digits| i64::from_str_radix(&format!("{sign}{digits}"), radix));
        if let Some(Ok(value)) = value {
            return Ok(OperandKind::Int(value));
        }
    }
    if !lower.is_empty() && lower.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("integer overflow");
    }
    let is_float = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let value = plain.parse::<f64>().ok().filter(|value| is_float && value.is_finite());
    value.map(OperandKind::Float).ok_or("bad number syntax")
}
