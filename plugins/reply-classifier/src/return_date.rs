//! The day on which an absent person is back. "Back on D" and "until D" name it; "through D" and "bis einschließlich D"
//! name the last day away. None rather than a guess.

use std::ops::ControlFlow;

use ampout_plugin::text::{clip, fold};
use ampout_plugin::time::CivilDate;

use crate::dates::{FoundDate, date_at, date_of_header, east_asian_dates, with_settled_slashes};
use crate::mail::Mail;
use crate::return_words::{
    BACK, BACK_SUFFIXES, BEFORE_DATES, INCLUSIVE, LAST_DAY, LAST_DAY_PREFIXES, LAST_DAY_SUFFIXES, UP_TO,
};

/// An absence that lasts longer than this many days is not believed.
const LONGEST_ABSENCE: i64 = 400;

/// Only the beginning of a text is searched.
const LONGEST_TEXT: usize = 4096;

/// A message's own date is believed when it is not later than its arrival by more days than this.
const MOST_DAYS_AHEAD: i64 = 2;

/// The day of the return, from the subject or from the writer's own folded words.
pub(crate) fn find(mail: &Mail<'_>, words: &str) -> Option<CivilDate> {
    let today = day_of_writing(mail)?;
    [mail.subject.as_str(), clip(words, LONGEST_TEXT)].iter().find_map(|text| in_text(text, today)).filter(|date| {
        let ahead = date.days_since_1970() - today.days_since_1970();
        (0..=LONGEST_ABSENCE).contains(&ahead)
    })
}

/// The day on which it was written, as its writer saw it: stored mail may be read years later.
fn day_of_writing(mail: &Mail<'_>) -> Option<CivilDate> {
    let arrived = mail.message.received_at.get(..10).and_then(CivilDate::parse);
    let written = mail.headers.date.and_then(|value| date_of_header(&fold(value)));
    match (written, arrived) {
        (Some(written), Some(arrived)) if written.days_since_1970() - arrived.days_since_1970() > MOST_DAYS_AHEAD => {
            Some(arrived)
        }
        (written, arrived) => written.or(arrived),
    }
}

