//! Connection limits: a cap on the number of open connections, and a deadline for every phase of
//! one.
//!
//! The HTTP library times the first request head and the idle time between requests; this module
//! bounds everything else. A connection is closed when it waits too long for a request or a
//! response takes too long to prepare. It is also closed when its client does not read. At the cap
//! a new connection replaces the one that has been waiting longest, so clients that stall cannot
//! lock others out. A request body that is left unread is not drained: the connection is closed
//! after the response.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::error::{DispatchError, PayloadError};
use actix_http::{ConnectionType, HttpService, Payload, Protocol, Request, Response, h1};
use actix_server::ServerBuilder;
use actix_service::{Service as _, ServiceFactory, apply_fn_factory, fn_service, map_config};
use actix_web::Error;
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use actix_web::web::Bytes;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use super::framing;

/// The longest time that an idle connection is kept: longer than load balancers keep theirs, so
/// that they close first.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(75);
/// The longest time for the first request's head to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time that a connection stays open after a response to a request with an unread body.
/// In this time the client can still read the response.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// The largest number of connections over the cap. They are accepted while the connections that
/// they replace are closing.
const MAX_REPLACEMENTS: usize = 16;
/// The largest number of connections that the system queues before they are accepted.
const BACKLOG: u32 = 1_024;

/// The limits of one worker's connections.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// The most connections that are open at a time.
    pub max_connections: usize,
    /// The longest time from a response to the end of the next request's head.
    pub waiting_timeout: Duration,
    /// The longest time from a request's head to the beginning of its response.
    pub response_timeout: Duration,
    /// The longest time in which a client reads nothing of what is sent to it.
    pub write_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            max_connections: 4_096,
            // A head that begins just before the idle timeout still has its full time.
            waiting_timeout: KEEP_ALIVE_TIMEOUT.saturating_add(HEAD_TIMEOUT),
            response_timeout: Duration::from_secs(300),
            write_timeout: Duration::from_secs(30),
        }
    }
}

/// The phase of a connection, which decides its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No request is in progress.
    Waiting,
    /// A request is being answered; its body may still arrive.
    Answering,
}

/// An open connection.
pub struct Connection {
    limits: ConnectionLimits,
    phase: Cell<Phase>,
    /// The instant at which the phase began or last made progress.
    since: Cell<Instant>,
    /// The instant since which the client has read nothing of what is sent to it.
    unread_since: Cell<Option<Instant>>,
    evicted: Notify,
}

impl Connection {
    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(Instant::now());
    }

    fn time_left(&self) -> Duration {
        let limit = match self.phase.get() {
            Phase::Waiting => self.limits.waiting_timeout,
            Phase::Answering => self.limits.response_timeout,
        };
        let left = limit.saturating_sub(self.since.get().elapsed());
        match self.unread_since.get() {
            Some(since) => left.min(self.limits.write_timeout.saturating_sub(since.elapsed())),
            None => left,
        }
    }

    /// Waits until the connection has to be closed. The timer is set when it fires and not for
    /// every request, so it costs requests nothing. It fires within the shortest limit, so a phase
    /// that begins meanwhile is seen before its own limit is over.
    async fn closing(&self) {
        let ConnectionLimits { waiting_timeout, response_timeout, write_timeout, .. } = self.limits;
        let shortest = waiting_timeout.min(response_timeout).min(write_timeout);
        let overdue = async {
            loop {
                let left = self.time_left();
                if left.is_zero() {
                    break;
                }
                tokio::time::sleep(left.min(shortest)).await;
            }
        };
        select(pin!(overdue), pin!(self.evicted.notified())).await;
    }
}

/// The open connections of one worker, in the order in which they were accepted.
struct OpenConnections {
    limits: ConnectionLimits,
    next_id: Cell<u64>,
    by_id: RefCell<BTreeMap<u64, Rc<Connection>>>,
}

impl OpenConnections {
    /// Adds a connection. At the cap, evicts the one that has been waiting longest.
    fn open(self: &Rc<Self>) -> OpenConnection {
        let mut by_id = self.by_id.borrow_mut();
        if by_id.len() >= self.limits.max_connections {
            let waiting =
                by_id.values().filter(|connection| connection.phase.get() == Phase::Waiting);
            if let Some(longest) = waiting.min_by_key(|connection| connection.since.get()) {
                longest.evicted.notify_one();
            }
        }
        let id = self.next_id.replace(self.next_id.get().wrapping_add(1));
        let connection = Rc::new(Connection {
            limits: self.limits,
            phase: Cell::new(Phase::Waiting),
            since: Cell::new(Instant::now()),
            unread_since: Cell::default(),
            evicted: Notify::new(),
        });
        by_id.insert(id, Rc::clone(&connection));
        OpenConnection { id, connection, all: Rc::clone(self) }
    }
}

