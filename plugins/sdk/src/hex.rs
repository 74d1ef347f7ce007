//! Hexadecimal, as signatures come in it.

/// The bytes that `text` stands for, in either case; nothing when it is something else.
///
/// ```
/// assert_eq!(ampout_plugin::hex::decode("00fF").as_deref(), Some([0, 255].as_slice()));
/// ```
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim().as_bytes();
    if digits.len() % 2 == 1 {
        return None;
    }
    digits.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// The text form of `bytes`, in lower case.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The value of one digit.
pub(crate) fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_what_is_none_is_not() {
        assert_eq!(decode(&encode(&[0, 1, 0xab, 0xff])).unwrap(), [0, 1, 0xab, 0xff]);
        for text in ["0", "0x", "zz", "é"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
