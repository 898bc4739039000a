//! A private PostgreSQL server as a child process: the default database where none is configured.
//!
//! It is a real PostgreSQL, so that nothing behaves otherwise than in production. The programs are
//! found on the machine or provisioned (`binaries`); root hands them to an unprivileged user
//! (`account`); the server ends when we end, however we end (`guarded`), and is started again
//! should it crash while we run.
//!
//! *Invariant*: the server listens on a Unix socket in a directory of its own, never on a port, and
//! lets in nobody but the user that this process runs as, by the kernel's word (`peer`). So there
//! is no password that could leak, no port that could be taken, and the address stays the same over
//! every restart.
//!
//! A data directory holds `cluster/` (the data), `run/` (the socket), `postgres.log` (this and the
//! last run) and `in-use.lock`, which is locked as long as somebody uses the directory.

mod account;
mod binaries;
mod guarded;
mod wire;

use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use account::Account;
use binaries::Binaries;
use guarded::{Guard, Guarded};
use wire::{Session, WireError};

/// The role that owns the cluster; there is no other.
const ROLE: &str = "kampanje";
/// Names the socket file only, as the server has no port.
const PORT: u16 = 5432;
/// A socket's path has at most 103 bytes on macOS, 107 on Linux; the file's own name and its
/// separator take 14.
const SOCKET_DIR_BYTES_MAX: usize = 103 - 14;
/// How long a server that lost its parent, or a corpse that nobody has buried yet, may hold the
/// directory.
const PREDECESSOR_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a process id that names no server of this directory is believed to name one.
const STALE_PID_TIMEOUT: Duration = Duration::from_secs(3);
/// Replaying the log after a crash takes minutes at worst.
const READY_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a shutdown may take; after it the server is left to end by itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How often the supervisor looks whether the server still runs.
const SUPERVISION_INTERVAL: Duration = Duration::from_millis(100);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(30);
/// A log longer than this is put aside at the next start.
const LOG_BYTES_MAX: u64 = 10 << 20;

/// What becomes of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A commit survives a power cut, the data stays.
    Durable,
    /// For tests: nothing is forced to disk, and the data directory is removed once the server has
    /// ended.
    Throwaway,
}

/// Where and how the server is to run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory for everything the server needs; made if it is missing. One server at a time
    /// can use it.
    pub data_dir: PathBuf,
    /// What becomes of the data.
    pub durability: Durability,
    /// The directory with `postgres` and `initdb`; none: search, and provision if need be.
    pub bin_dir: Option<PathBuf>,
}

impl Settings {
    /// Settings with the programs of `PG_BIN_DIR`, if that variable is set.
    pub fn new(data_dir: impl Into<PathBuf>, durability: Durability) -> Self {
        let bin_dir = env::var_os("PG_BIN_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        Self { data_dir: data_dir.into(), durability, bin_dir }
    }
}

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process has the data directory.
    #[error("{} is already in use by process {process}", data_dir.display())]
    InUse {
        /// The directory asked for.
        data_dir: PathBuf,
        /// The process that uses it, as far as it is known.
        process: String,
    },
    /// A parent directory is closed to the user that the server runs as.
    #[error(
        "user {user}, who runs the database server, cannot enter {}; choose a data directory elsewhere than {}, or open that directory (chmod a+x)",
        closed.display(), data_dir.display()
    )]
    Unreachable {
        /// The directory asked for.
        data_dir: PathBuf,
        /// The directory that is closed.
        closed: PathBuf,
        /// The numeric id of the user.
        user: u32,
    },
    /// No programs on this machine, and none could be provisioned.
    #[error(
        "no PostgreSQL server (15 or later): install one (apt-get install postgresql, brew install postgresql@17), or set PG_BIN_DIR or DATABASE_URL (tried: {tried})"
    )]
    NoBinaries {
        /// What was tried, and why it failed.
        tried: String,
    },
    /// The directory given has no usable programs.
    #[error("{} has no runnable `postgres` and `initdb` of version 15 or later", dir.display())]
    NotBinaries {
        /// The directory given.
        dir: PathBuf,
    },
    /// The data was written by a major version that is not here.
    #[error(
        "the data was written by PostgreSQL {wanted}, which is not here{}; install that version, or convert the data with pg_upgrade",
        found.map_or_else(String::new, |found| format!(" ({found} is)"))
    )]
    OtherMajor {
        /// The version that wrote the data.
        wanted: u32,
        /// The version of the programs given.
        found: Option<u32>,
    },
    /// Root finds nobody to hand the server to.
    #[error(
        "the database server cannot run as root, and there is neither a user `postgres` nor `nobody`"
    )]
    NoAccount,
    /// There is no home directory and no state directory to put the data in.
    #[error("neither XDG_STATE_HOME nor HOME says where the data could go")]
    NoStateDirectory,
    /// A program of the server ended instead of doing its work.
    #[error("{program} ended ({status}): {log}")]
    Ended {
        /// Which program.
        program: &'static str,
        /// How it ended.
        status: String,
        /// The end of what it wrote.
        log: String,
    },
    /// The server runs but lets no session in.
    #[error("the database server does not become ready: {reason}")]
    NotReady {
        /// What it answered last.
        reason: String,
    },
    /// A statement of the launcher failed.
    #[error("the database server refused {what}: {reason}")]
    Refused {
        /// What was asked for.
        what: String,
        /// What the server answered.
        reason: String,
    },
    /// The operating system refused something.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl StartError {
    fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}

