//! What the host does for a plugin: log lines, the clock, the cryptography of signatures, HTTPS. In a native test there is
//! no host: the log goes to standard error, the clock stands still, cryptography is computed here, and `fetch` is answered
//! by what the test laid out with [`testkit::with_fetch`](crate::testkit::with_fetch), so that the same plugin code runs.

pub use crate::bindings::host::ampout::extension::crypto::Digest;
pub use crate::bindings::host::ampout::extension::http::{FetchError, FetchRequest, FetchResponse};
pub use crate::bindings::host::ampout::extension::log::Level;

#[cfg(not(target_arch = "wasm32"))]
mod keys;
#[cfg(not(target_arch = "wasm32"))]
mod native;

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
