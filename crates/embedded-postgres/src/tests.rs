use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::*;
use crate::account::Account;
use crate::binaries::Binaries;
use crate::data_dir::Occupant;
use crate::wire::Session;

/// Set for the process that `server_exits_with_a_killed_parent` kills.
const HELPER_DIR: &str = "KAMPANJE_TEST_HELPER_DIR";

/// A directory that is removed at the end of the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("kampanje-embedded-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn start(&self) -> Result<EmbeddedPostgres, StartError> {
        EmbeddedPostgres::start(Settings::new(&self.0, Durability::Durable))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(server: &EmbeddedPostgres, sql: &str) -> Result<(), WireError> {
    open_session(&server.socket_dir)?.execute(sql)
}

fn kill_9(pid: u32) {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

fn eventually(condition: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "timeout: {condition}");
        thread::sleep(Duration::from_millis(20));
    }
}

const HAS_ONE_ROW: &str =
    "DO $$ BEGIN IF (SELECT count(*) FROM kept) <> 1 THEN RAISE EXCEPTION 'lost'; END IF; END $$";

#[test]
fn data_survives_a_restart_at_the_same_address() {
    let scratch = Scratch::new("restart");
    let server = scratch.start().unwrap();
    let url = server.url("shop");
    server.create_database_if_missing("shop").unwrap();
    server.create_database_if_missing("shop").unwrap();
    let log = std::fs::read_to_string(scratch.0.join("postgres.log")).unwrap();
    assert!(!log.contains("42P04"), "{log}");
    run(&server, "CREATE TABLE kept AS SELECT 1 AS one").unwrap();
    let pid = server.server_pid().unwrap();
    server.stop();
    assert_eq!(Occupant::of(&scratch.0.join("cluster")), Occupant::Nobody, "server {pid} runs");

    let server = scratch.start().unwrap();
    assert_eq!(server.url("shop"), url);
    run(&server, HAS_ONE_ROW).unwrap();
}

#[test]
fn second_server_on_the_same_directory_is_refused() {
    let scratch = Scratch::new("in-use");
    let first = scratch.start().unwrap();
    let refused = scratch.start().unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("{} is already in use by process {}", scratch.0.display(), std::process::id())
    );
    run(&first, "SELECT 1").unwrap();
}

#[test]
fn crashed_server_is_restarted_with_its_data() {
    let scratch = Scratch::new("crash");
    let server = scratch.start().unwrap();
    run(&server, "CREATE TABLE kept AS SELECT 1 AS one").unwrap();
    let pid = server.server_pid().unwrap();
    kill_9(pid);
    eventually("a new server accepts sessions", || {
        server.server_pid().is_some_and(|now| now != pid) && run(&server, "SELECT 1").is_ok()
    });
    run(&server, HAS_ONE_ROW).unwrap();
}

/// Not a test by itself: the process that is killed.
#[test]
fn helper_that_holds_a_server() {
    let Some(directory) = env::var_os(HELPER_DIR) else { return };
    let server = EmbeddedPostgres::start(Settings::new(directory, Durability::Durable)).unwrap();
    run(&server, "CREATE TABLE kept AS SELECT 1 AS one").unwrap();
    println!("\nready {}", server.server_pid().unwrap());
    thread::sleep(Duration::from_secs(60));
}

fn helper(scratch: &Scratch) -> (Child, u32) {
    let name = "tests::helper_that_holds_a_server";
    let mut child = Command::new(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(HELPER_DIR, &scratch.0)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let pid = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("ready ")?.parse().ok())
        .unwrap();
    (child, pid)
}

#[test]
fn server_exits_with_a_killed_parent() {
    let scratch = Scratch::new("orphan");
    let (mut parent, _) = helper(&scratch);
    parent.kill().unwrap();
    parent.wait().unwrap();
    eventually("the server exits", || Occupant::of(&scratch.0.join("cluster")) == Occupant::Nobody);
    let server = scratch.start().unwrap();
    run(&server, HAS_ONE_ROW).unwrap();
}

#[test]
fn start_right_after_the_death_of_parent_and_server_recovers() {
    let scratch = Scratch::new("both-dead");
    let (mut parent, pid) = helper(&scratch);
    parent.kill().unwrap();
    kill_9(pid);
    parent.wait().unwrap();
    let server = scratch.start().unwrap();
    run(&server, HAS_ONE_ROW).unwrap();
}

