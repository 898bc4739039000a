//! The addresses that webhooks must not reach, in every spelling, and names that resolve to them.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use kampanje::webhooks::client::{Attempt, Message, WebhookClient};
use kampanje::webhooks::networks::Networks;
use kampanje::webhooks::secret::Secret;

use super::support::receiver::{Behavior, Receiver};

/// Hosts of URLs that lead to addresses that are not public.
const FORBIDDEN: &[&str] = &[
    // Loopback in all forms of IPv4.
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7F.0x0.0x0.0x1",
    "0x7f.1",
    "0177.0.0.1",
    "0177.0.0.01",
    "017700000001",
    "0x7f.0.0x0.01",
    "127.000.000.001",
    "127.255.255.254",
    "127.0.0.2",
    "%31%32%37.0.0.1",
    "127。0。0。1",
    "１２７.0.0.1",
    "①②⑦.0.0.1",
    // Unspecified.
    "0.0.0.0",
    "0",
    "0x0",
    "00000",
    "0.1.2.3",
    // Private, shared, link-local, metadata.
    "10.0.0.1",
    "10.255.255.255",
    "0xa.0.0.1",
    "012.0.0.1",
    "167772161",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.255.255",
    "0xc0a80001",
    "100.64.0.1",
    "100.127.255.255",
    "169.254.169.254",
    "169.254.1.1",
    "0xa9fea9fe",
    "2852039166",
    "169.16689662",
    "0251.0376.0251.0376",
    "169.254.170.2",
    "100.100.100.200",
    // Protocol assignments, documentation, benchmarks.
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    // Multicast, reserved, broadcast.
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "0xffffffff",
    "4294967295",
    // IPv6: loopback and unspecified.
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::]",
    // IPv4-mapped, IPv4-compatible and translated.
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::FFFF:10.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::ffff:0.0.0.0]",
    "[::ffff:192.168.0.1]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[::ffff:0:127.0.0.1]",
    // NAT64, well known and local, and 6to4 and Teredo, which lead to IPv4 addresses.
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b::1.1.1.1]",
    "[64:ff9b:1::10.0.0.1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2002:0a00:0001::]",
    "[2001::1]",
    "[2001:0:7f00:1::]",
    // Unique local, link-local, site-local, multicast.
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fdff::1]",
    "[fe80::1]",
    "[fe80::a9fe:a9fe]",
    "[fec0::1]",
    "[ff02::1]",
    "[ff0e::1]",
    // Discard, documentation, ORCHID, segment routing, AS112.
    "[100::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[2001:20::1]",
    "[2001:10::1]",
    "[5f00::1]",
    "[2620:4f:8000::1]",
    "[4000::1]",
];

/// Returns a client whose names resolve to the answers, one after the other.
fn client(networks: &str, answers: &[&[&str]]) -> WebhookClient {
    let addresses =
        |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
    client_of(networks, answers.iter().map(addresses).collect())
}

fn client_of(networks: &str, answers: Vec<Vec<IpAddr>>) -> WebhookClient {
    let answers = Mutex::new(VecDeque::from(answers));
    let lookup = move |_: String| -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        let answer = answers.lock().unwrap().pop_front().expect("no further lookup");
        Box::pin(async move { Ok(answer) })
    };
    let networks: Networks = networks.parse().unwrap();
    WebhookClient::with(networks, Arc::new(lookup), Duration::from_secs(15)).unwrap()
}

async fn attempt(client: &WebhookClient, url: &str) -> Attempt {
    let message = Message { id: "one".to_owned(), timestamp: 0, body: b"{}".to_vec() };
    client.attempt(url, message, &[Secret::generate()]).await
}

fn assert_refused(attempt: &Attempt, url: &str) {
    let error = attempt.error.as_deref().unwrap_or_default();
    assert!(
        error.starts_with("the address ") && error.contains("is not permitted"),
        "{url}: {error}"
    );
    assert_eq!(attempt.status, None, "{url}");
}

#[actix_web::test]
async fn forbidden_addresses_are_not_connected_to() {
    assert!(FORBIDDEN.len() >= 80);
    // A receiver at all addresses of this machine.
    let receiver = Receiver::start_at("[::]:0", Behavior::Status(200)).await;
    let port = receiver.address.port();
    let client = client("", &[]);
    for host in FORBIDDEN {
        for scheme in ["https", "http"] {
            let url = format!("{scheme}://{host}:{port}/");
            assert_refused(&attempt(&client, &url).await, &url);
        }
    }
    assert_eq!(receiver.connections(), 0);
}

#[actix_web::test]
async fn names_of_forbidden_addresses_are_not_connected_to() {
    let receiver = Receiver::start_at("[::]:0", Behavior::Status(200)).await;
    let port = receiver.address.port();
    let addresses: Vec<IpAddr> =
        FORBIDDEN.iter().filter_map(|host| host.trim_matches(['[', ']']).parse().ok()).collect();
    assert!(addresses.len() >= 70, "{}", addresses.len());
    let answers: Vec<Vec<IpAddr>> = addresses
        .iter()
        .flat_map(|address| [vec![*address, [127, 0, 0, 1].into()], vec![*address]])
        .collect();
    let client = client_of("", answers);
    for address in addresses {
        for scheme in ["https", "http"] {
            let url = format!("{scheme}://shop.example:{port}/");
            assert_refused(&attempt(&client, &url).await, &format!("{url} at {address}"));
        }
    }
    // The real resolver.
    let client = WebhookClient::new(Networks::default()).unwrap();
    for host in ["localhost", "LOCALHOST"] {
        let url = format!("http://{host}:{port}/");
        assert_refused(&attempt(&client, &url).await, &url);
    }
    assert_eq!(receiver.connections(), 0);
}

#[actix_web::test]
async fn name_that_changes_its_address_does_not_lead_elsewhere() {
    let permitted = Receiver::start_at("127.0.0.2:0", Behavior::Status(200)).await;
    let port = permitted.address.port();
    let forbidden = Receiver::start_at(&format!("127.0.0.1:{port}"), Behavior::Status(200)).await;
    let url = format!("http://shop.example:{port}/");
    // Resolved once for each connection: a second answer in one attempt would be a defect.
    let client =
        client("127.0.0.2/32", &[&["127.0.0.2"], &["127.0.0.1"], &["127.0.0.1", "127.0.0.2"]]);
    assert_eq!(attempt(&client, &url).await.status, Some(200));
    assert_refused(&attempt(&client, &url).await, &url);
    assert_eq!(attempt(&client, &url).await.status, Some(200), "the permitted one of both");
    assert_eq!((permitted.connections(), forbidden.connections()), (2, 0));
}

#[actix_web::test]
async fn listed_networks_are_connected_to() {
    let receiver = Receiver::start(Behavior::Status(200)).await;
    let port = receiver.address.port();
    let client = client("127.0.0.1/32", &[]);
    for host in ["127.0.0.1", "0x7f000001", "[::ffff:127.0.0.1]"] {
        let reached = attempt(&client, &format!("http://{host}:{port}/")).await;
        assert_eq!((reached.status, reached.error), (Some(200), None), "{host}");
    }
    let url = format!("http://127.0.0.2:{port}/");
    assert_refused(&attempt(&client, &url).await, &url);
    assert_eq!(receiver.connections(), 3);
}
