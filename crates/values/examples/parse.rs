//! Parses texts as values, for comparisons with another implementation (`.ci/compare-values`).
//! Reads lines of JSON such as `["amount","1.50"]`, and writes the canonical text of each value as
//! JSON, or `null` if it is refused.

use std::fmt::Display;
use std::io::{BufRead, BufWriter, Write, stdin, stdout};

use values::wire::Invalid;
use values::{Amount, Date, ExchangeRate, Percent, Quantity, SignedQuantity};

fn main() -> std::io::Result<()> {
    let mut out = BufWriter::new(stdout().lock());
    for line in stdin().lock().lines() {
        let (kind, text): (String, String) = serde_json::from_str(&line?)?;
        let value = match kind.as_str() {
            "amount" => canonical(Amount::parse(&text)),
            "percent" => canonical(Percent::parse(&text)),
            "quantity" => canonical(Quantity::parse(&text)),
            "signedQuantity" => canonical(SignedQuantity::parse(&text)),
            "exchangeRate" => canonical(ExchangeRate::parse(&text)),
            "date" => canonical(Date::parse(&text)),
            _ => return Err(std::io::Error::other(format!("unknown kind {kind}"))),
        };
        serde_json::to_writer(&mut out, &value)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

fn canonical<T: Display>(parsed: Result<T, Invalid>) -> Option<String> {
    parsed.ok().map(|value| value.to_string())
}
