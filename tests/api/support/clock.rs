//! A fixed clock that a test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};
use kampanje::platform::clock::Calendar;

/// The clock. Clones share one instant.
#[derive(Clone)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// Returns a clock at an instant.
    pub fn at(instant: &str) -> Self {
        let clock = Self(Arc::default());
        clock.set(instant);
        clock
    }

    /// Sets the instant.
    pub fn set(&self, instant: &str) {
        let instant: DateTime<Utc> = instant.parse().unwrap();
        self.0.store(instant.timestamp_millis(), Ordering::Relaxed);
    }

    /// Returns a calendar of this clock.
    pub fn calendar(&self) -> Calendar {
        let Self(now) = self.clone();
        Calendar::new(Arc::new(move || {
            DateTime::from_timestamp_millis(now.load(Ordering::Relaxed)).unwrap()
        }))
    }
}
