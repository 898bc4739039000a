//! Replicas are killed, the database is stopped and killed, over and over, while clients work.
//! Nothing that was acknowledged is lost, nothing is done twice, no publication is there in part,
//! and whoever asks a replica that lives for a price gets one.
//!
//! ```text
//! machines.rs   the processes, and what befalls them
//! clients.rs    who works meanwhile, and what they were told
//! audit.rs  what was told against what there is
//! ```

mod audit;
mod clients;
mod machines;

use std::cell::{Cell, RefCell};

use audit::Audit;
use clients::{Answers, Counts, Writer, quote_all_along};
use futures_util::future::{join_all, join3};
use machines::Machines;

/// How much of it.
pub struct Size {
    /// How often a replica is killed.
    kills: usize,
    /// How often the database is stopped or killed, in turn.
    restarts: usize,
    /// Decides what happens when, and what clients do.
    seed: u8,
    /// Of how many versions one keeps its answers.
    kept_every: i64,
    /// How many answers are asked for again in the end.
    asked_again: usize,
}

const WRITERS: u8 = 4;

#[tokio::test]
async fn nothing_is_lost_or_done_twice_when_processes_are_killed() {
    let size = Size { kills: 6, restarts: 2, seed: 1, kept_every: 1, asked_again: 150 };
    endure(&size).await;
}

/// The same for as long as the environment says. `bench/soak` runs it.
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
    endure(&size).await;
}

async fn endure(size: &Size) {
    let machines = Machines::new().await;
    let (counts, answers, working) =
        (Counts::default(), RefCell::new(Answers::new()), Cell::new(true));
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        writers.push(Writer::new(number, size.seed, &machines.replicas, &counts).await);
    }
    machines.agree().await;
    let suffering = async {
        machines.suffer(size, &counts).await;
        working.set(false);
    };
    let writing = join_all(writers.iter_mut().map(|writer| writer.work(&working)));
    let quoting = join_all((0..4).map(|number| {
        let replica = &machines.replicas[usize::from(number) % 2];
        quote_all_along(
            replica,
            (number, usize::from(WRITERS), size.kept_every),
            (&working, &counts, &answers),
        )
    }));
    join3(suffering, writing, quoting).await;
    machines.agree().await;

    let audit = Audit::of(&machines, &writers, &answers.into_inner(), size).await;
    println!(
        "kills {}, restarts of the database {}, changes acknowledged {} (by a stored answer after a break {}), replays {}, \
         broken connections {}, 503 {}, quotes {}, stale quotes {}, versions {}, quotes asked again {}, losses {}, doubles {}",
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
        audit.losses.len(),
        audit.doubles.len(),
    );
    assert_eq!((audit.losses, audit.doubles), (Vec::new(), Vec::new()));
    // Otherwise the test would say little.
    assert!(counts.unavailable.get() > 0 && counts.replays.get() > 0 && audit.asked_again > 0);
}
