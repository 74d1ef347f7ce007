//! When a report only repeats that somebody was unknown. Mobile carriers and filters answer "user unknown" for whomever
//! they don't want to let through, after they took the address; a gateway passes the words on and drops the rest. The
//! address is called dead only where the report also shows where the words come from: a status that says so, the RCPT
//! command, a server's reply (in a report's field one that names the address, so it answered RCPT; in a text one with its
//! code), the sentence of a server that looked into its own directory, or the language of whoever runs the mailboxes: what
//! is passed on is English.

use ampout_plugin::smtp_reply::{EnhancedStatus, SmtpReply};
use ampout_plugin::{BounceClass, BounceWords};

/// What speaks for a class.
pub(crate) struct Evidence {
    /// The status, where there is one.
    pub(crate) status: Option<EnhancedStatus>,
    /// The words about the recipient.
    pub(crate) words: BounceWords,
    /// The words of the whole report.
    pub(crate) transcript: BounceWords,
    /// Whether the words stand in a server's reply.
    pub(crate) is_a_reply: bool,
}

impl Evidence {
    /// The class, softened where all that speaks for a dead address is hearsay.
    pub(crate) fn judged(&self, class: BounceClass) -> BounceClass {
        // Exchange Online numbers its own words from 5.1.300 on; among them is "the remote server returned …".
        let says_nothing =
            self.status.is_none_or(|status| status.is_bare() || (status.detail >= 300 && status.subject != 4));
        let is_hearsay = class == BounceClass::Hard
            && says_nothing
            && self.words.only_call_a_user_unknown()
            && !self.transcript.name_a_command()
            && !self.is_a_reply;
        if is_hearsay { BounceClass::Soft } else { class }
    }
}

/// Whether a line holds a refusal's code and the address.
pub(crate) fn names_it(text: &str, recipient: &str) -> bool {
    text.lines()
        .filter(|line| mentions(line, recipient))
        .any(|line| SmtpReply::find(line).code.is_some_and(|it| it >= 500))
}

/// Whether an address stands in a text, in any case.
pub(crate) fn mentions(text: &str, address: &str) -> bool {
    place_of(text, address).is_some()
}

/// Where an address stands in a text, in any case.
pub(crate) fn place_of(text: &str, address: &str) -> Option<usize> {
    let local = address.find('@')?;
    let stands =
        |start: &usize| text.get(*start..*start + address.len()).is_some_and(|it| it.eq_ignore_ascii_case(address));
    text.match_indices('@').filter_map(|(at, _)| at.checked_sub(local)).find(stands)
}
