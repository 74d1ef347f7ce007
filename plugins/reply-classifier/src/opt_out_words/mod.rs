//! The words by which a request to be let go is known, in some thirty languages, folded: lower case, no accents. All are
//! looked for at once; what they make together is judged sentence by sentence in `opt_out_sentence`.

pub(crate) mod beside;
mod closed;
pub(crate) mod closed_words;
mod eastern_around;
mod english;
mod english_around;
mod english_parts;
mod germanic;
mod germanic_around;
mod germanic_parts;
mod romance;
mod romance_around;
mod romance_parts;
mod single_words;

use ampout_plugin::phrases::{Phrases, count};

pub(crate) use self::single_words::{COURTESIES, FINALS, GREETINGS, OF_THE_WRITER, TAILS};

/// A request in itself.
pub(crate) const ASKS: u32 = 1;
/// A request where [`LISTS`] stand in the same sentence, or where nothing else follows.
pub(crate) const REMOVES: u32 = 1 << 1;
/// What somebody is to be removed from.
pub(crate) const LISTS: u32 = 1 << 2;
/// A request where nothing follows that narrows it.
pub(crate) const STOPS: u32 = 1 << 3;
/// The same where nothing but courtesies stands before it.
pub(crate) const SHOUTS: u32 = 1 << 4;
/// A wish that is not there: one for [`RECEIVES`] and [`MAILS`].
pub(crate) const WANTS: u32 = 1 << 5;
/// To get something.
pub(crate) const RECEIVES: u32 = 1 << 6;
/// Mail, or from us.
pub(crate) const MAILS: u32 = 1 << 7;
/// A request where it is the whole sentence.
pub(crate) const WHOLES: u32 = 1 << 8;
/// A request where it is the whole line.
pub(crate) const LONES: u32 = 1 << 9;
/// A question that begins so asks for what it says.
pub(crate) const POLITE: u32 = 1 << 10;
/// Who says so tells of something and asks nothing.
pub(crate) const DESCRIBES: u32 = 1 << 11;
/// What the writer offers to those who get his own mail.
pub(crate) const OFFERS: u32 = 1 << 12;
/// What follows a request and makes it another.
pub(crate) const NARROWS: u32 = 1 << 13;
/// What somebody writes who wants more than to be let go.
pub(crate) const RESERVES: u32 = 1 << 14;
/// Who writes so knows what he asks, however long he writes.
pub(crate) const LEGAL: u32 = 1 << 15;
/// What lawyers and devices put below letters.
pub(crate) const DISCLAIMS: u32 = 1 << 16;
/// A request where words of mail and of lists follow, or nothing.
pub(crate) const TAILED: u32 = 1 << 17;
/// As [`REMOVES`], where nothing but the writer stands between it and the list.
pub(crate) const OBJECTLESS: u32 = 1 << 18;
/// The same, where the writer stands before it.
pub(crate) const PASSIVES: u32 = 1 << 19;
/// A request where the whole sentence is known, see `opt_out_closed`.
pub(crate) const CLOSED_STOPS: u32 = 1 << 20;
/// The same, where mail is named.
pub(crate) const CLOSED_REFUSES: u32 = 1 << 21;
/// The same, where the writer or a list is named.
pub(crate) const CLOSED_REMOVES: u32 = 1 << 22;

/// What asks where the whole sentence is known.
pub(crate) const CLOSED: u32 = CLOSED_STOPS | CLOSED_REFUSES | CLOSED_REMOVES;

/// What asks.
pub(crate) const ASKING: u32 =
    ASKS | TAILED | REMOVES | OBJECTLESS | PASSIVES | STOPS | SHOUTS | WANTS | WHOLES | LONES | CLOSED;

const ASKING_LISTS: &[(u32, &[&str])] = &[
    (ASKS, english::ASKS),
    (TAILED, english::TAILED),
    (REMOVES, english_parts::REMOVES),
    (OBJECTLESS, english_parts::OBJECTLESS),
    (PASSIVES, english_parts::PASSIVES),
    (STOPS, english_parts::STOPS),
    (SHOUTS, english_parts::SHOUTS),
    (WANTS, english_parts::WANTS),
    (ASKS, germanic::ASKS),
    (TAILED, germanic::TAILED),
    (REMOVES, germanic_parts::REMOVES),
    (OBJECTLESS, germanic_parts::OBJECTLESS),
    (SHOUTS, germanic_parts::SHOUTS),
    (WANTS, germanic_parts::WANTS),
    (WANTS | RECEIVES, germanic_parts::SENDS_NONE),
    (ASKS, romance::ASKS),
    (TAILED, romance::TAILED),
    (REMOVES, romance_parts::REMOVES),
    (STOPS, romance_parts::STOPS),
    (SHOUTS, romance_parts::SHOUTS),
    (WANTS, romance_parts::WANTS),
    (WANTS | RECEIVES, romance_parts::SENDS_NONE),
    (CLOSED_STOPS, closed::STOPS),
    (CLOSED_REFUSES, closed::REFUSES),
    (CLOSED_REMOVES, closed::REMOVES),
    (WHOLES, single_words::WHOLES),
    (LONES, single_words::LONES),
];

