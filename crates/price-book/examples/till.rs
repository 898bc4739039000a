//! A till that keeps its own copy of the price book and prices with it, also without the service.
//!
//! ```text
//! cargo run -p price-book --example till -- http://127.0.0.1:8080 till.ndjson CHAIR 12 CT000001
//! ```
//!
//! The arguments are the service, the file that keeps the copy, an item, a quantity, and
//! optionally a contact. If `KAMPANJE_API_KEY` is set, it is sent. The file has one page of the
//! feed per line. The till first reads the file, then asks the service for what is newer, and then
//! answers from its copy. Stop the service and run it again: the answer is the same.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write as _;

use chrono::Local;
use price_book::feed::{FeedCopy, FeedPage};
use price_book::quote::request::{QuoteParty, QuoteRequest, RequestLine};
use price_book::quote::write_quote;
use reqwest::StatusCode;
use values::{Key, Quantity};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let mut arguments = env::args().skip(1);
    let mut argument = |name: &str| arguments.next().ok_or(format!("{name} is missing"));
    let (service, file) = (argument("the address of the service")?, argument("the file")?);
    let item = Key::parse(&argument("the item")?)?.into_text();
    let quantity = Quantity::parse(&argument("the quantity")?)?;
    let contact = argument("the contact").ok().map(|text| Key::parse(&text)).transpose()?;

    let mut copy = FeedCopy::default();
    for line in fs::read_to_string(&file).unwrap_or_default().lines() {
        copy.apply(serde_json::from_str(line)?)?;
    }
    let mut followed = follow(&mut copy, &service, &file);
    if followed.as_ref().is_err_and(|error| error.is::<OtherHistory>()) {
        // The service was restored to an earlier state, so the copy starts over.
        fs::write(&file, "")?;
        copy = FeedCopy::default();
        followed = follow(&mut copy, &service, &file);
    }
    if let Err(error) = followed {
        eprintln!("offline, pricing with version {}: {error}", copy.snapshot().version());
    }

    let request = QuoteRequest {
        party: contact
            .map_or(QuoteParty::Anybody, |number| QuoteParty::Contact(number.into_text().into())),
        lines: vec![RequestLine::new(item, quantity)],
        ..QuoteRequest::on(Local::now().date_naive())
    };
    let mut answer = Vec::new();
    write_quote(copy.snapshot(), &request, &mut Default::default(), &mut answer)?;
    println!("{}", String::from_utf8(answer)?);
    Ok(())
}

/// The service has another history than the copy.
#[derive(Debug, thiserror::Error)]
#[error("the service has another history than the copy")]
struct OtherHistory;

/// Applies all changes since the version of the copy, and appends them to the file.
fn follow(copy: &mut FeedCopy, service: &str, file: &str) -> Result<(), Error> {
    let client = reqwest::blocking::Client::new();
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    let since = copy.snapshot().version();
    let mut first = format!("/v1/price-changes?since={since}&top=1000");
    if since > 0 {
        first.push_str(&format!("&bookId={}", copy.snapshot().book_id()));
    }
    let mut next = Some(first);
    while let Some(path) = next {
        let mut request = client.get(format!("{service}{path}"));
        if let Ok(key) = env::var("KAMPANJE_API_KEY") {
            request = request.bearer_auth(key);
        }
        let response = request.send()?;
        if response.status() == StatusCode::CONFLICT {
            return Err(OtherHistory.into());
        }
        let page: FeedPage = response.error_for_status()?.json()?;
        next = page.next_link.clone();
        let is_news = !page.value.is_empty();
        let line = serde_json::to_string(&page)?;
        copy.apply(page)?;
        if is_news {
            writeln!(file, "{line}")?;
        }
    }
    Ok(())
}
