//! The server process: prepared, launched, relaunched after a crash, and stopped.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::account::{self, Account};
use crate::binaries::Binaries;
use crate::data_dir::{
    Log, Occupant, PORT, ROLE, SERVICE_ROLE, SocketDir, cluster_major, lock, make_dir,
    open_session, remove_dir, unless_missing,
};
use crate::watchdog::{Watch, Watched};
use crate::{Durability, Settings, StartError};

/// The time for an earlier server without parent to exit, or for a zombie to be reaped.
const PREDECESSOR_TIMEOUT: Duration = Duration::from_secs(15);
/// The time after which a recorded process id that is no server of this directory is stale.
const STALE_PID_TIMEOUT: Duration = Duration::from_secs(3);
/// The time for the server to accept sessions. Crash recovery can take minutes.
const READY_TIMEOUT: Duration = Duration::from_secs(300);
/// The time for a shutdown; after it the server is left to exit by itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
const RELAUNCH_INTERVAL: Duration = Duration::from_millis(200);
/// The interval at which the supervisor checks that the server runs.
const SUPERVISION_INTERVAL: Duration = Duration::from_millis(100);
/// The longest interval between two attempts to start a crashed server.
const MAX_RESTART_INTERVAL: Duration = Duration::from_secs(30);

/// Everything that is needed to start the server, and to start it again.
pub struct Server {
    pub data_dir: PathBuf,
    pub socket_dir: SocketDir,
    pub binaries: Binaries,
    durability: Durability,
    account: Account,
    _lock: File,
}

impl Server {
    /// Locks the data directory, and creates whatever is missing in it.
    pub fn prepare(settings: Settings) -> Result<Self, StartError> {
        let Settings { data_dir, durability, bin_dir } = settings;
        let root = account::is_root();
        // An unprivileged server must be able to enter root's data directory, not to list it.
        let mode = if root { 0o711 } else { 0o700 };
        make_dir(&data_dir, mode)?;
        // The server runs in another directory, and access depends on the real parents.
        let data_dir = fs::canonicalize(&data_dir).map_err(StartError::io("find", &data_dir))?;
        let lock = lock(&data_dir)?;
        let cluster = data_dir.join("cluster");
        let binaries = Binaries::locate(bin_dir.as_deref(), cluster_major(&cluster), root)?;
        let account = Account::resolve(&cluster, &binaries)?;
        account.check_reach(&data_dir)?;
        if durability == Durability::Throwaway {
            // The server's user removes the directory; sticky parents allow that to the owner only.
            account.give(&data_dir)?;
        }
        let socket_dir = SocketDir::create(&data_dir)?;
        account.give(socket_dir.path())?;
        let server = Self { data_dir, socket_dir, binaries, durability, account, _lock: lock };
        if cluster_major(&cluster).is_none() {
            server.create_cluster()?;
        }
        server.write_access_rules()?;
        Ok(server)
    }

    pub fn cluster(&self) -> PathBuf {
        self.data_dir.join("cluster")
    }

    /// Creates the cluster under a temporary name, so that an incomplete one is never used.
    fn create_cluster(&self) -> Result<(), StartError> {
        let fresh = self.data_dir.join("cluster.new");
        remove_dir(&fresh)?;
        make_dir(&fresh, 0o700)?;
        self.account.give(&fresh)?;
        let mut failure = StartError::NoAccount;
        // C.UTF-8 classifies the letters of all languages and sorts by bytes; old systems lack it.
        for locale in ["C.UTF-8", "C"] {
            let mut arguments = vec![
                format!("--pgdata={}", fresh.display()),
                format!("--username={ROLE}"),
                "--encoding=UTF8".to_owned(),
                format!("--locale={locale}"),
                "--lc-messages=C".to_owned(),
                "--auth-local=peer".to_owned(),
                "--auth-host=reject".to_owned(),
            ];
            if self.durability == Durability::Throwaway {
                arguments.push("--no-sync".to_owned());
            }
            let log = Log::open(&self.data_dir)?;
            let mut initdb = self.spawn("initdb", &arguments, "TERM", None, &log)?;
            let status = initdb.wait().map_err(StartError::io("wait for initdb of", &fresh))?;
            if status.success() {
                let cluster = self.cluster();
                // A directory of that name without PG_VERSION holds no data.
                unless_missing(fs::remove_dir(&cluster))
                    .map_err(StartError::io("replace", &cluster))?;
                return fs::rename(&fresh, &cluster).map_err(StartError::io("create", &cluster));
            }
            failure = ended("initdb", status, &log);
        }
        Err(failure)
    }

