//! From text to tokens.

use uuid::Uuid;

use super::super::params::forbidden;
use crate::platform::http::problem::FieldCode;

/// The length of a written id.
const ID_LENGTH: usize = 36;

/// A piece of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A name, an operator, `true`, `null` …; paths hold `.`, whichever way they were written.
    Word(String),
    /// A text in single quotes.
    Quoted(String),
    /// A number, date, instant or id.
    Bare(String),
    /// `(`, `)`, `,` or `:`.
    Sign(char),
}

/// A token with the position of its first character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The token.
    pub token: Token,
    /// Counted in characters from 0.
    pub position: usize,
}

/// Why a text cannot be cut into tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The kind of mistake.
    pub code: FieldCode,
    /// Where it is.
    pub position: usize,
    /// The mistake in words.
    pub detail: &'static str,
}

/// Cuts a text into tokens.
///
/// # Errors
/// At the first character that belongs to no token.
pub fn tokens(text: &str) -> Result<Vec<Placed>, Cut> {
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
    fn token(&mut self, first: char) -> Result<Token, Cut> {
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
                let bare = self.take_while(|c| {
                    c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '+' | '-')
                });
                Ok(Token::Bare(bare.to_owned()))
            }
            _ if is_name(first) => {
                let word =
                    self.take_while(|c| is_name(c) || c.is_ascii_digit() || matches!(c, '.' | '/'));
                Ok(Token::Word(word.replace('/', ".")))
            }
            _ if forbidden(first) => {
                Err(self.cut(FieldCode::InvalidCharacter, "a control character stands here"))
            }
            _ => {
                Err(self
                    .cut(FieldCode::Syntax, "this character belongs to nothing the filter knows"))
            }
        }
    }

    /// An id may begin with a letter; it is one only if nothing that could belong to a name
    /// follows.
    fn id(&mut self) -> Option<&'a str> {
        let (candidate, after) = self.rest.split_at_checked(ID_LENGTH)?;
        let ends = !after.starts_with(|c: char| is_name(c) || c.is_ascii_digit() || c == '-');
        if !ends || !candidate.contains('-') || Uuid::try_parse(candidate).is_err() {
            return None;
        }
        self.advance(ID_LENGTH);
        Some(candidate)
    }

    /// A text in single quotes; a quote inside is written twice.
    fn quoted(&mut self) -> Result<Token, Cut> {
        let open = self.cut(FieldCode::Syntax, "the text that begins here has no closing quote");
        let mut text = String::new();
        loop {
            self.advance(1);
            text.push_str(self.take_while(|c| c != '\'' && !forbidden(c)));
            match self.rest.chars().next() {
                None => return Err(open),
                Some('\'') => self.advance(1),
                Some(_) => {
                    return Err(
                        self.cut(FieldCode::InvalidCharacter, "a control character stands here")
                    );
                }
            }
            if !self.rest.starts_with('\'') {
                return Ok(Token::Quoted(text));
            }
            text.push('\'');
        }
    }

    /// Goes over ASCII characters, of which one is one byte.
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

    const fn cut(&self, code: FieldCode, detail: &'static str) -> Cut {
        Cut { code, position: self.position, detail }
    }
}

const fn is_name(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}
