//! The copy of the book on disk: what a replica starts from, with or without the database.
//!
//! ```text
//! KMPJBOOK, number of the form (u32)
//! blocks: bytes (u32), records (u32), checksum (u64, XXH3 seeded with the number of the block), the records in MessagePack
//! ```
//!
//! The first record says from where the copy is, the last one how many came before; between them
//! are the facts, and the audiences as sets of ordinals. A block is checked before it is read, so
//! what was damaged or cut off is never taken for a price. A copy is made beside the old one and
//! put in its place when it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rmp_serde::Deserializer;
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use tokio::sync::Mutex;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::facts::{Change, Fact, FactKind};
use super::live::LiveBook;
use super::snapshot::Snapshot;
use crate::platform::background::background;

/// What every copy begins with.
const MAGIC: &[u8; 8] = b"KMPJBOOK";
/// The number of the form, here and in `facts`: another one with every change of what is written. A
/// copy of another form is not read.
const FORMAT_VERSION: u32 = 1;
/// A block is written when it has so many bytes.
const BLOCK: usize = 1 << 20;
/// Blocks that are read ahead of those that are being applied.
const BLOCKS_AHEAD: usize = 2;

/// A copy with what it has to be told about it.
#[derive(Debug, Clone)]
pub struct Copy {
    /// Which database the book is from.
    pub identity: Vec<u8>,
    /// What the database says of its version.
    pub fingerprint: Option<String>,
    /// When it was last known to be the newest, in milliseconds since 1970.
    pub known_at: i64,
    /// The book.
    pub snapshot: Arc<Snapshot>,
}

/// Why there is no copy to be had from the disk.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    File(#[from] io::Error),
    /// It is another kind of file, or of another build.
    #[error("it is not of the form that this build writes")]
    Form,
    /// It was damaged or cut off.
    #[error("block {0} is damaged")]
    Damaged(u64),
    /// A block that is whole does not hold what this build writes.
    #[error("a record is not of the form that this build writes: {0}")]
    Record(#[from] rmp_serde::decode::Error),
    /// There is something behind the end, or no end.
    #[error("it does not end where it has to")]
    End,
}

/// The first record: from where the copy is.
#[derive(Serialize, Deserialize)]
struct Head {
    identity: ByteBuf,
    fingerprint: Option<String>,
    known_at: i64,
    version: i64,
}

/// What a record is, when it is no fact; facts have the place of their kind in [`FactKind::ALL`].
const AUDIENCE: u8 = 100;
const END: u8 = 101;

/// A record behind the first one.
enum Record {
    /// A fact.
    Put(Change),
    /// A campaign's audience, as a set of ordinals.
    Audience(String, RoaringBitmap),
    /// The last record: how many came before it.
    End(u64),
}

/// Where a copy is kept; cloning shares it.
#[derive(Debug, Clone)]
pub struct DiskCopy {
    path: PathBuf,
    /// Held by whoever writes: two at once would take each other's file.
    writing: Arc<Mutex<()>>,
}

