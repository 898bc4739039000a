//! Strict JSON bodies: reading reports all errors of a body together.
//!
//! Reading has two steps. [`parse`] finds the errors that no type can: repeated keys and control
//! characters. [`decode`] converts to a typed value through `deserr`, which continues after an
//! error and so collects all of them.

use std::fmt;
use std::marker::PhantomData;
use std::ops::ControlFlow;

use deserr::{
    DeserializeError, Deserr, ErrorKind, IntoValue, MergeWithError, ValueKind, ValuePointerRef,
};
use serde::Deserialize;
use serde::Serialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use values::wire::{Invalid, InvalidKind};

use super::problem::{FieldCode, FieldError, MAX_ERRORS, Problem, ProblemCode};

/// Largest float up to which every whole number is represented exactly: 2^53.
const MAX_EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;

/// Largest number of elements in an array. No field takes more.
pub const MAX_ELEMENTS: usize = 1_000;
/// Largest number of fields in an object: more than twice as many as any resource has.
const MAX_FIELDS: usize = 100;
/// Maximum length of the name of a field in bytes.
const MAX_FIELD_NAME_BYTES: usize = 100;
/// Number of unknown fields in a body for which the nearest known name is searched. The search
/// compares the field with all known names.
const MAX_NEAREST_NAMES: usize = 20;

/// Parses a JSON text. Stops at the first array, object or name over its limit, so that refusing a
/// large body costs no more than its valid beginning.
///
/// # Errors
/// `MALFORMED_REQUEST` when the text is no JSON or nested deeper than 128. `INVALID_REQUEST` with
/// the place of each repeated key and of each text with a control character, or with the first
/// place that is over a limit.
pub fn parse(text: &[u8]) -> Result<Value, Problem> {
    let mut found = Findings::default();
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let read = Strict { place: Place::Root, found: &mut found }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    match read {
        Ok(value) if found.errors.is_empty() => Ok(value),
        Ok(_) => Err(Problem::from_errors(found.errors)),
        Err(_) if found.is_stopped => Err(Problem::from_errors(found.errors)),
        Err(error) => Err(Problem::new(
            ProblemCode::MalformedRequest,
            format!("the body is not JSON: {error}"),
        )),
    }
}

/// Decodes a JSON value to a typed value.
///
/// # Errors
/// All errors, each with its pointer.
pub fn decode<T: Deserr<BodyErrors>>(value: Value) -> Result<T, Vec<FieldError>> {
    deserr::deserialize::<T, Value, BodyErrors>(value).map_err(|BodyErrors(errors)| errors)
}

/// Decodes a valid object in one pass; returns `None` if anything is wrong. The type has to refuse
/// everything that [`decode`] refuses: unknown fields by `deny_unknown_fields`, and lists in place
/// of objects, which serde accepts for structs, by [`objects`].
#[must_use]
pub fn object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Option<T> {
    // UTF-8 that is checked as a whole need not be checked text by text.
    let text = std::str::from_utf8(text).ok()?;
    serde_json::from_str(text).ok().map(|Object(value)| value)
}

/// Deserializes a list of objects, for fields of types that [`object`] decodes.
///
/// # Errors
/// When an element is no object or has the wrong type, or at the first element over
/// [`MAX_ELEMENTS`].
pub fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct Objects<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Objects<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX_ELEMENTS} objects")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut objects = Vec::new();
            while let Some(Object(value)) = elements.next_element()? {
                if objects.len() == MAX_ELEMENTS {
                    return Err(A::Error::invalid_length(MAX_ELEMENTS.saturating_add(1), &self));
                }
                objects.push(value);
            }
            Ok(objects)
        }
    }

    deserializer.deserialize_seq(Objects(PhantomData))
}

/// A value that is deserialized from an object, never from a list of its fields.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyMaps<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyMaps<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(entries)).map(Object)
            }
        }

        deserializer.deserialize_map(OnlyMaps(PhantomData))
    }
}

/// The errors of a text that is being parsed.
#[derive(Default)]
struct Findings {
    errors: Vec<FieldError>,
    /// True if the last error ended the parsing.
    is_stopped: bool,
}

/// The place of a value in a text. Its pointer is only written for an error.
#[derive(Clone, Copy)]
enum Place<'a> {
    Root,
    Field(&'a Place<'a>, &'a str),
    Element(&'a Place<'a>, usize),
}