/// Removes the connection from the open ones when it is dropped.
struct OpenConnection {
    id: u64,
    connection: Rc<Connection>,
    all: Rc<OpenConnections>,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.all.by_id.borrow_mut().remove(&self.id);
    }
}

/// The socket of a connection. Records since when the client does not read.
pub struct ClientStream {
    socket: TcpStream,
    connection: Rc<Connection>,
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(context, bytes);
        let unread_since = &self.connection.unread_since;
        match (polled.is_pending(), unread_since.get()) {
            (true, None) => unread_since.set(Some(Instant::now())),
            (false, Some(_)) => unread_since.set(None),
            _ => {}
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// A request and its response, which move their connection from phase to phase.
pub struct Exchange {
    connection: Option<Rc<Connection>>,
    /// True if the request asks for another protocol, which the service does not have.
    is_upgrade: bool,
    body: Option<Rc<RefCell<h1::Payload>>>,
}

impl Exchange {
    /// Begins with a request. Its body stays with the exchange until the response is sent.
    /// Otherwise the HTTP library drains a dropped chunked body for as long as the client sends.
    /// While the body is alive, it closes the connection after the response.
    pub fn begin(request: &mut Request) -> Self {
        let connection = request.conn_data::<Rc<Connection>>().cloned();
        let is_upgrade = request.head().upgrade();
        if let Some(connection) = &connection {
            connection.enter(Phase::Answering);
        }
        let body = match request.take_payload() {
            Payload::H1 { payload } => Some(Rc::new(RefCell::new(payload))),
            other => {
                *request.payload() = other;
                None
            }
        };
        if let Some(body) = &body {
            *request.payload() =
                Payload::Stream { payload: Box::pin(SharedPayload(Rc::clone(body))) };
        }
        Self { connection, is_upgrade, body }
    }

    /// Ends with the response.
    pub fn end(self, mut response: Response<BoxBody>) -> Response<BoxBody> {
        if self.is_upgrade {
            // Otherwise the HTTP library would announce the upgrade.
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        let streams = response.body().size() == BodySize::Stream;
        if let Some(connection) = &self.connection {
            connection.enter(if streams { Phase::Answering } else { Phase::Waiting });
        }
        if !streams && self.body.is_none() {
            return response;
        }
        let Self { connection, body: request_body, .. } = self;
        let connection = connection.filter(|_| streams);
        response.map_body(|_, body| {
            BoxBody::new(TrackedBody { body, connection, _request_body: request_body })
        })
    }
}

/// Records that a request was answered without waiting.
pub fn answered(request: &Request) {
    if let Some(connection) = request.conn_data::<Rc<Connection>>() {
        connection.enter(Phase::Waiting);
    }
}

/// A request's body, shared with the exchange.
struct SharedPayload(Rc<RefCell<h1::Payload>>);

impl Stream for SharedPayload {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

/// The body of a response. Records its progress while it is streamed, and keeps the request's body
/// until it is sent.
struct TrackedBody {
    body: BoxBody,
    /// The connection of a streamed response.
    connection: Option<Rc<Connection>>,
    _request_body: Option<Rc<RefCell<h1::Payload>>>,
}

impl MessageBody for TrackedBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_next(context);
        if let Some(connection) = &self.connection {
            connection.enter(Phase::Answering);
        }
        polled
    }
}

impl Drop for TrackedBody {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.enter(Phase::Waiting);
        }
    }
}

