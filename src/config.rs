//! Commands and settings of the command line; each flag has an environment variable.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::desk::OidcClient;
use crate::platform::db::pool::{MAX_REQUEST_SESSIONS, MIN_REQUEST_SESSIONS};
use crate::platform::http::access::oidc::{MIN_FETCH_INTERVAL, OidcSettings};
use crate::webhooks::networks::Networks;

/// Minimum length of the API key in characters.
const MIN_API_KEY_LENGTH: usize = 32;

/// The command line.
#[derive(Parser)]
#[command(
    version,
    about,
    after_help = "PG_BIN_DIR names the directory with `postgres` and `initdb` of the private \
                  database server."
)]
pub struct Cli {
    /// Log filter: a level, or levels by module (`info,kampanje=debug`).
    #[arg(long, global = true, env = "KAMPANJE_LOG", default_value = "info,actix_server=warn")]
    pub log: String,
    /// Format of the log.
    #[arg(
        long,
        global = true,
        env = "KAMPANJE_LOG_FORMAT",
        value_enum,
        default_value_t = LogFormat::Text
    )]
    pub log_format: LogFormat,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// A command.
#[derive(Subcommand)]
pub enum Command {
    /// Serve the API.
    Serve(ServeSettings),
    /// Load an invented company, activate one of its campaigns, print what that changes, and serve.
    Demo(ServeSettings),
    /// Bring the schema of a PostgreSQL database to this release. Its role has to own the schema.
    Migrate(MigrateSettings),
    /// Give the history of the price book a new identity, after the database was restored to an
    /// earlier state while no replica ran. Prints the identity.
    NewHistory(DatabaseSettings),
    /// Import a file into a running service, and wait until its rows are written. Exit code 1 if a
    /// row is refused.
    Import(ImportSettings),
    /// Export all rows of a resource from a running service.
    Export(ExportSettings),
    /// Check whether a running service is ready: exit code 0 if it is, else 1. For containers.
    Healthcheck(Listen),
}

/// The address of the service.
#[derive(Debug, Clone, Copy, Args)]
pub struct Listen {
    /// Address and port to listen on.
    #[arg(long = "listen", env = "KAMPANJE_LISTEN", default_value = "127.0.0.1:8080")]
    pub address: SocketAddr,
}

