//! Instants and civil dates without a clock: the text forms of the contract, and the arithmetic of the Gregorian calendar.

use std::fmt;

const SECONDS_A_DAY: i64 = 86_400;

/// 9999-12-31T23:59:59Z; later instants have no four-digit year.
const LAST_SECOND: i64 = 253_402_300_799;

/// The contract's timestamp (RFC 3339, UTC, milliseconds) for a Unix time in seconds; nothing before 1970 or after 9999.
///
/// ```
/// use ampout_plugin::time::rfc3339_from_unix;
/// assert_eq!(rfc3339_from_unix(1_785_499_200).as_deref(), Some("2026-07-31T12:00:00.000Z"));
/// ```
#[must_use]
pub fn rfc3339_from_unix(seconds: i64) -> Option<String> {
    rfc3339_from_unix_millis(seconds.checked_mul(1000)?)
}

/// The contract's timestamp for a Unix time in milliseconds; nothing before 1970 or after 9999.
#[must_use]
pub fn rfc3339_from_unix_millis(milliseconds: i64) -> Option<String> {
    let seconds = milliseconds.div_euclid(1000);
    if !(0..=LAST_SECOND).contains(&seconds) {
        return None;
    }
    let date = CivilDate::from_days_since_1970(seconds.div_euclid(SECONDS_A_DAY))?;
    let second_of_day = seconds.rem_euclid(SECONDS_A_DAY);
    let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    Some(format!("{date}T{hour:02}:{minute:02}:{second:02}.{:03}Z", milliseconds.rem_euclid(1000)))
}

