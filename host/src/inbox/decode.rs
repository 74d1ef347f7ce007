//! The door to mail-parser: header values, charsets and transfer encodings, each for one bounded piece of a message.
//! The structure of a message is not read here, nor by that crate: `mime` does it, with limits on depth and number.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::parsers::MessageStream;
use mail_parser::{Addr, HeaderValue};

/// The longest header value that is decoded; what is beyond is not looked at.
const MAX_VALUE_BYTES: usize = 64 << 10;
const MAX_ADDRESSES: usize = 200;

/// Lenient on purpose: senders forget padding and cut lines anywhere.
const LENIENT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A Content-Type (RFC 2045 §5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ContentType {
    /// Lower case: `text/plain`.
    pub(super) media: String,
    pub(super) boundary: Option<String>,
    pub(super) charset: Option<String>,
}

/// The value of a header, unfolded and with its encoded words (RFC 2047) decoded.
pub(super) fn header_text(value: &[u8]) -> String {
    let line = one_value(value);
    match MessageStream::new(&line).parse_unstructured() {
        HeaderValue::Text(text) => without_nul(text.trim()),
        _ => String::new(),
    }
}

/// The text without the NULs that encoded words and encoded parts can smuggle in: PostgreSQL takes no text with one.
pub(super) fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}

/// The addresses in a header such as To, their domains in lower case.
pub(super) fn addresses(value: &[u8]) -> Vec<String> {
    let line = one_value(value);
    let parsed = MessageStream::new(&line).parse_address();
    let named: Vec<&Addr<'_>> = match &parsed {
        HeaderValue::Address(list) => list.iter().take(MAX_ADDRESSES).collect(),
        _ => Vec::new(),
    };
    let mut found: Vec<String> =
        named.iter().filter_map(|named| named.address.as_deref()).filter_map(normal_address).collect();
    if found.is_empty() {
        // What no grammar covers may still hold an address: `Ada <ada@example.com` or `"ada@example.com"`.
        let text = String::from_utf8_lossy(&line);
        let words = text.split(|c: char| c.is_whitespace() || "<>\"',;:()[]".contains(c));
        found.extend(words.filter_map(normal_address).take(MAX_ADDRESSES));
    }
    found
}

/// The media type and the parameters that matter. `None` for what is no type at all.
pub(super) fn content_type(value: &[u8]) -> Option<ContentType> {
    let line = one_value(value);
    let parsed = MessageStream::new(&line).parse_content_type();
    let parsed = parsed.as_content_type()?;
    let media = format!("{}/{}", parsed.ctype(), parsed.subtype()?).to_lowercase();
    let parameter = |name| parsed.attribute(name).map(str::to_owned);
    Some(ContentType { media, boundary: parameter("boundary"), charset: parameter("charset") })
}

/// Undoes a Content-Transfer-Encoding. What is not quite right is decoded as far as it goes.
pub(super) fn transfer_decoded<'a>(bytes: &'a [u8], encoding: &str) -> Cow<'a, [u8]> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "base64" => base64(bytes),
        "quoted-printable" => Cow::Owned(quoted_printable(bytes)),
        _ => Cow::Borrowed(bytes),
    }
}

/// Text in the charset that it claims; UTF-8 where it claims none or one that nobody knows, and Windows-1252 where it is
/// not that either.
pub(super) fn charset_decoded(bytes: &[u8], charset: Option<&str>) -> String {
    let claimed = charset.map(str::trim).filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("utf-8"));
    if let Some(decoder) = claimed.and_then(|name| charset_decoder(name.as_bytes())) {
        return decoder(bytes);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        // UTF-8 by its own word, or by the look of it, with a bad byte or a cut end: the rest is kept as it is.
        Err(error) if charset.is_some() || error.error_len().is_none() => String::from_utf8_lossy(bytes).into_owned(),
        Err(_) => match charset_decoder(b"windows-1252") {
            Some(decoder) => decoder(bytes),
            None => String::from_utf8_lossy(bytes).into_owned(),
        },
    }
}