/// Returns the address under which programs on this machine reach a service that listens on
/// `listens`. An unspecified address becomes the loopback address.
#[must_use]
pub const fn from_here(mut listens: SocketAddr) -> SocketAddr {
    if listens.ip().is_unspecified() {
        listens.set_ip(match listens {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    listens
}

/// The URL of a database.
#[derive(Args)]
pub struct DatabaseUrl {
    /// URL of the PostgreSQL database; without it `serve` starts a private server in the data
    /// directory.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// File that contains the URL, as an alternative to it.
    #[arg(long, env = "DATABASE_URL_FILE", conflicts_with = "database_url")]
    database_url_file: Option<PathBuf>,
}

/// The database of a command.
#[derive(Args)]
pub struct DatabaseSettings {
    /// The URL.
    #[command(flatten)]
    pub database: DatabaseUrl,
    /// Directory of the private database [default: /var/lib/kampanje for root, else
    /// ~/.local/state/kampanje].
    #[arg(long, env = "KAMPANJE_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Settings of a migration.
#[derive(Args)]
pub struct MigrateSettings {
    /// The database.
    #[command(flatten)]
    pub database: DatabaseUrl,
    /// Role of the service. It exists already, and gets the rights that the service needs.
    #[arg(long, env = "KAMPANJE_SERVICE_ROLE")]
    service_role: Option<String>,
}

impl MigrateSettings {
    /// Returns the role of the service; an empty variable counts as none.
    #[must_use]
    pub fn service_role(&self) -> Option<&str> {
        self.service_role.as_deref().filter(|role| !role.is_empty())
    }
}

impl DatabaseUrl {
    /// Returns the URL of the database; an empty variable counts as none.
    ///
    /// # Errors
    /// When the file with the URL cannot be read.
    pub fn url(&self) -> anyhow::Result<Option<String>> {
        secret(self.database_url.as_deref(), self.database_url_file.as_deref())
    }
}

/// Returns a secret that is given as it is or as the content of a file. Nothing and an empty text
/// count as none.
fn secret(given: Option<&str>, file: Option<&Path>) -> anyhow::Result<Option<String>> {
    if let Some(given) = given.filter(|given| !given.is_empty()) {
        return Ok(Some(given.to_owned()));
    }
    let Some(file) = file.filter(|file| !file.as_os_str().is_empty()) else { return Ok(None) };
    let content = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    let content = content.trim();
    anyhow::ensure!(!content.is_empty(), "{} is empty", file.display());
    Ok(Some(content.to_owned()))
}

/// The running service of a command.
#[derive(Args)]
pub struct ServiceSettings {
    /// URL of the service.
    #[arg(long, env = "KAMPANJE_URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// API key of the caller.
    #[arg(long, env = "KAMPANJE_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// File that contains the key, as an alternative to it.
    #[arg(long, env = "KAMPANJE_API_KEY_FILE", conflicts_with = "api_key")]
    api_key_file: Option<PathBuf>,
}

impl ServiceSettings {
    /// Returns the key; an empty variable counts as none.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn api_key(&self) -> anyhow::Result<Option<String>> {
        secret(self.api_key.as_deref(), self.api_key_file.as_deref())
    }
}

/// Settings of an import.
#[derive(Args)]
pub struct ImportSettings {
    /// The file: `.csv`, `.ndjson` or `.xlsx`; CSV and NDJSON also with `.gz`.
    pub file: PathBuf,
    /// The collection: its path below /v1, such as `items` or `campaigns/SPRING/prices`.
    #[arg(long)]
    pub resource: String,
    /// The treatment of fields that the file does not have: `MERGE` or `REPLACE`.
    #[arg(long)]
    pub mode: Option<String>,
    /// Write all rows in one transaction, or none.
    #[arg(long)]
    pub atomic: bool,
    /// Check all rows and change nothing.
    #[arg(long)]
    pub validate_only: bool,
    /// The encoding of the file: `UTF-8` or `WINDOWS-1252`.
    #[arg(long)]
    pub encoding: Option<String>,
    /// The separator of CSV: `COMMA`, `SEMICOLON`, `TAB` or `PIPE`.
    #[arg(long)]
    pub separator: Option<String>,
    /// The decimal mark: `POINT` or `COMMA`.
    #[arg(long)]
    pub decimal_mark: Option<String>,
    /// The service.
    #[command(flatten)]
    pub service: ServiceSettings,
}

/// Settings of an export.
#[derive(Args)]
pub struct ExportSettings {
    /// The collection: its path below /v1, such as `items` or `campaigns/SPRING/prices`.
    pub resource: String,
    /// The file to write, `.csv` or `.xlsx`; without it CSV is printed.
    #[arg(long)]
    pub output: Option<PathBuf>,
    /// A filter, as of the list.
    #[arg(long)]
    pub filter: Option<String>,
    /// The order, as of the list.
    #[arg(long)]
    pub orderby: Option<String>,
    /// The service.
    #[command(flatten)]
    pub service: ServiceSettings,
}

/// The OpenID Connect issuer.
#[derive(Args)]
struct OidcFlags {
    /// URL of an OpenID Connect issuer whose access tokens are accepted.
    #[arg(id = "oidc_issuer", long = "oidc-issuer", env = "KAMPANJE_OIDC_ISSUER")]
    issuer: Option<String>,
    /// The audience that the tokens have to be for.
    #[arg(id = "oidc_audience", long = "oidc-audience", env = "KAMPANJE_OIDC_AUDIENCE")]
    audience: Option<String>,
    /// The claim with the roles of the caller; dots lead to nested claims (`realm_access.roles`).
    #[arg(
        id = "oidc_roles_claim",
        long = "oidc-roles-claim",
        env = "KAMPANJE_OIDC_ROLES_CLAIM",
        default_value = "roles"
    )]
    roles_claim: String,
    /// The client of the desk at the issuer, with which users sign in. Without one they need an API
    /// key.
    #[arg(id = "oidc_client_id", long = "oidc-client-id", env = "KAMPANJE_OIDC_CLIENT_ID")]
    client_id: Option<String>,
    /// The scopes that the desk requests at the sign-in, separated by spaces.
    #[arg(
        id = "oidc_scope",
        long = "oidc-scope",
        env = "KAMPANJE_OIDC_SCOPE",
        default_value = "openid"
    )]
    scope: String,
}

