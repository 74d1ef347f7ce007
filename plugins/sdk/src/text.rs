//! Folding text so that words can be compared: lower case, no accents, single spaces. Holds for the Latin alphabets
//! (Vietnamese too), the Greek and the Cyrillic; other scripts pass as they are.

/// `text` in lower case, without accents, every run of white space one space, trimmed.
///
/// ```
/// use ampout_plugin::text::fold;
/// assert_eq!(fold("  Réponse\r\n AUTOMATIQUE "), "reponse automatique");
/// assert_eq!(fold("Frånvaro"), "franvaro");
/// ```
#[must_use]
pub fn fold(text: &str) -> String {
    folded(text, false)
}

/// As [`fold`], but line ends stay as `\n`; empty lines stay too.
#[must_use]
pub fn fold_lines(text: &str) -> String {
    folded(text, true)
}

/// The longest beginning of `text` that has at most `bytes` bytes and ends between characters.
#[must_use]
pub fn clip(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

fn folded(text: &str, keep_lines: bool) -> String {
    // Bytes, because most texts are ASCII and every call folds a few kilobytes.
    let mut folded: Vec<u8> = Vec::with_capacity(text.len() + 8);
    let mut space_pending = false;
    let mut rest = text;
    while let Some(&byte) = rest.as_bytes().first() {
        // Words are copied whole: that is most of the work.
        let word = rest.bytes().position(|byte| byte <= b' ' || !byte.is_ascii()).unwrap_or(rest.len());
        if word > 0 {
            push_space(&mut folded, &mut space_pending);
            let start = folded.len();
            folded.extend_from_slice(&rest.as_bytes()[..word]);
            folded[start..].make_ascii_lowercase();
            rest = &rest[word..];
            continue;
        }
        if byte.is_ascii() {
            match byte {
                b'\n' if keep_lines => {
                    folded.push(b'\n');
                    space_pending = false;
                }
                b' ' | b'\t'..=b'\r' => space_pending = true,
                control => {
                    push_space(&mut folded, &mut space_pending);
                    folded.push(control);
                }
            }
            rest = &rest[1..];
            continue;
        }
        let Some(c) = rest.chars().next() else { break };
        rest = &rest[c.len_utf8()..];
        // Soft hyphens and zero-width characters separate nothing; real white space does.
        if c.is_whitespace() {
            space_pending = true;
        } else if !matches!(c, '\u{200b}'..='\u{200f}' | '\u{feff}' | '\u{ad}') {
            push_folded(c, &mut folded, &mut space_pending);
        }
    }
    String::from_utf8(folded).unwrap_or_default()
}

fn push_space(folded: &mut Vec<u8>, pending: &mut bool) {
    if *pending && folded.last().is_some_and(|last| *last != b'\n') {
        folded.push(b' ');
    }
    *pending = false;
}

fn push_folded(c: char, folded: &mut Vec<u8>, space_pending: &mut bool) {
    for lower in c.to_lowercase() {
        // An accent by itself is nothing, so the space before it waits for what comes next.
        if matches!(lower, '\u{300}'..='\u{36f}') {
            continue;
        }
        push_space(folded, space_pending);
        match lower {
            'ß' => folded.extend(b"ss"),
            'æ' => folded.extend(b"ae"),
            'œ' => folded.extend(b"oe"),
            'þ' => folded.extend(b"th"),
            '’' | '‘' | '`' | '´' | 'ʼ' => folded.push(b'\''),
            '“' | '”' | '„' | '«' | '»' => folded.push(b'"'),
            '–' | '—' | '‐' | '‑' | '−' => folded.push(b'-'),
            '：' => folded.push(b':'),
            other => folded.extend(base_letter(other).encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// The letter under an accent (Unicode blocks Latin-1 Supplement, Latin Extended-A, the Romanian letters, Greek and
/// Cyrillic), or the character itself.
fn base_letter(c: char) -> char {
    match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' | 'ǎ' | 'ạ'..='ặ' => 'a',
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => 'c',
        'ď' | 'đ' | 'ð' => 'd',
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' | 'ẹ'..='ệ' => 'e',
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => 'g',
        'ĥ' | 'ħ' => 'h',
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' | 'ỉ'..='ị' => 'i',
        'ĵ' => 'j',
        'ķ' => 'k',
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => 'l',
        'ñ' | 'ń' | 'ņ' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' | 'ơ' | 'ọ'..='ợ' => 'o',
        'ŕ' | 'ŗ' | 'ř' => 'r',
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => 's',
        'ţ' | 'ť' | 'ŧ' | 'ț' => 't',
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' | 'ư' | 'ụ'..='ự' => 'u',
        'ŵ' => 'w',
        'ý' | 'ÿ' | 'ŷ' | 'ỳ'..='ỹ' => 'y',
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
        check("Phản hồi tự động", "phan hoi tu dong");
        check("自動返信", "自動返信");
    }

    #[test]
    fn white_space_is_one_space_and_soft_hyphens_are_nothing() {
        check(" a\u{a0}\t\r\n b\u{ad}c ", "a bc");
        assert_eq!(fold_lines("A  b \r\n\r\n C"), "a b\n\nc");
    }

    #[test]
    fn an_accent_between_spaces_is_nothing() {
        check("a \u{301} b", "a b");
        check("a \u{301}", "a");
        assert_eq!(fold_lines("a \u{301}\nb"), "a\nb");
    }

    #[test]
    fn folding_what_is_folded_changes_nothing() {
        for c in '\0'..=char::MAX {
            let folded = fold(&format!("a {c} {c}b{c}"));
            assert_eq!(fold(&folded), folded, "with U+{:04X}", u32::from(c));
        }
    }
}
