//! Whether a person's own words ask to be let go, and for nothing else.

use ampout_plugin::address::{first_address, same_address};

use crate::mail::Mail;
use crate::opt_out_sentence::{Marked, asks, is_courtesy};
use crate::opt_out_words::{DISCLAIMS, LEGAL, REMOVES, WHOLES, may_ask};
use crate::sentences::Sentences;

/// Whoever writes more asks for more, mostly.
const MOST_WORDS: usize = 40;

/// Of a longer letter the first sentences decide, or the law that it names.
const MOST_WORDS_OF_A_LETTER: usize = 250;
const FIRST_SENTENCES: usize = 3;

/// A paragraph of fewer words below the request may be an afterthought without a full stop; a longer one is a signature.
const WORDS_OF_AN_AFTERTHOUGHT: usize = 6;

/// Whether the writer of a message asks to be let go.
pub(crate) fn is_asked(mail: &Mail<'_>) -> bool {
    let words = mail.reply_words();
    // Nearly all replies have none of the words. Those go on over the ends of lines.
    if !may_ask(&words.above_signature().replace('\n', " ")) {
        return false;
    }
    let sentences = Sentences::of(words);
    let marked: Vec<_> = sentences.iter().map(|(sentence, text)| Marked::of(sentence, text)).collect();
    let asking: Vec<_> = (0..marked.len()).map(|number| asks(&marked, number)).collect();
    let Some(first) = asking.iter().position(|asks| *asks) else { return false };
    let last = asking.iter().rposition(|asks| *asks).unwrap_or(first);
    let mut letter = Letter::default();
    let mut number = 0;
    for paragraph in marked.chunk_by(|one, next| one.sentence.paragraph == next.sentence.paragraph) {
        let is_read = number <= last || !is_signature(paragraph);
        for it in paragraph {
            let is_own = is_read && !it.has(DISCLAIMS);
            if is_own && (it.reserves() || (names_another(it, mail) && !(asking[number] && it.has(REMOVES | WHOLES)))) {
                return false;
            }
            if is_own {
                letter.words += it.words();
                letter.is_legal |= it.has(LEGAL);
            }
            number += 1;
        }
    }
    let begins_so = || marked[..first].iter().filter(|it| !is_courtesy(it.text)).count() < FIRST_SENTENCES;
    letter.words <= MOST_WORDS || (letter.words <= MOST_WORDS_OF_A_LETTER && (letter.is_legal || begins_so()))
}

/// What the writer wrote, the signature left out.
#[derive(Default)]
struct Letter {
    words: usize,
    is_legal: bool,
}

/// Whether a paragraph below the request is none of the writer's sentences: who he is, and what his lawyers say.
fn is_signature(paragraph: &[Marked<'_>]) -> bool {
    let is_lawyers = paragraph.iter().any(|it| it.has(DISCLAIMS));
    let is_prose = paragraph.last().is_some_and(|last| last.sentence.is_ended);
    let length = || paragraph.iter().map(Marked::words).sum::<usize>();
    is_lawyers || !(is_prose || length() <= WORDS_OF_AN_AFTERTHOUGHT)
}

/// Whether a sentence names an address that is not the writer's.
fn names_another(it: &Marked<'_>, mail: &Mail<'_>) -> bool {
    if !it.text.contains('@') {
        return false;
    }
    let contact = mail.message.enrollment.as_ref().map(|enrollment| enrollment.contact_email.as_str());
    let own = [mail.message.sender.as_deref(), contact];
    first_address(it.text).is_some_and(|found| !own.into_iter().flatten().any(|own| same_address(own, &found)))
}
