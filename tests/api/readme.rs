//! The README's first campaign, as it stands there.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::TestApp;

/// Method, path and body of a `curl` line.
fn request(line: &str) -> (Method, String, Option<String>) {
    let (options, body) = match line.split_once(" -d '") {
        Some((options, body)) => (options, Some(body.trim_end_matches('\'').to_owned())),
        None => (line, None),
    };
    let words: Vec<&str> = options.split_whitespace().map(|word| word.trim_matches('\'')).collect();
    let method = words.iter().position(|word| *word == "-X").map_or("GET", |at| words[at + 1]);
    let path = words.iter().find_map(|word| word.strip_prefix("localhost:8080")).unwrap();
    (method.parse().unwrap(), path.to_owned(), body)
}

#[actix_web::test]
async fn the_first_campaign_of_the_readme_works_as_written() {
    let app = TestApp::new().await;
    let readme = include_str!("../../README.md");
    let lines: Vec<&str> = readme
        .lines()
        .filter(|line| line.starts_with("curl ") && line.contains("localhost:8080"))
        .collect();
    assert_eq!(lines.len(), 10);
    let mut last = Value::Null;
    for line in lines {
        let (method, path, body) = request(line);
        let reply = app.send(method, &path, &[], body.as_deref()).await;
        assert!(reply.status.is_success(), "{line}: {reply:?}");
        last = reply.json();
    }
    let quoted = &last["lines"][0];
    assert_eq!(
        (&quoted["unitPrice"], &quoted["source"]["campaignNumber"]),
        (&json!("350"), &json!("SPRING"))
    );
    assert!(!quoted["trace"]["prices"].as_array().unwrap().is_empty());
}
