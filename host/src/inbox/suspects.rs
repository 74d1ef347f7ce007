//! A message about which a server answers with what can't be read, or refuses to answer: it must not keep the mailbox from
//! being read for ever, and no message may be passed over because a server was out of order for a while. So where many
//! can't be had together, they are asked for one by one; and the one that is left is passed over once the server gave
//! another one beyond it and then failed at it again.
//!
//! An answer that can't be read ends its session, so all of this is remembered from one session to the next. Connections that
//! are lost and answers that take too long prove nothing about a message, and are not looked at here.

use crate::imap::{FetchBatch, FetchLimits, ImapError};

/// Where a mailbox stands.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    uid_validity: u32,
    /// So many messages are still asked for one by one.
    alone: usize,
    suspect: Option<Suspect>,
}

/// The server failed at this message, and at all from there to `beyond` that it was asked for.
#[derive(Debug)]
struct Suspect {
    uid: u32,
    error: ImapError,
    beyond: u32,
    /// Whether what is beyond is asked for next, or the suspect again.
    looks_beyond: bool,
    /// One beyond came since.
    other_came: bool,
}

impl Suspects {
    /// What is remembered of other UIDs is void.
    pub(super) fn belong_to(&mut self, uid_validity: u32) {
        if self.uid_validity != uid_validity {
            *self = Self { uid_validity, ..Self::default() };
        }
    }

    /// What may be asked for at once.
    pub(super) fn limits(&self, limits: FetchLimits) -> FetchLimits {
        match self.alone {
            0 => limits,
            _ => FetchLimits { messages: 1, ..limits },
        }
    }

    /// The UID beyond which one is asked for now, only to see whether the server gives any.
    pub(super) fn looks_beyond(&self) -> Option<u32> {
        self.suspect.as_ref().filter(|suspect| suspect.looks_beyond).map(|suspect| suspect.beyond)
    }

    /// What was asked for beyond the suspect. If none came, all is as before; at the end of the mailbox it begins anew, as the
    /// server may have been out of order when it failed at those between.
    pub(super) fn looked_beyond(&mut self, found: &FetchBatch) -> Result<(), ImapError> {
        let Some(suspect) = &mut self.suspect else { return Ok(()) };
        suspect.looks_beyond = false;
        suspect.other_came = !found.messages.is_empty();
        if suspect.other_came {
            return Ok(());
        }
        suspect.beyond = if found.more { suspect.beyond.max(found.scanned_to) } else { suspect.uid };
        Err(suspect.error.clone())
    }

    /// What was asked for beyond the suspect did not come; if it could not be read, it began with `uid`.
    pub(super) fn failed_beyond(&mut self, uid: Option<u32>) {
        if let Some(suspect) = &mut self.suspect {
            suspect.looks_beyond = false;
            suspect.beyond = uid.unwrap_or(suspect.beyond);
        }
    }

    /// The server failed at the message with this UID, or at some from there on, asked for with these limits. Whether it is to
    /// be passed over.
    pub(super) fn failed(&mut self, uid: u32, asked: FetchLimits, error: &ImapError) -> bool {
        if asked.messages > 1 {
            self.alone = asked.messages;
            return false;
        }
        match &mut self.suspect {
            // The next of a row of them, too: it failed when one beyond was looked for.
            Some(suspect) if suspect.other_came && (suspect.uid..=suspect.beyond).contains(&uid) => true,
            Some(suspect) if suspect.uid == uid => {
                suspect.looks_beyond = true;
                false
            }
            _ => {
                let error = error.clone();
                self.suspect = Some(Suspect { uid, error, beyond: uid, looks_beyond: true, other_came: false });
                false
            }
        }
    }

    /// It was asked for again, and what came in between proves nothing: what was seen before is too old by now.
    pub(super) fn unsettled(&mut self) {
        if let Some(suspect) = &mut self.suspect {
            (suspect.looks_beyond, suspect.other_came) = (true, false);
        }
    }

