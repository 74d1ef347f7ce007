//! Dates as people write them in mails, in ten languages. A form that may be read two ways gives no date.

use std::borrow::Cow;

use ampout_plugin::time::CivilDate;

use crate::date_words::{FILLERS, MONTHS, WEEKDAYS};

/// A date that was read, and where it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FoundDate {
    pub(crate) date: CivilDate,
    pub(crate) end: usize,
}

/// The most words that are skipped between a phrase and its date.
const MOST_SKIPPED: usize = 5;

/// The date that folded `text` begins with, after at most a few filler words and a weekday. A date without a year is the
/// next such day from `today` on; a weekday alone is the next one after `today`.
pub(crate) fn date_at(text: &str, today: CivilDate) -> Option<FoundDate> {
    let mut position = 0;
    let mut weekday = None;
    for _ in 0..=MOST_SKIPPED {
        position +=
            text[position..].len() - text[position..].trim_start_matches([' ', ',', '\n', '(', ':', '.', '-']).len();
        let rest = &text[position..];
        if let Some((date, length)) =
            numeric(rest, today).or_else(|| named(rest, today)).or_else(|| east_asian(rest, today))
        {
            // A weekday that is not the date's makes both a guess.
            let agrees = weekday.is_none_or(|(day, _)| day == usize::from(date.weekday()));
            return agrees.then_some(FoundDate { date, end: position + length });
        }
        let word = word_at(rest);
        if word.is_empty() {
            break;
        }
        match WEEKDAYS.iter().position(|names| names.contains(&word)) {
            Some(day) if weekday.is_none() => weekday = Some((day, position + word.len())),
            Some(_) => break,
            None if FILLERS.contains(&word) => {}
            None => break,
        }
        position += word.len();
    }
    let (day, end) = weekday?;
    let ahead = (i64::try_from(day).ok()? - i64::from(today.weekday()) + 6).rem_euclid(7) + 1;
    Some(FoundDate { date: today.plus_days(ahead)?, end })
}

/// `2026-12-01`, `1.12.2026`, `1.12.`, `01/12/2026` where only one reading is a date.
fn numeric(text: &str, today: CivilDate) -> Option<(CivilDate, usize)> {
    let (first, first_length) = number_at(text)?;
    let separator = text[first_length..].chars().next().filter(|c| matches!(c, '.' | '/' | '-'))?;
    let (second, second_length) = number_at(&text[first_length + 1..])?;
    let after_second = first_length + 1 + second_length;
    let third = text[after_second..].strip_prefix(separator).and_then(number_at);
    if first_length == 4 {
        let (day, day_length) = third?;
        return Some((civil(first, second, day)?, after_second + 1 + day_length));
    }
    let (year, length) = match third {
        Some((year, length @ (2 | 4))) => {
            (Some(if length == 2 { 2000 + year } else { year }), after_second + 1 + length)
        }
        // `9.30` is a time and `1/2` a half: without a year only the German `1.12.` is a date.
        None if separator == '.' && text[after_second..].starts_with('.') => (None, after_second + 1),
        _ => return None,
    };
    let (day, month) = match separator {
        '.' => (first, second),
        _ if first > 12 || first == second => (first, second),
        _ if second > 12 => (second, first),
        _ => return None,
    };
    Some((with_year(year, month, day, today)?, length))
}

/// The text with its slashed dates as `2026-12-07`, where one of them can be read one way only: `starting 11/20/2026 and
/// will not return until 12/07/2026` puts the month first.
pub(crate) fn with_settled_slashes(text: &str) -> Cow<'_, str> {
    let dates = slashed(text);
    let is_month_first = match (dates.iter().any(|date| date.second > 12), dates.iter().any(|date| date.first > 12)) {
        (true, false) => true,
        (false, true) => false,
        _ => return Cow::Borrowed(text),
    };
    let (mut settled, mut at) = (String::with_capacity(text.len() + dates.len() * 2), 0);
    for date in dates {
        let (month, day) = if is_month_first { (date.first, date.second) } else { (date.second, date.first) };
        settled.push_str(&text[at..date.start]);
        settled.push_str(&format!("{:04}-{month:02}-{day:02}", date.year));
        at = date.end;
    }
    settled.push_str(&text[at..]);
    Cow::Owned(settled)
}

/// Two numbers and a year between slashes.
struct Slashed {
    first: u32,
    second: u32,
    year: u32,
    start: usize,
    end: usize,
}

