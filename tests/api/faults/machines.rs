//! A PostgreSQL and two replicas, as processes, and what befalls them.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use embedded_postgres::{Durability, EmbeddedPostgres, Settings};
use kampanje::platform::db::pool::connect;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;
use uuid::Uuid;

use super::Size;
use super::clients::Counts;
use crate::book::Dice;
use crate::process::{Serving, send_signal};
use crate::support::history::all_rows;

const DATABASE: &str = "kampanje";

/// A server whose data outlives it, so that it can be started again.
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
        Self { directory, url: server.url(DATABASE), running: Arc::new(Mutex::new(Some(server))) }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops it as an operator does: sessions end at once, what was committed is on disk.
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

    /// Kills it. Its supervisor starts it again, and it recovers; returns when it lets sessions in.
    async fn crash(&self) {
        let pid = |running: &Option<EmbeddedPostgres>| running.as_ref().unwrap().server_pid();
        let killed = pid(&self.running.lock().unwrap()).unwrap();
        send_signal(killed, "KILL");
        while pid(&self.running.lock().unwrap()).is_none_or(|pid| pid == killed)
            || connect(&self.url).await.is_err()
        {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A replica and its successors; each has a number of its own, from 1 on.
pub struct Replica {
    data_dir: PathBuf,
    database_url: String,
    process: RefCell<Option<Serving>>,
    url: RefCell<String>,
    number: Cell<u32>,
    /// The number of the latest that was killed.
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

    /// The one that serves, by its number, and its URL.
    pub fn serving(&self) -> Option<(u32, String)> {
        (self.killed.get() < self.number.get())
            .then(|| (self.number.get(), self.url.borrow().clone()))
    }

    /// Whether this one was killed, or is about to be.
    pub fn was_killed(&self, number: u32) -> bool {
        self.killed.get() >= number
    }

    /// Kills it amid whatever it does.
    fn kill(&self) {
        self.killed.set(self.number.get());
        let process = self.process.borrow_mut().take().unwrap();
        self.report(&process);
        process.signal("KILL");
    }

    /// Starts a successor, as often as it takes: without a database it may end at once.
    async fn start(&self) {
        let process = loop {
            if let Some(process) = self.try_start().await.unwrap() {
                break process;
            }
            sleep(Duration::from_millis(200)).await;
        };
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

    /// Shows the defects that it has logged, should the test fail.
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

/// All of it.
pub struct Machines {
    pub replicas: [Replica; 2],
    pub postgres: Postgres,
    /// Last: removed when all have ended.
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

    /// Returns when both answer from the book as it is now.
    pub async fn agree(&self) {
        let [(_, one), (_, other)] = [0, 1].map(|at: usize| self.replicas[at].serving().unwrap());
        let newest = all_rows(&one, "/v1/publications?orderby=version&top=1000").await.len();
        for url in [one, other] {
            let query =
                format!("{url}/v1/price-quotes?itemNumber=ANY&minPublicationVersion={newest}");
            while reqwest::get(&query).await.unwrap().status() != 200 {}
        }
    }

    /// What befalls them, one after the other, until there is no more of it; in between some work
    /// is done. In the end all are up.
    pub async fn suffer(&self, size: &Size, counts: &Counts) {
        let mut dice = Dice::new(size.seed);
        let (mut kills, mut restarts) = (size.kills, size.restarts);
        while kills + restarts > 0 {
            counted_on(&counts.acknowledged, 2 + dice.below(10)).await;
            // Amid whatever is going on.
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
                    counted_on(&counts.unavailable, 1 + dice.below(60)).await;
                    self.postgres.start().await;
                }
            };
            let death = async {
                if with_victim {
                    kills -= 1;
                    sleep(Duration::from_millis(50)).await;
                    victim.kill();
                    victim.start().await;
                }
            };
            futures_util::future::join(outage, death).await;
        }
    }
}

/// Returns when a counter has gone on by so much.
async fn counted_on(counter: &Cell<u64>, by: usize) {
    let until = counter.get() + u64::try_from(by).unwrap();
    while counter.get() < until {
        sleep(Duration::from_millis(1)).await;
    }
}