    /// What was asked for came.
    pub(super) fn came(&mut self) {
        self.alone = self.alone.saturating_sub(1);
        self.suspect = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::FetchedMessage;

    const MANY: FetchLimits = FetchLimits {
        messages: 3,
        message_bytes: 1,
        stub_bytes: 1,
        batch_bytes: 1,
        time: std::time::Duration::from_secs(1),
    };

    fn garbled() -> ImapError {
        ImapError::Protocol { step: "UID FETCH", reason: "garbled".to_owned() }
    }

    /// Asked for 7 to 9, the server failed; then for 7 alone.
    fn suspecting() -> Suspects {
        let mut suspects = Suspects::default();
        assert!(!fails_at(&mut suspects, 7));
        assert_eq!((suspects.limits(MANY).messages, suspects.looks_beyond()), (1, None));
        assert!(!fails_at(&mut suspects, 7));
        assert_eq!(suspects.looks_beyond(), Some(7));
        suspects
    }

    fn fails_at(suspects: &mut Suspects, uid: u32) -> bool {
        suspects.failed(uid, suspects.limits(MANY), &garbled())
    }

    /// A message with the UID 20, or none up to there, which is the mailbox's end.
    fn beyond(comes: bool) -> FetchBatch {
        let raw = b"Subject: hello\r\n\r\n".to_vec();
        let message = FetchedMessage { uid: 20, internal_date: None, size: 18, raw, truncated: false };
        let messages = comes.then_some(message).into_iter().collect();
        FetchBatch { messages, more: false, ..FetchBatch::nothing(1, 20) }
    }

    #[test]
    fn one_is_passed_over_where_the_server_gives_another_beyond_and_fails_at_it_again() {
        let mut suspects = suspecting();
        suspects.looked_beyond(&beyond(true)).unwrap();
        assert_eq!(suspects.looks_beyond(), None);
        assert!(fails_at(&mut suspects, 7));
        assert_eq!(suspects.looks_beyond(), None);
        assert!(!fails_at(&mut suspects, 8), "nobody has asked for that one before");
    }

    #[test]
    fn of_a_row_each_is_passed_over_when_it_fails_once_more() {
        let mut suspects = suspecting();
        for uid in [8, 9] {
            suspects.failed_beyond(Some(uid));
            assert!(!fails_at(&mut suspects, 7));
        }
        suspects.looked_beyond(&beyond(true)).unwrap();
        assert_eq!([7, 8, 9, 10].map(|uid| fails_at(&mut suspects, uid)), [true, true, true, false]);
    }

    #[test]
    fn none_is_passed_over_while_the_server_gives_none() {
        let mut suspects = suspecting();
        for uid in 8..20 {
            assert_eq!(suspects.looks_beyond(), Some(uid - 1));
            suspects.failed_beyond(Some(uid));
            assert_eq!(suspects.looks_beyond(), None);
            assert!(!fails_at(&mut suspects, 7));
        }
        assert_eq!(suspects.looked_beyond(&beyond(false)), Err(garbled()));
        assert!(!fails_at(&mut suspects, 7));
        // The server may give by now what it did not give before.
        assert_eq!(suspects.looks_beyond(), Some(7));
    }

    #[test]
    fn what_was_seen_before_a_connection_was_lost_or_of_other_uids_proves_nothing() {
        let mut suspects = suspecting();
        suspects.looked_beyond(&beyond(true)).unwrap();
        suspects.unsettled();
        assert!(!fails_at(&mut suspects, 7));
        suspects.looked_beyond(&beyond(true)).unwrap();
        suspects.belong_to(2);
        assert!(!fails_at(&mut suspects, 7));
        assert_eq!(suspects.looks_beyond(), None);
    }

    #[test]
    fn what_comes_after_all_is_no_suspect_any_more_and_soon_many_are_asked_for_again() {
        let mut suspects = suspecting();
        suspects.looked_beyond(&beyond(true)).unwrap();
        suspects.came();
        assert!(!fails_at(&mut suspects, 8), "it came, and this is another");
        suspects.came();
        suspects.came();
        assert_eq!((suspects.limits(MANY).messages, suspects.looks_beyond()), (3, None));
    }
}