impl DiskCopy {
    /// A copy in this file.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path, writing: Arc::default() }
    }

    /// Reads the copy; none if there is no file. It blocks the thread.
    ///
    /// # Errors
    /// When the file is not a whole copy that a build like this has written.
    pub fn read(&self) -> Result<Option<Copy>, CopyError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut blocks = Blocks::open(file)?;
        let head = blocks.next()?.ok_or(CopyError::End)?;
        let Head { identity, fingerprint, known_at, version } =
            Head::deserialize(&mut Deserializer::from_read_ref(&head.bytes))?;
        let mut snapshot = Snapshot::empty().advanced(version, []);
        let (sender, records) = sync_channel(BLOCKS_AHEAD);
        // One thread takes the records apart while the other puts them into the book.
        std::thread::scope(|scope| {
            let reading = scope.spawn(move || read_records(blocks, &sender));
            apply_records(&mut snapshot, &records);
            reading.join().unwrap_or(Err(CopyError::End))
        })?;
        Ok(Some(Copy {
            identity: identity.into_vec(),
            fingerprint,
            known_at,
            snapshot: Arc::new(snapshot),
        }))
    }

    /// Writes the copy beside the one that is there, and puts it in its place: how many bytes. It
    /// blocks the thread, and takes no more memory than a block.
    ///
    /// # Errors
    /// When the file cannot be written; the old copy stays.
    pub fn write(&self, copy: &Copy) -> io::Result<u64> {
        let mut beside = self.path.clone().into_os_string();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        let written = write_file(&beside, copy).and_then(|bytes| {
            fs::rename(&beside, &self.path)?;
            // The name is safe when the directory is.
            let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(bytes)
        });
        if written.is_err() {
            // It may not even have been made.
            let _ = fs::remove_file(&beside);
        }
        written
    }

    /// Fills a book that has nothing yet: with which version. A copy that cannot be used is logged
    /// and left alone, and the next one takes its place.
    pub async fn restore(&self, book: &LiveBook) -> Option<i64> {
        let began = Instant::now();
        let (disk, path) = (self.clone(), self.path.display());
        let read =
            tokio::task::spawn_blocking(move || disk.read()).await.unwrap_or(Err(CopyError::End));
        match read {
            Ok(Some(copy)) => {
                let version = copy.snapshot.version();
                book.restore(copy).await;
                tracing::info!(%path, version, millis = millis(began), "the price book was read from its copy on disk");
                return Some(version);
            }
            Ok(None) => tracing::info!(%path, "there is no copy of the price book on disk yet"),
            Err(error) => {
                tracing::warn!(%path, %error, "the copy of the price book on disk is passed over")
            }
        }
        None
    }

    /// Writes the book as it is now, if it is known where it comes from.
    pub async fn keep(&self, book: &LiveBook) {
        let _writing = self.writing.lock().await;
        let Some(copy) = book.copy().await else { return };
        let began = Instant::now();
        let (disk, path, version) = (self.clone(), self.path.display(), copy.snapshot.version());
        match background(move || disk.write(&copy)).await {
            Ok(bytes) => {
                tracing::info!(%path, version, bytes, millis = millis(began), "the price book was copied to disk");
            }
            Err(error) => {
                tracing::warn!(%path, %error, "the price book could not be copied to disk")
            }
        }
    }

    /// Writes the book whenever it has another version than the one that was kept last, but so
    /// often at most, for as long as the process lives.
    pub async fn keep_up(self, book: LiveBook, mut kept: i64, at_most_every: Duration) {
        loop {
            book.differs_from(kept).await;
            kept = book.snapshot().version();
            self.keep(&book).await;
            tokio::time::sleep(at_most_every).await;
        }
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// A block that is whole.
struct Block {
    records: u32,
    bytes: Vec<u8>,
}

/// The blocks of a file, in their order.
struct Blocks {
    file: BufReader<File>,
    number: u64,
    left: u64,
}

impl Blocks {
    fn open(file: File) -> Result<Self, CopyError> {
        let left = file.metadata()?.len();
        let mut blocks = Self { file: BufReader::new(file), number: 0, left };
        let (magic, form) = (blocks.take::<8>(), blocks.take::<4>());
        match (magic, form) {
            (Ok(magic), Ok(form)) if magic == *MAGIC && form == FORMAT_VERSION.to_le_bytes() => {
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

    /// The next block; none at the end of the file.
    fn next(&mut self) -> Result<Option<Block>, CopyError> {
        if self.left == 0 {
            return Ok(None);
        }
        let damaged = CopyError::Damaged(self.number);
        let length = u32::from_le_bytes(self.take()?);
        let records = u32::from_le_bytes(self.take()?);
        let checksum = u64::from_le_bytes(self.take()?);
        // What is not there is not reserved either.
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

/// Takes in what the frame of a block says too, so that blocks cannot change places.
fn checksum_of(number: u64, records: u32, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, number.rotate_left(32) ^ u64::from(records))
}

/// Reads all records, and hands out all but the last one, block by block.
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
        // Whoever applies them ends after us.
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

fn write_file(path: &Path, copy: &Copy) -> io::Result<u64> {
    // What a process of the same number has left; never written through, in case it is a link.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // It holds prices and customers: for nobody else to read.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut writer = Writer::begin(file)?;
    let snapshot = &copy.snapshot;
    let identity = ByteBuf::from(copy.identity.clone());
    let head = Head {
        identity,
        fingerprint: copy.fingerprint.clone(),
        known_at: copy.known_at,
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
        if self.block.len() >= BLOCK { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> io::Result<()> {
        // A record is never near four gigabytes: the largest is an audience, of half a gigabyte if
        // it has all possible accounts.
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

    /// Writes the last record, and waits until all of it is on the disk.
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

    /// One fact of each kind, with every member set, and an audience.
    fn some_of_everything() -> Vec<Change> {
        let put = |kind: FactKind, key: &str, facts: serde_json::Value| Change::Put {
            key: key.to_owned(),
            fact: Fact::from_text(kind, &facts.to_string()).unwrap(),
            version: 7,
        };
        vec![
            put(
                FactKind::Settings,
                "",
                json!({"localCurrencyCode": "NOK", "timeZone": "Europe/Oslo", "pricePolicy": "HIERARCHY",
                    "priceHierarchy": ["CAMPAIGN", "ALL_CUSTOMERS"], "neverAboveListPrice": true}),
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
                json!({"listPrice": "400", "priceIncludesTax": true, "taxPercent": "25", "itemDiscountGroupCode": "WOOD",
                    "blocked": true, "baseUnitOfMeasureCode": "PCS", "unitCost": "200.5", "variants": ["OAK"],
                    "unitsOfMeasure": [{"code": "SET", "quantityPerUnit": "2"}]}),
            ),
            put(
                FactKind::Contact,
                "ACME",
                json!({"ordinal": 3, "type": "PERSON", "companyNumber": "ACME", "currencyCode": "EUR", "customer": {"number": "D1",
                    "priceGroupCode": "A", "discountGroupCode": "B", "allowLineDiscount": true, "pricesIncludeTax": false}}),
            ),
            put(
                FactKind::Campaign,
                "SPRING",
                json!({"startingDate": "2031-05-01", "endingDate": "2031-05-31"}),
            ),
            put(
                FactKind::PriceLine,
                "0190b5c2-7d5e-7000-8000-000000000001",
                json!({"source": {"type": "CAMPAIGN", "campaignNumber": "SPRING"}, "itemNumber": "DESK", "variantCode": "OAK",
                    "unitOfMeasureCode": "SET", "currencyCode": "EUR", "minimumQuantity": "5", "startingDate": "2031-05-01",
                    "endingDate": "2031-05-31", "unitPrice": "350.12345", "allowLineDiscount": true,
                    "priceIncludesTax": false, "taxPercent": "15"}),
            ),
            put(
                FactKind::DiscountLine,
                "0190b5c2-7d5e-7000-8000-000000000002",
                json!({"source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "DESK", "itemDiscountGroupCode": null,
                    "variantCode": null, "unitOfMeasureCode": null, "currencyCode": null, "minimumQuantity": "0",
                    "startingDate": null, "endingDate": null, "lineDiscountPercent": "12.5"}),
            ),
            Change::AudienceAdd {
                campaign: "SPRING".to_owned(),
                accounts: RoaringBitmap::from([3]),
            },
        ]
    }

    #[test]
    fn another_form_has_another_number() {
        let disk = DiskCopy::at(
            std::env::temp_dir().join(format!("kampanje-form-{}", std::process::id())),
        );
        let snapshot = Arc::new(Snapshot::empty().advanced(7, some_of_everything()));
        let copy = Copy {
            identity: vec![1; 32],
            fingerprint: Some("mark".to_owned()),
            known_at: 1,
            snapshot,
        };
        disk.write(&copy).unwrap();
        let bytes = fs::read(&disk.path).unwrap();
        let read = disk.read().unwrap().unwrap();
        fs::remove_file(&disk.path).unwrap();
        assert_eq!(read.snapshot.content_hash(), copy.snapshot.content_hash());
        assert_eq!(
            (FORMAT_VERSION, xxh3_64(&bytes)),
            (1, 998_673_673_591_138_455),
            "what is written has changed: give FORM the next number, so that older copies are not misread, and put both here"
        );
    }
}
