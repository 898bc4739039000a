//! Fault injection: replicas are killed, and the database is stopped and killed, while clients
//! work.
//!
//! No acknowledged change is lost, none is executed twice, and no publication is partial. Every
//! live replica answers quotes throughout.
//!
//! ```text
//! machines.rs   the processes, and their faults
//! clients.rs    the clients, and their acknowledged changes
//! audit.rs      compares the acknowledged changes with the data
//! ```

mod audit;
mod clients;
mod machines;

use std::cell::{Cell, RefCell};

use audit::Audit;
use clients::{Answers, Counts, Writer, run_quoting_client};
use futures_util::future::{join_all, join3};
use machines::Machines;

/// The extent of a run.
pub struct Size {
    /// Number of replica kills.
    kills: usize,
    /// Number of database outages: stops and kills in turn.
    restarts: usize,
    /// Seed of the random faults and changes.
    seed: u8,
    /// One in this number of versions keeps its answers.
    kept_every: i64,
    /// Maximum number of answers that are requested again at the end.
    asked_again: usize,
}

const WRITERS: u8 = 4;

#[tokio::test]
async fn acknowledged_changes_survive_killed_processes() {
    let size = Size { kills: 6, restarts: 2, seed: 1, kept_every: 1, asked_again: 150 };
    run(&size).await;
}

/// Runs with an extent from the environment. `bench/soak` runs it.
#[tokio::test]
#[ignore = "takes many minutes"]
async fn soak() {
    let number = |name: &str, default: usize| {
        std::env::var(name)
            .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
    };
    let size = Size {
        kills: number("KAMPANJE_SOAK_KILLS", 200),
        restarts: number("KAMPANJE_SOAK_RESTARTS", 20),
        seed: u8::try_from(number("KAMPANJE_SOAK_SEED", 1))
            .expect("KAMPANJE_SOAK_SEED is at most 255"),
        kept_every: 10,
        asked_again: 1_500,
    };
    run(&size).await;
}

async fn run(size: &Size) {
    let machines = Machines::new().await;
    let (counts, answers, working) =
        (Counts::default(), RefCell::new(Answers::new()), Cell::new(true));
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        writers.push(Writer::new(number, size.seed, &machines.replicas, &counts).await);
    }
    machines.wait_until_current().await;
    let faults = async {
        machines.cause_faults(size, &counts).await;
        working.set(false);
    };
    let writing = join_all(writers.iter_mut().map(|writer| writer.work(&working)));
    let quoting = join_all((0..4).map(|number| {
        let replica = &machines.replicas[usize::from(number) % 2];
        run_quoting_client(
            replica,
            (number, usize::from(WRITERS), size.kept_every),
            (&working, &counts, &answers),
        )
    }));
    join3(faults, writing, quoting).await;
    machines.wait_until_current().await;

    let audit = Audit::of(&machines, &writers, &answers.into_inner(), size).await;
    println!(
        "kills {}, restarts of the database {}, changes acknowledged {} \
         (by a stored answer after a break {}), replays {}, broken connections {}, 503 {}, \
         quotes {}, stale quotes {}, versions {}, quotes asked again {}, audit entries {}, \
         events {}, idempotency records {}, losses {}, doubles {}",
        size.kills,
        size.restarts,
        counts.acknowledged.get(),
        counts.after_a_break.get(),
        counts.replays.get(),
        counts.broken.get(),
        counts.unavailable.get(),
        counts.quotes.get(),
        counts.stale.get(),
        audit.versions,
        audit.asked_again,
        audit.records[0],
        audit.records[1],
        audit.records[2],
        audit.losses.len(),
        audit.doubles.len(),
    );
    assert_eq!((audit.losses, audit.doubles), (Vec::new(), Vec::new()));
    // Proof that the faults had an effect.
    assert!(counts.unavailable.get() > 0 && counts.replays.get() > 0 && audit.asked_again > 0);
}
