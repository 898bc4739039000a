//! The filter language: a subset of OData, over an allow-list of fields.
//!
//! `eq ne gt ge lt le in`, `and or not ( )`, `contains startswith endswith`, `field/any(x: x eq 'KEY')`. Comparisons with null follow
//! OData: `eq null` and `ne null` ask for null, `ne` a value is true for null. Any other comparison of null is neither true
//! nor false, as in SQL.

use chrono::NaiveDate;

use super::super::json::nearest;
use super::super::problem::{FieldCode, FieldError};
use super::sql::{Bound, Sql};
use super::{Field, FieldKind, SqlCondition};
use crate::values::decimal::{MAX_DECIMALS, parse_decimal};
use crate::values::{Date, Key};

const LONGEST: usize = 4_096;
const MOST_TERMS: usize = 100;
const DEEPEST: usize = 20;
const MOST_VALUES: usize = 100;

/// A filter that has been read and checked.
#[derive(Debug, Clone)]
pub struct Filter(Sql);

impl Filter {
    /// Reads a filter over these fields; errors carry the pointer and the place inside the text.
    ///
    /// # Errors
    /// Everything that is wrong, up to the first place where the text has no reading.
    pub fn parse(
        text: &str,
        fields: &'static [Field],
        pointer: &str,
        today: NaiveDate,
    ) -> Result<Self, Vec<FieldError>> {
        if text.chars().count() > LONGEST {
            let detail = format!("a filter has at most {LONGEST} characters");
            return Err(vec![FieldError::new(pointer, FieldCode::TooComplex, detail)]);
        }
        let mut parser = Parser { text, at: 0, fields, pointer, today, terms: 0, errors: Vec::new() };
        let read = parser.either(0).and_then(|sql| parser.end().map(|()| sql));
        match read {
            Ok(sql) if parser.errors.is_empty() => Ok(Self(sql)),
            Ok(_) => Err(parser.errors),
            Err(error) => {
                parser.errors.push(*error);
                Err(parser.errors)
            }
        }
    }

    /// The filter as a condition.
    #[must_use]
    pub fn condition(&self) -> SqlCondition {
        SqlCondition(self.0.clone())
    }

    pub(super) fn into_sql(self) -> Sql {
        self.0
    }
}

/// The field with this name, which may be written with slashes.
pub(super) fn field_named(name: &str, fields: &'static [Field]) -> Result<&'static Field, FieldError> {
    let dotted = name.replace('/', ".");
    fields.iter().find(|field| field.name == dotted).ok_or_else(|| {
        let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
        let error =
            FieldError::new("", FieldCode::NotFilterable, format!("there is no field {name} to filter or order by"));
        match nearest(&dotted, &names) {
            Some(near) => error.param("nearest", near),
            None => error,
        }
    })
}

/// A syntax error ends the reading; boxed, since it is rare and large.
type Read<T> = Result<T, Box<FieldError>>;

struct Parser<'a> {
    text: &'a str,
    /// The byte where we are, always between characters.
    at: usize,
    fields: &'static [Field],
    pointer: &'a str,
    today: NaiveDate,
    terms: usize,
    errors: Vec<FieldError>,
}

