//! Where the quote of an earlier message begins: how mail programs, in the languages of their users, introduce it.

/// What stands between dashes above a quoted message, folded.
const SEPARATORS: &[&str] = &[
    "original message",
    "original nachricht",
    "originalnachricht",
    "ursprungliche nachricht",
    "message d'origine",
    "mensaje original",
    "messaggio originale",
    "mensagem original",
    "oorspronkelijk bericht",
    "ursprungligt meddelande",
    "alkuperainen viesti",
    "wiadomosc oryginalna",
    "исходное сообщение",
    "forwarded message",
    "weitergeleitete nachricht",
    "message transfere",
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
    "написал(а):",
    "пише:",
    "kirjoitti:",
    "yazdi:",
    "写道:",
    "のメール:",
    "님이 작성:",
    "napsal:",
    "napsal(a):",
    "irta:",
    "a scris:",
    "εγραψε:",
];

/// How the first line of a block of headers begins, as Outlook quotes them.
const FROM: &[&str] = &[
    "from:",
    "von:",
    "de :",
    "de:",
    "da:",
    "van:",
    "fran:",
    "fra:",
    "od:",
    "kimden:",
    "lahettaja:",
    "от:",
    "差出人:",
    "发件人:",
    "보낸 사람:",
    "보낸사람:",
    "de la:",
    "gonderen:",
    "від:",
    "адкаго:",
    "felado:",
    "απο:",
    "nuo:",
    "saatja:",
    "posiljatelj:",
    "posiljalac:",
    "odosielatel:",
    "odesilatel:",
    "pengirim:",
    "dari:",
    "מאת:",
    "من:",
    "寄件者:",
    "寄件人:",
    "ผู้ส่ง:",
    "จาก:",
];

/// What the second line of such a block names.
const SENT: &[&str] = &[
    "sent:",
    "date:",
    "to:",
    "gesendet:",
    "datum:",
    "an:",
    "envoye :",
    "envoye:",
    "date :",
    "enviado:",
    "enviado el:",
    "enviada:",
    "enviada em:",
    "fecha:",
    "data:",
    "inviato:",
    "verzonden:",
    "skickat:",
    "sendt:",
    "wyslano:",
    "wyslane:",
    "odeslano:",
    "kuldve:",
    "trimis:",
    "lahetetty:",
    "gonderildi:",
    "отправлено:",
    "дата:",
    "送信日時:",
    "日期:",
    "发送时间:",
    "날짜:",
    "보낸 날짜:",
    "fecha de envio:",
    "tarih:",
    "надіслано:",
    "elkuldve:",
    "σταλθηκε:",
    "εσταλη:",
    "ημερομηνια:",
    "issiusta:",
    "nosutits:",
    "saadetud:",
    "poslano:",
    "poslato:",
    "odoslane:",
    "dikirim:",
    "tanggal:",
    "da gui:",
    "נשלח:",
    "תאריך:",
    "تاريخ الإرسال:",
    "ارسل:",
    "التاريخ:",
    "已傳送:",
    "寄件日期:",
    "ส่ง:",
    "วันที่:",
];

/// No name of a header is longer, in bytes.
const LONGEST_NAME: usize = 48;

/// Whether a folded line, of which the next is `next`, begins a quote.
pub(crate) fn begins(line: &str, next: Option<&str>) -> bool {
    line.starts_with('>') || separates(line) || attributes(line) || begins_headers(line, next)
}

fn separates(line: &str) -> bool {
    let between = line.strip_prefix("----").map(|rest| rest.trim_start_matches('-').trim_start());
    between.is_some_and(|text| SEPARATORS.iter().any(|start| text.starts_with(start)))
        || line.starts_with("begin forwarded message")
        // Outlook on the web.
        || line.starts_with("________________________________")
}

/// Whether a folded line says who wrote what follows, and when.
fn attributes(line: &str) -> bool {
    /// A line that a person wrote is a paragraph.
    const LONGEST: usize = 300;
    if !line.ends_with(':') || line.len() >= LONGEST {
        return false;
    }
    // German, Dutch and the Scandinavian languages end with the writer's address, Japanese names nobody's doing at all.
    let names_time_and_address = || line.contains('@') && has_time(line);
    ATTRIBUTIONS.iter().any(|end| line.ends_with(end)) || names_time_and_address()
}

fn has_time(line: &str) -> bool {
    line.as_bytes().windows(4).any(|at| {
        at[0].is_ascii_digit() && matches!(at[1], b':' | b'.') && at[2].is_ascii_digit() && at[3].is_ascii_digit()
    })
}

/// Whether a block of headers begins, in the language of the reader. Some set the names in bold: `*Von:* Ana`.
fn begins_headers(line: &str, next: Option<&str>) -> bool {
    // Most lines have no colon near their beginning.
    if !line.bytes().take(LONGEST_NAME).any(|byte| byte == b':') {
        return false;
    }
    let line = line.trim_start_matches('*');
    let is_one_of =
        |names: &[&str], line: &str| names.iter().any(|name| line.trim_start_matches('*').starts_with(name));
    is_one_of(FROM, line) && (line.contains('@') || next.is_some_and(|next| is_one_of(SENT, next)))
}

