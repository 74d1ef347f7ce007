//! Subjects of automatic replies in more than twenty languages. Everything here is folded: lower case, no accents.

use crate::subject_words::{AUTOMATIC, AWAY, AWAY_SENTENCES, PREFIXES, RECEIPT};

/// What a subject says of the machine that wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubjectKind {
    /// A person is away.
    Away,
    /// A machine answered; it doesn't say why.
    Automatic,
    /// The message was received.
    Receipt,
    /// `Auto:` (RFC 3834 section 3.1.5), which is also a word for a car.
    AutoPrefix,
}

/// Whether the folded subject begins as a reply or a forward does.
pub(crate) fn has_reply_prefix(subject: &str) -> bool {
    without_prefixes(subject).1
}

/// What a folded subject says, if it is one of an automatic reply.
pub(crate) fn automatic_kind(subject: &str) -> Option<SubjectKind> {
    let (rest, had_prefix) = without_prefixes(subject.trim_start_matches(['[', '(', '*', '"', '#', ' ']));
    if let Some(kind) = opener_kind(rest, had_prefix) {
        return Some(kind);
    }
    if had_prefix {
        return None;
    }
    if AWAY_SENTENCES.iter().any(|sentence| subject.contains(sentence)) {
        return Some(SubjectKind::Away);
    }
    opener_kind(after_auto(rest)?, false).or(Some(SubjectKind::AutoPrefix))
}

/// Whether a folded subject leaves no doubt that a machine answered for a person.
pub(crate) fn tells_of_automatic_reply(subject: &str) -> bool {
    matches!(automatic_kind(subject), Some(SubjectKind::Away | SubjectKind::Automatic))
}

fn opener_kind(rest: &str, had_prefix: bool) -> Option<SubjectKind> {
    let opens = |phrases: &[&str]| phrases.iter().any(|phrase| opens_with(rest, phrase, had_prefix));
    if opens(AWAY) {
        Some(SubjectKind::Away)
    } else if opens(AUTOMATIC) {
        Some(SubjectKind::Automatic)
    } else if !had_prefix && opens(RECEIPT) {
        Some(SubjectKind::Receipt)
    } else {
        None
    }
}

/// Whether the subject begins with the phrase as whole words. One word alone may begin any sentence (`Vacation rentals`),
/// so it has to stand before a colon, a reply's prefix or the end; so has any phrase that follows a reply's prefix.
fn opens_with(subject: &str, phrase: &str, strict: bool) -> bool {
    let Some(rest) = subject.strip_prefix(phrase) else { return false };
    let is_cjk = phrase.chars().next_back().is_some_and(|c| c >= '\u{1100}');
    if !is_cjk && rest.chars().next().is_some_and(char::is_alphanumeric) {
        return false;
    }
    let rest = rest.trim_start_matches([' ', '!', ']', ')', '"', '*']);
    let stands_alone = rest.is_empty() || rest.starts_with([':', '-', '|', '(', '[', '/', '.', ',', '：']);
    stands_alone || (!strict && (phrase.contains([' ', '-']) || is_cjk || has_reply_prefix(rest)))
}

fn after_auto(subject: &str) -> Option<&str> {
    subject.strip_prefix("auto:").or_else(|| subject.strip_prefix("auto :")).map(str::trim_start)
}

/// The subject without `re:`, `aw[2]:` and their like, and whether there were any.
fn without_prefixes(subject: &str) -> (&str, bool) {
    let mut rest = subject.trim_start();
    let mut had_one = false;
    while let Some(after) = PREFIXES.iter().find_map(|prefix| after_prefix(rest, prefix)) {
        rest = after;
        had_one = true;
    }
    (rest, had_one)
}

fn after_prefix<'a>(subject: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = subject.strip_prefix(prefix)?.trim_start();
    let rest = match rest.strip_prefix(['[', '(']) {
        Some(counter) => counter.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix([']', ')'])?,
        None => rest.trim_start_matches(|c: char| c.is_ascii_digit()),
    };
    Some(rest.trim_start().strip_prefix([':', '：'])?.trim_start())
}

#[cfg(test)]
mod tests {
    use ampout_plugin::text::fold;

    use super::*;

    #[track_caller]
    fn check(subject: &str, expected: Option<SubjectKind>) {
        assert_eq!(automatic_kind(&fold(subject)), expected, "of {subject:?}");
    }

    #[test]
    fn absences_are_known_in_many_languages() {
        for subject in [
            "Out of Office: your offer",
            "Abwesenheitsnotiz: Ihr Angebot",
            "Absence du bureau : votre offre",
            "Fuera de la oficina: su oferta",
            "Fuori sede Re: offerta",
            "Fora do escritório: oferta",
            "Afwezigheidsbericht: aanbod",
            "Frånvaro: erbjudande",
            "Fravær: tilbud",
            "Ute av kontoret: tilbud",
            "Poissa: tarjous",
            "Poza biurem: oferta",
            "Mimo kancelář: nabídka",
            "Házon kívül: ajánlat",
            "În afara biroului: ofertă",
            "Ofis dışında: teklif",
            "Εκτός γραφείου: προσφορά",
            "Вне офиса: предложение",
            "Ārpus biroja: piedāvājums",
            "不在通知: 提案",
            "不在办公室: 报价",
            "부재중: 제안",
            "AUTO: Ana Ruiz is out of the office (returning 12/01/2026)",
            "OOO",
            "Ana Ruiz ist abwesend",
            "Urlaub Re: Angebot",
            "Vacation: hello",
        ] {
            check(subject, Some(SubjectKind::Away));
        }
    }

    #[test]
    fn automatic_replies_are_known_in_many_languages() {
        for subject in [
            "Automatic reply: x",
            "Auto-Reply: x",
            "Automatische Antwort: x",
            "Réponse automatique : x",
            "Respuesta automática: x",
            "Risposta automatica: x",
            "Resposta automática: x",
            "Automatisch antwoord: x",
            "Autosvar: x",
            "Automatisk svar: x",
            "Automaattinen vastaus: x",
            "Automatyczna odpowiedź: x",
            "Automatická odpověď: x",
            "Automatikus válasz: x",
            "Răspuns automat: x",
            "Otomatik yanıt: x",
            "Αυτόματη απάντηση: x",
            "Автоответ: x",
            "Автоматический ответ: x",
            "自動返信: x",
            "自动回复: x",
            "자동 응답: x",
            "Automātiskā atbilde: x",
            "RE: Automatic reply: x",
        ] {
            check(subject, Some(SubjectKind::Automatic));
        }
    }

    #[test]
    fn what_people_write_is_no_automatic_reply() {
        for subject in [
            "Re: your offer",
            "Vacation rentals in Rome",
            "Re: Out of office automation",
            "Automation for your office",
            "Urlaubsplanung 2027",
            "Absences report",
            "Re: Automatic replies in your product",
            "I: offerta",
            "",
        ] {
            check(subject, None);
        }
    }
}
