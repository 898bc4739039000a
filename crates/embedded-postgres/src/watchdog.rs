//! A child process that cannot outlive this one.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::account::Account;

/// The time a dropped command may take to exit.
const DROP_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A shell script that runs a command and signals it when the script's standard input closes.
///
/// The kernel closes this process's end of the pipe however the process ends, SIGKILL included.
/// `PR_SET_PDEATHSIG` would be shorter, but it is bound to the *thread* that started the child, and
/// exists on Linux only. The shell ignores signals that a service manager sends to the whole group,
/// because it must outlive the command; for the same reason the reader needs `kill -9`. `kill` is a
/// builtin of every shell. With a directory given, its known contents are removed at the end.
const WATCHDOG: &str = r#"
trap '' HUP INT TERM
signal=$1 directory=$2
shift 2
exec 3<&0
"$@" </dev/null 3<&- &
command=$!
( read -r _ <&3; kill -s "$signal" "$command" 2>/dev/null ) &
reader=$!
wait "$command"
status=$?
kill -9 "$reader" 2>/dev/null
if [ -n "$directory" ]; then
    rm -rf -- "$directory/cluster" "$directory/cluster.new" "$directory/run" \
        "$directory/hba.conf" "$directory/ident.conf" "$directory/postgres.log" \
        "$directory/postgres.log.1" "$directory/in-use.lock"
    rmdir -- "$directory" 2>/dev/null
fi
exit "$status"
"#;

/// The way to run a command.
pub struct Watch<'a> {
    pub account: &'a Account,
    /// The name of the signal that shuts the command down cleanly.
    pub signal: &'static str,
    /// The data directory to remove afterwards.
    pub remove: Option<&'a Path>,
    /// The file for standard output and standard error.
    pub log: File,
    /// A directory with further shared libraries of the command.
    pub library_path: Option<&'a Path>,
}

/// A running command. Dropping it shuts the command down and waits for its exit.
#[derive(Debug)]
pub struct Watched {
    child: Child,
    /// Closing this pipe makes the watchdog signal the command.
    pipe: Option<ChildStdin>,
}

impl Watched {
    pub fn spawn(watch: Watch<'_>, program: &Path, arguments: &[String]) -> io::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", WATCHDOG, "kampanje-watchdog", watch.signal]);
        command.arg(watch.remove.unwrap_or(Path::new("")));
        command.arg(program).args(arguments);
        // PGDATA, PGPORT and similar variables are meant for another server.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("PG")) {
                command.env_remove(name);
            }
        }
        // The launcher searches the log for English messages.
        command.env("LC_ALL", "C");
        if let Some(path) = watch.library_path {
            command.env("LD_LIBRARY_PATH", path);
        }
        command.stdin(Stdio::piped()).stdout(watch.log.try_clone()?).stderr(watch.log);
        // Ctrl-C must reach this process only: it still needs the server for its own shutdown.
        command.process_group(0);
        watch.account.apply(&mut command);
        let mut child = command.spawn()?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }

    /// Returns the exit status if the command has exited.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for a command that exits by itself.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        // `Child::wait` would close the pipe first, had `spawn` not taken it.
        self.child.wait()
    }

    /// Signals the command and waits for its exit. Returns false on timeout.
    pub fn stop(&mut self, timeout: Duration) -> bool {
        self.pipe = None;
        let deadline = Instant::now() + timeout;
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < deadline => thread::sleep(POLL_INTERVAL),
                Ok(None) => return false,
                Ok(Some(_)) | Err(_) => return true,
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.stop(DROP_TIMEOUT);
    }
}
