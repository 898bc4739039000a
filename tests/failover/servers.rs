//! PostgreSQL servers that listen on a port of this machine.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use embedded_postgres::SERVICE_ROLE;
use kampanje::platform::db::migrations::migrate;
use kampanje::platform::db::pool::connect;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

pub const OWNER: &str = "kampanje";
pub const DATABASE: &str = "kampanje";
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The user that servers run as if the tests run as root.
pub fn unprivileged() -> Option<(u32, u32)> {
    let id = |option: &str, name: &str| {
        let output = Command::new("id").args([option, name]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().ok()
    };
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    ["postgres", "nobody"].iter().find_map(|name| Some((id("-u", name)?, id("-g", name)?)))
}

/// A directory for a server and its user, removed with the value.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("kampanje-fo-{}", Uuid::now_v7().simple()));
        fs::create_dir(&path).unwrap();
        give(&path);
        Self(path)
    }

    /// Writes a file that belongs to the servers' user.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        give(&path);
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} stays behind: {error}", self.0.display());
        }
    }
}

pub fn give(path: &Path) {
    if let Some((user, group)) = unprivileged() {
        chown(path, Some(user), Some(group)).unwrap();
    }
}

/// Returns a command that runs as the servers' user.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = unprivileged() {
        command.uid(user).gid(group);
    }
    command.current_dir("/").env("LC_ALL", "C").stdin(Stdio::null());
    command
}

fn run(program: &str, arguments: &[&str]) {
    let path = embedded_postgres::programs().unwrap().join(program);
    let output = command(path).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A process that is killed with the value, or with this process, however that ends.
pub struct Killed {
    pub child: Child,
    watchdog: Child,
}

impl Killed {
    pub fn spawn(mut command: Command) -> Self {
        let child = command.spawn().unwrap();
        let script = "trap '' HUP INT TERM; read -r _; kill -CONT \"$1\"; kill -QUIT \"$1\"";
        let mut watchdog = Command::new("sh");
        watchdog.args(["-c", script, "watchdog", &child.id().to_string()]);
        let watchdog = watchdog.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, watchdog }
    }

    pub fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        for pid in with_children(self.child.id()) {
            send(pid, Signal::CONT);
        }
        // Both PostgreSQL and the service end immediately.
        send(self.child.id(), Signal::QUIT);
        let _ = self.child.wait();
    }
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Returns a process and those that it has started.
fn with_children(parent: u32) -> Vec<u32> {
    let mut found = vec![parent];
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = fs::read_to_string(process.path().join("stat")) else { continue };
        // The name in parentheses may contain spaces.
        let Some((before, after)) = stat.rsplit_once(')') else { continue };
        let pid = before.split(' ').next().and_then(|text| text.parse().ok());
        if let Some(pid) = pid
            && after.split_whitespace().nth(1) == Some(&parent.to_string())
        {
            found.push(pid);
        }
    }
    found
}

/// A running server.
pub struct Server {
    process: Killed,
    pub port: u16,
    _directory: Directory,
}

impl Server {
    /// Starts a server with a migrated database, whose commits wait until a standby has applied
    /// them if there is one.
    pub async fn primary() -> Self {
        let server = Self::new(&[]).await;
        let mut conn = server.connection("postgres").await;
        conn.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await.unwrap();
        conn.batch_execute(&format!("CREATE ROLE {SERVICE_ROLE} LOGIN")).await.unwrap();
        migrate(&server.url(OWNER), Some(SERVICE_ROLE)).unwrap();
        server
    }

    /// Starts a server with an empty cluster.
    pub async fn new(options: &[&str]) -> Self {
        let directory = Directory::new();
        let data = directory.0.join("data");
        run(
            "initdb",
            &[
                "--pgdata",
                data.to_str().unwrap(),
                "--username",
                OWNER,
                "--auth",
                "trust",
                "--no-sync",
            ],
        );
        Self::start(directory, options).await
    }

    /// Starts a hot standby, and makes the commits of this server wait for it.
    pub async fn standby(&self) -> Self {
        let directory = Directory::new();
        let (data, port) = (directory.0.join("data"), self.port.to_string());
        run(
            "pg_basebackup",
            &[
                "--pgdata",
                data.to_str().unwrap(),
                "--host",
                "127.0.0.1",
                "--port",
                &port,
                "--username",
                OWNER,
                "--write-recovery-conf",
                "--checkpoint",
                "fast",
                "--no-sync",
            ],
        );
        let standby = Self::start(directory, &[]).await;
        let mut conn = self.connection("postgres").await;
        for statement in [
            "ALTER SYSTEM SET synchronous_standby_names = '*'",
            "ALTER SYSTEM SET synchronous_commit = 'remote_apply'",
            "SELECT pg_reload_conf()",
        ] {
            conn.batch_execute(statement).await.unwrap();
        }
        standby
    }

    async fn start(directory: Directory, options: &[&str]) -> Self {
        let (data, port) = (directory.0.join("data"), free_port());
        let mut postgres = command(embedded_postgres::programs().unwrap().join("postgres"));
        let log = fs::File::create(directory.0.join("log")).unwrap();
        postgres.arg("-D").arg(&data).stdout(log.try_clone().unwrap()).stderr(log);
        let port_option = format!("port={port}");
        let socket = format!("unix_socket_directories={}", directory.0.display());
        let common = [
            port_option.as_str(),
            "listen_addresses=127.0.0.1",
            socket.as_str(),
            "fsync=off",
            "hot_standby=on",
            "max_connections=100",
        ];
        for option in common.iter().chain(options) {
            postgres.args(["-c", option]);
        }
        let server = Self { process: Killed::spawn(postgres), port, _directory: directory };
        let began = Instant::now();
        while connect(&server.url_of(OWNER, "postgres")).await.is_err() {
            assert!(began.elapsed() < START_TIMEOUT, "the server does not start");
            sleep(Duration::from_millis(50)).await;
        }
        server
    }

    pub fn url(&self, role: &str) -> String {
        self.url_of(role, DATABASE)
    }

    fn url_of(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }

    pub async fn connection(&self, database: &str) -> AsyncPgConnection {
        connect(&self.url_of(OWNER, database)).await.unwrap()
    }

    pub async fn promote(&self) {
        self.connection("postgres").await.batch_execute("SELECT pg_promote()").await.unwrap();
    }

    /// Stops every process of the server where it is, until the value is dropped.
    pub fn freeze(&self) {
        // The first one first, so that it starts no more.
        self.process.signal(Signal::STOP);
        for pid in with_children(self.process.child.id()) {
            send(pid, Signal::STOP);
        }
    }
}
