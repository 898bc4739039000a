//! The binary as a process: how it starts, what it refuses, how it ends.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use uuid::Uuid;

use super::support::database::TestDatabase;

/// A command of the service: of the build that `KAMPANJE_BIN` names, or of this one.
pub fn kampanje(arguments: &[&str]) -> Command {
    let program =
        std::env::var_os("KAMPANJE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_kampanje").into());
    let mut command = Command::new(program);
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("KAMPANJE_") || name == "DATABASE_URL")
    {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

pub fn run(arguments: &[&str]) -> Output {
    kampanje(arguments).output().unwrap()
}

/// The one line that a failed command leaves.
pub fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("kampanje: ")).collect();
    assert_eq!(lines.len(), 1, "{text}");
    lines[0].to_owned()
}

/// A serving process; killed when the value goes, or our process ends, however that is.
pub struct Serving {
    pub child: Child,
    watchdog: Child,
    log: Receiver<Value>,
    /// The log lines before the service listened.
    started: Vec<Value>,
    pub url: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        kill(&mut self.child, &mut self.watchdog);
    }
}

/// A process that is killed when the value goes, or our process ends, however that is.
struct Killed {
    child: Child,
    watchdog: Child,
}

impl Drop for Killed {
    fn drop(&mut self) {
        kill(&mut self.child, &mut self.watchdog);
    }
}

fn kill(child: &mut Child, watchdog: &mut Child) {
    // Before the process: once that is gone, its id may be another's.
    let _ = watchdog.kill();
    let _ = watchdog.wait();
    let _ = child.kill();
    let _ = child.wait();
}

impl Serving {
    pub fn start(arguments: &[&str], database_url: Option<&str>) -> Self {
        Self::try_start(arguments, database_url).expect("the service listens")
    }

    /// A process that is started by another command, which is made from its own.
    pub fn start_with(
        launcher: impl FnOnce(Command) -> Command,
        arguments: &[&str],
        database_url: Option<&str>,
    ) -> Self {
        Self::try_start_with(launcher, arguments, database_url).expect("the service listens")
    }

    /// A process that listens; none when it ended instead.
    pub fn try_start(arguments: &[&str], database_url: Option<&str>) -> Option<Self> {
        Self::try_start_with(|command| command, arguments, database_url)
    }

    fn try_start_with(
        launcher: impl FnOnce(Command) -> Command,
        arguments: &[&str],
        database_url: Option<&str>,
    ) -> Option<Self> {
        let mut command = kampanje(&["serve", "--listen", "127.0.0.1:0", "--log-format", "json"]);
        if !arguments.contains(&"--workers") {
            command.args(["--workers", "1"]);
        }
        command.args(arguments);
        let removed: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
        let mut command = launcher(command);
        for name in removed {
            command.env_remove(name);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(url) = database_url {
            command.env("DATABASE_URL", url);
        }
        let mut child = command.spawn().unwrap();
        let log = lines(child.stderr.take().unwrap());
        let mut serving = Self {
            watchdog: watchdog(child.id()),
            child,
            log,
            started: Vec::new(),
            url: String::new(),
        };
        while serving.url.is_empty() {
            let line = match serving.log.recv_timeout(Duration::from_secs(120)) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => panic!("the service does not listen"),
            };
            serving.url = line["url"].as_str().unwrap_or_default().to_owned();
            serving.started.push(line);
        }
        Some(serving)
    }

    /// A line of the log from before it listened, if there is one with this message.
    pub fn logged_before(&self, message: &str) -> Option<&Value> {
        self.started.iter().find(|line| line["message"] == message)
    }

    /// Waits for a line of the log.
    pub fn wait_for_log(&self, message: &str) -> Value {
        self.next_logged(message).expect(message)
    }

    /// Waits for a line of the log; none when the process ended without it.
    fn next_logged(&self, message: &str) -> Option<Value> {
        loop {
            match self.log.recv_timeout(Duration::from_secs(60)) {
                Ok(line) if line["message"] == message => return Some(line),
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => panic!("{message} is not logged"),
            }
        }
    }

    /// Waits for a line of the log, and returns the lines up to it.
    pub fn logged_until(&self, is_last: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut lines = Vec::new();
        while !lines.last().is_some_and(&is_last) {
            lines.push(self.log.recv_timeout(Duration::from_secs(60)).expect("the line is logged"));
        }
        lines
    }

    /// The defects that it has logged since it was asked last.
    pub fn defects(&self) -> Vec<Value> {
        self.log.try_iter().filter(|line| line["level"] == "ERROR").collect()
    }

    pub async fn status(&self, path: &str) -> u16 {
        reqwest::get(format!("{}{path}", self.url)).await.unwrap().status().as_u16()
    }

    pub fn signal(&self, name: &str) {
        send_signal(self.child.id(), name);
    }

