//! Instants as the engine keeps them: milliseconds since 1970 in UTC, written as RFC 3339 with `Z`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MILLIS_PER_DAY: i64 = 86_400_000;

/// An instant, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text was not an RFC 3339 instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a time; write it as 2026-11-23T08:00:00Z")]
pub struct BadTimestamp {
    /// What was given.
    pub given: String,
}

impl Timestamp {
    /// From milliseconds since 1970-01-01T00:00:00Z.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This instant and `later` more.
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(later.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This instant less `earlier`.
    pub fn minus(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(earlier.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long until `later`; zero when that has passed.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// The UTC day, counted from 1970-01-01.
    pub fn utc_day(self) -> i64 {
        self.0.div_euclid(MILLIS_PER_DAY)
    }

    /// The UTC month, counted from January of the year 0.
    pub fn utc_month(self) -> i64 {
        let date = self.civil_date();
        i64::from(date.year()) * 12 + i64::from(date.month()) - 1
    }

    /// The first instant of the next UTC month.
    pub fn next_utc_month(self) -> Self {
        let next = self.civil_date().last_of_month().tomorrow();
        let next = next.ok().and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok());
        // Past the calendar's end there is no next month.
        next.map_or(Self(i64::MAX), |first| Self(first.timestamp().as_millisecond()))
    }

    fn civil_date(self) -> jiff::civil::Date {
        let instant = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        instant.to_zoned(jiff::tz::TimeZone::UTC).date()
    }

    /// The first instant of a UTC day, counted from 1970-01-01.
    pub const fn of_utc_day(day: i64) -> Self {
        Self(day.saturating_mul(MILLIS_PER_DAY))
    }

    /// The UTC date, such as `2026-11-23`.
    pub fn utc_date(self) -> String {
        let mut text = self.to_string();
        text.truncate(text.find('T').unwrap_or(text.len()));
        text
    }

    /// The first instant of the next UTC day.
    pub fn next_utc_day(self) -> Self {
        Self((self.utc_day() + 1) * MILLIS_PER_DAY)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        write!(f, "{instant:.3}")
    }
}

impl FromStr for Timestamp {
    type Err = BadTimestamp;
    fn from_str(text: &str) -> Result<Self, BadTimestamp> {
        text.parse::<jiff::Timestamp>()
            .map(|instant| Self(instant.as_millisecond()))
            .map_err(|_| BadTimestamp { given: text.to_owned() })
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_with_milliseconds_and_z_and_read_back() {
        let instant: Timestamp = "2026-11-23T08:00:00+01:00".parse().unwrap();
        assert_eq!(instant.to_string(), "2026-11-23T07:00:00.000Z");
        assert_eq!(instant.to_string().parse::<Timestamp>().unwrap(), instant);
    }

    #[test]
    fn the_utc_day_ends_at_midnight() {
        let late: Timestamp = "2026-11-23T23:59:59.999Z".parse().unwrap();
        assert_eq!(late.next_utc_day().to_string(), "2026-11-24T00:00:00.000Z");
        assert_eq!(late.next_utc_day().utc_day(), late.utc_day() + 1);
        assert_eq!(Timestamp::of_utc_day(late.utc_day()).to_string(), "2026-11-23T00:00:00.000Z");
        assert_eq!(late.utc_date(), "2026-11-23");
    }

    #[test]
    fn the_utc_month_ends_with_its_last_day() {
        for (instant, next) in [
            ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00.000Z"),
            ("2026-12-31T23:59:59.999Z", "2027-01-01T00:00:00.000Z"),
            ("2028-02-29T12:00:00Z", "2028-03-01T00:00:00.000Z"),
        ] {
            let instant: Timestamp = instant.parse().unwrap();
            assert_eq!(instant.next_utc_month().to_string(), next);
            assert_eq!(instant.next_utc_month().utc_month(), instant.utc_month() + 1);
        }
        assert_eq!(Timestamp::from_millis(0).utc_month(), 1970 * 12);
    }
}