/// Adds a listener for HTTP/1.1 over TCP to a server. Each worker runs the service that `factory`
/// creates, within the limits. `expect` decides about requests that wait for `100 Continue` before
/// they send their body.
///
/// # Errors
/// When the address cannot be bound.
pub fn listen<E, F, S>(
    server: ServerBuilder,
    address: SocketAddr,
    limits: ConnectionLimits,
    expect: E,
    factory: F,
) -> io::Result<(ServerBuilder, SocketAddr)>
where
    E: Fn(&Request) -> Result<(), Response<BoxBody>> + Send + Clone + 'static,
    F: Fn() -> S + Send + Clone + 'static,
    S: ServiceFactory<Request, Config = AppConfig, Response = Response<BoxBody>, Error = Error>
        + 'static,
    S::Future: 'static,
    S::InitError: Debug,
    <S::Service as actix_service::Service<Request>>::Future: 'static,
{
    let listener = bind(address)?;
    let address = listener.local_addr()?;
    let stopping = server.graceful_shutdown_signal();
    let accepted = limits.max_connections.saturating_add(MAX_REPLACEMENTS);
    let server =
        server.max_concurrent_connections(accepted).listen("http", listener, move || {
            let open = Rc::new(OpenConnections {
                limits,
                next_id: Cell::new(0),
                by_id: RefCell::default(),
            });
            let (stopping, expect) = (stopping.clone(), expect.clone());
            let http = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .keep_alive(KEEP_ALIVE_TIMEOUT)
                .client_request_timeout(HEAD_TIMEOUT)
                .client_disconnect_timeout(LINGER_TIMEOUT)
                .on_connect_ext(|stream: &ClientStream, data| {
                    data.insert(Rc::clone(&stream.connection));
                })
                .expect(fn_service(move |request: Request| {
                    let refused = expect(&request);
                    async move { refused.map(|()| request) }
                }))
                .finish(map_config(factory(), |()| AppConfig::default()));
            apply_fn_factory(http, move |socket: TcpStream, http| {
                let opened = open.open();
                let peer = socket.peer_addr().ok();
                let stream = ClientStream { socket, connection: Rc::clone(&opened.connection) };
                let served = http.call((stream, Protocol::Http1, peer));
                async move {
                    // Polled only when it is woken itself, not with every request.
                    let mut closing = FuturesUnordered::from_iter([opened.connection.closing()]);
                    if let Either::Left((Err(error), _)) =
                        select(pin!(served), closing.next()).await
                    {
                        log_failure(peer, &error);
                    }
                    Ok::<_, DispatchError>(())
                }
            })
        })?;
    Ok((server, address))
}

