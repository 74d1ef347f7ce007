//! Whether a sentence asks to be let go. A question about unsubscribing, a wish for calls instead of mail or what somebody
//! tells of a spam filter have the same words, so that what stands before and behind them counts.

use std::ops::ControlFlow;

use ampout_plugin::phrases::Found;

use crate::opt_out_closed;
use crate::opt_out_words::beside::{
    ARTICLES, DECLINES, JOINTS, LIMITS, NEGATED_VERBS, NEGATIONS, NEGATIONS_BEHIND, OBJECTED, OBJECTIONS, OFF_WHOM,
    WRITERS,
};
use crate::opt_out_words::{
    ASKING, ASKS, CLOSED, CLOSED_REMOVES, COURTESIES, DESCRIBES, FINALS, GREETINGS, IN_REQUESTS, LEGAL, LISTS, LONES,
    MAILS, NARROWS, OBJECTLESS, OF_THE_WRITER, OFFERS, PASSIVES, POLITE, RECEIVES, REMOVES, RESERVES, SHOUTS, STOPS,
    TAILED, TAILS, WANTS, WHOLES,
};
use crate::sentences::Sentence;

/// What stands further before a phrase says nothing of it.
const LONGEST_CLAUSE: usize = 300;

/// So many bytes before a request a negation belongs to it: `please do not remove us`.
const REACH_OF_A_NEGATION: usize = 20;

/// A name below a request has no more words, and neither has a curt "This is spam" above it.
const WORDS_OF_A_NAME: usize = 4;
const WORDS_OF_A_NO: usize = 6;

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

    /// Whether a list is named; English names it behind the verb.
    fn names_a_list(&self, phrase: &Found) -> bool {
        let is_behind = ["remove ", "delete "].iter().any(|verb| self.text[phrase.start..].starts_with(verb));
        self.found.iter().any(|list| list.marks & LISTS != 0 && (!is_behind || list.start >= phrase.end))
    }

    /// Whether mail is what it speaks of, rather than the way: "no bills by mail".
    fn names_mail(&self) -> bool {
        const BY: &[&str] = &[" by ", " via ", " per ", " por ", " par ", " per e-", " pa "];
        let is_way = |found: &Found| BY.iter().any(|by| self.text[..found.start].ends_with(by));
        self.found.iter().any(|found| found.marks & MAILS != 0 && !is_way(found))
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
            .max(near + end_of_last(&self.text[near..phrase.start], &[" - ", " – ", " — "]))
    }

    /// The end of what stands before a phrase in its clause.
    fn near(&self, phrase: &Found) -> &'a str {
        let clause = &self.text[self.clause_of(phrase)..phrase.start];
        let clause = &clause[end_of_last(clause, DECLINES)..];
        &clause[clause.floor_char_boundary(clause.len().saturating_sub(REACH_OF_A_NEGATION))..]
    }

    fn is_denied(&self, phrase: &Found) -> bool {
        // "If you don't stop …" asks.
        let threatens = self.text[self.clause_of(phrase)..].trim_start().starts_with("if you do");
        let near = self.near(phrase);
        let is_negated = NEGATIONS.iter().any(|negation| has_word(near, negation));
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
            let narrows = other.marks & NARROWS != 0;
            let limits = || LIMITS.iter().any(|limit| self.text[other.start..].starts_with(limit));
            (narrows && other.start >= phrase.start && other.end > phrase.end)
                || (narrows && (clause..phrase.start).contains(&other.start) && limits())
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
        return is_whole || (it.has(RECEIVES) && it.names_mail());
    }
    if is(SHOUTS) {
        return is_courtesy(clause) && ends_there(after);
    }
    if it.is_denied(phrase) {
        return false;
    }
    if is(CLOSED) {
        let is_denied = is(CLOSED_REMOVES) && it.is_denied_behind(phrase);
        let is_broken = goes_on_a_line(marked, number);
        return !is_denied && !is_broken && opt_out_closed::asks(phrase.marks, it.text, phrase.start, phrase.end);
    }
    let stands_alone = || is_courtesy(&before[end_of_last(before, DECLINES)..]) && is_courtesy(after);
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
        let names_a_list = if names_whose(it, phrase) { list_follows(it, phrase) } else { it.names_a_list(phrase) };
        return names_a_list || (is_courtesy(clause) && names_the_writer(it, phrase) && is_whole());
    }
    if is(OBJECTLESS | PASSIVES) {
        let is_written = || before.split(|c: char| !c.is_alphanumeric()).any(|word| WRITERS.contains(&word));
        // "I'd like to be removed" says it all, "please remove" does not.
        let is_wish = || it.text[phrase.start..phrase.end].contains(" to be ") && is_courtesy(after);
        return (list_follows(it, phrase) && (is(OBJECTLESS) || is_written())) || (is(PASSIVES) && is_wish());
    }
    let is_legal =
        || it.found.iter().any(|law| law.marks & LEGAL != 0 && !(phrase.start..phrase.end).contains(&law.start));
    let is_data = || is(TAILED) && OBJECTED.iter().any(|data| it.text[phrase.start..phrase.end].contains(data));
    if is_data() && is_legal() {
        return true;
    }
    let is_tailed = || ends_there(after) || opt_out_closed::is_known(clause_at(after)) || list_follows(it, phrase);
    (is(ASKS) && is_meant(it, phrase)) || (is(STOPS) && ends_there(after)) || (is(TAILED) && is_tailed())
}

