//! SIGTERM while writes wait for a lock. Each write is answered and committed. All HTTP workers
//! opened the database sessions that the writes use, but one worker runs the writes. The other
//! workers are idle, and end while their sessions are in use.

use std::time::Duration;

use diesel::sql_types::BigInt;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::future::join_all;
use kampanje::platform::db::pool::connect;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::process::Serving;
use super::support::database::TestDatabase;
use super::support::wait::{eventually, in_time};

/// The number of writes in flight in each process.
const WRITES: usize = 10;
/// Pool size with enough sessions for these writes; three eighths are for writes.
const POOL_SIZE: &str = "27";
const SIGTERM_AFTER: Duration = Duration::from_millis(500);
const UNLOCK_AFTER: Duration = Duration::from_millis(4_500);

#[tokio::test]
async fn writes_in_flight_are_committed_when_the_service_is_terminated() {
    let mut cases = Vec::new();
    for workers in [1, 2, 4, 8] {
        cases.push(Case::new(workers).await);
    }
    let mut writes = Vec::new();
    for case in &mut cases {
        case.lock().await;
        writes.push(case.writes_on_one_worker().await);
    }
    let began = Instant::now();
    sleep_until(began + SIGTERM_AFTER).await;
    cases.iter().for_each(|case| case.serving.signal("TERM"));
    sleep_until(began + UNLOCK_AFTER).await;
    for case in &mut cases {
        case.unlock().await;
    }
    let mut lost = Vec::new();
    for (case, writes) in cases.iter_mut().zip(writes) {
        let answers = answers(writes).await;
        let answered = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 200 ")).count();
        let committed = case.committed("after SIGTERM").await;
        let workers = case.workers;
        println!("{workers} workers: {answered} answered, {committed} committed of {WRITES}");
        if (answered, committed) != (WRITES, WRITES) {
            lost.push(format!("{workers} workers: {answers:#?}"));
        }
        assert_eq!(case.serving.wait_for_exit(), Some(0), "{workers} workers");
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

struct Case {
    workers: usize,
    database: TestDatabase,
    serving: Serving,
    /// The session that holds the lock for which the writes wait.
    holder: AsyncPgConnection,
}

impl Case {
    /// Returns a process with a session for each write, opened by its workers in turn.
    async fn new(workers: usize) -> Self {
        let database = TestDatabase::new().await;
        let number = workers.to_string();
        let serving = Serving::start(
            &["--workers", &number, "--pool-size", POOL_SIZE, "--drain-seconds", "2"],
            Some(&database.url()),
        );
        let holder = connect(&database.url()).await.unwrap();
        let mut case = Self { workers, database, serving, holder };
        let statuses = "INSERT INTO campaign_statuses (id, code, sequence)
            SELECT uuid_v7(), 'S' || n, n FROM generate_series(0, 99) AS n";
        case.sql(statuses).await;
        case.lock().await;
        let mut writes = Vec::new();
        for number in 0..WRITES {
            writes.push(case.write(case.connection().await, number, "before"));
        }
        case.wait_until_all_writes_block().await;
        case.unlock().await;
        let answers = answers(writes).await;
        assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 200 ")), "{answers:#?}");
        assert_eq!(case.committed("before").await, WRITES);
        case
    }

    async fn sql(&mut self, statement: &str) {
        self.holder.batch_execute(statement).await.unwrap();
    }

    async fn lock(&mut self) {
        self.sql("BEGIN; SELECT FROM campaign_statuses FOR UPDATE").await;
    }

    async fn unlock(&mut self) {
        self.sql("COMMIT").await;
    }

    async fn connection(&self) -> TcpStream {
        TcpStream::connect(self.serving.url.strip_prefix("http://").unwrap()).await.unwrap()
    }

    /// Sends all writes to one worker, and returns when they wait for the lock. Workers receive
    /// connections in turn. So the last of each round goes to the same worker.
    async fn writes_on_one_worker(&mut self) -> Vec<JoinHandle<String>> {
        let mut writes = Vec::new();
        for number in 0..WRITES {
            let mut in_turn = Vec::new();
            for _ in 0..self.workers {
                in_turn.push(self.connection().await);
            }
            writes.push(self.write(in_turn.pop().unwrap(), number, "after SIGTERM"));
        }
        self.wait_until_all_writes_block().await;
        writes
    }

    /// Replaces a campaign status, and returns the complete response as text.
    fn write(
        &self,
        mut connection: TcpStream,
        number: usize,
        description: &str,
    ) -> JoinHandle<String> {
        let body = format!(r#"{{"sequence": {number}, "description": "{description}"}}"#);
        let request = format!(
            "PUT /v1/campaign-statuses/S{number} HTTP/1.1\r\nHost: localhost\r\n\
             Connection: close\r\nIf-Match: *\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len(),
        );
        tokio::spawn(async move {
            connection.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            match connection.read_to_string(&mut answer).await {
                Ok(_) => answer,
                Err(error) => format!("{error} after {answer:?}"),
            }
        })
    }

    async fn count(&self, query: &str) -> usize {
        #[derive(diesel::QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        let mut conn = connect(&self.database.url()).await.unwrap();
        let count: Count = diesel::sql_query(query).get_result(&mut conn).await.unwrap();
        usize::try_from(count.count).unwrap()
    }

    async fn wait_until_all_writes_block(&self) {
        let waiting = "SELECT count(*) AS count FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        eventually("all writes wait for the lock", async || self.count(waiting).await >= WRITES)
            .await;
    }

    async fn committed(&self, description: &str) -> usize {
        self.count(&format!(
            "SELECT count(*) AS count FROM campaign_statuses WHERE description = '{description}'"
        ))
        .await
    }
}

async fn answers(writes: Vec<JoinHandle<String>>) -> Vec<String> {
    let answers = in_time("all writes are answered", join_all(writes)).await;
    answers.into_iter().map(Result::unwrap).collect()
}