/// The data directory for who asks for nothing else: `/var/lib/kampanje` for root, otherwise
/// `kampanje` below `XDG_STATE_HOME` or `~/.local/state`.
///
/// # Errors
/// [`StartError::NoStateDirectory`] if the environment names neither.
pub fn default_data_dir() -> Result<PathBuf, StartError> {
    let variable = |name: &str| env::var_os(name).map(PathBuf::from);
    data_dir_for(account::is_root()?, variable("XDG_STATE_HOME"), variable("HOME"))
        .ok_or(StartError::NoStateDirectory)
}

/// Root's home is closed to the user that runs the server, so root has a place outside.
fn data_dir_for(root: bool, state_home: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    if root {
        return Some("/var/lib/kampanje".into());
    }
    let absolute = |path: &PathBuf| path.is_absolute();
    let base = state_home
        .filter(absolute)
        .or_else(|| home.filter(absolute).map(|home| home.join(".local/state")))?;
    Some(base.join("kampanje"))
}

/// A running server. Dropping it stops the server and waits for that.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    socket_dir: PathBuf,
    cluster: PathBuf,
    /// Dropped to tell the supervisor to stop the server.
    line: Option<mpsc::Sender<()>>,
    supervisor: Option<JoinHandle<()>>,
}

impl EmbeddedPostgres {
    /// Starts the server, after making its data directory at the first start, and waits until it
    /// lets sessions in. Blocks.
    ///
    /// # Errors
    /// Everything in [`StartError`]; nothing is left running then.
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        let mut server = Server::prepare(settings)?;
        let began = Instant::now();
        let guarded = server.launch()?;
        tracing::info!(
            data_dir = %server.data_dir.display(),
            socket_dir = %server.socket_dir.display(),
            binaries = %server.binaries.dir.display(),
            major = server.binaries.major,
            start_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "the private database server runs"
        );
        let (socket_dir, cluster) = (server.socket_dir.clone(), server.cluster());
        let (line, told) = mpsc::channel();
        let supervisor = thread::Builder::new()
            .name("embedded-postgres".to_owned())
            .spawn(move || server.supervise(guarded, &told))
            .map_err(|source| StartError::io("start a thread for", &cluster, source))?;
        Ok(Self { socket_dir, cluster, line: Some(line), supervisor: Some(supervisor) })
    }

    /// The connection URL of a database of this server: a Unix socket, which other users cannot
    /// use.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let socket_dir = percent_encoded(self.socket_dir.as_os_str().as_bytes());
        format!("postgres://{ROLE}@{socket_dir}:{PORT}/{}", percent_encoded(database.as_bytes()))
    }

    /// Makes the database unless it is there already. Blocks.
    ///
    /// # Errors
    /// [`StartError::Refused`] with the server's answer.
    pub fn create_database_if_missing(&self, name: &str) -> Result<(), StartError> {
        let statement = format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""));
        let result =
            open_session(&self.socket_dir).and_then(|mut session| session.execute(&statement));
        match result {
            // There already; asking first would leave a gap for another process.
            Err(WireError::Server { code, .. }) if code == "42P04" => Ok(()),
            Err(error) => Err(StartError::Refused {
                what: format!("database {name}"),
                reason: error.to_string(),
            }),
            Ok(()) => Ok(()),
        }
    }

    /// The process id of the server, while it runs.
    #[must_use]
    pub fn server_pid(&self) -> Option<u32> {
        pid_in(&self.cluster.join("postmaster.pid"))
    }

    /// Stops the server in good order and waits for that; the same as dropping it.
    pub fn stop(self) {}
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        self.line = None;
        if let Some(supervisor) = self.supervisor.take()
            && supervisor.join().is_err()
        {
            tracing::error!("the supervisor of the private database server has panicked");
        }
    }
}

