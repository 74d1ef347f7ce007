//! Whether a sentence asks to be let go. A question about unsubscribing, a wish for calls instead of mail or what somebody
//! tells of a spam filter have the same words, so that what stands before and behind them counts.

use std::ops::ControlFlow;

use ampout_plugin::phrases::Found;

use crate::opt_out_words::{
    ASKING, ASKS, COURTESIES, DESCRIBES, FINALS, GREETINGS, IN_REQUESTS, LEGAL, LISTS, LONES, MAILS, NARROWS,
    OF_THE_WRITER, OFFERS, POLITE, RECEIVES, REMOVES, RESERVES, SHOUTS, STOPS, TAILS, WANTS, WHOLES,
};
use crate::sentences::Sentence;

/// What stands further before a phrase says nothing of it.
const LONGEST_CLAUSE: usize = 300;

/// So many bytes before a request a negation belongs to it: `please do not remove us`.
const REACH_OF_A_NEGATION: usize = 20;

/// A name below a request has no more words, and neither has a curt "This is spam" above it.
const WORDS_OF_A_NAME: usize = 4;
const WORDS_OF_A_NO: usize = 6;

/// Folded, as a negation stands before a request in different languages.
const NEGATIONS: &[&str] = &[
    "not ",
    "n't ",
    "dont ",
    "never ",
    "no need to ",
    "without ",
    "nicht ",
    "pas ",
    "niet ",
    "ikke ",
    "inte ",
    "nie ",
    "ne ",
    "no me ",
    "no nos ",
    "no quiero ",
    "non ",
    "nao ",
    "не ",
    "不要",
    "别",
    "勿",
];

/// The same where it stands behind: `löschen Sie mich nicht aus …`.
const NEGATIONS_BEHIND: &[&str] = &[" nicht ", " niet ", " pas ", " ikke ", " inte "];

/// The same in languages that put it at the end of the verb.
const NEGATED_VERBS: &[&str] = &["しないで", "하지 마", "하지 말"];

/// Words that join requests: what stands before belongs to another.
const JOINTS: &[&str] = &[" and ", " und ", " et ", " y ", " e ", " en ", " och ", " og ", " i "];

/// A sentence and the phrases in it.
pub(crate) struct Marked<'a> {
    pub(crate) sentence: &'a Sentence,
    pub(crate) text: &'a str,
    found: Vec<Found>,
    marks: u32,
}

impl<'a> Marked<'a> {
    /// Longer sentences than any person's have no more phrases.
    const MOST_PHRASES: usize = 100;

