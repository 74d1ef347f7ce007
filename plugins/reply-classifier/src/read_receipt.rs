//! Read receipts that are told in words alone, as Outlook sends them to other systems: a subject that says that the message
//! was read, or deleted unread, and a text that begins with what was read. Those of RFC 8098 are reports.

use ampout_plugin::Classification;

use crate::mail::Mail;

/// How their subjects begin, folded.
const SUBJECTS: &[&str] = &[
    "read:",
    "not read:",
    "gelesen:",
    "nicht gelesen:",
    "ungelesen:",
    "lu :",
    "lu:",
    "non lu :",
    "non lu:",
    "leido:",
    "no leido:",
    "letto:",
    "non letto:",
    "lida:",
    "lido:",
    "nao lida:",
    "gelezen:",
    "niet gelezen:",
    "last:",
    "olast:",
    "laest:",
    "lest:",
    "luettu:",
    "przeczytano:",
    "przeczytane:",
    "precteno:",
    "olvasott:",
    "citit:",
    "okundu:",
    "прочитано:",
    "διαβαστηκε:",
    "開封済み:",
    "已读:",
    "읽음:",
    "return receipt (",
    "read receipt:",
    "read-receipt:",
    "lesebestatigung:",
    "empfangsbestatigung (angezeigt)",
    "accuse de lecture",
    "confirmation de lecture",
    "confirmacion de lectura",
    "confirmacao de leitura",
    "conferma di lettura",
    "ricevuta di lettura",
    "leesbevestiging",
];

/// How their texts begin, folded: the message, told of as a thing.
const TEXTS: &[&str] = &[
    "your message",
    "your email was read",
    "ihre nachricht",
    "votre message",
    "su mensaje",
    "el mensaje",
    "il messaggio",
    "messaggio",
    "a sua mensagem",
    "sua mensagem",
    "uw bericht",
    "ditt meddelande",
    "din meddelelse",
    "meldingen din",
    "viestisi",
    "twoja wiadomosc",
    "wiadomosc",
    "vase zprava",
    "az uzenete",
    "mesajul dvs",
    "iletiniz",
    "ваше сообщение",
    "το μηνυμα",
    "メッセージ",
    "您的邮件",
    "메시지",
    "this is a return receipt",
    "this is a receipt for the mail",
    "dies ist eine empfangsbestatigung",
    "ceci est un accuse de reception",
];

/// A receipt lists the message that was read and says when.
const MOST_WORDS: usize = 120;

/// A receipt, if the message is one.
pub(crate) fn find(mail: &Mail<'_>) -> Option<Classification> {
    if !SUBJECTS.iter().any(|opener| mail.subject.starts_with(opener)) {
        return None;
    }
    let words = mail.reply_words();
    let is_told = TEXTS.iter().any(|opener| words.text.starts_with(opener)) && words.are_at_most(MOST_WORDS);
    is_told.then(|| Classification::ignore().because("a read receipt in words"))
}

#[cfg(test)]
mod tests {
    use ampout_plugin::Message;
    use ampout_plugin::text::fold;

    use super::*;

    #[track_caller]
    fn check(subject: &str, text: &str, is_receipt: bool) {
        let message = Message { subject: subject.to_owned(), text: text.to_owned(), ..Message::default() };
        assert_eq!(find(&Mail::new(&message)).is_some(), is_receipt, "of {subject:?} {text:?}");
    }

    #[test]
    fn the_words_are_folded_as_texts_are() {
        let strange: Vec<_> = SUBJECTS.iter().chain(TEXTS).filter(|it| fold(it) != **it).collect();
        assert!(strange.is_empty(), "{strange:?}");
    }

    #[test]
    fn a_receipt_in_words_is_nobodys_reply() {
        check(
            "Read: Quick question",
            "Your message\n   To: Kim Roe\n   Subject: Quick question\n was read on 26 November.",
            true,
        );
        check("Not read: Quick question", "Your message\n\n   To: Kim\n\nwas deleted without being read.", true);
        check("Gelesen: Frage", "Ihre Nachricht\n   An: Kim\n   Betreff: Frage\n wurde am 26.11.2026 gelesen.", true);
        check("Lu : Question", "Votre message\n   À : Kim\n a été lu le 26/11/2026.", true);
    }

    #[test]
    fn who_writes_about_reading_is_a_person() {
        check("Read: Quick question", "Yes, I have. Call me on Monday.", false);
        check("Re: Read: Quick question", "Your message was read by all of us. When can we talk?", false);
        check("Re: Quick question", "Your message came at the right time.", false);
    }
}
