//! What checking a provider's signature needs, for both engines. Public keys are DER `SubjectPublicKeyInfo` (RFC 5280
//! §4.1.2.7); ring wants the key inside, so it is unwrapped here with a reader that knows just that much of DER.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use ring::{digest, hmac};
use subtle::ConstantTimeEq;

const LARGEST_CERTIFICATE: usize = 64 * 1024;

// Object identifiers as DER writes them, without tag and length.
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01]; // 1.2.840.113549.1.1.1, RFC 8017
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01]; // 1.2.840.10045.2.1, RFC 5480
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]; // 1.2.840.10045.3.1.7, RFC 5480
const ED25519: &[u8] = &[0x2b, 0x65, 0x70]; // 1.3.101.112, RFC 8410

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const EXPLICIT_VERSION: u8 = 0xa0;

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digest {
    /// 20 bytes; for providers that still sign with it.
    Sha1,
    /// 32 bytes.
    Sha256,
}

/// The hash of `data`.
pub(super) fn hash(function: Digest, data: &[u8]) -> Vec<u8> {
    let algorithm = match function {
        Digest::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        Digest::Sha256 => &digest::SHA256,
    };
    digest::digest(algorithm, data).as_ref().to_vec()
}

/// The HMAC of `data` (RFC 2104).
pub(super) fn hmac(function: Digest, key: &[u8], data: &[u8]) -> Vec<u8> {
    let algorithm = match function {
        Digest::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Digest::Sha256 => hmac::HMAC_SHA256,
    };
    hmac::sign(&hmac::Key::new(algorithm, key), data).as_ref().to_vec()
}

/// ECDSA on P-256 with SHA-256; the signature is ASN.1 DER. An error tells of a key that can't be read.
pub(super) fn verify_ecdsa_p256(public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, String> {
    let key = unwrap_key(public_key, EC_PUBLIC_KEY, Some(P256), "a P-256 key")?;
    Ok(verifies(&signature::ECDSA_P256_SHA256_ASN1, key, message, signature))
}

/// Ed25519. An error tells of a key that can't be read.
pub(super) fn verify_ed25519(public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, String> {
    let key = unwrap_key(public_key, ED25519, None, "an Ed25519 key")?;
    Ok(verifies(&signature::ED25519, key, message, signature))
}

/// RSASSA-PKCS1-v1_5, keys of 2048 to 8192 bits. An error tells of a key that can't be read.
pub(super) fn verify_rsa_pkcs1(
    public_key: &[u8],
    function: Digest,
    message: &[u8],
    signature: &[u8],
) -> Result<bool, String> {
    let key = unwrap_key(public_key, RSA_ENCRYPTION, None, "an RSA key")?;
    let algorithm = match function {
        Digest::Sha1 => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        Digest::Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
    };
    Ok(verifies(algorithm, key, message, signature))
}

/// The `SubjectPublicKeyInfo` of an X.509 certificate given as PEM or DER. The certificate itself is not judged.
pub(super) fn certificate_public_key(certificate: &[u8]) -> Result<Vec<u8>, String> {
    if certificate.len() > LARGEST_CERTIFICATE {
        return Err(format!("the certificate has over {LARGEST_CERTIFICATE} bytes"));
    }
    let der =
        match std::str::from_utf8(certificate).ok().and_then(|text| text.split_once("-----BEGIN CERTIFICATE-----")) {
            Some((_, rest)) => pem_content(rest)?,
            None => certificate.to_vec(),
        };
    subject_public_key_info(&der).map(<[u8]>::to_vec).ok_or_else(|| "this is no X.509 certificate".to_owned())
}

/// Compares without telling by its time how much was alike.
pub(super) fn constant_time_equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

fn verifies(algorithm: &'static dyn VerificationAlgorithm, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
}

fn unwrap_key<'a>(
    public_key: &'a [u8],
    algorithm: &[u8],
    curve: Option<&[u8]>,
    what: &str,
) -> Result<&'a [u8], String> {
    key_inside(public_key, algorithm, curve)
        .ok_or_else(|| format!("the public key is not {what} as DER SubjectPublicKeyInfo"))
}

