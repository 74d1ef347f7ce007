//! What the writer of a message wrote, without what was quoted below it.

use std::ops::ControlFlow;

use ampout_plugin::text::{clip, fold, fold_lines};

use crate::bounce_words::{IN_TEXTS, RETURNED, RETURNED_HEADER};
use crate::quotes;

/// Only the beginning of a text is read.
const LONGEST_TEXT: usize = 16 * 1024;

/// The returned message mostly begins within so many bytes.
const FIRST_LOOK: usize = 2 * 1024;

/// Only the beginning of what a person wrote is searched for words.
const LONGEST_REPLY: usize = 4 * 1024;

/// What a mail system wrote above the message that it returns.
#[derive(Debug, Default)]
pub(crate) struct SystemWords<'a> {
    /// As it stands.
    pub(crate) own: &'a str,
    /// The rest.
    pub(crate) returned: &'a str,
    /// The own words, folded.
    pub(crate) folded: String,
    /// What of `bounce_words` stands in them.
    pub(crate) marks: u32,
}

impl<'a> SystemWords<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let text = clip(text, LONGEST_TEXT);
        // Most systems need a few lines, and return a long message below them that need not be folded.
        if text.len() > FIRST_LOOK {
            let beginning = clip(text, FIRST_LOOK);
            let beginning = beginning.rfind('\n').map_or("", |end| &beginning[..=end]);
            let looked = Self::in_beginning(text, beginning);
            if looked.own.len() < beginning.len() {
                return looked;
            }
        }
        Self::in_beginning(text, text)
    }

    /// What is found in the beginning of a text; all of it is the system's own where nothing else begins there.
    fn in_beginning(text: &'a str, beginning: &str) -> Self {
        let mut folded = fold_lines(beginning);
        let (mut marks, mut end) = (0, None);
        IN_TEXTS.each_in(&folded, |found| {
            if found.marks & (RETURNED | RETURNED_HEADER) == 0 {
                marks |= found.marks;
                return ControlFlow::Continue(());
            }
            // `The original message was received at …` and `The MTS-ID of the original message is: …` tell of it only.
            if folded[found.end..].starts_with(" was received") || folded[found.end..].starts_with(" is: ") {
                return ControlFlow::Continue(());
            }
            let line = folded[..found.start].rfind('\n').map_or(0, |end| end + 1);
            let is_first_line = folded[..line].trim().is_empty();
            // A returned header may be quoted or indented.
            let begins_line = || folded[line..found.start].bytes().all(|byte| matches!(byte, b'>' | b' ' | b'|'));
            if !is_first_line && (found.marks & RETURNED != 0 || begins_line()) {
                end = Some(line);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        let Some(end) = end else { return Self { own: text, returned: "", folded, marks } };
        // Folding keeps the ends of lines.
        let lines = folded[..end].bytes().filter(|byte| *byte == b'\n').count();
        let start = text.match_indices('\n').nth(lines.saturating_sub(1)).map_or(0, |(at, _)| at + 1);
        folded.truncate(end);
        let (own, returned) = text.split_at(start);
        Self { own, returned, folded, marks }
    }

    pub(crate) fn have(&self, marks: u32) -> bool {
        self.marks & marks != 0
    }
}

/// The words of a reply above what it quotes.
#[derive(Debug, Default)]
pub(crate) struct ReplyWords {
    /// Folded, a line each, without empty lines.
    pub(crate) text: String,
    /// Whether an earlier message is quoted beside them.
    pub(crate) quote: bool,
    /// Where lines begin that follow an empty one.
    paragraphs: Vec<usize>,
    /// Where the line stands that separates a signature, if one does (RFC 3676 section 4.3).
    signature: Option<usize>,
}

impl ReplyWords {
    pub(crate) fn of(text: &str) -> Self {
        let text = clip(text, LONGEST_TEXT);
        let above = Self::until_quote(text);
        if !above.text.is_empty() {
            return above;
        }
        // Some answer below, or in between.
        match between_quoted(text) {
            Some(own) => Self { quote: true, ..Self::until_quote(&own) },
            None => above,
        }
    }

    fn until_quote(text: &str) -> Self {
        let mut words = Self::default();
        let mut after_empty = false;
        // A folded line, and whether an empty one stands before it.
        let mut lines = text
            .lines()
            .map(fold)
            .filter_map(move |line| match line.is_empty() {
                true => {
                    after_empty = true;
                    None
                }
                false => Some((line, std::mem::take(&mut after_empty))),
            })
            .peekable();
        while let Some((line, after_empty)) = lines.next() {
            let next = lines.peek().map(|(line, _)| line.as_str());
            let begins_quote = quotes::begins(&line, next)
                || (quotes::may_begin_block(&line) && quotes::is_block(lines.clone().map(|(line, _)| line)));
            if begins_quote {
                words.quote = true;
                // The address on a line of its own: what says when stands on the line before.
                if line.starts_with('<') {
                    words.drop_last_line();
                }
                break;
            }
            if words.text.len() > LONGEST_REPLY {
                break;
            }
            if after_empty && !words.text.is_empty() {
                words.paragraphs.push(words.text.len());
            }
            if line == "--" && !words.text.is_empty() {
                words.signature.get_or_insert(words.text.len());
            }
            words.text.push_str(clip(&line, LONGEST_REPLY));
            words.text.push('\n');
        }
        words
    }

    fn drop_last_line(&mut self) {
        let kept = self.text.trim_end_matches('\n');
        let end = kept.rfind('\n').map_or(0, |end| end + 1);
        self.text.truncate(end);
        self.paragraphs.retain(|start| *start < end);
        self.signature = self.signature.filter(|start| *start < end);
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }

    /// Whether there are at most so many words.
    pub(crate) fn are_at_most(&self, words: usize) -> bool {
        self.text.split_ascii_whitespace().nth(words).is_none()
    }

    /// What stands above the line that separates a signature.
    pub(crate) fn above_signature(&self) -> &str {
        self.signature.map_or(&self.text, |start| &self.text[..start])
    }

    /// What stands above the signature, a paragraph each.
    pub(crate) fn paragraphs(&self) -> impl Iterator<Item = &str> {
        let text = self.above_signature();
        let starts = std::iter::once(0).chain(self.paragraphs.iter().copied());
        let ends = self.paragraphs.iter().copied().chain([text.len()]);
        starts.zip(ends).map_while(|(start, end)| text.get(start..end.min(text.len()))).filter(|it| !it.is_empty())
    }
}

/// The paragraphs between and below quoted lines, if lines are quoted. What stands right between the lines of a quote may
/// be a long line of it that was broken.
fn between_quoted(text: &str) -> Option<String> {
    let is_quoted = |line: &str| line.starts_with('>');
    let first = text.lines().position(is_quoted)?;
    let lines: Vec<_> = text.lines().skip(first).collect();
    let last = lines.iter().rposition(|line| is_quoted(line))?;
    let mut own = String::new();
    for run in lines[..=last].chunk_by(|one, next| is_quoted(one) == is_quoted(next)) {
        let is_empty = |line: Option<&&str>| line.is_some_and(|line| line.trim().is_empty());
        if !is_quoted(run[0]) && is_empty(run.first()) && is_empty(run.last()) {
            own.extend(run.iter().flat_map(|line| [line, "\n"]));
        }
    }
    own.extend(lines[last + 1..].iter().flat_map(|line| [line, "\n"]));
    Some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(ReplyWords::of(text).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_quote_is_not_what_the_writer_wrote() {
        check("Yes.\n\nOn Mon, Ana wrote:\n> unsubscribe", &["yes."]);
        check("Ja\r\nVon: Ana <ana@example.com>\r\nGesendet", &["ja"]);
        check("> all quoted", &[]);
        check("Yes.\nOn Mon, 3 Nov 2026, Ana Ruiz\n<ana@example.com> wrote:\n\nOur offer", &["yes."]);
    }

    #[test]
    fn a_block_of_headers_begins_a_quote_in_any_language() {
        check("Da.\nDe la: Ana <ana@example.com>\nTrimis: miercuri\nCătre: Kim\nunsubscribe me", &["da."]);
        check("Já.\nFrá: Ana <ana@example.com>\nHvenær: í dag\nTil: Kim\nunsubscribe me", &["ja."]);
        check("Yes.\nKim: kim@example.net\nTel: 1\nFax: 2", &["yes.", "kim: kim@example.net", "tel: 1", "fax: 2"]);
    }

    #[test]
    fn paragraphs_end_above_the_signature() {
        let words = ReplyWords::of("Hi Ana,\n\nyes.\nOn Monday.\n\n-- \nKim\n\nAcme Ltd");
        assert_eq!(words.paragraphs().collect::<Vec<_>>(), ["hi ana,\n", "yes.\non monday.\n"]);
        assert_eq!(ReplyWords::of("").paragraphs().count(), 0);
        assert_eq!(ReplyWords::of("--\nKim").above_signature(), "--\nkim\n");
    }

    #[test]
    fn an_answer_below_a_quote_is_the_writers() {
        check("On Mon, Ana wrote:\n> our offer\n> unsubscribe\n\nNo, thanks.\nKim", &["no, thanks.", "kim"]);
        check("> our offer\nNo, thanks.", &["no, thanks."]);
        check("> offer?\n\nNo. Let me go.\n\n> Ana\n", &["no. let me go."]);
        check("> a line that is broken\nand goes on\n> unsubscribe\nYes.", &["yes."]);
    }

    #[test]
    fn a_returned_message_is_not_what_the_system_wrote() {
        let words =
            SystemWords::of("No such user\n\n--- Below this line is a copy of the message.\nTo: a@example.com\n");
        assert_eq!((words.own, words.folded.as_str()), ("No such user\n\n", "no such user\n\n"));
        assert!(words.returned.contains("To: a@example.com"));
        let words = SystemWords::of("Failed:\n > Received: from mx\n > To: a@example.com\n");
        assert_eq!(words.own, "Failed:\n");
    }

    #[test]
    fn what_only_speaks_of_the_message_does_not_return_it() {
        for text in [
            "WARNING\nThe original message was received at noon\n<a@example.com>\n",
            "Failed:\nThe ID of the original message is: 4711\n<a@example.com>\n",
            "被退回\n原邮件信息：\n收件人 a@example.com\n",
        ] {
            assert_eq!(SystemWords::of(text).own, text);
        }
        let advertised = format!("Failed: a@example.com\n{}\nScanned for spam\n", "_".repeat(72));
        let words = SystemWords::of(&advertised);
        assert_eq!(words.own, "Failed: a@example.com\n");
    }
}