    /// Restricts access to the user of this process, as one of the two roles, over the socket.
    /// Rewritten at each start, because the user may be another one.
    fn write_access_rules(&self) -> Result<(), StartError> {
        let client = self.account.client_name.replace('"', "");
        for (name, text) in [
            ("hba.conf", format!("local all {ROLE},{SERVICE_ROLE} peer map={ROLE}\n")),
            (
                "ident.conf",
                format!("{ROLE} \"{client}\" {ROLE}\n{ROLE} \"{client}\" {SERVICE_ROLE}\n"),
            ),
        ] {
            let path = self.data_dir.join(name);
            fs::write(&path, text).map_err(StartError::io("write", &path))?;
            // The server's user must read the files; they contain no secrets.
            fs::set_permissions(&path, Permissions::from_mode(0o644))
                .map_err(StartError::io("change the mode of", &path))?;
        }
        Ok(())
    }

    fn arguments(&self) -> Vec<String> {
        let path = |name: &str| self.data_dir.join(name).display().to_string();
        let socket_dir = self.socket_dir.path().display().to_string().replace('"', "\"\"");
        let mut options = vec![
            format!("port={PORT}"),
            // The value is a list, so a comma in the path must be quoted.
            format!("unix_socket_directories=\"{socket_dir}\""),
            "unix_socket_permissions=0700".to_owned(),
            "listen_addresses=".to_owned(),
            format!("hba_file={}", path("hba.conf")),
            format!("ident_file={}", path("ident.conf")),
            "shared_buffers=128MB".to_owned(),
            "timezone=UTC".to_owned(),
            "log_timezone=UTC".to_owned(),
            "log_destination=stderr".to_owned(),
            // With the SQLSTATE, by which a log can be searched for defects.
            "log_line_prefix=%m [%p] %e ".to_owned(),
            "logging_collector=off".to_owned(),
            // For short statements, compiling takes longer than running.
            "jit=off".to_owned(),
        ];
        options.push(match self.durability {
            Durability::Durable => "max_connections=100".to_owned(),
            // Tests that run in parallel share one server, each with the sessions of a service.
            Durability::Throwaway => "max_connections=400".to_owned(),
        });
        if self.durability == Durability::Throwaway {
            let unsafe_but_fast = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"];
            options.extend(unsafe_but_fast.map(str::to_owned));
        }
        let mut arguments = vec!["-D".to_owned(), self.cluster().display().to_string()];
        arguments.extend(options.into_iter().flat_map(|option| ["-c".to_owned(), option]));
        arguments
    }

    fn spawn(
        &self,
        program: &'static str,
        arguments: &[String],
        signal: &'static str,
        remove: Option<&Path>,
        log: &Log,
    ) -> Result<Watched, StartError> {
        let program = self.binaries.dir.join(program);
        let spawned = log.file.try_clone().and_then(|log| {
            let library_path = self.binaries.library_path.as_deref();
            let watch = Watch { account: &self.account, signal, remove, log, library_path };
            Watched::spawn(watch, &program, arguments)
        });
        spawned.map_err(StartError::io("run", &program))
    }

    /// Starts the server and waits until it accepts sessions. Retries while an earlier server is
    /// still shutting down.
    pub fn launch(&self) -> Result<Watched, StartError> {
        self.await_predecessor()?;
        // INT writes a checkpoint; QUIT skips it, which is faster when the data is removed anyway.
        let (signal, remove) = match self.durability {
            Durability::Durable => ("INT", None),
            Durability::Throwaway => ("QUIT", Some(self.data_dir.as_path())),
        };
        let began = Instant::now();
        loop {
            let log = Log::open(&self.data_dir)?;
            let mut watched = self.spawn("postgres", &self.arguments(), signal, remove, &log)?;
            let Some(status) = self.await_ready(&mut watched)? else { return Ok(watched) };
            let excerpt = log.excerpt();
            // A killed predecessor may be a zombie still, or its shared memory in use.
            let is_blocked = (excerpt.contains("lock file") && excerpt.contains("already exists"))
                || excerpt.contains("is still in use");
            if !is_blocked || remove.is_some() || began.elapsed() > PREDECESSOR_TIMEOUT {
                return Err(ended("postgres", status, &log));
            }
            let cluster = self.cluster();
            if began.elapsed() > STALE_PID_TIMEOUT && Occupant::of(&cluster) == Occupant::Nobody {
                self.remove_stale_locks(&cluster)?;
            }
            thread::sleep(RELAUNCH_INTERVAL);
        }
    }

