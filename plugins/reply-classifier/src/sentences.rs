//! What a person wrote, sentence by sentence, above the formula with which letters end.

use std::ops::Range;

use crate::own_words::ReplyWords;

/// A line of at least so many bytes was broken by a program, so that its sentence goes on.
const LONG_LINE: usize = 50;

/// A formula that ends a letter stands on a line that is no longer.
const LONGEST_FORMULA: usize = 60;

/// How the line begins with which a letter ends, folded. What follows is a signature.
const FORMULAS: &[&str] = &[
    "kind regards",
    "best regards",
    "warm regards",
    "with regards",
    "regards",
    "best wishes",
    "sincerely",
    "yours ",
    "cheers,",
    "best,",
    "mit freundlich",
    "freundliche gruss",
    "viele gruss",
    "beste gruss",
    "liebe gruss",
    "schone gruss",
    "mit besten gruss",
    "gruss",
    "mfg",
    "hochachtungsvoll",
    "cordialement",
    "bien cordialement",
    "bien a vous",
    "salutations",
    "sinceres salutations",
    "saludos",
    "un saludo",
    "cordiales saludos",
    "atentamente",
    "cordiali saluti",
    "distinti saluti",
    "saluti",
    "atenciosamente",
    "cumprimentos",
    "com os melhores cumprimentos",
    "met vriendelijke groet",
    "vriendelijke groet",
    "groet",
    "mvh",
    "med vanlig halsning",
    "vanliga halsningar",
    "hilsen",
    "med venlig hilsen",
    "venlig hilsen",
    "med vennlig hilsen",
    "vennlig hilsen",
    "ystavallisin terveisin",
    "terveisin",
    "pozdrawiam",
    "z powazaniem",
    "s pozdravem",
    "s pozdravom",
    "udvozlettel",
    "tisztelettel",
    "cu stima",
    "lijep pozdrav",
    "с уважением",
    "з повагою",
    "saygilarimla",
    "με εκτιμηση",
    "sent from my",
    "gesendet von",
    "envoye de mon",
    "enviado desde",
    "inviato da",
    "verzonden vanaf",
    "get outlook for",
];

/// Words by which a short line goes on the sentence of the one before, folded.
const CONTINUATIONS: &[&str] = &[
    "z ",
    "ze ",
    "zo ",
    "iz ",
    "od ",
    "v ",
    "ve ",
    "vo ",
    "na ",
    "pred ",
    "przed ",
    "w ",
    "из ",
    "от ",
    "до ",
    "с ",
    "на ",
    "в ",
    "по ",
    "від ",
    "з ",
    "зі ",
    "преди ",
    "απο ",
    "πριν ",
    "fra ",
    "fran ",
    "voor ",
    "til ",
    "till ",
    "du ",
    "des ",
    "del ",
    "dal ",
    "dalla ",
    "sur ",
    "jusqu",
    "avant ",
    "antes ",
    "hasta ",
    "ennen ",
    "by ",
    "on ",
    "until",
    "before ",
    "unless",
    "if ",
    "for ",
    "in ",
    "with ",
    "at ",
    "about ",
    "from ",
    "but ",
    "and ",
    "or ",
    "any",
    "again",
    "von ",
    "aus ",
    "bis ",
    "per ",
    "am ",
    "aber ",
    "de ",
    "par ",
    "por ",
    "su ",
    "da",
    "van ",
    "uit ",
    "via ",
];

/// Words that end no sentence, folded: the next line goes on.
const UNFINISHED: &[&str] = &[
    " the", " your", " my", " a", " of", " to", " from", " this", " any", " and", " or", " not", " dem", " der",
    " ihrem", " ihrer", " meine", " aus", " und", " nicht", " de", " la", " votre", " vos", " su", " uw", " van",
    " dalla",
];

/// The sentences of a person's own words.
#[derive(Debug, Default)]
pub(crate) struct Sentences {
    /// Folded; the ends of lines within a sentence are spaces.
    text: String,
    sentences: Vec<Sentence>,
}

/// A sentence and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Sentence {
    at: Range<usize>,
    /// The number of its paragraph, from 0.
    pub(crate) paragraph: usize,
    /// Whether it ends with a question mark.
    pub(crate) is_question: bool,
    /// Whether it ends as sentences do, so that it is neither a name nor an address.
    pub(crate) is_ended: bool,
    /// Whether it has a line of its own.
    pub(crate) is_line: bool,
}

