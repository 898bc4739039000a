//! The bytes of a file: unpacked and decoded while they are read, within bounds.

use std::io::{self, BufRead, BufReader, Read};

use encoding_rs::WINDOWS_1252;
use flate2::read::MultiGzDecoder;
use values::wire_enum;

use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};

/// Maximum size of an unpacked file in bytes.
pub const MAX_UNPACKED_BYTES: u64 = 536_870_912;
/// Maximum ratio of the unpacked size to the packed one. Tables of the service are packed to about
/// a tenth.
pub const MAX_RATIO: u64 = 200;
/// Unpacked bytes below which the ratio does not matter.
pub const MIN_RATIO_BYTES: u64 = 1_048_576;
/// Size of the pieces that are decoded.
const PIECE_BYTES: usize = 16_384;

wire_enum! {
    /// The encoding of a file of texts.
    Encoding {
        /// UTF-8, with or without a byte order mark.
        Utf8 = "UTF-8",
        /// Windows-1252, of which ISO 8859-1 is a part.
        Windows1252 = "WINDOWS-1252",
    }
}

/// Returns the problem of a file at one of its lines: 400.
pub fn refused(line: u64, code: FieldCode, detail: impl Into<String>) -> Problem {
    Problem::with_errors(
        ProblemCode::InvalidRequest,
        vec![FieldError::new(format!("/{line}"), code, detail)],
    )
}

/// Returns the problem that ended the reading of a file.
pub fn problem_of(error: io::Error) -> Problem {
    let text = error.to_string();
    match error.into_inner().and_then(|inner| inner.downcast::<Problem>().ok()) {
        Some(problem) => *problem,
        None => {
            Problem::new(ProblemCode::MalformedRequest, format!("the file cannot be read: {text}"))
        }
    }
}

fn stop<T>(problem: Problem) -> io::Result<T> {
    Err(io::Error::other(problem))
}

/// A reader that counts its bytes.
struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read)
    }
}

/// The content of a body, unpacked if it is compressed.
pub struct Unpacked<R: Read> {
    source: Source<R>,
    bytes: u64,
}

enum Source<R: Read> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<Counted<R>>>),
}

impl<R: Read> Unpacked<R> {
    /// Creates the content of a body.
    #[must_use]
    pub fn new(body: R, is_gzip: bool) -> Self {
        let source = if is_gzip {
            let counted = Counted { inner: body, bytes: 0 };
            Source::Gzip(Box::new(MultiGzDecoder::new(counted)))
        } else {
            Source::Plain(body)
        };
        Self { source, bytes: 0 }
    }
}

/// Returns whether so many bytes come out of so many that they are refused.
#[must_use]
pub const fn is_bomb(unpacked: u64, packed: u64) -> bool {
    unpacked > MIN_RATIO_BYTES && unpacked / MAX_RATIO > packed
}

/// Creates the problem of a file that unpacks to too much: 413.
#[must_use]
pub fn too_large() -> Problem {
    let detail = format!(
        "the unpacked file has more than {MAX_UNPACKED_BYTES} bytes, or more than {MAX_RATIO} \
         times the packed ones"
    );
    Problem::new(ProblemCode::PayloadTooLarge, detail)
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (read, packed) = match &mut self.source {
            Source::Plain(body) => (body.read(buffer)?, None),
            Source::Gzip(decoder) => {
                let read = decoder.read(buffer)?;
                (read, Some(decoder.get_ref().bytes))
            }
        };
        self.bytes = self.bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        let is_refused = self.bytes > MAX_UNPACKED_BYTES
            || packed.is_some_and(|packed| is_bomb(self.bytes, packed));
        if is_refused { stop(too_large()) } else { Ok(read) }
    }
}

/// The text of a file in UTF-8. Without a declared encoding, it is UTF-8 up to the first bytes that
/// are not: if only ASCII came before them, it is Windows-1252, else it is refused.
pub struct Decoded<R> {
    inner: R,
    encoding: Option<Encoding>,
    has_seen_utf8: bool,
    has_begun: bool,
    /// Bytes that are not decoded yet: the beginning of a character.
    pending: Vec<u8>,
    /// The position of the next decoded byte.
    position: usize,
    decoded: Vec<u8>,
    has_ended: bool,
}

impl<R: Read> Decoded<R> {
    /// Creates the text of a file in a declared or unknown encoding.
    pub const fn new(inner: R, encoding: Option<Encoding>) -> Self {
        Self {
            inner,
            encoding,
            has_seen_utf8: false,
            has_begun: false,
            pending: Vec::new(),
            position: 0,
            decoded: Vec::new(),
            has_ended: false,
        }
    }

