//! A message about which a server answers with what can't be read: no answer may keep the mailbox from being read for ever,
//! and no message may be passed over because a server was out of order for a while. So where an answer to many can't be
//! read, they are asked for one by one; and the one that is left is passed over once the server gave another one beyond it
//! and then failed at it again.
//!
//! An answer that can't be read ends its session, so all of this is remembered from one session to the next.

use crate::imap::{FetchBatch, FetchLimits, ImapError};

/// Where a mailbox stands.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// So many messages are still asked for one by one.
    alone: usize,
    suspect: Option<Suspect>,
}

#[derive(Debug)]
struct Suspect {
    uid: u32,
    error: ImapError,
    /// The last that could not be read, from the suspect on.
    beyond: u32,
    /// Whether what is beyond is asked for next, or the suspect again.
    looks_beyond: bool,
    /// One beyond it came.
    other_came: bool,
}

impl Suspects {
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

    /// What was asked for beyond the suspect came. If that is nothing, all is as before.
    pub(super) fn looked_beyond(&mut self, found: &FetchBatch) -> Result<(), ImapError> {
        let Some(suspect) = &mut self.suspect else { return Ok(()) };
        suspect.looks_beyond = false;
        suspect.other_came = !found.messages.is_empty();
        if suspect.other_came {
            return Ok(());
        }
        suspect.beyond = suspect.beyond.max(found.scanned_to);
        Err(suspect.error.clone())
    }

    /// What was asked for beyond the suspect can't be read either: `uid` is the first of it.
    pub(super) fn failed_beyond(&mut self, uid: Option<u32>) {
        if let Some(suspect) = &mut self.suspect {
            suspect.looks_beyond = false;
            suspect.beyond = uid.unwrap_or(suspect.beyond);
        }
    }

    /// The answer can't be read that began with `uid` and was asked for with these limits. Whether that message is to be
    /// passed over.
    pub(super) fn failed(&mut self, uid: u32, asked: FetchLimits, error: &ImapError) -> bool {
        if asked.messages > 1 {
            self.alone = asked.messages;
            return false;
        }
        match &mut self.suspect {
            Some(suspect) if suspect.uid == uid && suspect.other_came => {
                *self = Self { alone: self.alone, suspect: None };
                true
            }
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
        assert!(!suspects.failed(7, suspects.limits(MANY), &garbled()));
        assert_eq!((suspects.limits(MANY).messages, suspects.looks_beyond()), (1, None));
        assert!(!suspects.failed(7, suspects.limits(MANY), &garbled()));
        suspects
    }

    /// A message with the UID 9, or none up to there.
    fn beyond(comes: bool) -> FetchBatch {
        let raw = b"Subject: hello\r\n\r\n".to_vec();
        let message = FetchedMessage { uid: 9, internal_date: None, size: 18, raw, truncated: false };
        FetchBatch { messages: comes.then_some(message).into_iter().collect(), ..FetchBatch::nothing(1, 9) }
    }

    #[test]
    fn one_is_passed_over_where_the_server_gives_another_beyond_and_fails_at_it_again() {
        let mut suspects = suspecting();
        assert_eq!(suspects.looks_beyond(), Some(7));
        suspects.looked_beyond(&beyond(true)).unwrap();
        assert_eq!(suspects.looks_beyond(), None);
        assert!(suspects.failed(7, suspects.limits(MANY), &garbled()));
        assert_eq!(suspects.looks_beyond(), None);
    }

    #[test]
    fn none_is_passed_over_while_the_server_gives_none() {
        let mut suspects = suspecting();
        for uid in 8..20 {
            assert_eq!(suspects.looks_beyond(), Some(uid - 1));
            suspects.failed_beyond(Some(uid));
            assert_eq!(suspects.looks_beyond(), None);
            assert!(!suspects.failed(7, suspects.limits(MANY), &garbled()));
        }
        assert_eq!(suspects.looked_beyond(&beyond(false)), Err(garbled()));
        assert!(!suspects.failed(7, suspects.limits(MANY), &garbled()));
    }

    #[test]
    fn what_comes_after_all_is_no_suspect_any_more_and_soon_many_are_asked_for_again() {
        let mut suspects = suspecting();
        suspects.looked_beyond(&beyond(true)).unwrap();
        suspects.came();
        assert!(!suspects.failed(8, suspects.limits(MANY), &garbled()), "it came, and this is another");
        suspects.came();
        suspects.came();
        assert_eq!((suspects.limits(MANY).messages, suspects.looks_beyond()), (3, None));
    }
}