impl Place<'_> {
    fn pointer(self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Field(parent, name) => format!("{}/{}", parent.pointer(), escape(name)),
            Self::Element(parent, index) => format!("{}/{index}", parent.pointer()),
        }
    }
}

/// A value that is being parsed strictly.
struct Strict<'a> {
    place: Place<'a>,
    found: &'a mut Findings,
}

impl Strict<'_> {
    /// Records an error. Ends the parsing when there are [`MAX_ERRORS`].
    fn report<E: Error>(
        &mut self,
        place: Place<'_>,
        code: FieldCode,
        detail: String,
    ) -> Result<(), E> {
        self.found.errors.push(FieldError::new(place.pointer(), code, detail));
        if self.found.errors.len() < MAX_ERRORS {
            return Ok(());
        }
        self.found.is_stopped = true;
        Err(E::custom("too many errors"))
    }

    /// Records that the value is over a limit, and ends the parsing.
    fn stop<E: Error>(&mut self, detail: String) -> E {
        let error = FieldError::new(self.place.pointer(), FieldCode::TooLong, detail);
        self.found.errors.push(error);
        self.found.is_stopped = true;
        E::custom("a limit is exceeded")
    }

    fn check_text<E: Error>(&mut self, place: Place<'_>, text: &str, what: &str) -> Result<(), E> {
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            let detail = format!("the {what} holds a control character");
            return self.report(place, FieldCode::InvalidCharacter, detail);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    // JSON has one kind of number: 9.0 is the integer 9. Other floats are kept only for the error
    // message, since no field accepts a float.
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        let whole = if value.abs() <= MAX_EXACT_INTEGER {
            format!("{value}").parse::<i64>().ok()
        } else {
            None
        };
        Ok(whole
            .map(Value::from)
            .or_else(|| Number::from_f64(value).map(Value::Number))
            .unwrap_or_default())
    }

    fn visit_str<E: Error>(mut self, value: &str) -> Result<Value, E> {
        self.check_text(self.place, value, "text")?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        loop {
            let place = Place::Element(&self.place, array.len());
            let Some(value) =
                elements.next_element_seed(Strict { place, found: &mut *self.found })?
            else {
                return Ok(Value::Array(array));
            };
            if array.len() == MAX_ELEMENTS {
                return Err(self.stop(format!("has at most {MAX_ELEMENTS} elements")));
            }
            array.push(value);
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        let parent = self.place;
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if name.len() > MAX_FIELD_NAME_BYTES {
                let detail =
                    format!("the name of a field has at most {MAX_FIELD_NAME_BYTES} bytes");
                return Err(self.stop(detail));
            }
            let place = Place::Field(&parent, &name);
            self.check_text::<A::Error>(place, &name, "name of a field")?;
            let value = entries.next_value_seed(Strict { place, found: &mut *self.found })?;
            if object.contains_key(&name) {
                let detail = format!("the field {name} occurs more than once");
                self.report::<A::Error>(place, FieldCode::DuplicateField, detail)?;
            } else if object.len() == MAX_FIELDS {
                return Err(self.stop(format!("an object has at most {MAX_FIELDS} fields")));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

/// Escapes a field name for a JSON pointer (RFC 6901).
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The errors of a body, collected by `deserr`.
#[derive(Debug, Default)]
pub struct BodyErrors(pub Vec<FieldError>);

impl BodyErrors {
    /// Adds an error, and continues unless there are too many.
    fn push(collected: Option<Self>, error: FieldError) -> ControlFlow<Self, Self> {
        let mut errors = collected.unwrap_or_default();
        errors.0.push(error);
        errors.continue_or_break()
    }

    fn continue_or_break(self) -> ControlFlow<Self, Self> {
        if self.0.len() < MAX_ERRORS {
            ControlFlow::Continue(self)
        } else {
            ControlFlow::Break(self)
        }
    }
}

impl MergeWithError<Self> for BodyErrors {
    fn merge(collected: Option<Self>, other: Self, _: ValuePointerRef) -> ControlFlow<Self, Self> {
        let mut errors = collected.unwrap_or_default();
        errors.0.extend(other.0);
        errors.continue_or_break()
    }
}

impl MergeWithError<Invalid> for BodyErrors {
    fn merge(
        collected: Option<Self>,
        other: Invalid,
        location: ValuePointerRef,
    ) -> ControlFlow<Self, Self> {
        Self::push(
            collected,
            FieldError::new(pointer(location), field_code(other.kind), other.detail),
        )
    }
}

/// Returns the public code of a refusal by a value type.
#[must_use]
pub const fn field_code(kind: InvalidKind) -> FieldCode {
    match kind {
        InvalidKind::Key => FieldCode::InvalidKey,
        InvalidKind::Decimal => FieldCode::InvalidDecimal,
        InvalidKind::Range => FieldCode::OutOfRange,
        InvalidKind::Date => FieldCode::InvalidDate,
        InvalidKind::Time => FieldCode::InvalidTime,
        InvalidKind::TooLong => FieldCode::TooLong,
        InvalidKind::TooShort => FieldCode::TooShort,
        InvalidKind::Character => FieldCode::InvalidCharacter,
        InvalidKind::Value => FieldCode::InvalidValue,
    }
}

impl DeserializeError for BodyErrors {
    fn error<V: IntoValue>(
        collected: Option<Self>,
        error: ErrorKind<V>,
        location: ValuePointerRef,
    ) -> ControlFlow<Self, Self> {
        let place = pointer(location);
        let reported = collected.as_ref().map_or(0, |errors| errors.0.len());
        let error = match error {
            ErrorKind::IncorrectValueKind { actual, accepted } => {
                let wanted =
                    accepted.iter().map(|kind| kind_name(*kind)).collect::<Vec<_>>().join(" or ");
                let detail = format!("has to be {wanted}, not {}", kind_name(actual.kind()));
                FieldError::new(place, FieldCode::InvalidType, detail)
            }
            ErrorKind::MissingField { field } => FieldError::new(
                format!("{place}/{}", escape(field)),
                FieldCode::Required,
                format!("{field} must be given"),
            ),
            ErrorKind::UnknownKey { key, accepted } => {
                let unknown = FieldError::new(
                    format!("{place}/{}", escape(key)),
                    FieldCode::UnknownField,
                    format!("there is no field {key}"),
                );
                let nearest =
                    if reported < MAX_NEAREST_NAMES { nearest(key, accepted) } else { None };
                match nearest {
                    Some(name) => unknown.param("nearest", name),
                    None => unknown,
                }
            }
            ErrorKind::UnknownValue { value, accepted } => FieldError::new(
                place,
                FieldCode::InvalidValue,
                format!("{value:?} is not one of {}", accepted.join(", ")),
            ),
            ErrorKind::BadSequenceLen { expected, .. } => FieldError::new(
                place,
                FieldCode::InvalidType,
                format!("has to hold {expected} values"),
            ),
            ErrorKind::Unexpected { msg } => FieldError::new(place, FieldCode::OutOfRange, msg),
        };
        Self::push(collected, error)
    }
}

/// Returns the known name that is most similar to an unknown one, unless that is too long for a
/// name.
#[must_use]
pub fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    if unknown.len() > MAX_FIELD_NAME_BYTES {
        return None;
    }
    known.iter().copied().min_by_key(|name| {
        strsim::damerau_levenshtein(&unknown.to_lowercase(), &name.to_lowercase())
    })
}

const fn kind_name(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Null => "null",
        ValueKind::Boolean => "a boolean",
        ValueKind::Integer => "an integer",
        ValueKind::NegativeInteger => "a negative integer",
        ValueKind::Float => "a number with decimals",
        ValueKind::String => "a string",
        ValueKind::Sequence => "an array",
        ValueKind::Map => "an object",
    }
}

fn pointer(location: ValuePointerRef) -> String {
    match location {
        ValuePointerRef::Origin => String::new(),
        ValuePointerRef::Key { key, prev } => format!("{}/{}", pointer(*prev), escape(key)),
        ValuePointerRef::Index { index, prev } => format!("{}/{index}", pointer(*prev)),
    }
}

/// Applies a merge patch (RFC 7396): null removes, an object merges, any other value replaces.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(changes) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(fields) = target {
        for (name, change) in changes {
            if change.is_null() {
                fields.remove(&name);
            } else {
                merge(fields.entry(name).or_insert(Value::Null), change);
            }
        }
    }
}

