//! List cursors, the content of `nextLink`: the sort values of the last row, signed.
//!
//! A cursor is `base64url(tag ‖ values)`. The tag is an HMAC-SHA256, truncated to 16 bytes, of the
//! values and of their list: path, filter and order. So a cursor cannot be forged, changed or used
//! for another list. The values are no secret, since the client has seen the row.

use std::fmt;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::order::Sort;
use super::{FieldKind, Literal};
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};

/// Length of the tag in bytes; 128 bits cannot be guessed.
const TAG_LENGTH: usize = 16;
/// Domain-separation prefix of the HMAC: a tag made for another purpose or version does not verify.
const DOMAIN_SEPARATOR: &str = "kampanje list cursor 1";

/// The secret that signs cursors, the same in all replicas. Cloning shares it.
#[derive(Clone, Default)]
pub struct CursorKey(Arc<OnceLock<Hmac<Sha256>>>);

impl CursorKey {
    /// Creates a key from a secret of any length.
    #[must_use]
    pub fn new(secret: impl AsRef<[u8]>) -> Self {
        let key = Self::default();
        key.learn(secret);
        key
    }

    /// Sets the secret, of any length, of a key that has none. Later calls have no effect.
    pub fn learn(&self, secret: impl AsRef<[u8]>) {
        // The secret is hashed to the block size of HMAC, because the constructor for any length is
        // fallible.
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        block.iter_mut().zip(Sha256::digest(secret)).for_each(|(into, byte)| *into = byte);
        self.0.get_or_init(|| Mac::new(&block));
    }

    /// Returns whether the key has its secret.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.0.get().is_some()
    }

    fn mac(&self, list: &ListIdentity<'_>, values: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = self.0.get()?.clone();
        let parts = [DOMAIN_SEPARATOR, list.path, list.filter, list.order].map(str::as_bytes);
        for part in parts.into_iter().chain([values]) {
            // The length prefix keeps parts apart: no part can extend into the next.
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        Some(mac)
    }
}

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey(…)")
    }
}

/// The identity of the list to which a cursor belongs.
#[derive(Debug, Clone, Copy)]
pub struct ListIdentity<'a> {
    /// The path of the request.
    pub path: &'a str,
    /// The filter as it was sent, or an empty text.
    pub filter: &'a str,
    /// The complete order, even if it is the default. So a release that changes the default does
    /// not misread old cursors.
    pub order: &'a str,
}

/// Returns the cursor of a row's sort values.
pub fn write(key: &CursorKey, list: &ListIdentity<'_>, values: &[Value]) -> String {
    let values = Value::from(values.to_vec()).to_string().into_bytes();
    // A process without secret has no database either, so it never writes a cursor.
    let tag = key.mac(list, &values).map(|mac| mac.finalize().into_bytes()).unwrap_or_default();
    let cursor: Vec<u8> = tag.into_iter().take(TAG_LENGTH).chain(values).collect();
    URL_SAFE_NO_PAD.encode(cursor)
}

/// Returns the values of a cursor as they were written; `None` if it does not belong to this list.
pub fn open(key: &CursorKey, list: &ListIdentity<'_>, cursor: &str) -> Option<Vec<Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (tag, values) = bytes.split_at_checked(TAG_LENGTH)?;
    // The comparison takes constant time.
    key.mac(list, values)?.verify_truncated_left(tag).ok()?;
    serde_json::from_slice(values).ok()
}

/// Creates the problem of a cursor that does not belong to the list: 400.
pub fn refused() -> Problem {
    let detail = "the cursor was changed, or belongs to another list";
    let error = FieldError::new("?cursor", FieldCode::InvalidValue, detail);
    Problem::with_errors(ProblemCode::InvalidCursor, vec![error])
}

