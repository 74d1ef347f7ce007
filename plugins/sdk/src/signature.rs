//! Proof that a request is the provider's own, for the schemes that providers share. Everything is verified on the raw
//! bytes, before anything is parsed, and compared in constant time. Age is counted from when the request arrived, not from
//! when it is read: a request that was stored and is read again hours later is as good as it was.

use crate::host::{self, Digest};
use crate::{Refusal, Request, Settings, base64, hex, time};

/// How far a provider's clock may be ahead of ours, in seconds.
const AHEAD: i64 = 300;

/// The window of Standard Webhooks, either way, in seconds.
const STANDARD_WINDOW: i64 = 300;

/// Whether `given` is the HMAC of the `parts` one after another.
#[must_use]
pub fn is_hmac(digest: Digest, key: &[u8], parts: &[&[u8]], given: &[u8]) -> bool {
    host::constant_time_equal(&host::hmac(digest, key, &parts.concat()), given)
}

/// The same for a signature in hexadecimal, in either case and with or without `sha256=` before it.
#[must_use]
pub fn is_hmac_hex(digest: Digest, key: &[u8], parts: &[&[u8]], given: &str) -> bool {
    let given = given.trim();
    hex::decode(given.strip_prefix("sha256=").unwrap_or(given)).is_some_and(|given| is_hmac(digest, key, parts, &given))
}

/// The same for a signature in base64.
#[must_use]
pub fn is_hmac_base64(digest: Digest, key: &[u8], parts: &[&[u8]], given: &str) -> bool {
    base64::decode(given).is_some_and(|given| is_hmac(digest, key, parts, &given))
}

/// Refuses a request whose stamp, in Unix seconds, is older than `oldest` seconds or ahead of our clock by more than five
/// minutes. A stamp that is no number is refused, too.
///
/// # Errors
/// `unauthorized`.
pub fn need_fresh(request: &Request, stamp: &str, oldest: i64) -> Result<(), Refusal> {
    let wrong = |reason: &str| Err(Refusal::unauthorized(reason));
    let seconds = stamp.trim().split('.').next().and_then(|whole| whole.parse::<i64>().ok());
    let (Some(stamp), Some(now)) = (seconds, time::unix_seconds(&request.received_at)) else {
        return wrong("the timestamp of the signature can't be read");
    };
    match now.checked_sub(stamp) {
        Some(age) if age > oldest => wrong("the timestamp of the signature is too old; this may be a replay"),
        Some(age) if age >= -AHEAD => Ok(()),
        _ => wrong("the timestamp of the signature lies in the future; is this machine's clock right?"),
    }
}

/// Standard Webhooks (and Svix, where it comes from): `webhook-id`, `webhook-timestamp` and `webhook-signature`, or the same
/// with `svix-`. Any of the signatures may match, with any of the secrets: `signing_secret` may hold several, separated by
/// blanks, while they are being rotated. Gives the request's id, which is the same at each retry.
///
/// # Errors
/// `unauthorized`.
pub fn need_standard_webhook<'a>(request: &'a Request, settings: &Settings) -> Result<&'a str, Refusal> {
    let secrets = settings.need_signing_secret()?;
    let header = |name: &str| {
        let found = ["webhook", "svix"].iter().find_map(|prefix| request.header(&format!("{prefix}-{name}")));
        found.ok_or_else(|| Refusal::unauthorized(format!("the header webhook-{name} (or svix-{name}) is missing")))
    };
    let (id, stamp, signatures) = (header("id")?, header("timestamp")?, header("signature")?);
    need_fresh(request, stamp, STANDARD_WINDOW)?;
    let signed = [id.as_bytes(), b".", stamp.as_bytes(), b".", &request.body].concat();
    let is_genuine = secrets.split_whitespace().any(|secret| {
        let Some(key) = base64::decode(secret.strip_prefix("whsec_").unwrap_or(secret)) else { return false };
        let expected = host::hmac(Digest::Sha256, &key, &signed);
        // A header holds a few signatures; more are not looked at.
        signatures.split_whitespace().take(16).any(|given| {
            let given = given.strip_prefix("v1,").and_then(base64::decode);
            given.is_some_and(|given| host::constant_time_equal(&expected, &given))
        })
    });
    if is_genuine {
        Ok(id)
    } else {
        Err(Refusal::unauthorized("no signature of the request matches the signing_secret"))
    }
}

impl Settings {
    /// The endpoint's `signing_secret`, for schemes that can't do without.
    ///
    /// # Errors
    /// `unauthorized`: without it nothing can be proven.
    pub fn need_signing_secret(&self) -> Result<&str, Refusal> {
        self.signing_secret().ok_or_else(|| Refusal::unauthorized("the endpoint has no signing_secret"))
    }