#[test]
fn process_id_that_now_belongs_to_another_process_does_not_block() {
    let scratch = Scratch::new("stale-pid");
    let cluster = scratch.0.join("cluster");
    scratch.start().unwrap().stop();
    let mut stranger = Command::new("sleep");
    stranger.arg("60");
    // PostgreSQL itself ignores processes of other users.
    let binaries = Binaries::locate(None, None, account::is_root()).unwrap();
    Account::resolve(&cluster, &binaries).unwrap().apply(&mut stranger);
    let mut stranger = stranger.spawn().unwrap();
    fs::write(cluster.join("postmaster.pid"), format!("{}\n", stranger.id())).unwrap();
    let result = scratch.start();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    run(&result.unwrap(), "SELECT 1").unwrap();
}

#[test]
fn incomplete_cluster_is_recreated() {
    let scratch = Scratch::new("half-made");
    fs::create_dir_all(scratch.0.join("cluster.new/base")).unwrap();
    let server = scratch.start().unwrap();
    run(&server, "SELECT 1").unwrap();
    assert!(!scratch.0.join("cluster.new").exists());
}

#[test]
fn throwaway_server_removes_its_data() {
    let scratch = Scratch::new("throwaway");
    let server = EmbeddedPostgres::start(Settings::new(&scratch.0, Durability::Throwaway)).unwrap();
    run(&server, "CREATE EXTENSION btree_gist").unwrap();
    server.stop();
    assert!(!scratch.0.exists());
}

#[test]
fn long_path_has_its_socket_elsewhere() {
    let scratch = Scratch::new(&"long".repeat(25));
    let server = scratch.start().unwrap();
    run(&server, "SELECT 1").unwrap();
    let socket_dir = server.socket_dir.clone();
    assert!(!socket_dir.starts_with(&scratch.0));
    server.stop();
    assert!(!socket_dir.exists());
}

#[test]
fn no_port_is_open_and_no_other_role_is_accepted() {
    let scratch = Scratch::new("closed");
    let server = scratch.start().unwrap();
    let closed = "DO $$ BEGIN \
        IF current_setting('listen_addresses') <> '' THEN RAISE EXCEPTION 'open'; END IF; \
        END $$";
    run(&server, closed).unwrap();
    run(&server, "CREATE ROLE other LOGIN").unwrap();
    let socket = server.socket_dir.join(format!(".s.PGSQL.{PORT}"));
    let refused = Session::open(&socket, "other", "postgres");
    assert!(matches!(refused, Err(WireError::Server { code, .. }) if code == "28000"));
    // The service's role is accepted, and may create nothing.
    let mut service = Session::open(&socket, SERVICE_ROLE, "postgres").unwrap();
    for statement in ["CREATE ROLE other2", "CREATE DATABASE other", "CREATE TABLE public.other ()"]
    {
        let refused = service.execute(statement);
        assert!(
            matches!(refused, Err(WireError::Server { ref code, .. }) if code == "42501"),
            "{statement}: {refused:?}"
        );
    }
    // The directory and its socket are closed to other users.
    for path in [&server.socket_dir, &socket] {
        assert_eq!(
            fs::metadata(path).unwrap().permissions().mode() & 0o077,
            0,
            "{}",
            path.display()
        );
    }
}

#[test]
fn data_of_another_major_version_is_named() {
    let scratch = Scratch::new("other-major");
    fs::create_dir_all(scratch.0.join("cluster")).unwrap();
    fs::write(scratch.0.join("cluster/PG_VERSION"), "14\n").unwrap();
    let bin_dir = Binaries::locate(None, None, account::is_root()).unwrap().dir;
    let settings = Settings {
        data_dir: scratch.0.clone(),
        durability: Durability::Durable,
        bin_dir: Some(bin_dir),
    };
    let refused = EmbeddedPostgres::start(settings).unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("the data was written by PostgreSQL 14, which is not installed"),
        "{refused}"
    );
}

#[test]
fn default_directory_depends_on_the_user() {
    let path = |text: &str| Some(PathBuf::from(text));
    for (root, state_home, home, expected) in [
        (true, path("/x"), path("/root"), path("/var/lib/kampanje")),
        (false, path("/x"), path("/home/ada"), path("/x/kampanje")),
        (false, path("relative"), path("/home/ada"), path("/home/ada/.local/state/kampanje")),
        (false, None, None, None),
    ] {
        assert_eq!(data_dir_for(root, state_home, home), expected);
    }
}

#[test]
fn url_encodes_any_directory_and_name() {
    assert_eq!(percent_encoded("/tmp/a b/ä".as_bytes()), "%2Ftmp%2Fa%20b%2F%C3%A4");
}
