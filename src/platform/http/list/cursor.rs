//! Cursors: where a page begins, sealed so that only we can make one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

/// Bytes of the seal in front of the values.
const SEAL_LENGTH: usize = 16;

/// The secret that cursors are sealed with; replicas share it.
#[derive(Clone)]
pub struct CursorKey(Vec<u8>);

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorKey(…)")
    }
}

impl CursorKey {
    /// A key of these secret bytes.
    #[must_use]
    pub const fn new(secret: Vec<u8>) -> Self {
        Self(secret)
    }

    /// A cursor for the values, good only for the list that `binding` names.
    #[must_use]
    pub fn seal(&self, values: &[Value], binding: &str) -> String {
        let text = Value::Array(values.to_vec()).to_string();
        let mut sealed = self.sealing(text.as_bytes(), binding).map_or_else(Vec::new, |mac| {
            let full = mac.finalize().into_bytes();
            full.iter().copied().take(SEAL_LENGTH).collect()
        });
        sealed.extend_from_slice(text.as_bytes());
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// The values of a cursor, if it is ours and belongs to the list.
    #[must_use]
    pub fn open(&self, cursor: &str, binding: &str) -> Option<Vec<Value>> {
        let sealed = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (seal, text) = sealed.split_at_checked(SEAL_LENGTH)?;
        self.sealing(text, binding)?.verify_truncated_left(seal).ok()?;
        serde_json::from_slice(text).ok()
    }

    fn sealing(&self, text: &[u8], binding: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(binding.as_bytes());
        // A NUL can stand in neither part, so it parts them.
        mac.update(&[0]);
        mac.update(text);
        Some(mac)
    }
}
