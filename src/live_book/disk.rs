//! The snapshot file: the price book on disk, from which a replica starts with or without the
//! database.
//!
//! ```text
//! KMPJBOOK, format version (u32)
//! blocks: bytes (u32), records (u32), checksum (u64, XXH3 seeded with the block number), records
//! ```
//!
//! Records are in MessagePack. The first one has the origin of the snapshot, and the last one the
//! number of records before it. Between them are the facts, and the audiences as sets of ordinals.
//! The checksum of a block is verified before it is read, so damaged or truncated data is never
//! used. A new file is written under a temporary name and renamed when it is complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use price_book::facts::{Change, Fact, FactKind};
use price_book::snapshot::Snapshot;
use rmp_serde::Deserializer;
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use tokio::sync::Mutex;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{LiveBook, SnapshotFile};
use crate::platform::background::background;

/// The first bytes of the file.
const MAGIC: &[u8; 8] = b"KMPJBOOK";
/// The version of the format, here and in `facts`. It changes with every change of what is written.
/// A file of another version is not read.
const FORMAT_VERSION: u32 = 3;
/// The size from which a block is written.
const BLOCK_BYTES: usize = 1 << 20;
/// The maximum number of blocks that are read ahead of those being applied.
const MAX_BLOCKS_AHEAD: usize = 2;

/// The reason for which the snapshot file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    File(#[from] io::Error),
    /// The file is of another kind, or was written by another build.
    #[error("it is not of the form that this build writes")]
    Form,
    /// The file is damaged or truncated.
    #[error("block {0} is damaged")]
    Damaged(u64),
    /// A valid block contains a record that this build cannot read.
    #[error("a record is not of the form that this build writes: {0}")]
    Record(#[from] rmp_serde::decode::Error),
    /// There is data after the last record, or no last record.
    #[error("it does not end where it has to")]
    End,
}

/// The first record: the origin of the snapshot.
#[derive(Serialize, Deserialize)]
struct Head {
    book_id: Uuid,
    fingerprint: Option<String>,
    known_at: i64,
    version: i64,
}

/// The tags of records other than facts. Facts have the index of their kind in [`FactKind::ALL`].
const AUDIENCE: u8 = 100;
const END: u8 = 101;

/// A record after the first one.
enum Record {
    /// A fact.
    Put(Change),
    /// A campaign's audience, as a set of ordinals.
    Audience(String, RoaringBitmap),
    /// The last record: the number of records before it.
    End(u64),
}

/// The location of the snapshot file. Clones share one lock.
#[derive(Debug, Clone)]
pub struct SnapshotStore {
    path: PathBuf,
    /// Held while writing: concurrent writers would replace each other's temporary file.
    writing: Arc<Mutex<()>>,
}

