//! From a reply's lines to what the rules read: code, enhanced code, text.

use super::wire::RawReply;
use crate::domain::smtp_reply::Reply;

/// The longest text that is kept of a reply, in characters.
const MAX_TEXT_CHARS: usize = 1000;

impl RawReply {
    /// The reply, with the enhanced code (RFC 2034) of the first line that has one of the reply's own class.
    pub(super) fn into_reply(self) -> Reply {
        let mut enhanced = None;
        let mut words = Vec::with_capacity(self.lines.len());
        for line in &self.lines {
            let (code, text) = split_enhanced(self.code, line);
            enhanced = enhanced.or(code);
            words.push(text);
        }
        let text = words.join(" ").trim().chars().take(MAX_TEXT_CHARS).collect();
        Reply { code: self.code, enhanced: enhanced.map(str::to_owned), text }
    }

    pub(super) fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }
}

fn split_enhanced(code: u16, line: &str) -> (Option<&str>, &str) {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    if is_enhanced_code(code, first) { (Some(first), rest) } else { (None, line) }
}

/// RFC 3463 §2: class, subject and detail, the latter two of at most three digits.
fn is_enhanced_code(code: u16, word: &str) -> bool {
    let mut parts = word.split('.');
    let class_fits = parts.next().and_then(|class| class.parse().ok()) == Some(code / 100);
    let is_number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    class_fits && parts.clone().count() == 2 && parts.all(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: u16, lines: &[&str], expected: (Option<&str>, &str)) {
        let reply = RawReply { code, lines: lines.iter().map(|line| (*line).to_owned()).collect() }.into_reply();
        assert_eq!((reply.code, reply.enhanced.as_deref(), reply.text.as_str()), (code, expected.0, expected.1));
    }

    #[test]
    fn the_enhanced_code_leaves_the_text() {
        check(250, &["2.0.0 OK"], (Some("2.0.0"), "OK"));
        check(550, &["5.1.1 no such", "5.1.1 user"], (Some("5.1.1"), "no such user"));
        check(550, &["first", "5.7.26 second"], (Some("5.7.26"), "first second"));
        check(550, &["5.1.1"], (Some("5.1.1"), ""));
    }

    #[test]
    fn what_only_looks_like_one_stays_text() {
        check(550, &["4.2.2 other class"], (None, "4.2.2 other class"));
        check(550, &["5.1 short"], (None, "5.1 short"));
        check(550, &["5.1.1000 long"], (None, "5.1.1000 long"));
        check(550, &["192.0.2.1 blocked"], (None, "192.0.2.1 blocked"));
        check(250, &[""], (None, ""));
    }
}
