//! The structure of a message: header fields, multiparts, and the parts that machines wrote (RFC 2045, 2046, 6522).
//!
//! It is read leniently, because bounces are written by anybody, and with limits on depth and number, because they are
//! sent by anybody: a message of a few megabytes can nest itself a hundred thousand times.

use std::borrow::Cow;

use super::decode::{ContentType, charset_decoded, content_type, transfer_decoded, without_nul};
use crate::extensions::hooks::reply::Part;
use crate::html_text;

/// What any text or part may hold.
pub(super) const MAX_TEXT_BYTES: usize = 64 << 10;
const MAX_HEADERS: usize = 1_000;
const MAX_DEPTH: usize = 12;
const MAX_ENTITIES: usize = 300;
const MAX_MACHINE_PARTS: usize = 24;
const MAX_HTML_PARTS: usize = 4;

/// A header and what follows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entity<'a> {
    /// The header block without its empty line.
    pub(super) header_block: &'a [u8],
    pub(super) body: &'a [u8],
}

/// A header field as it stands, folded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a [u8],
}

/// What a message holds for us.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) text: String,
    /// Whether there was more text than is kept.
    pub(super) text_truncated: bool,
    pub(super) parts: Vec<Part>,
    /// Whether there were more parts than are kept.
    pub(super) parts_left_out: bool,
    entities: usize,
    html_parts: usize,
}

/// Where in the tree a part stands.
#[derive(Clone, Copy)]
struct Place {
    depth: usize,
    /// Whether text here is the sender's own.
    collects_text: bool,
    /// Parts of a digest are messages unless they say otherwise (RFC 2046 §5.1.5).
    in_digest: bool,
}

/// The longest beginning of `text` that has at most `bytes` bytes and ends between characters.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// A message as the rest reads it: without the line of an mbox in front, and with line feeds where only carriage returns
/// end its lines.
pub(super) fn tidy(raw: &[u8]) -> Cow<'_, [u8]> {
    let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let mut raw = &raw[raw.iter().take_while(|byte| is_line_end(byte)).count()..];
    if raw.starts_with(b"From ") || raw.starts_with(b">From ") {
        let line = raw.iter().position(is_line_end).unwrap_or(raw.len());
        raw = &raw[line..];
        raw = raw
            .strip_prefix(b"\r\n")
            .or_else(|| raw.strip_prefix(b"\n"))
            .or_else(|| raw.strip_prefix(b"\r"))
            .unwrap_or(raw);
    }
    if raw.contains(&b'\n') || !raw.contains(&b'\r') {
        return Cow::Borrowed(raw);
    }
    Cow::Owned(raw.iter().map(|byte| if *byte == b'\r' { b'\n' } else { *byte }).collect())
}

impl<'a> Entity<'a> {
    /// Splits at the first empty line. Without one, all is header.
    pub(super) fn split(raw: &'a [u8]) -> Self {
        let mut at = 0;
        for line in raw.split_inclusive(|byte| *byte == b'\n') {
            if matches!(line, b"\n" | b"\r\n") {
                return Self { header_block: &raw[..at], body: &raw[at + line.len()..] };
            }
            at += line.len();
        }
        Self { header_block: raw, body: &[] }
    }

    /// The header fields in their order. Lines that are none are passed over.
    pub(super) fn fields(&self) -> Vec<Field<'a>> {
        let block = self.header_block;
        let mut fields: Vec<Field<'a>> = Vec::new();
        let mut at = 0;
        // Where the last field's value began, while lines go on with it.
        let mut value_from = None;
        for line in block.split_inclusive(|byte| *byte == b'\n') {
            let next = at + line.len();
            if line.starts_with(b" ") || line.starts_with(b"\t") {
                if let (Some(from), Some(field)) = (value_from, fields.last_mut()) {
                    field.value = &block[from..next];
                }
            } else if let Some((name, colon)) = field_name(line) {
                if fields.len() == MAX_HEADERS {
                    break;
                }
                let from = at + colon + 1;
                fields.push(Field { name, value: &block[from..next] });
                value_from = Some(from);
            } else {
                value_from = None;
            }
            at = next;
        }
        fields
    }
}

impl Content {
    /// Reads all of a message's parts.
    pub(super) fn of(message: Entity<'_>) -> Self {
        let mut content = Self::default();
        content.walk(message, Place { depth: 0, collects_text: true, in_digest: false });
        content
    }

