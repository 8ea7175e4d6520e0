//! A template's text as tokens.

use super::ast::Position;
use super::error::TemplateError;

/// A part of a template: text, a delimiter, or a part of an action.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// Text outside of actions.
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// `.name`
    Field(String),
    /// `.` alone
    Dot,
    /// `$name`
    Variable(String),
    /// A keyword, constant or function.
    Word(String),
    /// A quoted or raw string, unquoted.
    String(String),
    /// A number or character, as written.
    Number(String),
    /// `'x'`
    Character(char),
    /// `|`
    Pipe,
    /// `,`
    Comma,
    /// `(`
    LeftParenthesis,
    /// `)`
    RightParenthesis,
    /// `:=`
    Declare,
    /// `=`
    Assign,
    /// One or more spaces.
    Space,
    /// Any other character: there is no place for it, which is the parser's to say.
    Other,
}

/// A token and where it starts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    /// Text, a delimiter, or a part of an action.
    pub(super) kind: TokenKind,
    /// The place at which it starts, for messages.
    pub(super) position: Position,
    /// The same as an offset in bytes.
    pub(super) offset: usize,
}

/// Splits a template into tokens; trim markers and comments are applied and gone.
pub(super) fn tokens(template: &str) -> Result<Vec<Token>, TemplateError> {
    let mut lexer = Lexer {
        text: template,
        offset: 0,
        tokens: Vec::new(),
        line: 1,
        line_start: 0,
        measured: 0,
    };
    let mut trim = false;
    while lexer.offset < template.len() {
        trim = lexer.text_then_action(trim)?;
    }
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    text: &'a str,
    offset: usize,
    tokens: Vec<Token>,
    /// The line at `measured`, and where it starts.
    line: usize,
    line_start: usize,
    /// The offset up to which line ends have been counted: tokens come in order.
    measured: usize,
}

const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