impl SnapshotStore {
    /// Creates the snapshot file at this path.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path, writing: Arc::default() }
    }

    /// Reads the file, or returns `None` if there is none. Blocks the thread.
    ///
    /// # Errors
    /// If the file is not a complete snapshot file of this format.
    pub fn read(&self) -> Result<Option<SnapshotFile>, CopyError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut blocks = Blocks::open(file)?;
        let head = blocks.next()?.ok_or(CopyError::End)?;
        let Head { book_id, fingerprint, known_at, version } =
            Head::deserialize(&mut Deserializer::from_read_ref(&head.bytes))?;
        let mut snapshot = Snapshot::empty().with_book_id(book_id).advanced(version, []);
        let (sender, records) = sync_channel(MAX_BLOCKS_AHEAD);
        // One thread parses the records while the other applies them.
        std::thread::scope(|scope| {
            let reading = scope.spawn(move || read_records(blocks, &sender));
            apply_records(&mut snapshot, &records);
            reading.join().unwrap_or(Err(CopyError::End))
        })?;
        Ok(Some(SnapshotFile { fingerprint, known_at, snapshot: Arc::new(snapshot) }))
    }

    /// Writes a temporary file, and renames it over the current one. Returns the number of bytes.
    /// Blocks the thread, and needs no more memory than a block.
    ///
    /// # Errors
    /// If the file cannot be written. The current file is unchanged.
    pub fn write(&self, content: &SnapshotFile) -> io::Result<u64> {
        let mut temporary = self.path.clone().into_os_string();
        temporary.push(format!(".{}", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let written = write_file(&temporary, content).and_then(|bytes| {
            fs::rename(&temporary, &self.path)?;
            // The rename is durable only when the directory is synchronized.
            let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(bytes)
        });
        if written.is_err() {
            // The temporary file may not exist.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Loads the file into a book that is not loaded yet, and returns its version. A file that
    /// cannot be used is logged and kept until the next write replaces it.
    pub async fn restore(&self, book: &LiveBook) -> Option<i64> {
        let began = Instant::now();
        let (disk, path) = (self.clone(), self.path.display());
        let read =
            tokio::task::spawn_blocking(move || disk.read()).await.unwrap_or(Err(CopyError::End));
        match read {
            Ok(Some(content)) => {
                let version = content.snapshot.version();
                book.restore(content).await;
                tracing::info!(
                    %path,
                    version,
                    millis = millis(began),
                    "the price book was read from its copy on disk"
                );
                return Some(version);
            }
            Ok(None) => tracing::info!(%path, "there is no snapshot file yet"),
            Err(error) => {
                tracing::warn!(%path, %error, "the snapshot file cannot be used and is ignored")
            }
        }
        None
    }

    /// Writes the current snapshot, if there is one.
    pub async fn keep(&self, book: &LiveBook) {
        let _writing = self.writing.lock().await;
        let Some(content) = book.copy().await else { return };
        let began = Instant::now();
        let (disk, path, version) = (self.clone(), self.path.display(), content.snapshot.version());
        match background(move || disk.write(&content)).await {
            Ok(bytes) => {
                tracing::info!(
                    %path,
                    version,
                    bytes,
                    millis = millis(began),
                    "the price book was copied to disk"
                );
            }
            Err(error) => {
                tracing::warn!(%path, %error, "the price book could not be copied to disk")
            }
        }
    }

    /// Writes the snapshot whenever its version has changed since the last write, at most once per
    /// interval. Runs until the process ends.
    pub async fn run_refresher(self, book: LiveBook, mut kept: i64, at_most_every: Duration) {
        loop {
            book.wait_for_other_version(kept).await;
            kept = book.snapshot().version();
            self.keep(&book).await;
            tokio::time::sleep(at_most_every).await;
        }
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// A block with a valid checksum.
struct Block {
    records: u32,
    bytes: Vec<u8>,
}

/// The blocks of a file, in order.
struct Blocks {
    file: BufReader<File>,
    number: u64,
    left: u64,
}

impl Blocks {
    fn open(file: File) -> Result<Self, CopyError> {
        let left = file.metadata()?.len();
        let mut blocks = Self { file: BufReader::new(file), number: 0, left };
        let (magic, version) = (blocks.take::<8>(), blocks.take::<4>());
        match (magic, version) {
            (Ok(magic), Ok(version))
                if magic == *MAGIC && version == FORMAT_VERSION.to_le_bytes() =>
            {
                Ok(blocks)
            }
            _ => Err(CopyError::Form),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], CopyError> {
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes).map_err(|_| CopyError::Damaged(self.number))?;
        self.left = self.left.saturating_sub(u64::try_from(N).unwrap_or_default());
        Ok(bytes)
    }

    /// Returns the next block, or `None` at the end of the file.
    fn next(&mut self) -> Result<Option<Block>, CopyError> {
        if self.left == 0 {
            return Ok(None);
        }
        let damaged = CopyError::Damaged(self.number);
        let length = u32::from_le_bytes(self.take()?);
        let records = u32::from_le_bytes(self.take()?);
        let checksum = u64::from_le_bytes(self.take()?);
        // A damaged length must not reserve memory.
        if u64::from(length) > self.left {
            return Err(damaged);
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        self.file.read_exact(&mut bytes)?;
        self.left = self.left.saturating_sub(length.into());
        if checksum_of(self.number, records, &bytes) != checksum {
            return Err(damaged);
        }
        self.number = self.number.saturating_add(1);
        Ok(Some(Block { records, bytes }))
    }
}

/// Returns the checksum of a block. It includes the block's number and record count, so that blocks
/// cannot be reordered.
fn checksum_of(number: u64, records: u32, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, number.rotate_left(32) ^ u64::from(records))
}

/// Reads all records, and sends all but the last one, block by block.
fn read_records(mut blocks: Blocks, to: &SyncSender<Vec<Record>>) -> Result<(), CopyError> {
    let (mut count, mut ended) = (0_u64, false);
    while let Some(block) = blocks.next()? {
        let mut from = Deserializer::from_read_ref(&block.bytes);
        let mut records = Vec::with_capacity(usize::try_from(block.records).unwrap_or_default());
        for _ in 0..block.records {
            if ended {
                return Err(CopyError::End);
            }
            match read_record(&mut from)? {
                Record::End(before) if before == count => ended = true,
                Record::End(_) => return Err(CopyError::End),
                record => records.push(record),
            }
            count = count.saturating_add(1);
        }
        // The receiver only ends after this thread, so sending does not fail.
        let _ = to.send(records);
    }
    if ended { Ok(()) } else { Err(CopyError::End) }
}

fn read_record<'de, R: rmp_serde::decode::ReadSlice<'de>>(
    from: &mut Deserializer<R>,
) -> Result<Record, CopyError> {
    let number = u8::deserialize(&mut *from)?;
    Ok(match number {
        AUDIENCE => {
            let campaign = String::deserialize(&mut *from)?;
            let set = ByteBuf::deserialize(from)?;
            Record::Audience(campaign, RoaringBitmap::deserialize_from(&**set)?)
        }
        END => Record::End(Deserialize::deserialize(from)?),
        number => {
            let kind = *FactKind::ALL.get(usize::from(number)).ok_or(CopyError::Form)?;
            let (key, version) = (String::deserialize(&mut *from)?, i64::deserialize(&mut *from)?);
            Record::Put(Change::Put { key, version, fact: Fact::read(kind, from)? })
        }
    })
}

fn number_of(kind: FactKind) -> u8 {
    (0..).zip(FactKind::ALL).find(|(_, other)| *other == kind).map_or(u8::MAX, |(number, _)| number)
}

fn apply_records(snapshot: &mut Snapshot, blocks: &Receiver<Vec<Record>>) {
    for record in blocks.iter().flatten() {
        match record {
            Record::Put(change) => snapshot.apply(change),
            Record::Audience(campaign, set) => snapshot.set_audience(&campaign, set),
            Record::End(_) => {}
        }
    }
}

fn write_file(path: &Path, content: &SnapshotFile) -> io::Result<u64> {
    // A process with the same id may have left this file. It is removed rather than overwritten, in
    // case it is a link.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The file contains prices and customers, so only its owner may read it.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut writer = Writer::begin(file)?;
    let snapshot = &content.snapshot;
    let head = Head {
        book_id: snapshot.book_id(),
        fingerprint: content.fingerprint.clone(),
        known_at: content.known_at,
        version: snapshot.version(),
    };
    writer.value(&head)?;
    writer.end_block()?;
    for change in snapshot.facts() {
        let Change::Put { key, fact, version } = change else { continue };
        writer.value(&number_of(fact.kind()))?;
        writer.value(&key)?;
        writer.value(&version)?;
        writer.value(&fact)?;
        writer.end_record()?;
    }
    for (campaign, audience) in snapshot.audience_sets() {
        let mut set = Vec::with_capacity(audience.serialized_size());
        audience.serialize_into(&mut set)?;
        writer.value(&AUDIENCE)?;
        writer.value(&campaign)?;
        writer.value(&ByteBuf::from(set))?;
        writer.end_record()?;
    }
    writer.finish()
}

/// Writes records in blocks.
struct Writer {
    file: BufWriter<File>,
    number: u64,
    block: Vec<u8>,
    records: u32,
    total: u64,
    bytes: u64,
}

impl Writer {
    fn begin(file: File) -> io::Result<Self> {
        let mut file = BufWriter::new(file);
        file.write_all(MAGIC)?;
        file.write_all(&FORMAT_VERSION.to_le_bytes())?;
        Ok(Self { file, number: 0, block: Vec::new(), records: 0, total: 0, bytes: 12 })
    }

    fn value(&mut self, value: &impl Serialize) -> io::Result<()> {
        rmp_serde::encode::write(&mut self.block, value).map_err(io::Error::other)
    }

    fn end_record(&mut self) -> io::Result<()> {
        self.records = self.records.saturating_add(1);
        self.total = self.total.saturating_add(1);
        if self.block.len() >= BLOCK_BYTES { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> io::Result<()> {
        // A record never approaches 4 GiB: the largest is an audience, of 512 MiB with all possible
        // accounts.
        let length = u32::try_from(self.block.len()).map_err(io::Error::other)?;
        let checksum = checksum_of(self.number, self.records, &self.block);
        self.file.write_all(&length.to_le_bytes())?;
        self.file.write_all(&self.records.to_le_bytes())?;
        self.file.write_all(&checksum.to_le_bytes())?;
        self.file.write_all(&self.block)?;
        self.bytes = self.bytes.saturating_add(16).saturating_add(length.into());
        self.number = self.number.saturating_add(1);
        self.records = 0;
        self.block.clear();
        Ok(())
    }

    /// Writes the last record and waits until the file is durable.
    fn finish(mut self) -> io::Result<u64> {
        self.value(&END)?;
        self.value(&self.total.clone())?;
        self.records = self.records.saturating_add(1);
        self.end_block()?;
        self.file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;

    fn put(kind: FactKind, key: &str, facts: serde_json::Value) -> Change {
        let fact = Fact::from_text(kind, &facts.to_string()).unwrap();
        Change::Put { key: key.to_owned(), fact, version: 7 }
    }

    /// Returns one fact of each kind, with all members set, and an audience.
    fn one_fact_of_each_kind() -> Vec<Change> {
        let mut changes = base_facts();
        changes.extend(campaign_facts());
        changes
    }

    fn base_facts() -> Vec<Change> {
        vec![
            put(
                FactKind::Settings,
                "",
                json!({
                    "localCurrencyCode": "NOK", "timeZone": "Europe/Oslo",
                    "pricePolicy": "HIERARCHY", "priceHierarchy": ["CAMPAIGN", "ALL_CUSTOMERS"],
                    "neverAboveListPrice": true
                }),
            ),
            put(
                FactKind::Currency,
                "EUR",
                json!({"unitAmountPrecision": "0.001", "amountPrecision": "0.05"}),
            ),
            put(
                FactKind::ExchangeRate,
                "EUR|2031-01-01",
                json!({"currencyCode": "EUR", "startingDate": "2031-01-01", "rate": "0.1"}),
            ),
            put(
                FactKind::Item,
                "DESK",
                json!({
                    "listPrice": "400", "priceIncludesTax": true, "taxPercent": "25",
                    "itemDiscountGroupCode": "WOOD", "blocked": true,
                    "baseUnitOfMeasureCode": "PCS", "unitCost": "200.5", "variants": ["OAK"],
                    "unitsOfMeasure": [{"code": "SET", "quantityPerUnit": "2"}]
                }),
            ),
            put(
                FactKind::Contact,
                "ACME",
                json!({
                    "ordinal": 3, "type": "PERSON", "companyNumber": "ACME", "currencyCode": "EUR",
                    "customer": {
                        "number": "D1", "priceGroupCode": "A", "discountGroupCode": "B",
                        "allowLineDiscount": true, "pricesIncludeTax": false
                    }
                }),
            ),
        ]
    }

    fn campaign_facts() -> Vec<Change> {
        vec![
            put(
                FactKind::Campaign,
                "SPRING",
                json!({"startingDate": "2031-05-01", "endingDate": "2031-05-31"}),
            ),
            put(
                FactKind::PriceLine,
                "0190b5c2-7d5e-7000-8000-000000000001",
                json!({
                    "source": {"type": "CAMPAIGN", "campaignNumber": "SPRING"},
                    "itemNumber": "DESK", "variantCode": "OAK", "unitOfMeasureCode": "SET",
                    "currencyCode": "EUR",
                    "minimumQuantity": "5", "startingDate": "2031-05-01",
                    "endingDate": "2031-05-31", "unitPrice": "350.12345",
                    "allowLineDiscount": true, "priceIncludesTax": false, "taxPercent": "15"
                }),
            ),
            put(
                FactKind::DiscountLine,
                "0190b5c2-7d5e-7000-8000-000000000002",
                json!({
                    "source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "DESK",
                    "itemDiscountGroupCode": null, "variantCode": null, "unitOfMeasureCode": null,
                    "currencyCode": null, "minimumQuantity": "0", "startingDate": null,
                    "endingDate": null, "lineDiscountPercent": "12.5"
                }),
            ),
            Change::AudienceAdd {
                campaign: "SPRING".to_owned(),
                accounts: RoaringBitmap::from([3]),
            },
        ]
    }

    #[test]
    fn format_change_needs_a_new_version() {
        let disk = SnapshotStore::at(
            std::env::temp_dir().join(format!("kampanje-form-{}", std::process::id())),
        );
        let snapshot = Arc::new(Snapshot::empty().advanced(7, one_fact_of_each_kind()));
        let content = SnapshotFile { fingerprint: Some("mark".to_owned()), known_at: 1, snapshot };
        disk.write(&content).unwrap();
        let bytes = fs::read(&disk.path).unwrap();
        let read = disk.read().unwrap().unwrap();
        fs::remove_file(&disk.path).unwrap();
        assert_eq!(read.snapshot.content_hash(), content.snapshot.content_hash());
        assert_eq!(
            (FORMAT_VERSION, xxh3_64(&bytes)),
            (3, 6_683_436_737_767_368_702),
            "the written form has changed: increase FORMAT_VERSION, so that older files are not \
                misread, and update both numbers here"
        );
    }
}
