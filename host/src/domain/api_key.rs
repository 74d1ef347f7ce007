//! API keys: `ak_live_` and 32 random bytes in base64url; only the SHA-256 is kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use super::status::words;

const PREFIX: &str = "ak_live_";

words! {
    /// What a key may do.
    pub Scope {
        /// Read everything of the account.
        Read = "read",
        /// Create and change.
        Write = "write",
        /// Dispatch, resume and test sends.
        Send = "send",
        /// Upload scripts and bind them.
        Extensions = "extensions",
        /// Keys, components and system bindings.
        Admin = "admin",
    }
}

words! {
    /// Through what a key is used.
    pub ClientKind {
        /// By plain HTTP.
        Direct = "direct",
        /// By a model's tool server.
        Mcp = "mcp",
        /// By a library.
        Sdk = "sdk",
    }
}

/// A key in the moment of its making: the only time when it is whole.
#[derive(Debug)]
pub struct NewApiKey {
    /// The whole key, shown once.
    pub plaintext: SecretString,
    /// Its first twelve characters, kept for people.
    pub prefix: String,
    /// What is kept for looking it up.
    pub hash: String,
}

impl NewApiKey {
    /// The key of 32 random bytes.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        let plaintext = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        Self {
            prefix: plaintext.chars().take(12).collect(),
            hash: hash_of(&plaintext),
            plaintext: SecretString::from(plaintext),
        }
    }

    /// The whole key, to show it.
    pub fn reveal(&self) -> &str {
        self.plaintext.expose_secret()
    }
}

/// What a presented key is looked up by; `None` when it has not even the form of a key.
///
/// The look-up goes through a database index, whose time may tell how far a hash agrees with a stored one. That is of no
/// use to an attacker: who wants to lengthen the agreement by one digit must find a key whose SHA-256 begins with the
/// digits so far, sixteen times as many trials for each further digit, and would in the end hold a hash and not a key. So
/// the index may compare as it likes; what it found is compared once more by [`is_same_hash`].
pub fn presented_hash(presented: &str) -> Option<String> {
    let random = presented.strip_prefix(PREFIX)?;
    let bytes = URL_SAFE_NO_PAD.decode(random).ok()?;
    (bytes.len() == 32).then(|| hash_of(presented))
}

/// Whether two hashes are the same, in a time that does not depend on where they differ.
pub fn is_same_hash(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

fn hash_of(key: &str) -> String {
    hex::encode(Sha256::digest(key.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_found_by_what_was_shown() {
        let key = NewApiKey::from_random([7; 32]);
        assert!(key.reveal().starts_with("ak_live_"));
        assert_eq!(key.prefix.len(), 12);
        let presented = presented_hash(key.reveal()).unwrap();
        assert!(is_same_hash(&presented, &key.hash));
        assert!(!is_same_hash(&presented, &NewApiKey::from_random([8; 32]).hash));
        assert_eq!(presented_hash("ak_live_short"), None);
        assert_eq!(presented_hash("Bearer x"), None);
    }
}