/// Everything that is needed to start the server, and to start it again.
struct Server {
    data_dir: PathBuf,
    socket_dir: PathBuf,
    /// A socket directory outside the data directory is ours to remove.
    socket_dir_is_temporary: bool,
    durability: Durability,
    account: Account,
    binaries: Binaries,
    /// Held as long as this value lives; the kernel lets go of it however we end.
    _lock: File,
}

impl Server {
    fn prepare(settings: Settings) -> Result<Self, StartError> {
        let Settings { data_dir, durability, bin_dir } = settings;
        let root = account::is_root()?;
        // Others may pass through root's data directory, as one of them runs the server, but not
        // look around.
        let mode = if root { 0o711 } else { 0o700 };
        make_dir(&data_dir, mode)?;
        // The server is started in another directory, and the parents that count are the real ones.
        let data_dir = fs::canonicalize(&data_dir)
            .map_err(|source| StartError::io("find", &data_dir, source))?;
        let lock = lock(&data_dir)?;
        let cluster = data_dir.join("cluster");
        let account = Account::resolve(&cluster)?;
        account.check_reach(&data_dir)?;
        if durability == Durability::Throwaway {
            // Whoever removes the directory in the end has to own it, as temporary directories are
            // sticky.
            account.give(&data_dir)?;
        }
        let (socket_dir, socket_dir_is_temporary) = socket_dir(&data_dir)?;
        account.give(&socket_dir)?;
        let binaries = Binaries::locate(bin_dir.as_deref(), major_of_cluster(&cluster), root)?;
        let server = Self {
            data_dir,
            socket_dir,
            socket_dir_is_temporary,
            durability,
            account,
            binaries,
            _lock: lock,
        };
        if major_of_cluster(&cluster).is_none() {
            server.init()?;
        }
        server.write_access_rules()?;
        Ok(server)
    }

    fn cluster(&self) -> PathBuf {
        self.data_dir.join("cluster")
    }

