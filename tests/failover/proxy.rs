//! A TCP proxy that can stop forwarding without closing its connections, as a network that drops
//! packets does.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub struct Proxy {
    pub port: u16,
    frozen: watch::Sender<bool>,
    /// Aborted with the proxy.
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Starts a proxy for a port of this machine.
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (frozen, state) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(forward(client, target, state.clone()));
            }
        });
        Self { port, frozen, _tasks: tasks }
    }

    /// Accepts connections from now on, and forwards nothing.
    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }
}

async fn forward(client: TcpStream, target: u16, mut frozen: watch::Receiver<bool>) {
    thawed(&mut frozen).await;
    let server = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], target))).await;
    let Ok(server) = server else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut pumps = JoinSet::new();
    pumps.spawn(pump(from_client, to_server, frozen.clone()));
    pumps.spawn(pump(from_server, to_client, frozen));
    // The end of one direction ends the connection.
    pumps.join_next().await;
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut frozen: watch::Receiver<bool>,
) {
    let mut buffer = [0; 16_384];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        thawed(&mut frozen).await;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    // The end of a connection is not forwarded either.
    thawed(&mut frozen).await;
}

async fn thawed(frozen: &mut watch::Receiver<bool>) {
    // An error means that the test is over.
    let _ = frozen.wait_for(|frozen| !*frozen).await;
}
