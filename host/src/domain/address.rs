//! Email addresses, parsed once at the door (RFC 5321 §4.5.3.1 limits, IDNA for the domain).

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use unicode_normalization::UnicodeNormalization as _;

/// An address that a mail server could take: `local@domain`, the domain in lower-case ASCII (IDNA).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress {
    // One piece of memory: an import holds tens of thousands of them.
    written: Box<str>,
    domain_at: usize,
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Nothing, or only blanks.
    #[error("the address is empty")]
    Empty,
    /// No `@`.
    #[error("{given:?} has no @; write local@domain")]
    NoAt {
        /// What was given.
        given: String,
    },
    /// The part before the `@` is empty, over 64 octets, or has characters that need quoting.
    #[error("{given:?} has a local part that mail servers do not take")]
    BadLocal {
        /// What was given.
        given: String,
    },
    /// The part after the `@` is no host name.
    #[error("{given:?} has a domain that is no host name")]
    BadDomain {
        /// What was given.
        given: String,
    },
    /// RFC 5321 §4.5.3.1.3: a path has 256 octets with its brackets.
    #[error("the address is longer than 254 octets")]
    TooLong,
}

/// No address of 254 octets is longer as it is written. Making ASCII of a label costs the square of its length, so what is
/// longer is not even tried.
const LONGEST_WRITTEN: usize = 1024;

impl EmailAddress {
    /// Parses `text` after trimming. The local part keeps its case, and its letters are composed (RFC 6532 §3.1), so that one
    /// address is not two; the domain becomes lower-case ASCII.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        let text = text.trim();
        if text.is_empty() {
            return Err(BadAddress::Empty);
        }
        if text.len() > LONGEST_WRITTEN {
            return Err(BadAddress::TooLong);
        }
        let given = || text.chars().take(80).collect::<String>();
        let (local, domain) = text.rsplit_once('@').ok_or_else(|| BadAddress::NoAt { given: given() })?;
        let local = if local.is_ascii() { Cow::Borrowed(local) } else { Cow::Owned(local.nfc().collect()) };
        if !is_dot_atom(&local) || local.len() > 64 {
            return Err(BadAddress::BadLocal { given: given() });
        }
        let domain = idna::domain_to_ascii_strict(domain).map_err(|_| BadAddress::BadDomain { given: given() })?;
        let labels_fit = domain.split('.').all(|label| !label.is_empty() && label.len() <= 63);
        let numeric_tld = domain.rsplit('.').next().is_some_and(|tld| tld.bytes().all(|b| b.is_ascii_digit()));
        if !labels_fit || !domain.contains('.') || numeric_tld || domain.len() > 253 {
            return Err(BadAddress::BadDomain { given: given() });
        }
        if local.len() + 1 + domain.len() > 254 {
            return Err(BadAddress::TooLong);
        }
        Ok(Self { written: format!("{local}@{domain}").into(), domain_at: local.len() + 1 })
    }

    /// The domain, lower-case ASCII.
    pub fn domain(&self) -> &str {
        &self.written[self.domain_at..]
    }

    /// The part before the `@`, as it was written.
    pub fn local(&self) -> &str {
        &self.written[..self.domain_at - 1]
    }

    /// What addresses are compared by: all in lower case.
    pub fn key(&self) -> String {
        self.written.to_lowercase()
    }

    /// How their keys compare, which are not made for it where they are ASCII.
    pub fn cmp_keys(&self, other: &Self) -> Ordering {
        if !self.written.is_ascii() || !other.written.is_ascii() {
            return self.key().cmp(&other.key());
        }
        let [ours, theirs] = [self, other].map(|address| address.written.bytes().map(|byte| byte.to_ascii_lowercase()));
        ours.cmp(theirs)
    }
}

/// The key of an address that is stored already. One that an earlier version took and this one would not is compared as it
/// stands.
pub fn key_of(stored: &str) -> String {
    EmailAddress::parse(stored).map_or_else(|_| stored.to_lowercase(), |address| address.key())
}

