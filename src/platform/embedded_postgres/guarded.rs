//! A child process that cannot outlive us.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::account::Account;

/// Runs a command and signals it as soon as the standard input closes.
///
/// The kernel closes our end of that pipe however we end, SIGKILL included. `PR_SET_PDEATHSIG`
/// would be shorter, but it follows the *thread* that spawned the child, and exists on Linux only.
/// The shell ignores what is sent to the whole group (a service manager does that), so that it is
/// there to see the command end. `kill -9` for the watcher, as it ignores the rest. With a
/// directory given, the known contents of it go when the command has ended.
const WATCHDOG: &str = r#"
trap '' HUP INT TERM
signal=$1 directory=$2
shift 2
exec 3<&0
"$@" </dev/null 3<&- &
command=$!
( read -r _ <&3; kill -s "$signal" "$command" 2>/dev/null ) &
watcher=$!
wait "$command"
status=$?
kill -9 "$watcher" 2>/dev/null
if [ -n "$directory" ]; then
    rm -rf -- "$directory/cluster" "$directory/cluster.new" "$directory/run" "$directory/hba.conf" "$directory/ident.conf" \
        "$directory/postgres.log" "$directory/postgres.log.1" "$directory/in-use.lock"
    rmdir -- "$directory" 2>/dev/null
fi
exit "$status"
"#;

/// How a command is to be run.
pub(super) struct Guard<'a> {
    pub(super) account: &'a Account,
    /// The name of the signal that ends the command in good order.
    pub(super) signal: &'static str,
    /// The data directory to be removed afterwards, if any.
    pub(super) remove: Option<&'a Path>,
    /// Where the standard output and error go.
    pub(super) log: File,
    /// Further shared libraries of the command.
    pub(super) library_path: Option<&'a Path>,
}

/// A running command. Dropping it ends the command and waits for that.
#[derive(Debug)]
pub(super) struct Guarded {
    child: Child,
    line: Option<ChildStdin>,
}

impl Guarded {
    pub(super) fn spawn(
        guard: Guard<'_>,
        program: &Path,
        arguments: &[String],
    ) -> io::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", WATCHDOG, "kampanje-watchdog", guard.signal]);
        command.arg(guard.remove.unwrap_or(Path::new("")));
        command.arg(program).args(arguments);
        // PGDATA, PGPORT and their like belong to somebody else's server.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("PG")) {
                command.env_remove(name);
            }
        }
        // Messages in the one language that we look for in the log.
        command.env("LC_ALL", "C");
        if let Some(path) = guard.library_path {
            command.env("LD_LIBRARY_PATH", path);
        }
        command.stdin(Stdio::piped()).stdout(guard.log.try_clone()?).stderr(guard.log);
        // Ctrl-C is for us: we still need the server while we finish.
        command.process_group(0);
        guard.account.apply(&mut command);
        let mut child = command.spawn()?;
        let line = child.stdin.take();
        Ok(Self { child, line })
    }

    /// The end of the command, if it has come.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for the end of a command that ends by itself.
    pub(super) fn wait(&mut self) -> io::Result<ExitStatus> {
        // Child::wait would close the pipe first, had we not taken it.
        self.child.wait()
    }

    /// Asks the command to end and waits at most so long. False: it has not ended.
    pub(super) fn stop(&mut self, timeout: Duration) -> bool {
        self.line = None;
        let deadline = Instant::now() + timeout;
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                Ok(None) => return false,
                Ok(Some(_)) | Err(_) => return true,
            }
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.stop(Duration::from_secs(30));
    }
}
