//! Reading an SMTP reply out of text: the three-digit code of RFC 5321 section 4.2 and the enhanced status of RFC 3463.
//! What they mean for an address is `bounce_class`'s business.

use std::fmt;

/// An enhanced status code such as `5.1.1` (RFC 3463 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnhancedStatus {
    /// 2 success, 4 temporary, 5 permanent.
    pub class: u8,
    /// What it is about: 1 address, 2 mailbox, 3 system, 4 network, 5 protocol, 6 content, 7 policy.
    pub subject: u16,
    /// The detail within the subject.
    pub detail: u16,
}

impl EnhancedStatus {
    /// The first status in `text` that stands by itself, so that neither an IP address nor a version number is one.
    ///
    /// ```
    /// use ampout_plugin::smtp_reply::EnhancedStatus;
    /// let status = EnhancedStatus::find("mx [192.0.2.5] said: 550-5.1.1 no such user");
    /// assert_eq!(status.map(|s| s.to_string()).as_deref(), Some("5.1.1"));
    /// ```
    #[must_use]
    pub fn find(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        (0..bytes.len()).find_map(|start| {
            if !matches!(bytes[start], b'2' | b'4' | b'5') {
                return None;
            }
            if stands_apart(bytes, start) { Self::at(&bytes[start..]) } else { None }
        })
    }

    /// Whether the status says nothing more than its class: `5.0.0`, `4.0.0`.
    #[must_use]
    pub fn is_bare(self) -> bool {
        self.subject == 0 && self.detail == 0
    }

    fn at(bytes: &[u8]) -> Option<Self> {
        let class = match bytes.first()? {
            digit @ (b'2' | b'4' | b'5') => digit - b'0',
            _ => return None,
        };
        let (subject, rest) = dotted_number(bytes.get(1..)?)?;
        let (detail, rest) = dotted_number(rest)?;
        let ends_here = match rest {
            [] => true,
            // A sentence may end right after the status; an IP address goes on with a digit.
            [b'.', next, ..] => !next.is_ascii_digit(),
            [b'.'] => true,
            rest => ends_word(rest),
        };
        ends_here.then_some(Self { class, subject, detail })
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// What the text of a reply says in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SmtpReply {
    /// The reply code, 200 to 599.
    pub code: Option<u16>,
    /// The enhanced status.
    pub status: Option<EnhancedStatus>,
}

impl SmtpReply {
    /// Reads a reply as servers, reports and webhooks quote it: `550 5.1.1 …`, `550-5.1.1 …`, `host x said: 550 …`,
    /// `smtp; 550 …`, `(550, b'5.1.1 …')`.
    ///
    /// ```
    /// use ampout_plugin::smtp_reply::SmtpReply;
    /// assert_eq!(SmtpReply::find("452 4.2.2 Mailbox full").code, Some(452));
    /// ```
    #[must_use]
    pub fn find(text: &str) -> Self {
        Self { code: find_code(text), status: EnhancedStatus::find(text) }
    }
}

/// One reply from the pieces in which a provider tells it, such as a code, a status and the words.
///
/// ```
/// use ampout_plugin::smtp_reply::joined;
/// assert_eq!(joined(&[Some("550".into()), None, Some("no such user".into())]), "550 no such user");
/// ```
#[must_use]
pub fn joined(pieces: &[Option<String>]) -> String {
    pieces.iter().flatten().map(|piece| piece.trim()).filter(|piece| !piece.is_empty()).collect::<Vec<_>>().join(" ")
}

fn find_code(text: &str) -> Option<u16> {
    let bytes = text.as_bytes();
    (0..bytes.len().saturating_sub(2)).find_map(|start| {
        let [class @ b'2'..=b'5', subject @ b'0'..=b'7', detail @ b'0'..=b'9'] = bytes[start..start + 3] else {
            return None;
        };
        // A code is followed by a space, a hyphen (RFC 5321 section 4.2.1) or punctuation, and by text or the end.
        (stands_apart(bytes, start) && ends_word(&bytes[start + 3..]))
            .then(|| u16::from(class - b'0') * 100 + u16::from(subject - b'0') * 10 + u16::from(detail - b'0'))
    })
}

fn dotted_number(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let [b'.', rest @ ..] = bytes else { return None };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || digits > 3 {
        return None;
    }
    let number = rest[..digits].iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    Some((number, &rest[digits..]))
}

/// Whether a number that starts here is no part of a longer word.
fn stands_apart(bytes: &[u8], start: usize) -> bool {
    match &bytes[..start] {
        [.., a, b, c] if is_wide_punctuation([*a, *b, *c]) => true,
        before => before.last().is_none_or(|byte| !is_word_byte(*byte)),
    }
}

/// Whether a word that ends before `rest` is no part of a longer one.
fn ends_word(rest: &[u8]) -> bool {
    match rest {
        [a, b, c, ..] if is_wide_punctuation([*a, *b, *c]) => true,
        rest => rest.first().is_none_or(|byte| !is_word_byte(*byte)),
    }
}

/// The colons, brackets and full stops of East Asian texts (Unicode's blocks of CJK symbols and of full-width forms).
fn is_wide_punctuation(character: [u8; 3]) -> bool {
    matches!(character, [0xe3, 0x80, _] | [0xef, 0xbc, 0x80..=0x8f | 0x9a..=0x9f])
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'@') || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, code: Option<u16>, status: Option<&str>) {
        let reply = SmtpReply::find(text);
        assert_eq!((reply.code, reply.status.map(|s| s.to_string()).as_deref()), (code, status), "in {text:?}");
    }

    #[test]
    fn replies_are_read_however_they_are_quoted() {
        check("550 5.1.1 <x@example.net>: User unknown", Some(550), Some("5.1.1"));
        check("550-5.7.26 This mail is unauthenticated", Some(550), Some("5.7.26"));
        check("smtp;550 #5.1.0 Address rejected", Some(550), Some("5.1.0"));
        check("host mx.example.net[192.0.2.25] said: 452 4.2.2. Full", Some(452), Some("4.2.2"));
        check("(550, b'5.2.2 quota')", Some(550), Some("5.2.2"));
        check("原因：550（用户不存在，5.1.1）", Some(550), Some("5.1.1"));
        check("Mailbox full (#5.2.2)", None, Some("5.2.2"));
    }

    #[test]
    fn numbers_that_are_no_replies_are_left_alone() {
        check("see 5.1.1.1 and v5.1.1 and 10.5.1.1", None, None);
        check("user250@example.net waited 3000 s, 980 times", None, None);
        check("", None, None);
        check("55", None, None);
    }
}