/// Settings of the service.
#[derive(Args)]
pub struct ServeSettings {
    /// The address to listen on.
    #[command(flatten)]
    pub listen: Listen,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// File in which the price book is kept for the next start [default: `price-book.copy` next to
    /// the private database, else none].
    #[arg(long, env = "KAMPANJE_SNAPSHOT_PATH")]
    pub snapshot_path: Option<String>,
    /// Minimum number of seconds between two writes of that file, after changes.
    #[arg(
        long,
        env = "KAMPANJE_SNAPSHOT_SECONDS",
        default_value = "30",
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    pub snapshot_seconds: u64,
    /// Seconds between two comparisons of the in-memory price book with the database; 0: none.
    #[arg(
        long,
        env = "KAMPANJE_SELF_CHECK_SECONDS",
        default_value = "3600",
        value_parser = clap::value_parser!(u64).range(..=604_800)
    )]
    pub self_check_seconds: u64,
    /// Key with all scopes, for the first requests: those that create the keys of programs
    /// (`/v1/api-keys`). It has at least 32 characters. Without it programs on this machine need no
    /// key, and only a loopback address can be listened on.
    #[arg(long, env = "KAMPANJE_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// File that contains the key, as an alternative to it.
    #[arg(long, env = "KAMPANJE_API_KEY_FILE", conflicts_with = "api_key")]
    api_key_file: Option<PathBuf>,
    /// The OpenID Connect issuer whose tokens are accepted.
    #[command(flatten)]
    oidc: OidcFlags,
    /// Number of threads that answer requests [default: one per processor].
    #[arg(long, env = "KAMPANJE_WORKERS")]
    pub workers: Option<NonZeroUsize>,
    /// Maximum number of database sessions for requests, divided by kind of work so that none
    /// starves another. The service itself uses up to 8 more.
    #[arg(
        long,
        env = "KAMPANJE_POOL_SIZE",
        default_value = "16",
        value_parser = clap::value_parser!(u16)
            .range(i64::from(MIN_REQUEST_SESSIONS)..=i64::from(MAX_REQUEST_SESSIONS))
    )]
    pub pool_size: u16,
    /// Maximum number of open client connections; lower if the limit of file descriptors is lower.
    #[arg(long, env = "KAMPANJE_MAX_CONNECTIONS", default_value = "8192")]
    pub max_connections: NonZeroUsize,
    /// Maximum size of the body of a batch in bytes. Other bodies have at most 512 KiB.
    #[arg(long, env = "KAMPANJE_BODY_LIMIT", default_value = "4194304")]
    pub body_limit: NonZeroUsize,
    /// Days for which entries of the audit log are kept.
    #[arg(
        long,
        env = "KAMPANJE_AUDIT_DAYS",
        default_value = "400",
        value_parser = clap::value_parser!(u16).range(1..=36_500)
    )]
    pub audit_days: u16,
    /// Networks in addition to the public internet that webhooks may be sent to, as in
    /// `10.1.0.0/16,fd00::/8`. Only these may be sent to by http.
    #[arg(long, env = "KAMPANJE_WEBHOOK_NETWORKS", default_value = "")]
    pub webhook_networks: Networks,
    /// Start although the schema is of a later release. Migrations leave the release before them
    /// working, so this is for the return to it.
    #[arg(long, env = "KAMPANJE_ALLOW_NEWER_SCHEMA")]
    pub allow_newer_schema: bool,
    /// Seconds for which the service continues to serve after SIGTERM while it is not ready, so
    /// that a load balancer notices: HAProxy by default after three checks at 2 s. An interrupt
    /// does not wait.
    #[arg(
        long,
        env = "KAMPANJE_DRAIN_SECONDS",
        default_value = "8",
        value_parser = clap::value_parser!(u64).range(..=300)
    )]
    pub drain_seconds: u64,
}

impl ServeSettings {
    /// Returns the API key; an empty variable counts as none.
    ///
    /// # Errors
    /// When its file cannot be read, or it is too short.
    pub fn api_key(&self) -> anyhow::Result<Option<String>> {
        let key = secret(self.api_key.as_deref(), self.api_key_file.as_deref())?;
        if let Some(key) = &key {
            anyhow::ensure!(
                key.chars().count() >= MIN_API_KEY_LENGTH,
                "KAMPANJE_API_KEY has to have at least {MIN_API_KEY_LENGTH} characters"
            );
        }
        Ok(key)
    }

