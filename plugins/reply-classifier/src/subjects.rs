//! Subjects of automatic replies in more than thirty languages. Everything here is folded: lower case, no accents.

use std::ops::ControlFlow;

use crate::mail::Mail;
use crate::subject_words::{
    IS_A_NOUN, IS_A_TITLE, OPENERS, OPENS_AUTOMATIC, OPENS_AWAY, OPENS_RECEIPT, PREFIXES, SAYS_AUTOMATIC, SAYS_AWAY,
};

/// What a subject says of the machine that wrote it, what says least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SubjectKind {
    /// It begins with a word of absence and goes on: `Absent all week`, `Vacation rentals`.
    BeginsAway,
    /// `Auto:` (RFC 3834 section 3.1.5), which is also a word for a car.
    AutoPrefix,
    /// The message was received.
    Receipt,
    /// An automatic reply's subject after a reply's prefix: mostly a person answers one.
    Quoted,
    /// The words of an automatic reply amid a sentence, as people write them, too.
    MaybeAutomatic,
    /// A word of absence that people also put over their own letters: `Vacation`.
    MaybeAway,
    /// A machine answered; it doesn't say why.
    Automatic,
    /// A person is away.
    Away,
}

/// Whether the folded subject begins as a reply or a forward does.
pub(crate) fn has_reply_prefix(subject: &str) -> bool {
    without_prefixes(subject).1
}

/// Whether a message looks like a person's answer: a reply's subject and nothing of a machine.
pub(crate) fn is_plain_reply(mail: &Mail<'_>) -> bool {
    let has_marks = mail.headers.auto_submitted.is_some() || mail.headers.autoresponder.is_some();
    has_reply_prefix(&mail.subject) && !has_marks && !mail.has_null_path()
}

/// What a folded subject says, if it is one of an automatic reply.
pub(crate) fn automatic_kind(subject: &str) -> Option<SubjectKind> {
    let opening = ['[', '(', '{', '*', '"', '#', '<', '【', ' '];
    let (rest, had_prefix) = without_prefixes(subject.trim_start_matches(opening));
    let opener = opener_kind(rest, had_prefix);
    if had_prefix {
        return opener.map(|_| SubjectKind::Quoted);
    }
    if matches!(opener, Some(SubjectKind::Away | SubjectKind::Automatic)) {
        return opener;
    }
    let said = OPENERS.marks_in(subject);
    if said & SAYS_AWAY != 0 {
        return Some(SubjectKind::Away);
    }
    let hint = (said & SAYS_AUTOMATIC != 0).then_some(SubjectKind::MaybeAutomatic);
    if opener.is_some() || hint.is_some() {
        return opener.max(hint);
    }
    opener_kind(after_auto(rest)?, false).or(Some(SubjectKind::AutoPrefix))
}

/// Whether a folded subject leaves no doubt that a machine answered for a person.
pub(crate) fn tells_of_automatic_reply(subject: &str) -> bool {
    matches!(automatic_kind(subject), Some(SubjectKind::Away | SubjectKind::Automatic))
}

fn opener_kind(rest: &str, had_prefix: bool) -> Option<SubjectKind> {
    let mut best = None;
    OPENERS.each_in(rest, |found| {
        if found.start > 0 {
            return ControlFlow::Break(());
        }
        best = best.max(opens(&rest[..found.end], &rest[found.end..], found.marks, had_prefix));
        ControlFlow::Continue(())
    });
    best
}

/// What it says that a subject begins with the phrase, if it does so with whole words. One word alone may begin any
/// sentence (`Vacation rentals`), so it has to stand before a colon, a reply's prefix or the end; so has any phrase that
/// follows a reply's prefix.
fn opens(phrase: &str, rest: &str, marks: u32, strict: bool) -> Option<SubjectKind> {
    let is_cjk = phrase.chars().next_back().is_some_and(|c| c >= '\u{1100}');
    if !is_cjk && rest.chars().next().is_some_and(char::is_alphanumeric) {
        return None;
    }
    // `[Autoreply] …`
    let is_bracketed = rest.trim_start().starts_with([']', ')', '}', '】']);
    let rest = rest.trim_start_matches([' ', '!', ']', ')', '}', '"', '*', '>', '】']);
    let is_before_prefix = !strict && has_reply_prefix(rest);
    let stands_alone = is_bracketed || rest.is_empty() || rest.starts_with([':', '-', '|', '(', '[', '/', '.', ',']);
    let is_one_word = !is_cjk && marks & IS_A_TITLE == 0 && !phrase.contains([' ', '-', ':']);
    let is_ambiguous = is_one_word || marks & IS_A_NOUN != 0;
    if !stands_alone && !is_before_prefix && (strict || is_ambiguous) {
        return (!strict && marks & OPENS_AWAY != 0).then_some(SubjectKind::BeginsAway);
    }
    match marks {
        _ if marks & OPENS_AWAY != 0 && is_ambiguous && !is_before_prefix => Some(SubjectKind::MaybeAway),
        _ if marks & OPENS_AWAY != 0 => Some(SubjectKind::Away),
        _ if marks & (OPENS_AUTOMATIC | IS_A_NOUN) == OPENS_AUTOMATIC
            && (stands_alone || is_before_prefix || is_cjk) =>
        {
            Some(SubjectKind::Automatic)
        }
        _ if marks & OPENS_AUTOMATIC != 0 => Some(SubjectKind::MaybeAutomatic),
        _ => (!strict && marks & OPENS_RECEIPT != 0).then_some(SubjectKind::Receipt),
    }
}

