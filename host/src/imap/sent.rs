//! What lies in the folder of sent messages (RFC 6154): asked by Message-ID, and nothing is fetched.

use std::time::Duration;

use async_imap::imap_proto::{MailboxDatum, NameAttribute, Response};

use super::session::Allowance;
use super::{ImapError, Session};

/// The names of some thousand folders.
const LIST_BYTES: u64 = 1 << 20;

impl Session {
    /// Those of `message_ids` (without brackets) that a message in the folder for sent messages has. None where the server
    /// marks no folder as that. The session is in that folder from then on. After `time`, or an error, it is what was found
    /// until then.
    pub async fn sent_among<'ids>(
        &mut self,
        message_ids: &'ids [String],
        time: Duration,
    ) -> Result<Vec<&'ids str>, ImapError> {
        let mut sent = Vec::new();
        self.begin_turn(time);
        let ended = self.look_for(message_ids, &mut sent).await;
        self.end_turn();
        match ended {
            Err(error) if sent.is_empty() => Err(error),
            _ => Ok(sent),
        }
    }

    async fn look_for<'ids>(
        &mut self,
        message_ids: &'ids [String],
        sent: &mut Vec<&'ids str>,
    ) -> Result<(), ImapError> {
        let Some(folder) = self.sent_folder().await? else { return Ok(()) };
        self.change_folder(folder).await?;
        for id in message_ids.iter().filter(|id| is_plain(id)) {
            let mut is_there = false;
            let search = format!("UID SEARCH HEADER Message-ID \"<{id}>\"");
            self.command("UID SEARCH", &search, self.short_answer(), |response| {
                if let Response::MailboxData(MailboxDatum::Search(uids)) = response {
                    is_there |= !uids.is_empty();
                }
            })
            .await?;
            if is_there {
                sent.push(id.as_str());
            }
        }
        Ok(())
    }

    async fn sent_folder(&mut self) -> Result<Option<String>, ImapError> {
        let allowance = Allowance { bytes: LIST_BYTES, ..self.short_answer() };
        let mut found = None;
        self.command("LIST", "LIST \"\" \"*\"", allowance, |response| {
            if let Response::MailboxData(MailboxDatum::List(folder)) = response
                && folder.name_attributes.contains(&NameAttribute::Sent)
            {
                found = Some(folder.name.to_string());
            }
        })
        .await?;
        Ok(found)
    }
}

/// Whether it can stand between quotes as it is.
fn is_plain(id: &str) -> bool {
    id.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}
