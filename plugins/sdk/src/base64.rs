//! Base64 (RFC 4648): what Authorization headers and signatures come in.

/// The bytes that `text` stands for, in the standard or the URL-safe alphabet, padded or not; nothing when it is neither.
///
/// ```
/// assert_eq!(ampout_plugin::base64::decode("dXNlcjpwYXNz").as_deref(), Some(b"user:pass".as_slice()));
/// ```
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim().trim_end_matches('=');
    // One digit left over holds six bits, which is no byte.
    if digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut held, mut bits) = (0_u32, 0_u32);
    for digit in digits.bytes() {
        held = (held << 6) | u32::from(value_of(digit)?);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// The text form of `bytes` in the standard alphabet, padded.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let held = chunk.iter().fold(0_usize, |held, byte| held << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = char::from(DIGITS[held >> (18 - 6 * place) & 0x3f]);
            text.push(if place <= chunk.len() { digit } else { '=' });
        }
    }
    text
}

fn value_of(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&[u8]>) {
        assert_eq!(decode(text).as_deref(), expected, "of {text:?}");
    }

    #[test]
    fn the_vectors_of_rfc_4648_section_10_hold() {
        check("", Some(b""));
        check("Zg==", Some(b"f"));
        check("Zm8=", Some(b"fo"));
        check("Zm9vYmFy", Some(b"foobar"));
        check("-_-_", Some(&[0xfb, 0xff, 0xbf]));
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(encode(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn what_is_not_base64_is_none() {
        check("Z", None);
        check("Zm9v YmFy", None);
        check("Zm9vé", None);
    }
}
