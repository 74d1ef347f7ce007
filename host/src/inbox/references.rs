//! What in an inbound message points back to one of ours: ids in its headers, in what it returns, and in the address it
//! was sent to. Finding the enrollment behind them is the matcher's work.

use super::decode::addresses;
use super::mime::{Entity, Field};
use crate::domain::message_id::{send_id_in_token, send_id_of};
use crate::extensions::hooks::reply::Part;

/// The header that carries a send's id out and back.
pub const SEND_ID_HEADER: &str = "X-Ampout-Send-Id";
const MAX_IDS: usize = 200;
const UUID_LENGTH: usize = 36;

/// Everything that points back, each list without repetitions, in the order of the message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Message-IDs in In-Reply-To and References, without brackets; ours or not.
    pub in_reply_to_and_references: Vec<String>,
    /// Message-IDs of returned messages, without brackets; ours or not.
    pub returned_message_ids: Vec<String>,
    /// Send ids in returned `X-Ampout-Send-Id` headers and in Original-Envelope-Id (RFC 3464 §2.2.1), lower case.
    pub returned_send_ids: Vec<String>,
    /// Addresses that a report is about, the original ones first (RFC 3464 §2.3.1, RFC 5965 §3.2).
    pub returned_recipients: Vec<String>,
    /// What stands behind a `+` in the local parts of the recipients.
    pub plus_tokens: Vec<String>,
}

impl References {
    /// Gathers them from the header, the machine-readable parts and the text.
    pub(super) fn of(fields: &[Field<'_>], parts: &[Part], text: &str) -> Self {
        let mut found = Self::default();
        for field in fields {
            found.read_own_field(field);
        }
        // The original recipient is the one we wrote to; the final one may be what a forwarding made of it.
        let mut final_recipients = Vec::new();
        for part in parts {
            found.read_returned(&part.content, &mut final_recipients);
        }
        // A quarter of all bounces quotes the returned header in its text or not at all.
        for line in text.lines() {
            found.read_quoted_line(line.trim_start_matches(['>', ' ', '\t', '|']));
        }
        for address in final_recipients {
            add(&mut found.returned_recipients, address);
        }
        found
    }

    /// The Message-IDs of our form, among all of them and anywhere in the parts and the text.
    pub(super) fn our_message_ids(&self, parts: &[Part], text: &str) -> Vec<String> {
        let mut ours = Vec::new();
        let listed = self.in_reply_to_and_references.iter().chain(&self.returned_message_ids);
        for id in listed.filter(|id| send_id_of(id).is_some()) {
            add(&mut ours, id.clone());
        }
        for content in parts.iter().map(|part| part.content.as_str()).chain([text]) {
            for id in message_ids_of_our_form(content) {
                add(&mut ours, id);
            }
        }
        ours
    }

    fn read_own_field(&mut self, field: &Field<'_>) {
        match field.name.to_ascii_lowercase().as_str() {
            "in-reply-to" | "references" => {
                for id in message_ids(&String::from_utf8_lossy(field.value)) {
                    add(&mut self.in_reply_to_and_references, id);
                }
            }
            "x-original-message-id" | "original-message-id" => {
                self.add_returned_ids(&String::from_utf8_lossy(field.value));
            }
            "x-failed-recipients" => {
                for address in addresses(field.value) {
                    add(&mut self.returned_recipients, address);
                }
            }
            "to" | "cc" | "delivered-to" | "x-original-to" | "envelope-to" => {
                for address in addresses(field.value) {
                    let token = address.rsplit_once('@').and_then(|(local, _)| local.split_once('+'));
                    if let Some((_, token)) = token.filter(|(_, token)| !token.is_empty()) {
                        add(&mut self.plus_tokens, token.to_owned());
                    }
                }
            }
            _ => {}
        }
    }

    fn read_returned(&mut self, content: &str, final_recipients: &mut Vec<String>) {
        // The blocks of a delivery status are separated by empty lines; a header block has none.
        for block in content.split("\n\n") {
            let block = Entity { header_block: block.trim_start().as_bytes(), body: &[] };
            for field in block.fields() {
                let value = String::from_utf8_lossy(field.value);
                match field.name.to_ascii_lowercase().as_str() {
                    "message-id" | "x-original-message-id" | "original-message-id" => self.add_returned_ids(&value),
                    "original-recipient" | "original-rcpt-to" => {
                        if let Some(address) = typed_address(&value) {
                            add(&mut self.returned_recipients, address);
                        }
                    }
                    "final-recipient" => final_recipients.extend(typed_address(&value)),
                    "original-envelope-id" | "x-ampout-send-id" => self.add_send_id(&value),
                    _ => {}
                }
            }
        }
    }

    fn read_quoted_line(&mut self, line: &str) {
        let Some((name, value)) = line.split_once(':') else { return };
        if name.eq_ignore_ascii_case("Message-ID") {
            self.add_returned_ids(value);
        } else if name.eq_ignore_ascii_case(SEND_ID_HEADER) {
            self.add_send_id(value);
        }
    }

    fn add_returned_ids(&mut self, value: &str) {
        for id in message_ids(value) {
            add(&mut self.returned_message_ids, id);
        }
    }

    fn add_send_id(&mut self, value: &str) {
        if let Some(send) = send_id_in_token(value.trim().trim_matches(['<', '>'])) {
            add(&mut self.returned_send_ids, send.to_string());
        }
    }
}

/// The ids in brackets, or, where there are no brackets, the words with an `@`.
pub(super) fn message_ids(value: &str) -> Vec<String> {
    const LONGEST_ID: usize = 998;
    let fits = |id: &String| !id.is_empty() && id.len() <= LONGEST_ID;
    // Blanks inside are what is left of folding; a NUL is nothing that a database could look up.
    let clean = |id: &str| id.chars().filter(|c| !c.is_whitespace() && *c != '\0').collect::<String>();
    let in_brackets = value.split('<').skip(1).filter_map(|rest| rest.split_once('>').map(|(id, _)| id));
    let bracketed: Vec<String> = in_brackets.map(clean).filter(fits).take(MAX_IDS).collect();
    if !bracketed.is_empty() {
        return bracketed;
    }
    value.split_whitespace().filter(|word| word.contains('@')).map(clean).filter(fits).take(MAX_IDS).collect()
}

/// `rfc822; ada@example.com` or `utf-8; …` (RFC 3464 §2.3.1, RFC 6533 §3): the address.
fn typed_address(value: &str) -> Option<String> {
    let address = value.split_once(';').map_or(value, |(_, address)| address);
    addresses(address.as_bytes()).into_iter().next()
}

/// Texts of the form `uuid@domain` anywhere in `content`.
fn message_ids_of_our_form(content: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in content.match_indices('@').filter(|(at, _)| *at >= UUID_LENGTH) {
        let from = at - UUID_LENGTH;
        let Some(local) = content.get(from..at).filter(|local| send_id_in_token(local).is_some()) else { continue };
        let before = content[..from].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || "-_.+=".contains(c)) {
            continue;
        }
        let domain = content[at + 1..].split(|c: char| !(c.is_alphanumeric() || c == '.' || c == '-')).next();
        let domain = domain.unwrap_or_default().trim_end_matches('.');
        if !domain.is_empty() && found.len() < MAX_IDS {
            found.push(format!("{local}@{domain}"));
        }
    }
    found
}

fn add(list: &mut Vec<String>, item: String) {
    if list.len() < MAX_IDS && !list.contains(&item) {
        list.push(item);
    }
}
