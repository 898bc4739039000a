//! The parser: builds the tree from tokens.
//!
//! Errors in names and values are collected. A syntax error ends parsing, because everything after
//! it would be a guess.

use crate::lexer::{Placed, Token, tokens};
use crate::literal::Written;
use crate::tree::{KEY_ELEMENT, TEXT_ELEMENT};
use crate::{
    Argument, Comparison, ErrorKind, Expr, Field, FieldKind, FilterError, Hint, Literal, MAX_DEPTH,
    MAX_LENGTH, MAX_TERMS, MAX_VALUES, TextMatch,
};

/// Maximum number of characters of the text that an error repeats.
const MAX_NEAR_SHOWN: usize = 24;
/// Maximum number of characters of a name that an error repeats.
const MAX_NAME_SHOWN: usize = 60;

/// Signals that parsing cannot continue; the reason is among the errors.
struct Stop;

/// A condition, or `None` after an error in a name or value.
type Parsed = Result<Option<Expr>, Stop>;

/// Parses a filter over `fields`.
///
/// # Errors
/// All errors up to the first syntax error.
pub fn parse(text: &str, fields: &'static [Field]) -> Result<Expr, Vec<FilterError>> {
    let length = text.chars().take(MAX_LENGTH + 1).count();
    if length > MAX_LENGTH {
        return Err(vec![FilterError {
            kind: ErrorKind::TooLong,
            position: None,
            near: String::new(),
            detail: format!("the filter has more than {MAX_LENGTH} characters"),
            hint: Some(Hint::Maximum(MAX_LENGTH)),
        }]);
    }
    let mut parser = Parser {
        tokens: &[],
        length,
        text,
        fields,
        variable: None,
        errors: Vec::new(),
        terms: 0,
        depth: 0,
    };
    let tokens = match tokens(text) {
        Ok(tokens) => tokens,
        Err(error) => {
            parser.report(error.kind, error.position, error.detail, None);
            return Err(parser.errors);
        }
    };
    parser.tokens = &tokens;
    match parser.filter() {
        Ok(Some(tree)) if parser.errors.is_empty() => Ok(tree),
        _ => Err(parser.errors),
    }
}

