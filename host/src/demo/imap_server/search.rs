//! Which messages a sequence set or a SEARCH names (RFC 3501 §6.4.4, §9).

use imap_codec::imap_types::search::SearchKey;
use imap_codec::imap_types::sequence::{SeqOrUid, Sequence, SequenceSet};

/// A message as a SEARCH sees it, with the largest numbers, which `*` stands for.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    pub(super) sequence: u32,
    pub(super) uid: u32,
    pub(super) seen: bool,
    pub(super) last_sequence: u32,
    pub(super) last_uid: u32,
}

/// Whether the set holds `number` when `*` is `last`. The ends of a range may stand in any order, so that `n:*` always
/// holds the last number, however large `n` is.
pub(super) fn contains(set: &SequenceSet, number: u32, last: u32) -> bool {
    let value = |end: &SeqOrUid| match end {
        SeqOrUid::Value(value) => value.get(),
        SeqOrUid::Asterisk => last,
    };
    set.0.as_ref().iter().any(|sequence| match sequence {
        Sequence::Single(only) => value(only) == number,
        Sequence::Range(one, other) => {
            let (one, other) = (value(one), value(other));
            (one.min(other)..=one.max(other)).contains(&number)
        }
    })
}

/// Whether the message fits the key; `None` for keys that this server doesn't know.
pub(super) fn matches(key: &SearchKey<'_>, candidate: Candidate) -> Option<bool> {
    Some(match key {
        SearchKey::All | SearchKey::Undeleted | SearchKey::Undraft | SearchKey::Unanswered => true,
        SearchKey::Seen => candidate.seen,
        SearchKey::Unseen => !candidate.seen,
        SearchKey::Uid(set) => contains(set, candidate.uid, candidate.last_uid),
        SearchKey::SequenceSet(set) => contains(set, candidate.sequence, candidate.last_sequence),
        SearchKey::Not(inner) => !matches(inner, candidate)?,
        SearchKey::Or(one, other) => matches(one, candidate)? | matches(other, candidate)?,
        SearchKey::And(keys) => {
            let mut all = true;
            for key in keys.as_ref() {
                all &= matches(key, candidate)?;
            }
            all
        }
        _ => return None,
    })
}
