//! What the writer of a message wrote, without what was quoted below it.

use ampout_plugin::text::{fold, fold_lines};

/// Only the beginning of a text is searched for words.
const LONGEST_TEXT: usize = 16 * 1024;

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
];

/// Lines, folded, above which a mail system tells what happened and below which it returns the message.
const RETURN_SEPARATORS: &[&str] = &[
    "below this line is a copy of the message",
    "this is a copy of the message",
    "this is a copy of your message",
    "copy of the message, including all the headers",
    "original message follows",
    "original message header",
    "your original message",
    "the original message",
    "unsent message below",
    "unsent message follows",
    "message header follows",
    "message headers follow",
    "returned message follows",
    "undelivered message follows",
    "included is a copy of the message header",
    "a copy of the original message",
    "--- the header of the original message",
    "--- the body of the message",
    "---- start of returned message",
    "--- returned message",
    "--- original message",
    "----- original message",
    "the message header is as follows",
    "received: from ",
    "received: by ",
    "return-path: <",
];

/// The words of a reply, folded, line by line and without empty lines, up to what it quotes.
pub(crate) fn of_reply(text: &str) -> Vec<String> {
    let folded = fold_lines(clip(text));
    let mut lines = Vec::new();
    for line in folded.lines() {
        if line.starts_with('>') || begins_quote(line) {
            break;
        }
        if !line.is_empty() {
            lines.push(line.to_owned());
        }
    }
    lines
}

/// The words of a mail system, line by line as they stand, up to the message that it returns; and the rest.
pub(crate) fn of_mail_system(text: &str) -> (&str, &str) {
    let text = clip(text);
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let folded = fold(line);
        let marks_return = RETURN_SEPARATORS.iter().any(|separator| match separator.ends_with([' ', '<']) {
            true => folded.starts_with(separator),
            false => folded.contains(separator),
        });
        if marks_return && start > 0 {
            return text.split_at(start);
        }
        start += line.len();
    }
    (text, "")
}

fn begins_quote(line: &str) -> bool {
    let is_separator = REPLY_SEPARATORS.iter().any(|separator| line.starts_with(separator));
    let is_attribution = line.len() < 300 && ATTRIBUTIONS.iter().any(|end| line.ends_with(end));
    // Outlook quotes with a block of headers, in the language of the reader.
    let is_header =
        ["from: ", "von: ", "de : ", "de: ", "da: ", "van: ", "fran: "].iter().any(|name| line.starts_with(name));
    is_separator || is_attribution || (is_header && line.contains('@'))
}

fn clip(text: &str) -> &str {
    let mut end = text.len().min(LONGEST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(of_reply(text), expected);
    }

    #[test]
    fn a_quote_is_not_what_the_writer_wrote() {
        check("Yes.\n\nOn Mon, Ana wrote:\n> unsubscribe", &["yes."]);
        check("Ja\r\nVon: Ana <ana@example.com>\r\nGesendet", &["ja"]);
        check("> all quoted", &[]);
    }

    #[test]
    fn a_returned_message_is_not_what_the_system_wrote() {
        let (own, rest) =
            of_mail_system("no such user\n--- Below this line is a copy of the message.\nTo: a@example.com\n");
        assert_eq!(own, "no such user\n");
        assert!(rest.contains("To: a@example.com"));
    }
}