/// `SEQUENCE { SEQUENCE { algorithm, parameters }, BIT STRING }`.
fn key_inside<'a>(spki: &'a [u8], algorithm: &[u8], curve: Option<&[u8]>) -> Option<&'a [u8]> {
    let (inside, rest) = take(spki, SEQUENCE)?;
    let (identifier, bits) = take(inside, SEQUENCE)?;
    let (bits, after) = take(bits, BIT_STRING)?;
    let (found, parameters) = take(identifier, OBJECT_IDENTIFIER)?;
    if !rest.is_empty() || !after.is_empty() || found != algorithm {
        return None;
    }
    if let Some(curve) = curve {
        let (named, _) = take(parameters, OBJECT_IDENTIFIER)?;
        if named != curve {
            return None;
        }
    }
    // The first byte counts the unused bits of the last; a key has none.
    bits.strip_prefix(&[0])
}

/// RFC 5280 §4.1: `Certificate { TBSCertificate { [0] version, serial, signature, issuer, validity, subject, key … } … }`.
fn subject_public_key_info(certificate: &[u8]) -> Option<&[u8]> {
    let (inside, _) = take(certificate, SEQUENCE)?;
    let (mut fields, _) = take(inside, SEQUENCE)?;
    if let Some((_, rest)) = take(fields, EXPLICIT_VERSION) {
        fields = rest;
    }
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        fields = take(fields, tag)?.1;
    }
    let (_, rest) = take(fields, SEQUENCE)?;
    fields.get(..fields.len() - rest.len())
}

/// The content of the element at the front, when it has this tag, and what follows it. Lengths of DER only: definite,
/// at most four bytes.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

fn pem_content(after_begin: &str) -> Result<Vec<u8>, String> {
    let (text, _) = after_begin.split_once("-----END CERTIFICATE-----").ok_or("the PEM has no END CERTIFICATE line")?;
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(text).map_err(|_| "the PEM is not base64".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, PublicKeyData, SigningKey};

    #[test]
    fn hashes_and_macs_are_those_of_the_standards() {
        // FIPS 180-4 and RFC 2202 / RFC 4231, case 2.
        assert_eq!(hex::encode(hash(Digest::Sha1, b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        let mac = hmac(Digest::Sha1, b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex::encode(mac), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        let mac = hmac(Digest::Sha256, b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex::encode(mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    type Verify = fn(&[u8], &[u8], &[u8]) -> Result<bool, String>;

    #[track_caller]
    fn check(algorithm: &'static rcgen::SignatureAlgorithm, verify: Verify) {
        let pair = KeyPair::generate_for(algorithm).unwrap();
        let signature = pair.sign(b"the body").unwrap();
        let certificate = CertificateParams::new(vec!["example.org".to_owned()]).unwrap().self_signed(&pair).unwrap();
        let key = certificate_public_key(certificate.pem().as_bytes()).unwrap();
        assert_eq!(key, pair.subject_public_key_info());
        assert_eq!(certificate_public_key(certificate.der()), Ok(key.clone()));
        assert_eq!(verify(&key, b"the body", &signature), Ok(true));
        assert_eq!(verify(&key, b"the bodz", &signature), Ok(false));
        assert!(verify(&key[1..], b"the body", &signature).unwrap_err().contains("SubjectPublicKeyInfo"));
        for end in 0..key.len() {
            assert!(verify(&key[..end], b"the body", &signature).is_err());
        }
    }

    #[test]
    fn signatures_are_verified_with_the_key_of_a_certificate() {
        check(&rcgen::PKCS_ECDSA_P256_SHA256, verify_ecdsa_p256);
        check(&rcgen::PKCS_ED25519, verify_ed25519);
    }

    #[test]
    fn a_key_of_another_kind_is_an_error() {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let key = pair.subject_public_key_info();
        assert!(verify_ecdsa_p256(&key, b"", b"").is_err());
        assert!(verify_rsa_pkcs1(&key, Digest::Sha256, b"", b"").is_err());
    }

    #[test]
    fn a_cut_or_forged_certificate_is_an_error() {
        let pair = KeyPair::generate().unwrap();
        let der = CertificateParams::default().self_signed(&pair).unwrap().der().to_vec();
        for end in 0..der.len() / 2 {
            assert!(certificate_public_key(&der[..end]).is_err(), "{end}");
        }
        assert!(certificate_public_key(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----").is_err());
        assert!(certificate_public_key(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).is_err());
    }
}