    /// Makes the cluster under another name first, so that one half made is never taken for one.
    fn init(&self) -> Result<(), StartError> {
        let fresh = self.data_dir.join("cluster.new");
        remove_dir(&fresh)?;
        make_dir(&fresh, 0o700)?;
        self.account.give(&fresh)?;
        let mut failure = None;
        // Letters of every language are letters, and the order of texts is that of bytes; not every
        // system has this one.
        for locale in ["C.UTF-8", "C"] {
            let mut arguments = vec![
                format!("--pgdata={}", fresh.display()),
                format!("--username={ROLE}"),
                "--encoding=UTF8".to_owned(),
                format!("--locale={locale}"),
                // Messages in English, for whoever reads the log.
                "--lc-messages=C".to_owned(),
                "--auth-local=peer".to_owned(),
                "--auth-host=reject".to_owned(),
            ];
            if self.durability == Durability::Throwaway {
                arguments.push("--no-sync".to_owned());
            }
            let (log, log_start) = self.open_log()?;
            let status =
                self.guarded("initdb", &arguments, "TERM", None, log).and_then(|mut initdb| {
                    initdb.wait().map_err(|source| StartError::io("wait for", &fresh, source))
                })?;
            if status.success() {
                let cluster = self.cluster();
                // Without PG_VERSION in it, a directory of that name holds nothing that a server
                // has written.
                return match fs::remove_dir(&cluster) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        Err(StartError::io("make room for the cluster in", &cluster, error))
                    }
                    _ => fs::rename(&fresh, &cluster)
                        .map_err(|source| StartError::io("make", &cluster, source)),
                };
            }
            failure = Some(self.ended("initdb", status, log_start));
        }
        Err(failure.unwrap_or(StartError::NoAccount))
    }

    /// Writes who may come in: our own user, as the one role, over the socket. Anew at each start,
    /// as we may be another user.
    fn write_access_rules(&self) -> Result<(), StartError> {
        let our_name = self.account.our_name.replace('"', "");
        for (name, text) in [
            ("hba.conf", format!("local all {ROLE} peer map={ROLE}\n")),
            ("ident.conf", format!("{ROLE} \"{our_name}\" {ROLE}\n")),
        ] {
            let path = self.data_dir.join(name);
            fs::write(&path, text).map_err(|source| StartError::io("write", &path, source))?;
            // The server's user has to read them; there is nothing secret in them.
            fs::set_permissions(&path, Permissions::from_mode(0o644))
                .map_err(|source| StartError::io("open", &path, source))?;
        }
        Ok(())
    }

    fn arguments(&self) -> Vec<String> {
        let path = |name: &str| self.data_dir.join(name).display().to_string();
        let mut options = vec![
            format!("port={PORT}"),
            // A list, so a comma in the path has to be quoted.
            format!(
                "unix_socket_directories=\"{}\"",
                self.socket_dir.display().to_string().replace('"', "\"\"")
            ),
            "unix_socket_permissions=0700".to_owned(),
            "listen_addresses=".to_owned(),
            format!("hba_file={}", path("hba.conf")),
            format!("ident_file={}", path("ident.conf")),
            "shared_buffers=128MB".to_owned(),
            "timezone=UTC".to_owned(),
            "log_timezone=UTC".to_owned(),
            "log_destination=stderr".to_owned(),
            "logging_collector=off".to_owned(),
            // Our statements are short; compiling them takes longer than running them.
            "jit=off".to_owned(),
        ];
        options.extend(match self.durability {
            Durability::Durable => vec!["max_connections=100".to_owned()],
            // Tests that run in parallel share one server, each with the sessions of a service.
            Durability::Throwaway => [
                "max_connections=400",
                "fsync=off",
                "synchronous_commit=off",
                "full_page_writes=off",
            ]
            .map(str::to_owned)
            .to_vec(),
        });
        let mut arguments = vec!["-D".to_owned(), self.cluster().display().to_string()];
        arguments.extend(options.into_iter().flat_map(|option| ["-c".to_owned(), option]));
        arguments
    }

    fn guarded(
        &self,
        program: &'static str,
        arguments: &[String],
        signal: &'static str,
        remove: Option<&Path>,
        log: File,
    ) -> Result<Guarded, StartError> {
        let library_path = self.binaries.library_path.as_deref();
        let program = self.binaries.dir.join(program);
        Guarded::spawn(
            Guard { account: &self.account, signal, remove, log, library_path },
            &program,
            arguments,
        )
        .map_err(|source| StartError::io("run", &program, source))
    }

    /// Starts the server and waits until it lets sessions in, with patience for what a predecessor
    /// left behind.
    fn launch(&self) -> Result<Guarded, StartError> {
        self.await_predecessor()?;
        // INT ends sessions and writes a checkpoint; QUIT drops everything, which is faster where
        // nothing is kept.
        let (signal, remove) = match self.durability {
            Durability::Durable => ("INT", None),
            Durability::Throwaway => ("QUIT", Some(self.data_dir.as_path())),
        };
        let began = Instant::now();
        loop {
            let (log, log_start) = self.open_log()?;
            let mut guarded = self.guarded("postgres", &self.arguments(), signal, remove, log)?;
            let Some(status) = self.await_ready(&mut guarded)? else { return Ok(guarded) };
            let ended = self.ended("postgres", status, log_start);
            // A process killed a moment ago may not be buried yet, or its shared memory be in use:
            // then once more. English by LC_ALL and lc_messages.
            let in_the_way = matches!(&ended, StartError::Ended { log, .. }
                if (log.contains("lock file") && log.contains("already exists")) || log.contains("is still in use"));
            if !in_the_way || remove.is_some() || began.elapsed() > PREDECESSOR_TIMEOUT {
                return Err(ended);
            }
            if began.elapsed() > STALE_PID_TIMEOUT
                && process_in(&self.cluster()) == Occupant::Nobody
            {
                // After a restart of a container the process id belongs to somebody else. No
                // process works in the cluster's directory, where every process of a server does,
                // and the lock keeps others of us away.
                tracing::warn!(cluster = %self.cluster().display(), "removing the lock files of a server that is gone");
                for stale in [
                    self.cluster().join("postmaster.pid"),
                    self.socket_dir.join(format!(".s.PGSQL.{PORT}.lock")),
                ] {
                    match fs::remove_file(&stale) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => {
                            return Err(StartError::io("remove", &stale, error));
                        }
                        _ => {}
                    }
                }
            }
            thread::sleep(POLL_INTERVAL * 20);
        }
    }

    /// A server whose parent was killed needs a moment to end; a server that somebody else has
    /// started does not end.
    fn await_predecessor(&self) -> Result<(), StartError> {
        let cluster = self.cluster();
        let began = Instant::now();
        while let Occupant::Process(process) = process_in(&cluster) {
            if began.elapsed() > PREDECESSOR_TIMEOUT {
                return Err(StartError::InUse {
                    data_dir: self.data_dir.clone(),
                    process: process.to_string(),
                });
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Waits for a session. `Some`: the server has ended instead.
    fn await_ready(&self, guarded: &mut Guarded) -> Result<Option<ExitStatus>, StartError> {
        let began = Instant::now();
        loop {
            if let Some(status) = guarded
                .ended()
                .map_err(|source| StartError::io("watch", &self.cluster(), source))?
            {
                return Ok(Some(status));
            }
            match open_session(&self.socket_dir) {
                Ok(_) => return Ok(None),
                Err(error) if error.may_pass() && began.elapsed() < READY_TIMEOUT => {
                    thread::sleep(POLL_INTERVAL)
                }
                Err(error) => return Err(StartError::NotReady { reason: error.to_string() }),
            }
        }
    }

    /// Starts the server again when it crashes, until it is told to stop.
    fn supervise(&mut self, first: Guarded, told: &mpsc::Receiver<()>) {
        let mut running = Some(first);
        let mut pause = SUPERVISION_INTERVAL;
        loop {
            // Nothing is ever sent: the other end goes away.
            if !matches!(told.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
                break;
            }
            let ended = running.as_mut().and_then(|guarded| guarded.ended().ok().flatten());
            match ended {
                None if running.is_some() => {
                    pause = SUPERVISION_INTERVAL;
                    continue;
                }
                Some(status) if status.success() || self.durability == Durability::Throwaway => {
                    tracing::error!(%status, "the private database server was stopped by somebody else");
                    break;
                }
                Some(status) => {
                    tracing::error!(%status, "the private database server has crashed, starting it again")
                }
                None => {}
            }
            running = match self.launch() {
                Ok(guarded) => {
                    tracing::info!("the private database server runs again");
                    Some(guarded)
                }
                Err(error) => {
                    tracing::error!(error = %error, "the private database server does not start again, trying later");
                    None
                }
            };
            pause = (pause * 2).min(RESTART_PAUSE_MAX);
        }
        if let Some(mut guarded) = running
            && !guarded.stop(STOP_TIMEOUT)
        {
            tracing::error!(
                timeout_seconds = STOP_TIMEOUT.as_secs(),
                "the private database server does not stop"
            );
        }
    }

    fn log_path(&self) -> PathBuf {
        self.data_dir.join("postgres.log")
    }

    /// The log, opened for what comes next, and where that begins.
    fn open_log(&self) -> Result<(File, u64), StartError> {
        let path = self.log_path();
        let open = || {
            if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX) {
                fs::rename(&path, path.with_extension("log.1"))?;
            }
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
            let start = file.metadata()?.len();
            Ok((file, start))
        };
        open().map_err(|source| StartError::io("open", &path, source))
    }

    fn ended(&self, program: &'static str, status: ExitStatus, log_start: u64) -> StartError {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(self.log_path())?;
            file.seek(SeekFrom::Start(log_start))?;
            let mut bytes = Vec::new();
            file.take(64 << 10).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines.get(lines.len().saturating_sub(4)..).unwrap_or_default();
        StartError::Ended { program, status: status.to_string(), log: last.join(" | ") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.socket_dir_is_temporary {
            let _ = fs::remove_dir_all(&self.socket_dir);
        }
    }
}

fn open_session(socket_dir: &Path) -> Result<Session, WireError> {
    Session::open(&socket_dir.join(format!(".s.PGSQL.{PORT}")), ROLE, "postgres")
}

/// Takes the data directory, or says who has it.
fn lock(data_dir: &Path) -> Result<File, StartError> {
    let path = data_dir.join("in-use.lock");
    let failed = |source| StartError::io("lock", &path, source);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
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
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
    Ok(file)
}

/// The directory of the socket, and whether it lies outside the data directory because the path
/// would be too long.
fn socket_dir(data_dir: &Path) -> Result<(PathBuf, bool), StartError> {
    let inside = data_dir.join("run");
    if inside.as_os_str().len() <= SOCKET_DIR_BYTES_MAX {
        make_dir(&inside, 0o700)?;
        return Ok((inside, false));
    }
    let process = std::process::id();
    for attempt in 0..1000 {
        let path = env::temp_dir().join(format!("kampanje-run-{process}-{attempt}"));
        // Not make_dir: a directory that is there already is somebody else's.
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok((path, true)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(StartError::io("make", &path, source)),
        }
    }
    Err(StartError::io(
        "make a socket directory in",
        &env::temp_dir(),
        io::ErrorKind::AlreadyExists.into(),
    ))
}

/// Makes the directory with this mode, and its parents with the usual one, unless it is there.
fn make_dir(path: &Path, mode: u32) -> Result<(), StartError> {
    let make = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        match DirBuilder::new().mode(mode).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            result => result,
        }
    };
    make().map_err(|source| StartError::io("make", path, source))
}