    /// The endpoint's `public_key` (or its `signing_secret`, where the key was put there) as DER `SubjectPublicKeyInfo`: from
    /// PEM, from base64, or from the `p=` of a DKIM record.
    ///
    /// # Errors
    /// `unauthorized`: without it nothing can be proven.
    pub fn need_public_key(&self) -> Result<Vec<u8>, Refusal> {
        let text = self.get("public_key").or_else(|| self.signing_secret());
        let text = text.ok_or_else(|| Refusal::unauthorized("the endpoint has no public_key"))?;
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("-----"));
        let body: String = lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect();
        let body = body.split(';').find_map(|part| part.strip_prefix("p=")).unwrap_or(&body);
        base64::decode(body).ok_or_else(|| Refusal::unauthorized("the endpoint's public_key is neither PEM nor base64"))
    }
}

impl Request {
    /// A header without which nothing is proven.
    ///
    /// # Errors
    /// `unauthorized` when it is absent or empty.
    pub fn need_header(&self, name: &str) -> Result<&str, Refusal> {
        let value = self.header(name).map(str::trim).filter(|value| !value.is_empty());
        value.ok_or_else(|| Refusal::unauthorized(format!("the header {name} is missing")))
    }

    /// For providers that sign nothing: where the endpoint has a `signing_secret`, the request has to show it. See
    /// [`presents_secret`](Self::presents_secret) for the places where it may stand.
    ///
    /// # Errors
    /// `unauthorized`.
    pub fn need_shared_secret(&self, settings: &Settings) -> Result<(), Refusal> {
        match settings.signing_secret() {
            Some(secret) if !self.presents_secret(secret) => Err(Refusal::unauthorized(
                "neither the Authorization header nor X-Webhook-Secret nor ?secret= presents the endpoint's signing_secret",
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(key: &str, value: &str) -> Settings {
        Settings(vec![(key.to_owned(), value.to_owned())])
    }

    /// The vector that Svix publishes.
    fn svix() -> Request {
        let pairs = [
            ("svix-id", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk"),
            ("svix-timestamp", "1649367553"),
            ("svix-signature", "v1,AAAA v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="),
        ];
        Request {
            headers: pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            received_at: "2022-04-07T21:39:13.000Z".to_owned(),
            ..Request::post(br#"{"email":"test@example.com","username":"test_user"}"#)
        }
    }

    const SVIX_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    #[test]
    fn the_published_vector_of_standard_webhooks_is_taken_and_a_flipped_byte_is_not() {
        let secret = settings("signing_secret", SVIX_SECRET);
        assert_eq!(need_standard_webhook(&svix(), &secret), Ok("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk"));
        let rotating = settings("signing_secret", &format!("whsec_AAAA {SVIX_SECRET}"));
        assert!(need_standard_webhook(&svix(), &rotating).is_ok());
        let mut flipped = svix();
        flipped.body[3] ^= 1;
        for (request, settings) in [(flipped, secret), (svix(), settings("signing_secret", "whsec_AAAA"))] {
            assert!(matches!(need_standard_webhook(&request, &settings), Err(Refusal::Unauthorized(_))));
        }
    }

    #[test]
    fn a_stamp_is_judged_by_when_the_request_arrived() {
        let request = |received_at: &str| Request { received_at: received_at.to_owned(), ..svix() };
        let check = |received_at: &str, stamp: &str, fits: bool| {
            assert_eq!(need_fresh(&request(received_at), stamp, 60).is_ok(), fits, "{stamp} at {received_at}");
        };
        check("2022-04-07T21:39:13.000Z", "1649367553", true);
        check("2022-04-07T21:40:13.000Z", "1649367553.9", true);
        check("2022-04-07T21:40:14.000Z", "1649367553", false);
        check("2022-04-07T21:34:13.000Z", "1649367553", true);
        check("2022-04-07T21:34:12.000Z", "1649367553", false);
        check("2022-04-07T21:39:13.000Z", "-9223372036854775808", false);
        check("2022-04-07T21:39:13.000Z", "1e9", false);
        check("", "1649367553", false);
    }

    #[test]
    fn a_public_key_is_read_in_each_of_its_forms() {
        let pem = "-----BEGIN PUBLIC KEY-----\nAQID\nBA==\n-----END PUBLIC KEY-----\n";
        for text in [pem, "AQIDBA==", "v=DKIM1; t=s; h=sha256; p=AQIDBA==;"] {
            assert_eq!(settings("public_key", text).need_public_key(), Ok(vec![1, 2, 3, 4]), "{text}");
            assert_eq!(settings("signing_secret", text).need_public_key(), Ok(vec![1, 2, 3, 4]), "{text}");
        }
        assert!(settings("public_key", "no key").need_public_key().is_err());
        assert!(Settings::default().need_public_key().is_err());
    }
}