/// Whether a negation stands in a text, and not the end of another word.
fn has_word(text: &str, negation: &str) -> bool {
    let is_ending = negation.starts_with("n't") || negation.chars().all(|c| c >= '\u{2e80}');
    text.match_indices(negation).any(|(at, _)| is_ending || !text[..at].ends_with(char::is_alphabetic))
}

/// Whether the line before a sentence may belong to it: a day up to which, say.
fn goes_on_a_line(marked: &[Marked<'_>], number: usize) -> bool {
    let Some(before) = number.checked_sub(1).and_then(|before| marked.get(before)) else { return false };
    let is_apart = before.sentence.is_ended || before.sentence.paragraph != marked[number].sentence.paragraph;
    !is_apart && !before.text.ends_with(',') && !is_courtesy(before.text) && !opt_out_closed::is_known(before.text)
}

/// Whether a phrase that asks by itself speaks of the writer: who is taken off a list, and the use of what is objected to.
fn is_meant(it: &Marked<'_>, phrase: &Found) -> bool {
    let words = &it.text[phrase.start..phrase.end];
    if words.starts_with("off ") {
        let last = it.before(phrase).split_ascii_whitespace().next_back().unwrap_or_default();
        let last = last.trim_end_matches(|c: char| !c.is_alphanumeric());
        return last.contains('@') || WRITERS.contains(&last) || OFF_WHOM.contains(&last);
    }
    let objects = OBJECTIONS.iter().any(|objection| words.contains(objection));
    !objects || OBJECTED.iter().any(|object| it.text.contains(object))
}

/// What stands before the end of a clause.
fn clause_at(text: &str) -> &str {
    let end = text.find([',', ';', ':', '(', '"']).unwrap_or(text.len());
    let joint = [" and ", " or ", " und ", " oder ", " et ", " y ", " i will ", " i'll ", " e il ", " e o "]
        .iter()
        .filter_map(|joint| text.find(joint))
        .min();
    &text[..joint.map_or(end, |joint| joint.min(end))]
}

/// Where the last of some words in a text ends, or 0.
fn end_of_last(text: &str, words: &[&str]) -> usize {
    words.iter().filter_map(|word| text.rfind(word).map(|at| at + word.len())).max().unwrap_or(0)
}

/// Whether a list follows a phrase, and between them nobody but the writer stands.
fn list_follows(it: &Marked<'_>, phrase: &Found) -> bool {
    let mut lists = it.found.iter().filter(|other| other.marks & LISTS != 0 && other.start >= phrase.end);
    let Some(list) = lists.next() else { return false };
    let words_behind = it.after(phrase);
    let between = &words_behind[..words_behind.len().saturating_sub(it.text.len() - list.start)];
    let words = between.split(' ').filter(|word| !word.contains('@'));
    let is_writers =
        |word: &str| OF_THE_WRITER.contains(&word) || COURTESIES.contains(&word) || ARTICLES.contains(&word);
    words.flat_map(|word| word.split(|c: char| !c.is_alphanumeric())).filter(|word| !word.is_empty()).all(is_writers)
}

/// Whether a phrase names only whose the thing is that follows: `remove my …`.
fn names_whose(it: &Marked<'_>, phrase: &Found) -> bool {
    const WHOSE: &[&str] =
        &[" my", " our", " meine", " unsere", " mijn", " min", " mon", " notre", " mi", " meu", " mio"];
    let words = &it.text[phrase.start..phrase.end];
    WHOSE.iter().any(|end| words.ends_with(end))
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
