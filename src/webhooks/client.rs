//! One attempt to deliver an event over HTTP.
//!
//! The client follows no redirects and uses no proxy. A name is resolved once for each connection,
//! and only the permitted ones of its addresses are connected to. So a name that changes between a
//! check and the connection (DNS rebinding) cannot lead to other addresses.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderName};
use reqwest::{Client, Url, redirect};
use tokio::time::Instant;

use super::networks::{Networks, Scheme};
use super::secret::Secret;
use crate::VERSION;
use crate::platform::tls;

/// Timeout of a connection, with its TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of an attempt, from the resolution of the name to the end of the response.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
/// Maximum number of bytes of a response that are read. Its content does not matter, but some
/// servers fail if it is not read.
const MAX_RESPONSE_BYTES: usize = 65_536;
/// Maximum length of the text of an error in characters.
const MAX_ERROR_LENGTH: usize = 300;
/// The media type of an event in the structured mode of CloudEvents.
const CLOUD_EVENT: &str = "application/cloudevents+json; charset=utf-8";
/// The header with the id of the event.
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
/// The header with the time of the attempt, in seconds since 1970.
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// The header with a signature for each valid secret.
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// A function that resolves names. Tests replace it.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// An HTTP client that connects to permitted addresses only. Cloning shares its settings.
#[derive(Clone)]
pub struct WebhookClient {
    networks: Arc<Networks>,
    timeout: Duration,
    http: Client,
    https: Client,
}

/// A signed message.
#[derive(Debug)]
pub struct Message {
    /// The id of the event.
    pub id: String,
    /// The time of the attempt, in seconds since 1970.
    pub timestamp: i64,
    /// The event.
    pub body: Vec<u8>,
}

/// The result of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The status of the response, if there was one.
    pub status: Option<u16>,
    /// The time that the attempt took.
    pub duration: Duration,
    /// The reason why the attempt failed; `None` if it succeeded.
    pub error: Option<String>,
}

