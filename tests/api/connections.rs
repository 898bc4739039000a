//! Stalled client connections. They do not lock others out, and a body that is only announced takes
//! no memory.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use actix_web::rt::task::spawn_blocking;

use super::process::Serving;
use super::support::database::TestDatabase;

/// Maximum wait for an answer. It is shorter than the service's timeout for bodies, so a stalled
/// connection that blocks others cannot be cleared in time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum time after a refusal for which the service reads the rest of a body.
const CUT_TIMEOUT: Duration = Duration::from_secs(5);

fn connect(url: &str) -> TcpStream {
    let stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
    stream.set_write_timeout(Some(ANSWER_TIMEOUT)).unwrap();
    stream
}

/// Opens connections, and sends on each only the beginning of a request.
fn stalled(url: &str, count: usize, beginnings: &[&str]) -> Vec<TcpStream> {
    let send = |beginning: &&str| {
        let mut stream = connect(url);
        stream.write_all(beginning.as_bytes()).unwrap();
        stream
    };
    beginnings.iter().cycle().take(count).map(send).collect()
}

/// Returns the resident memory of a process in bytes.
fn resident(pid: u32) -> u64 {
    let pages = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

#[actix_web::test]
async fn stalled_connections_do_not_lock_others_out() {
    let database = TestDatabase::new().await;
    let serving = Serving::start_with(
        |command| {
            // A shell limits the file descriptors of the service alone.
            let mut limited = Command::new("sh");
            limited
                .args(["-c", "ulimit -n 1024 && exec \"$0\" \"$@\""])
                .arg(command.get_program())
                .args(command.get_args());
            limited
        },
        &[],
        Some(&database.url()),
    );
    let url = serving.url.clone();
    spawn_blocking(move || {
        let held = stalled(
            &url,
            1_100,
            &[
                "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
                "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /livez HTTP/1.1\r\nHost:",
                "POST /v1/price-quotes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n{",
                "",
            ],
        );
        for _ in 0..3 {
            let mut client = connect(&url);
            client
                .write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        drop(held);
    })
    .await
    .unwrap();
}

#[actix_web::test]
async fn announced_bodies_take_no_memory() {
    let database = TestDatabase::new().await;
    let serving = Serving::start(&[], Some(&database.url()));
    let (url, pid) = (serving.url.clone(), serving.child.id());
    spawn_blocking(move || {
        drop(stalled(&url, 100, &["GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"]));
        let before = resident(pid);
        let held = stalled(
            &url,
            1_000,
            &["GET /livez", "POST /v1/items/batch", "PUT /v1/items/DESK", "POST /v1/price-quotes"]
                .map(|target| {
                    format!(
                        "{target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                         Content-Length: 4194304\r\n\r\n{{"
                    )
                })
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>(),
        );
        // The response comes after those connections were accepted, so their requests have begun.
        let mut client = connect(&url);
        client
            .write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        client.read_to_string(&mut String::new()).unwrap();
        let grown = resident(pid).saturating_sub(before);
        assert!(grown < 64 << 20, "{grown} bytes");
        drop(held);
    })
    .await
    .unwrap();
}

#[actix_web::test]
async fn refused_uploads_are_cut_off() {
    let database = TestDatabase::new().await;
    let serving = Serving::start(
        &["--api-key", "a key that nobody guesses, long enough"],
        Some(&database.url()),
    );
    let url = serving.url.clone();
    spawn_blocking(move || {
        let mut client = connect(&url);
        client
            .write_all(
                b"POST /v1/items HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
            )
            .unwrap();
        let mut answer = [0; 16];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer[..12], b"HTTP/1.1 401");
        let refused = Instant::now();
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(4_096));
        while client.write_all(chunk.as_bytes()).is_ok() {
            assert!(refused.elapsed() < CUT_TIMEOUT, "chunks are still read");
        }
        let _ = client.shutdown(Shutdown::Both);
    })
    .await
    .unwrap();
}