/// Logs the reason for which a connection ended early. The log of the HTTP library is off, since it
/// logs malformed requests as errors and without bound.
fn log_failure(peer: Option<SocketAddr>, error: &DispatchError) {
    match error {
        DispatchError::Parse(reason) => framing::log_malformed(peer, &reason.to_string()),
        DispatchError::Body(_) => tracing::info!(%error, "a response was not completed"),
        DispatchError::Io(_)
        | DispatchError::SlowRequestTimeout
        | DispatchError::DisconnectTimeout => {
            tracing::debug!(%error, "a connection ended early");
        }
        _ => tracing::error!(%error, "a connection failed"),
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

#[cfg(test)]
mod tests {
    use actix_service::fn_factory_with_config;
    use futures_util::stream;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream as Client;
    use tokio::time::timeout;

    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        max_connections: 4,
        waiting_timeout: Duration::from_millis(300),
        response_timeout: Duration::from_millis(600),
        write_timeout: Duration::from_millis(300),
    };
    /// Timeout of every wait in these tests. A connection that is still open afterwards is never
    /// closed.
    const TEST_TIMEOUT: Duration = Duration::from_secs(20);

    /// Serves short responses at `/` and, after reading the body, at `/read`. `/slow` never
    /// responds; every other path streams an endless body.
    fn serve(limits: ConnectionLimits) -> SocketAddr {
        let builder = ServerBuilder::new().workers(1).disable_signals();
        let (server, address) = listen(
            builder,
            SocketAddr::from(([127, 0, 0, 1], 0)),
            limits,
            |_| Ok(()),
            || {
                fn_factory_with_config(|_: AppConfig| async {
                    Ok::<_, ()>(fn_service(|mut request: Request| async move {
                        let exchange = Exchange::begin(&mut request);
                        let body = match request.path() {
                            "/" => BoxBody::new("answer"),
                            "/large" => BoxBody::new(vec![b'x'; 50_000_000]),
                            "/slow" => std::future::pending().await,
                            "/read" => {
                                while request.payload().next().await.is_some() {}
                                BoxBody::new("answer")
                            }
                            _ => {
                                let pieces = stream::repeat_with(|| {
                                    Ok::<_, Error>(Bytes::from_static(&[b'x'; 16_384]))
                                });
                                BoxBody::new(actix_http::body::BodyStream::new(pieces))
                            }
                        };
                        Ok::<_, Error>(exchange.end(Response::ok().set_body(body)))
                    }))
                })
            },
        )
        .unwrap();
        actix_web::rt::spawn(server.run());
        address
    }

    async fn request(address: SocketAddr, head: &str) -> Client {
        let mut client = Client::connect(address).await.unwrap();
        client.write_all(head.as_bytes()).await.unwrap();
        client
    }

    async fn answer(client: &mut Client) -> String {
        let mut answer = vec![0; 1_024];
        let length = timeout(TEST_TIMEOUT, client.read(&mut answer)).await.unwrap().unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    /// Reads until the connection is closed, in whichever way.
    async fn closed(mut client: Client) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = timeout(TEST_TIMEOUT, client.read_to_end(&mut rest))
            .await
            .expect("the connection is closed");
        rest
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    #[actix_web::test]
    async fn incomplete_second_head() {
        let mut client = request(serve(LIMITS), GET).await;
        assert!(answer(&mut client).await.ends_with("answer"));
        client.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
        assert!(closed(client).await.is_empty());
    }

    #[actix_web::test]
    async fn slow_response() {
        let client = request(serve(LIMITS), "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(closed(client).await.is_empty());
    }

    #[actix_web::test]
    async fn unread_response() {
        let limits =
            ConnectionLimits { write_timeout: LIMITS.write_timeout, ..ConnectionLimits::default() };
        let address = serve(limits);
        for path in ["/endless", "/large"] {
            let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            let client = request(address, &head).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let read = closed(client).await;
            assert!(
                (101..50_000_000).contains(&read.len()) && !read.ends_with(b"0\r\n\r\n"),
                "{path}: {}",
                read.len()
            );
        }
    }

    #[actix_web::test]
    async fn stream_that_is_read_continues() {
        let mut client = request(serve(LIMITS), "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let began = Instant::now();
        let mut piece = vec![0; 65_536];
        while began.elapsed() < LIMITS.response_timeout * 2 {
            assert!(timeout(TEST_TIMEOUT, client.read(&mut piece)).await.unwrap().unwrap() > 0);
        }
    }

    #[actix_web::test]
    async fn unread_bodies_are_not_drained() {
        let address = serve(ConnectionLimits::default());
        for head in [
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc",
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\na",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n",
        ] {
            let mut client = request(address, head).await;
            let answer = answer(&mut client).await;
            assert!(
                answer.contains("connection: close") && answer.ends_with("answer"),
                "{head:?}: {answer}"
            );
            assert!(closed(client).await.is_empty(), "{head:?}");
        }
        // Endless chunks: the client notices that nobody reads them.
        let mut client =
            request(address, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
                .await;
        let chunks = async { while client.write_all(b"3\r\nabc\r\n").await.is_ok() {} };
        timeout(TEST_TIMEOUT, chunks).await.unwrap();
    }

    #[actix_web::test]
    async fn read_bodies_keep_the_connection() {
        let head = "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
        let mut client = request(serve(ConnectionLimits::default()), head).await;
        for _ in 0..2 {
            let answer = answer(&mut client).await;
            assert!(
                !answer.contains("connection: close") && answer.ends_with("answer"),
                "{answer}"
            );
            client.write_all(head.as_bytes()).await.unwrap();
        }
    }

    #[actix_web::test]
    async fn new_connection_at_the_cap_replaces_the_longest_waiting() {
        let limits = ConnectionLimits { max_connections: 3, ..ConnectionLimits::default() };
        let address = serve(limits);
        let busy = request(address, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let idle = Client::connect(address).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut active = request(address, GET).await;
        assert!(answer(&mut active).await.ends_with("answer"));
        let mut newcomer = request(address, GET).await;
        assert!(answer(&mut newcomer).await.ends_with("answer"));
        assert!(closed(idle).await.is_empty());
        active.write_all(GET.as_bytes()).await.unwrap();
        assert!(
            answer(&mut active).await.ends_with("answer"),
            "it was active later than the idle one"
        );
        let mut rest = [0; 1];
        let mut busy = busy;
        let open = timeout(Duration::from_millis(100), busy.read(&mut rest)).await;
        assert!(open.is_err(), "a request in progress is not given up");
    }
}
