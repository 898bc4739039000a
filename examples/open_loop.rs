//! An open-loop load generator: sends requests at a fixed rate and measures each response time from
//! the moment at which the request was due.
//!
//! `open_loop ADDRESS PATH RATE SECONDS CONNECTIONS` prints one line of JSON. It has the number of
//! answered requests per second and the quantiles of the response time in microseconds.
//!
//! A request that is due while all connections are busy waits in a queue, and the wait counts. So a
//! server that pauses is charged with every request that it delays, not only with those in flight
//! (no coordinated omission). The generator never sleeps, because timers are too coarse, so it
//! occupies one core.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::{LocalSet, yield_now};

/// The time to wait for outstanding responses at the end.
const WAIT_TIMEOUT: Duration = Duration::from_secs(5);

/// The state that the connections share.
#[derive(Default)]
struct Shared {
    /// The due times of requests that no connection has sent yet.
    due: RefCell<VecDeque<Instant>>,
    one_is_due: Notify,
    took: RefCell<Vec<Duration>>,
}

/// Sends due requests, one at a time, until it is dropped.
async fn connection(address: String, request: Vec<u8>, shared: Rc<Shared>) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let mut answer = Vec::with_capacity(1 << 16);
    loop {
        let next = shared.due.borrow_mut().pop_front();
        let Some(due) = next else {
            shared.one_is_due.notified().await;
            continue;
        };
        stream.write_all(&request).await?;
        read_answer(&mut stream, &mut answer).await?;
        shared.took.borrow_mut().push(due.elapsed());
    }
}

/// Reads one whole response, which must be a success with a content length.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> anyhow::Result<()> {
    answer.clear();
    loop {
        anyhow::ensure!(stream.read_buf(answer).await? > 0, "the server closed the connection");
        let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(answer.get(..end).unwrap_or_default())?;
        anyhow::ensure!(head.starts_with("HTTP/1.1 200"), "answered {head}");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .context("no length")?;
        let whole = end + 4 + length.parse::<usize>()?;
        while answer.len() < whole {
            anyhow::ensure!(stream.read_buf(answer).await? > 0, "the server closed the connection");
        }
        return Ok(());
    }
}

/// Returns the response time that `per_mille` of a thousand requests do not exceed, in
/// microseconds.
fn quantile(sorted: &[Duration], per_mille: usize) -> u128 {
    let place = (sorted.len() * per_mille).div_ceil(1_000).saturating_sub(1);
    sorted.get(place).map_or(0, Duration::as_micros)
}

async fn run(
    address: &str,
    path: &str,
    rate: u32,
    seconds: u32,
    connections: usize,
) -> anyhow::Result<String> {
    let shared = Rc::new(Shared::default());
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..connections {
        tasks.spawn_local(connection(address.to_owned(), request.clone(), Rc::clone(&shared)));
    }
    let total = rate * seconds;
    let began = Instant::now() + Duration::from_millis(100);
    let mut sent = 0;
    while sent < total {
        let due = began + Duration::from_secs(1) * sent / rate;
        if due <= Instant::now() {
            shared.due.borrow_mut().push_back(due);
            shared.one_is_due.notify_one();
            sent += 1;
        } else {
            yield_now().await;
        }
        if let Some(ended) = tasks.try_join_next() {
            ended??;
        }
    }
    let deadline = Instant::now() + WAIT_TIMEOUT;
    let total = usize::try_from(total)?;
    while shared.took.borrow().len() < total {
        anyhow::ensure!(
            Instant::now() < deadline,
            "{} of {total} requests were answered",
            shared.took.borrow().len()
        );
        yield_now().await;
    }
    let answered = u128::try_from(total)? * 1_000_000 / began.elapsed().as_micros().max(1);
    let mut took = shared.took.take();
    took.sort_unstable();
    let [p50, p90, p99, p999, max] =
        [500, 900, 990, 999, 1_000].map(|per_mille| quantile(&took, per_mille));
    Ok(format!(
        r#"{{"rate":{answered},"p50":{p50},"p90":{p90},"p99":{p99},"p999":{p999},"max":{max}}}"#
    ))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, path, rate, seconds, connections] = arguments.as_slice() else {
        anyhow::bail!("open_loop ADDRESS PATH RATE SECONDS CONNECTIONS")
    };
    let run = run(address, path, rate.parse()?, seconds.parse()?, connections.parse()?);
    println!("{}", LocalSet::new().run_until(run).await?);
    Ok(())
}
