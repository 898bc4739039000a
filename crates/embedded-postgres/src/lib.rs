//! A private PostgreSQL server as a child process: the default database where none is configured.
//!
//! It is an ordinary PostgreSQL, so tests and demos behave like production. The modules:
//!
//! ```text
//! binaries.rs  finds the server's programs
//! install.rs   installs them if the machine has none
//! account.rs   chooses the server's user; root hands over to an unprivileged one
//! data_dir.rs  lock, socket and log in the data directory
//! server.rs    creates the cluster; starts, supervises and stops the server
//! watchdog.rs  ends the server when this process ends, for whatever reason
//! wire.rs      the part of PostgreSQL's protocol that the launcher needs
//! ```
//!
//! *Invariant*: the server listens on a Unix socket in its own directory, never on a port, and
//! accepts only the user of this process, as confirmed by the kernel (`peer`). There is no password
//! to leak and no port to conflict, and the address survives restarts. There are two roles: the
//! cluster's owner, and [`SERVICE_ROLE`], which owns nothing and gets its rights from the owner.
//!
//! A data directory contains `cluster/` (the data), `run/` (the socket), `postgres.log` (this run
//! and the previous ones) and `in-use.lock` (locked while a process uses the directory).

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod account;
mod binaries;
mod data_dir;
mod error;
mod install;
mod server;
mod watchdog;
mod wire;

use std::env;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

pub use data_dir::SERVICE_ROLE;
pub use error::StartError;

use binaries::Binaries;
use data_dir::{PORT, ROLE, open_session, open_session_of, postmaster_pid};
use server::Server;
use wire::WireError;

/// The guarantee for committed data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A commit survives a power failure, and the data is kept.
    Durable,
    /// For tests: nothing is flushed to disk, and the data directory is removed after the server's
    /// exit.
    Throwaway,
}

/// The place of a server and its durability.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory for everything the server needs, created if missing. One server at a time can
    /// use it.
    pub data_dir: PathBuf,
    /// The guarantee for committed data.
    pub durability: Durability,
    /// The directory of `postgres` and `initdb`; `None` to search for them, and to install them if
    /// the machine has none.
    pub bin_dir: Option<PathBuf>,
}

impl Settings {
    /// Settings with the programs in `PG_BIN_DIR`, if that variable is set.
    pub fn new(data_dir: impl Into<PathBuf>, durability: Durability) -> Self {
        let bin_dir = env::var_os("PG_BIN_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        Self { data_dir: data_dir.into(), durability, bin_dir }
    }
}

/// Returns the directory of the server's programs, as [`Settings`] chooses them. Installs them if
/// the machine has none.
///
/// # Errors
/// [`StartError::NotBinaries`] or [`StartError::NoBinaries`].
pub fn programs() -> Result<PathBuf, StartError> {
    let bin_dir = Settings::new("", Durability::Throwaway).bin_dir;
    Ok(Binaries::locate(bin_dir.as_deref(), None, account::is_root())?.dir)
}

/// Returns the data directory to use by default: `/var/lib/kampanje` for root, else `kampanje`
/// below `XDG_STATE_HOME` or `~/.local/state`.
///
/// # Errors
/// [`StartError::NoStateDirectory`] if the environment names neither.
pub fn default_data_dir() -> Result<PathBuf, StartError> {
    let variable = |name: &str| env::var_os(name).map(PathBuf::from);
    data_dir_for(account::is_root(), variable("XDG_STATE_HOME"), variable("HOME"))
        .ok_or(StartError::NoStateDirectory)
}

/// Root's home is closed to the user that runs the server, so root uses a directory outside.
fn data_dir_for(root: bool, state_home: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    if root {
        return Some("/var/lib/kampanje".into());
    }
    let absolute = |path: &PathBuf| path.is_absolute();
    let state_home = state_home.filter(absolute);
    let base =
        state_home.or_else(|| home.filter(absolute).map(|home| home.join(".local/state")))?;
    Some(base.join("kampanje"))
}

/// A running server. Dropping it stops the server and waits for its exit.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    socket_dir: PathBuf,
    cluster: PathBuf,
    /// Dropped to make the supervisor stop the server.
    stop: Option<mpsc::Sender<()>>,
    supervisor: Option<JoinHandle<()>>,
}

