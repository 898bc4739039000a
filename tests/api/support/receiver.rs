//! A receiver of webhooks that behaves as a test says.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::wait::in_time;

/// The behavior of a receiver.
#[derive(Debug, Clone)]
pub enum Behavior {
    /// With a status and no body.
    Status(u16),
    /// With a redirect to a URL.
    Redirect(String),
    /// Never.
    Silence,
    /// With 200 and a body without end.
    Endless,
    /// With 200 and less of the body than announced.
    Truncated,
    /// By closing the connection.
    Close,
    /// With a failure of a kind that the seed and the event determine: about every third event
    /// fails once, and some of these twice.
    Seeded(u64),
}

impl Behavior {
    /// Returns how the attempt with this number, from 1, is answered.
    fn of_attempt(self, id: &str, attempt: u32) -> Self {
        let Self::Seeded(seed) = self else { return self };
        let dice = xxhash_rust::xxh3::xxh3_64_with_seed(id.as_bytes(), seed);
        let failures = match dice % 100 {
            0..=2 => 2,
            3..=33 => 1,
            _ => 0,
        };
        if attempt > failures {
            return Self::Status(204);
        }
        match (dice >> 32) % 5 {
            0 => Self::Status(500),
            1 => Self::Truncated,
            2 => Self::Close,
            3 => Self::Redirect("http://127.0.0.1:9/".to_owned()),
            _ => Self::Silence,
        }
    }
}

/// A request as it was received.
#[derive(Debug, Clone)]
pub struct Received {
    pub head: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Returns whether one of the signatures was made with the secret.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        self.headers["webhook-signature"].split(' ').any(|signature| {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            let (id, at) = (&self.headers["webhook-id"], &self.headers["webhook-timestamp"]);
            mac.update(format!("{id}.{at}.").as_bytes());
            mac.update(&self.body);
            let signature = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
            mac.verify_slice(&signature).is_ok()
        })
    }
}

/// The receiver. It ends with the test's runtime.
pub struct Receiver {
    pub address: SocketAddr,
    behavior: Arc<Mutex<Behavior>>,
    connections: Arc<AtomicUsize>,
    sent_bytes: Arc<AtomicUsize>,
    all: Arc<Mutex<Vec<Received>>>,
    requests: tokio::sync::Mutex<mpsc::UnboundedReceiver<Received>>,
}

impl Receiver {
    pub async fn start(behavior: Behavior) -> Self {
        Self::start_at("127.0.0.1:0", behavior).await
    }

    pub async fn start_at(address: &str, behavior: Behavior) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let (sender, requests) = mpsc::unbounded_channel();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            behavior: Arc::new(Mutex::new(behavior)),
            connections: Arc::default(),
            sent_bytes: Arc::default(),
            all: Arc::default(),
            requests: tokio::sync::Mutex::new(requests),
        };
        let behavior = Arc::clone(&receiver.behavior);
        let attempts: Arc<Attempts> = Arc::default();
        let all = Arc::clone(&receiver.all);
        let (connections, sent_bytes) =
            (Arc::clone(&receiver.connections), Arc::clone(&receiver.sent_bytes));
        actix_web::rt::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (behavior, sender) = (Arc::clone(&behavior), sender.clone());
                let (sent_bytes, attempts) = (Arc::clone(&sent_bytes), Arc::clone(&attempts));
                let all = Arc::clone(&all);
                actix_web::rt::spawn(async move {
                    // A client may leave at any time.
                    let _ =
                        answer(stream, &behavior, (&attempts, &all), &sender, &sent_bytes).await;
                });
            }
        });
        receiver
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook?token=x", self.address)
    }

    pub fn behave(&self, behavior: Behavior) {
        *self.behavior.lock().unwrap() = behavior;
    }

    /// Returns the number of connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Returns the number of bytes of endless bodies that were sent.
    pub fn sent_bytes(&self) -> usize {
        self.sent_bytes.load(Ordering::SeqCst)
    }

    /// Waits for the next request.
    pub async fn next(&self) -> Received {
        in_time("a request arrives", async { self.requests.lock().await.recv().await.unwrap() })
            .await
    }

    /// Returns all requests so far.
    pub fn all(&self) -> Vec<Received> {
        self.all.lock().unwrap().clone()
    }

    /// Returns the requests that have arrived and were not returned before.
    pub async fn arrived(&self) -> Vec<Received> {
        let mut requests = self.requests.lock().await;
        std::iter::from_fn(|| requests.try_recv().ok()).collect()
    }
}

/// Numbers of attempts by the id of the event.
type Attempts = Mutex<HashMap<String, u32>>;

async fn answer(
    mut stream: TcpStream,
    behavior: &Mutex<Behavior>,
    (attempts, all): (&Attempts, &Mutex<Vec<Received>>),
    sender: &mpsc::UnboundedSender<Received>,
    sent_bytes: &AtomicUsize,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let headers: BTreeMap<String, String> = head
        .lines()
        .skip(1)
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers["content-length"].parse().unwrap();
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        stream.read_buf(&mut body).await?;
    }
    let id = headers["webhook-id"].clone();
    let attempt = {
        let mut attempts = attempts.lock().unwrap();
        let attempt = attempts.entry(id.clone()).or_default();
        *attempt += 1;
        *attempt
    };
    let received = Received { head, headers, body };
    all.lock().unwrap().push(received.clone());
    let _ = sender.send(received);
    let behavior = behavior.lock().unwrap().clone().of_attempt(&id, attempt);
    match behavior {
        Behavior::Status(status) => {
            let response = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(response.as_bytes()).await?;
        }
        Behavior::Redirect(url) => {
            let response =
                format!("HTTP/1.1 307 X\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(response.as_bytes()).await?;
        }
        Behavior::Silence => std::future::pending::<()>().await,
        Behavior::Endless => {
            stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 1000000000000\r\n\r\n").await?;
            loop {
                stream.write_all(&[b'x'; 16_384]).await?;
                sent_bytes.fetch_add(16_384, Ordering::SeqCst);
            }
        }
        Behavior::Truncated => {
            stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\nshort").await?;
        }
        Behavior::Close => {}
        Behavior::Seeded(_) => unreachable!("it determines another"),
    }
    stream.shutdown().await
}
