//! What the writer of a message wrote, without what was quoted below it.

use std::ops::ControlFlow;

use ampout_plugin::text::{clip, fold, fold_lines};

use crate::bounce_words::{IN_TEXTS, RETURNED, RETURNED_HEADER};

/// Only the beginning of a text is read.
const LONGEST_TEXT: usize = 16 * 1024;

/// The returned message mostly begins within so many bytes.
const FIRST_LOOK: usize = 2 * 1024;

/// Lines, folded, that stand above a quoted message.
const REPLY_SEPARATORS: &[&str] = &[
    "-----original message",
    "----- original message",
    "---- original message",
    "-----ursprungliche nachricht",
    "-----message d'origine",
    "-----mensaje original",
    "-----messaggio originale",
    "-----mensagem original",
    "-----oorspronkelijk bericht",
    "---------- forwarded message",
    "begin forwarded message",
    "________________________________",
];

/// How, in several languages, the line ends that a mail program writes above a quote.
const ATTRIBUTIONS: &[&str] = &[
    "wrote:",
    "schrieb:",
    "a ecrit :",
    "a ecrit:",
    "escribio:",
    "ha scritto:",
    "escreveu:",
    "schreef:",
    "skrev:",
    "napisal:",
    "napisal(a):",
    "пишет:",
    "написал:",
    "kirjoitti:",
    "yazdi:",
    "写道:",
    "のメール:",
    "님이 작성:",
    "napsal:",
    "irta:",
    "a scris:",
    "εγραψε:",
];

/// How the first line of such a block begins.
const QUOTED_FROM: &[&str] = &[
    "from: ",
    "von: ",
    "de : ",
    "de: ",
    "da: ",
    "van: ",
    "fran: ",
    "fra: ",
    "od: ",
    "lahettaja: ",
    "от: ",
    "差出人: ",
    "发件人: ",
];

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
}

impl ReplyWords {
    pub(crate) fn of(text: &str) -> Self {
        let mut kept = String::new();
        for line in clip(text, LONGEST_TEXT).lines() {
            let folded = fold(line);
            if folded.starts_with('>') || begins_quote(&folded) || kept.len() > LONGEST_REPLY {
                break;
            }
            if !folded.is_empty() {
                kept.push_str(&folded);
                kept.push('\n');
            }
        }
        Self { text: kept }
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }

    /// Whether there are at most so many words.
    pub(crate) fn are_at_most(&self, words: usize) -> bool {
        self.text.split_ascii_whitespace().nth(words).is_none()
    }
}

fn begins_quote(line: &str) -> bool {
    let is_separator =
        line.starts_with(['-', '_', 'b']) && REPLY_SEPARATORS.iter().any(|start| line.starts_with(start));
    let is_attribution =
        line.ends_with([':', '：']) && line.len() < 300 && ATTRIBUTIONS.iter().any(|end| line.ends_with(end));
    // Outlook quotes with a block of headers, in the language of the reader.
    let is_header = || QUOTED_FROM.iter().any(|name| line.starts_with(name));
    is_separator || is_attribution || (line.contains('@') && is_header())
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
