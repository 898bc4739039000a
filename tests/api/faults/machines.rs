//! A PostgreSQL server and two replicas as processes, and the faults that hit them.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use embedded_postgres::{Durability, EmbeddedPostgres, Settings};
use kampanje::platform::db::migrations::migrate;
use kampanje::platform::db::pool::connect;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;
use uuid::Uuid;

use super::Size;
use super::clients::Counts;
use crate::book::Dice;
use crate::process::{Serving, send_signal};
use crate::support::history::all_rows;
use crate::support::wait::{eventually, in_time};

const DATABASE: &str = "kampanje";

/// A server whose data survives a stop, so that it can be started again.
pub struct Postgres {
    directory: PathBuf,
    url: String,
    running: Arc<Mutex<Option<EmbeddedPostgres>>>,
}

impl Postgres {
    async fn new(directory: PathBuf) -> Self {
        let settings = Settings::new(&directory, Durability::Durable);
        let server = spawn_blocking(|| EmbeddedPostgres::start(settings).unwrap()).await.unwrap();
        server.create_database_if_missing(DATABASE).unwrap();
        migrate(&server.url(DATABASE), None).unwrap();
        Self { directory, url: server.url(DATABASE), running: Arc::new(Mutex::new(Some(server))) }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops the server as an operator does: sessions end immediately, committed data is on disk.
    async fn stop(&self) {
        let server = self.running.lock().unwrap().take().unwrap();
        spawn_blocking(|| server.stop()).await.unwrap();
    }

    async fn start(&self) {
        let (running, settings) =
            (self.running.clone(), Settings::new(&self.directory, Durability::Durable));
        let start =
            move || *running.lock().unwrap() = Some(EmbeddedPostgres::start(settings).unwrap());
        spawn_blocking(start).await.unwrap();
    }

    /// Kills the server process. Its supervisor starts it again; returns when it has recovered and
    /// accepts sessions.
    async fn crash(&self) {
        let pid = |running: &Option<EmbeddedPostgres>| running.as_ref().unwrap().server_pid();
        let killed = pid(&self.running.lock().unwrap()).unwrap();
        send_signal(killed, "KILL");
        eventually("the database recovers", async || {
            let successor = pid(&self.running.lock().unwrap()).filter(|pid| *pid != killed);
            successor.is_some() && connect(&self.url).await.is_ok()
        })
        .await;
    }
}

/// A replica and its successors, numbered from 1.
pub struct Replica {
    data_dir: PathBuf,
    database_url: String,
    process: RefCell<Option<Serving>>,
    url: RefCell<String>,
    number: Cell<u32>,
    /// The number of the latest killed process.
    killed: Cell<u32>,
}

impl Replica {
    async fn new(data_dir: PathBuf, database_url: &str) -> Self {
        let replica = Self {
            data_dir,
            database_url: database_url.to_owned(),
            process: RefCell::default(),
            url: RefCell::default(),
            number: Cell::new(0),
            killed: Cell::new(0),
        };
        replica.start().await;
        replica
    }

    /// Returns the number and the URL of the serving process.
    pub fn serving(&self) -> Option<(u32, String)> {
        (self.killed.get() < self.number.get())
            .then(|| (self.number.get(), self.url.borrow().clone()))
    }

    /// Returns whether the process with this number was killed, or is about to be.
    pub fn was_killed(&self, number: u32) -> bool {
        self.killed.get() >= number
    }

    /// Kills the process at any point of its work.
    fn kill(&self) {
        self.killed.set(self.number.get());
        let process = self.process.borrow_mut().take().unwrap();
        self.report(&process);
        process.signal("KILL");
    }

    /// Starts a successor. Repeats the start, because without a database the process may end
    /// immediately.
    async fn start(&self) {
        let attempts = async {
            loop {
                if let Some(process) = self.try_start().await.unwrap() {
                    return process;
                }
                sleep(Duration::from_millis(200)).await;
            }
        };
        let process = in_time("the replica starts", attempts).await;
        *self.url.borrow_mut() = process.url.clone();
        *self.process.borrow_mut() = Some(process);
        self.number.set(self.number.get() + 1);
    }

