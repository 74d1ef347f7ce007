//! What the host does for a plugin: log lines, the clock, the cryptography of signatures, HTTPS. In a native test there is
//! no host: the log goes to standard error, the clock stands still and digests are computed here, so that the same
//! plugin code runs; signatures by public keys and `fetch` answer with an error that says so.

pub use crate::bindings::host::ampout::extension::crypto::Digest;
pub use crate::bindings::host::ampout::extension::http::{FetchError, FetchRequest, FetchResponse};
pub use crate::bindings::host::ampout::extension::log::Level;

#[cfg(not(target_arch = "wasm32"))]
use native as engine;
#[cfg(target_arch = "wasm32")]
use wasm as engine;

/// Writes a line that is kept with the decision. Never log an address or a secret.
pub fn log(level: Level, message: &str) {
    engine::log(level, message);
}

/// The time, as the contract writes it: `2026-11-23T08:00:00.000Z`.
#[must_use]
pub fn now() -> String {
    engine::now()
}

/// A digest of `data`.
#[must_use]
pub fn hash(digest: Digest, data: &[u8]) -> Vec<u8> {
    engine::hash(digest, data)
}

/// HMAC (RFC 2104).
#[must_use]
pub fn hmac(digest: Digest, key: &[u8], data: &[u8]) -> Vec<u8> {
    engine::hmac(digest, key, data)
}

/// Whether two byte strings are one, without telling by the time taken how much was alike.
#[must_use]
pub fn constant_time_equal(left: &[u8], right: &[u8]) -> bool {
    engine::constant_time_equal(left, right)
}

/// Verifies ECDSA on P-256 with SHA-256; the key is DER `SubjectPublicKeyInfo`, the signature ASN.1 DER.
///
/// # Errors
/// When the key can't be read.
pub fn verify_ecdsa_p256(public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, String> {
    engine::verify_ecdsa_p256(public_key, message, signature)
}

/// Verifies Ed25519; the key is DER `SubjectPublicKeyInfo`.
///
/// # Errors
/// When the key can't be read.
pub fn verify_ed25519(public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, String> {
    engine::verify_ed25519(public_key, message, signature)
}

/// Verifies RSASSA-PKCS1-v1_5; the key is DER `SubjectPublicKeyInfo` of 2048 to 8192 bits.
///
/// # Errors
/// When the key can't be read.
pub fn verify_rsa_pkcs1(public_key: &[u8], digest: Digest, message: &[u8], signature: &[u8]) -> Result<bool, String> {
    engine::verify_rsa_pkcs1(public_key, digest, message, signature)
}

/// The DER public key of an X.509 certificate, given as PEM or DER. The certificate itself is not judged.
///
/// # Errors
/// When the certificate can't be read.
pub fn certificate_public_key(certificate: &[u8]) -> Result<Vec<u8>, String> {
    engine::certificate_public_key(certificate)
}

/// Makes an HTTPS request, to hosts that the manifest asks for and the operator granted.
///
/// # Errors
/// When the host is not granted, the time or the budget is spent, or the request fails.
pub fn fetch(request: &FetchRequest) -> Result<FetchResponse, FetchError> {
    engine::fetch(request)
}

#[cfg(target_arch = "wasm32")]
mod wasm {
    pub(super) use crate::bindings::host::ampout::extension::clock::now;
    pub(super) use crate::bindings::host::ampout::extension::crypto::{
        certificate_public_key, constant_time_equal, hash, hmac, verify_ecdsa_p256, verify_ed25519, verify_rsa_pkcs1,
    };
    pub(super) use crate::bindings::host::ampout::extension::http::fetch;
    pub(super) use crate::bindings::host::ampout::extension::log::write as log;
}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use super::{Digest, FetchError, FetchRequest, FetchResponse, Level};

    const NO_HOST: &str = "a native test has no host: run `ampout plugin test` for signatures by public keys";

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

    pub(super) fn constant_time_equal(left: &[u8], right: &[u8]) -> bool {
        left == right
    }

    pub(super) fn verify_ecdsa_p256(_: &[u8], _: &[u8], _: &[u8]) -> Result<bool, String> {
        Err(NO_HOST.to_owned())
    }

    pub(super) fn verify_ed25519(_: &[u8], _: &[u8], _: &[u8]) -> Result<bool, String> {
        Err(NO_HOST.to_owned())
    }

    pub(super) fn verify_rsa_pkcs1(_: &[u8], _: Digest, _: &[u8], _: &[u8]) -> Result<bool, String> {
        Err(NO_HOST.to_owned())
    }

    pub(super) fn certificate_public_key(_: &[u8]) -> Result<Vec<u8>, String> {
        Err(NO_HOST.to_owned())
    }

    pub(super) fn fetch(_: &FetchRequest) -> Result<FetchResponse, FetchError> {
        Err(FetchError::Denied(NO_HOST.to_owned()))
    }
}
