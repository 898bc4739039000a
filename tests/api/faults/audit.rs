//! The audit after the faults: compares the acknowledged changes with the data.

use std::collections::BTreeMap;

use diesel::sql_types::BigInt;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};
use reqwest::Client;
use serde_json::Value;

use super::Size;
use super::clients::{Answers, Published, Writer, document};
use super::machines::Machines;
use crate::support::history::{all_rows, publications};

/// The result of the audit.
pub struct Audit {
    pub versions: usize,
    /// Number of repeated queries that had the original answer.
    pub asked_again: usize,
    /// Missing data, or data that differs from its acknowledgement.
    pub losses: Vec<String>,
    /// Data that exists more than once.
    pub doubles: Vec<String>,
    /// Numbers of entries of the audit log, events and idempotency records.
    pub records: [i64; 3],
}

/// The rows that contradict an invariant between publications, events, audit log and idempotency
/// records. Each change of this test publishes at most one version.
const CONTRADICTIONS: [(&str, &str); 6] = [
    (
        "publications without an entry in the audit log",
        "publications WHERE version > 1 AND NOT EXISTS (
            SELECT FROM audit_entries WHERE publication_version = publications.version)",
    ),
    (
        "publications with several entries in the audit log",
        "(SELECT publication_version FROM audit_entries WHERE publication_version IS NOT NULL
            GROUP BY publication_version HAVING count(*) > 1) AS doubled",
    ),
    (
        "entries in the audit log without their publication",
        "audit_entries WHERE publication_version IS NOT NULL AND NOT EXISTS (
            SELECT FROM publications WHERE version = publication_version)",
    ),
    (
        "publications without exactly one event",
        "publications WHERE 1 <> (SELECT count(*) FROM events
            WHERE (data->>'version')::bigint = publications.version)",
    ),
    (
        "gaps in the sequence of events",
        "(SELECT FROM events HAVING count(*) <> coalesce(max(sequence), 0)) AS gaps",
    ),
    (
        "idempotency records without exactly one entry in the audit log",
        "idempotency_records AS record, LATERAL (SELECT header->>1 AS version
            FROM jsonb_array_elements(headers) AS header
            WHERE header->>0 = 'publication-version') AS published
            WHERE 1 <> (SELECT count(*) FROM audit_entries
                WHERE publication_version = published.version::bigint
                    AND status = record.status)",
    ),
];