const ALL_LISTS: &[(u32, &[&str])] = &[
    (ASKS, english::ASKS),
    (TAILED, english::TAILED),
    (REMOVES, english_parts::REMOVES),
    (OBJECTLESS, english_parts::OBJECTLESS),
    (PASSIVES, english_parts::PASSIVES),
    (LISTS, english_parts::LISTS),
    (STOPS, english_parts::STOPS),
    (SHOUTS, english_parts::SHOUTS),
    (WANTS, english_parts::WANTS),
    (RECEIVES, english_parts::RECEIVES),
    (MAILS, english_parts::MAILS),
    (RECEIVES | MAILS, english_parts::CONTACTS),
    (POLITE, english_around::POLITE),
    (DESCRIBES, english_around::DESCRIBES),
    (OFFERS, english_around::OFFERS),
    (NARROWS, english_around::NARROWS),
    (RESERVES, english_around::RESERVES),
    (LEGAL, english_around::LEGAL),
    (DISCLAIMS, english_around::DISCLAIMS),
    (ASKS, germanic::ASKS),
    (TAILED, germanic::TAILED),
    (REMOVES, germanic_parts::REMOVES),
    (OBJECTLESS, germanic_parts::OBJECTLESS),
    (LISTS, germanic_parts::LISTS),
    (SHOUTS, germanic_parts::SHOUTS),
    (WANTS, germanic_parts::WANTS),
    (RECEIVES, germanic_parts::RECEIVES),
    (MAILS, germanic_parts::MAILS),
    (WANTS | RECEIVES, germanic_parts::SENDS_NONE),
    (RECEIVES | MAILS, germanic_parts::CONTACTS),
    (POLITE, germanic_around::POLITE),
    (DESCRIBES, germanic_around::DESCRIBES),
    (OFFERS, germanic_around::OFFERS),
    (NARROWS, germanic_around::NARROWS),
    (RESERVES, germanic_around::RESERVES),
    (ASKS, romance::ASKS),
    (TAILED, romance::TAILED),
    (REMOVES, romance_parts::REMOVES),
    (LISTS, romance_parts::LISTS),
    (STOPS, romance_parts::STOPS),
    (SHOUTS, romance_parts::SHOUTS),
    (WANTS, romance_parts::WANTS),
    (RECEIVES, romance_parts::RECEIVES),
    (MAILS, romance_parts::MAILS),
    (WANTS | RECEIVES, romance_parts::SENDS_NONE),
    (RECEIVES | MAILS, romance_parts::CONTACTS),
    (POLITE, romance_around::POLITE),
    (DESCRIBES, romance_around::DESCRIBES),
    (OFFERS, romance_around::OFFERS),
    (NARROWS, romance_around::NARROWS),
    (RESERVES, romance_around::RESERVES),
    (POLITE, eastern_around::POLITE),
    (DESCRIBES, eastern_around::DESCRIBES),
    (NARROWS, eastern_around::NARROWS),
    (RESERVES, eastern_around::RESERVES),
    (CLOSED_STOPS, closed::STOPS),
    (CLOSED_REFUSES, closed::REFUSES),
    (CLOSED_REMOVES, closed::REMOVES),
    (WHOLES, single_words::WHOLES),
    (LONES, single_words::LONES),
];

/// Those of which one has to stand in a message that asks. Looking for all of them takes thrice as long, since those that
/// stand around a request begin as every other sentence does, and most replies ask nothing.
static ASKING_ALONE: Phrases<{ count(ASKING_LISTS) }> = Phrases::new(ASKING_LISTS);

/// All of them.
pub(crate) static IN_REQUESTS: Phrases<{ count(ALL_LISTS) }> = Phrases::new(ALL_LISTS);

/// Whether a folded text has the words of a request.
pub(crate) fn may_ask(text: &str) -> bool {
    ASKING_ALONE.marks_in(text) != 0
}
