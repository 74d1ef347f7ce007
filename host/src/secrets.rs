//! Secrets at rest: sealed with XChaCha20-Poly1305, each bound to its row, so that a sealed password copied into another
//! row opens nothing. In memory they are [`SecretString`]s, which print as nothing and are wiped when dropped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
pub use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

const NONCE_BYTES: usize = 24;

/// The operator's key: 32 bytes, written as base64 or hex.
#[derive(Clone)]
pub struct SecretKey {
    id: String,
    bytes: [u8; 32],
}

/// Seals and opens secrets. It seals with the first key and opens with any, which is how keys are rotated.
#[derive(Clone)]
pub struct Sealer {
    keys: Vec<SecretKey>,
}

/// The row that a secret belongs to: a sealed text opens only with the same words.
#[derive(Debug, Clone, Copy)]
pub struct SealedFor<'a> {
    /// Table and column, such as `smtp_credentials.smtp_password`.
    pub column: &'static str,
    /// The row's id.
    pub row: &'a str,
}

/// Why a secret can't be opened or a key can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The key is not 32 bytes.
    #[error("the secret key must be 32 bytes, as 64 hex digits or as base64; make one with `openssl rand -hex 32`")]
    BadKey,
    /// The text was not made by a sealer.
    #[error("a sealed secret in {column} is not in the form v1.<key>.<text>")]
    Malformed {
        /// Where it stood.
        column: &'static str,
    },
    /// Sealed with a key that is not among ours.
    #[error(
        "a secret in {column} is sealed with key {key_id}, which is not configured; give AMPOUT_SECRET_KEY its old value"
    )]
    UnknownKey {
        /// Where it stood.
        column: &'static str,
        /// The fingerprint of the key that sealed it.
        key_id: String,
    },
    /// Altered, or moved from another row.
    #[error("a secret in {column} does not open: it was altered or belongs to another row")]
    Forged {
        /// Where it stood.
        column: &'static str,
    },
}

impl SecretKey {
    /// Reads 64 hex digits or base64 of 32 bytes.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        let bytes = hex::decode(text)
            .or_else(|_| BASE64.decode(text.trim_end_matches('=')))
            .map_err(|_| SecretError::BadKey)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| SecretError::BadKey)?;
        Ok(Self::from_bytes(bytes))
    }

    /// A new random key.
    pub fn generate() -> Self {
        Self::from_bytes(random_bytes())
    }

    /// The key as 64 hex digits, for the key file alone.
    pub fn to_hex(&self) -> String {
        hex::encode(self.bytes)
    }

    fn from_bytes(bytes: [u8; 32]) -> Self {
        let fingerprint = Sha256::digest([b"ampout key id".as_slice(), &bytes].concat());
        Self { id: hex::encode(&fingerprint[..4]), bytes }
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretKey({})", self.id)
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Sealer").field(&self.keys).finish()
    }
}

impl Sealer {
    /// Seals with `current`, opens with `current` and `earlier`.
    pub fn new(current: SecretKey, earlier: Vec<SecretKey>) -> Self {
        let mut keys = vec![current];
        keys.extend(earlier);
        Self { keys }
    }

    /// Seals `secret` for one row: `v1.<key id>.<base64 of nonce and ciphertext>`.
    pub fn seal(&self, secret: &SecretString, place: SealedFor<'_>) -> String {
        let key = &self.keys[0];
        let nonce: [u8; NONCE_BYTES] = random_bytes();
        let payload = Payload { msg: secret.expose_secret().as_bytes(), aad: &place.associated_data() };
        // Encryption fails only for texts of more than 256 GiB.
        let sealed = cipher(key).encrypt(XNonce::from_slice(&nonce), payload).unwrap_or_default();
        format!("v1.{}.{}", key.id, BASE64.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// Opens what [`Sealer::seal`] made for the same row.
    pub fn open(&self, sealed: &str, place: SealedFor<'_>) -> Result<SecretString, SecretError> {
        let column = place.column;
        let malformed = || SecretError::Malformed { column };
        let (key_id, text) = sealed.strip_prefix("v1.").and_then(|rest| rest.split_once('.')).ok_or_else(malformed)?;
        let key = self.keys.iter().find(|key| key.id == key_id);
        let key = key.ok_or_else(|| SecretError::UnknownKey { column, key_id: key_id.to_owned() })?;
        let bytes = BASE64.decode(text).map_err(|_| malformed())?;
        let (nonce, ciphertext) = bytes.split_at_checked(NONCE_BYTES).ok_or_else(malformed)?;
        let payload = Payload { msg: ciphertext, aad: &place.associated_data() };
        let plain =
            cipher(key).decrypt(XNonce::from_slice(nonce), payload).map_err(|_| SecretError::Forged { column })?;
        String::from_utf8(plain).map(SecretString::from).map_err(|_| malformed())
    }
}

impl SealedFor<'_> {
    fn associated_data(&self) -> Vec<u8> {
        [self.column.as_bytes(), b"\0", self.row.as_bytes()].concat()
    }
}

/// Random bytes from a generator seeded by the operating system.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    rand::random()
}

fn cipher(key: &SecretKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(Key::from_slice(&key.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: SealedFor<'static> = SealedFor { column: "smtp_credentials.smtp_password", row: "one" };

    fn secret() -> SecretString {
        SecretString::from("hunter2")
    }

    #[test]
    fn opens_for_its_own_row_alone() {
        let sealer = Sealer::new(SecretKey::generate(), vec![]);
        let sealed = sealer.seal(&secret(), ROW);
        assert!(!sealed.contains("hunter2"));
        assert_eq!(sealer.open(&sealed, ROW).unwrap().expose_secret(), "hunter2");
        let other = SealedFor { row: "two", ..ROW };
        assert_eq!(sealer.open(&sealed, other).unwrap_err(), SecretError::Forged { column: ROW.column });
    }

    #[test]
    fn a_rotated_key_still_opens_what_the_old_one_sealed() {
        let old = SecretKey::generate();
        let sealed = Sealer::new(old.clone(), vec![]).seal(&secret(), ROW);
        let rotated = Sealer::new(SecretKey::generate(), vec![old]);
        assert_eq!(rotated.open(&sealed, ROW).unwrap().expose_secret(), "hunter2");
        let without = Sealer::new(SecretKey::generate(), vec![]);
        assert!(matches!(without.open(&sealed, ROW), Err(SecretError::UnknownKey { .. })));
    }

    #[test]
    fn a_key_is_32_bytes_of_hex_or_base64() {
        assert!(SecretKey::parse(&"ab".repeat(32)).is_ok());
        assert!(SecretKey::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").is_ok());
        assert_eq!(SecretKey::parse("short").unwrap_err(), SecretError::BadKey);
    }
}
