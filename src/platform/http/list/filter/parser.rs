//! From tokens to the tree. Mistakes about names and values are collected; one about the structure
//! ends the reading, as what follows it would be guesses.

use super::super::literal::{Literal, Written};
use super::super::{Field, FieldKind};
use super::lexer::{Placed, Token, tokens};
use super::tree::{Expr, KEY_ELEMENT, Op, Part, TEXT_ELEMENT};
use super::{MAX_DEPTH, MAX_LENGTH, MAX_TERMS, MAX_VALUES};
use crate::platform::http::json::nearest;
use crate::platform::http::problem::{FieldCode, FieldError};

/// So many characters of the text are shown at a mistake.
const NEAR_SHOWN: usize = 24;
/// So many characters of a name that a client chose are repeated.
const NAME_SHOWN: usize = 60;

/// The reading cannot go on; the reason is among the errors.
struct Stop;

/// A condition, or nothing where a mistake about names or values was noted.
type Parsed = Result<Option<Expr>, Stop>;

/// Reads a filter.
///
/// # Errors
/// Everything that is wrong.
pub fn parse(text: &str, fields: &'static [Field], pointer: &str) -> Result<Expr, Vec<FieldError>> {
    let length = text.chars().take(MAX_LENGTH + 1).count();
    if length > MAX_LENGTH {
        let detail = format!("the filter has more than {MAX_LENGTH} characters");
        return Err(vec![
            FieldError::new(pointer, FieldCode::TooLong, detail).param("maximum", MAX_LENGTH),
        ]);
    }
    let mut parser = Parser {
        tokens: &[],
        length,
        text,
        pointer,
        fields,
        variable: None,
        errors: Vec::new(),
        terms: 0,
        depth: 0,
    };
    let tokens = match tokens(text) {
        Ok(tokens) => tokens,
        Err(cut) => {
            parser.note(cut.code, cut.position, cut.detail);
            return Err(parser.errors);
        }
    };
    parser.tokens = &tokens;
    match parser.whole() {
        Ok(Some(tree)) if parser.errors.is_empty() => Ok(tree),
        _ => Err(parser.errors),
    }
}