    /// Returns the settings of the issuer; an empty variable counts as none.
    ///
    /// # Errors
    /// When there is an issuer without audience, or an audience without issuer.
    pub fn oidc(&self) -> anyhow::Result<Option<OidcSettings>> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        match (given(&self.oidc.issuer), given(&self.oidc.audience)) {
            (None, None) => Ok(None),
            (Some(issuer), Some(audience)) => Ok(Some(OidcSettings {
                issuer,
                audience,
                roles_claim: self.oidc.roles_claim.clone(),
                min_fetch_interval: MIN_FETCH_INTERVAL,
            })),
            _ => anyhow::bail!(
                "KAMPANJE_OIDC_ISSUER and KAMPANJE_OIDC_AUDIENCE have to be set together"
            ),
        }
    }

    /// Returns the client of the desk at the issuer; an empty variable counts as none.
    ///
    /// # Errors
    /// When there is a client without issuer.
    pub fn desk_client(&self) -> anyhow::Result<Option<OidcClient>> {
        let client_id = self.oidc.client_id.clone().filter(|id| !id.is_empty());
        let Some(client_id) = client_id else { return Ok(None) };
        let OidcSettings { issuer, .. } =
            self.oidc()?.context("KAMPANJE_OIDC_CLIENT_ID needs KAMPANJE_OIDC_ISSUER")?;
        Ok(Some(OidcClient { issuer, client_id, scope: self.oidc.scope.clone() }))
    }

    /// Returns the file for the price book; an empty variable counts as none.
    #[must_use]
    pub fn snapshot_path(&self) -> Option<&Path> {
        self.snapshot_path.as_deref().filter(|path| !path.is_empty()).map(Path::new)
    }

    /// Checks that the settings are safe.
    ///
    /// # Errors
    /// When other machines could use the service without a key, the key cannot be used, or a
    /// setting of the issuer lacks another.
    pub fn check(&self) -> anyhow::Result<()> {
        let address = self.listen.address;
        let has_credentials = self.api_key()?.is_some() || self.oidc()?.is_some();
        self.desk_client()?;
        anyhow::ensure!(
            has_credentials || address.ip().is_loopback(),
            "neither KAMPANJE_API_KEY nor KAMPANJE_OIDC_ISSUER is set, so only a loopback address \
             can be listened on, not {address}"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(arguments: &[&str]) -> ServeSettings {
        let all = ["kampanje", "serve"].iter().chain(arguments);
        match Cli::try_parse_from(all).unwrap().command {
            Command::Serve(settings) => settings,
            _ => unreachable!(),
        }
    }

    #[test]
    fn only_loopback_is_allowed_without_a_key() {
        for address in ["127.0.0.1:0", "127.9.9.9:80", "[::1]:8080"] {
            assert!(serve(&["--listen", address]).check().is_ok(), "{address}");
        }
        for address in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80"] {
            let refused =
                serve(&["--listen", address, "--api-key", ""]).check().unwrap_err().to_string();
            assert!(refused.contains("KAMPANJE_API_KEY") && refused.contains(address), "{refused}");
            let key = "k".repeat(32);
            assert!(serve(&["--listen", address, "--api-key", &key]).check().is_ok(), "{address}");
            assert!(serve(&["--listen", address, "--api-key", &key[1..]]).check().is_err());
        }
    }

    #[test]
    fn issuer_and_audience_belong_together() {
        let issuer = ["--oidc-issuer", "https://id.example"];
        let audience = ["--oidc-audience", "kampanje"];
        let both = serve(&[issuer, audience].concat());
        assert_eq!(both.oidc().unwrap().unwrap().roles_claim, "roles");
        assert!(
            serve(&[&issuer[..], &audience[..], &["--listen", "0.0.0.0:1"]].concat())
                .check()
                .is_ok()
        );
        for one in [issuer, audience] {
            assert!(serve(&one).check().is_err());
        }
    }

    #[test]
    fn client_of_the_desk_needs_an_issuer() {
        let client = ["--oidc-client-id", "desk"];
        let issuer = ["--oidc-issuer", "https://id.example", "--oidc-audience", "kampanje"];
        assert!(serve(&client).check().is_err());
        assert!(serve(&issuer).desk_client().unwrap().is_none());
        let both = serve(&[&client[..], &issuer[..]].concat()).desk_client().unwrap().unwrap();
        assert_eq!((both.client_id.as_str(), both.scope.as_str()), ("desk", "openid"));
        assert_eq!(both.issuer, "https://id.example");
    }

    #[test]
    fn empty_variable_is_none() {
        let settings = serve(&["--database-url", "", "--api-key", "", "--snapshot-path", ""]);
        assert_eq!(settings.database.database.url().unwrap(), None);
        assert_eq!(settings.api_key().unwrap(), None);
        assert_eq!(settings.snapshot_path(), None);
    }

    #[test]
    fn command_line_and_its_bounds() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
        for wrong in [
            &["--listen", "nowhere"][..],
            &["--workers", "0"],
            &["--pool-size", "3"],
            &["--pool-size", "1001"],
            &["--max-connections", "0"],
            &["--drain-seconds", "301"],
            &["--snapshot-seconds", "0"],
            &["--self-check-seconds", "604801"],
            &["--audit-days", "0"],
            &["--webhook-networks", "10.0.0.1"],
        ] {
            assert!(
                Cli::try_parse_from(["kampanje", "serve"].iter().chain(wrong)).is_err(),
                "{wrong:?}"
            );
        }
    }
}