/// The contract's timestamp for any RFC 3339 text: any offset, any number of decimals, a space in place of the `T`, and
/// UTC where no offset stands.
///
/// ```
/// use ampout_plugin::time::normalize_rfc3339;
/// assert_eq!(normalize_rfc3339("2026-02-07 18:05:02.199324+01:00").as_deref(), Some("2026-02-07T17:05:02.199Z"));
/// ```
#[must_use]
pub fn normalize_rfc3339(text: &str) -> Option<String> {
    let text = text.trim();
    if !text.is_ascii() || text.len() < 19 {
        return None;
    }
    let date = CivilDate::parse(&text[..10])?;
    let bytes = text.as_bytes();
    if !matches!(bytes[10], b'T' | b't' | b' ') || bytes[13] != b':' || bytes[16] != b':' {
        return None;
    }
    let (hour, minute, second) = (digits(&text[11..13])?, digits(&text[14..16])?, digits(&text[17..19])?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (milliseconds, zone) = split_fraction(&text[19..]);
    let local = date.days_since_1970() * SECONDS_A_DAY + hour * 3600 + minute * 60 + second.min(59);
    rfc3339_from_unix_millis((local - offset_seconds(zone)?) * 1000 + milliseconds)
}

/// The contract's timestamp for an instant in any form that a provider writes: RFC 3339 as [`normalize_rfc3339`] reads it,
/// Unix seconds with or without decimals, Unix milliseconds, or the American `7/31/2026 12:00:00 PM`, taken as UTC.
///
/// ```
/// use ampout_plugin::time::instant;
/// assert_eq!(instant("1785499200.5").as_deref(), Some("2026-07-31T12:00:00.500Z"));
/// assert_eq!(instant("1785499200000").as_deref(), Some("2026-07-31T12:00:00.000Z"));
/// assert_eq!(instant("7/31/2026 12:00:00 PM").as_deref(), Some("2026-07-31T12:00:00.000Z"));
/// ```
#[must_use]
pub fn instant(text: &str) -> Option<String> {
    let text = text.trim();
    if text.contains('/') {
        return american(text);
    }
    if !text.starts_with(|c: char| c.is_ascii_digit()) || text.contains([':', '-']) {
        return normalize_rfc3339(text);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let (whole, fraction) = (digits(whole)?, format!(".{fraction}"));
    let (milliseconds, rest) = split_fraction(&fraction);
    // Seconds of this size are beyond the year 9999, and milliseconds of it are from 1978.
    let milliseconds = if whole > LAST_SECOND { whole } else { whole * 1000 + milliseconds };
    rest.is_empty().then_some(milliseconds).and_then(rfc3339_from_unix_millis)
}

/// The Unix time in seconds of a timestamp in the contract's form, or in any that [`normalize_rfc3339`] reads.
#[must_use]
pub fn unix_seconds(timestamp: &str) -> Option<i64> {
    let text = normalize_rfc3339(timestamp)?;
    let date = CivilDate::parse(&text[..10])?;
    let (hour, minute, second) = (digits(&text[11..13])?, digits(&text[14..16])?, digits(&text[17..19])?);
    Some(date.days_since_1970() * SECONDS_A_DAY + hour * 3600 + minute * 60 + second)
}

fn american(text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    let mut date = words.next()?.split('/').map(digits);
    let (month, day, year) = (date.next()??, date.next()??, date.next()??);
    let mut clock = words.next().unwrap_or("0:00").split(':').map(digits);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next().unwrap_or(Some(0))?);
    let hour = match words.next() {
        None => hour,
        Some(half) if !(1..=12).contains(&hour) || half.len() != 2 => return None,
        Some(half) if half.eq_ignore_ascii_case("am") => hour % 12,
        Some(half) if half.eq_ignore_ascii_case("pm") => hour % 12 + 12,
        Some(_) => return None,
    };
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let date = CivilDate::new(i32::try_from(year).ok()?, u8::try_from(month).ok()?, u8::try_from(day).ok()?)?;
    rfc3339_from_unix(date.days_since_1970() * SECONDS_A_DAY + hour * 3600 + minute * 60 + second.min(59))
}

fn split_fraction(text: &str) -> (i64, &str) {
    let Some(fraction) = text.strip_prefix('.').or_else(|| text.strip_prefix(',')) else { return (0, text) };
    let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let milliseconds = fraction.bytes().take(length).chain(*b"000").take(3);
    (milliseconds.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')), &fraction[length..])
}

fn offset_seconds(zone: &str) -> Option<i64> {
    let zone = zone.trim();
    if zone.is_empty() || zone.eq_ignore_ascii_case("z") || zone.eq_ignore_ascii_case("utc") {
        return Some(0);
    }
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest.len() {
        2 => (digits(rest)?, 0),
        4 => (digits(&rest[..2])?, digits(&rest[2..])?),
        5 if rest.as_bytes()[2] == b':' => (digits(&rest[..2])?, digits(&rest[3..])?),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

fn digits(text: &str) -> Option<i64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// A day of the Gregorian calendar that exists. Its text form is `2026-12-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CivilDate {
    year: i32,
    month: u8,
    day: u8,
}

impl CivilDate {
    /// The date, when there is such a day in the years 1 to 9999.
    #[must_use]
    pub fn new(year: i32, month: u8, day: u8) -> Option<Self> {
        let exists = (1..=9999).contains(&year) && (1..=12).contains(&month) && day >= 1;
        (exists && day <= days_in_month(year, month)).then_some(Self { year, month, day })
    }

    /// Reads `2026-12-01`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if !text.is_ascii() || bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
            return None;
        }
        let (year, month, day) = (digits(&text[..4])?, digits(&text[5..7])?, digits(&text[8..])?);
        Self::new(i32::try_from(year).ok()?, u8::try_from(month).ok()?, u8::try_from(day).ok()?)
    }

    /// The date so many days after 1970-01-01, within the years 1 to 9999.
    #[must_use]
    pub fn from_days_since_1970(days: i64) -> Option<Self> {
        // Counting from 1 March of year 0 puts the leap day at a year's end.
        let shifted = days.checked_add(719_468)?;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self::new(i32::try_from(year).ok()?, u8::try_from(month).ok()?, u8::try_from(day).ok()?)
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub fn days_since_1970(self) -> i64 {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let year_of_era = year.rem_euclid(400);
        let shifted_month = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        year.div_euclid(400) * 146_097 + day_of_era - 719_468
    }

    /// The date so many days later, or earlier when negative.
    #[must_use]
    pub fn plus_days(self, days: i64) -> Option<Self> {
        Self::from_days_since_1970(self.days_since_1970().checked_add(days)?)
    }

    /// 0 is Monday, 6 is Sunday.
    #[must_use]
    pub fn weekday(self) -> u8 {
        // 1970-01-01 was a Thursday.
        u8::try_from((self.days_since_1970() + 3).rem_euclid(7)).unwrap_or(0)
    }

    /// The year.
    #[must_use]
    pub fn year(self) -> i32 {
        self.year
    }

    /// 1 to 12.
    #[must_use]
    pub fn month(self) -> u8 {
        self.month
    }

    /// 1 to 31.
    #[must_use]
    pub fn day(self) -> u8 {
        self.day
    }
}

impl fmt::Display for CivilDate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

fn days_in_month(year: i32, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(normalize_rfc3339(text).as_deref(), expected, "of {text:?}");
    }

    #[test]
    fn every_provider_s_form_becomes_the_contract_s() {
        check("2026-02-07T18:05:02Z", Some("2026-02-07T18:05:02.000Z"));
        check("2026-02-07T18:05:02.199324+00:00", Some("2026-02-07T18:05:02.199Z"));
        check("2026-02-07T23:30:00.5-0400", Some("2026-02-08T03:30:00.500Z"));
        check("2026-02-07 18:05:02", Some("2026-02-07T18:05:02.000Z"));
        check("2024-02-29T00:00:00+01", Some("2024-02-28T23:00:00.000Z"));
    }

    #[test]
    fn what_is_no_instant_is_none() {
        for text in
            ["", "2026-02-30T00:00:00Z", "2026-02-07T25:00:00Z", "2026-02-07T18:05:02+9", "yesterday, at about noon"]
        {
            check(text, None);
        }
        assert_eq!(rfc3339_from_unix(i64::MAX), None);
        assert_eq!(rfc3339_from_unix(-1), None);
    }

    #[test]
    fn an_instant_is_read_in_each_provider_s_way() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(instant(text).as_deref(), expected, "of {text:?}");
        check("1785499200", Some("2026-07-31T12:00:00.000Z"));
        check("1785499200.25", Some("2026-07-31T12:00:00.250Z"));
        check("1785499200123", Some("2026-07-31T12:00:00.123Z"));
        check("7/31/2026 1:05:09 AM", Some("2026-07-31T01:05:09.000Z"));
        check("7/31/2026 12:00 AM", Some("2026-07-31T00:00:00.000Z"));
        check("07/31/2026 13:30:00", Some("2026-07-31T13:30:00.000Z"));
        check("2026-07-31T12:00:00.2855749+00:00", Some("2026-07-31T12:00:00.285Z"));
        for text in
            ["", "-1", "1e9", "13/31/2026 1:00 PM", "7/31/2026 13:00 PM", "7/31", "99999999999999999999", "1.2.3", "//"]
        {
            check(text, None);
        }
        assert_eq!(unix_seconds("2026-07-31T12:00:00.999Z"), Some(1_785_499_200));
        assert_eq!(unix_seconds("soon"), None);
    }

    #[test]
    fn every_day_of_four_centuries_is_itself_again() {
        for days in -200_000..200_000 {
            let date = CivilDate::from_days_since_1970(days).unwrap();
            assert_eq!(date.days_since_1970(), days);
        }
        assert_eq!(CivilDate::parse("2026-11-23").unwrap().weekday(), 0);
        assert_eq!(CivilDate::parse("2026-12-31").unwrap().plus_days(1).unwrap().to_string(), "2027-01-01");
    }
}
