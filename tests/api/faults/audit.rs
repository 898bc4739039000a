//! What clients were told against what there is, once everything is up again.

use std::collections::BTreeMap;

use reqwest::Client;
use serde_json::Value;

use super::Size;
use super::clients::{Answers, Published, Writer, document};
use super::machines::Machines;
use crate::support::history::{all_rows, publications};

/// What it came to.
pub struct Audit {
    pub versions: usize,
    /// Answers that were asked for again and were the same.
    pub asked_again: usize,
    /// What is not there, or otherwise than it was told.
    pub losses: Vec<String>,
    /// What is there more than once.
    pub doubles: Vec<String>,
}

impl Audit {
    /// Looks everything up.
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
        };
        audit.follow_the_book(&urls[1], writers).await;
        for writer in writers {
            audit.look_at_the_drafts(&urls[0], writer).await;
        }
        audit.count_what_is_new(&urls[0], writers).await;
        audit.ask_again(&urls, answers, size).await;
        audit
    }

    /// At every version the book carries of each writer's own just what the writer was told by
    /// then. So no change is missing, none is there in part, and none came back.
    async fn follow_the_book(&mut self, url: &str, writers: &[Writer<'_>]) {
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
                take_over(&mut books[at], row, &mut quantities);
            }
            for (writer, book) in writers.iter().zip(&books) {
                let next = writer.journal.partition_point(|(at, _)| *at <= version);
                let told = &writer.journal[next - 1];
                if told.1 != *book {
                    let name = &writer.name;
                    self.losses.push(format!(
                        "{name} at version {version}: told {told:?}, there is {book:?}"
                    ));
                    return;
                }
            }
        }
        assert!(rows.next().is_none(), "a change has no publication");
    }

    async fn look_at_the_drafts(&mut self, url: &str, writer: &Writer<'_>) {
        let name = &writer.name;
        let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
        let prices = all_rows(url, &format!("/v1/campaigns/{name}/prices?top=1000")).await;
        let mut expected = writer.prices.clone();
        for row in &prices {
            let quantity = text(row, "minimumQuantity");
            if expected.remove(&quantity) != Some(text(row, "unitPrice")) {
                self.losses.push(format!("{name} has a price that nobody made: {row}"));
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

    /// Persons and interactions could be there as often as anybody wants; each was asked for once.
    async fn count_what_is_new(&mut self, url: &str, writers: &[Writer<'_>]) {
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
                None => self.losses.push(format!("{name} is not there")),
                Some(1) => {}
                Some(count) => self.doubles.push(format!("{name} is there {count} times")),
            }
        }
    }

    /// Asks for the answers of then, through the one replica and the other.
    async fn ask_again(&mut self, urls: &[String], answers: &Answers, size: &Size) {
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

/// Brings a writer's part of the book from one version to the next.
fn take_over<'r>(
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
