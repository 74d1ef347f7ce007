//! Public keys for native tests: as much of DER as a `SubjectPublicKeyInfo` and an X.509 certificate need (RFC 5280 §4.1).
//! The engine has a reader of its own; the conformance cases are put to both.

use ring::signature::{UnparsedPublicKey, VerificationAlgorithm};

// Algorithm identifiers as DER writes them: the object identifier, and the curve's for EC.
const RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
const EC_P256: &[u8] =
    &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;
const EXPLICIT_VERSION: u8 = 0xa0;

/// What a key is for.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Rsa,
    EcP256,
    Ed25519,
}

pub(super) fn verify(
    public_key: &[u8],
    kind: Kind,
    algorithm: &'static dyn VerificationAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<bool, String> {
    let key = inside(public_key, kind).ok_or("the public key is not DER SubjectPublicKeyInfo of the kind expected")?;
    Ok(UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok())
}

pub(super) fn certificate_public_key(certificate: &[u8]) -> Result<Vec<u8>, String> {
    let der = match std::str::from_utf8(certificate) {
        Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => {
            let lines = text.lines().skip_while(|line| !line.contains("BEGIN CERTIFICATE")).skip(1);
            let body: String = lines.take_while(|line| !line.contains("END CERTIFICATE")).map(str::trim).collect();
            crate::base64::decode(&body).ok_or("the PEM is not base64")?
        }
        _ => certificate.to_vec(),
    };
    key_of_certificate(&der).ok_or_else(|| "this is no X.509 certificate".to_owned())
}

fn inside(spki: &[u8], kind: Kind) -> Option<&[u8]> {
    let (inside, _) = take(spki, SEQUENCE)?;
    let (identifier, bits) = take(inside, SEQUENCE)?;
    let expected = match kind {
        Kind::Rsa => RSA,
        Kind::EcP256 => EC_P256,
        Kind::Ed25519 => ED25519,
    };
    // The first byte of a bit string counts the unused bits of its last; a key has none.
    if identifier.starts_with(expected) { take(bits, BIT_STRING)?.0.strip_prefix(&[0]) } else { None }
}

fn key_of_certificate(certificate: &[u8]) -> Option<Vec<u8>> {
    let (signed, _) = take(take(certificate, SEQUENCE)?.0, SEQUENCE)?;
    let mut fields = take(signed, EXPLICIT_VERSION).map_or(signed, |(_, rest)| rest);
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        fields = take(fields, tag)?.1;
    }
    let rest = take(fields, SEQUENCE)?.1;
    fields.get(..fields.len() - rest.len()).map(<[u8]>::to_vec)
}

/// The content of the element in front, when it has this tag, and what follows it.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    if found == tag { rest.split_at_checked(length) } else { None }
}
