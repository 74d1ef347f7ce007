//! An INBOX in memory.

use std::sync::Arc;

use crate::domain::Timestamp;

/// Messages in the order of their arrival; the sequence number is the position, from 1.
pub(super) struct Mailbox {
    uid_validity: u32,
    next_uid: u32,
    messages: Vec<StoredMessage>,
}

pub(super) struct StoredMessage {
    pub(super) uid: u32,
    pub(super) arrived: Timestamp,
    pub(super) seen: bool,
    pub(super) given: Given,
    pub(super) raw: Arc<[u8]>,
}

/// How a message is given to who asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    Whole,
    /// It can't be given at present.
    Refused,
    /// In a form that nobody asked for.
    Garbled,
}

impl Mailbox {
    pub(super) fn new() -> Self {
        Self { uid_validity: 1, next_uid: 1, messages: Vec::new() }
    }

    pub(super) fn uid_validity(&self) -> u32 {
        self.uid_validity
    }

    pub(super) fn next_uid(&self) -> u32 {
        self.next_uid
    }

    pub(super) fn messages(&self) -> &[StoredMessage] {
        &self.messages
    }

    pub(super) fn add(&mut self, mut raw: Vec<u8>, arrived: Timestamp) -> u32 {
        // A literal holds no NUL (RFC 3501 §9, CHAR8); like others we put 0x80 in its place.
        for byte in &mut raw {
            if *byte == 0 {
                *byte = 0x80;
            }
        }
        let uid = self.next_uid;
        self.next_uid = self.next_uid.saturating_add(1);
        self.messages.push(StoredMessage { uid, arrived, seen: false, given: Given::Whole, raw: raw.into() });
        uid
    }

    pub(super) fn skip_uids(&mut self, count: u32) {
        self.next_uid = self.next_uid.saturating_add(count);
    }

    pub(super) fn renumber(&mut self) {
        self.uid_validity = self.uid_validity.saturating_add(1);
        self.next_uid = 1;
        for message in &mut self.messages {
            message.uid = self.next_uid;
            self.next_uid = self.next_uid.saturating_add(1);
        }
    }

    pub(super) fn give(&mut self, uids: &[u32], given: Given) {
        for message in &mut self.messages {
            message.given = if uids.contains(&message.uid) { given } else { Given::Whole };
        }
    }

    pub(super) fn mark_seen(&mut self, position: usize) {
        if let Some(message) = self.messages.get_mut(position) {
            message.seen = true;
        }
    }
}