/// Whether a folded line may begin a block of headers in a language that isn't listed: a word, a colon, and an address.
pub(crate) fn may_begin_block(line: &str) -> bool {
    line.contains('@') && label(line).is_some_and(|(label, value)| !is_of_contact(label) && value.contains('@'))
}

/// Whether the lines behind such a line make it a block of headers: two more at least, and none tells how to reach
/// somebody, as people write below their letters.
pub(crate) fn is_block(following: impl Iterator<Item = String>) -> bool {
    let mut labels = 0;
    for line in following.take(3) {
        match label(&line) {
            Some((label, _)) if is_of_contact(label) => return false,
            Some(_) => labels += 1,
            None => break,
        }
    }
    labels >= 2
}

/// The words before a line's first colon, if they may name a header, and what follows.
fn label(line: &str) -> Option<(&str, &str)> {
    let (label, value) = line.split_once(':').filter(|(label, _)| label.len() <= LONGEST_NAME)?;
    let label = label.trim_matches(['*', ' ']);
    let is_name = !label.is_empty()
        && label.chars().all(|c| c.is_alphabetic() || matches!(c, ' ' | '-' | '.' | '\u{300}'..='\u{e4f}'));
    (is_name && label.split(' ').count() <= 3).then_some((label, value))
}

/// Whether a label stands before a way to reach somebody.
fn is_of_contact(label: &str) -> bool {
    /// Parts of words, in most languages.
    const PARTS: &[&str] = &[
        "mail",
        "tel",
        "phone",
        "mob",
        "fax",
        "web",
        "www",
        "site",
        "skype",
        "linkedin",
        "addr",
        "adre",
        "contact",
        "kontakt",
        "vertret",
        "http",
        "cell",
        "handy",
        "hotline",
        "почта",
        "тел",
    ];
    PARTS.iter().any(|part| label.contains(part))
}

#[cfg(test)]
mod tests {
    use ampout_plugin::text::fold;

    use super::*;

    #[test]
    fn quotes_are_introduced_in_many_ways() {
        for line in [
            "> yes",
            "On Mon, 3 Nov 2026 at 10:00, Ana Ruiz <ana@example.com> wrote:",
            "Am Di., 3. Nov. 2026 um 10:00 Uhr schrieb Ana Ruiz <ana@example.com>:",
            "Op di 3 nov 2026 om 10:00 schreef Ana <ana@example.com>:",
            "Den tis 3 nov. 2026 kl 10:00 skrev Ana <ana@example.com>:",
            "2026年11月3日(火) 10:00 Ana <ana@example.com>:",
            "-------- Weitergeleitete Nachricht --------",
            "-----Original Message-----",
            "---------- Forwarded message ---------",
            "De : Ana <ana@example.com>",
        ] {
            assert!(begins(&fold(line), None), "{line:?}");
        }
        for (line, next) in [
            ("From: Ana Ruiz", "Sent: Tuesday"),
            ("*Von:* Ana", "*Gesendet:* Dienstag"),
            ("De : Ana", "Envoyé : mardi"),
        ] {
            assert!(begins(&fold(line), Some(&fold(next))), "{line:?}");
        }
    }

    #[test]
    fn a_block_of_headers_is_one_in_any_language() {
        let is_quote = |lines: &[&str]| {
            let lines: Vec<_> = lines.iter().map(|line| fold(line)).collect();
            begins(&lines[0], lines.get(1).map(String::as_str))
                || (may_begin_block(&lines[0]) && is_block(lines[1..].iter().cloned()))
        };
        for lines in [
            &["De la: Ana", "Trimis: miercuri", "Către: Kim"],
            &["Gönderen: Ana <ana@a.example>", "Gönderildi: Çarşamba", "Kime: Kim"],
            &["Від: Ana", "Надіслано: середа", "Кому: Kim"],
            &["Feladó: Ana", "Elküldve: szerda", "Címzett: Kim"],
            &["Από: Ana", "Στάλθηκε: Τετάρτη", "Προς: Kim"],
            &["מאת: Ana <ana@a.example>", "נשלח: יום רביעי", "אל: Kim"],
            &["Oddawca: Ana <ana@a.example>", "Kiedy: środa", "Komu: Kim"],
            &["Frá: Ana <ana@a.example>", "Sent: miðvikudagur", "Til: Kim"],
        ] {
            assert!(is_quote(lines), "{lines:?}");
        }
        for lines in [
            &["Vertretung: Jo <jo@a.example>", "Telefon: 123", "Zeitraum: Mai"][..],
            &["Jo Moss: jo@a.example", "Tel: 123", "Fax: 124"],
            &["E-Mail: jo@a.example", "Ort: Bonn", "Raum: 7"],
            &["Ask Jo: jo@a.example", "She knows."],
            &["One thing: we need it", "Another: soon", "Third: cheap"],
        ] {
            assert!(!is_quote(lines), "{lines:?}");
        }
    }

    #[test]
    fn what_a_person_writes_begins_no_quote() {
        for (line, next) in [
            ("From: my point of view", "we are fine."),
            ("Please write to bob@example.com:", "he knows."),
            ("Two things:", "- the price"),
            ("-- ", "Ana"),
            ("- original message", "- its answer"),
        ] {
            assert!(!begins(&fold(line), Some(&fold(next))), "{line:?}");
        }
    }
}
