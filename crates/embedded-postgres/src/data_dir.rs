//! The parts of a data directory: its lock, its socket, its log, its cluster.

use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::StartError;
use crate::wire::{Session, WireError};

/// The role that owns the cluster.
pub const ROLE: &str = "kampanje";
/// The role for the sessions of a service. It owns nothing.
pub const SERVICE_ROLE: &str = "kampanje_service";
/// Part of the socket's file name only: the server opens no port.
pub const PORT: u16 = 5432;

/// The longest path of a socket's directory. A socket's path has at most 103 bytes on macOS and 107
/// on Linux; the separator and the file's name take 14.
const MAX_SOCKET_DIR_BYTES: usize = 103 - 14;
/// The number of names tried for a socket directory outside the data directory.
const MAX_SOCKET_DIR_ATTEMPTS: u32 = 1_000;
/// A longer log is renamed at the next start.
const MAX_LOG_BYTES: u64 = 10 << 20;
/// The part of the log that is read to explain an early exit.
const MAX_EXCERPT_BYTES: u64 = 64 << 10;
/// The number of log lines in an error message.
const MAX_EXCERPT_LINES: usize = 4;

/// Locks the data directory for as long as the returned file is open. The kernel releases the lock
/// however the process ends.
pub fn lock(data_dir: &Path) -> Result<File, StartError> {
    let path = data_dir.join("in-use.lock");
    let opened = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&path);
    let mut file = opened.map_err(StartError::io("lock", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut process = String::new();
            let _ = file.read_to_string(&mut process);
            let process = if process.trim().is_empty() { "(unknown)" } else { process.trim() };
            return Err(StartError::InUse {
                data_dir: data_dir.to_owned(),
                process: process.to_owned(),
            });
        }
        Err(TryLockError::Error(source)) => return Err(StartError::io("lock", &path)(source)),
    }
    let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(StartError::io("lock", &path))?;
    Ok(file)
}

/// The directory of the server's socket.
#[derive(Debug)]
pub struct SocketDir {
    path: PathBuf,
    /// True for a directory outside the data directory, which is removed with this value.
    is_temporary: bool,
}

impl SocketDir {
    /// Creates the directory inside `data_dir`, or elsewhere if its path would be too long.
    pub fn create(data_dir: &Path) -> Result<Self, StartError> {
        let inside = data_dir.join("run");
        if inside.as_os_str().len() <= MAX_SOCKET_DIR_BYTES {
            make_dir(&inside, 0o700)?;
            return Ok(Self { path: inside, is_temporary: false });
        }
        let process = std::process::id();
        for attempt in 0..MAX_SOCKET_DIR_ATTEMPTS {
            let path = env::temp_dir().join(format!("kampanje-run-{process}-{attempt}"));
            // Not `make_dir`: an existing directory belongs to another process.
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path, is_temporary: true }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(source) => return Err(StartError::io("create", &path)(source)),
            }
        }
        let parent = env::temp_dir();
        Err(StartError::io("create a socket directory in", &parent)(
            ErrorKind::AlreadyExists.into(),
        ))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file by which the server protects its socket from a second server.
    pub fn lock_file(&self) -> PathBuf {
        self.path.join(format!(".s.PGSQL.{PORT}.lock"))
    }
}

impl Drop for SocketDir {
    fn drop(&mut self) {
        if self.is_temporary {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Opens a session of the cluster's owner.
pub fn open_session(socket_dir: &Path) -> Result<Session, WireError> {
    open_session_of(socket_dir, "postgres")
}

/// Opens a session of a database.
pub fn open_session_of(socket_dir: &Path, database: &str) -> Result<Session, WireError> {
    Session::open(&socket_dir.join(format!(".s.PGSQL.{PORT}")), ROLE, database)
}

/// The log of the server and of `initdb`.
pub struct Log {
    path: PathBuf,
    pub file: File,
    /// The length of the log when it was opened.
    start: u64,
}

impl Log {
    /// Opens the log for appending. A log over `MAX_LOG_BYTES` is renamed first.
    pub fn open(data_dir: &Path) -> Result<Self, StartError> {
        let path = data_dir.join("postgres.log");
        let open = || {
            if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > MAX_LOG_BYTES) {
                fs::rename(&path, path.with_extension("log.1"))?;
            }
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
            let start = file.metadata()?.len();
            Ok((file, start))
        };
        let (file, start) = open().map_err(StartError::io("open", &path))?;
        Ok(Self { path, file, start })
    }

    /// Returns the last lines that were written since the log was opened.
    pub fn excerpt(&self) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(self.start))?;
            let mut bytes = Vec::new();
            file.take(MAX_EXCERPT_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let first = lines.len().saturating_sub(MAX_EXCERPT_LINES);
        lines.get(first..).unwrap_or_default().join(" | ")
    }
}

/// Creates the directory with this mode, and missing parents with the default one.
pub fn make_dir(path: &Path, mode: u32) -> Result<(), StartError> {
    let make = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        match DirBuilder::new().mode(mode).create(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            result => result,
        }
    };
    make().map_err(StartError::io("create", path))
}

/// Removes the directory with its contents if it exists.
pub fn remove_dir(path: &Path) -> Result<(), StartError> {
    unless_missing(fs::remove_dir_all(path)).map_err(StartError::io("remove", path))
}

/// Accepts the failure of a removal whose target does not exist.
pub fn unless_missing(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Returns the major version that wrote the cluster, or `None` without a cluster.
pub fn cluster_major(cluster: &Path) -> Option<u32> {
    fs::read_to_string(cluster.join("PG_VERSION")).ok()?.trim().parse().ok()
}

/// Returns the process id in the cluster's `postmaster.pid`.
pub fn postmaster_pid(cluster: &Path) -> Option<u32> {
    fs::read_to_string(cluster.join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
}

/// The state of a cluster.
#[derive(Debug, PartialEq, Eq)]
pub enum Occupant {
    /// A server runs on it.
    Process(u32),
    /// No server runs on it.
    Nobody,
    /// The operating system does not publish the working directories of its processes.
    Unknown,
}

impl Occupant {
    /// Searches for a living process whose working directory is the cluster. Every process of a
    /// server is one, and no other process is.
    pub fn of(cluster: &Path) -> Self {
        let Ok(processes) = fs::read_dir("/proc") else { return Self::Unknown };
        if !Path::new("/proc/self/cwd").exists() {
            return Self::Unknown;
        }
        for process in processes.flatten() {
            let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // The link of a zombie cannot be read, so zombies do not count.
            let directory = fs::read_link(process.path().join("cwd"));
            if directory.is_ok_and(|directory| directory == cluster) {
                return Self::Process(pid);
            }
        }
        Self::Nobody
    }
}