/// A value as the parser wants it: bounded, in UTF-8, with a line end that nothing follows.
fn one_value(value: &[u8]) -> Vec<u8> {
    let value = value.get(..MAX_VALUE_BYTES).unwrap_or(value);
    // Raw 8-bit characters say nothing of their charset; the guess is the most common one, and it never fails.
    let text = charset_decoded(value, None);
    let mut line = Vec::with_capacity(text.len() + 1);
    // A line break is folding here, whatever follows it: the value was split off before.
    for piece in text.trim().split(['\r', '\n']).map(str::trim_start).filter(|piece| !piece.is_empty()) {
        if !line.is_empty() {
            line.extend_from_slice(b"\n ");
        }
        line.extend_from_slice(piece.as_bytes());
    }
    line.push(b'\n');
    line
}

fn normal_address(address: &str) -> Option<String> {
    const LONGEST_ADDRESS: usize = 320;
    let address = without_nul(address);
    let address = address.trim();
    let (local, domain) = address.rsplit_once('@')?;
    let fits = !local.is_empty() && !domain.is_empty() && address.len() <= LONGEST_ADDRESS;
    (fits && !address.contains(char::is_whitespace)).then(|| format!("{local}@{}", domain.to_lowercase()))
}

fn base64(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut letters: Vec<u8> = bytes
        .iter()
        .copied()
        .take_while(|byte| *byte != b'=')
        .filter(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        .collect();
    if letters.len() % 4 == 1 {
        letters.pop();
    }
    LENIENT_BASE64.decode(&letters).map_or(Cow::Borrowed(bytes), Cow::Owned)
}

fn quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'=' {
            decoded.push(byte);
            continue;
        }
        match tail {
            [b'\r', b'\n', after @ ..] | [b'\n', after @ ..] => rest = after,
            [high, low, after @ ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    decoded.push(high << 4 | low);
                    rest = after;
                }
                _ => decoded.push(byte),
            },
            _ => decoded.push(byte),
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_unfolded_and_decoded() {
        let check = |raw: &[u8], expected: &str| assert_eq!(header_text(raw), expected, "{raw:?}");
        check(b" Re: hello\r\n world", "Re: hello world");
        check(b"=?utf-8?B?UsOpcG9uc2UgYXV0b21hdGlxdWU=?=", "Réponse automatique");
        check(b"=?iso-8859-1?Q?Abwesend:_?=\r\n =?iso-8859-1?Q?J=FCrgen?=", "Abwesend: Jürgen");
        check("Fravær i dag".as_bytes(), "Fravær i dag");
        check(b"Frav\xe6r i dag", "Fravær i dag");
        check(b"=?utf-8?B?broken", "=?utf-8?B?broken");
        check(b"a=?utf-8?q?=00?= b\0c", "a  bc");
        check(b"", "");
    }

    #[test]
    fn addresses_are_found_in_good_and_bad_headers() {
        let check = |raw: &[u8], expected: &[&str]| assert_eq!(addresses(raw), expected, "{raw:?}");
        check(b"Ada <Ada.L@Example.COM>, bob@example.org", &["Ada.L@example.com", "bob@example.org"]);
        check(b"team: ada@a.test, bob@b.test;", &["ada@a.test", "bob@b.test"]);
        check(b"\"Mail Delivery System\" <>", &[]);
        check(b"MAILER-DAEMON (Mail Delivery System)", &[]);
        check(b"<ada@example.com", &["ada@example.com"]);
        check(b"<a\0da@example.com>", &["ada@example.com"]);
        check(b"", &[]);
    }

    #[test]
    fn encodings_are_undone_as_far_as_they_go() {
        let check = |raw: &[u8], encoding: &str, expected: &[u8]| {
            assert_eq!(transfer_decoded(raw, encoding).as_ref(), expected, "{raw:?}");
        };
        check(b"aGVs\r\nbG8=\r\n", "Base64", b"hello");
        check(b"aGVsbG", "base64", b"hell");
        check(b"a=20b=\r\nc=3d=zz=", "quoted-printable", b"a bc==zz=");
        check(b"as it is", "8bit", b"as it is");
    }

    #[test]
    fn text_is_decoded_by_its_charset_or_by_a_guess() {
        assert_eq!(charset_decoded(b"J\xfcrgen", Some("ISO-8859-1")), "Jürgen");
        assert_eq!(charset_decoded("Jürgen".as_bytes(), None), "Jürgen");
        assert_eq!(charset_decoded(b"\xfcber uns", None), "über uns");
        assert_eq!(charset_decoded(b"plain", Some("no-such-charset")), "plain");
    }
}
