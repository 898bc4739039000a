//! Verifies a file of received webhooks; see `all`.

use anyhow::Context as _;
use serde_json::Value;
use standardwebhooks::Webhook;

fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("the file is missing")?;
    let received: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let webhook = Webhook::new(received["secret"].as_str().context("no secret")?)?;
    let messages = received["messages"].as_array().context("no messages")?;
    for message in messages {
        let header = |name: &'static str| message["headers"][name].as_str().context(name);
        let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?.parse()?);
        let body = message["body"].as_str().context("no body")?;
        // Signed again instead of verified: the library refuses what was sent more than five minutes
        // ago, and the file can be older.
        let expected = webhook.sign(id, timestamp, body.as_bytes())?;
        let actual = header("webhook-signature")?;
        anyhow::ensure!(actual == expected, "another signature: {message}");
    }
    println!("Rust: {} signatures verified", messages.len());
    Ok(())
}
