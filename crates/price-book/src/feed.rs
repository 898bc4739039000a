//! A copy of the price book that follows the feed of the service, `GET /v1/price-changes`.
//!
//! A till or a shop keeps such a copy and answers with the same pricing rules as the service, also
//! while the service cannot be reached. See `examples/till.rs`.

use std::collections::HashMap;

use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::facts::{Change, Fact, FactKind};
use crate::snapshot::Snapshot;

/// The kind of a record that changes an audience.
const AUDIENCE: &str = "AUDIENCE";

/// A page of the feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FeedPage {
    /// The records.
    pub value: Vec<FeedRecord>,
    /// The link to the next page, if there is one.
    #[serde(default)]
    pub next_link: Option<String>,
    /// The version up to which the records are complete.
    pub through_version: i64,
    /// The history that the versions belong to.
    pub book_id: Uuid,
}

/// A record of the feed. Other members that it has do not concern a copy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FeedRecord {
    /// The version that made the change.
    pub version: i64,
    /// If the record is put or removed.
    pub change: FeedChange,
    /// The text of a [`FactKind`], or `AUDIENCE`.
    pub kind: String,
    /// The key of the record within its kind.
    pub key: String,
    /// The campaign of an audience.
    #[serde(default)]
    pub campaign_number: Option<String>,
    /// The facts of a record that is put.
    #[serde(default)]
    pub facts: Option<Value>,
    /// The contact numbers of the accounts that join an audience.
    #[serde(default)]
    pub joined: Option<Vec<String>>,
    /// The contact numbers of the accounts that leave an audience.
    #[serde(default)]
    pub left: Option<Vec<String>>,
}

/// The change that a record makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum FeedChange {
    /// The record is added, or replaces the one with the same kind and key.
    Put,
    /// The record is removed.
    Remove,
}

/// The reason for which a page cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The service has another history than the copy, as after a restore. A new copy is needed.
    #[error("the copy is of the history {copy}, and the feed of {feed}")]
    OtherHistory {
        /// The history of the copy.
        copy: Uuid,
        /// The history of the feed.
        feed: Uuid,
    },
    /// The kind of a record is unknown: the feed is of a newer service.
    #[error("the feed has a record of the unknown kind {0}")]
    UnknownKind(String),
    /// A record is incomplete, or its facts have another form.
    #[error("the record {kind} {key} cannot be read: {reason}")]
    Record {
        /// The record's kind.
        kind: String,
        /// The record's key.
        key: String,
        /// The part that is missing or has another form.
        reason: String,
    },
    /// An audience names a contact that the feed has not described.
    #[error("the audience of {campaign} names the unknown contact {contact}")]
    UnknownContact {
        /// The campaign.
        campaign: String,
        /// The contact's number.
        contact: String,
    },
}

/// A copy of the price book.
///
/// The version of a line is that of its latest record. The feed repeats the lines of a campaign
/// when its dates change, so it can be newer than in the service.
#[derive(Debug, Clone)]
pub struct FeedCopy {
    snapshot: Snapshot,
    /// The numbers of contacts in audiences.
    ordinals: HashMap<String, u32>,
    /// Records of a version whose other records are on later pages.
    incomplete: Vec<FeedRecord>,
}

impl Default for FeedCopy {
    fn default() -> Self {
        Self { snapshot: Snapshot::empty(), ordinals: HashMap::new(), incomplete: Vec::new() }
    }
}

impl FeedCopy {
    /// Returns the book to quote from. Its version is the `since` of the next request.
    #[must_use]
    pub const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Applies a page. After an error the copy is as before, but it cannot follow any further: the
    /// feed is of another history or another version of the service, or pages were left out.
    ///
    /// # Errors
    /// If the page is of another history, or a record cannot be read.
    pub fn apply(&mut self, page: FeedPage) -> Result<(), FeedError> {
        let (through, feed, copy) = (page.through_version, page.book_id, self.snapshot.book_id());
        if !copy.is_nil() && copy != feed {
            return Err(FeedError::OtherHistory { copy, feed });
        }
        let mut records = self.incomplete.clone();
        records.extend(page.value);
        let (complete, incomplete) =
            records.into_iter().partition::<Vec<_>, _>(|record| record.version <= through);
        let mut ordinals = HashMap::new();
        let mut changes = Vec::with_capacity(complete.len());
        let (audiences, others): (Vec<_>, Vec<_>) =
            complete.iter().partition(|record| record.kind == AUDIENCE);
        for record in others {
            let change = fact_change(record)?;
            if let Change::Put { key, fact: Fact::Contact(contact), .. } = &change {
                ordinals.insert(key.clone(), contact.ordinal);
            }
            changes.push(change);
        }
        let ordinal = |number: &str| ordinals.get(number).or_else(|| self.ordinals.get(number));
        for record in audiences {
            changes.extend(audience_changes(record, |number| ordinal(number).copied())?);
        }
        self.snapshot = self.snapshot.advanced(through, changes).with_book_id(feed);
        self.ordinals.extend(ordinals);
        self.incomplete = incomplete;
        Ok(())
    }
}