fn after_auto(subject: &str) -> Option<&str> {
    subject.strip_prefix("auto:").or_else(|| subject.strip_prefix("auto :")).map(str::trim_start)
}

/// The subject without `re:`, `aw[2]:` and their like, and whether there were any.
fn without_prefixes(subject: &str) -> (&str, bool) {
    let mut rest = subject.trim_start();
    let mut had_one = false;
    while let Some(after) = after_prefix(rest) {
        rest = after;
        had_one = true;
    }
    (rest, had_one)
}

fn after_prefix(subject: &str) -> Option<&str> {
    /// The longest prefix with its counter, in bytes.
    const LONGEST: usize = 24;
    let colon = subject.bytes().take(LONGEST).position(|byte| byte == b':')?;
    let word = subject[..colon].trim_end();
    let word = match word.strip_suffix([']', ')']) {
        Some(counted) => counted.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix(['[', '('])?,
        None => word.trim_end_matches(|c: char| c.is_ascii_digit()),
    };
    PREFIXES.contains(&word.trim_end()).then(|| subject[colon + 1..].trim_start())
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
    fn the_words_are_folded_as_subjects_are() {
        for prefix in crate::subject_words::PREFIXES {
            assert_eq!(*prefix, fold(prefix));
        }
    }

    #[test]
    fn absences_are_known_in_many_languages() {
        for subject in [
            "Out of Office: your offer",
            "Nicht im Büro: Ihr Angebot",
            "Absence du bureau : votre offre",
            "Fuera de la oficina: su oferta",
            "Fuori sede Re: offerta",
            "Fora do escritório: oferta",
            "Niet op kantoor: aanbod",
            "Ej på kontoret: erbjudande",
            "Ute av kontoret: tilbud",
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
            "Ana Ruiz ist abwesend",
            "Urlaub Re: Angebot",
            "【不在通知】 提案",
            "Atvaļinājums Re: piedāvājums",
            "Ute av kontoret Sv: tilbud",
            "Поза офісом: пропозиція",
            "Ikke på kontoret: tilbud",
            "Abwesenheitsnotiz Ana Ruiz",
            "Abwesend bis 02.12.",
        ] {
            check(subject, Some(SubjectKind::Away));
        }
    }

    #[test]
    fn one_word_needs_more_than_itself() {
        for subject in
            ["Vakantie: aanbod", "Frånvaro: erbjudande", "Fravær: tilbud", "Poissa: tarjous", "OOO", "Vacation"]
        {
            check(subject, Some(SubjectKind::MaybeAway));
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
            "[Autosvar] x",
            "{Auto-Reply} x",
            "Аўтаматычны адказ: x",
        ] {
            check(subject, Some(SubjectKind::Automatic));
        }
    }

    #[test]
    fn what_people_also_write_over_their_letters_is_a_hint() {
        check("Automatic reply to what you asked", Some(SubjectKind::MaybeAutomatic));
        check("Your automatic reply", Some(SubjectKind::MaybeAutomatic));
        check("Autosvar från Kim", Some(SubjectKind::MaybeAutomatic));
        check("RE: Automatic reply: x", Some(SubjectKind::Quoted));
        check("AW: Abwesenheitsnotiz", Some(SubjectKind::Quoted));
        check("Automatic reply from Ana, out of the office", Some(SubjectKind::Away));
        check("Thank you for your email, Ana is out of the office", Some(SubjectKind::Away));
        check("Vacation rentals in Rome", Some(SubjectKind::BeginsAway));
        check("Business trip to Rome", Some(SubjectKind::BeginsAway));
        check("Autoresponder", Some(SubjectKind::MaybeAutomatic));
        check("Re: Vacation rentals in Rome", None);
    }

    #[test]
    fn what_people_write_is_no_automatic_reply() {
        for subject in [
            "Re: your offer",
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
