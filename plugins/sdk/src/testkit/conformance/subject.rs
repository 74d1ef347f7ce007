//! What a package says of its provider, and the making of requests from it.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::sign::{self, CERTIFICATE, Scheme, Signer};
use crate::host::Digest;
use crate::{Request, form, time};

/// How events become a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// One event is the body.
    Object,
    /// The body is a list of events, of one, too.
    List,
    /// One event is the body; several are a list.
    Either,
    /// One event is the body, as a form.
    Form,
    /// One event is the query of a GET.
    Query,
    /// `event-data` of a Mailgun body.
    Mailgun,
    /// The form field `mandrill_events`, a list.
    Mandrill,
    /// `Message` of an SNS notification.
    Sns,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    settings: Map<String, Value>,
    signing: Scheme,
    shape: Shape,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    query: String,
    event: Value,
    type_at: Option<String>,
    expect: Value,
}

/// A provider as the kit plays it.
pub(super) struct Subject {
    pub(super) settings: Vec<(String, String)>,
    pub(super) scheme: Scheme,
    pub(super) shape: Shape,
    pub(super) event: Value,
    pub(super) type_at: Option<String>,
    pub(super) expect: Value,
    headers: Vec<(String, String)>,
    query: String,
}

/// The proof of a request: whole, or spoilt on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    Good,
    Missing,
    Empty,
    OfAStranger,
    Flipped,
    Half,
    Garbage,
    Long,
}

/// What a request is made of.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Events(Vec<Value>),
    /// In the place of an event, or of the list of them.
    Raw(Vec<u8>),
    /// In the place of all that the provider sends.
    Whole(Vec<u8>),
}

/// The time at which the requests arrive, in Unix seconds.
pub(super) fn now() -> i64 {
    time::unix_seconds(crate::testkit::NOW).unwrap_or_default()
}

impl Subject {
    pub(super) fn read(directory: &Path) -> Self {
        let path = directory.join("fixtures/conformance.json");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file: File = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let pairs = |map: Map<String, Value>| {
            map.into_iter().map(|(key, value)| (key, value.as_str().unwrap_or_default().to_owned())).collect::<Vec<_>>()
        };
        let mut settings = pairs(file.settings);
        for (_, value) in &mut settings {
            match value.as_str() {
                "@public_key" => *value = sign::public_key(&file.signing),
                "@certificate" => *value = CERTIFICATE.to_owned(),
                _ => {}
            }
        }
        Self {
            settings,
            scheme: file.signing,
            shape: file.shape,
            event: file.event,
            type_at: file.type_at,
            expect: file.expect,
            headers: pairs(file.headers),
            query: file.query,
        }
    }

    /// A request with this content, signed at `stamp`.
    pub(super) fn request(&self, content: &Content, stamp: &str, proof: Proof) -> Request {
        let mut request = Request {
            headers: self.headers.clone(),
            query: self.query.clone(),
            path: "/inbound/provider/token".to_owned(),
            url: "https://ampout.example/inbound/provider/token".to_owned(),
            ..Request::post(b"")
        };
        let secret = self.settings.iter().find(|(key, _)| key == "signing_secret").map_or("", |(_, value)| value);
        let signer = Signer { secret, is_stranger: proof == Proof::OfAStranger };
        if self.shape == Shape::Query {
            request.method = "GET".to_owned();
            request.query = String::from_utf8_lossy(&self.form_of(content)).into_owned();
        } else {
            request.body = self.body(content, stamp, signer, proof);
        }
        self.prove(&mut request, stamp, signer, proof);
        if !request.query.is_empty() {
            request.url = format!("{}?{}", request.url, request.query);
        }
        request
    }

    fn body(&self, content: &Content, stamp: &str, signer: Signer<'_>, proof: Proof) -> Vec<u8> {
        let json = |events: &[Value]| match (self.shape, events) {
            (Shape::List | Shape::Mandrill, events) => json!(events).to_string(),
            (Shape::Either, events) if events.len() != 1 => json!(events).to_string(),
            (_, events) => events.first().cloned().unwrap_or(json!([])).to_string(),
        };
        let inner = match content {
            Content::Whole(bytes) => return bytes.clone(),
            Content::Raw(bytes) => bytes.clone(),
            Content::Events(_) if self.shape == Shape::Form => return self.form_of(content),
            Content::Events(events) => json(events).into_bytes(),
        };
        match self.shape {
            Shape::Mandrill => [b"mandrill_events=".as_slice(), encoded(&inner).as_bytes()].concat(),
            Shape::Mailgun => {
                let token = "0123456789abcdef0123456789abcdef0123456789abcdef01";
                let made = signer.hmac_hex(format!("{stamp}{token}").as_bytes());
                let signature = match proof.alter(made) {
                    Some(made) => json!({ "timestamp": stamp, "token": token, "signature": made }),
                    None => json!({}),
                };
                [format!("{{\"signature\":{signature},\"event-data\":").as_bytes(), &inner, b"}"].concat()
            }
            Shape::Sns => sns(&String::from_utf8_lossy(&inner), stamp, signer, proof).to_string().into_bytes(),
            _ => inner,
        }
    }