fn fact_change(record: &FeedRecord) -> Result<Change, FeedError> {
    let kind: FactKind =
        record.kind.parse().map_err(|_| FeedError::UnknownKind(record.kind.clone()))?;
    let key = record.key.clone();
    Ok(match record.change {
        FeedChange::Remove => Change::Remove { kind, key },
        FeedChange::Put => {
            let facts = record.facts.as_ref().ok_or_else(|| unreadable(record, "no facts"))?;
            let fact = Fact::read(kind, facts).map_err(|error| unreadable(record, error))?;
            Change::Put { key, fact, version: record.version }
        }
    })
}

fn audience_changes(
    record: &FeedRecord,
    ordinal: impl Fn(&str) -> Option<u32>,
) -> Result<[Change; 2], FeedError> {
    let campaign =
        record.campaign_number.as_ref().ok_or_else(|| unreadable(record, "no campaign"))?;
    let accounts = |numbers: &Option<Vec<String>>| {
        let ordinals = numbers.iter().flatten().map(|number| {
            ordinal(number).ok_or_else(|| FeedError::UnknownContact {
                campaign: campaign.clone(),
                contact: number.clone(),
            })
        });
        ordinals.collect::<Result<RoaringBitmap, FeedError>>()
    };
    Ok([
        Change::AudienceRemove { campaign: campaign.clone(), accounts: accounts(&record.left)? },
        Change::AudienceAdd { campaign: campaign.clone(), accounts: accounts(&record.joined)? },
    ])
}

fn unreadable(record: &FeedRecord, reason: impl ToString) -> FeedError {
    FeedError::Record {
        kind: record.kind.clone(),
        key: record.key.clone(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(through: i64, records: Value) -> FeedPage {
        let page = json!({
            "value": records, "throughVersion": through,
            "bookId": "0190b5c2-7d5e-7000-8000-000000000001",
        });
        serde_json::from_value(page).unwrap()
    }

    fn contact(version: i64, number: &str, ordinal: u32) -> Value {
        json!({
            "version": version, "id": "ignored", "change": "PUT", "kind": "CONTACT", "key": number,
            "facts": {
                "ordinal": ordinal, "type": "COMPANY", "companyNumber": null,
                "currencyCode": null, "customer": null,
            },
        })
    }

    fn audience(version: i64, joined: &[&str], left: &[&str]) -> Value {
        json!({
            "version": version, "change": "PUT", "kind": "AUDIENCE", "key": "SALE:0",
            "campaignNumber": "SALE", "joined": joined, "left": left,
        })
    }

    #[test]
    fn version_that_spans_pages_is_applied_as_a_whole() {
        let mut copy = FeedCopy::default();
        copy.apply(page(1, json!([contact(1, "A", 7), contact(2, "B", 8)]))).unwrap();
        assert_eq!(copy.snapshot().version(), 1);
        assert!(copy.snapshot().find_contact("A").is_some());
        assert!(copy.snapshot().find_contact("B").is_none());
        copy.apply(page(2, json!([]))).unwrap();
        assert!(copy.snapshot().find_contact("B").is_some());
    }

    #[test]
    fn audience_can_precede_its_contacts() {
        let mut copy = FeedCopy::default();
        let records = json!([audience(1, &["A"], &[]), contact(1, "A", 7), contact(1, "B", 8)]);
        copy.apply(page(1, records)).unwrap();
        let members = |copy: &FeedCopy| copy.snapshot().audience("SALE").unwrap().clone();
        assert_eq!(members(&copy), RoaringBitmap::from([7]));
        copy.apply(page(2, json!([audience(2, &["B"], &["A"])]))).unwrap();
        assert_eq!(members(&copy), RoaringBitmap::from([8]));
    }

    #[test]
    fn page_of_another_history_is_refused() {
        let mut copy = FeedCopy::default();
        copy.apply(page(1, json!([contact(1, "A", 7)]))).unwrap();
        let other = FeedPage { book_id: Uuid::max(), ..page(2, json!([])) };
        assert!(matches!(copy.apply(other), Err(FeedError::OtherHistory { .. })));
        assert_eq!(copy.snapshot().version(), 1);
        copy.apply(page(2, json!([]))).unwrap();
        assert_eq!(copy.snapshot().version(), 2);
    }

    #[test]
    fn unreadable_page_changes_nothing() {
        let mut copy = FeedCopy::default();
        copy.apply(page(1, json!([contact(1, "A", 7)]))).unwrap();
        for wrong in [
            json!([contact(2, "B", 8), audience(2, &["C"], &[])]),
            json!([{"version": 2, "change": "PUT", "kind": "COUPON", "key": "X", "facts": {}}]),
            json!([{"version": 2, "change": "PUT", "kind": "ITEM", "key": "X", "facts": {}}]),
            json!([{"version": 2, "change": "PUT", "kind": "ITEM", "key": "X"}]),
        ] {
            copy.apply(page(2, wrong)).unwrap_err();
            assert_eq!(copy.snapshot().version(), 1);
            assert!(copy.snapshot().find_contact("B").is_none());
        }
    }
}
