//! The reasons why the server does not start.

use std::io;
use std::path::{Path, PathBuf};

/// The reason why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process uses the data directory.
    #[error("{} is already in use by process {process}", data_dir.display())]
    InUse {
        /// The requested directory.
        data_dir: PathBuf,
        /// The id of the process, or `(unknown)`.
        process: String,
    },
    /// A parent directory is closed to the server's user.
    #[error(
        "the database server runs as user {user}, who cannot enter {}; choose a data directory \
         other than {}, or open the closed one (chmod a+x)",
        closed.display(), data_dir.display()
    )]
    Unreachable {
        /// The requested directory.
        data_dir: PathBuf,
        /// The directory that the user cannot enter.
        closed: PathBuf,
        /// The numeric id of the user.
        user: u32,
    },
    /// The machine has no server, and none could be installed.
    #[error(
        "no PostgreSQL server (15 or later) was found or installed: install one (apt-get install \
         postgresql, brew install postgresql@17), or set PG_BIN_DIR or DATABASE_URL \
         (attempts: {attempts})"
    )]
    NoBinaries {
        /// The installation methods with the reason why each failed.
        attempts: String,
    },
    /// The configured directory has no usable server.
    #[error("{} has no runnable `postgres` and `initdb` of version 15 or later", dir.display())]
    NotBinaries {
        /// The configured directory.
        dir: PathBuf,
    },
    /// The data belongs to a major version that is not installed.
    #[error(
        "the data was written by PostgreSQL {wanted}, which is not installed{}; install that \
         version, or convert the data with pg_upgrade",
        found.map_or_else(String::new, |found| format!(" (found: {found})"))
    )]
    OtherMajor {
        /// The version that wrote the data.
        wanted: u32,
        /// The version of the configured server, if one is configured.
        found: Option<u32>,
    },
    /// The process runs as root, and no unprivileged user exists to run the server.
    #[error("the database server cannot run as root, and no user `postgres` or `nobody` exists")]
    NoAccount,
    /// The environment names neither a state directory nor a home directory.
    #[error("no data directory: neither XDG_STATE_HOME nor HOME is set to an absolute path")]
    NoStateDirectory,
    /// A program of the server exited instead of doing its work.
    #[error("{program} exited early ({status}): {log}")]
    Ended {
        /// The program.
        program: &'static str,
        /// Its exit status.
        status: String,
        /// The last lines of its output.
        log: String,
    },
    /// The server runs but refuses sessions.
    #[error("the database server does not become ready: {reason}")]
    NotReady {
        /// The last refusal.
        reason: String,
    },
    /// The server refused a statement.
    #[error("the database server refused to create {what}: {reason}")]
    Refused {
        /// The object to create.
        what: String,
        /// The server's error.
        reason: String,
    },
    /// The operating system refused an action.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The action.
        action: &'static str,
        /// The file or program.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl StartError {
    /// Returns a function that adds the action and its file to a system error.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
