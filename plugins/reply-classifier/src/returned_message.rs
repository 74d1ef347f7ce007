//! The headers of the message that a report returns, wherever the reporter put them.

use ampout_plugin::Message;
use ampout_plugin::address::addresses_in;

const HEADER_PARTS: [&str; 3] = ["message/rfc822", "text/rfc822-headers", "text/rfc822-header"];

/// A header of the returned message, unfolded; the name is given in lower case.
pub(crate) fn header(message: &Message, name: &str) -> Option<String> {
    HEADER_PARTS.iter().flat_map(|kind| message.parts_of_type(kind)).find_map(|block| header_in(block, name))
}

/// Whether what is attached is a report itself (RFC 6522).
pub(crate) fn is_report(message: &Message) -> bool {
    let mut attached = message.parts_of_type("message/rfc822");
    attached.any(|block| header_in(block, "content-type").is_some_and(|kind| names_a_report(&kind)))
}

fn names_a_report(content_type: &str) -> bool {
    content_type
        .trim_start()
        .get(.."multipart/report".len())
        .is_some_and(|it| it.eq_ignore_ascii_case("multipart/report"))
}

/// The address that the returned message was sent to, when it was sent to one.
pub(crate) fn only_recipient(message: &Message) -> Option<String> {
    let to = addresses_in(&header(message, "to")?);
    match to.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}

/// A header in a block of headers as it stands in a mail.
pub(crate) fn header_in(block: &str, name: &str) -> Option<String> {
    let mut lines = block.lines();
    let first = lines.by_ref().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim_end().eq_ignore_ascii_case(name).then_some(value)
    })?;
    let mut value = first.trim().to_owned();
    for folded in lines.take_while(|line| line.starts_with([' ', '\t'])) {
        value.push(' ');
        value.push_str(folded.trim());
    }
    Some(value)
}