impl EmbeddedPostgres {
    /// Starts the server and waits until it accepts sessions. The first start creates the data
    /// directory. Blocks.
    ///
    /// # Errors
    /// Any [`StartError`]; no process is left running then.
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        let server = Server::prepare(settings)?;
        let began = Instant::now();
        let watched = server.launch()?;
        tracing::info!(
            data_dir = %server.data_dir.display(),
            socket_dir = %server.socket_dir.path().display(),
            binaries = %server.binaries.dir.display(),
            major = server.binaries.major,
            start_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "the private database server is running"
        );
        let (socket_dir, cluster) = (server.socket_dir.path().to_owned(), server.cluster());
        let (stop, stopped) = mpsc::channel();
        let supervisor = thread::Builder::new()
            .name("embedded-postgres".to_owned())
            .spawn(move || server.supervise(watched, &stopped))
            .map_err(StartError::io("start a thread to supervise", &cluster))?;
        let started = Self { socket_dir, cluster, stop: Some(stop), supervisor: Some(supervisor) };
        started.create_service_role()?;
        Ok(started)
    }

    /// Creates [`SERVICE_ROLE`] unless it exists. A standby server has it from its primary.
    fn create_service_role(&self) -> Result<(), StartError> {
        let statement = format!(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{SERVICE_ROLE}') \
             THEN CREATE ROLE {SERVICE_ROLE} LOGIN; END IF; END $$"
        );
        let created =
            open_session(&self.socket_dir).and_then(|mut session| session.execute(&statement));
        created.map_err(|error| StartError::Refused {
            what: format!("role {SERVICE_ROLE}"),
            reason: error.to_string(),
        })
    }

    /// Returns the connection URL of a database of this server, for the cluster's owner: a Unix
    /// socket, which is closed to other users.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_of(ROLE, database)
    }

    /// Returns the connection URL of a database for [`SERVICE_ROLE`].
    #[must_use]
    pub fn service_url(&self, database: &str) -> String {
        self.url_of(SERVICE_ROLE, database)
    }

    fn url_of(&self, role: &str, database: &str) -> String {
        let socket_dir = percent_encoded(self.socket_dir.as_os_str().as_bytes());
        let [role, database] = [role, database].map(|name| percent_encoded(name.as_bytes()));
        format!("postgres://{role}@{socket_dir}:{PORT}/{database}")
    }

    /// Creates the database unless it exists. Blocks.
    ///
    /// # Errors
    /// [`StartError::Refused`] with the server's error.
    pub fn create_database_if_missing(&self, name: &str) -> Result<(), StartError> {
        // Without this look-up, the server would log an error at every start but the first.
        if open_session_of(&self.socket_dir, name).is_ok() {
            return Ok(());
        }
        let statement = format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""));
        let created =
            open_session(&self.socket_dir).and_then(|mut session| session.execute(&statement));
        match created {
            // Another process has created it meanwhile.
            Err(WireError::Server { code, .. }) if code == "42P04" => Ok(()),
            Err(error) => Err(StartError::Refused {
                what: format!("database {name}"),
                reason: error.to_string(),
            }),
            Ok(()) => Ok(()),
        }
    }

    /// Returns the process id of the server while it runs.
    #[must_use]
    pub fn server_pid(&self) -> Option<u32> {
        postmaster_pid(&self.cluster)
    }

    /// Shuts the server down cleanly and waits for its exit, as dropping it does.
    pub fn stop(self) {}
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(supervisor) = self.supervisor.take()
            && supervisor.join().is_err()
        {
            tracing::error!("the supervisor of the private database server panicked");
        }
    }
}

/// Encodes everything except letters, digits and `-._` as `%` and two hex digits, including `/`,
/// which would end the host of a URL.
fn percent_encoded(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                char::from(*byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests;
