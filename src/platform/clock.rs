//! The clock and the company's calendar.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// A source of the current instant. Tests replace it.
pub type Now = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// The clock and the company's time zone, the source of every "today" of the service.
#[derive(Clone)]
pub struct Calendar {
    now: Now,
    zone: Arc<ArcSwap<Tz>>,
}

impl Calendar {
    /// Creates a calendar on a clock. Its zone is UTC until [`Calendar::set_zone`].
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self { now, zone: Arc::new(ArcSwap::from_pointee(Tz::UTC)) }
    }

    /// Creates a calendar on the machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Arc::new(Utc::now))
    }

    /// Returns the current instant.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        (self.now)()
    }

    /// Returns the current date in the company's time zone.
    #[must_use]
    pub fn today(&self) -> NaiveDate {
        self.date_of(self.now())
    }

    /// Returns the date of an instant in the company's time zone.
    #[must_use]
    pub fn date_of(&self, instant: DateTime<Utc>) -> NaiveDate {
        instant.with_timezone(&**self.zone.load()).date_naive()
    }

    /// Returns the first instant of a date in the company's time zone.
    #[must_use]
    pub fn start_of(&self, date: NaiveDate) -> DateTime<Utc> {
        let zone = **self.zone.load();
        let midnight = date.and_time(NaiveTime::MIN);
        // Where clocks are put forward at midnight, the day begins an hour later.
        let found = (0..24).find_map(|hours| {
            let local = midnight.checked_add_signed(TimeDelta::try_hours(hours)?)?;
            zone.from_local_datetime(&local).earliest()
        });
        found.map_or_else(|| midnight.and_utc(), |begin| begin.with_timezone(&Utc))
    }

    /// Returns the time until the next date begins in the company's time zone.
    #[must_use]
    pub fn time_until_midnight(&self) -> Duration {
        let tomorrow = self.today().checked_add_days(Days::new(1));
        let until =
            tomorrow.map(|tomorrow| self.start_of(tomorrow).signed_duration_since(self.now()));
        until.and_then(|until| until.to_std().ok()).unwrap_or(Duration::MAX)
    }

    /// Sets the company's time zone. An unknown name has no effect; the settings refuse unknown
    /// names.
    pub fn set_zone(&self, name: &str) {
        if let Ok(zone) = name.parse::<Tz>() {
            self.zone.store(Arc::new(zone));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn today(instant: &str, zone: &str) -> String {
        let at: DateTime<Utc> = instant.parse().unwrap();
        let calendar = Calendar::new(Arc::new(move || at));
        calendar.set_zone(zone);
        calendar.today().to_string()
    }

    #[test]
    fn date_depends_on_the_zone() {
        assert_eq!(today("2031-05-14T23:59:59Z", "UTC"), "2031-05-14");
        assert_eq!(today("2031-05-14T22:00:00Z", "Europe/Oslo"), "2031-05-15");
        assert_eq!(today("2031-05-14T21:59:59Z", "Europe/Oslo"), "2031-05-14");
        assert_eq!(today("2031-05-15T03:59:59Z", "America/New_York"), "2031-05-14");
        assert_eq!(today("2031-05-15T04:00:00Z", "America/New_York"), "2031-05-15");
        assert_eq!(today("2031-05-14T10:00:00Z", "Pacific/Kiritimati"), "2031-05-15");
    }

    #[test]
    fn days_of_clock_changes_have_23_and_25_hours() {
        // Oslo goes to summer time on 2031-03-30 and back on 2031-10-26.
        assert_eq!(today("2031-03-29T23:00:00Z", "Europe/Oslo"), "2031-03-30");
        assert_eq!(today("2031-03-30T21:59:59Z", "Europe/Oslo"), "2031-03-30");
        assert_eq!(today("2031-03-30T22:00:00Z", "Europe/Oslo"), "2031-03-31");
        assert_eq!(today("2031-10-25T22:00:00Z", "Europe/Oslo"), "2031-10-26");
        assert_eq!(today("2031-10-26T22:59:59Z", "Europe/Oslo"), "2031-10-26");
        assert_eq!(today("2031-10-26T23:00:00Z", "Europe/Oslo"), "2031-10-27");
    }

    #[test]
    fn unknown_zone_has_no_effect() {
        assert_eq!(today("2031-05-14T23:59:59Z", "Mars/Olympus"), "2031-05-14");
    }

    #[test]
    fn first_instant_of_a_date() {
        let begins = |date: &str, zone: &str| {
            let calendar = Calendar::system();
            calendar.set_zone(zone);
            calendar.start_of(date.parse().unwrap()).to_rfc3339()
        };
        assert_eq!(begins("2031-05-15", "UTC"), "2031-05-15T00:00:00+00:00");
        assert_eq!(begins("2031-05-15", "Europe/Oslo"), "2031-05-14T22:00:00+00:00");
        // Cuba puts its clocks forward at midnight.
        assert_eq!(begins("2024-03-10", "America/Havana"), "2024-03-10T05:00:00+00:00");
    }
}
