//! From the bytes of a message to the facts that a reply classifier is given and the matcher needs. It decides nothing.
//!
//! Any bytes are a message: what can't be read is left out. Everything is bounded.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use super::decode::{addresses, header_text};
use super::mime::{Content, Entity, Field, MAX_TEXT_BYTES, cut, tidy};
use super::references::{References, message_ids};
use crate::domain::Timestamp;
use crate::extensions::hooks::Extra;
use crate::extensions::hooks::reply::{Header, Message};

const MAX_RECIPIENTS: usize = 200;
const MAX_SUBJECT_BYTES: usize = 4 << 10;

/// What was read of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The facts for the classifier; the enrollment is not yet among them. Its `extra` has `text_truncated`,
    /// `parts_left_out` and `unreadable`, each with the value `true`, where that is so.
    pub message: Message,
    /// What points back to messages of ours.
    pub references: References,
    /// The message's own Message-ID, without brackets.
    pub message_id: Option<String>,
}

/// Reads a message that arrived at `received_at`.
pub fn parse(raw: &[u8], received_at: Timestamp) -> Parsed {
    // Header values and HTML go through parsers that are not ours. A flaw in one must cost a message's facts and not the
    // watcher: the message is then told as unreadable, and stays stored.
    catch_unwind(AssertUnwindSafe(|| read(raw, received_at))).unwrap_or_else(|_| unreadable(raw, received_at))
}

fn read(raw: &[u8], received_at: Timestamp) -> Parsed {
    let tidied = tidy(raw);
    let entity = Entity::split(&tidied);
    let fields = entity.fields();
    let content = Content::of(entity);
    let references = References::of(&fields, &content.parts, &content.text);
    let our_message_ids = references.our_message_ids(&content.parts, &content.text);

    let remarks = [("text_truncated", content.text_truncated), ("parts_left_out", content.parts_left_out)];
    let extra = remarks.iter().filter(|(_, holds)| *holds).map(|(name, _)| ((*name).to_owned(), "true".to_owned()));
    let first = |name: &str| fields.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    let subject = first("Subject").map(|field| header_text(field.value)).unwrap_or_default();
    let message_id = first("Message-ID").map(|field| message_ids(&String::from_utf8_lossy(field.value)));
    let message = Message {
        headers: headers(&fields),
        raw_headers: Bytes::copy_from_slice(entity.header_block.get(..MAX_TEXT_BYTES).unwrap_or(entity.header_block)),
        sender: first("From").and_then(|field| addresses(field.value).into_iter().next()),
        return_path: first("Return-Path").map(|field| addresses(field.value).into_iter().next().unwrap_or_default()),
        recipients: recipients(&fields),
        subject: cut(&subject, MAX_SUBJECT_BYTES).to_owned(),
        extra: Extra(extra.collect()),
        text: content.text,
        parts: content.parts,
        our_message_ids,
        enrollment: None,
        received_at,
    };
    Parsed { message, references, message_id: message_id.and_then(|ids| ids.into_iter().next()) }
}

fn unreadable(raw: &[u8], received_at: Timestamp) -> Parsed {
    let extra = Extra(vec![("unreadable".to_owned(), "true".to_owned())]);
    let raw_headers = Bytes::copy_from_slice(raw.get(..MAX_TEXT_BYTES).unwrap_or(raw));
    let message = Message { raw_headers, received_at, extra, ..Message::default() };
    Parsed { message, references: References::default(), message_id: None }
}

/// All headers, decoded, whose sum is no larger than any part may be: one that is too large hides none behind it.
fn headers(fields: &[Field<'_>]) -> Vec<Header> {
    let mut room = MAX_TEXT_BYTES;
    let mut headers = Vec::with_capacity(fields.len());
    for field in fields {
        let value = header_text(field.value);
        let Some(left) = room.checked_sub(field.name.len() + value.len()) else { continue };
        room = left;
        headers.push(Header { name: field.name.to_owned(), value });
    }
    headers
}

fn recipients(fields: &[Field<'_>]) -> Vec<String> {
    const NAMES: [&str; 3] = ["To", "Cc", "Delivered-To"];
    let mut found: Vec<String> = Vec::new();
    for field in fields.iter().filter(|field| NAMES.iter().any(|name| field.name.eq_ignore_ascii_case(name))) {
        for address in addresses(field.value) {
            if found.len() < MAX_RECIPIENTS && !found.contains(&address) {
                found.push(address);
            }
        }
    }
    found
}