    /// Decodes the next piece, which is empty at the end only.
    fn decode_piece(&mut self) -> io::Result<()> {
        self.position = 0;
        self.decoded.clear();
        while self.decoded.is_empty() && !self.has_ended {
            let mut bytes = std::mem::take(&mut self.pending);
            let limit = u64::try_from(PIECE_BYTES).unwrap_or(u64::MAX);
            let read = self.inner.by_ref().take(limit).read_to_end(&mut bytes)?;
            self.has_ended = read == 0;
            if !self.has_begun {
                self.has_begun = true;
                if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
                    let detail = "the file is in UTF-16; save it in UTF-8";
                    return stop(Problem::new(ProblemCode::MalformedRequest, detail));
                }
                if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
                    bytes.drain(..3);
                    self.encoding = Some(Encoding::Utf8);
                }
            }
            self.decode(bytes)?;
        }
        Ok(())
    }

    fn decode(&mut self, mut bytes: Vec<u8>) -> io::Result<()> {
        if self.encoding == Some(Encoding::Windows1252) {
            let (text, _) = WINDOWS_1252.decode_without_bom_handling(&bytes);
            self.decoded.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        let (valid, is_cut) = match std::str::from_utf8(&bytes) {
            Ok(_) => (bytes.len(), true),
            Err(error) => (error.valid_up_to(), error.error_len().is_none() && !self.has_ended),
        };
        let rest = bytes.split_off(valid);
        self.has_seen_utf8 |= !bytes.is_ascii();
        self.decoded.append(&mut bytes);
        if is_cut {
            self.pending = rest;
            return Ok(());
        }
        if self.encoding.is_some() || self.has_seen_utf8 {
            let detail = "the file is not valid UTF-8; declare its encoding, or save it in UTF-8";
            return stop(Problem::new(ProblemCode::MalformedRequest, detail));
        }
        self.encoding = Some(Encoding::Windows1252);
        self.decode(rest)
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let read = available.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..read), available.get(..read)) {
            to.copy_from_slice(from);
        }
        self.consume(read);
        Ok(read)
    }
}

impl<R: Read> BufRead for Decoded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position >= self.decoded.len() {
            self.decode_piece()?;
        }
        Ok(self.decoded.get(self.position..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.position = self.position.saturating_add(amount);
    }
}

/// Returns the text of a body.
pub fn text<R: Read>(body: R, is_gzip: bool, encoding: Option<Encoding>) -> Decoded<impl Read> {
    Decoded::new(BufReader::new(Unpacked::new(body, is_gzip)), encoding)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// A reader that gives one byte at a time, so that every character is cut.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    fn decode(bytes: &[u8], encoding: Option<Encoding>) -> Result<String, Problem> {
        let mut text = String::new();
        let whole = Decoded::new(bytes, encoding).read_to_string(&mut text).map_err(problem_of);
        let mut slow = String::new();
        let read = Decoded::new(Slow(bytes), encoding).read_to_string(&mut slow);
        assert_eq!(read.is_ok(), whole.is_ok());
        if whole.is_ok() {
            assert_eq!(text, slow);
        }
        whole.map(|_| text)
    }

    #[test]
    fn encodings_are_detected() {
        assert_eq!(decode("Ærø €".as_bytes(), None).unwrap(), "Ærø €");
        assert_eq!(decode("\u{feff}a".as_bytes(), None).unwrap(), "a");
        assert_eq!(decode(b"Sm\xf8rbr\xf8d \x80", None).unwrap(), "Smørbrød €");
        assert_eq!(decode(b"\xc3\xa5", Some(Encoding::Windows1252)).unwrap(), "Ã¥");
        assert_eq!(decode(b"", None).unwrap(), "");
        for (bytes, encoding) in [
            (&b"\xff\xfea\0"[..], None),
            (b"\xf8", Some(Encoding::Utf8)),
            ("å\u{0}".as_bytes(), Some(Encoding::Utf8)),
            (b"\xc3\xa5 \xf8", None),
            (b"\xef\xbb\xbf\xf8", None),
        ] {
            let is_refused = decode(bytes, encoding).is_err();
            assert_eq!(
                is_refused,
                !bytes.ends_with(b"\0") || bytes.starts_with(b"\xff"),
                "{bytes:?}"
            );
        }
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn packed_files() {
        let mut text = String::new();
        let twice = [packed(b"a\n"), packed(b"b\n")].concat();
        Unpacked::new(&twice[..], true).read_to_string(&mut text).unwrap();
        assert_eq!(text, "a\nb\n");
        let bomb = packed(&vec![b'0'; 4_000_000]);
        let error = io::copy(&mut Unpacked::new(&bomb[..], true), &mut io::sink()).unwrap_err();
        assert_eq!(problem_of(error).code, ProblemCode::PayloadTooLarge);
        for broken in [&b"no gzip"[..], &packed(b"abc")[..15]] {
            let error = io::copy(&mut Unpacked::new(broken, true), &mut io::sink()).unwrap_err();
            assert_eq!(problem_of(error).code, ProblemCode::MalformedRequest);
        }
    }
}
