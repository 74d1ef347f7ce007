//! New messages, in batches of bounded size.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use async_imap::imap_proto::{AttributeValue, MailboxDatum, Response};

use super::session::Allowance;
use super::{ImapError, Session};
use crate::domain::Timestamp;

/// How many UIDs one search asks for. The answer has at most eleven bytes for each.
const SEARCH_WINDOW: u32 = 50_000;
const SEARCH_BYTES: u64 = 2 << 20;
/// How many searches one call makes, so that a mailbox with gaps of millions keeps nobody waiting.
const MAX_SEARCHES: usize = 32;
/// What surrounds a message in an answer, generously.
pub(super) const OVERHEAD_BYTES: u64 = 4 << 10;

/// How much one batch may hold.
#[derive(Debug, Clone, Copy)]
pub struct FetchLimits {
    /// The largest number of messages.
    pub messages: usize,
    /// A message larger than this comes as a stub: its first `stub_bytes`, with `truncated` set.
    pub message_bytes: u32,
    /// The size of a stub.
    pub stub_bytes: u32,
    /// The largest sum of all messages. A batch has at least one message, whatever its size.
    pub batch_bytes: u64,
    /// How long all of it may take, whatever its single commands may.
    pub time: Duration,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            messages: 200,
            message_bytes: 5 << 20,
            stub_bytes: 256 << 10,
            batch_bytes: 16 << 20,
            time: Duration::from_secs(180),
        }
    }
}

/// A message as the server has it. Its `Debug` shows how long it is and none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct FetchedMessage {
    /// Its UID.
    pub uid: u32,
    /// When the server received it, if it says so.
    pub internal_date: Option<Timestamp>,
    /// Its size in bytes, as the server gives it.
    pub size: u32,
    /// The message, or its beginning.
    pub raw: Vec<u8>,
    /// Whether `raw` is only the beginning.
    pub truncated: bool,
}

/// What one call brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchBatch {
    /// What the UIDs belong to; when it is not the checkpoint's, the batch must not be used with it.
    pub uid_validity: u32,
    /// The messages, by rising UID.
    pub messages: Vec<FetchedMessage>,
    /// Messages that are there and that the server would not give.
    pub unreadable: Vec<u32>,
    /// What it said when it refused one of those.
    pub refusal: Option<ImapError>,
    /// Every UID up to this one was looked at: the new checkpoint, once the messages are stored.
    pub scanned_to: u32,
    /// Whether there is more: call again, with `scanned_to`.
    pub more: bool,
    /// What ended it before all that was asked for had come. What did come is good, and the session is of no more use.
    pub cut_short: Option<ImapError>,
}

impl fmt::Debug for FetchedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchedMessage")
            .field("uid", &self.uid)
            .field("internal_date", &self.internal_date)
            .field("size", &self.size)
            .field("raw_bytes", &self.raw.len())
            .field("truncated", &self.truncated)
            .finish()
    }
}

/// What the first of the two fetches tells of a message.
pub(super) struct Summary {
    pub(super) uid: u32,
    pub(super) internal_date: Option<Timestamp>,
    /// `None` where the server can't tell.
    pub(super) size: Option<u32>,
}

impl Summary {
    /// Whether it is small enough to come whole.
    pub(super) fn comes_whole(&self, limits: FetchLimits) -> bool {
        self.size.is_some_and(|size| size <= limits.message_bytes)
    }
}

impl FetchBatch {
    /// One message was looked at, and its answer could not be read.
    pub fn passing_over(uid_validity: u32, uid: u32) -> Self {
        Self { unreadable: vec![uid], ..Self::nothing(uid_validity, uid) }
    }

    /// Nothing came up to that UID; there may be more.
    pub fn nothing(uid_validity: u32, scanned_to: u32) -> Self {
        Self {
            uid_validity,
            messages: Vec::new(),
            unreadable: Vec::new(),
            refusal: None,
            scanned_to,
            more: true,
            cut_short: None,
        }
    }

    /// The last UID of which is known what it brought.
    fn last_uid(&self) -> Option<u32> {
        let message = self.messages.last().map(|message| message.uid);
        message.max(self.unreadable.last().copied())
    }

    /// The same, ended by an error after everything up to `scanned_to` had been seen.
    fn cut_short(mut self, scanned_to: u32, error: ImapError) -> Self {
        self.scanned_to = scanned_to;
        self.more = true;
        self.cut_short = Some(error);
        self
    }
}

impl Session {
    /// The messages with a UID above `last_uid`, by rising UID, as many as `limits` allow. They are read with BODY.PEEK
    /// from a mailbox opened read-only, so nothing is marked.
    pub async fn fetch_since(&mut self, last_uid: u32, limits: FetchLimits) -> Result<FetchBatch, ImapError> {
        self.begin_turn(limits.time);
        let fetched = self.fetch_in_time(last_uid, limits).await;
        self.end_turn();
        fetched
    }

    /// The message with which the fetch that failed last began, or the next one would.
    pub fn next_in_line(&self) -> Option<u32> {
        self.pending.front().copied()
    }

