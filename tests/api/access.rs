//! Access control. Without credentials an operation is refused for every spelling of its path. A
//! service without an API key answers only deliberate requests from the same machine.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use kampanje::app::routes;
use kampanje::platform::http::access::Access;
use serde_json::json;

use super::support::app::TestApp;
use super::support::data_hash::DataHash;
use super::support::make;
use super::support::wait::TEST_TIMEOUT;

const KEY: &str = "a key that nobody guesses";

/// A connection that sends request targets verbatim; HTTP clients would normalize them.
struct RawClient {
    address: SocketAddr,
    stream: TcpStream,
}

impl RawClient {
    fn new(address: SocketAddr) -> Self {
        Self { address, stream: connect(address) }
    }

    /// Sends a request, and returns the status of its response. The service closes the connection
    /// after a malformed request, so a failed attempt is repeated on a new one.
    fn status(&mut self, method: &str, target: &str, headers: &str) -> u16 {
        let again = |client: &mut Self| {
            client.stream = connect(client.address);
            client.try_status(method, target, headers)
        };
        self.try_status(method, target, headers).or_else(|_| again(self)).unwrap()
    }

    fn try_status(&mut self, method: &str, target: &str, headers: &str) -> std::io::Result<u16> {
        let request = format!("{method} {target} HTTP/1.1\r\n{headers}Content-Length: 0\r\n\r\n");
        self.stream.write_all(request.as_bytes())?;
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length =
            head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length: u64 = length.map_or(0, |length| length.parse().unwrap());
        if method != "HEAD" {
            std::io::copy(&mut (&self.stream).take(length), &mut std::io::sink())?;
        }
        if head.contains("connection: close") {
            self.stream = connect(self.address);
        }
        Ok(head.split(' ').nth(1).unwrap().parse().unwrap())
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    stream
}

/// Percent-encodes the characters of a path that a predicate selects.
fn encoded(path: &str, selected: impl Fn(usize, char) -> bool) -> String {
    let one = |(place, c): (usize, char)| {
        if selected(place, c) { format!("%{:02x}", c as u32) } else { c.to_string() }
    };
    path.chars().enumerate().map(one).collect()
}

/// Returns the spellings of a path that a router, a proxy or a client might consider equivalent.
fn spellings(path: &str, address: SocketAddr) -> Vec<String> {
    let last = path.rfind('/').unwrap();
    let (parent, name) = path.split_at(last);
    vec![
        path.to_owned(),
        encoded(path, |place, _| place == 1),
        encoded(path, |_, c| c.is_ascii_alphanumeric()),
        encoded(path, |_, c| c == '-' || c == '.' || c == '_').to_uppercase(),
        encoded(path, |place, c| place > 0 && c == '/'),
        encoded(&encoded(path, |place, _| place == 1), |_, c| c == '%'),
        format!("/{path}"),
        format!("{parent}/{name}"),
        format!("/.{path}"),
        format!("/x/..{path}"),
        format!("/%2e{path}"),
        format!("/x/%2e%2e{path}"),
        format!("http://{address}{path}"),
        format!("http://evil.example{path}"),
        path.to_uppercase(),
        format!("{path}/"),
        format!("{path}%00"),
        format!("{path};x=1"),
        format!("{parent};x=1{name}"),
        format!("{path}%20"),
        format!("{path}?"),
        format!("{path}\\"),
    ]
}

async fn create_company(app: &TestApp) {
    let bearer = format!("Bearer {KEY}");
    for (path, body) in [
        ("/v1/items/DESK", json!({"listPrice": "100"})),
        ("/v1/contacts/ACME", json!({"type": "COMPANY", "name": "Acme"})),
        ("/v1/campaigns/SPRING", json!({"startingDate": "2031-05-01"})),
        ("/v1/segments/FAIR", json!({"campaignNumber": "SPRING", "campaignTarget": true})),
    ] {
        let headers = [("authorization", bearer.as_str())];
        app.send(reqwest::Method::PUT, path, &headers, Some(&body.to_string())).await.expect(201);
    }
}

#[actix_web::test]
async fn no_path_spelling_bypasses_credentials() {
    let app = TestApp::with_key(Some(KEY)).await;
    create_company(&app).await;
    let mut data = DataHash::new(&app).await;
    let before = data.now().await;
    let address = app.address;
    let (refused, open) = actix_web::rt::task::spawn_blocking(move || {
        let routes = routes();
        let mut client = RawClient::new(address);
        let host = format!("Host: {address}\r\n");
        let (mut refused, mut open) = (0, 0);
        for (method, path) in routes.served() {
            let known = path
                .replace("{campaign}", "SPRING")
                .replace("{segment}", "FAIR")
                .replace("{contact}", "ACME");
            let parts =
                known.split('/').map(|part| if part.starts_with('{') { "DESK" } else { part });
            let known = parts.collect::<Vec<_>>().join("/");
            let public = routes.access(&method.parse().unwrap(), &path) == Some(Access::Public);
            for target in spellings(&known, address) {
                for method in [method.as_str(), "HEAD"] {
                    let status = client.status(method, &target, &host);
                    if public {
                        assert!(status < 500 || status == 503, "{method} {target}: {status}");
                        open += 1;
                    } else {
                        assert!(status == 401 || status == 400, "{method} {target}: {status}");
                        refused += 1;
                    }
                }
            }
        }
        (refused, open)
    })
    .await
    .unwrap();
    assert!(refused > 2_000 && open > 0, "{refused} refused, {open} open");
    assert_eq!(data.now().await, before);
}

#[actix_web::test]
async fn unknown_routes_require_credentials() {
    let app = TestApp::with_key(Some(KEY)).await;
    let bearer = format!("Bearer {KEY}");
    for path in ["/v1/nothing", "/nothing", "/v2"] {
        assert_eq!(app.get(path).await.code(), "UNAUTHORIZED", "{path}");
        let known = app.send(reqwest::Method::GET, path, &[("authorization", &bearer)], None).await;
        assert_eq!(known.code(), "NOT_FOUND", "{path}");
    }
    let refused = app.send(reqwest::Method::TRACE, "/v1/items", &[], None).await;
    assert_eq!(refused.code(), "UNAUTHORIZED");
    let known =
        app.send(reqwest::Method::TRACE, "/v1/items", &[("authorization", &bearer)], None).await;
    assert_eq!(known.code(), "METHOD_NOT_ALLOWED");
}

#[actix_web::test]
async fn quotes_require_the_key_on_both_paths() {
    let app = TestApp::with_key(Some(KEY)).await;
    create_company(&app).await;
    let body = json!({"lines": [{"itemNumber": "DESK"}]}).to_string();
    for wrong in ["Bearer", "Bearer x", "Basic a2V5", "bearer  ", KEY] {
        for (method, body) in
            [(reqwest::Method::GET, None), (reqwest::Method::POST, Some(body.as_str()))]
        {
            let path = if body.is_none() {
                "/v1/price-quotes?itemNumber=DESK"
            } else {
                "/v1/price-quotes"
            };
            for other in [("accept", "application/json"), ("if-none-match", "\"x\"")] {
                let refused =
                    app.send(method.clone(), path, &[("authorization", wrong), other], body).await;
                assert_eq!(refused.code(), "UNAUTHORIZED", "{wrong} {other:?}");
                assert_eq!(refused.header("www-authenticate"), "Bearer");
                let right = format!("bearer {KEY}");
                app.send(method.clone(), path, &[("authorization", &right), other], body)
                    .await
                    .expect(200);
            }
        }
    }
}

#[actix_web::test]
async fn without_key_only_local_hosts_are_answered() {
    let app = TestApp::new().await;
    make::item(&app, "DESK", "100").await;
    let port = app.address.port();
    let paths =
        ["/v1/items/DESK", "/v1/price-quotes?itemNumber=DESK", "/livez", "/metrics", "/nothing"];
    for host in [
        "evil.example".to_owned(),
        format!("127.0.0.1.evil.example:{port}"),
        "192.0.2.1".to_owned(),
    ] {
        for path in paths {
            let refused = app.send(reqwest::Method::GET, path, &[("host", &host)], None).await;
            assert_eq!(
                (refused.status.as_u16(), refused.code().as_str()),
                (403, "HOST_NOT_ALLOWED"),
                "{host} {path}"
            );
        }
    }
    for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")]
    {
        for path in paths {
            let answered = app.send(reqwest::Method::GET, path, &[("host", &host)], None).await;
            assert_ne!(answered.status, 403, "{host} {path}: {answered:?}");
        }
    }
    let address = app.address;
    let statuses = actix_web::rt::task::spawn_blocking(move || {
        let mut client = RawClient::new(address);
        let targets = [
            ("/v1/items/DESK".to_owned(), String::new()),
            ("/v1/items/DESK".to_owned(), "Host: localhost\r\nHost: evil.example\r\n".to_owned()),
            (format!("http://evil.example:{port}/v1/items/DESK"), "Host: localhost\r\n".to_owned()),
            (format!("http://localhost:{port}/v1/items/DESK"), "Host: localhost\r\n".to_owned()),
        ];
        targets.map(|(target, headers)| client.status("GET", &target, &headers))
    });
    // In this order: no Host header, two Host headers, another host in the target, this machine.
    let statuses = statuses.await.unwrap();
    assert!(statuses[..3].iter().all(|status| matches!(status, 400 | 403)), "{statuses:?}");
    assert_eq!(statuses[3], 200, "{statuses:?}");
}

#[actix_web::test]
async fn without_key_cross_origin_requests_change_nothing() {
    let app = TestApp::new().await;
    create_company_without_key(&app).await;
    let mut data = DataHash::new(&app).await;
    let before = data.now().await;
    let own = format!("http://{}", app.address);
    let foreign = [
        [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
        [("origin", "null"), ("sec-fetch-mode", "no-cors")],
        [("origin", "http://localhost:3000"), ("sec-fetch-mode", "cors")],
        [("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")],
        [("origin", own.as_str()), ("sec-fetch-site", "cross-site")],
    ];
    for headers in &foreign {
        for (method, path) in [
            (reqwest::Method::POST, "/v1/campaigns/SPRING/deactivations"),
            (reqwest::Method::POST, "/v1/campaigns"),
            (reqwest::Method::PUT, "/v1/items/NEW"),
            (reqwest::Method::PATCH, "/v1/items/DESK"),
            (reqwest::Method::DELETE, "/v1/items/DESK"),
            (reqwest::Method::POST, "/v1/price-quotes"),
        ] {
            let refused = app.send(method.clone(), path, headers, Some("{}")).await;
            let about = format!("{method} {path} {headers:?}: {refused:?}");
            assert_eq!(
                (refused.status.as_u16(), refused.code().as_str()),
                (403, "ORIGIN_NOT_ALLOWED"),
                "{about}"
            );
        }
    }
    assert_eq!(data.now().await, before);
    // The service's own pages, and programs, which send neither header.
    let own_page = [("origin", own.as_str()), ("sec-fetch-site", "same-origin")];
    app.send(reqwest::Method::PUT, "/v1/items/LAMP", &own_page, Some("{}")).await.expect(201);
    app.send(reqwest::Method::PUT, "/v1/items/CHAIR", &[("sec-fetch-site", "none")], Some("{}"))
        .await
        .expect(201);
    app.put("/v1/items/SHELF", &json!({})).await.expect(201);
}

async fn create_company_without_key(app: &TestApp) {
    make::item(app, "DESK", "100").await;
    app.put("/v1/campaigns/SPRING", &json!({"startingDate": "2031-05-01"})).await.expect(201);
}

#[actix_web::test]
async fn with_key_host_and_origin_are_ignored() {
    let app = TestApp::with_key(Some(KEY)).await;
    let bearer = format!("Bearer {KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("host", "prices.example"),
        ("origin", "https://shop.example"),
    ];
    app.send(reqwest::Method::PUT, "/v1/items/DESK", &headers, Some(r#"{"listPrice": "100"}"#))
        .await
        .expect(201);
    app.send(reqwest::Method::GET, "/v1/price-quotes?itemNumber=DESK", &headers, None)
        .await
        .expect(200);
}
