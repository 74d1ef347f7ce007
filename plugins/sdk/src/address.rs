//! Finding mail addresses in text that people and servers wrote. Knows nothing of headers or reports.

/// More than this many addresses are never collected from one text.
const MOST_ADDRESSES: usize = 256;

/// The longest address that RFC 5321 section 4.5.3.1 lets travel: 64 for the local part, 255 for the domain, and the `@`.
const LONGEST_ADDRESS: usize = 320;

/// Every address in `text`, in order, each once, with its domain in lower case.
///
/// ```
/// use ampout_plugin::address::addresses_in;
/// assert_eq!(addresses_in("to <Ana@Example.COM>, bo@example.net."), ["Ana@example.com", "bo@example.net"]);
/// ```
#[must_use]
pub fn addresses_in(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for address in candidates(text) {
        if !found.contains(&address) {
            found.push(address);
        }
        if found.len() == MOST_ADDRESSES {
            break;
        }
    }
    found
}

/// The first address in `text`, with its domain in lower case.
#[must_use]
pub fn first_address(text: &str) -> Option<String> {
    candidates(text).next()
}

/// Whether two addresses are one for our purposes: compared without regard to case, as every large provider does.
#[must_use]
pub fn same_address(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
}

/// A Message-ID without its angle brackets and the white space around them; nothing when empty.
#[must_use]
pub fn bare_message_id(value: &str) -> Option<String> {
    let bare = value.trim().trim_start_matches('<').trim_end_matches('>').trim();
    (!bare.is_empty()).then(|| bare.to_owned())
}

fn candidates(text: &str) -> impl Iterator<Item = String> {
    text.match_indices('@').filter_map(|(at, _)| address_around(text, at))
}

fn address_around(text: &str, at: usize) -> Option<String> {
    let local_start = text[..at].char_indices().rev().take_while(|(_, c)| in_local_part(*c)).last()?.0;
    let domain_end = text[at + 1..].find(|c: char| !in_domain(c)).map_or(text.len(), |end| at + 1 + end);
    let local = text[local_start..at].trim_start_matches(['.', '\'']);
    let domain = text[at + 1..domain_end].trim_end_matches(['.', '-', '_']);
    let labels_are_sound = domain.split('.').all(|label| !label.is_empty() && !label.starts_with('-'));
    if local.is_empty() || !domain.contains('.') || !labels_are_sound || local.len() + domain.len() >= LONGEST_ADDRESS {
        return None;
    }
    Some(format!("{local}@{}", domain.to_lowercase()))
}

fn in_local_part(c: char) -> bool {
    // RFC 5322 section 3.2.3: the characters of atoms, and the dot.
    let is_special = matches!(
        c,
        '!' | '#'
            | '$'
            | '%'
            | '&'
            | '\''
            | '*'
            | '+'
            | '-'
            | '/'
            | '='
            | '?'
            | '^'
            | '_'
            | '`'
            | '{'
            | '|'
            | '}'
            | '~'
            | '.'
    );
    is_special || c.is_alphanumeric()
}

fn in_domain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '.' | '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(addresses_in(text), expected, "in {text:?}");
    }

    #[test]
    fn addresses_are_found_in_what_servers_write() {
        check("<Bob.O'Neil+x@Mail.Example.COM>:", &["Bob.O'Neil+x@mail.example.com"]);
        check("RCPT TO:<a@example.com>... then a@example.com again", &["a@example.com"]);
        check("jörg@bücher.example", &["jörg@bücher.example"]);
        check("(mailto:x@example.org)", &["x@example.org"]);
    }

    #[test]
    fn what_only_looks_like_one_is_left_alone() {
        check("@ a@ @b a@b a@.com a@b..com", &[]);
        check("user@localhost", &[]);
        check(&format!("{}@example.com", "a".repeat(400)), &[]);
    }

    #[test]
    fn message_ids_lose_their_brackets() {
        assert_eq!(bare_message_id(" <a@b> ").as_deref(), Some("a@b"));
        assert_eq!(bare_message_id("<>"), None);
    }
}