    fn walk(&mut self, entity: Entity<'_>, place: Place) {
        self.entities += 1;
        if place.depth > MAX_DEPTH || self.entities > MAX_ENTITIES {
            self.parts_left_out = true;
            return;
        }
        let fields = entity.fields();
        let field = |name: &str| fields.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        let stated = field("Content-Type").and_then(|field| content_type(field.value));
        let is_stated = stated.is_some();
        let kind = stated.unwrap_or_else(|| ContentType {
            media: if place.in_digest { "message/rfc822" } else { "text/plain" }.to_owned(),
            ..ContentType::default()
        });
        let attached = field("Content-Disposition")
            .is_some_and(|field| field.value.trim_ascii_start().to_ascii_lowercase().starts_with(b"attachment"));

        if kind.media.starts_with("multipart/") {
            let parts = kind.boundary.as_deref().map(|boundary| split_multipart(entity.body, boundary));
            if let Some(parts) = parts.filter(|parts| !parts.is_empty()) {
                return self.walk_multipart(&kind.media, &parts, place);
            }
            let (before, parts) = parts_by_guess(entity.body);
            // What stands outside of all parts, or in a multipart without any, is text to a reader.
            self.leaf(before, &ContentType::default(), place, attached);
            return self.walk_multipart(&kind.media, &parts, place);
        }
        if !is_stated {
            // Some gateways lose the Content-Type of a report and leave its parts. Others write text, and return a message
            // with parts below it.
            let (before, parts) = parts_by_guess(entity.body);
            if parts.len() > 1 {
                self.leaf(before, &ContentType::default(), place, attached);
                return self.walk_multipart("multipart/mixed", &parts, place);
            }
        }
        let encoding = field("Content-Transfer-Encoding").map(|field| String::from_utf8_lossy(field.value));
        let body = transfer_decoded(entity.body, &encoding.unwrap_or_default());
        match kind.media.as_str() {
            "message/rfc822" | "message/global" | "message/news" => self.returned_message(&body, place),
            // The first piece of a message in pieces begins with that message's own header (RFC 2046 §5.2.2).
            "message/partial" => self.walk(Entity::split(&body), place.below()),
            _ => self.leaf(&body, &kind, place, attached),
        }
    }

    fn walk_multipart(&mut self, media: &str, parts: &[&[u8]], place: Place) {
        let below = Place { in_digest: media == "multipart/digest", ..place.below() };
        if media != "multipart/alternative" {
            for part in parts {
                self.walk(Entity::split(part), below);
            }
            return;
        }
        // The same text in several forms: the first that says anything is taken, and plain text comes first.
        let before = self.text.len();
        for part in parts {
            let said_nothing = self.text[before..].trim().is_empty();
            self.walk(Entity::split(part), Place { collects_text: below.collects_text && said_nothing, ..below });
        }
    }

    /// A message inside: its header block is a fact, and what machines wrote inside it counts too, wherever it stands.
    fn returned_message(&mut self, body: &[u8], place: Place) {
        let body = tidy(body);
        let inner = Entity::split(&body);
        self.machine_part("message/rfc822", &String::from_utf8_lossy(inner.header_block));
        self.walk(inner, Place { collects_text: false, ..place.below() });
    }

    fn leaf(&mut self, body: &[u8], kind: &ContentType, place: Place, attached: bool) {
        if let Some(media) = machine_media(&kind.media, body) {
            return self.machine_part(media, &charset_decoded(body, kind.charset.as_deref()));
        }
        if attached || !place.collects_text {
            return;
        }
        match kind.media.as_str() {
            "text/html" | "application/xhtml+xml" => {
                self.html_parts += 1;
                if self.html_parts <= MAX_HTML_PARTS {
                    self.add_text(&html_text::of_mail(&charset_decoded(body, kind.charset.as_deref())));
                }
            }
            media if media.is_empty() || media.starts_with("text/") => {
                self.add_text(&charset_decoded(body, kind.charset.as_deref()));
            }
            _ => {}
        }
    }

    fn machine_part(&mut self, media: &str, content: &str) {
        if self.parts.len() == MAX_MACHINE_PARTS {
            self.parts_left_out = true;
            return;
        }
        let content = without_nul(cut(content, MAX_TEXT_BYTES)).replace("\r\n", "\n");
        self.parts.push(Part { content_type: media.to_owned(), content });
    }