impl WebhookClient {
    /// Creates a client that resolves names as the system does.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(networks: Networks) -> anyhow::Result<Self> {
        let lookup = |host: String| -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            Box::pin(system_lookup(host))
        };
        Self::with(networks, Arc::new(lookup), ATTEMPT_TIMEOUT)
    }

    /// Creates a client with a resolver and a timeout of its own.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn with(networks: Networks, lookup: Lookup, timeout: Duration) -> anyhow::Result<Self> {
        let networks = Arc::new(networks);
        let client = |scheme: Scheme| -> anyhow::Result<Client> {
            let tls = tls::platform_verifier().and_then(tls::client_config);
            let resolver = PermittingResolver {
                networks: Arc::clone(&networks),
                scheme,
                lookup: Arc::clone(&lookup),
            };
            let client = Client::builder()
                .use_preconfigured_tls(tls.map_err(anyhow::Error::msg)?)
                .https_only(scheme == Scheme::Https)
                .redirect(redirect::Policy::none())
                // A proxy would resolve the name itself.
                .no_proxy()
                .dns_resolver(Arc::new(resolver))
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(timeout)
                // The address of each attempt is checked when it connects.
                .pool_max_idle_per_host(0)
                .user_agent(format!("kampanje/{VERSION}"))
                .build()?;
            Ok(client)
        };
        let (http, https) = (client(Scheme::Http)?, client(Scheme::Https)?);
        Ok(Self { networks, timeout, http, https })
    }

    /// Sends a message once, signed with each of the secrets.
    pub async fn attempt(&self, url: &str, message: Message, secrets: &[Secret]) -> Attempt {
        let began = Instant::now();
        let sent = self.send(url, message, secrets).await;
        let (status, error) = match sent {
            Ok(status @ 200..=299) => (Some(status), None),
            Ok(status @ 300..=399) => {
                (Some(status), Some(format!("status {status}: redirects are not followed")))
            }
            Ok(status) => (Some(status), Some(format!("status {status}"))),
            Err(error) => (None, Some(error)),
        };
        Attempt { status, duration: began.elapsed(), error }
    }

    async fn send(&self, url: &str, message: Message, secrets: &[Secret]) -> Result<u16, String> {
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        let (scheme, client) = match url.scheme() {
            "https" => (Scheme::Https, &self.https),
            "http" => (Scheme::Http, &self.http),
            other => return Err(format!("the scheme {other} cannot be used")),
        };
        // The resolver is not used for these. The URL has each of them in its canonical form.
        if let Some(address) = literal_address(&url)
            && !self.networks.permit(address, scheme)
        {
            return Err(NotPermitted { addresses: vec![address], scheme }.to_string());
        }
        let Message { id, timestamp, body } = message;
        let signatures: Vec<String> =
            secrets.iter().map(|secret| secret.sign(&id, timestamp, &body)).collect();
        let request = client
            .post(url)
            .header(CONTENT_TYPE, CLOUD_EVENT)
            .header(WEBHOOK_ID, id)
            .header(WEBHOOK_TIMESTAMP, timestamp)
            .header(WEBHOOK_SIGNATURE, signatures.join(" "))
            .body(body);
        let mut response = request.send().await.map_err(|error| self.text_of(&error))?;
        let status = response.status().as_u16();
        let mut read: usize = 0;
        while read < MAX_RESPONSE_BYTES {
            match response.chunk().await {
                Ok(Some(chunk)) => read = read.saturating_add(chunk.len()),
                Ok(None) => break,
                Err(error) => return Err(self.text_of(&error)),
            }
        }
        Ok(status)
    }

    /// Returns the text of an error without the URL, which may contain a token.
    fn text_of(&self, error: &reqwest::Error) -> String {
        if error.is_timeout() {
            let (what, timeout) = if error.is_connect() {
                ("connection", CONNECT_TIMEOUT.min(self.timeout))
            } else {
                ("complete response", self.timeout)
            };
            return format!("no {what} within {timeout:?}");
        }
        let mut cause: &dyn Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let text = match error.source() {
            Some(_) => cause.to_string(),
            None => "the request failed".to_owned(),
        };
        text.chars().filter(|c| !c.is_control()).take(MAX_ERROR_LENGTH).collect()
    }
}

/// Returns the address that a URL contains instead of a name.
fn literal_address(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.parse().ok()
}

async fn system_lookup(host: String) -> io::Result<Vec<IpAddr>> {
    Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
}

/// A resolver that returns permitted addresses only.
struct PermittingResolver {
    networks: Arc<Networks>,
    scheme: Scheme,
    lookup: Lookup,
}

impl Resolve for PermittingResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = (self.lookup)(name.as_str().to_owned());
        let (networks, scheme) = (Arc::clone(&self.networks), self.scheme);
        Box::pin(async move {
            let (permitted, refused): (Vec<IpAddr>, Vec<IpAddr>) =
                lookup.await?.into_iter().partition(|address| networks.permit(*address, scheme));
            if permitted.is_empty() && !refused.is_empty() {
                return Err(NotPermitted { addresses: refused, scheme }.into());
            }
            // The client sets the port.
            let addresses = permitted.into_iter().map(|address| SocketAddr::new(address, 0));
            let addresses: Addrs = Box::new(addresses);
            Ok::<_, Box<dyn Error + Send + Sync>>(addresses)
        })
    }
}

/// The refusal to connect to addresses.
#[derive(Debug)]
struct NotPermitted {
    addresses: Vec<IpAddr>,
    scheme: Scheme,
}

impl fmt::Display for NotPermitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        let condition = match self.scheme {
            Scheme::Http => "http is only used for networks in KAMPANJE_WEBHOOK_NETWORKS",
            Scheme::Https => "it is not public, and not in KAMPANJE_WEBHOOK_NETWORKS",
        };
        write!(f, "the address {} is not permitted: {condition}", addresses.join(", "))
    }
}

impl Error for NotPermitted {}