impl Audit {
    /// Performs the whole audit.
    pub async fn of(
        machines: &Machines,
        writers: &[Writer<'_>],
        answers: &Answers,
        size: &Size,
    ) -> Self {
        let urls: Vec<String> =
            machines.replicas.iter().map(|replica| replica.serving().unwrap().1).collect();
        let history = publications(&urls[0]).await;
        let mut audit = Self {
            versions: history.len(),
            asked_again: 0,
            losses: Vec::new(),
            doubles: Vec::new(),
            records: [0; 3],
        };
        audit.reconcile_records(machines.postgres.url()).await;
        audit.check_the_book(&urls[1], writers).await;
        for writer in writers {
            audit.check_drafts(&urls[0], writer).await;
        }
        audit.count_created_rows(&urls[0], writers).await;
        audit.repeat_queries(&urls, answers, size).await;
        audit
    }

    /// Compares the records that one transaction writes with each other.
    async fn reconcile_records(&mut self, url: &str) {
        let mut conn = AsyncPgConnection::establish(url).await.unwrap();
        let mut count = async |rows: &str| {
            let count = diesel::dsl::sql::<BigInt>(&format!("(SELECT count(*) FROM {rows})"));
            diesel::select(count).get_result::<i64>(&mut conn).await.unwrap()
        };
        for (what, rows) in CONTRADICTIONS {
            let contradictions = count(rows).await;
            if contradictions > 0 {
                self.losses.push(format!("{contradictions} {what}"));
            }
        }
        for (number, table) in
            self.records.iter_mut().zip(["audit_entries", "events", "idempotency_records"])
        {
            *number = count(table).await;
        }
    }

    /// Asserts that the book has exactly each writer's acknowledged rows at every version. So no
    /// change is missing, partial or reverted.
    async fn check_the_book(&mut self, url: &str, writers: &[Writer<'_>]) {
        let rows = all_rows(url, "/v1/price-changes?since=0&top=1000").await;
        let mut rows = rows.iter().peekable();
        let mut books = vec![Published::default(); writers.len()];
        let mut quantities: BTreeMap<&str, &str> = BTreeMap::new();
        for version in 1..=i64::try_from(self.versions).unwrap() {
            while let Some(row) = rows.next_if(|row| row["version"].as_i64() == Some(version)) {
                let owner = row["campaignNumber"].as_str().or(row["key"].as_str());
                let Some(at) =
                    writers.iter().position(|writer| Some(writer.name.as_str()) == owner)
                else {
                    continue;
                };
                apply_change(&mut books[at], row, &mut quantities);
            }
            for (writer, book) in writers.iter().zip(&books) {
                let next = writer.journal.partition_point(|(at, _)| *at <= version);
                let acknowledged = &writer.journal[next - 1];
                if acknowledged.1 != *book {
                    let name = &writer.name;
                    self.losses.push(format!(
                        "{name} at version {version}: acknowledged {acknowledged:?}, found {book:?}"
                    ));
                    return;
                }
            }
        }
        assert!(rows.next().is_none(), "a change has no publication");
    }

    async fn check_drafts(&mut self, url: &str, writer: &Writer<'_>) {
        let name = &writer.name;
        let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
        let prices = all_rows(url, &format!("/v1/campaigns/{name}/prices?top=1000")).await;
        let mut expected = writer.prices.clone();
        for row in &prices {
            let quantity = text(row, "minimumQuantity");
            if expected.remove(&quantity) != Some(text(row, "unitPrice")) {
                self.losses.push(format!("{name} has an unrequested price: {row}"));
            }
        }
        self.losses.extend(
            expected.keys().map(|quantity| format!("{name} has no price from {quantity} on")),
        );
        let lines = all_rows(url, &format!("/v1/segments/{name}/lines?top=1000")).await;
        let mut lines: Vec<String> = lines.iter().map(|row| text(row, "contactNumber")).collect();
        lines.sort();
        if !lines.iter().eq(&writer.accounts) {
            self.losses
                .push(format!("the segment of {name} has {lines:?}, not {:?}", writer.accounts));
        }
    }

    /// Persons and interactions have no unique name in the schema; each name was requested once.
    async fn count_created_rows(&mut self, url: &str, writers: &[Writer<'_>]) {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (path, field) in [("/v1/contacts", "name"), ("/v1/interactions", "description")] {
            for row in all_rows(url, &format!("{path}?top=1000")).await {
                *counts.entry(row[field].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        for name in
            writers.iter().flat_map(|writer| writer.persons.iter().chain(&writer.interactions))
        {
            match counts.get(name) {
                None => self.losses.push(format!("{name} is missing")),
                Some(1) => {}
                Some(count) => self.doubles.push(format!("{name} exists {count} times")),
            }
        }
    }

    /// Repeats queries as of their versions, through both replicas in turn.
    async fn repeat_queries(&mut self, urls: &[String], answers: &Answers, size: &Size) {
        let client = Client::new();
        let mut kept: Vec<_> = answers.iter().collect();
        kept.sort();
        let step = kept.len().div_ceil(size.asked_again).max(1);
        for (at, ((version, query), text)) in kept.into_iter().step_by(step).enumerate() {
            let url =
                format!("{}/v1/price-quotes?publicationVersion={version}", urls[at % urls.len()]);
            let answer = client.post(url).json(&document(*query)).send().await.unwrap();
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.text().await.unwrap(), *text, "the answer of version {version}");
            self.asked_again += 1;
        }
    }
}

/// Applies a change of the book to a writer's part of it.
fn apply_change<'r>(
    book: &mut Published,
    row: &'r Value,
    quantities: &mut BTreeMap<&'r str, &'r str>,
) {
    let is_there = row["change"] == "PUT";
    let texts = |field: &str| {
        row[field].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned())
    };
    let key = row["key"].as_str().unwrap();
    match row["kind"].as_str().unwrap() {
        "AUDIENCE" => {
            for account in texts("left") {
                assert!(book.accounts.remove(&account), "{row} takes what is not there");
            }
            book.accounts.extend(texts("joined"));
        }
        "ITEM" => book.list_price = row["facts"]["listPrice"].as_str().unwrap().to_owned(),
        "CAMPAIGN" => book.active = is_there,
        "PRICE_LINE" if is_there => {
            let quantity = row["facts"]["minimumQuantity"].as_str().unwrap();
            quantities.insert(key, quantity);
            book.prices.insert(
                quantity.to_owned(),
                row["facts"]["unitPrice"].as_str().unwrap().to_owned(),
            );
        }
        "PRICE_LINE" => {
            book.prices.remove(quantities[key]).unwrap();
        }
        kind => panic!("{kind} is of no writer: {row}"),
    }
}
