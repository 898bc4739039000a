//! The service as a process.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::Value;

use super::servers::Killed;

pub fn kampanje(arguments: &[&str], database_url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kampanje"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KAMPANJE_")) {
        command.env_remove(name);
    }
    command.args(arguments).env("DATABASE_URL", database_url).stdin(Stdio::null());
    command
}

/// Returns the output of a command that ends by itself.
pub fn run(arguments: &[&str], database_url: &str) -> Output {
    kampanje(arguments, database_url).output().unwrap()
}

/// A serving process.
pub struct Service {
    pub url: String,
    _process: Killed,
}

impl Service {
    pub fn start(database_url: &str) -> Self {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--log-format", "json"];
        let mut command = kampanje(&arguments, database_url);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = Killed::spawn(command);
        let (to, from) = channel();
        let log = BufReader::new(process.child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                println!("{line}");
                let line: Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(url) = line["url"].as_str() {
                    let _ = to.send(url.to_owned());
                }
            }
        });
        let url = from.recv_timeout(Duration::from_secs(60)).expect("the service listens");
        Self { url, _process: process }
    }

    /// Puts an item with a price, and returns the status.
    pub async fn put_item(&self, number: &str, price: &str) -> u16 {
        let request = reqwest::Client::new()
            .put(format!("{}/v1/items/{number}", self.url))
            .header("if-none-match", "*")
            .timeout(Duration::from_secs(60))
            .json(&serde_json::json!({"listPrice": price}));
        request.send().await.map_or(0, |response| response.status().as_u16())
    }

    /// Returns the status of a quote for an item.
    pub async fn quote(&self, number: &str) -> u16 {
        let url = format!("{}/v1/price-quotes?itemNumber={number}", self.url);
        reqwest::get(url).await.map_or(0, |response| response.status().as_u16())
    }
}
