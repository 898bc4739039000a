//! The baseline of `bench/over_http.py`: an actix server that returns given answers with the
//! minimum of work that any service needs.
//!
//! `bare PORT ONE HUNDRED EXPLAINED`, where the last three are files with answers to price quotes.
//! GET and POST `/v1/price-quotes` accept the requests that the service accepts. GET returns the
//! bytes of the first file. POST parses the body and returns the second file. At `/ready` it
//! returns the file's bytes, and at `/v1/price-quotes` serde writes it from a type of the same
//! shape. At `/explained` it returns the bytes of the third file.

use actix_web::{App, HttpResponse, HttpServer, web};
use serde::{Deserialize, Serialize};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The body of a request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "only its reading is measured")]
struct Request {
    contact_number: Option<String>,
    date: Option<String>,
    lines: Vec<RequestLine>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "only its reading is measured")]
struct RequestLine {
    item_number: String,
    quantity: Option<String>,
}

/// The answer to a request.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiResponse {
    publication_version: i64,
    book_id: String,
    date: String,
    account_number: Option<String>,
    currency_code: Option<String>,
    prices_include_tax: bool,
    lines: Vec<Line>,
    totals: Totals,
    warnings: Vec<serde_json::Value>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    outcome: String,
    unit_price: String,
    line_discount_percent: String,
    net_unit_price: String,
    gross_amount: String,
    discount_amount: String,
    line_amount: String,
    list_price: Option<String>,
    price_line: Option<Used>,
    discount_line: Option<Used>,
    source: Source,
    valid_until: Option<String>,
    next_break: Option<Break>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Used {
    id: String,
    source: Source,
    publication_version: i64,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
enum Source {
    Campaign { campaign_number: String },
    Contact { contact_number: String },
    CustomerPriceGroup { code: String },
    CustomerDiscountGroup { code: String },
    AllCustomers,
    ListPrice,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Break {
    quantity: String,
    unit_price: String,
    line_discount_percent: String,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Totals {
    gross_amount: String,
    discount_amount: String,
    line_amount: String,
}

/// Returns the answer, if the body has as many lines as the answer.
fn answer_to(body: &[u8], lines: usize, answer: impl FnOnce() -> Vec<u8>) -> HttpResponse {
    match serde_json::from_slice::<Request>(body) {
        Ok(request) if request.lines.len() == lines => {
            HttpResponse::Ok().content_type("application/json").body(answer())
        }
        _ => HttpResponse::BadRequest().finish(),
    }
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, one, hundred, explained] = arguments.as_slice() else {
        anyhow::bail!("bare PORT ONE HUNDRED EXPLAINED")
    };
    let one = web::Bytes::from(std::fs::read(one)?);
    let (ready, explained) = (std::fs::read(hundred)?, std::fs::read(explained)?);
    let typed: ApiResponse = serde_json::from_slice(&ready)?;
    anyhow::ensure!(
        serde_json::to_vec(&typed)? == ready,
        "the type does not have the shape of the answer"
    );
    let lines = typed.lines.len();
    HttpServer::new(move || {
        let (one, ready, typed, explained) =
            (one.clone(), ready.clone(), typed.clone(), explained.clone());
        let get = move || {
            let one = one.clone();
            async move { HttpResponse::Ok().content_type("application/json").body(one) }
        };
        let by_serde = move |body: web::Bytes| {
            let mut bytes = Vec::with_capacity(lines * 600);
            let written = serde_json::to_writer(&mut bytes, &typed);
            std::future::ready(answer_to(&body, lines, || {
                written.map(|()| bytes).unwrap_or_default()
            }))
        };
        let by_bytes =
            move |body: web::Bytes| std::future::ready(answer_to(&body, lines, || ready.clone()));
        let by_more_bytes = move |body: web::Bytes| {
            std::future::ready(answer_to(&body, lines, || explained.clone()))
        };
        App::new()
            .route("/v1/price-quotes", web::get().to(get))
            .route("/v1/price-quotes", web::post().to(by_serde))
            .route("/ready", web::post().to(by_bytes))
            .route("/explained", web::post().to(by_more_bytes))
    })
    .bind(("127.0.0.1", port.parse::<u16>()?))?
    .run()
    .await?;
    Ok(())
}