/// Returns the write with a merge patch applied, decoded and checked like any other write.
///
/// # Errors
/// All errors of the result, and every unknown field of the patch. A field that is null leaves no
/// trace in the result, so unknown fields are found in the patch itself. A required field that the
/// patch does not name is no error of its form: the patch creates an object that needs the field.
pub fn patched<W: Serialize + Deserr<BodyErrors>>(write: &W, patch: Value) -> Result<W, Problem> {
    let mut whole = serde_json::to_value(write).map_err(Problem::internal)?;
    let mut errors = decode::<W>(patch.clone()).err().unwrap_or_default();
    errors.retain(|error| error.code == FieldCode::UnknownField);
    merge(&mut whole, patch.clone());
    match decode(whole) {
        Ok(write) if errors.is_empty() => Ok(write),
        result => {
            let others: Vec<FieldError> = result.err().unwrap_or_default();
            let others = others.into_iter().filter(|error| error.code != FieldCode::UnknownField);
            errors.extend(others.map(|error| {
                let is_named = patch.pointer(&error.pointer).is_some();
                let is_missing = error.code == FieldCode::Required && !is_named;
                FieldError {
                    code: if is_missing { FieldCode::Missing } else { error.code },
                    ..error
                }
            }));
            Err(Problem::from_errors(errors))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use values::{Amount, Date, Key};

    #[derive(Debug, Deserr, Serialize)]
    #[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
    #[serde(rename_all = "camelCase")]
    struct Probe {
        number: Key,
        unit_price: Amount,
        #[deserr(default)]
        starting_date: Option<Date>,
    }

    fn codes(errors: &[FieldError]) -> Vec<(&str, &str)> {
        errors.iter().map(|e| (e.pointer.as_str(), e.code.text())).collect()
    }

    #[test]
    fn all_errors_are_reported() {
        let body = json!({
            "number": "..", "unitPrice": 12.5, "startingDate": "2031-02-30", "unitPrize": "1"
        });
        let errors = decode::<Probe>(body).unwrap_err();
        let mut found = codes(&errors);
        found.sort_unstable();
        assert_eq!(
            found,
            [
                ("/number", "INVALID_KEY"),
                ("/startingDate", "INVALID_DATE"),
                ("/unitPrice", "INVALID_DECIMAL"),
                ("/unitPrize", "UNKNOWN_FIELD")
            ]
        );
        let unknown = errors.iter().find(|e| e.code == FieldCode::UnknownField).unwrap();
        assert_eq!(unknown.params["nearest"], "unitPrice");
        assert!(errors.iter().any(|e| e.detail.contains("not a JSON number")));
    }

    #[test]
    fn missing_field_has_its_own_pointer() {
        let errors = decode::<Probe>(json!({})).unwrap_err();
        assert_eq!(codes(&errors), [("/number", "REQUIRED"), ("/unitPrice", "REQUIRED")]);
        assert_eq!(decode::<Probe>(json!([])).unwrap_err()[0].code, FieldCode::InvalidType);
    }

    #[test]
    fn nested_repeated_keys_and_control_characters() {
        let problem = parse(br#"{"a":{"b":1,"b":2},"c":["x","\u0000"]}"#).unwrap_err();
        assert_eq!(problem.code, ProblemCode::InvalidRequest);
        assert_eq!(
            codes(&problem.errors),
            [("/a/b", "DUPLICATE_FIELD"), ("/c/1", "INVALID_CHARACTER")]
        );
    }

    #[test]
    fn parsing_stops_at_the_first_limit() {
        let fields = |count: usize| {
            let fields: Vec<String> = (0..count).map(|at| format!("\"{at}\":0")).collect();
            format!("{{{}", fields.join(","))
        };
        let elements = |count: usize| format!("[{}", vec!["0"; count].join(","));
        let name = |length: usize| format!("{{\"{}\":0", "a".repeat(length));
        // What follows the limit is no JSON, so a parser that reads on reports another error.
        for (at, over, pointer) in [
            (fields(100), fields(101), ""),
            (elements(1_000), elements(1_001), ""),
            (name(100), name(101), ""),
            (format!("[0,{}", fields(100)), format!("[0,{}", fields(101)), "/1"),
            (
                format!("{{\"rows\":{}", elements(1_000)),
                format!("{{\"rows\":{}", elements(1_001)),
                "/rows",
            ),
        ] {
            let problem = parse(format!("{at} no JSON").as_bytes()).unwrap_err();
            assert_eq!(problem.code, ProblemCode::MalformedRequest, "{pointer}");
            let problem = parse(format!("{over} no JSON").as_bytes()).unwrap_err();
            assert_eq!(codes(&problem.errors), [(pointer, "TOO_LONG")]);
        }
        let twice = format!("{{{}", "\"a\":0,".repeat(2_000));
        let problem = parse(twice.as_bytes()).unwrap_err();
        assert_eq!(problem.errors.len(), MAX_ERRORS);
    }

    #[test]
    fn nearest_names_are_searched_for_the_first_unknown_fields_only() {
        let fields: Map<String, Value> =
            (0..50).map(|at| (format!("x{at:02}"), Value::Null)).collect();
        let errors = decode::<Probe>(Value::Object(fields)).unwrap_err();
        let with_name = errors.iter().filter(|error| error.params.contains_key("nearest"));
        assert_eq!(with_name.count(), MAX_NEAREST_NAMES);
    }

    #[test]
    fn hostile_texts_are_malformed() {
        let deep = [b"[".repeat(10_000), b"]".repeat(10_000)].concat();
        for text in [&b"{"[..], b"", b"{} {}", b"\xff", b"{\"a\":\xff}", b"nul", b"1e999", &deep] {
            assert_eq!(parse(text).unwrap_err().code, ProblemCode::MalformedRequest);
        }
    }

    #[test]
    fn whole_numbers_with_decimals() {
        let read = |text: &str| parse(text.as_bytes()).unwrap();
        for (text, whole) in [
            ("9.0", 9_i64),
            ("-0.0", 0),
            ("-2520.00", -2520),
            ("1e3", 1000),
            ("9007199254740992.0", 9_007_199_254_740_992_i64),
        ] {
            assert_eq!(read(text), json!(whole), "{text}");
        }
        for text in ["9.5", "1e300", "-1e-3", "9007199254740993e3"] {
            assert!(read(text).is_f64(), "{text}");
        }
    }

    #[test]
    fn unknown_null_field_of_a_patch() {
        let whole: Probe =
            decode(json!({"number": "A", "unitPrice": "1", "startingDate": "2031-05-15"})).unwrap();
        let errors =
            patched(&whole, json!({"x": null, "y": 1, "unitPrice": 1})).unwrap_err().errors;
        assert_eq!(
            codes(&errors),
            [("/x", "UNKNOWN_FIELD"), ("/y", "UNKNOWN_FIELD"), ("/unitPrice", "INVALID_DECIMAL")]
        );
        let errors = patched(&whole, json!({"unitPrice": null})).unwrap_err().errors;
        assert_eq!(codes(&errors), [("/unitPrice", "REQUIRED")]);
        assert_eq!(patched(&whole, json!({"startingDate": null})).unwrap().starting_date, None);
    }

    #[test]
    fn object_that_a_patch_creates_needs_its_fields() {
        #[derive(Debug, Deserr, Serialize)]
        #[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
        #[serde(rename_all = "camelCase")]
        struct Outer {
            #[deserr(default)]
            probe: Option<Probe>,
        }
        let without = Outer { probe: None };
        let refused = |patch| patched(&without, patch).unwrap_err();
        let problem = refused(json!({"probe": {"number": "A"}}));
        assert_eq!(problem.code, ProblemCode::ValidationFailed);
        assert_eq!(codes(&problem.errors), [("/probe/unitPrice", "MISSING")]);
        let problem = refused(json!({"probe": {"number": null}}));
        assert_eq!(problem.code, ProblemCode::InvalidRequest);
        assert_eq!(
            codes(&problem.errors),
            [("/probe/number", "REQUIRED"), ("/probe/unitPrice", "MISSING")]
        );
    }

    #[test]
    fn merging_follows_the_rfc() {
        let mut target = json!({"a": "b", "c": {"d": "e", "f": "g"}});
        merge(&mut target, json!({"a": "z", "c": {"f": null}, "n": {"x": null, "y": 1}}));
        assert_eq!(target, json!({"a": "z", "c": {"d": "e"}, "n": {"y": 1}}));
    }
}