/// The domain in an [`EmailAddress::key`]; empty for what is none, as the id that stands in a deleted contact's place is.
pub fn domain_of_key(key: &str) -> &str {
    key.rsplit_once('@').map_or("", |(_, domain)| domain)
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// RFC 5322 dot-atom, and UTF-8 (RFC 6531) beside ASCII. Quoted local parts are legal and never seen on a person.
fn is_dot_atom(local: &str) -> bool {
    let atom = |c: char| {
        c.is_ascii_alphanumeric()
            || "!#$%&'*+-/=?^_`{|}~".contains(c)
            // Letters and digits: what else there is, invisible characters among it, stands in no header.
            || (!c.is_ascii() && c.is_alphanumeric())
    };
    !local.is_empty() && local.split('.').all(|part| !part.is_empty() && part.chars().all(atom))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let parsed = EmailAddress::parse(text).map(|a| a.to_string()).map_err(|e| e.to_string());
        match expected {
            Ok(address) => assert_eq!(parsed.as_deref(), Ok(address)),
            Err(part) => assert!(parsed.clone().unwrap_err().contains(part), "{parsed:?}"),
        }
    }

    #[test]
    fn addresses_are_trimmed_and_their_domains_made_ascii() {
        check(" Ada@Example.ORG ", Ok("Ada@example.org"));
        check("jörg@bücher.example", Ok("jörg@xn--bcher-kva.example"));
        check("o'brien+tag@mail.example.co.uk", Ok("o'brien+tag@mail.example.co.uk"));
    }

    #[test]
    fn the_longest_parts_are_taken_and_one_octet_more_is_not() {
        let label = "d".repeat(63);
        let domain = format!("{label}.{label}.{}", "e".repeat(61));
        let longest = format!("{}@{domain}", "a".repeat(64));
        assert_eq!(longest.len(), 254);
        check(&longest, Ok(&longest));
        check(&format!("{longest}e"), Err("254 octets"));
        check(&format!("a@{label}d.example"), Err("host name"));
        check(&format!("a@{}.example", "ü".repeat(60)), Err("host name"));
        check(&format!("a@{}.example", "ü".repeat(100_000)), Err("254 octets"));
        check(&format!("{}@example.org", "ü".repeat(33)), Err("local part"));
    }

    #[test]
    fn addresses_that_differ_in_case_or_script_are_one() {
        let key = |text| EmailAddress::parse(text).unwrap().key();
        assert_eq!(key("JÖRG@BÜCHER.example"), key("jörg@xn--bcher-kva.EXAMPLE"));
        assert_ne!(key("ada@example.org"), key("ada@mail.example.org"));
        assert_eq!(key("ju\u{308}rg@b.example"), key("jürg@b.example"));
    }

    #[test]
    fn addresses_stand_in_the_order_of_their_keys() {
        let all =
            ["B@x.test", "a@x.test", "a.b@x.test", "a-b@x.test", "A@x.test", "JÖRG@x.test", "jörg@x.test", "a@y.test"];
        let all = all.map(|text| EmailAddress::parse(text).unwrap());
        for (one, other) in all.iter().flat_map(|one| all.iter().map(move |other| (one, other))) {
            assert_eq!(one.cmp_keys(other), one.key().cmp(&other.key()), "{one} and {other}");
        }
    }

    #[test]
    fn what_no_server_takes_is_refused_with_its_reason() {
        check("  ", Err("empty"));
        check("ada.example.org", Err("no @"));
        check("a..b@example.org", Err("local part"));
        check(&format!("{}@example.org", "a".repeat(65)), Err("local part"));
        check("a b@example.org", Err("local part"));
        check("ada@localhost", Err("host name"));
        check("ada@example..org", Err("host name"));
        check("ada@127.0.0.1", Err("host name"));
        check("ada@exa\u{0}mple.org", Err("host name"));
        check("ada\r\nBcc: x@example.org", Err("local part"));
        for invisible in
            ['\u{200b}', '\u{feff}', '\u{ad}', '\u{202e}', '\u{fe0f}', '\u{e0001}', '\u{3002}', '\u{1f600}']
        {
            check(&format!("ada{invisible}@example.org"), Err("local part"));
        }
    }
}
