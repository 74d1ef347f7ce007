//! Requests in languages whose grammar is not known here: a phrase asks where its sentence has no word besides it but those
//! that say whom to remove, from what, and please. A line of an offer, a day or a file is none of them.

use crate::opt_out_words::closed_words::{FROM, LIST, MAIL, NEGATES, PIECES, WHO, WORDS};
use crate::opt_out_words::{CLOSED_REFUSES, CLOSED_REMOVES, CLOSED_STOPS, COURTESIES, GREETINGS, TAILS};

/// From here on, words have no spaces between them, or their endings have none.
const FIRST_WITHOUT_SPACES: char = '\u{2e80}';

/// Nobody takes more bytes to ask for so little, and each word is looked for among all.
const LONGEST_REQUEST: usize = 300;

/// What stands before a comma behind a greeting may be a name.
const MOST_NAMES: usize = 2;

/// Whether a sentence with a phrase of these marks at a place asks for nothing else.
pub(crate) fn asks(marks: u32, text: &str, start: usize, end: usize) -> bool {
    let phrase = &text[start..end];
    let is_without_spaces = |c: char| c >= FIRST_WITHOUT_SPACES;
    let goes_on = text[end..].starts_with(|c: char| c.is_alphanumeric() && !is_without_spaces(c));
    if goes_on && !phrase.ends_with(is_without_spaces) {
        return false;
    }
    let (Some(before), Some(after)) = (known(without_greeting(&text[..start])), known(&text[end..])) else {
        return false;
    };
    let said = before | after;
    // Korean says of the verb in front that it is not to be done.
    if said & NEGATES != 0 && !phrase.ends_with('지') {
        return false;
    }
    let has = |flag: u8| said & flag != 0;
    match marks {
        _ if marks & CLOSED_STOPS != 0 => true,
        _ if marks & CLOSED_REFUSES != 0 => has(MAIL),
        _ if marks & CLOSED_REMOVES != 0 => (has(LIST) && (has(WHO) || has(FROM))) || (has(WHO) && !has(MAIL)),
        _ => false,
    }
}

/// Whether what follows a request are words of mail and of lists.
pub(crate) fn is_known(text: &str) -> bool {
    known(text).is_some()
}

/// What the words of a text say together, if all of them are known.
fn known(text: &str) -> Option<u8> {
    if text.len() > LONGEST_REQUEST {
        return None;
    }
    let words = text.split([' ', '\n']).filter(|word| !word.contains('@'));
    let mut said = 0;
    for word in words.flat_map(|word| word.split(|c: char| !c.is_alphanumeric())).filter(|word| !word.is_empty()) {
        said |= if word.starts_with(|c| c >= FIRST_WITHOUT_SPACES) { pieces(word)? } else { of_a_word(word)? };
    }
    Some(said)
}

fn of_a_word(word: &str) -> Option<u8> {
    let is_it = |list: &str| list.split(' ').any(|one| one == word);
    let said =
        WORDS.iter().filter(|(_, list)| is_it(list)).fold(None, |said, (flags, _)| Some(said.unwrap_or(0) | flags));
    said.or_else(|| (COURTESIES.contains(&word) || TAILS.contains(&word)).then_some(0))
}

/// The same where nothing separates words: the longest that fits is taken.
fn pieces(mut word: &str) -> Option<u8> {
    let mut said = 0;
    while !word.is_empty() {
        let fitting = PIECES.iter().flat_map(|(flags, list)| list.split(' ').map(move |one| (one, *flags)));
        let (longest, flags) = fitting.filter(|(one, _)| word.starts_with(one)).max_by_key(|(one, _)| one.len())?;
        said |= flags;
        word = &word[longest.len()..];
    }
    Some(said)
}

/// What follows the greeting with which a sentence begins: `Ahoj Nino, …`.
fn without_greeting(text: &str) -> &str {
    let Some((greeting, rest)) = text.split_once(',') else { return text };
    let mut words = greeting.split_ascii_whitespace();
    let is_greeting = words.next().is_some_and(|word| GREETINGS.contains(&word));
    if is_greeting && words.count() <= MOST_NAMES { rest } else { text }
}

#[cfg(test)]
mod tests {
    use ampout_plugin::text::fold;

    use super::*;

    #[test]
    fn the_words_are_folded_as_texts_are() {
        let lists = WORDS.iter().chain(PIECES).flat_map(|(_, list)| list.split(' '));
        let strange: Vec<_> = lists.filter(|word| word.is_empty() || fold(word) != *word).collect();
        assert!(strange.is_empty(), "{strange:?}");
    }

    #[test]
    fn any_other_word_makes_it_another_request() {
        let check = |text: &str, phrase: &str, marks: u32, expected: bool| {
            let (text, phrase) = (fold(text), fold(phrase));
            let start = text.find(&phrase).expect("the phrase is in the text");
            assert_eq!(asks(marks, &text, start, start + phrase.len()), expected, "of {text:?}");
        };
        check("Prosím odstraňte mě ze seznamu", "odstraňte", CLOSED_REMOVES, true);
        check("Prosím odstraňte druhý řádek ze seznamu", "odstraňte", CLOSED_REMOVES, false);
        check("Odstraňte", "odstraňte", CLOSED_REMOVES, false);
        check("Не беспокойте меня", "не беспокойте", CLOSED_STOPS, true);
        check("Не беспокойтесь", "не беспокойте", CLOSED_STOPS, false);
        check("配信停止をお願いします", "配信停止", CLOSED_STOPS, true);
        check("配信停止率が高い", "配信停止", CLOSED_STOPS, false);
        check("수신거부 하지 마세요", "수신거부", CLOSED_STOPS, false);
    }
}