    /// A flat event as a form; raw content as it is.
    fn form_of(&self, content: &Content) -> Vec<u8> {
        let events = match content {
            Content::Events(events) => events,
            Content::Raw(bytes) | Content::Whole(bytes) => return bytes.clone(),
        };
        let pair = |(key, value): (&String, &Value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{}={}", encoded(key.as_bytes()), encoded(text.as_bytes()))
        };
        let pairs = events.first().and_then(Value::as_object).into_iter().flatten().map(pair);
        pairs.collect::<Vec<_>>().join("&").into_bytes()
    }

    fn prove(&self, request: &mut Request, stamp: &str, signer: Signer<'_>, proof: Proof) {
        let body = request.body.clone();
        let mut add = |name: &str, value: String| {
            if let Some(value) = proof.alter(value) {
                request.headers.push((name.to_owned(), value));
            }
        };
        match &self.scheme {
            Scheme::Bearer => add("authorization", format!("Bearer {}", signer.text())),
            Scheme::HmacHex { header, prefix } => add(header, format!("{prefix}{}", signer.hmac_hex(&body))),
            Scheme::Zeptomail => {
                let signature = encoded(signer.hmac_base64(Digest::Sha256, &body).as_bytes());
                add("producer-signature", format!("ts={stamp}000;s={signature};s-algorithm=HmacSHA256"));
            }
            Scheme::Postal => add("x-postal-signature-256", signer.rsa(&body)),
            Scheme::Mandrill => {
                let mut pairs: Vec<(String, String)> = form::pairs(&body).collect();
                pairs.sort();
                let parameters: String = pairs.into_iter().flat_map(|(key, value)| [key, value]).collect();
                let signed = format!("{}{parameters}", request.url);
                add("x-mandrill-signature", signer.hmac_base64(Digest::Sha1, signed.as_bytes()));
            }
            Scheme::Sendgrid => {
                add("x-twilio-email-event-webhook-signature", signer.ecdsa(&[stamp.as_bytes(), &body].concat()));
                request.headers.push(("x-twilio-email-event-webhook-timestamp".to_owned(), stamp.to_owned()));
            }
            Scheme::StandardWebhooks { prefix } => {
                let id = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
                let signed = [format!("{id}.{stamp}.").as_bytes(), &body].concat();
                add(&format!("{prefix}-signature"), signer.standard_webhook(&signed));
                request.headers.push((format!("{prefix}-id"), id.to_owned()));
                request.headers.push((format!("{prefix}-timestamp"), stamp.to_owned()));
            }
            Scheme::Query => {
                if let Some(secret) = proof.alter(signer.text()) {
                    let separator = if request.query.is_empty() { "" } else { "&" };
                    request.query = format!("{}{separator}secret={}", request.query, encoded(secret.as_bytes()));
                }
            }
            // Theirs is in the body.
            Scheme::Mailgun | Scheme::Sns => {}
        }
    }
}

impl Proof {
    /// Every way to spoil it.
    pub(super) const SPOILT: [Self; 7] =
        [Self::Missing, Self::Empty, Self::OfAStranger, Self::Flipped, Self::Half, Self::Garbage, Self::Long];

    /// What becomes of a good proof's text.
    fn alter(self, text: String) -> Option<String> {
        match self {
            Self::Good | Self::OfAStranger => Some(text),
            Self::Missing => None,
            Self::Empty => Some(String::new()),
            Self::Flipped => {
                let mut bytes = text.into_bytes();
                // Past names and prefixes, and not the last, whose bits may be padding.
                let at = bytes.len() * 2 / 3;
                bytes[at] = if bytes[at] == b'7' { b'8' } else { b'7' };
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            Self::Half => Some(text.chars().take(text.chars().count() / 2).collect()),
            Self::Garbage => Some("é;;=,,\u{1} v1,% {".to_owned()),
            Self::Long => Some(text + &"A".repeat(65_536)),
        }
    }
}

/// A notification of Amazon SNS, signed as its documentation says.
fn sns(message: &str, stamp: &str, signer: Signer<'_>, proof: Proof) -> Value {
    let at = stamp.parse().ok().and_then(time::rfc3339_from_unix).unwrap_or_else(|| stamp.to_owned());
    let topic = "arn:aws:sns:eu-west-1:111122223333:ses-events";
    let fields =
        [("Message", message), ("MessageId", "n-2"), ("Timestamp", &at), ("TopicArn", topic), ("Type", "Notification")];
    let signed: String = fields.iter().map(|(key, value)| format!("{key}\n{value}\n")).collect();
    let mut body = json!({
        "SignatureVersion": "2",
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0000.pem",
    });
    for (key, value) in fields {
        body[key] = json!(value);
    }
    if let Some(signature) = proof.alter(signer.rsa(signed.as_bytes())) {
        body["Signature"] = json!(signature);
    }
    body
}

/// Percent-encoding of everything but letters, digits and `-._~`.
fn encoded(bytes: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(*byte).to_string(),
        other => format!("%{other:02X}"),
    };
    bytes.iter().map(one).collect()
}