    /// Removes lock files that name a process which is no server of this cluster.
    ///
    /// After a restart of a container the recorded process id belongs to another program. No
    /// process works in the cluster's directory, as every process of a server does, and the lock of
    /// the data directory excludes other launchers.
    fn remove_stale_locks(&self, cluster: &Path) -> Result<(), StartError> {
        tracing::warn!(cluster = %cluster.display(), "removing lock files of a dead server");
        for stale in [cluster.join("postmaster.pid"), self.socket_dir.lock_file()] {
            unless_missing(fs::remove_file(&stale)).map_err(StartError::io("remove", &stale))?;
        }
        Ok(())
    }

    /// Waits for an earlier server to exit. One whose parent was killed exits soon; one that was
    /// started by other means does not.
    fn await_predecessor(&self) -> Result<(), StartError> {
        let cluster = self.cluster();
        let began = Instant::now();
        while let Occupant::Process(process) = Occupant::of(&cluster) {
            if began.elapsed() > PREDECESSOR_TIMEOUT {
                let (data_dir, process) = (self.data_dir.clone(), process.to_string());
                return Err(StartError::InUse { data_dir, process });
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Waits for a session. Returns the exit status if the server exits instead.
    fn await_ready(&self, watched: &mut Watched) -> Result<Option<ExitStatus>, StartError> {
        let began = Instant::now();
        loop {
            let exited = watched.try_wait().map_err(StartError::io("watch", &self.cluster()))?;
            if let Some(status) = exited {
                return Ok(Some(status));
            }
            match open_session(self.socket_dir.path()) {
                Ok(_) => return Ok(None),
                Err(error) if error.is_transient() && began.elapsed() < READY_TIMEOUT => {
                    thread::sleep(POLL_INTERVAL);
                }
                Err(error) => return Err(StartError::NotReady { reason: error.to_string() }),
            }
        }
    }

    /// Restarts the server when it crashes, until the sender of `stop` is dropped; then stops it.
    pub fn supervise(&self, first: Watched, stop: &Receiver<()>) {
        let mut running = Some(first);
        let mut interval = SUPERVISION_INTERVAL;
        loop {
            if !matches!(stop.recv_timeout(interval), Err(RecvTimeoutError::Timeout)) {
                break;
            }
            let exited = running.as_mut().and_then(|watched| watched.try_wait().ok().flatten());
            match exited {
                None if running.is_some() => {
                    interval = SUPERVISION_INTERVAL;
                    continue;
                }
                Some(status) if status.success() || self.durability == Durability::Throwaway => {
                    tracing::error!(%status, "the private database server was stopped externally");
                    break;
                }
                Some(status) => {
                    tracing::error!(%status, "the private database server crashed; restarting it");
                }
                None => {}
            }
            running = match self.launch() {
                Ok(watched) => {
                    tracing::info!("the private database server was restarted");
                    Some(watched)
                }
                Err(error) => {
                    tracing::error!(%error, "restarting the private database server failed");
                    None
                }
            };
            interval = (interval * 2).min(MAX_RESTART_INTERVAL);
        }
        if let Some(mut watched) = running
            && !watched.stop(STOP_TIMEOUT)
        {
            let timeout_seconds = STOP_TIMEOUT.as_secs();
            tracing::error!(timeout_seconds, "the private database server does not stop");
        }
    }
}

fn ended(program: &'static str, status: ExitStatus, log: &Log) -> StartError {
    StartError::Ended { program, status: status.to_string(), log: log.excerpt() }
}