#[derive(Clone, Copy, PartialEq)]
enum Operator {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_spaces(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn error(&self, at: usize, code: FieldCode, detail: impl Into<String>) -> FieldError {
        let before = self.text.get(..at).unwrap_or(self.text);
        let near: String = self.text.get(at..).unwrap_or_default().chars().take(20).collect();
        FieldError::new(self.pointer, code, detail).param("position", before.chars().count()).param("near", near)
    }

    fn syntax<T>(&self, detail: &str) -> Read<T> {
        Err(Box::new(self.error(self.at, FieldCode::Syntax, detail)))
    }

    fn end(&mut self) -> Read<()> {
        self.skip_spaces();
        if self.rest().is_empty() { Ok(()) } else { self.syntax("the filter should end here, or go on with and/or") }
    }

    /// Takes a word without regard to case, if it stands here alone.
    fn word(&mut self, wanted: &str) -> bool {
        self.skip_spaces();
        let rest = self.rest();
        let found = rest.get(..wanted.len()).is_some_and(|word| word.eq_ignore_ascii_case(wanted))
            && !rest.get(wanted.len()..).unwrap_or_default().starts_with(|c: char| c.is_alphanumeric() || c == '_');
        if found {
            self.at += wanted.len();
        }
        found
    }

    fn symbol(&mut self, wanted: char) -> bool {
        self.skip_spaces();
        let found = self.rest().starts_with(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn expect(&mut self, wanted: char) -> Read<()> {
        if self.symbol(wanted) { Ok(()) } else { self.syntax(&format!("'{wanted}' should stand here")) }
    }

    /// A name: letters, digits, `_`, and `.` or `/` inside.
    fn name(&mut self) -> Read<(usize, String)> {
        self.skip_spaces();
        let start = self.at;
        let name: String = self
            .rest()
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '$'))
            .collect();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return self.syntax("a field should stand here");
        }
        self.at += name.len();
        Ok((start, name))
    }

    fn either(&mut self, depth: usize) -> Read<Sql> {
        let mut sql = self.both(depth)?;
        while self.word("or") {
            sql.push(" OR ");
            let next = self.both(depth)?;
            sql.append(next);
        }
        Ok(sql)
    }

    fn both(&mut self, depth: usize) -> Read<Sql> {
        let mut sql = self.single(depth)?;
        while self.word("and") {
            sql.push(" AND ");
            let next = self.single(depth)?;
            sql.append(next);
        }
        Ok(sql)
    }

    fn single(&mut self, depth: usize) -> Read<Sql> {
        if depth >= DEEPEST {
            let error =
                self.error(self.at, FieldCode::TooComplex, format!("a filter is nested at most {DEEPEST} deep"));
            return Err(Box::new(error));
        }
        if self.word("not") {
            let inner = self.single(depth + 1)?;
            return Ok(wrapped("NOT (", inner, ")"));
        }
        if self.symbol('(') {
            let inner = self.either(depth + 1)?;
            self.expect(')')?;
            return Ok(wrapped("(", inner, ")"));
        }
        self.terms += 1;
        if self.terms > MOST_TERMS {
            let error = self.error(self.at, FieldCode::TooComplex, format!("a filter has at most {MOST_TERMS} terms"));
            return Err(Box::new(error));
        }
        let (start, name) = self.name()?;
        if self.rest().trim_start().starts_with('(') {
            return match name.strip_suffix("/any") {
                Some(list) => self.any(start, list),
                None => self.function(start, &name),
            };
        }
        let field = self.field(start, &name, false);
        if self.word("in") {
            let values = self.values(field)?;
            return Ok(self.is_in(field, values));
        }
        let operator_at = self.at;
        let Some(operator) = self.operator() else {
            self.skip_spaces();
            return self.syntax("an operator should stand here: eq ne gt ge lt le in");
        };
        let ordered =
            field.is_none_or(|field| !matches!(field.kind, FieldKind::Boolean | FieldKind::Enum(_) | FieldKind::Uuid));
        if !ordered && !matches!(operator, Operator::Eq | Operator::Ne) {
            self.errors.push(self.error(
                operator_at,
                FieldCode::InvalidValue,
                format!("{name} can only be compared by eq and ne"),
            ));
        }
        let value = self.literal(field.map(|field| field.kind))?;
        Ok(self.compare(field, operator, value))
    }

