//! A clock that stands still until a test moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};
use kampanje::platform::clock::Calendar;

/// The clock; clones show the same instant.
#[derive(Clone)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// A clock at an instant.
    pub fn at(instant: &str) -> Self {
        let clock = Self(Arc::default());
        clock.set(instant);
        clock
    }

    /// Moves it to an instant.
    pub fn set(&self, instant: &str) {
        let instant: DateTime<Utc> = instant.parse().unwrap();
        self.0.store(instant.timestamp_millis(), Ordering::Relaxed);
    }

    /// A calendar that goes by it.
    pub fn calendar(&self) -> Calendar {
        let Self(now) = self.clone();
        Calendar::new(Arc::new(move || {
            DateTime::from_timestamp_millis(now.load(Ordering::Relaxed)).unwrap()
        }))
    }
}