fn slashed(text: &str) -> Vec<Slashed> {
    const MOST: usize = 8;
    let mut found: Vec<Slashed> = Vec::new();
    for (slash, _) in text.match_indices('/') {
        let digits = text[..slash].bytes().rev().take_while(u8::is_ascii_digit).count();
        let start = slash - digits;
        if !matches!(digits, 1 | 2) || found.last().is_some_and(|last| last.end > start) || found.len() == MOST {
            continue;
        }
        let Some((second, length)) = number_at(&text[slash + 1..]) else { continue };
        let Some(rest) = text[slash + 1 + length..].strip_prefix('/') else { continue };
        let Some((year, year_length @ (2 | 4))) = number_at(rest) else { continue };
        let Some((first, _)) = number_at(&text[start..]) else { continue };
        let year = if year_length == 2 { 2000 + year } else { year };
        found.push(Slashed { first, second, year, start, end: slash + length + 2 + year_length });
    }
    found
}

/// `1 December 2026`, `1. Dezember`, `1er decembre`, `1 de diciembre de 2026`, `December 1st, 2026`.
fn named(text: &str, today: CivilDate) -> Option<(CivilDate, usize)> {
    let mut cursor = Cursor { text, position: 0 };
    let (day, month) = match cursor.day() {
        Some(day) => {
            cursor.skip_word("of");
            cursor.skip_word("de");
            (day, cursor.month()?)
        }
        None => {
            let month = cursor.month()?;
            (cursor.day()?, month)
        }
    };
    let after_month = cursor.position;
    cursor.skip_word("de");
    cursor.skip_word("del");
    let year = cursor.year();
    let end = if year.is_some() { cursor.position } else { after_month };
    Some((with_year(year, month, day, today)?, end))
}

/// `2026年12月1日`, `12月1日`, `12월 1일`.
fn east_asian(text: &str, today: CivilDate) -> Option<(CivilDate, usize)> {
    let mut position = 0;
    let mut numbers = [None; 3];
    for (slot, marks) in numbers.iter_mut().zip([['年', '년'], ['月', '월'], ['日', '일']]) {
        let rest = text[position..].trim_start();
        let skipped = text[position..].len() - rest.len();
        let Some((number, length)) = number_at(rest) else { continue };
        let mark = rest[length..].trim_start().chars().next();
        if let Some(mark) = mark.filter(|mark| marks.contains(mark)) {
            let gap = rest[length..].len() - rest[length..].trim_start().len();
            *slot = Some(number);
            position += skipped + length + gap + mark.len_utf8();
        }
    }
    let [year, month, day] = numbers;
    Some((with_year(year, month?, day?, today)?, position))
}

/// The dates of that form in a text, and where each begins; at most eight.
pub(crate) fn east_asian_dates(text: &str, today: CivilDate) -> Vec<(usize, FoundDate)> {
    const MOST: usize = 8;
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(digit) = text[at..].find(|c: char| c.is_ascii_digit()).filter(|_| found.len() < MOST) {
        let start = at + digit;
        at = match east_asian(&text[start..], today) {
            Some((date, length)) => {
                found.push((start, FoundDate { date, end: start + length }));
                start + length
            }
            None => start + text[start..].bytes().take_while(u8::is_ascii_digit).count(),
        };
    }
    found
}

/// The day in a folded Date header (RFC 5322 section 3.3), as its writer saw it: `mon, 9 feb 2009 12:23:43 -0800`.
pub(crate) fn date_of_header(value: &str) -> Option<CivilDate> {
    let mut words = value.split([' ', ',', '-']).filter(|word| !word.is_empty());
    let day =
        words.by_ref().find_map(|word| number_at(word).filter(|(day, length)| *length == word.len() && *day <= 31))?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|names| names.contains(&month))?;
    let (year, length) = number_at(words.next()?)?;
    let year = match length {
        4 => year,
        // RFC 5322 section 4.3.
        2 if year < 50 => 2000 + year,
        2 => 1900 + year,
        _ => return None,
    };
    civil(year, u32::try_from(month + 1).ok()?, day.0)
}

fn with_year(year: Option<u32>, month: u32, day: u32, today: CivilDate) -> Option<CivilDate> {
    if let Some(year) = year {
        return civil(year, month, day);
    }
    let this_year = u32::try_from(today.year()).ok()?;
    let date = civil(this_year, month, day)?;
    // An old absence is not one of next year: a day long past in the year that was meant stays past.
    if date >= today || today.days_since_1970() - date.days_since_1970() < 120 {
        Some(date)
    } else {
        civil(this_year + 1, month, day)
    }
}

fn civil(year: u32, month: u32, day: u32) -> Option<CivilDate> {
    CivilDate::new(i32::try_from(year).ok()?, u8::try_from(month).ok()?, u8::try_from(day).ok()?)
}

