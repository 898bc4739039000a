//! The service on the database server that it starts by itself.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use uuid::Uuid;

use super::process::{kampanje, send_signal};

#[test]
fn stop_of_the_private_server_is_not_reported_as_a_failure() {
    let data_dir =
        std::env::temp_dir().join(format!("kampanje-private-{}", Uuid::now_v7().simple()));
    let mut child =
        kampanje(&["serve", "--listen", "127.0.0.1:0", "--workers", "1", "--log-format", "json"])
            .arg("--data-dir")
            .arg(&data_dir)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains("the service listens")), "the service ended early");
    send_signal(child.id(), "INT");
    let rest: Vec<String> = log.collect();
    assert!(child.wait().unwrap().success(), "{rest:?}");
    std::fs::remove_dir_all(data_dir).unwrap();
    assert!(rest.iter().any(|line| line.contains("the service has stopped")), "{rest:?}");
    let reports = |line: &&String| line.contains("\"WARN\"") || line.contains("\"ERROR\"");
    assert_eq!(rest.iter().find(reports), None);
}
