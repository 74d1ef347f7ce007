//! The messages themselves: many by one command where the server lets us, one by one where it does not.

use std::collections::HashMap;

use async_imap::imap_proto::{AttributeValue, Response};

use super::fetch::{FetchBatch, FetchLimits, FetchedMessage, OVERHEAD_BYTES, Summary, set_of, uid_of};
use super::session::Allowance;
use super::{ImapError, Session};

const WHOLE: &str = "BODY.PEEK[]";
/// The least that one message may have, as some servers only guess at sizes. All of them together have their own limit.
const LEAST_LITERALS: u64 = 1 << 20;

/// What the messages of one command have by what the server said of them.
#[derive(Clone, Copy)]
struct Expected {
    bytes: u64,
    largest: u64,
}

/// What a server gave, or said when it refused.
type Bodies = HashMap<u32, Result<Vec<u8>, ImapError>>;

impl Session {
    /// Brings the messages into the batch, by rising UID: the small ones at once, each large one's beginning by itself.
    /// After an error the batch holds what had come until then, without gaps.
    pub(super) async fn bodies(
        &mut self,
        summaries: Vec<Summary>,
        limits: FetchLimits,
        batch: &mut FetchBatch,
    ) -> Result<(), ImapError> {
        let small: Vec<&Summary> = summaries.iter().filter(|summary| summary.comes_whole(limits)).collect();
        let uids: Vec<u32> = small.iter().map(|summary| summary.uid).collect();
        let sizes = || small.iter().filter_map(|summary| summary.size).map(u64::from);
        let expected = Expected { bytes: sizes().sum(), largest: sizes().max().unwrap_or(0) };
        let mut bodies = Bodies::new();
        let mut ended = Ok(());
        if !uids.is_empty() {
            ended = match self.fetch_bodies(&uids, WHOLE, expected, &mut bodies).await {
                // Some servers refuse the whole answer for one message that they can't render.
                Err(ImapError::Refused { .. }) => self.fetch_one_by_one(&small, &mut bodies).await,
                ended => ended,
            };
        }
        for summary in summaries {
            let comes_whole = summary.comes_whole(limits);
            let Summary { uid, internal_date, size } = summary;
            if !comes_whole && ended.is_ok() {
                let beginning = format!("{WHOLE}<0.{}>", limits.stub_bytes.max(1));
                ended = self.fetch_or_note_refusal(uid, &beginning, limits.stub_bytes, &mut bodies).await;
            }
            match bodies.remove(&uid) {
                Some(Ok(raw)) => {
                    let length = u32::try_from(raw.len()).unwrap_or(u32::MAX);
                    let truncated = !comes_whole && (size.is_some() || length >= limits.stub_bytes);
                    let size = size.unwrap_or(length);
                    batch.messages.push(FetchedMessage { uid, internal_date, size, raw, truncated });
                }
                // It may still have been on its way.
                None if ended.is_err() => return ended,
                refused => {
                    batch.unreadable.push(uid);
                    batch.refusal = refused.and_then(Result::err).or(batch.refusal.take());
                }
            }
        }
        ended
    }

    async fn fetch_one_by_one(&mut self, summaries: &[&Summary], bodies: &mut Bodies) -> Result<(), ImapError> {
        for summary in summaries {
            self.fetch_or_note_refusal(summary.uid, WHOLE, summary.size.unwrap_or(0), bodies).await?;
        }
        Ok(())
    }

    async fn fetch_or_note_refusal(
        &mut self,
        uid: u32,
        query: &str,
        expected_bytes: u32,
        bodies: &mut Bodies,
    ) -> Result<(), ImapError> {
        let bytes = u64::from(expected_bytes);
        match self.fetch_bodies(&[uid], query, Expected { bytes, largest: bytes }, bodies).await {
            Err(refusal @ ImapError::Refused { .. }) => {
                bodies.entry(uid).or_insert(Err(refusal));
                Ok(())
            }
            ended => ended,
        }
    }

    async fn fetch_bodies(
        &mut self,
        uids: &[u32],
        query: &str,
        expected: Expected,
        bodies: &mut Bodies,
    ) -> Result<(), ImapError> {
        let count = u64::try_from(uids.len()).unwrap_or(u64::MAX);
        // Twice the size: some servers count a line end as one byte and send two.
        let bytes = expected.bytes.saturating_mul(2).saturating_add(count.saturating_mul(OVERHEAD_BYTES));
        let allowance = Allowance {
            time: self.timeouts.fetch,
            bytes: bytes.saturating_add(64 << 10),
            literals: expected.largest.saturating_mul(2).max(LEAST_LITERALS),
        };
        let command = format!("UID FETCH {} (UID {query})", set_of(uids));
        self.command("UID FETCH", &command, allowance, |response| {
            let (Response::Fetch(_, attributes), Some(uid)) = (response, uid_of(response)) else { return };
            // A server that gives others, too, must not fill the memory with them.
            if !uids.contains(&uid) {
                return;
            }
            for attribute in attributes {
                if let AttributeValue::BodySection { section: None, data: Some(data), .. } = attribute {
                    bodies.insert(uid, Ok(data.to_vec()));
                }
            }
        })
        .await
    }
}
