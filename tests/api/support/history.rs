//! The history of the price book as a client reads it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::wait::in_time;

/// Returns all rows of a list from the service at a URL, page by page.
pub async fn all_rows(url: &str, path: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let request = reqwest::get(format!("{url}{path}"));
        let response = in_time(&format!("{path} is answered"), request).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let mut page: Value = response.json().await.unwrap();
        rows.append(page["value"].as_array_mut().unwrap());
        next = page["nextLink"].as_str().map(str::to_owned);
    }
    rows
}

/// Returns all publications. Asserts that their versions have no gap, and that their numbers of
/// changes match the listed changes.
pub async fn publications(url: &str) -> Vec<Value> {
    let publications = all_rows(url, "/v1/publications?orderby=version&top=1000").await;
    for (version, publication) in (1_i64..).zip(&publications) {
        assert_eq!(publication["version"], version, "a gap before {publication}");
        let mut counts = BTreeMap::from([
            ("ADDED".to_owned(), 0),
            ("CHANGED".to_owned(), 0),
            ("REMOVED".to_owned(), 0),
        ]);
        for row in all_rows(url, &format!("/v1/publications/{version}/changes?top=1000")).await {
            *counts.get_mut(row["change"].as_str().unwrap()).unwrap() += 1;
        }
        for (change, count) in counts {
            assert_eq!(publication[change.to_lowercase()], count, "{change} of {publication}");
        }
    }
    publications
}