    /// The field of a name, noting an error if there is none or it is (not) a list.
    fn field(&mut self, at: usize, name: &str, list: bool) -> Option<&'static Field> {
        match field_named(name, self.fields) {
            Ok(field) if (field.kind == FieldKind::KeyList) == list => Some(field),
            Ok(_) => {
                let detail = if list { "is no list" } else { "is a list, which is asked by any(x: x eq 'KEY')" };
                self.errors.push(self.error(at, FieldCode::NotFilterable, format!("{name} {detail}")));
                None
            }
            Err(error) => {
                let mut placed = self.error(at, error.code, error.detail);
                placed.params.extend(error.params);
                self.errors.push(placed);
                None
            }
        }
    }

    fn operator(&mut self) -> Option<Operator> {
        const ALL: [(&str, Operator); 6] = [
            ("eq", Operator::Eq),
            ("ne", Operator::Ne),
            ("gt", Operator::Gt),
            ("ge", Operator::Ge),
            ("lt", Operator::Lt),
            ("le", Operator::Le),
        ];
        ALL.into_iter().find(|(word, _)| self.word(word)).map(|(_, operator)| operator)
    }

    fn compare(&self, field: Option<&'static Field>, operator: Operator, value: Option<Bound>) -> Sql {
        let mut sql = Sql::default();
        let Some(field) = field else { return Sql::always() };
        sql.field(field, self.today);
        let Some(value) = value else {
            sql.push(if operator == Operator::Ne { " IS NOT NULL" } else { " IS NULL" });
            return sql;
        };
        sql.push(match operator {
            Operator::Eq => " = ",
            Operator::Ne => " IS DISTINCT FROM ",
            Operator::Gt => " > ",
            Operator::Ge => " >= ",
            Operator::Lt => " < ",
            Operator::Le => " <= ",
        });
        sql.bind(value);
        sql
    }

    /// `('A', 'B')`.
    fn values(&mut self, field: Option<&'static Field>) -> Read<Vec<Option<Bound>>> {
        self.expect('(')?;
        let mut values = Vec::new();
        loop {
            values.push(self.literal(field.map(|field| field.kind))?);
            if values.len() > MOST_VALUES {
                let detail = format!("in takes at most {MOST_VALUES} values");
                return Err(Box::new(self.error(self.at, FieldCode::TooComplex, detail)));
            }
            if !self.symbol(',') {
                break;
            }
        }
        self.expect(')')?;
        Ok(values)
    }

    fn is_in(&self, field: Option<&'static Field>, values: Vec<Option<Bound>>) -> Sql {
        let mut sql = Sql::default();
        for value in values {
            sql.push(if sql.is_empty() { "(" } else { " OR " });
            sql.append(self.compare(field, Operator::Eq, value));
        }
        sql.push(")");
        sql
    }

    /// `contains(field, 'text')` and its kin, without regard to case.
    fn function(&mut self, start: usize, name: &str) -> Read<Sql> {
        let (before, after) = match name.to_ascii_lowercase().as_str() {
            "contains" => ("%", "%"),
            "startswith" => ("", "%"),
            "endswith" => ("%", ""),
            _ => {
                self.at = start;
                return self
                    .syntax("there is no such function; contains, startswith, endswith and field/any(…) there are");
            }
        };
        self.expect('(')?;
        let (at, name) = self.name()?;
        let field = self.field(at, &name, false);
        if field.is_some_and(|field| !matches!(field.kind, FieldKind::Text | FieldKind::Key | FieldKind::Enum(_))) {
            self.errors.push(self.error(at, FieldCode::InvalidValue, format!("{name} is no text")));
        }
        self.expect(',')?;
        let value = self.literal(Some(FieldKind::Text))?;
        self.expect(')')?;
        let (Some(field), Some(Bound::Text(text))) = (field, value) else { return Ok(Sql::always()) };
        let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        let mut sql = Sql::default();
        sql.field(field, self.today);
        sql.push(" ILIKE ");
        sql.bind(Bound::Text(format!("{before}{escaped}{after}")));
        Ok(sql)
    }

    /// `field/any(x: x eq 'A' or x in ('B', 'C'))`.
    fn any(&mut self, start: usize, name: &str) -> Read<Sql> {
        let field = self.field(start, name, true);
        self.expect('(')?;
        let (_, variable) = self.name()?;
        self.expect(':')?;
        let mut keys = Vec::new();
        loop {
            if !self.word(&variable) {
                return self.syntax(&format!("{variable} should stand here"));
            }
            if self.word("in") {
                keys.extend(self.values(None)?);
            } else if self.word("eq") {
                keys.push(self.literal(Some(FieldKind::Key))?);
            } else {
                return self.syntax("eq or in should stand here");
            }
            if !self.word("or") {
                break;
            }
        }
        self.expect(')')?;
        let Some(field) = field else { return Ok(Sql::always()) };
        let texts = keys.into_iter().flatten().filter_map(|key| match key {
            Bound::Text(text) => Some(text.to_ascii_uppercase()),
            _ => None,
        });
        let mut sql = Sql::default();
        sql.field(field, self.today);
        sql.push(" && ");
        sql.bind(Bound::Texts(texts.collect()));
        Ok(sql)
    }

    /// A literal for a field of the kind; a wrong one is noted and read on. `None` is null.
    fn literal(&mut self, kind: Option<FieldKind>) -> Read<Option<Bound>> {
        self.skip_spaces();
        let start = self.at;
        let quoted = self.rest().starts_with('\'');
        let text = if quoted { self.quoted()? } else { self.bare()? };
        if !quoted && text.eq_ignore_ascii_case("null") {
            return Ok(None);
        }
        let bound = match kind {
            None => Some(Bound::Text(text.clone())),
            Some(kind) => typed(kind, &text, quoted),
        };
        if bound.is_none() {
            let wanted = kind.map_or("", wanted);
            self.errors.push(self.error(start, FieldCode::InvalidValue, format!("{text:?} is not {wanted}")));
        }
        Ok(bound.or(Some(Bound::Boolean(false))))
    }

    fn quoted(&mut self) -> Read<String> {
        let mut text = String::new();
        let mut rest = self.rest().char_indices().skip(1).peekable();
        while let Some((at, c)) = rest.next() {
            if c != '\'' {
                text.push(c);
            } else if rest.peek().is_some_and(|(_, next)| *next == '\'') {
                rest.next();
                text.push('\'');
            } else {
                self.at += at + 1;
                return Ok(text);
            }
        }
        self.syntax("the text that begins here has no end")
    }

    fn bare(&mut self) -> Read<String> {
        let text: String = self
            .rest()
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.' | ':' | '_'))
            .collect();
        if text.is_empty() {
            return self.syntax("a value should stand here");
        }
        self.at += text.len();
        Ok(text)
    }
}