    pub fn wait_for_exit(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed() < Duration::from_secs(40), "the process does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Sends a signal by its system call: not every machine has the command `kill`.
pub fn send_signal(pid: u32, name: &str) {
    let signal = match name {
        "INT" => Signal::INT,
        "KILL" => Signal::KILL,
        "TERM" => Signal::TERM,
        _ => panic!("unknown signal {name}"),
    };
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

/// Kills a process as soon as its own standard input closes, which the kernel sees to when we end.
fn watchdog(pid: u32) -> Child {
    let script = "trap '' HUP INT TERM; read -r _; kill -KILL \"$1\"";
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script, "leash", &pid.to_string()])
        .stdin(Stdio::piped())
        .stderr(Stdio::null());
    shell.spawn().unwrap()
}

fn lines(stderr: ChildStderr) -> Receiver<Value> {
    let (to, from) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            // Why it does not start is said for people.
            if line.starts_with("kampanje: ") {
                continue;
            }
            let line = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
            if to.send(line).is_err() {
                return;
            }
        }
    });
    from
}

#[test]
fn what_cannot_start_says_why_in_one_line() {
    let open = run(&["serve", "--listen", "0.0.0.0:0"]);
    assert!(
        refusal(&open).contains("neither KAMPANJE_API_KEY nor KAMPANJE_OIDC_ISSUER is set"),
        "{open:?}"
    );
    let wrong_url = run(&["serve", "--database-url", "postgres://u:secret@h:port/d"]);
    assert!(refusal(&wrong_url).contains("database URL"), "{wrong_url:?}");
    assert!(!String::from_utf8_lossy(&wrong_url.stderr).contains("secret"), "{wrong_url:?}");
    let no_filter = run(&["--log", "info,=", "healthcheck"]);
    assert!(refusal(&no_filter).contains("log filter"), "{no_filter:?}");
    let closed = run(&["healthcheck", "--listen", "127.0.0.1:1"]);
    assert!(refusal(&closed).contains("does not answer"), "{closed:?}");
}

#[actix_web::test]
async fn a_database_that_does_not_know_the_service_is_not_waited_for() {
    let database = TestDatabase::new().await;
    let url = database.url().replace("kampanje_test_", "kampanje_nowhere_");
    let refused = run(&["serve", "--listen", "127.0.0.1:0", "--database-url", &url]);
    assert!(refusal(&refused).contains("the database refuses the service"), "{refused:?}");
}

#[test]
fn secrets_do_not_show_in_the_help() {
    let output = kampanje(&["serve", "--help"])
        .env("KAMPANJE_API_KEY", "seekrit")
        .env("DATABASE_URL", "postgres://u:seekrit@h/d")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("KAMPANJE_API_KEY") && !text.contains("seekrit"), "{text}");
}

#[actix_web::test]
async fn termination_turns_readiness_off_and_then_ends_the_process() {
    let database = TestDatabase::new().await;
    let mut serving = Serving::start(&["--drain-seconds", "2"], Some(&database.url()));
    assert_eq!(serving.status("/readyz").await, 200);
    let address = serving.url.strip_prefix("http://").unwrap().to_owned();
    assert!(run(&["healthcheck", "--listen", &address]).status.success());
    serving.signal("TERM");
    serving.wait_for_log("the service stops");
    assert_eq!((serving.status("/readyz").await, serving.status("/livez").await), (503, 200));
    let unready = run(&["healthcheck", "--listen", &address]);
    assert!(refusal(&unready).contains("not ready"), "{unready:?}");
    assert_eq!(serving.wait_for_exit(), Some(0));
}

#[actix_web::test]
async fn replicas_share_the_key_of_their_cursors() {
    let database = TestDatabase::new().await;
    let replicas = [(); 2].map(|()| Serving::start(&[], Some(&database.url())));
    let client = reqwest::Client::new();
    let rows =
        serde_json::json!({"rows": [{"code": "A", "sequence": 1}, {"code": "B", "sequence": 2}]});
    let path = format!("{}/v1/campaign-statuses", replicas[0].url);
    assert_eq!(
        client.post(format!("{path}/batch")).json(&rows).send().await.unwrap().status(),
        200
    );
    let page: Value =
        client.get(format!("{path}?top=1")).send().await.unwrap().json().await.unwrap();
    let next = page["nextLink"].as_str().unwrap();
    let page: Value = client
        .get(format!("{}{next}", replicas[1].url))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(page["value"][0]["code"], "B", "{page}");
}

