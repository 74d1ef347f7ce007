//! The day on which an absent person is back. "Back on D" and "until D" name it; "through D" and "bis einschließlich D"
//! name the last day away. None rather than a guess.

use ampout_plugin::Message;
use ampout_plugin::text::fold;
use ampout_plugin::time::CivilDate;

use crate::dates::date_at;

/// An absence that lasts longer than this many days is not believed.
const LONGEST_ABSENCE: i64 = 400;

/// Only the beginning of a text is searched.
const LONGEST_TEXT: usize = 4096;

/// A date after these is the day of the return.
const BACK_ON: &[&str] = &[
    "back in the office on",
    "back in the office",
    "back in office",
    "back at work",
    "back on",
    "back at my desk",
    "be back",
    "am back",
    "return to the office",
    "return to work",
    "returning to the office",
    "returning on",
    "returning",
    "will return",
    "i return",
    "return on",
    "return date is",
    "return date:",
    "available again",
    "available from",
    "reachable again",
    "reachable from",
    "wieder im buro",
    "wieder erreichbar",
    "wieder da",
    "wieder fur sie da",
    "wieder zuruck",
    "zuruck am",
    "zuruck ab",
    "wieder ab",
    "wieder am",
    "ab dem",
    "erreichen sie mich wieder",
    "bin ich ab",
    "bin am",
    "de retour au bureau",
    "de retour",
    "retour le",
    "serai de retour",
    "reviens le",
    "de vuelta el",
    "de vuelta",
    "de regreso el",
    "de regreso",
    "regreso el",
    "regresare el",
    "vuelvo el",
    "volvere el",
    "estare de vuelta",
    "di ritorno il",
    "di ritorno",
    "rientro il",
    "rientrero il",
    "rientro previsto il",
    "tornero il",
    "saro di nuovo",
    "disponibile dal",
    "de volta em",
    "de volta a",
    "de volta no dia",
    "de volta",
    "retorno em",
    "retorno no dia",
    "retornarei em",
    "regresso a",
    "voltarei",
    "weer terug op",
    "weer terug",
    "terug op",
    "weer bereikbaar",
    "weer aanwezig",
    "terug vanaf",
    "ben ik er weer",
    "tillbaka den",
    "tillbaka pa",
    "tillbaka",
    "ater den",
    "ater pa plats",
    "tilbage den",
    "tilbage pa",
    "tilbage",
    "tilbake den",
    "tilbake pa",
    "tilbake",
    "wracam",
    "wroce",
    "powrot",
    "bede dostepny od",
    "bede dostepna od",
    "palaan",
    "takaisin",
    "tavoitettavissa",
    "вернусь",
    "буду на месте",
    "выиду на работу",
    "буду доступен с",
];

/// A date after these is the last day away.
const LAST_DAY_AWAY: &[&str] = &[
    "up to and including",
    "until and including",
    "through to",
    "through",
    "thru",
    "bis einschliesslich",
    "bis inklusive",
    "bis inkl.",
    "bis inkl",
    "bis und mit",
    "bis zum einschliesslich",
    "tot en met",
    "t/m",
    "till och med",
    "t.o.m.",
    "til og med",
    "t.o.m",
    "jusqu'au",
    "po",
];

/// A date after these is the day of the return, unless the word for "inclusive" follows it.
const UNTIL: &[&str] = &[
    "until the",
    "until",
    "till",
    "bis zum",
    "bis",
    "hasta el",
    "fino al",
    "fino a",
    "ate ao dia",
    "ate o dia",
    "ate dia",
    "ate",
    "tot",
    "tills",
    "indtil",
    "frem til",
    "do dnia",
    "do",
    "asti",
    "до",
];

const INCLUSIVE: &[&str] = &[
    "inclusive",
    "included",
    "einschliesslich",
    "inklusive",
    "inkl",
    "inclus",
    "inclusivo",
    "incluido",
    "compreso",
    "incluso",
    "wlacznie",
    "включительно",
    "asti",
];

/// The day of the return, from the subject or from the writer's own folded words.
pub(crate) fn find(message: &Message, words: &str) -> Option<CivilDate> {
    let today = CivilDate::parse(message.received_at.get(..10)?)?;
    let subject = fold(&message.subject);
    [subject.as_str(), clip(words)].iter().find_map(|text| in_text(text, today)).filter(|date| {
        let ahead = date.days_since_1970() - today.days_since_1970();
        (0..=LONGEST_ABSENCE).contains(&ahead)
    })
}

fn in_text(text: &str, today: CivilDate) -> Option<CivilDate> {
    let one_line = text.replace('\n', " ");
    first_after(&one_line, BACK_ON, today)
        .map(|(date, _)| date)
        .or_else(|| last_day(&one_line, today)?.plus_days(1))
        .or_else(|| first_after(&one_line, UNTIL, today).map(|(date, _)| date))
}

/// The last day away, said by the phrase before the date or by the word after it.
fn last_day(text: &str, today: CivilDate) -> Option<CivilDate> {
    if let Some((date, rest)) = first_after(text, LAST_DAY_AWAY, today) {
        // French says "jusqu'au" for both; without "inclus" it is the day of the return.
        let is_french = text[..text.len() - rest.len()].contains("jusqu'au");
        return if is_french && !says_inclusive(rest) { date.plus_days(-1) } else { Some(date) };
    }
    let (date, rest) = first_after(text, UNTIL, today)?;
    says_inclusive(rest).then_some(date)
}

fn says_inclusive(rest: &str) -> bool {
    let rest = rest.trim_start_matches([' ', '(', ',', '.']);
    INCLUSIVE.iter().any(|word| rest.starts_with(word))
}

/// The date after the first of the phrases that has one, and the text after that date.
fn first_after<'a>(text: &'a str, phrases: &[&str], today: CivilDate) -> Option<(CivilDate, &'a str)> {
    let mut best: Option<(usize, CivilDate, &'a str)> = None;
    for phrase in phrases {
        for (start, _) in text.match_indices(phrase) {
            let end = start + phrase.len();
            if best.as_ref().is_some_and(|(earliest, ..)| *earliest <= start) {
                break;
            }
            if is_inside_a_word(text, start, end) {
                continue;
            }
            if let Some(found) = date_at(&text[end..], today) {
                best = Some((start, found.date, &text[end + found.end..]));
                break;
            }
        }
    }
    best.map(|(_, date, rest)| (date, rest))
}

fn is_inside_a_word(text: &str, start: usize, end: usize) -> bool {
    let before = text[..start].chars().next_back().is_some_and(char::is_alphanumeric);
    let after = text[end..].chars().next().is_some_and(char::is_alphabetic);
    before || after
}

fn clip(text: &str) -> &str {
    let mut end = text.len().min(LONGEST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let message = Message { received_at: "2026-11-23T08:00:00.000Z".to_owned(), ..Message::default() };
        assert_eq!(find(&message, &fold(text)).map(|date| date.to_string()).as_deref(), expected, "of {text:?}");
    }

    #[test]
    fn back_on_names_the_day() {
        check("I am away and will be back on Tuesday, December 1st.", Some("2026-12-01"));
        check("I am out of the office until 1 December 2026.", Some("2026-12-01"));
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
            "",
        ] {
            check(text, None);
        }
    }
}