    fn add_text(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace(['\r', '\0'], "\n");
        if text.trim().is_empty() {
            return;
        }
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        let kept = cut(&text, MAX_TEXT_BYTES.saturating_sub(self.text.len()));
        self.text_truncated |= kept.len() < text.len();
        self.text.push_str(kept);
    }
}

impl Place {
    fn below(self) -> Self {
        Self { depth: self.depth + 1, in_digest: false, ..self }
    }
}

/// What machines write: by its media type, or by its first line where the type is wrong. Some systems label a delivery
/// status as text, or put it into a container of another name.
fn machine_media(media: &str, body: &[u8]) -> Option<&'static str> {
    let first = body.trim_ascii_start();
    let begins =
        |start: &str| first.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start.as_bytes()));
    match media {
        "message/delivery-status" => Some("message/delivery-status"),
        "message/global-delivery-status" => Some("message/global-delivery-status"),
        "message/feedback-report" => Some("message/feedback-report"),
        "message/disposition-notification" | "message/global-disposition-notification" => {
            Some("message/disposition-notification")
        }
        "text/rfc822-headers" | "text/rfc822-header" | "message/rfc822-headers" | "message/global-headers" => {
            Some("text/rfc822-headers")
        }
        "text/plain" | "application/octet-stream" | "" => {
            const STATUS_STARTS: [&str; 3] = ["Reporting-MTA:", "Final-Recipient:", "Original-Envelope-Id:"];
            if STATUS_STARTS.iter().any(|start| begins(start)) {
                return Some("message/delivery-status");
            }
            begins("Feedback-Type:").then_some("message/feedback-report")
        }
        _ => None,
    }
}

/// The parts between the boundary lines. Without a closing boundary the last part goes to the end.
fn split_multipart<'a>(body: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let boundary = boundary.trim_end().as_bytes();
    let mut parts = Vec::new();
    if boundary.is_empty() {
        return parts;
    }
    let (mut at, mut part_from) = (0, None);
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        // An inner boundary may begin like this one, so nothing else may follow on the line. Some gateways indent it.
        let rest = line
            .trim_ascii_start()
            .strip_prefix(b"--")
            .and_then(|line| line.strip_prefix(boundary))
            .map(<[u8]>::trim_ascii);
        if let Some(rest @ (b"" | b"--")) = rest {
            if let Some(from) = part_from {
                parts.push(without_last_line_end(&body[from..at]));
            }
            if rest == b"--" || parts.len() >= MAX_ENTITIES {
                return parts;
            }
            part_from = Some(at + line.len());
        }
        at += line.len();
    }
    parts.extend(part_from.map(|from| &body[from..]));
    parts
}

/// The parts of a body whose boundary is not the one that was stated: behind the first line of dashes that a `Content-…`
/// field follows. Before them what stands above that line: all of the body where there is none.
fn parts_by_guess(body: &[u8]) -> (&[u8], Vec<&[u8]>) {
    let mut at = 0;
    let mut lines = body.split_inclusive(|byte| *byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let next_begins = lines.peek().and_then(|next| next.get(..8)).unwrap_or_default();
        if let Some(boundary) = line.strip_prefix(b"--").filter(|_| next_begins.eq_ignore_ascii_case(b"Content-")) {
            let name = std::str::from_utf8(boundary.trim_ascii_end()).unwrap_or_default();
            return match split_multipart(&body[at..], name) {
                parts if parts.is_empty() => (body, parts),
                parts => (&body[..at], parts),
            };
        }
        at += line.len();
    }
    (body, Vec::new())
}

/// The line end before a boundary belongs to the boundary (RFC 2046 §5.1.1).
fn without_last_line_end(part: &[u8]) -> &[u8] {
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    part.strip_suffix(b"\r").unwrap_or(part)
}

/// The name of the field that begins on this line, and where its colon stands.
fn field_name(line: &[u8]) -> Option<(&str, usize)> {
    const LONGEST_NAME: usize = 200;
    let colon = line.iter().take(LONGEST_NAME).position(|byte| *byte == b':')?;
    let name = line[..colon].trim_ascii_end();
    let fits = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    let name = std::str::from_utf8(name).ok().filter(|_| fits)?;
    Some((name, colon))
}