/// Returns the typed values of a cursor, one for each field of the order; `None` if it does not
/// belong to this list.
pub fn read(
    key: &CursorKey,
    list: &ListIdentity<'_>,
    sorts: &[Sort],
    cursor: &str,
) -> Option<Vec<Option<Literal>>> {
    let values = open(key, list, cursor)?;
    if values.len() != sorts.len() {
        return None;
    }
    sorts.iter().zip(&values).map(|(sort, value)| place(sort, value)).collect()
}

/// Returns a sort value as a literal that can be bound. The outer `None` means that it cannot; the
/// inner `None` is null.
pub fn place(sort: &Sort, value: &Value) -> Option<Option<Literal>> {
    if value.is_null() {
        return sort.nullable.then_some(None);
    }
    literal(sort.field.kind, value).map(Some)
}

/// Returns the typed value of a row's JSON, or `None` if the JSON is of another kind.
fn literal(kind: FieldKind, value: &Value) -> Option<Literal> {
    match (kind, value) {
        (FieldKind::Integer, Value::Number(number)) => number.as_i64().map(Literal::Integer),
        (FieldKind::Boolean, Value::Bool(value)) => Some(Literal::Boolean(*value)),
        (kind, Value::String(text)) => Literal::from_text(kind, text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Field;
    use super::*;

    static NAME: Field = Field::new("name", FieldKind::Text, "name");
    static NUMBER: Field = Field::new("number", FieldKind::Integer, "number").not_null();
    const LIST: ListIdentity<'static> =
        ListIdentity { path: "/v1/items", filter: "a eq 1", order: "name asc" };

    fn sorts() -> Vec<Sort> {
        [&NAME, &NUMBER]
            .map(|field| Sort { field, descending: false, nullable: field.nullable })
            .to_vec()
    }

    #[test]
    fn round_trip() {
        let key = CursorKey::new("secret");
        let cursor = write(&key, &LIST, &[json!("Äx"), json!(7)]);
        let place = read(&key, &LIST, &sorts(), &cursor);
        assert_eq!(place, Some(vec![Some(Literal::Text("Äx".into())), Some(Literal::Integer(7))]));
        let cursor = write(&key, &LIST, &[json!(null), json!(7)]);
        assert_eq!(
            read(&key, &LIST, &sorts(), &cursor),
            Some(vec![None, Some(Literal::Integer(7))])
        );
    }

    #[test]
    fn any_change_is_detected() {
        let key = CursorKey::new("secret");
        let cursor = write(&key, &LIST, &[json!("x"), json!(7)]);
        let bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert_eq!(read(&key, &LIST, &sorts(), &URL_SAFE_NO_PAD.encode(changed)), None);
            }
            assert_eq!(read(&key, &LIST, &sorts(), &URL_SAFE_NO_PAD.encode(&bytes[..at])), None);
        }
        assert_eq!(read(&key, &LIST, &sorts(), &format!("{cursor}=")), None);
        assert_eq!(read(&key, &LIST, &sorts(), ""), None);
        assert_eq!(read(&CursorKey::new("Secret"), &LIST, &sorts(), &cursor), None);
    }

    #[test]
    fn cursor_of_another_list() {
        let key = CursorKey::new("secret");
        let cursor = write(&key, &LIST, &[json!("x"), json!(7)]);
        for other in [
            ListIdentity { path: "/v1/item", ..LIST },
            ListIdentity { filter: "", ..LIST },
            ListIdentity { order: "name desc", ..LIST },
            ListIdentity { path: "/v1/itemsa", filter: " eq 1", ..LIST },
        ] {
            assert_eq!(read(&key, &other, &sorts(), &cursor), None);
        }
    }

    #[test]
    fn signed_values_of_another_form() {
        let key = CursorKey::new("secret");
        for values in
            [vec![json!("x")], vec![json!("x"), json!(null)], vec![json!(7), json!(7)], vec![]]
        {
            assert_eq!(
                read(&key, &LIST, &sorts(), &write(&key, &LIST, &values)),
                None,
                "{values:?}"
            );
        }
    }
}
