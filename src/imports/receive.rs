//! The file as it arrives: a background thread divides it into rows, and the rows are kept in the
//! database. Three tasks pass pieces on through bounded channels, so that a slow database slows the
//! client and the memory stays small.

use std::collections::HashSet;
use std::io::{self, Read};
use std::time::Duration;

use actix_web::web::{Bytes, Payload};
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, timeout_at};
use xxhash_rust::xxh3::xxh3_128;

use super::store::{self, KeptError, KeptRow, NewImport};
use super::targets::Target;
use crate::platform::background::spawn_background;
use crate::platform::http::call::BodyLimits;
use crate::platform::http::problem::{FieldCode, Problem, ProblemCode};
use crate::resource::batch::{MAX_BATCH_ROWS, Mode};
use crate::tabular::body::refused;
use crate::tabular::columns::{RowError, SourceRow};
use crate::tabular::read::{FileForm, read_rows};
use crate::unit_of_work::Database;

/// Maximum number of rows of a file.
pub const MAX_ROWS: usize = 1_000_000;
/// Maximum number of rows of a file that is written in one transaction.
pub const MAX_ROWS_OF_TRANSACTION: usize = 100_000;
/// Size of the rows of a chunk in bytes at which it is complete, also with fewer rows than a batch.
const CHUNK_BYTES: usize = 1_048_576;
/// Time in which a file has to arrive. It is shorter than the time after which the connection is
/// closed without a response.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(240);
/// Time in which the next piece of a file has to arrive.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of pieces that wait to be read.
const MAX_PIECES_AHEAD: usize = 4;

/// The pieces of a file as a reader.
struct Pieces {
    receiver: Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let read = self.piece.split_to(self.piece.len().min(buffer.len()));
        if let Some(to) = buffer.get_mut(..read.len()) {
            to.copy_from_slice(&read);
        }
        Ok(read.len())
    }
}

/// A chunk on its way to the database: its rows as JSON, and their number.
struct Chunk {
    rows: String,
    count: i64,
}

/// The rows of a file, gathered into chunks.
struct Chunks<'a> {
    target: &'a Target,
    mode: Mode,
    max_rows: usize,
    rows: usize,
    count: usize,
    text: String,
    /// The hashes of the identities of all rows. A batch refuses a second row for a resource, and
    /// a file does so across its chunks.
    seen: HashSet<u128>,
    sender: Sender<Chunk>,
}

impl Chunks<'_> {
    fn add(&mut self, row: SourceRow) -> Result<(), Problem> {
        let SourceRow { line, content } = row;
        self.rows = self.rows.saturating_add(1);
        if self.rows > self.max_rows {
            let detail = format!("the file has more than {} rows", self.max_rows);
            return Err(refused(line, FieldCode::TooLong, detail));
        }
        let content = content.and_then(|row| match (self.target.identity)(self.mode, &row) {
            Some(identity) if !self.seen.insert(xxh3_128(identity.as_bytes())) => {
                let detail = format!("{identity} is in the file more than once");
                Err(vec![RowError::of_row(FieldCode::Duplicate, detail)])
            }
            _ => Ok(row),
        });
        let kept = KeptRow {
            line: i64::try_from(line).map_err(Problem::internal)?,
            content: content.map_err(|errors| errors.into_iter().map(KeptError::from).collect()),
        };
        self.text.push(if self.count == 0 { '[' } else { ',' });
        self.text.push_str(&serde_json::to_string(&kept).map_err(Problem::internal)?);
        self.count = self.count.saturating_add(1);
        if self.count >= MAX_BATCH_ROWS || self.text.len() >= CHUNK_BYTES {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Problem> {
        if self.count == 0 {
            return Ok(());
        }
        self.text.push(']');
        let count = i64::try_from(std::mem::take(&mut self.count)).map_err(Problem::internal)?;
        let chunk = Chunk { rows: std::mem::take(&mut self.text), count };
        // The receiver has ended with an error of its own, which is reported.
        self.sender.blocking_send(chunk).map_err(|_| store::stopped())
    }
}

/// Receives a file, and keeps its rows. Returns the hash of its bytes.
///
/// # Errors
/// 400, 408 and 413 when the file cannot be read; 409 when the import was canceled.
pub async fn receive(
    payload: Payload,
    limits: &BodyLimits,
    database: &Database,
    import: &NewImport,
    target: &'static Target,
    form: FileForm,
) -> Result<Vec<u8>, Problem> {
    let (pieces, receiver) = mpsc::channel(MAX_PIECES_AHEAD);
    let (sender, chunks) = mpsc::channel(1);
    let (mode, is_one) = (import.mode, import.atomic || import.validate_only);
    let reading = spawn_background(move || {
        let mut chunks = Chunks {
            target,
            mode,
            max_rows: if is_one { MAX_ROWS_OF_TRANSACTION } else { MAX_ROWS },
            rows: 0,
            count: 0,
            text: String::new(),
            seen: HashSet::new(),
            sender,
        };
        let body = Pieces { receiver, piece: Bytes::new() };
        read_rows(form, &(target.field)(), body, &mut |row| chunks.add(row))?;
        chunks.send()
    });
    let (fed, kept) = tokio::join!(feed(payload, limits, pieces), keep(database, import, chunks));
    // The libraries that read hostile files may have defects; those are no defects of the service.
    let read = reading.await.unwrap_or_else(|error| {
        tracing::error!(%error, "the reader of a file failed");
        let detail = "the file cannot be read";
        Err(Problem::new(ProblemCode::MalformedRequest, detail))
    });
    let digest = fed?;
    kept?;
    read?;
    Ok(digest)
}

/// Passes the pieces of the body on, and returns the hash of all.
async fn feed(
    mut payload: Payload,
    limits: &BodyLimits,
    pieces: Sender<Bytes>,
) -> Result<Vec<u8>, Problem> {
    let late = || Problem::new(ProblemCode::RequestTimeout, "the body did not arrive in time");
    let (mut hash, mut bytes, started) = (Sha256::new(), 0_usize, Instant::now());
    loop {
        let deadline = (started + RECEIVE_TIMEOUT).min(Instant::now() + PIECE_TIMEOUT);
        let Some(piece) = timeout_at(deadline, payload.next()).await.map_err(|_| late())? else {
            return Ok(hash.finalize().to_vec());
        };
        let piece = piece.map_err(|error| {
            let detail = format!("the body cannot be read: {error}");
            Problem::new(ProblemCode::MalformedRequest, detail)
        })?;
        bytes = bytes.saturating_add(piece.len());
        if bytes > limits.max_import_bytes {
            return Err(limits.import_too_large());
        }
        hash.update(&piece);
        let sent = tokio::time::timeout_at(started + RECEIVE_TIMEOUT, pieces.send(piece)).await;
        if sent.map_err(|_| late())?.is_err() {
            // The reader has ended with an error of its own, which is reported.
            return Ok(Vec::new());
        }
    }
}

/// Keeps chunks as they arrive.
async fn keep(
    database: &Database,
    import: &NewImport,
    mut chunks: Receiver<Chunk>,
) -> Result<(), Problem> {
    for number in 0.. {
        let Some(Chunk { rows, count }) = chunks.recv().await else { break };
        let mut conn = database.record().await?;
        store::append(&mut conn, import.id, number, &rows, count).await?;
    }
    Ok(())
}
