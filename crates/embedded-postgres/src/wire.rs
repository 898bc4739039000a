//! The messages of PostgreSQL's protocol that a launcher needs: open a session, run a statement.
//!
//! A server that accepts connections may still refuse sessions ("the database system is starting
//! up"), so only an open session proves readiness. Authentication is `peer`: the kernel identifies
//! the user, and there is no password.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The time for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Errors and notices are short; a longer message does not come from a PostgreSQL server.
const MAX_MESSAGE_BYTES: usize = 1 << 20;
const PROTOCOL_3_0: u32 = 3 << 16;

#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The server's message and its SQLSTATE.
    #[error("the server answered {code}: {message}")]
    Server { code: String, message: String },
    #[error("unexpected answer: {0}")]
    Protocol(&'static str),
}

impl WireError {
    /// Returns true if the error can disappear by itself while the server starts.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Io(_) => true,
            // Starting up, shutting down, or all slots in use.
            Self::Server { code, .. } => {
                matches!(code.as_str(), "57P03" | "57P01" | "57P02" | "53300")
            }
            Self::Protocol(_) => false,
        }
    }
}

/// A session.
#[derive(Debug)]
pub struct Session {
    stream: UnixStream,
}

impl Session {
    /// Opens a session and waits until the server is ready for a statement.
    pub fn open(socket: &Path, user: &str, database: &str) -> Result<Self, WireError> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        let mut session = Self { stream };
        let mut body = PROTOCOL_3_0.to_be_bytes().to_vec();
        for text in ["user", user, "database", database, "application_name", "kampanje launcher"] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        body.push(0);
        session.send(None, &body)?;
        session.until_ready()?;
        Ok(session)
    }

    /// Runs a statement and discards its rows.
    pub fn execute(&mut self, sql: &str) -> Result<(), WireError> {
        let mut body = sql.as_bytes().to_vec();
        body.push(0);
        self.send(Some(b'Q'), &body)?;
        self.until_ready()
    }

    fn send(&mut self, tag: Option<u8>, body: &[u8]) -> Result<(), WireError> {
        let length = u32::try_from(body.len() + 4)
            .map_err(|_| WireError::Protocol("the message is too long"))?;
        let mut message: Vec<u8> = tag.into_iter().collect();
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(body);
        Ok(self.stream.write_all(&message)?)
    }

    /// Reads up to `ReadyForQuery` and returns the error in between, if any. During start-up the
    /// connection closes after an error instead.
    fn until_ready(&mut self) -> Result<(), WireError> {
        let mut failure = None;
        loop {
            let (tag, body) = match self.receive() {
                Ok(message) => message,
                Err(error) => return Err(failure.unwrap_or(error)),
            };
            match tag {
                b'R' if body != [0; 4] => {
                    return Err(WireError::Protocol("the server requests a password"));
                }
                b'E' => failure = Some(server_error(&body)),
                b'Z' => return failure.map_or(Ok(()), Err),
                _ => {}
            }
        }
    }

    fn receive(&mut self) -> Result<(u8, Vec<u8>), WireError> {
        let mut tag = [0; 1];
        self.stream.read_exact(&mut tag)?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length))
            .ok()
            .and_then(|whole| whole.checked_sub(4))
            .filter(|rest| *rest <= MAX_MESSAGE_BYTES)
            .ok_or(WireError::Protocol("a message has an invalid length"))?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((u8::from_be_bytes(tag), body))
    }
}

/// Reads code and message of an `ErrorResponse`: fields of one letter and a text, each ended by a
/// zero byte.
fn server_error(body: &[u8]) -> WireError {
    let (mut code, mut message) = (String::new(), String::new());
    for field in body.split(|byte| *byte == 0) {
        match field.split_first() {
            Some((b'C', text)) => code = String::from_utf8_lossy(text).into_owned(),
            Some((b'M', text)) => message = String::from_utf8_lossy(text).into_owned(),
            _ => {}
        }
    }
    WireError::Server { code, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_message_are_read_from_an_error() {
        let error =
            server_error(b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0");
        assert!(error.is_transient());
        assert_eq!(
            error.to_string(),
            "the server answered 57P03: the database system is starting up"
        );
    }

    #[test]
    fn refused_authentication_is_not_transient() {
        assert!(!server_error(b"SFATAL\0C28000\0Mpeer authentication failed\0\0").is_transient());
    }
}
