//! When messages arrived. Nothing else is asked for, so that no message can keep its mailbox from being searched by date.

use async_imap::imap_proto::{AttributeValue, Response};

use super::fetch::{OVERHEAD_BYTES, parse_internal_date, uid_of};
use super::session::Allowance;
use super::{ImapError, Session};
use crate::domain::Timestamp;

/// A message and its INTERNALDATE (RFC 3501 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its UID.
    pub uid: u32,
    /// When the server received it, if it says so.
    pub at: Option<Timestamp>,
}

impl Session {
    /// The first message above `uid` whose date the server doesn't refuse to tell; none where there is none up to UIDNEXT.
    pub async fn first_arrival_after(&mut self, uid: u32) -> Result<Option<Arrival>, ImapError> {
        if self.state.exists == 0 {
            return Ok(None);
        }
        let end = self.state.uid_next.saturating_sub(1);
        let mut searched_to = uid;
        while searched_to < end {
            self.search_beyond(searched_to).await?;
            while let Some(&next) = self.pending.front() {
                if let Some(arrival) = self.arrival_of(next).await? {
                    return Ok(Some(arrival));
                }
                self.pending.pop_front();
            }
            if self.searched_to <= searched_to {
                break;
            }
            searched_to = self.searched_to;
        }
        Ok(None)
    }

    /// None where it is gone, or the server refuses.
    async fn arrival_of(&mut self, asked: u32) -> Result<Option<Arrival>, ImapError> {
        let (mut is_there, mut at) = (false, None);
        let allowance = Allowance { bytes: OVERHEAD_BYTES, ..self.short_answer() };
        let command = format!("UID FETCH {asked} (UID INTERNALDATE)");
        let answered = self
            .command("UID FETCH", &command, allowance, |response| {
                let (Response::Fetch(_, attributes), Some(uid)) = (response, uid_of(response)) else { return };
                if uid != asked {
                    return;
                }
                is_there = true;
                for attribute in attributes {
                    if let AttributeValue::InternalDate(text) = attribute {
                        at = parse_internal_date(text);
                    }
                }
            })
            .await;
        match answered {
            Err(ImapError::Refused { .. }) => Ok(None),
            answered => answered.map(|()| is_there.then_some(Arrival { uid: asked, at })),
        }
    }
}