    pub(crate) fn of(sentence: &'a Sentence, text: &'a str) -> Self {
        let mut it = Self { sentence, text, found: Vec::new(), marks: 0 };
        IN_REQUESTS.each_in(text, |found| {
            it.found.push(found);
            it.marks |= found.marks;
            if it.found.len() < Self::MOST_PHRASES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        it
    }

    pub(crate) fn has(&self, marks: u32) -> bool {
        self.marks & marks != 0
    }

    /// Whether it wants more than that no mail comes: a call, a price, another list.
    pub(crate) fn reserves(&self) -> bool {
        self.found.iter().filter(|it| it.marks & RESERVES != 0).any(|it| {
            // "Send me a confirmation" belongs to the request.
            let confirms = ["confirm", "written", "copy of", "proof"];
            let is_receipt = confirms.iter().any(|word| self.text[it.end..].trim_start().starts_with(word));
            // "No me interesa" denies as well.
            let is_refused = ["no ", "non ", "nao "].iter().any(|word| self.near(it).contains(word));
            !is_receipt && !is_refused && !self.is_denied(it)
        })
    }

    pub(crate) fn words(&self) -> usize {
        self.text.split_ascii_whitespace().count()
    }

    /// Where the clause begins in which a phrase stands, or where it is too far away to matter.
    fn clause_of(&self, phrase: &Found) -> usize {
        let near = self.text.ceil_char_boundary(phrase.start.saturating_sub(LONGEST_CLAUSE));
        self.text[near..phrase.start]
            .rfind([',', ';', ':', '(', '"', '、', '，', '،'])
            .map_or(near, |at| self.text.ceil_char_boundary(near + at + 1))
    }

    /// The end of what stands before a phrase in its clause.
    fn near(&self, phrase: &Found) -> &'a str {
        let clause = &self.text[self.clause_of(phrase)..phrase.start];
        &clause[clause.floor_char_boundary(clause.len().saturating_sub(REACH_OF_A_NEGATION))..]
    }

    fn is_denied(&self, phrase: &Found) -> bool {
        // "If you don't stop …" asks.
        let threatens = self.text[self.clause_of(phrase)..].trim_start().starts_with("if you do");
        let is_negated = NEGATIONS.iter().any(|negation| self.near(phrase).contains(negation));
        let is_negated_verb = || NEGATED_VERBS.iter().any(|ending| self.text[phrase.end..].starts_with(ending));
        (is_negated && !threatens) || is_negated_verb()
    }

    fn is_denied_behind(&self, phrase: &Found) -> bool {
        let rest = &self.text[phrase.end..];
        let near = &rest[..rest.floor_char_boundary(REACH_OF_A_NEGATION)];
        NEGATIONS_BEHIND.iter().any(|negation| near.contains(negation))
    }

    /// Whether something follows a phrase, or stands before it, that makes it no request.
    fn is_qualified(&self, phrase: &Found) -> bool {
        let clause = self.clause_of(phrase);
        // "How do I get off this list" asks, "how do I" alone does not.
        let asks = |told: &Found| self.found.iter().any(|it| it.marks & POLITE != 0 && it.start == told.start);
        self.found.iter().any(|other| {
            (other.marks & NARROWS != 0 && other.start >= phrase.end)
                || (other.marks & DESCRIBES != 0 && (clause..phrase.start).contains(&other.start) && !asks(other))
        })
    }

    fn before(&self, phrase: &Found) -> &'a str {
        &self.text[..phrase.start]
    }

    /// What follows a phrase, or the word that it begins.
    fn after(&self, phrase: &Found) -> &'a str {
        let rest = &self.text[phrase.end..];
        let is_in_word = self.text[..phrase.end].ends_with(char::is_alphabetic);
        if is_in_word { rest.trim_start_matches(char::is_alphabetic) } else { rest }
    }
}