struct Parser<'a> {
    tokens: &'a [Placed],
    length: usize,
    text: &'a str,
    pointer: &'a str,
    fields: &'static [Field],
    /// Inside `any`: the variable's name and what it stands for.
    variable: Option<(&'a str, &'static Field)>,
    errors: Vec<FieldError>,
    terms: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn whole(&mut self) -> Parsed {
        let tree = self.either()?;
        if self.tokens.is_empty() {
            Ok(tree)
        } else {
            Err(self.syntax("and, or, or the end is expected"))
        }
    }

    /// Conditions with `or` between them.
    fn either(&mut self) -> Parsed {
        self.row("or", Self::all, Expr::Or)
    }

    /// Conditions with `and` between them.
    fn all(&mut self) -> Parsed {
        self.row("and", Self::one, Expr::And)
    }

    fn row(
        &mut self,
        word: &str,
        item: fn(&mut Self) -> Parsed,
        join: fn(Vec<Expr>) -> Expr,
    ) -> Parsed {
        let first = item(self)?;
        let mut rest = Vec::new();
        while self.take_word(word) {
            rest.push(item(self)?);
        }
        if rest.is_empty() {
            return Ok(first);
        }
        // Nothing as soon as one part is nothing: an error is noted, the tree will not be used.
        let parts: Option<Vec<Expr>> = std::iter::once(first).chain(rest).collect();
        Ok(parts.map(join))
    }

    /// A negation, a parenthesis or a single condition.
    fn one(&mut self) -> Parsed {
        if self.take_word("not") {
            let inner = self.deeper(Self::one)?;
            Ok(inner.map(|inner| Expr::Not(Box::new(inner))))
        } else if self.take_sign('(') {
            let inner = self.deeper(Self::either)?;
            self.expect_sign(')')?;
            Ok(inner)
        } else {
            self.term()
        }
    }

    fn deeper(&mut self, inner: fn(&mut Self) -> Parsed) -> Parsed {
        if self.depth == MAX_DEPTH {
            let detail = format!("the filter is nested deeper than {MAX_DEPTH}");
            return Err(self.too_complex(&detail, MAX_DEPTH));
        }
        self.depth += 1;
        let parsed = inner(self);
        self.depth -= 1;
        parsed
    }

    /// A comparison, a function, an `any`, or a boolean field alone.
    fn term(&mut self) -> Parsed {
        let position = self.position();
        let word = match self.tokens.first() {
            Some(Placed { token: Token::Word(word), .. }) if !is_reserved(word) => word,
            _ => return Err(self.syntax("the name of a field, not or ( is expected")),
        };
        if self.terms == MAX_TERMS {
            let detail = format!("the filter has more than {MAX_TERMS} comparisons");
            return Err(self.too_complex(&detail, MAX_TERMS));
        }
        self.terms += 1;
        self.skip();
        if !self.take_sign('(') {
            let field = self.field(word, position);
            return self.comparison(field, position);
        }
        if let Some((_, part)) = Part::ALL.iter().find(|(name, _)| name.eq_ignore_ascii_case(word))
        {
            return self.function(*part);
        }
        match word.rsplit_once('.') {
            Some((list, any)) if any.eq_ignore_ascii_case("any") => self.any(list, position),
            _ => {
                let detail =
                    "no such function; contains, startswith, endswith and list/any are known";
                self.note(FieldCode::Syntax, position, detail);
                Err(Stop)
            }
        }
    }

    /// What follows a field: an operator and its value or values.
    fn comparison(&mut self, field: Option<&'static Field>, position: usize) -> Parsed {
        let operator = self.position();
        if self.take_word("in") {
            return self.values(field, position);
        }
        let found = Op::ALL.into_iter().find(|(name, _)| self.take_word(name));
        let Some((name, op)) = found else {
            let ends = self.tokens.first().is_none_or(|next| match &next.token {
                Token::Word(word) => {
                    word.eq_ignore_ascii_case("and") || word.eq_ignore_ascii_case("or")
                }
                token => *token == Token::Sign(')'),
            });
            return match field {
                Some(field) if ends && field.kind == FieldKind::Boolean => {
                    Ok(Some(Expr::Compare(field, Op::Eq, Literal::Boolean(true))))
                }
                None if ends => Ok(None),
                _ => Err(self.syntax("eq, ne, gt, ge, lt, le or in is expected")),
            };
        };
        let field = field.filter(|field| self.suits(field, name, op, operator, position));
        let at = self.position();
        if self.take_word("null") {
            return Ok(field.and_then(|field| self.null(field, name, op, at)));
        }
        let Some(written) = self.written() else {
            return Err(self.syntax("a value is expected; texts stand in single quotes"));
        };
        Ok(field
            .and_then(|field| Some(Expr::Compare(field, op, self.literal(field, written, at)?))))
    }

    /// Whether the operator can be used on the field; a list takes none.
    fn suits(
        &mut self,
        field: &Field,
        name: &str,
        op: Op,
        operator: usize,
        position: usize,
    ) -> bool {
        if !self.single(field, position) {
            return false;
        }
        let suits = matches!(op, Op::Eq | Op::Ne) || field.kind.is_ordered();
        if !suits {
            let detail =
                format!("{} cannot be compared with {name}; eq, ne and in can be used", field.name);
            self.note(FieldCode::NotFilterable, operator, detail);
        }
        suits
    }

    /// Whether the field has one value.
    fn single(&mut self, field: &Field, position: usize) -> bool {
        if !field.is_scalar() {
            let asked = field.name.replace('.', "/");
            let detail = format!("{asked} is a list; ask {asked}/any(x: x eq 'CODE')");
            self.note(FieldCode::NotFilterable, position, detail);
        }
        field.is_scalar()
    }

    fn null(&mut self, field: &'static Field, name: &str, op: Op, at: usize) -> Option<Expr> {
        match op {
            Op::Eq => Some(Expr::IsNull(field)),
            Op::Ne => Some(Expr::IsNotNull(field)),
            _ => {
                let detail = format!(
                    "null is neither more nor less than anything; {name} cannot be used with it"
                );
                self.note(FieldCode::InvalidValue, at, detail);
                None
            }
        }
    }

    /// The values after `in`.
    fn values(&mut self, field: Option<&'static Field>, position: usize) -> Parsed {
        let field = field.filter(|field| self.single(field, position));
        self.expect_sign('(')?;
        let mut values = Some(Vec::new());
        for count in 0.. {
            if count == MAX_VALUES {
                let detail = format!("in has more than {MAX_VALUES} values");
                return Err(self.too_complex(&detail, MAX_VALUES));
            }
            let at = self.position();
            let Some(written) = self.written() else {
                return Err(self.syntax("a value is expected; null is asked with eq or ne"));
            };
            let value = field.and_then(|field| self.literal(field, written, at));
            values = values.zip(value).map(|(mut values, value)| {
                values.push(value);
                values
            });
            if !self.take_sign(',') {
                break;
            }
        }
        self.expect_sign(')')?;
        Ok(field.zip(values).map(|(field, values)| Expr::In(field, values)))
    }

    /// The arguments of `contains`, `startswith` and `endswith`.
    fn function(&mut self, part: Part) -> Parsed {
        let position = self.position();
        let field = match self.tokens.first() {
            Some(Placed { token: Token::Word(word), .. }) if !is_reserved(word) => {
                self.skip();
                self.field(word, position)
            }
            _ => return Err(self.syntax("the name of a field is expected")),
        };
        self.expect_sign(',')?;
        let at = self.position();
        let Some(written) = self.written() else {
            return Err(self.syntax("a text in single quotes is expected"));
        };
        self.expect_sign(')')?;
        let Some(field) = field.filter(|field| self.single(field, position)) else {
            return Ok(None);
        };
        if !field.kind.is_text() {
            self.note(FieldCode::NotFilterable, position, format!("{} is no text", field.name));
            return Ok(None);
        }
        Ok(match self.literal(field, written, at) {
            Some(Literal::Text(text)) => Some(Expr::Match(field, part, text)),
            _ => None,
        })
    }

    /// A condition on the elements of a list, its opening parenthesis read.
    fn any(&mut self, list: &str, position: usize) -> Parsed {
        let field = self.field(list, position);
        let element = match field.map(|field| field.kind.element()) {
            Some(Some(FieldKind::Key)) => &KEY_ELEMENT,
            Some(None) => {
                self.note(
                    FieldCode::NotFilterable,
                    position,
                    format!("{list} is no list; compare it without any"),
                );
                &TEXT_ELEMENT
            }
            _ => &TEXT_ELEMENT,
        };
        if self.take_sign(')') {
            return Ok(field.map(|field| Expr::Any(field, None)));
        }
        let name = match self.tokens.first() {
            Some(Placed { token: Token::Word(name), .. })
                if !is_reserved(name) && !name.contains('.') =>
            {
                name
            }
            _ => {
                return Err(
                    self.syntax("a name for the element is expected, as in any(x: x eq 'CODE')")
                );
            }
        };
        self.skip();
        self.expect_sign(':')?;
        self.variable = Some((name, element));
        let inner = self.deeper(Self::either);
        self.variable = None;
        let inner = inner?;
        self.expect_sign(')')?;
        Ok(field.zip(inner).map(|(field, inner)| Expr::Any(field, Some(Box::new(inner)))))
    }

    /// Finds a field by its name, or notes that there is none.
    fn field(&mut self, name: &str, position: usize) -> Option<&'static Field> {
        if let Some((variable, element)) = self.variable {
            if name == variable {
                return Some(element);
            }
            let variable: String = variable.chars().take(NAME_SHOWN).collect();
            let detail = format!("inside any only its element {variable} can be compared");
            self.note(FieldCode::NotFilterable, position, detail)
                .insert("nearest".to_owned(), variable.into());
            return None;
        }
        let found = self.fields.iter().find(|field| field.name == name);
        if found.is_none() {
            let names: Vec<&str> = self.fields.iter().map(|field| field.name).collect();
            let hint = nearest(name, &names);
            let shown: String = name.chars().take(NAME_SHOWN).collect();
            let detail = match hint {
                Some(near) => format!("{shown} cannot be filtered by; the nearest field is {near}"),
                None => format!("{shown} cannot be filtered by"),
            };
            let params = self.note(FieldCode::NotFilterable, position, detail);
            params.extend(hint.map(|near| ("nearest".to_owned(), near.into())));
        }
        found
    }

    /// Types a literal for its field, or notes why it does not suit.
    fn literal(&mut self, field: &Field, written: Written<'_>, position: usize) -> Option<Literal> {
        match Literal::read(field.kind, written) {
            Ok(literal) => Some(literal),
            Err(unsuitable) => {
                let detail = format!("{}: {}", field.name, unsuitable.detail);
                let params = self.note(unsuitable.code, position, detail);
                params.extend(unsuitable.nearest.map(|near| ("nearest".to_owned(), near.into())));
                None
            }
        }
    }

    /// The literal that is next, if one is.
    fn written(&mut self) -> Option<Written<'a>> {
        let written = match &self.tokens.first()?.token {
            Token::Quoted(text) => Written::Quoted(text),
            Token::Bare(text) => Written::Bare(text),
            Token::Word(word) if word.eq_ignore_ascii_case("true") => Written::Boolean(true),
            Token::Word(word) if word.eq_ignore_ascii_case("false") => Written::Boolean(false),
            _ => return None,
        };
        self.skip();
        Some(written)
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let is_next = matches!(self.tokens.first(), Some(Placed { token: Token::Word(word), .. }) if word.eq_ignore_ascii_case(wanted));
        if is_next {
            self.skip();
        }
        is_next
    }

    fn take_sign(&mut self, wanted: char) -> bool {
        let is_next = self.tokens.first().is_some_and(|next| next.token == Token::Sign(wanted));
        if is_next {
            self.skip();
        }
        is_next
    }

    fn expect_sign(&mut self, wanted: char) -> Result<(), Stop> {
        if self.take_sign(wanted) {
            Ok(())
        } else {
            Err(self.syntax(&format!("{wanted} is expected")))
        }
    }

    fn skip(&mut self) {
        self.tokens = self.tokens.get(1..).unwrap_or_default();
    }

    /// Where the next token begins; the length of the text at its end.
    fn position(&self) -> usize {
        self.tokens.first().map_or(self.length, |next| next.position)
    }

    fn syntax(&mut self, detail: &str) -> Stop {
        self.note(FieldCode::Syntax, self.position(), detail);
        Stop
    }

    fn too_complex(&mut self, detail: &str, maximum: usize) -> Stop {
        self.note(FieldCode::TooComplex, self.position(), detail)
            .insert("maximum".to_owned(), maximum.into());
        Stop
    }

    /// Notes a mistake with its place; gives its parameters, for more of them.
    fn note(
        &mut self,
        code: FieldCode,
        position: usize,
        detail: impl Into<String>,
    ) -> &mut serde_json::Map<String, serde_json::Value> {
        let near: String = self.text.chars().skip(position).take(NEAR_SHOWN).collect();
        let error = FieldError::new(self.pointer, code, detail)
            .param("position", position)
            .param("near", near);
        &mut self.errors.push_mut(error).params
    }
}

/// Words that cannot name a field.
fn is_reserved(word: &str) -> bool {
    let words = ["and", "or", "not", "in", "null", "true", "false"];
    words
        .into_iter()
        .chain(Op::ALL.map(|(name, _)| name))
        .any(|reserved| reserved.eq_ignore_ascii_case(word))
}
