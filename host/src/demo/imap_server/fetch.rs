//! The items of a FETCH (RFC 3501 §6.4.5) for one message.

use std::num::NonZeroU32;

use imap_codec::ResponseCodec;
use imap_codec::decode::Decoder as _;
use imap_codec::imap_types::core::{AString, Literal, NString};
use imap_codec::imap_types::fetch::{MessageDataItem, MessageDataItemName, Section};
use imap_codec::imap_types::flag::{Flag, FlagFetch};
use imap_codec::imap_types::response::{Data, Response};

use super::mailbox::{Given, StoredMessage};
use crate::domain::Timestamp;

/// What is no size.
const ENVELOPE: &str = r#"ENVELOPE (NIL NIL ((NIL NIL "a" "example.com")) NIL NIL NIL NIL NIL NIL NIL)"#;

/// The value of `name`, or `None` for an item that this server doesn't serve, or not at present.
pub(super) fn item(message: &StoredMessage, name: &MessageDataItemName<'_>) -> Option<MessageDataItem<'static>> {
    match message.given {
        Given::Refused if *name != MessageDataItemName::Uid => return None,
        Given::Garbled if *name == MessageDataItemName::Rfc822Size => return item_of(ENVELOPE),
        Given::Whole | Given::Refused | Given::Garbled => {}
    }
    let raw = &message.raw[..];
    Some(match name {
        MessageDataItemName::Uid => MessageDataItem::Uid(NonZeroU32::new(message.uid)?),
        MessageDataItemName::Rfc822Size => MessageDataItem::Rfc822Size(u32::try_from(raw.len()).unwrap_or(u32::MAX)),
        MessageDataItemName::InternalDate => internal_date(message.arrived)?,
        MessageDataItemName::Flags => {
            MessageDataItem::Flags(message.seen.then_some(FlagFetch::Flag(Flag::Seen)).into_iter().collect())
        }
        MessageDataItemName::Rfc822 => MessageDataItem::Rfc822(text(raw)?),
        MessageDataItemName::Rfc822Header => MessageDataItem::Rfc822Header(text(header_and_body(raw).0)?),
        MessageDataItemName::Rfc822Text => MessageDataItem::Rfc822Text(text(header_and_body(raw).1)?),
        MessageDataItemName::BodyExt { section, partial, .. } => {
            let whole = match section {
                None => raw.to_vec(),
                Some(Section::Header(None)) => header_and_body(raw).0.to_vec(),
                Some(Section::Text(None)) => header_and_body(raw).1.to_vec(),
                Some(Section::HeaderFields(None, names)) => header_fields(header_and_body(raw).0, names.as_ref()),
                Some(_) => return None,
            };
            let data = match partial {
                None => &whole[..],
                Some((from, length)) => part_of(&whole, *from, length.get()),
            };
            let section = section.clone().map(imap_codec::imap_types::IntoStatic::into_static);
            MessageDataItem::BodyExt { section, origin: partial.map(|(from, _)| from), data: text(data)? }
        }
        _ => return None,
    })
}

/// Whether fetching `name` sets `\Seen`.
pub(super) fn marks_seen(name: &MessageDataItemName<'_>) -> bool {
    matches!(
        name,
        MessageDataItemName::BodyExt { peek: false, .. }
            | MessageDataItemName::Rfc822
            | MessageDataItemName::Rfc822Text
    )
}

fn text(bytes: &[u8]) -> Option<NString<'static>> {
    Literal::try_from(bytes.to_vec()).ok().map(NString::from)
}

fn part_of(whole: &[u8], from: u32, length: u32) -> &[u8] {
    let from = usize::try_from(from).unwrap_or(usize::MAX).min(whole.len());
    let length = usize::try_from(length).unwrap_or(usize::MAX).min(whole.len() - from);
    &whole[from..from + length]
}

/// The header with its empty line, and what follows.
fn header_and_body(raw: &[u8]) -> (&[u8], &[u8]) {
    let end = raw.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
    raw.split_at(
        end.or_else(|| raw.windows(2).position(|window| window == b"\n\n").map(|at| at + 2)).unwrap_or(raw.len()),
    )
}

fn header_fields(header: &[u8], names: &[AString<'_>]) -> Vec<u8> {
    let mut fields = Vec::new();
    let mut wanted = false;
    for line in header.split_inclusive(|byte| *byte == b'\n') {
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default().trim_ascii();
            wanted = names.iter().any(|asked| asked.as_ref().eq_ignore_ascii_case(name));
        }
        if wanted {
            fields.extend_from_slice(line);
        }
    }
    fields.extend_from_slice(b"\r\n");
    fields
}

/// The codec's date can be made from another crate's type alone, so the codec reads it from text.
fn internal_date(at: Timestamp) -> Option<MessageDataItem<'static>> {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).ok()?.strftime("%d-%b-%Y %H:%M:%S +0000");
    item_of(&format!("INTERNALDATE \"{at}\""))
}

fn item_of(text: &str) -> Option<MessageDataItem<'static>> {
    let line = format!("* 1 FETCH ({text})\r\n");
    let (_, response) = ResponseCodec::default().decode_static(line.as_bytes()).ok()?;
    match response {
        Response::Data(Data::Fetch { items, .. }) => items.into_iter().next(),
        _ => None,
    }
}
