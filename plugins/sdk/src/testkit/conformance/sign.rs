//! How providers prove that a request is theirs. The kit plays the provider: it has the private keys.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Deserialize;

use crate::host::{Digest, hmac};
use crate::{base64, hex};

/// Keys that are good for tests and for nothing else.
const RSA_KEY: &[u8] = include_bytes!("../keys/rsa.pk8");
const P256_KEY: &[u8] = include_bytes!("../keys/p256.pk8");
/// The certificate of the RSA key.
pub(super) const CERTIFICATE: &str = include_str!("../keys/certificate.pem");

/// What SubjectPublicKeyInfo has before a P-256 point (RFC 5480).
const P256_PREFIX: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";

/// How a provider proves that a request is its own: `{"scheme": "…", …}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "scheme", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Scheme {
    /// `Authorization: Bearer <signing_secret>`; an endpoint without a secret takes everything.
    Bearer,
    /// `?secret=<signing_secret>`; an endpoint without a secret takes everything.
    Query,
    /// A header with the HMAC-SHA256 of the body in hexadecimal, after `prefix`.
    HmacHex {
        /// Its name in lower case.
        header: String,
        /// What stands before it.
        #[serde(default)]
        prefix: String,
    },
    /// Standard Webhooks with the headers `svix-…` or `webhook-…`.
    StandardWebhooks {
        /// `svix` or `webhook`.
        prefix: String,
    },
    /// Mailgun: in the body, the HMAC of time and token.
    Mailgun,
    /// Mandrill: HMAC-SHA1 of the URL and the parameters, in base64.
    Mandrill,
    /// ZeptoMail: `producer-signature: ts=…;s=…;s-algorithm=HmacSHA256` of the body.
    Zeptomail,
    /// SendGrid: ECDSA of time and body, in two headers.
    Sendgrid,
    /// Postal: RSA of the body.
    Postal,
    /// Amazon SNS: RSA of some of the body's fields, in the body.
    Sns,
}

impl Scheme {
    /// Whether a changed body is found out.
    pub(super) fn covers_body(&self) -> bool {
        !matches!(self, Self::Bearer | Self::Query | Self::Mailgun)
    }

    /// Whether an endpoint without a secret takes everything.
    pub(super) fn is_optional(&self) -> bool {
        matches!(self, Self::Bearer | Self::Query)
    }

    /// After how many seconds a request is too old, where its age is proven.
    pub(super) fn window(&self) -> Option<i64> {
        match self {
            Self::StandardWebhooks { .. } => Some(300),
            Self::Mailgun => Some(12 * 3600),
            Self::Sendgrid => Some(25 * 3600),
            Self::Sns => Some(3600),
            _ => None,
        }
    }
}

/// What is signed with: the endpoint's secret, or one that the endpoint does not know.
#[derive(Clone, Copy)]
pub(super) struct Signer<'a> {
    pub(super) secret: &'a str,
    pub(super) is_stranger: bool,
}

impl Signer<'_> {
    /// The text of the secret.
    pub(super) fn text(self) -> String {
        if self.is_stranger { format!("not-{}", self.secret) } else { self.secret.to_owned() }
    }

    pub(super) fn hmac_hex(self, data: &[u8]) -> String {
        hex::encode(&hmac(Digest::Sha256, self.text().as_bytes(), data))
    }

    pub(super) fn hmac_base64(self, digest: Digest, data: &[u8]) -> String {
        base64::encode(&hmac(digest, self.text().as_bytes(), data))
    }

    pub(super) fn standard_webhook(self, data: &[u8]) -> String {
        let mut key = base64::decode(self.secret.trim_start_matches("whsec_")).unwrap_or_default();
        // Not a zero: with zeros at its end a key of HMAC is the same.
        key.extend(self.is_stranger.then_some(1));
        format!("v1,{}", base64::encode(&hmac(Digest::Sha256, &key, data)))
    }

    pub(super) fn ecdsa(self, data: &[u8]) -> String {
        let random = SystemRandom::new();
        let stranger = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).expect("a key");
        let key = if self.is_stranger { stranger.as_ref() } else { P256_KEY };
        base64::encode(p256(key).sign(&random, data).expect("a signature").as_ref())
    }

    /// The stranger signs something else with the right key, which comes to the same.
    pub(super) fn rsa(self, data: &[u8]) -> String {
        let key = RsaKeyPair::from_pkcs8(RSA_KEY).expect("the RSA key of the kit");
        let mut signature = vec![0; key.public().modulus_len()];
        let data = if self.is_stranger { b"something else" } else { data };
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), data, &mut signature).expect("a signature");
        base64::encode(&signature)
    }
}

/// The public half of the kit's key for a scheme, as base64 of its DER.
pub(super) fn public_key(scheme: &Scheme) -> String {
    if *scheme == Scheme::Sendgrid {
        let mut der = hex::decode(P256_PREFIX).expect("a constant");
        der.extend_from_slice(p256(P256_KEY).public_key().as_ref());
        return base64::encode(&der);
    }
    base64::encode(&crate::host::certificate_public_key(CERTIFICATE.as_bytes()).expect("the certificate of the kit"))
}

fn p256(pkcs8: &[u8]) -> EcdsaKeyPair {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8, &SystemRandom::new())
        .expect("the P-256 key of the kit")
}