    async fn fetch_in_time(&mut self, last_uid: u32, limits: FetchLimits) -> Result<FetchBatch, ImapError> {
        let mut batch = FetchBatch::nothing(self.state.uid_validity, last_uid);
        let searched_all = match self.search_beyond(last_uid).await {
            Ok(searched_all) => searched_all,
            // There is nothing in what was searched: the next session need not search it again.
            Err(error) if self.searched_to > last_uid => return Ok(batch.cut_short(self.searched_to, error)),
            Err(error) => return Err(error),
        };
        batch.scanned_to = self.searched_to.max(last_uid);
        batch.more = !searched_all;
        let wanted: Vec<u32> = self.pending.iter().copied().take(limits.messages.max(1)).collect();
        if wanted.is_empty() {
            self.resume_at = None;
            batch.more |= self.has_news();
            return Ok(batch);
        }
        let mut summaries = self.summaries(&wanted).await?;
        let chosen = summaries.len().min(how_many_fit(&summaries, limits));
        let all_of_them = chosen == summaries.len();
        summaries.truncate(chosen);
        let last = if all_of_them { wanted.last() } else { summaries.last().map(|summary| &summary.uid) };
        let last = last.copied().unwrap_or(last_uid);

        if let Err(error) = self.bodies(summaries, limits, &mut batch).await {
            // What came is kept: on a line that never brings a whole batch in the time it is how one gets on.
            return match batch.last_uid() {
                Some(last_uid) => Ok(batch.cut_short(last_uid, error)),
                None => Err(error),
            };
        }
        self.pending.retain(|uid| *uid > last);
        if !self.pending.is_empty() {
            batch.scanned_to = last;
            batch.more = true;
        }
        self.resume_at = Some(batch.scanned_to);
        // A server may tell of a message behind an answer that does not yet hold it.
        batch.more |= self.has_news();
        Ok(batch)
    }

    /// Fills `pending` with UIDs above `last_uid`, unless the call before left some. Whether all was searched, up to the
    /// end of the mailbox. After an error there is nothing between `last_uid` and `searched_to`.
    ///
    /// The search goes by windows as far as UIDNEXT, so that its answer is bounded, and with an open end beyond it.
    pub(super) async fn search_beyond(&mut self, last_uid: u32) -> Result<bool, ImapError> {
        // A caller that starts again from an earlier checkpoint must see again what was handed out since.
        if self.resume_at == Some(last_uid) && !self.pending.is_empty() {
            return Ok(self.searched_to >= self.state.uid_next.saturating_sub(1));
        }
        self.pending.clear();
        self.searched_to = last_uid;
        for _ in 0..MAX_SEARCHES {
            let Some(from) = self.searched_to.checked_add(1) else { return Ok(true) };
            let last_known = self.state.uid_next.saturating_sub(1);
            let open_end = from > last_known;
            if open_end {
                // Some servers show a session what is new at a NOOP and not at a SEARCH.
                self.command("NOOP", "NOOP", self.short_answer(), |_| {}).await?;
            }
            let to = if open_end { u32::MAX } else { last_known.min(from.saturating_add(SEARCH_WINDOW - 1)) };
            let set = if open_end { format!("{from}:*") } else { format!("{from}:{to}") };
            let exists = self.state.exists;
            let mut found = self.search(&set).await?;
            // `n:*` names the last message even when n is beyond it (RFC 3501 §6.4.8).
            found.retain(|uid| (from..=to).contains(uid));
            found.sort_unstable();
            found.dedup();
            if open_end {
                self.searched_to = found.last().copied().unwrap_or(self.searched_to);
                // What was announced during the search may or may not be in its answer: that is looked at again.
                self.looked_at = exists.min(self.state.exists);
                self.pending = found.into();
                return Ok(true);
            }
            self.searched_to = to;
            if !found.is_empty() {
                self.pending = found.into();
                return Ok(false);
            }
        }
        Ok(false)
    }

    async fn search(&mut self, set: &str) -> Result<Vec<u32>, ImapError> {
        let mut found = Vec::new();
        let allowance = Allowance { bytes: SEARCH_BYTES, ..self.short_answer() };
        self.command("UID SEARCH", &format!("UID SEARCH UID {set}"), allowance, |response| {
            if let Response::MailboxData(MailboxDatum::Search(uids)) = response {
                found.extend_from_slice(uids);
            }
        })
        .await?;
        Ok(found)
    }

    /// UID, date and size of those of `uids` that still exist, by rising UID.
    async fn summaries(&mut self, uids: &[u32]) -> Result<Vec<Summary>, ImapError> {
        let mut found = HashMap::new();
        match self.fetch_summaries(uids, &mut found).await {
            // One message that it can't measure must not keep the others back.
            Err(ImapError::Refused { .. }) => self.summaries_one_by_one(uids, &mut found).await?,
            ended => ended?,
        }
        Ok(uids.iter().filter_map(|uid| found.remove(uid)).collect())
    }

