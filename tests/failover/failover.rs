//! The primary does not answer any more, and its standby is promoted: writes resume soon after
//! through the standby in the URL, no acknowledged write is lost, and quotes never fail.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use embedded_postgres::SERVICE_ROLE;
use futures_util::future::{join, join_all};
use tokio::time::{Instant, sleep};

use super::proxy::Proxy;
use super::servers::{DATABASE, Server};
use super::service::Service;

/// Time between the promotion and the first committed write.
const RESUME_TIMEOUT: Duration = Duration::from_secs(5);
/// The time in which requests pile up before the standby is promoted.
const OUTAGE: Duration = Duration::from_secs(4);
/// The time after which a test without a resumed write gives up.
const GIVE_UP: Duration = Duration::from_secs(60);
const WRITERS: usize = 8;
/// Successful writes after the promotion that end the test.
const WRITES_AFTERWARDS: usize = 20;

// The proxy forwards while the start of the service blocks the test's own thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vanished_primary() {
    let primary = Server::primary().await;
    let (standby, proxy) = (primary.standby().await, Proxy::to(primary.port).await);
    fail_over(proxy.port, &standby, || proxy.freeze()).await;
}

#[tokio::test]
async fn frozen_primary() {
    let primary = Server::primary().await;
    let standby = primary.standby().await;
    fail_over(primary.port, &standby, || primary.freeze()).await;
}

async fn fail_over(primary: u16, standby: &Server, fail: impl FnOnce()) {
    let hosts = format!("127.0.0.1:{primary},127.0.0.1:{}", standby.port);
    let service = Service::start(&format!("postgres://{SERVICE_ROLE}@{hosts}/{DATABASE}"));
    assert_eq!(service.put_item("DESK", "400").await, 201);
    let (acknowledged, promoted, resumed) =
        (RefCell::new(vec!["DESK".to_owned()]), Cell::new(None), Cell::new(None));
    let (afterwards, quotes) = (Cell::new(0), Cell::new(0));
    let began = Instant::now();
    let writing = || afterwards.get() < WRITES_AFTERWARDS && began.elapsed() < GIVE_UP;
    let writer = async |writer: usize| {
        for number in 0.. {
            if !writing() {
                return;
            }
            let item = format!("I{writer}-{number}");
            let sent = Instant::now();
            let status = service.put_item(&item, "1").await;
            assert!(matches!(status, 201 | 503), "{status} for a write");
            if status == 201 {
                acknowledged.borrow_mut().push(item);
                if promoted.get().is_some_and(|promoted| sent > promoted) {
                    resumed.set(resumed.get().or(Some(Instant::now())));
                    afterwards.set(afterwards.get() + 1);
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let quoting = async {
        while writing() {
            assert_eq!(service.quote("DESK").await, 200);
            quotes.set(quotes.get() + 1);
            sleep(Duration::from_millis(20)).await;
        }
    };
    let failing = async {
        sleep(Duration::from_secs(1)).await;
        fail();
        sleep(OUTAGE).await;
        standby.promote().await;
        promoted.set(Some(Instant::now()));
    };
    join(join_all((0..WRITERS).map(writer)), join(quoting, failing)).await;

    let resumed: Instant = resumed.get().expect("writes resume");
    let pause = resumed.duration_since(promoted.get().unwrap());
    let stored = items(standby).await;
    let lost: Vec<String> =
        acknowledged.borrow().iter().filter(|item| !stored.contains(item)).cloned().collect();
    println!(
        "writes resumed {} ms after the promotion; {} acknowledged, {} lost; {} quotes",
        pause.as_millis(),
        acknowledged.borrow().len(),
        lost.len(),
        quotes.get(),
    );
    assert_eq!(lost, Vec::<String>::new());
    assert!(pause <= RESUME_TIMEOUT, "{pause:?}");
    assert!(quotes.get() > 0);
}

async fn items(server: &Server) -> Vec<String> {
    #[derive(diesel::QueryableByName)]
    struct Item {
        #[diesel(sql_type = Text)]
        number: String,
    }
    let mut conn = server.connection(DATABASE).await;
    let items: Vec<Item> =
        diesel::sql_query("SELECT number FROM items").load(&mut conn).await.unwrap();
    items.into_iter().map(|item| item.number).collect()
}