fn wrapped(open: &str, inner: Sql, close: &str) -> Sql {
    let mut sql = Sql::default();
    sql.push(open);
    sql.append(inner);
    sql.push(close);
    sql
}

/// The literal as a value of the kind; texts have to be quoted, the rest may be.
fn typed(kind: FieldKind, text: &str, quoted: bool) -> Option<Bound> {
    match kind {
        FieldKind::Text => quoted.then(|| Bound::Text(text.to_owned())),
        FieldKind::Key | FieldKind::KeyList => {
            Key::parse(text).ok().filter(|_| quoted).map(|key| Bound::Text(key.to_string()))
        }
        FieldKind::Enum(values) => {
            values.iter().find(|value| quoted && **value == text).map(|value| Bound::Text((*value).to_owned()))
        }
        FieldKind::Decimal => parse_decimal(text, MAX_DECIMALS.saturating_mul(2)).ok().map(Bound::Decimal),
        FieldKind::Integer => text.parse().ok().map(Bound::Integer),
        FieldKind::Date => Date::parse(text).ok().map(|date| Bound::Date(date.get())),
        FieldKind::Instant => text.parse().ok().map(Bound::Instant),
        FieldKind::Boolean => match text {
            "true" => Some(Bound::Boolean(true)),
            "false" => Some(Bound::Boolean(false)),
            _ => None,
        },
        FieldKind::Uuid => text.parse().ok().map(Bound::Uuid),
    }
}

const fn wanted(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Text => "a text in single quotes",
        FieldKind::Key | FieldKind::KeyList => "a key in single quotes",
        FieldKind::Decimal => "a decimal",
        FieldKind::Integer => "a whole number",
        FieldKind::Date => "a date such as 2031-05-15",
        FieldKind::Instant => "an instant such as 2031-05-15T12:00:00Z",
        FieldKind::Boolean => "true or false",
        FieldKind::Uuid => "an id",
        FieldKind::Enum(_) => "one of the field's values, in single quotes",
    }
}