/// Whether the sentence of a number asks to be let go.
pub(crate) fn asks(marked: &[Marked<'_>], number: usize) -> bool {
    let it = &marked[number];
    if !it.has(ASKING) || it.has(OFFERS) {
        return false;
    }
    it.found.iter().any(|phrase| {
        let is_polite = || it.found.iter().any(|other| other.marks & POLITE != 0 && other.start < phrase.end);
        let quotes_us = it.before(phrase).trim_end().ends_with('\'') || it.before(phrase).matches('"').count() % 2 == 1;
        phrase.marks & ASKING != 0
            && (!it.sentence.is_question || is_polite())
            && !quotes_us
            && !it.is_qualified(phrase)
            && is_request(marked, number, phrase)
    })
}

/// Whether a phrase, where it stands, is a request.
fn is_request(marked: &[Marked<'_>], number: usize, phrase: &Found) -> bool {
    let it = &marked[number];
    let is = |marks: u32| phrase.marks & marks != 0;
    let (before, after) = (it.before(phrase), it.after(phrase));
    let clause = &it.text[it.clause_of(phrase)..phrase.start];
    let clause = JOINTS.iter().fold(clause, |clause, joint| clause.rsplit(joint).next().unwrap_or(clause));
    if is(WANTS) {
        let is_whole = is(RECEIVES) && ends_there(after);
        return is_whole || (it.has(RECEIVES) && it.has(MAILS));
    }
    if is(SHOUTS) {
        return is_courtesy(clause) && ends_there(after);
    }
    if it.is_denied(phrase) {
        return false;
    }
    let stands_alone = || is_courtesy(before) && is_courtesy(after);
    if is(WHOLES) && stands_alone() {
        return true;
    }
    if is(LONES) && stands_alone() {
        // A line that the next one goes on is none of its own.
        let is_line = it.sentence.is_line
            && marked
                .get(number + 1)
                .is_none_or(|next| next.sentence.paragraph > it.sentence.paragraph || next.words() <= WORDS_OF_A_NAME);
        let is_all_but =
            || number + 1 == marked.len() && marked.iter().map(Marked::words).sum::<usize>() <= WORDS_OF_A_NO;
        return is_line || is_all_but();
    }
    if is(REMOVES) && !it.is_denied_behind(phrase) {
        let is_whole = || is_all(after) || (it.has(LEGAL) && begins_with_data(after));
        return it.has(LISTS) || (is_courtesy(clause) && names_the_writer(it, phrase) && is_whole());
    }
    is(ASKS) || (is(STOPS) && ends_there(after))
}

/// Whether a request to remove ends with whom: `remove me`, `delete my data`; `remove my` alone may go on in any way.
fn names_the_writer(it: &Marked<'_>, phrase: &Found) -> bool {
    let words = &it.text[phrase.start..phrase.end];
    const WHOM: &[&str] = &[" me", " us", " off", " mich", " uns", " mij", " ons", " mig", " meg"];
    const WHOSE: &[&str] =
        &[" my", " meine", " unsere", " mijn", " our", " min", " mi", " mon", " notre", " il mio", " meu"];
    // Some languages write whom into the verb.
    WHOM.iter().chain(WHOSE).any(|end| words.ends_with(end)) || !words.contains(' ') || words.contains("-m")
}

/// Whether what follows such a request is what of the writer is to be removed, or nothing.
fn is_all(after: &str) -> bool {
    let words = after.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let mut is_named = false;
    for word in words {
        if !OF_THE_WRITER.contains(&word) && !COURTESIES.contains(&word) && word != "and" {
            return false;
        }
        is_named |= OF_THE_WRITER.contains(&word);
    }
    // `delete my mails` is said of a filter, too.
    is_named || !["mail", "email"].iter().any(|word| after.contains(word))
}

fn begins_with_data(after: &str) -> bool {
    let first = after.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty());
    first.is_some_and(|word| OF_THE_WRITER.contains(&word))
}

/// Whether nothing follows that narrows a request: words of courtesy, or a new clause.
fn ends_there(after: &str) -> bool {
    let mut rest = after;
    loop {
        let gap = rest.find(char::is_alphanumeric).unwrap_or(rest.len());
        if gap == rest.len() || rest[..gap].contains([',', ';', ':', '(', '"']) || rest[..gap].contains(" - ") {
            return true;
        }
        rest = &rest[gap..];
        let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        let word = &rest[..end];
        if FINALS.contains(&word) {
            return true;
        }
        if !TAILS.contains(&word) && !COURTESIES.contains(&word) {
            return false;
        }
        rest = &rest[end..];
    }
}

/// Whether there is nothing but courtesies, and names behind a greeting.
pub(crate) fn is_courtesy(text: &str) -> bool {
    /// A given name and a family name.
    const LONGEST_NAME: usize = 2;
    let (mut names, mut is_greeted) = (0, false);
    // An address stands for its owner.
    let words = text.split([' ', '\n']).filter(|word| !word.contains('@'));
    words.flat_map(|word| word.split(|c: char| !c.is_alphanumeric())).filter(|word| !word.is_empty()).all(|word| {
        is_greeted |= GREETINGS.contains(&word);
        let is_known = COURTESIES.contains(&word);
        names += usize::from(!is_known);
        is_known || (is_greeted && names <= LONGEST_NAME)
    })
}
