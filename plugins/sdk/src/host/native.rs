//! The host's part in a native test.

use ring::signature;

use super::keys;
use super::{Digest, FetchError, FetchRequest, FetchResponse, Level};

pub(super) use keys::certificate_public_key;

pub(super) fn log(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}

pub(super) fn now() -> String {
    crate::testkit::NOW.to_owned()
}

pub(super) fn hash(digest: Digest, data: &[u8]) -> Vec<u8> {
    let algorithm = match digest {
        Digest::Sha1 => &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
        Digest::Sha256 => &ring::digest::SHA256,
    };
    ring::digest::digest(algorithm, data).as_ref().to_vec()
}

pub(super) fn hmac(digest: Digest, key: &[u8], data: &[u8]) -> Vec<u8> {
    let algorithm = match digest {
        Digest::Sha1 => ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Digest::Sha256 => ring::hmac::HMAC_SHA256,
    };
    ring::hmac::sign(&ring::hmac::Key::new(algorithm, key), data).as_ref().to_vec()
}

/// Only a test: its time tells nobody anything.
pub(super) fn constant_time_equal(left: &[u8], right: &[u8]) -> bool {
    left == right
}

pub(super) fn verify_ecdsa_p256(public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, String> {
    keys::verify(public_key, keys::Kind::EcP256, &signature::ECDSA_P256_SHA256_ASN1, message, signature)
}

pub(super) fn verify_ed25519(public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, String> {
    keys::verify(public_key, keys::Kind::Ed25519, &signature::ED25519, message, signature)
}

pub(super) fn verify_rsa_pkcs1(
    public_key: &[u8],
    digest: Digest,
    message: &[u8],
    signature: &[u8],
) -> Result<bool, String> {
    let algorithm = match digest {
        Digest::Sha1 => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        Digest::Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
    };
    keys::verify(public_key, keys::Kind::Rsa, algorithm, message, signature)
}

pub(super) fn fetch(request: &FetchRequest) -> Result<FetchResponse, FetchError> {
    crate::testkit::fetched(request)
}