fn in_text(text: &str, today: CivilDate) -> Option<CivilDate> {
    let one_line = text.replace('\n', " ");
    let one_line = with_settled_slashes(&one_line);
    let mut until = None;
    let mut back = None;
    let mut last_day = None;
    BEFORE_DATES.each_in(&one_line, |found| {
        let end = found.start + one_line[found.start..found.end].trim_end().len();
        let goes_on = one_line[end..].chars().next().is_some_and(char::is_alphabetic);
        if goes_on {
            return ControlFlow::Continue(());
        }
        let Some(FoundDate { date, end: length }) = date_at(&one_line[end..], today) else {
            return ControlFlow::Continue(());
        };
        let rest = &one_line[end + length..];
        match found.marks {
            BACK => {
                back = Some(date);
                return ControlFlow::Break(());
            }
            LAST_DAY => last_day = last_day.or(Some(date)),
            UP_TO if says_inclusive(rest) => last_day = last_day.or(Some(date)),
            UP_TO => until = until.or(Some(date)),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    back.or_else(|| last_day?.plus_days(1)).or(until).or_else(|| in_east_asian_text(&one_line, today))
}

fn says_inclusive(rest: &str) -> bool {
    let rest = rest.trim_start_matches([' ', '(', ',', '.']);
    INCLUSIVE.iter().any(|word| rest.starts_with(word))
}

/// Japanese and Korean say after a date what it is, and Chinese before or after.
fn in_east_asian_text(text: &str, today: CivilDate) -> Option<CivilDate> {
    let mut last_day = None;
    for (start, FoundDate { date, end }) in east_asian_dates(text, today) {
        // A weekday in brackets may stand between: 12月1日(火)より.
        let after = text[end..].trim_start();
        let after = match after.strip_prefix(['(', '（']).and_then(|rest| rest.split_once([')', '）'])) {
            Some((weekday, rest)) if weekday.chars().count() <= 3 => rest.trim_start(),
            _ => after,
        };
        if BACK_SUFFIXES.iter().any(|suffix| after.starts_with(suffix)) {
            return Some(date);
        }
        let before = text[..start].trim_end();
        let is_last = LAST_DAY_SUFFIXES.iter().any(|suffix| after.starts_with(suffix))
            || LAST_DAY_PREFIXES.iter().any(|prefix| before.ends_with(prefix));
        last_day = last_day.or(is_last.then_some(date));
    }
    last_day?.plus_days(1)
}

#[cfg(test)]
mod tests {
    use ampout_plugin::{Header, Message};

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let message = Message { received_at: "2026-11-23T08:00:00.000Z".to_owned(), ..Message::default() };
        assert_eq!(
            find(&Mail::new(&message), &fold(text)).map(|date| date.to_string()).as_deref(),
            expected,
            "of {text:?}"
        );
    }

    #[test]
    fn back_on_names_the_day() {
        check("I am away and will be back on Tuesday, December 1st.", Some("2026-12-01"));
        check("I am out of the office until 1 December 2026.", Some("2026-12-01"));
        check("I will be out starting 11/20/2026 and will not return until 12/01/2026.", Some("2026-12-01"));
        check("Vrátím se 1. prosince.", Some("2026-12-01"));
        check("1 Aralık 2026 tarihinde döneceğim.", None);
        check("Ich bin bis zum 30.11. nicht im Büro und ab dem 01.12.2026 wieder erreichbar.", Some("2026-12-01"));
        check("Je serai de retour le 1er décembre.", Some("2026-12-01"));
        check("Estaré de vuelta el 1 de diciembre.", Some("2026-12-01"));
        check("Sarò di ritorno il 1 dicembre 2026.", Some("2026-12-01"));
        check("Estarei de volta em 1 de dezembro.", Some("2026-12-01"));
        check("Ik ben weer terug op dinsdag 1 december.", Some("2026-12-01"));
        check("Jag är tillbaka den 1 december.", Some("2026-12-01"));
        check("Wracam 1 grudnia.", Some("2026-12-01"));
        check("Вернусь 1 декабря.", Some("2026-12-01"));
        check("Palaan 1. joulukuuta.", Some("2026-12-01"));
    }

    #[test]
    fn through_names_the_last_day_away() {
        check("I am out through 30 November.", Some("2026-12-01"));
        check("Ich bin bis einschließlich 30.11.2026 im Urlaub.", Some("2026-12-01"));
        check("Je suis absent jusqu'au 30 novembre inclus.", Some("2026-12-01"));
        check("Je suis absent jusqu'au 1 décembre.", Some("2026-12-01"));
        check("Sono assente fino al 30 novembre compreso.", Some("2026-12-01"));
        check("Ik ben afwezig tot en met 30 november.", Some("2026-12-01"));
        check("Away until 31 December 2026 inclusive.", Some("2027-01-01"));
    }

    #[test]
    fn no_day_is_better_than_a_guess() {
        for text in [
            "I am away.",
            "Back next week.",
            "Back in two weeks.",
            "Until 03/04/2027.",
            "I was back on 1 October 2026.",
            "We have been here since 2001-01-01.",
            "Back on 1 December 2036.",
            "Back on Monday, 1 December 2026.",
            "",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn the_far_east_says_after_a_date_what_it_is() {
        check("12月1日より出社いたします。", Some("2026-12-01"));
        check("11月30日(月)まで不在です。", Some("2026-12-01"));
        check("我将于12月1日返回办公室。", Some("2026-12-01"));
        check("本人休假至11月30日。", Some("2026-12-01"));
        check("11월 30일까지 부재중입니다.", Some("2026-12-01"));
        check("12월 1일부터 출근합니다.", Some("2026-12-01"));
        check("11月30日の会議", None);
    }

    #[test]
    fn a_day_is_read_from_the_day_of_writing() {
        let dated = |date: &str| Message {
            headers: vec![Header { name: "Date".to_owned(), value: date.to_owned() }],
            received_at: "2026-11-23T08:00:00.000Z".to_owned(),
            ..Message::default()
        };
        let found = |date: &str| find(&Mail::new(&dated(date)), "back on 5 january").map(|date| date.to_string());
        assert_eq!(found("Mon, 22 Dec 2014 09:30:00 +0100").as_deref(), Some("2015-01-05"));
        assert_eq!(found("22 Dec 14 09:30:00 +0100").as_deref(), Some("2015-01-05"));
        // A clock that runs ahead, and one that can't be read.
        assert_eq!(found("Mon, 22 Dec 2036 09:30:00 +0100").as_deref(), Some("2027-01-05"));
        assert_eq!(found("soon").as_deref(), Some("2027-01-05"));
    }
}