    async fn summaries_one_by_one(&mut self, uids: &[u32], found: &mut HashMap<u32, Summary>) -> Result<(), ImapError> {
        for &uid in uids {
            match self.fetch_summaries(&[uid], found).await {
                Err(ImapError::Refused { .. }) => {
                    found.entry(uid).or_insert(Summary { uid, internal_date: None, size: None });
                }
                ended => ended?,
            }
        }
        Ok(())
    }

    async fn fetch_summaries(&mut self, uids: &[u32], found: &mut HashMap<u32, Summary>) -> Result<(), ImapError> {
        let count = u64::try_from(uids.len()).unwrap_or(u64::MAX);
        let bytes = count.saturating_add(1).saturating_mul(OVERHEAD_BYTES);
        let allowance = Allowance { bytes, ..self.short_answer() };
        let command = format!("UID FETCH {} (UID INTERNALDATE RFC822.SIZE)", set_of(uids));
        self.command("UID FETCH", &command, allowance, |response| {
            let (Response::Fetch(_, attributes), Some(uid)) = (response, uid_of(response)) else { return };
            let mut summary = Summary { uid, internal_date: None, size: None };
            for attribute in attributes {
                match attribute {
                    AttributeValue::InternalDate(text) => summary.internal_date = parse_internal_date(text),
                    AttributeValue::Rfc822Size(size) => summary.size = Some(*size),
                    _ => {}
                }
            }
            // Without a size it is a note about flags that the server sends on its own.
            if summary.size.is_some() {
                found.insert(uid, summary);
            }
        })
        .await
    }
}

/// The UID in a FETCH response.
pub(super) fn uid_of(response: &Response<'_>) -> Option<u32> {
    let Response::Fetch(_, attributes) = response else { return None };
    attributes.iter().find_map(|attribute| match attribute {
        AttributeValue::Uid(uid) => Some(*uid),
        _ => None,
    })
}

/// How many of the first summaries stay within the batch's bytes; at least one.
fn how_many_fit(summaries: &[Summary], limits: FetchLimits) -> usize {
    let mut sum: u64 = 0;
    let fitting = summaries.iter().take_while(|summary| {
        let cost = summary.size.filter(|size| *size <= limits.message_bytes).unwrap_or(limits.stub_bytes);
        sum = sum.saturating_add(u64::from(cost));
        sum <= limits.batch_bytes
    });
    fitting.count().max(1)
}

/// `3:7,9` for 3, 4, 5, 6, 7, 9, so that a command of hundreds of UIDs stays short.
pub(super) fn set_of(uids: &[u32]) -> String {
    let mut set = String::new();
    let mut rest = uids;
    while let Some((&first, _)) = rest.split_first() {
        let run = 1 + rest.windows(2).take_while(|pair| pair[0].checked_add(1) == Some(pair[1])).count();
        let last = rest[run - 1];
        if !set.is_empty() {
            set.push(',');
        }
        set.push_str(&if run == 1 { first.to_string() } else { format!("{first}:{last}") });
        rest = &rest[run..];
    }
    set
}

/// `" 5-Nov-2026 10:00:00 +0100"` (RFC 3501 §9, date-time).
pub(super) fn parse_internal_date(text: &str) -> Option<Timestamp> {
    let zoned = jiff::fmt::strtime::parse("%d-%b-%Y %H:%M:%S %z", text.trim()).ok()?;
    zoned.to_timestamp().ok().map(|instant| Timestamp::from_millis(instant.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_written_as_runs() {
        assert_eq!(set_of(&[3, 4, 5, 7, 9, 10, u32::MAX]), "3:5,7,9:10,4294967295");
        assert_eq!(set_of(&[1]), "1");
        assert_eq!(set_of(&[]), "");
    }

    #[test]
    fn the_date_of_arrival_is_read_with_its_zone() {
        let read = |text| parse_internal_date(text).map(|at| at.to_string());
        assert_eq!(read(" 5-Nov-2026 10:00:00 +0100").as_deref(), Some("2026-11-05T09:00:00.000Z"));
        assert_eq!(read("17-Jul-1996 02:44:25 -0700").as_deref(), Some("1996-07-17T09:44:25.000Z"));
        assert_eq!(read("yesterday"), None);
    }

    #[test]
    fn a_batch_has_one_message_at_least_and_no_more_bytes_than_allowed() {
        let of = |sizes: &[u32]| -> usize {
            let summaries: Vec<Summary> =
                sizes.iter().map(|size| Summary { uid: 1, internal_date: None, size: Some(*size) }).collect();
            how_many_fit(
                &summaries,
                FetchLimits {
                    messages: 9,
                    message_bytes: 100,
                    stub_bytes: 10,
                    batch_bytes: 150,
                    ..FetchLimits::default()
                },
            )
        };
        assert_eq!(of(&[100, 50, 1]), 2);
        assert_eq!(of(&[100, 4_000_000, 40, 1]), 3);
        assert_eq!(of(&[]), 1);
    }
}