fn remove_dir(path: &Path) -> Result<(), StartError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StartError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// The major version that wrote the cluster; none if there is no cluster yet.
fn major_of_cluster(cluster: &Path) -> Option<u32> {
    fs::read_to_string(cluster.join("PG_VERSION")).ok()?.trim().parse().ok()
}

fn pid_in(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.lines().next()?.trim().parse().ok()
}

#[derive(Debug, PartialEq, Eq)]
enum Occupant {
    Process(u32),
    Nobody,
    /// This system does not say where its processes work; the server's own checks have to do.
    Unknown,
}

/// A living process whose working directory is the cluster: every process of a server is one, and
/// nothing else.
fn process_in(cluster: &Path) -> Occupant {
    let Ok(processes) = fs::read_dir("/proc") else { return Occupant::Unknown };
    if !Path::new("/proc/self/cwd").exists() {
        return Occupant::Unknown;
    }
    for process in processes.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // The link of a corpse that is not buried yet cannot be read, so it does not count.
        if fs::read_link(process.path().join("cwd")).is_ok_and(|directory| directory == cluster) {
            return Occupant::Process(pid);
        }
    }
    Occupant::Nobody
}

/// Everything but letters, digits and `-._` as `%` and two hex digits; a `/` too, as it would end
/// the host.
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
