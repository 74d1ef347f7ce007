//! `application/x-www-form-urlencoded`, as bodies and queries come in it.

use crate::hex::digit;

/// The pairs of a form in their order, decoded.
pub fn pairs(form: &[u8]) -> impl Iterator<Item = (String, String)> {
    form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        (decoded(halves.next().unwrap_or_default()), decoded(halves.next().unwrap_or_default()))
    })
}

/// Undoes `+` and `%XX`; a percent sign without two digits stays, bytes that are not UTF-8 become U+FFFD.
#[must_use]
pub fn decoded(encoded: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = after;
                }
                _ => bytes.push(b'%'),
            },
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(*other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
