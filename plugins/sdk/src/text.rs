//! Folding text so that words can be compared: lower case, no accents, single spaces. Holds for the Latin, Greek and
//! Cyrillic alphabets; other scripts pass as they are.

/// `text` in lower case, without accents, every run of white space one space, trimmed.
///
/// ```
/// use ampout_plugin::text::fold;
/// assert_eq!(fold("  Réponse\r\n AUTOMATIQUE "), "reponse automatique");
/// assert_eq!(fold("Frånvaro"), "franvaro");
/// ```
#[must_use]
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold_into(text, &mut folded, false);
    folded
}

/// As [`fold`], but line ends stay as `\n`; empty lines stay too.
#[must_use]
pub fn fold_lines(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold_into(text, &mut folded, true);
    folded
}

fn fold_into(text: &str, folded: &mut String, keep_lines: bool) {
    let mut space_pending = false;
    for c in text.chars() {
        if keep_lines && c == '\n' {
            folded.push('\n');
            space_pending = false;
        } else if c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{feff}' | '\u{ad}') {
            // Soft hyphens and zero-width characters separate nothing; real white space does.
            space_pending |= c.is_whitespace();
        } else {
            if space_pending && !folded.is_empty() && !folded.ends_with('\n') {
                folded.push(' ');
            }
            space_pending = false;
            push_folded(c, folded);
        }
    }
}

fn push_folded(c: char, folded: &mut String) {
    if c.is_ascii() {
        folded.push(c.to_ascii_lowercase());
        return;
    }
    for lower in c.to_lowercase() {
        match lower {
            '\u{300}'..='\u{36f}' => {}
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            '’' | '‘' | '`' | '´' | 'ʼ' => folded.push('\''),
            '“' | '”' | '„' | '«' | '»' => folded.push('"'),
            '–' | '—' | '‐' | '‑' | '−' => folded.push('-'),
            '：' => folded.push(':'),
            other => folded.push(base_letter(other)),
        }
    }
}

/// The letter under an accent (Unicode blocks Latin-1 Supplement, Latin Extended-A, the Romanian letters, Greek and
/// Cyrillic), or the character itself.
fn base_letter(c: char) -> char {
    match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' | 'ǎ' => 'a',
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => 'c',
        'ď' | 'đ' | 'ð' => 'd',
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => 'e',
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => 'g',
        'ĥ' | 'ħ' => 'h',
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => 'i',
        'ĵ' => 'j',
        'ķ' => 'k',
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => 'l',
        'ñ' | 'ń' | 'ņ' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' => 'o',
        'ŕ' | 'ŗ' | 'ř' => 'r',
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => 's',
        'ţ' | 'ť' | 'ŧ' | 'ț' => 't',
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => 'u',
        'ŵ' => 'w',
        'ý' | 'ÿ' | 'ŷ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        'ά' => 'α',
        'έ' => 'ε',
        'ή' => 'η',
        'ί' | 'ϊ' | 'ΐ' => 'ι',
        'ό' => 'ο',
        'ύ' | 'ϋ' | 'ΰ' => 'υ',
        'ώ' => 'ω',
        'ς' => 'σ',
        'ё' => 'е',
        'й' => 'и',
        '\u{a0}' => ' ',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(fold(text), expected);
    }

    #[test]
    fn accents_and_case_do_not_tell_words_apart() {
        check("ÄÖÜ ß", "aou ss");
        check("Rückantwort", "ruckantwort");
        check("İzin", "izin");
        check("Ru\u{308}ckkehr", "ruckkehr");
        check("Автоматический ответ", "автоматическии ответ");
        check("自動返信", "自動返信");
    }

    #[test]
    fn white_space_is_one_space_and_soft_hyphens_are_nothing() {
        check(" a\u{a0}\t\r\n b\u{ad}c ", "a bc");
        assert_eq!(fold_lines("A  b \r\n\r\n C"), "a b\n\nc");
    }
}
