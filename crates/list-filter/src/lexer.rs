//! The lexer: splits a text into tokens.

use uuid::Uuid;

use crate::ErrorKind;
use crate::literal::ID_LENGTH;

/// A token of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A name, an operator, `true`, `null`; paths are normalized to `.`.
    Word(String),
    /// A text in single quotes.
    Quoted(String),
    /// A number, date, instant or id.
    Bare(String),
    /// `(`, `)`, `,` or `:`.
    Sign(char),
}

/// A token with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    pub token: Token,
    /// The position of the first character, counted in characters from 0.
    pub position: usize,
}

/// The first error, which ends tokenization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LexError {
    pub kind: ErrorKind,
    pub position: usize,
    pub detail: &'static str,
}

/// Splits a text into tokens, up to the first character that belongs to none.
pub fn tokens(text: &str) -> Result<Vec<Placed>, LexError> {
    let mut lexer = Lexer { rest: text, position: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.take_while(char::is_whitespace);
        let position = lexer.position;
        let Some(first) = lexer.rest.chars().next() else { return Ok(tokens) };
        tokens.push(Placed { token: lexer.token(first)?, position });
    }
}

struct Lexer<'a> {
    rest: &'a str,
    position: usize,
}

impl<'a> Lexer<'a> {
    fn token(&mut self, first: char) -> Result<Token, LexError> {
        if let Some(id) = self.id() {
            return Ok(Token::Bare(id.to_owned()));
        }
        match first {
            '\'' => self.quoted(),
            '(' | ')' | ',' | ':' => {
                self.advance(1);
                Ok(Token::Sign(first))
            }
            '0'..='9' | '-' | '+' => {
                let is_bare =
                    |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '+' | '-');
                Ok(Token::Bare(self.take_while(is_bare).to_owned()))
            }
            _ if is_name(first) => {
                let is_word = |c: char| is_name(c) || c.is_ascii_digit() || matches!(c, '.' | '/');
                Ok(Token::Word(self.take_while(is_word).replace('/', ".")))
            }
            _ if is_forbidden(first) => Err(self.control_character()),
            _ => Err(self.error(ErrorKind::Syntax, "the character is unexpected here")),
        }
    }

    /// Takes an id. It may begin with a letter, but a character of a name must not follow it.
    fn id(&mut self) -> Option<&'a str> {
        let (candidate, after) = self.rest.split_at_checked(ID_LENGTH)?;
        let ends = !after.starts_with(|c: char| is_name(c) || c.is_ascii_digit() || c == '-');
        if !ends || !candidate.contains('-') || Uuid::try_parse(candidate).is_err() {
            return None;
        }
        self.advance(ID_LENGTH);
        Some(candidate)
    }

    /// Takes a text in single quotes, in which a quote is written twice.
    fn quoted(&mut self) -> Result<Token, LexError> {
        let unclosed = self.error(ErrorKind::Syntax, "the text has no closing quote");
        let mut text = String::new();
        loop {
            self.advance(1);
            text.push_str(self.take_while(|c| c != '\'' && !is_forbidden(c)));
            match self.rest.chars().next() {
                None => return Err(unclosed),
                Some('\'') => self.advance(1),
                Some(_) => return Err(self.control_character()),
            }
            if !self.rest.starts_with('\'') {
                return Ok(Token::Quoted(text));
            }
            text.push('\'');
        }
    }

    /// Skips ASCII characters, each one byte long.
    fn advance(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
        self.position += count;
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        self.position += taken.chars().count();
        taken
    }

    const fn control_character(&self) -> LexError {
        self.error(ErrorKind::InvalidCharacter, "a control character is not allowed")
    }

    const fn error(&self, kind: ErrorKind, detail: &'static str) -> LexError {
        LexError { kind, position: self.position, detail }
    }
}

const fn is_name(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

/// Returns true for control characters other than line breaks and tabs. PostgreSQL cannot store
/// NUL, and no text of the service contains the others.
fn is_forbidden(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\r' | '\t')
}