#[actix_web::test]
async fn without_a_database_the_service_brings_its_own_and_keeps_it() {
    let data_dir =
        std::env::temp_dir().join(format!("kampanje-process-{}", Uuid::now_v7().simple()));
    let arguments = ["--data-dir", data_dir.to_str().unwrap()];
    let client = reqwest::Client::new();
    let mut first = Serving::start(&arguments, None);
    let path = format!("{}/v1/campaign-statuses/KEPT", first.url);
    let created =
        client.put(path).header("content-type", "application/json").body(r#"{"sequence": 1}"#);
    assert_eq!(created.send().await.unwrap().status(), 201);
    let second =
        run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data_dir.to_str().unwrap()]);
    assert!(refusal(&second).contains("already in use"), "{second:?}");
    first.signal("INT");
    assert_eq!(first.wait_for_exit(), Some(0));
    assert!(
        !Path::new(&data_dir.join("cluster/postmaster.pid")).exists(),
        "the database server was stopped"
    );
    let copy = std::fs::metadata(data_dir.join("price-book.copy")).unwrap();
    assert_eq!(copy.permissions().mode() & 0o777, 0o600, "it holds prices");

    let mut again = Serving::start(&arguments, None);
    assert_eq!(again.status("/v1/campaign-statuses/KEPT").await, 200);
    again.signal("INT");
    assert_eq!(again.wait_for_exit(), Some(0));
    std::fs::remove_dir_all(data_dir).unwrap();
}

#[tokio::test]
async fn the_demo_prints_its_story_without_the_log_of_its_requests() {
    let database = TestDatabase::new().await;
    let path = std::env::temp_dir().join(format!("kampanje-demo-{}", Uuid::now_v7().simple()));
    // As on a terminal: both outputs in one place.
    let output = std::fs::File::create(&path).unwrap();
    let child = kampanje(&["demo", "--listen", "127.0.0.1:0", "--workers", "1"])
        .env("DATABASE_URL", database.url())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap();
    let mut demo = Killed { watchdog: watchdog(child.id()), child };
    let began = Instant::now();
    let printed = loop {
        let printed = std::fs::read_to_string(&path).unwrap();
        if printed.contains("Press Ctrl-C to stop") {
            break printed;
        }
        assert_eq!(demo.child.try_wait().unwrap(), None, "{printed}");
        assert!(began.elapsed() < Duration::from_secs(180), "{printed}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(!printed.contains("request answered"), "{printed}");
    let prices: Vec<&str> =
        printed.lines().filter_map(|line| Some(line.split_once(" = ")?.1.trim())).collect();
    assert_eq!(prices, ["2365.5", "1890.5", "2365.5", "2365.5"], "{printed}");
    assert!(printed.contains("CONTACTS_PRIVACY_BLOCKED"), "{printed}");
    // From now on requests are logged again.
    let url = printed.split_once("url=").unwrap().1.split_whitespace().next().unwrap();
    assert_eq!(reqwest::get(format!("{url}/v1/settings")).await.unwrap().status(), 200);
    send_signal(demo.child.id(), "INT");
    assert!(demo.child.wait().unwrap().success());
    assert!(std::fs::read_to_string(&path).unwrap().contains("request answered"));
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn the_demo_does_not_mix_with_a_company_s_own_data() {
    let database = TestDatabase::new().await;
    let mut conn = kampanje::platform::db::pool::connect(&database.url()).await.unwrap();
    let contact = "INSERT INTO contacts (id, number, type, name) VALUES (gen_random_uuid(), 'OWN', 'COMPANY', 'Own')";
    diesel_async::RunQueryDsl::execute(diesel::sql_query(contact), &mut conn).await.unwrap();
    let refused = kampanje(&["demo", "--listen", "127.0.0.1:0"])
        .env("DATABASE_URL", database.url())
        .output()
        .unwrap();
    assert!(refusal(&refused).contains("holds contacts of a company"), "{refused:?}");
}

/// Returns the standard output of `serve` over a database.
fn printed_by_serve(database: &TestDatabase) -> String {
    let copy = std::env::temp_dir().join(format!("kampanje-welcome-{}", Uuid::now_v7().simple()));
    let mut serving =
        Serving::start(&["--snapshot-path", copy.to_str().unwrap()], Some(&database.url()));
    // The copy is made after the next steps are printed, by the same task.
    serving.wait_for_log("the price book was copied to disk");
    send_signal(serving.child.id(), "INT");
    assert_eq!(serving.wait_for_exit(), Some(0));
    std::fs::remove_file(copy).unwrap();
    std::io::read_to_string(serving.child.stdout.take().unwrap()).unwrap()
}

#[tokio::test]
async fn an_empty_service_prints_the_next_steps() {
    let database = TestDatabase::new().await;
    let printed = printed_by_serve(&database);
    assert!(
        printed.contains("/docs/") && printed.contains("`demo` instead of `serve`"),
        "{printed}"
    );
    let mut conn = kampanje::platform::db::pool::connect(&database.url()).await.unwrap();
    let item = "INSERT INTO items (id, number) VALUES (gen_random_uuid(), 'DESK')";
    diesel_async::RunQueryDsl::execute(diesel::sql_query(item), &mut conn).await.unwrap();
    assert_eq!(printed_by_serve(&database), "");
}