struct Parser<'a> {
    tokens: &'a [Placed],
    length: usize,
    text: &'a str,
    fields: &'static [Field],
    /// Inside `any`: the name of the variable and the element it denotes.
    variable: Option<(&'a str, &'static Field)>,
    errors: Vec<FilterError>,
    terms: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn filter(&mut self) -> Parsed {
        let tree = self.disjunction()?;
        if self.tokens.is_empty() {
            Ok(tree)
        } else {
            Err(self.syntax("and, or, or the end is expected"))
        }
    }

    fn disjunction(&mut self) -> Parsed {
        self.chain("or", Self::conjunction, Expr::Or)
    }

    fn conjunction(&mut self) -> Parsed {
        self.chain("and", Self::factor, Expr::And)
    }

    /// Parses operands that are joined by one operator.
    fn chain(
        &mut self,
        operator: &str,
        operand: fn(&mut Self) -> Parsed,
        join: fn(Vec<Expr>) -> Expr,
    ) -> Parsed {
        let first = operand(self)?;
        let mut rest = Vec::new();
        while self.take_word(operator) {
            rest.push(operand(self)?);
        }
        if rest.is_empty() {
            return Ok(first);
        }
        // `None` if any operand is: an error is reported, and the tree is not used.
        let operands: Option<Vec<Expr>> = std::iter::once(first).chain(rest).collect();
        Ok(operands.map(join))
    }

    /// Parses a negation, a parenthesis or a single condition.
    fn factor(&mut self) -> Parsed {
        if self.take_word("not") {
            let inner = self.nested(Self::factor)?;
            Ok(inner.map(|inner| Expr::Not(Box::new(inner))))
        } else if self.take_sign('(') {
            let inner = self.nested(Self::disjunction)?;
            self.expect_sign(')')?;
            Ok(inner)
        } else {
            self.term()
        }
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Parsed) -> Parsed {
        if self.depth == MAX_DEPTH {
            let detail = format!("the filter is nested deeper than {MAX_DEPTH}");
            return Err(self.too_complex(&detail, MAX_DEPTH));
        }
        self.depth += 1;
        let parsed = inner(self);
        self.depth -= 1;
        parsed
    }

    /// Parses a comparison, a function, an `any`, or a boolean field alone.
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
        let function = TextMatch::ALL.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        if let Some((_, function)) = function {
            return self.function(*function);
        }
        if self.variable.is_none()
            && let Some(field) = self.fields.iter().find(|field| field.name == *word)
            && let Some(argument) = field.argument
        {
            return self.function_of(field, argument);
        }
        match word.rsplit_once('.') {
            Some((list, any)) if any.eq_ignore_ascii_case("any") => self.any(list, position),
            _ => {
                let detail =
                    "the function is unknown; use contains, startswith, endswith or list/any";
                self.report(ErrorKind::Syntax, position, detail, None);
                Err(Stop)
            }
        }
    }

    /// Parses the operator after a field, and its value or values.
    fn comparison(&mut self, field: Option<&'static Field>, position: usize) -> Parsed {
        let operator_position = self.position();
        if self.take_word("in") {
            return self.values(field, position);
        }
        let found = Comparison::ALL.into_iter().find(|(name, _)| self.take_word(name));
        let Some((name, operator)) = found else {
            let ends = self.tokens.first().is_none_or(|next| match &next.token {
                Token::Word(word) => {
                    word.eq_ignore_ascii_case("and") || word.eq_ignore_ascii_case("or")
                }
                token => *token == Token::Sign(')'),
            });
            return match field {
                Some(field) if ends && field.kind == FieldKind::Boolean => {
                    Ok(Some(Expr::Compare(field, Comparison::Eq, Literal::Boolean(true))))
                }
                None if ends => Ok(None),
                _ => Err(self.syntax("eq, ne, gt, ge, lt, le or in is expected")),
            };
        };
        let field =
            field.filter(|field| self.supports(field, name, operator, operator_position, position));
        let at = self.position();
        if self.take_word("null") {
            return Ok(field.and_then(|field| self.null(field, name, operator, at)));
        }
        let Some(written) = self.written() else {
            return Err(self.syntax("a value is expected; texts need single quotes"));
        };
        Ok(field.and_then(|field| {
            Some(Expr::Compare(field, operator, self.literal(field, written, at)?))
        }))
    }

    /// Checks that the field supports the operator; a list supports none.
    fn supports(
        &mut self,
        field: &Field,
        name: &str,
        operator: Comparison,
        operator_position: usize,
        position: usize,
    ) -> bool {
        if !self.is_scalar(field, position) {
            return false;
        }
        let supports =
            matches!(operator, Comparison::Eq | Comparison::Ne) || field.kind.is_ordered();
        if !supports {
            let detail = format!("{} does not support {name}; use eq, ne or in", field.name);
            self.report(ErrorKind::NotFilterable, operator_position, detail, None);
        }
        supports
    }

    /// Checks that the field has one value.
    fn is_scalar(&mut self, field: &Field, position: usize) -> bool {
        if !field.is_scalar() {
            let name = field.name.replace('.', "/");
            let detail = format!("{name} is a list; use {name}/any(x: x eq 'CODE')");
            self.report(ErrorKind::NotFilterable, position, detail, None);
        }
        field.is_scalar()
    }

    fn null(
        &mut self,
        field: &'static Field,
        name: &str,
        operator: Comparison,
        at: usize,
    ) -> Option<Expr> {
        match operator {
            Comparison::Eq => Some(Expr::IsNull(field)),
            Comparison::Ne => Some(Expr::IsNotNull(field)),
            _ => {
                let detail = format!("null has no order; use eq or ne instead of {name}");
                self.report(ErrorKind::InvalidValue, at, detail, None);
                None
            }
        }
    }

    /// Parses the values after `in`.
    fn values(&mut self, field: Option<&'static Field>, position: usize) -> Parsed {
        let field = field.filter(|field| self.is_scalar(field, position));
        self.expect_sign('(')?;
        let mut values = Some(Vec::new());
        for count in 0.. {
            if count == MAX_VALUES {
                let detail = format!("in has more than {MAX_VALUES} values");
                return Err(self.too_complex(&detail, MAX_VALUES));
            }
            let at = self.position();
            let Some(written) = self.written() else {
                return Err(self.syntax("a value is expected; compare with null by eq or ne"));
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

    /// Parses the argument of a function, and its comparison.
    fn function_of(&mut self, field: &'static Field, argument: Argument) -> Parsed {
        let at = self.position();
        let Some(written) = self.written() else {
            return Err(self.syntax("a whole number is expected"));
        };
        let number = match self.literal_of(field, FieldKind::Integer, written, at) {
            Some(Literal::Integer(number)) => Some(number),
            _ => None,
        };
        let Argument { name, minimum, maximum } = argument;
        let number = number.filter(|number| {
            let is_allowed = (minimum..=maximum).contains(number);
            if !is_allowed {
                let detail = format!("{name} has to be from {minimum} to {maximum}");
                self.report(ErrorKind::InvalidValue, at, detail, None);
            }
            is_allowed
        });
        self.expect_sign(')')?;
        let found = Comparison::ALL.into_iter().find(|(name, _)| self.take_word(name));
        let Some((_, operator)) = found else {
            return Err(self.syntax("eq, ne, gt, ge, lt or le is expected"));
        };
        let at = self.position();
        let Some(written) = self.written() else {
            return Err(self.syntax("a value is expected"));
        };
        let value = self.literal(field, written, at);
        let compared = number.zip(value);
        Ok(compared.map(|(number, value)| Expr::CompareOf(field, number, operator, value)))
    }

    /// Parses the arguments of `contains`, `startswith` and `endswith`.
    fn function(&mut self, function: TextMatch) -> Parsed {
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
        let Some(field) = field.filter(|field| self.is_scalar(field, position)) else {
            return Ok(None);
        };
        if !field.kind.is_text() {
            let detail = format!("{} is not a text", field.name);
            self.report(ErrorKind::NotFilterable, position, detail, None);
            return Ok(None);
        }
        Ok(match self.literal(field, written, at) {
            Some(Literal::Text(text)) => Some(Expr::Match(field, function, text)),
            _ => None,
        })
    }

    /// Parses a condition on the elements of a list, after its opening parenthesis.
    fn any(&mut self, list: &str, position: usize) -> Parsed {
        let field = self.field(list, position);
        let element = match field.map(|field| field.kind.element()) {
            Some(Some(FieldKind::Key)) => &KEY_ELEMENT,
            Some(None) => {
                let detail = format!("{list} is not a list; compare it without any");
                self.report(ErrorKind::NotFilterable, position, detail, None);
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
        let inner = self.nested(Self::disjunction);
        self.variable = None;
        let inner = inner?;
        self.expect_sign(')')?;
        Ok(field.zip(inner).map(|(field, inner)| Expr::Any(field, Some(Box::new(inner)))))
    }

    /// Finds a field by its name, or reports that it does not exist.
    fn field(&mut self, name: &str, position: usize) -> Option<&'static Field> {
        if let Some((variable, element)) = self.variable {
            if name == variable {
                return Some(element);
            }
            let variable = shown(variable);
            let detail = format!("inside any only its element {variable} can be compared");
            let hint = Hint::Nearest(variable);
            self.report(ErrorKind::NotFilterable, position, detail, Some(hint));
            return None;
        }
        let found = self.fields.iter().find(|field| field.name == name);
        if let Some(Field { name, argument: Some(argument), .. }) = found {
            let detail = format!("{name} is a function: {name}({}) gt 0", argument.name);
            self.report(ErrorKind::NotFilterable, position, detail, None);
            return None;
        }
        if found.is_none() {
            let names: Vec<&str> = self.fields.iter().map(|field| field.name).collect();
            let (nearest, name) = (nearest(name, &names), shown(name));
            let detail = match nearest {
                Some(near) => format!("{name} is no filterable field; the nearest is {near}"),
                None => format!("{name} is no filterable field"),
            };
            let hint = nearest.map(|near| Hint::Nearest(near.to_owned()));
            self.report(ErrorKind::NotFilterable, position, detail, hint);
        }
        found
    }

    /// Types a literal for its field, or reports the mismatch.
    fn literal(&mut self, field: &Field, written: Written<'_>, at: usize) -> Option<Literal> {
        self.literal_of(field, field.kind, written, at)
    }

    /// Types a literal as a value of a kind, or reports the mismatch.
    fn literal_of(
        &mut self,
        field: &Field,
        kind: FieldKind,
        written: Written<'_>,
        at: usize,
    ) -> Option<Literal> {
        match Literal::read(kind, written) {
            Ok(literal) => Some(literal),
            Err(error) => {
                let detail = format!("{}: {}", field.name, error.detail);
                let hint = error.nearest.map(|near| Hint::Nearest(near.to_owned()));
                self.report(error.kind, at, detail, hint);
                None
            }
        }
    }

    /// Takes the next token if it is a literal.
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
        let is_next = self.tokens.first().is_some_and(
            |next| matches!(&next.token, Token::Word(word) if word.eq_ignore_ascii_case(wanted)),
        );
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

    /// Returns the position of the next token, or the length of the text at its end.
    fn position(&self) -> usize {
        self.tokens.first().map_or(self.length, |next| next.position)
    }

    fn syntax(&mut self, detail: &str) -> Stop {
        self.report(ErrorKind::Syntax, self.position(), detail, None);
        Stop
    }

    fn too_complex(&mut self, detail: &str, maximum: usize) -> Stop {
        let hint = Hint::Maximum(maximum);
        self.report(ErrorKind::TooComplex, self.position(), detail, Some(hint));
        Stop
    }

    fn report(
        &mut self,
        kind: ErrorKind,
        position: usize,
        detail: impl Into<String>,
        hint: Option<Hint>,
    ) {
        let near = self.text.chars().skip(position).take(MAX_NEAR_SHOWN).collect();
        let (position, detail) = (Some(position), detail.into());
        self.errors.push(FilterError { kind, position, near, detail, hint });
    }
}

/// Returns true for words that cannot name a field.
fn is_reserved(word: &str) -> bool {
    let words = ["and", "or", "not", "in", "null", "true", "false"];
    words
        .into_iter()
        .chain(Comparison::ALL.map(|(name, _)| name))
        .any(|reserved| reserved.eq_ignore_ascii_case(word))
}

fn shown(name: &str) -> String {
    name.chars().take(MAX_NAME_SHOWN).collect()
}

/// Returns the known name that is most similar to an unknown one.
pub fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance =
        |name: &&str| strsim::damerau_levenshtein(&unknown.to_lowercase(), &name.to_lowercase());
    known.iter().copied().min_by_key(distance)
}
