//! The log of requests: who sent them, which are logged, and how many of the malformed ones.

use std::io::{Read, Write};
use std::net::TcpStream;

use actix_web::rt::task::spawn_blocking;

use super::process::Serving;
use super::support::database::TestDatabase;
use super::support::wait::TEST_TIMEOUT;

const MALFORMED: usize = 50;

/// Sends a request, and returns the address of the client.
fn send(url: &str, request: &str) -> String {
    let mut connection = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    connection.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    let _ = connection.read_to_end(&mut Vec::new());
    connection.local_addr().unwrap().to_string()
}

#[actix_web::test]
async fn refused_quotes_are_logged_with_their_peer_and_malformed_requests_bounded() {
    let database = TestDatabase::new().await;
    let serving = Serving::start(&[], Some(&database.url()));
    let url = serving.url.clone();
    let peer = spawn_blocking(move || {
        for _ in 0..MALFORMED {
            send(&url, "GET / HTTP/1.1\r\nHost x\r\n\r\n");
            send(&url, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n");
        }
        let refused = "/v1/price-quotes?itemNumber=";
        send(
            &url,
            &format!("GET {refused} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        )
    })
    .await
    .unwrap();
    let lines = serving.logged_until(|line| line["path"] == "/v1/price-quotes");
    let quote = lines.last().unwrap();
    assert_eq!(
        (&quote["level"], &quote["status"], quote["peer"].as_str()),
        (&"INFO".into(), &400.into(), Some(peer.as_str())),
        "{quote}"
    );
    let malformed: Vec<_> =
        lines.iter().filter(|line| line["message"] == "malformed request refused").collect();
    assert!((1..MALFORMED).contains(&malformed.len()), "{malformed:?}");
    assert!(malformed.iter().all(|line| line["level"] == "INFO"), "{malformed:?}");
    assert!(malformed[0]["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{malformed:?}");
    assert!(lines.iter().all(|line| line["level"] != "ERROR"), "{lines:?}");
}
