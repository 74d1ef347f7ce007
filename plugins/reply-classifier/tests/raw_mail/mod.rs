//! Raw mail to the record that the classifier is given. The host has its own; this one serves the corpus alone.

use ampout_plugin::{Header, Message, Part};
use mail_parser::{MessageParser, MimeHeaders, PartType};

const MOST_TEXT: usize = 64 * 1024;

/// The classifier's record of a raw mail; an mbox separator line before it is left out.
pub(crate) fn message_of(raw: &[u8]) -> Message {
    let raw = match raw.strip_prefix(b"From ") {
        Some(_) => raw.iter().position(|byte| *byte == b'\n').map_or(raw, |end| &raw[end + 1..]),
        None => raw,
    };
    let mut message = Message { received_at: "2026-11-23T08:00:00.000Z".to_owned(), ..Message::default() };
    let Some(mail) = MessageParser::default().parse(raw) else {
        message.text = clip(&String::from_utf8_lossy(raw));
        return message;
    };
    message.headers = headers_of(&mail, raw);
    message.raw_headers = raw[..(mail.root_part().offset_body as usize).min(raw.len())].to_vec();
    message.subject = mail.subject().unwrap_or_default().to_owned();
    message.sender = mail.from().and_then(|from| from.first()).and_then(|from| from.address()).map(str::to_owned);
    message.return_path = message.header("return-path").map(|path| path.trim_matches(['<', '>', ' ']).to_owned());
    for list in [mail.to(), mail.cc()].into_iter().flatten() {
        message.recipients.extend(list.iter().filter_map(|one| one.address()).map(str::to_owned));
    }
    let texts: Vec<_> = (0..mail.text_body_count()).filter_map(|index| mail.body_text(index)).collect();
    message.text = clip(&texts.join("\n"));
    collect_parts(&mail, &mut message.parts, 0);
    message
}

fn headers_of(mail: &mail_parser::Message<'_>, raw: &[u8]) -> Vec<Header> {
    let value_of = |header: &mail_parser::Header<'_>| match header.value.as_text() {
        Some(text) => text.to_owned(),
        None => {
            let (start, end) = (header.offset_start() as usize, header.offset_end() as usize);
            String::from_utf8_lossy(raw.get(start..end).unwrap_or_default()).replace(['\r', '\n'], "").trim().to_owned()
        }
    };
    mail.headers().iter().map(|header| Header { name: header.name().to_owned(), value: value_of(header) }).collect()
}

fn collect_parts(mail: &mail_parser::Message<'_>, parts: &mut Vec<Part>, depth: usize) {
    for part in &mail.parts {
        let content_type = part
            .content_type()
            .map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()).to_ascii_lowercase())
            .unwrap_or_default();
        match content_type.as_str() {
            "message/delivery-status"
            | "message/global-delivery-status"
            | "message/feedback-report"
            | "message/disposition-notification"
            | "text/rfc822-headers"
            | "text/rfc822-header" => {
                let content = clip(&String::from_utf8_lossy(part.contents()));
                parts.push(Part { content_type, content });
            }
            // As the host does: some systems label a delivery status as text.
            "text/plain" if part.contents().trim_ascii_start().starts_with(b"Reporting-MTA:") => {
                let content = clip(&String::from_utf8_lossy(part.contents()));
                parts.push(Part { content_type: "message/delivery-status".to_owned(), content });
            }
            _ => {}
        }
        if let PartType::Message(inner) = &part.body {
            let end = (inner.root_part().offset_body as usize).min(inner.raw_message.len());
            let start = (inner.root_part().offset_header as usize).min(end);
            let content = clip(&String::from_utf8_lossy(&inner.raw_message[start..end]));
            parts.push(Part { content_type: "message/rfc822".to_owned(), content });
            if depth < 3 {
                collect_parts(inner, parts, depth + 1);
            }
        }
    }
}

fn clip(text: &str) -> String {
    let mut end = text.len().min(MOST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