    fn try_start(&self) -> JoinHandle<Option<Serving>> {
        let (data_dir, database_url) =
            (self.data_dir.display().to_string(), self.database_url.clone());
        spawn_blocking(move || {
            let arguments = [
                "--log",
                "error,kampanje::serve=info",
                "--pool-size",
                "6",
                "--data-dir",
                data_dir.as_str(),
            ];
            Serving::try_start(&arguments, Some(&database_url))
        })
    }

    /// Prints the errors that the process logged, for a failing test.
    fn report(&self, process: &Serving) {
        for defect in process.defects() {
            eprintln!("replica {} logs {defect}", self.number.get());
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(process) = self.process.get_mut().take() {
            self.report(&process);
        }
    }
}

/// All machines.
pub struct Machines {
    pub replicas: [Replica; 2],
    pub postgres: Postgres,
    /// Last field: removed after all processes have ended.
    _directory: Directory,
}

struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} stays behind: {error}", self.0.display());
        }
    }
}

impl Machines {
    pub async fn new() -> Self {
        let directory = Directory(
            std::env::temp_dir().join(format!("kampanje-faults-{}", Uuid::now_v7().simple())),
        );
        let postgres = Postgres::new(directory.0.join("postgres")).await;
        let replica = async |name: &str| Replica::new(directory.0.join(name), postgres.url()).await;
        Self {
            replicas: [replica("one").await, replica("other").await],
            postgres,
            _directory: directory,
        }
    }

    /// Returns when both replicas answer from the newest version.
    pub async fn wait_until_current(&self) {
        let [(_, one), (_, other)] = [0, 1].map(|at: usize| self.replicas[at].serving().unwrap());
        let newest = all_rows(&one, "/v1/publications?orderby=version&top=1000").await.len();
        for url in [one, other] {
            let query =
                format!("{url}/v1/price-quotes?itemNumber=ANY&minPublicationVersion={newest}");
            eventually("the replica has the newest version", async || {
                reqwest::get(&query).await.unwrap().status() == 200
            })
            .await;
        }
    }

    /// Causes the faults one after the other, with some work between them. Returns when all
    /// machines are up again.
    pub async fn cause_faults(&self, size: &Size, counts: &Counts) {
        let mut dice = Dice::new(size.seed);
        let (mut kills, mut restarts) = (size.kills, size.restarts);
        while kills + restarts > 0 {
            wait_for_growth(&counts.acknowledged, 2 + dice.below(10)).await;
            // At a random point of the current work.
            sleep(Duration::from_millis(u64::try_from(dice.below(40)).unwrap())).await;
            let victim = &self.replicas[dice.below(2)];
            if dice.below(kills + restarts) < kills {
                kills -= 1;
                victim.kill();
                victim.start().await;
                continue;
            }
            restarts -= 1;
            let with_victim = kills > 0 && dice.below(3) == 0;
            let outage = async {
                if restarts % 2 == 0 {
                    self.postgres.crash().await;
                } else {
                    self.postgres.stop().await;
                    wait_for_growth(&counts.unavailable, 1 + dice.below(60)).await;
                    self.postgres.start().await;
                }
            };
            let kill = async {
                if with_victim {
                    kills -= 1;
                    sleep(Duration::from_millis(50)).await;
                    victim.kill();
                    victim.start().await;
                }
            };
            futures_util::future::join(outage, kill).await;
        }
    }
}

/// Returns when a counter has grown by a number.
async fn wait_for_growth(counter: &Cell<u64>, by: usize) {
    let until = counter.get() + u64::try_from(by).unwrap();
    eventually("the clients continue", async || counter.get() >= until).await;
}