impl Lexer<'_> {
    /// Reads text up to and including one action; returns whether that action trims the text after it.
    fn text_then_action(&mut self, trim_left: bool) -> Result<bool, TemplateError> {
        let rest = &self.text[self.offset..];
        let length = rest.find("{{").unwrap_or(rest.len());
        let mut text = &rest[..length];
        let opens = length < rest.len();
        let after_open = &rest[(length + 2).min(rest.len())..];
        let trims_before =
            opens && after_open.starts_with('-') && after_open[1..].starts_with(SPACES);
        if trim_left {
            text = text.trim_start_matches(SPACES);
        }
        if trims_before {
            text = text.trim_end_matches(SPACES);
        }
        if !text.is_empty() {
            self.push(TokenKind::Text(text.to_owned()), self.offset);
        }
        self.offset += length;
        if !opens {
            return Ok(false);
        }
        let start = self.offset;
        self.offset += if trims_before { 3 } else { 2 };
        if let Some(trims_right) = self.comment(start)? {
            return Ok(trims_right);
        }
        self.push(TokenKind::Open, start);
        self.action(start)
    }

    /// Skips a comment action; returns whether it trims the text after it, or `None` where there is no comment.
    fn comment(&mut self, start: usize) -> Result<Option<bool>, TemplateError> {
        let rest = &self.text[self.offset..];
        let body = rest.trim_start_matches(SPACES);
        if !body.starts_with("/*") {
            return Ok(None);
        }
        let Some(end) = body.find("*/") else { return Err(self.error(start, "unclosed comment")) };
        let after = &body[end + 2..];
        self.offset += rest.len() - after.len();
        if after.starts_with("}}") {
            self.offset += 2;
            return Ok(Some(false));
        }
        let marker = after.trim_start_matches(SPACES);
        if marker.len() < after.len() && marker.starts_with("-}}") {
            self.offset += after.len() - marker.len() + 3;
            return Ok(Some(true));
        }
        Err(self.error(start, "comment ends before closing delimiter"))
    }

    /// Reads the tokens of an action up to its `}}`; returns whether it trims the text after it.
    fn action(&mut self, start: usize) -> Result<bool, TemplateError> {
        loop {
            let rest = &self.text[self.offset..];
            let Some(first) = rest.chars().next() else {
                return Err(self.error(start, "unclosed action"));
            };
            let spaces = rest.len() - rest.trim_start_matches(SPACES).len();
            if spaces > 0 && rest[spaces..].starts_with("-}}") {
                self.push(TokenKind::Close, self.offset + spaces);
                self.offset += spaces + 3;
                return Ok(true);
            }
            if spaces > 0 {
                self.push(TokenKind::Space, self.offset);
                self.offset += spaces;
                continue;
            }
            if rest.starts_with("}}") {
                self.push(TokenKind::Close, self.offset);
                self.offset += 2;
                return Ok(false);
            }
            let (kind, length) = self.token(first, rest)?;
            self.push(kind, self.offset);
            self.offset += length;
        }
    }

    fn token(&self, first: char, rest: &str) -> Result<(TokenKind, usize), TemplateError> {
        let word = |from: usize| {
            let name = rest[from..]
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap_or_default();
            name.to_owned()
        };
        Ok(match first {
            '|' => (TokenKind::Pipe, 1),
            ',' => (TokenKind::Comma, 1),
            '(' => (TokenKind::LeftParenthesis, 1),
            ')' => (TokenKind::RightParenthesis, 1),
            ':' if rest.starts_with(":=") => (TokenKind::Declare, 2),
            '=' => (TokenKind::Assign, 1),
            '"' => self.quoted(rest)?,
            '`' => match rest[1..].find('`') {
                Some(end) => (TokenKind::String(rest[1..=end].to_owned()), end + 2),
                None => return Err(self.error(self.offset, "unterminated raw quoted string")),
            },
            '\'' => self.character(rest)?,
            '$' => {
                let name = word(1);
                let length = 1 + name.len();
                self.ends(&rest[length..])?;
                (TokenKind::Variable(name), length)
            }
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let name = word(1);
                let length = 1 + name.len();
                self.ends(&rest[length..])?;
                (if name.is_empty() { TokenKind::Dot } else { TokenKind::Field(name) }, length)
            }
            '+' | '-' | '.' | '0'..='9' => {
                let is_part = |(index, c): (usize, char)| {
                    let signed = index == 0
                        || rest[..index].ends_with(['e', 'E']) && !rest.starts_with("0x");
                    c.is_ascii_alphanumeric()
                        || c == '.'
                        || c == '_'
                        || (signed && matches!(c, '+' | '-'))
                };
                let length =
                    rest.char_indices().find(|at| !is_part(*at)).map_or(rest.len(), |at| at.0);
                (TokenKind::Number(rest[..length].to_owned()), length)
            }
            c if c.is_alphanumeric() || c == '_' => {
                let name = word(0);
                let length = name.len();
                self.ends(&rest[length..])?;
                (TokenKind::Word(name), length)
            }
            other if other == ' ' || other.is_ascii_graphic() => (TokenKind::Other, 1),
            other => {
                let message = format!("unrecognized character in action: {}", unicode(other));
                return Err(self.error(self.offset, &message));
            }
        })
    }

    /// Sees to it that a name ends where names may end.
    fn ends(&self, after: &str) -> Result<(), TemplateError> {
        match after.chars().next() {
            Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(') | None => Ok(()),
            Some(_) if after.starts_with("}}") => Ok(()),
            Some(other) => {
                Err(self.error(self.offset, &format!("bad character {}", unicode(other))))
            }
        }
    }

    fn quoted(&self, rest: &str) -> Result<(TokenKind, usize), TemplateError> {
        let mut value = String::new();
        let mut characters = rest.char_indices().skip(1);
        while let Some((index, character)) = characters.next() {
            match character {
                '"' => return Ok((TokenKind::String(value), index + 1)),
                '\n' => break,
                '\\' => match unescape(&mut characters) {
                    Some(character) => value.push(character),
                    None => return Err(self.error(self.offset, "invalid syntax")),
                },
                other => value.push(other),
            }
        }
        Err(self.error(self.offset, "unterminated quoted string"))
    }

    fn character(&self, rest: &str) -> Result<(TokenKind, usize), TemplateError> {
        let mut characters = rest.char_indices().skip(1);
        let value = match characters.next() {
            Some((_, '\\')) => unescape(&mut characters),
            Some((_, '\'' | '\n')) | None => None,
            Some((_, character)) => Some(character),
        };
        match (value, characters.next()) {
            (Some(value), Some((end, '\''))) => Ok((TokenKind::Character(value), end + 1)),
            _ => Err(self.error(self.offset, "unterminated character constant")),
        }
    }

    fn push(&mut self, kind: TokenKind, offset: usize) {
        let passed = &self.text[self.measured..offset];
        self.line += passed.matches('\n').count();
        if let Some(newline) = passed.rfind('\n') {
            self.line_start = self.measured + newline + 1;
        }
        self.measured = offset;
        let position = Position { line: self.line, column: offset - self.line_start };
        self.tokens.push(Token { kind, position, offset });
    }

    fn error(&self, offset: usize, message: &str) -> TemplateError {
        let line = self.text[..offset].matches('\n').count() + 1;
        TemplateError::Syntax { name: "", line, message: message.to_owned() }
    }
}

/// Writes a character as Go's `%#U`: `U+007D '}'`.
fn unicode(character: char) -> String {
    let number = format!("U+{:04X}", u32::from(character));
    if character.is_control() { number } else { format!("{number} '{character}'") }
}

/// Reads what follows a backslash, as in Go's string literals.
fn unescape(characters: &mut impl Iterator<Item = (usize, char)>) -> Option<char> {
    let (_, kind) = characters.next()?;
    let mut number = |digits: usize, radix: u32, first: Option<char>| {
        let mut value = first.and_then(|digit| digit.to_digit(radix)).unwrap_or_default();
        for _ in 0..digits {
            value = value.checked_mul(radix)? + characters.next()?.1.to_digit(radix)?;
        }
        char::from_u32(value)
    };
    match kind {
        'a' => Some('\x07'),
        'b' => Some('\x08'),
        'f' => Some('\x0c'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\x0b'),
        '\\' | '\'' | '"' => Some(kind),
        'x' => number(2, 16, None),
        'u' => number(4, 16, None),
        'U' => number(8, 16, None),
        '0'..='7' => number(2, 8, Some(kind)),
        _ => None,
    }
}
