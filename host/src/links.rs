//! The addresses that we publish: the open pixel, unsubscribe links, providers' webhooks. Tokens are an HMAC over their
//! ids, so that they can be neither guessed nor altered; their key is kept sealed in the database, apart from the key of
//! secrets, so that rotating that one breaks no link that is already in a mailbox.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::hmac;

use crate::domain::ids::{EnrollmentId, SendId};
use crate::secrets::{ExposeSecret, SealedFor, Sealer, SecretString, random_bytes};
use crate::store::{Store, meta};

const KEY_NAME: &str = "links.key";
const KEY_PLACE: SealedFor<'static> = SealedFor { column: "meta.value", row: KEY_NAME };
/// 128 bits: a forger has one chance in 2^128 a try.
const TAG_BYTES: usize = 16;
const ID_BYTES: usize = 16;

/// Makes and reads the addresses.
#[derive(Clone)]
pub struct Links {
    public_url: String,
    key: hmac::Key,
}

/// What a token is for: a pixel's token is no unsubscribe token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Open,
    Unsubscribe,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Open => b"open",
            Self::Unsubscribe => b"unsubscribe",
        }
    }
}

/// Reads the key, or makes it at the first start.
pub async fn open(store: &Store, sealer: &Sealer, public_url: &str) -> anyhow::Result<Links> {
    let fresh = SecretString::from(hex::encode(random_bytes::<32>()));
    let mut tx = store.begin().await?;
    let sealed = meta::get_or_set(tx.conn(), KEY_NAME, &sealer.seal(&fresh, KEY_PLACE)).await?;
    tx.commit().await?;
    let key = hex::decode(sealer.open(&sealed, KEY_PLACE)?.expose_secret())?;
    Ok(Links::new(public_url, &key))
}

impl Links {
    /// For a key and the address from outside, without a slash at its end.
    pub fn new(public_url: &str, key: &[u8]) -> Self {
        Self { public_url: public_url.to_owned(), key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// The address from outside.
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// Its host name.
    pub fn host(&self) -> String {
        let host = url::Url::parse(&self.public_url).ok().and_then(|url| url.host_str().map(str::to_owned));
        host.unwrap_or_else(|| "localhost".to_owned())
    }

    /// The pixel of a send.
    pub fn pixel(&self, send: SendId) -> String {
        format!("{}/t/{}.gif", self.public_url, self.token(Purpose::Open, send.as_bytes()))
    }

    /// Where a recipient unsubscribes: for people (`GET`) and for one click (`POST`, RFC 8058).
    pub fn unsubscribe(&self, enrollment: EnrollmentId) -> String {
        format!("{}/u/{}", self.public_url, self.token(Purpose::Unsubscribe, enrollment.as_bytes()))
    }

    /// Where a provider posts.
    pub fn inbound(&self, provider: &str, token: &str) -> String {
        format!("{}/inbound/{provider}/{token}", self.public_url)
    }

    /// The send of a pixel's token; none for one that we did not make.
    pub fn read_pixel(&self, token: &str) -> Option<SendId> {
        self.read(Purpose::Open, token).map(|id| SendId::from(uuid::Uuid::from_bytes(id)))
    }

    /// The enrollment of an unsubscribe token; none for one that we did not make.
    pub fn read_unsubscribe(&self, token: &str) -> Option<EnrollmentId> {
        self.read(Purpose::Unsubscribe, token).map(|id| EnrollmentId::from(uuid::Uuid::from_bytes(id)))
    }

    fn token(&self, purpose: Purpose, id: &[u8; ID_BYTES]) -> String {
        let tag = hmac::sign(&self.key, &signed(purpose, id));
        BASE64.encode([id.as_slice(), &tag.as_ref()[..TAG_BYTES]].concat())
    }

    fn read(&self, purpose: Purpose, token: &str) -> Option<[u8; ID_BYTES]> {
        let bytes = BASE64.decode(token).ok()?;
        let (id, tag) = bytes.split_at_checked(ID_BYTES)?;
        let id: [u8; ID_BYTES] = id.try_into().ok()?;
        let expected = hmac::sign(&self.key, &signed(purpose, &id));
        let same: bool = subtle::ConstantTimeEq::ct_eq(&expected.as_ref()[..TAG_BYTES], tag).into();
        same.then_some(id)
    }
}

fn signed(purpose: Purpose, id: &[u8]) -> Vec<u8> {
    [purpose.label(), b"\0", id].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    #[test]
    fn a_token_is_read_back_and_no_altered_one_is() {
        let links = Links::new("https://mail.example", &[7; 32]);
        let enrollment = EnrollmentId::new(Timestamp::from_millis(1_700_000_000_000));
        let url = links.unsubscribe(enrollment);
        let token = url.strip_prefix("https://mail.example/u/").unwrap();
        assert_eq!(links.read_unsubscribe(token), Some(enrollment));
        assert_eq!(links.read_pixel(token), None);
        for at in 0..token.len() {
            let mut altered = token.as_bytes().to_vec();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert!(altered == token || links.read_unsubscribe(&altered).is_none(), "{altered}");
        }
        assert_eq!(links.read_unsubscribe(""), None);
        assert_eq!(Links::new("https://mail.example", &[8; 32]).read_unsubscribe(token), None);
    }
}
