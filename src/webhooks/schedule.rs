//! The times of the attempts.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// Delays after failed attempts in seconds: 5 s, 1 min, 5 min, 30 min, 2 h, 6 h, 12 h, 24 h, 24 h.
/// After another failure the delivery has failed.
pub const RETRY_DELAYS_SECONDS: [i64; 9] =
    [5, 60, 300, 1_800, 7_200, 21_600, 43_200, 86_400, 86_400];
/// A delay is extended by up to a part of 1 in this number. So the deliveries that failed together
/// while a receiver was away are not repeated together.
const JITTER_DIVISOR: i64 = 10;
/// The number of different extensions.
const JITTER_STEPS: i64 = 1_000;

/// Returns the time of the next attempt after a failed one, or `None` if it was the last. The
/// extension depends on the delivery and the attempt only.
#[must_use]
pub fn next_attempt(delivery: Uuid, attempts: i32, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let index = usize::try_from(attempts.checked_sub(1)?).ok()?;
    let delay = RETRY_DELAYS_SECONDS.get(index)?.saturating_mul(1_000);
    let seed = xxhash_rust::xxh3::xxh3_64_with_seed(
        delivery.as_bytes(),
        u64::try_from(attempts).unwrap_or_default(),
    );
    let step = i64::try_from(seed % JITTER_STEPS.unsigned_abs()).unwrap_or_default();
    let extension = delay.saturating_mul(step) / JITTER_STEPS / JITTER_DIVISOR;
    now.checked_add_signed(TimeDelta::milliseconds(delay.saturating_add(extension)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn delays_and_their_jitter() {
        let now = DateTime::UNIX_EPOCH;
        for (attempts, seconds) in (1..).zip(RETRY_DELAYS_SECONDS) {
            let delays: BTreeSet<i64> = (0..200)
                .map(|_| {
                    let at = next_attempt(Uuid::now_v7(), attempts, now).unwrap();
                    (at - now).num_milliseconds()
                })
                .collect();
            let (first, last) = (*delays.first().unwrap(), *delays.last().unwrap());
            assert!(first >= seconds * 1_000 && last < seconds * 1_100, "{attempts}: {delays:?}");
            assert!(delays.len() > 50, "{attempts}: {delays:?}");
        }
        for attempts in [i32::MIN, 0, 10, 11, i32::MAX] {
            assert_eq!(next_attempt(Uuid::nil(), attempts, now), None, "{attempts}");
        }
    }

    #[test]
    fn all_attempts_take_about_three_days() {
        let hours = RETRY_DELAYS_SECONDS.iter().sum::<i64>() / 3_600;
        assert_eq!(hours, 68);
    }
}
