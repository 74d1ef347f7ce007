//! Signatures as the Standard Webhooks specification has them: HMAC-SHA256 over `id.timestamp.body`.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::hmac;

use crate::secrets::{ExposeSecret, SecretString};

const SECRET_PREFIX: &str = "whsec_";
/// Signatures are padded; a secret is taken with and without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The secret is not `whsec_` and base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signing secret is not whsec_ and base64")]
pub struct BadSecret;

/// `v1,<base64>` for the message `id` with this body, sent at `timestamp` (seconds since 1970).
pub fn signature(secret: &SecretString, id: &str, timestamp: i64, body: &[u8]) -> Result<String, BadSecret> {
    let text = secret.expose_secret().strip_prefix(SECRET_PREFIX).ok_or(BadSecret)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64.decode(text).map_err(|_| BadSecret)?);
    let mut signing = hmac::Context::with_key(&key);
    signing.update(format!("{id}.{timestamp}.").as_bytes());
    signing.update(body);
    Ok(format!("v1,{}", BASE64.encode(signing.sign().as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(secret: &str) -> Result<String, BadSecret> {
        signature(&secret.into(), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#)
    }

    /// The example that the specification's own libraries are tested with.
    #[test]
    fn the_specifications_example_comes_out() {
        let expected = Ok("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned());
        assert_eq!(sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), expected);
    }

    #[test]
    fn what_is_no_secret_signs_nothing() {
        assert_eq!(sign("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), Err(BadSecret));
        assert_eq!(sign("whsec_*"), Err(BadSecret));
    }
}