impl Sentences {
    pub(crate) fn of(words: &ReplyWords) -> Self {
        let mut found = Self::default();
        for (number, paragraph) in words.paragraphs().enumerate() {
            let start = found.text.len();
            let mut lines = paragraph.lines().peekable();
            let mut is_over = false;
            while let Some(line) = lines.next() {
                is_over = is_formula(line);
                if is_over {
                    break;
                }
                // The marks that open Spanish sentences would hide their first words.
                found.text.extend(line.chars().filter(|c| !matches!(c, '¿' | '¡')));
                let goes_on = lines.peek().is_some_and(|next| goes_on(line, next));
                found.text.push(if goes_on { ' ' } else { '\n' });
            }
            found.split(start, number);
            if is_over {
                break;
            }
        }
        found
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Sentence, &str)> {
        self.sentences.iter().map(|sentence| (sentence, &self.text[sentence.at.clone()]))
    }

    /// Splits the text from a place on.
    fn split(&mut self, mut start: usize, paragraph: usize) {
        let mut begins_line = true;
        let mut rest = self.text[start..].char_indices().peekable();
        let base = start;
        while let Some((at, c)) = rest.next() {
            let next = rest.peek().map(|(_, next)| *next);
            let is_mark = matches!(c, '。' | '？' | '！' | '؟')
                || (matches!(c, '.' | '!' | '?' | '…') && next.is_none_or(|next| !next.is_alphanumeric()));
            if !is_mark && c != '\n' {
                continue;
            }
            // `What?!` and `...` end once, and `art. 17` does not.
            let is_number =
                || self.text[base + at + 1..].trim_start_matches(' ').starts_with(|c: char| c.is_ascii_digit());
            if (is_mark && next.is_some_and(|next| matches!(next, '.' | '!' | '?' | '！' | '？' | '。')))
                || (c == '.' && is_number())
            {
                continue;
            }
            let end = base + at;
            let ends_line = c == '\n' || matches!(next, None | Some('\n'));
            let sentence = self.text[start..end].trim_matches([' ', '\n']);
            if sentence.chars().any(char::is_alphanumeric) {
                let from = start + self.text[start..end].find(sentence).unwrap_or(0);
                let marks = &self.text[from..end + if is_mark { c.len_utf8() } else { 0 }];
                let is_question = marks.trim_end_matches(['.', '!', '！']).ends_with(['?', '？', '؟']);
                self.sentences.push(Sentence {
                    at: from..from + sentence.len(),
                    paragraph,
                    is_question,
                    is_ended: is_mark,
                    is_line: begins_line && ends_line,
                });
                begins_line = ends_line;
            }
            start = end + c.len_utf8();
        }
    }
}

fn is_formula(line: &str) -> bool {
    line.len() <= LONGEST_FORMULA && FORMULAS.iter().any(|formula| line.starts_with(formula))
}

fn goes_on(line: &str, next: &str) -> bool {
    let is_ended = line.ends_with(['.', '!', '?', ':', '。', '！', '？']);
    let is_unfinished = || UNFINISHED.iter().any(|word| line.ends_with(word));
    !is_ended && (line.len() >= LONG_LINE || is_unfinished() || CONTINUATIONS.iter().any(|word| next.starts_with(word)))
}

#[cfg(test)]
mod tests {
    use ampout_plugin::text::fold;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let sentences = Sentences::of(&ReplyWords::of(text));
        assert_eq!(sentences.iter().map(|(_, text)| text).collect::<Vec<_>>(), expected, "of {text:?}");
    }

    #[test]
    fn the_words_are_folded_as_texts_are() {
        let strange: Vec<_> = FORMULAS.iter().chain(CONTINUATIONS).filter(|word| fold(word) != word.trim()).collect();
        assert!(strange.is_empty(), "{strange:?}");
    }

    #[test]
    fn sentences_end_with_their_marks_and_with_short_lines() {
        check(
            "Hi Ana,\nyes! See acme.example.net for v1.2. When?!",
            &["hi ana,", "yes", "see acme.example.net for v1.2", "when?"],
        );
        check("不要。退订！", &["不要", "退订"]);
        check(
            "Please take me off the list of those who get\nyour letters",
            &["please take me off the list of those who get", "your letters"],
        );
        check(
            "Please take me off the list of those to whom you write\nyour letters",
            &["please take me off the list of those to whom you write your letters"],
        );
        check("Do not contact me\nby phone\nKim", &["do not contact me by phone", "kim"]);
        check("", &[]);
    }

    #[test]
    fn a_letter_ends_with_its_formula() {
        check("Yes.\n\nKind regards\nKim\n\nAcme Ltd", &["yes"]);
        check("Ja.\nMit freundlichen Grüßen\nKim", &["ja"]);
        check("No.\n-- \nKim", &["no"]);
    }

    #[test]
    fn questions_and_lines_are_told_apart() {
        let sentences = Sentences::of(&ReplyWords::of("Stop. Why?\nStop\nReally?!"));
        let kinds: Vec<_> = sentences.iter().map(|(it, _)| (it.is_question, it.is_line)).collect();
        assert_eq!(kinds, [(false, false), (true, false), (false, true), (true, true)]);
    }
}