/// A number of one to four digits and its length.
fn number_at(text: &str) -> Option<(u32, usize)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    if length == 0 || length > 4 {
        return None;
    }
    text[..length].parse().ok().map(|number| (number, length))
}

fn word_at(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphabetic() && c != '-' && c != '\'').unwrap_or(text.len());
    &text[..end]
}

/// Walks over the words of a date.
struct Cursor<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    fn skip_spaces(&mut self) {
        let rest = self.rest();
        self.position += rest.len() - rest.trim_start_matches([' ', ',', '.']).len();
    }

    fn skip_word(&mut self, word: &str) {
        let start = self.position;
        self.skip_spaces();
        match word_at(self.rest()) == word {
            true => self.position += word.len(),
            false => self.position = start,
        }
    }

    /// `1`, `1.`, `1st`, `1er`, `1º`.
    fn day(&mut self) -> Option<u32> {
        let start = self.position;
        self.skip_spaces();
        let day = number_at(self.rest()).filter(|(day, length)| *length <= 2 && (1..=31).contains(day));
        let Some((day, length)) = day else {
            self.position = start;
            return None;
        };
        self.position += length;
        for suffix in ["st", "nd", "rd", "th", "er", "º", "°", "ª", "e"] {
            let after = self.rest().strip_prefix(suffix);
            if after.is_some_and(|after| !after.starts_with(char::is_alphabetic)) {
                self.position += suffix.len();
                break;
            }
        }
        Some(day)
    }

    fn month(&mut self) -> Option<u32> {
        let start = self.position;
        self.skip_spaces();
        if let Some(rest) = self.rest().strip_prefix('-') {
            self.position = self.text.len() - rest.len();
        }
        let word = word_at(self.rest()).trim_end_matches('-');
        match MONTHS.iter().position(|names| names.contains(&word)) {
            Some(month) => {
                self.position += word.len();
                u32::try_from(month + 1).ok()
            }
            None => {
                self.position = start;
                None
            }
        }
    }

    fn year(&mut self) -> Option<u32> {
        self.skip_spaces();
        if let Some(rest) = self.rest().strip_prefix(['-', '/']) {
            self.position = self.text.len() - rest.len();
        }
        let (year, length) = number_at(self.rest())?;
        let is_year = length == 4 && (2000..2100).contains(&year);
        is_year.then(|| {
            self.position += length;
            year
        })
    }
}

#[cfg(test)]
mod tests {
    use ampout_plugin::text::fold;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        // A Monday.
        let today = CivilDate::parse("2026-11-23").unwrap();
        let found = date_at(&fold(text), today).map(|found| found.date.to_string());
        assert_eq!(found.as_deref(), expected, "of {text:?}");
    }

    #[test]
    fn dates_are_read_in_the_commonest_forms() {
        for text in [
            "2026-12-01",
            "01.12.2026",
            "1.12.",
            "1.12.26",
            "1 December",
            "December 1st, 2026",
            "Dec 1",
            "Tuesday, 1 December",
            "den 1. Dezember",
            "le 1er décembre",
            "el 1 de diciembre de 2026",
            "il 1º dicembre",
            "1 de dezembro",
            "dinsdag 1 december",
            "1 grudnia",
            "1. joulukuuta",
            "1 декабря",
            "2026年12月1日",
            "12月1日",
            "12월 1일",
            "on the 1st of December",
            "1-Dec-2026",
        ] {
            check(text, Some("2026-12-01"));
        }
    }

    #[test]
    fn a_year_that_is_not_written_is_the_next_one_that_fits() {
        check("January 4", Some("2027-01-04"));
        check("13/01/2027", Some("2027-01-13"));
        check("1/13/2027", Some("2027-01-13"));
        check("Monday", Some("2026-11-30"));
        check("Tuesday", Some("2026-11-24"));
    }

    #[test]
    fn one_date_tells_how_the_others_are_written() {
        let settled = |text: &str| with_settled_slashes(text).into_owned();
        assert_eq!(settled("from 11/20/2026 until 12/07/2026."), "from 2026-11-20 until 2026-12-07.");
        assert_eq!(settled("du 25/11/26 au 3/12/26"), "du 2026-11-25 au 2026-12-03");
        for unsettled in ["until 12/07/2026", "11/20/2026 or 20/11/2026", "1/2 of 3/4", "24/7", "//", "1/2/3"] {
            assert_eq!(settled(unsettled), unsettled);
        }
    }

    #[test]
    fn what_may_be_read_two_ways_is_no_date() {
        for text in ["03/04/2027", "9.30", "1/2", "next week", "soon", "31.02.2027", "12345.1.1", "", "32 December"] {
            check(text, None);
        }
    }
}
