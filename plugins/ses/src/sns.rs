//! Whether a message of SNS is Amazon's, and of a topic that the operator named. A signature alone is no proof of the
//! second: anybody may point a topic of theirs at us.
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>

use ampout_plugin::fields::Fields;
use ampout_plugin::host::{self, Digest, FetchRequest};
use ampout_plugin::signature::need_fresh;
use ampout_plugin::{Refusal, Request, Settings, base64, time};

/// SNS tries for an hour at most.
const OLDEST_SECONDS: i64 = 3600;

const NOTIFICATION: [&str; 6] = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
const CONFIRMATION: [&str; 7] = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];

/// The topic has to be one of the setting `topic_arns`, which are separated by commas or blanks.
pub(crate) fn need_topic(body: &Fields, settings: &Settings) -> Result<(), Refusal> {
    let Some(topic) = body.text("TopicArn") else {
        return Err(Refusal::unauthorized(
            "there is no TopicArn: is raw message delivery switched on? it has to be off",
        ));
    };
    let listed = settings.get("topic_arns").unwrap_or_default().split([',', ' ', '\n', '\t']);
    if listed.map(str::trim).any(|arn| arn == topic) {
        return Ok(());
    }
    Err(Refusal::unauthorized("the topic is not among the endpoint's topic_arns"))
}

/// The signature has to be Amazon's and young, and the headers must not say otherwise than the body.
pub(crate) fn need_amazon(request: &Request, body: &Fields, settings: &Settings) -> Result<(), Refusal> {
    let refused = |reason: &str| Err(Refusal::unauthorized(reason));
    for (header, field) in [("x-amz-sns-message-type", "Type"), ("x-amz-sns-message-id", "MessageId")] {
        if request.header(header).is_some_and(|value| body.raw_text(field) != Some(value)) {
            return refused("a header and the body are of two messages");
        }
    }
    let digest = match body.text("SignatureVersion").as_deref() {
        Some("1") => Digest::Sha1,
        Some("2") => Digest::Sha256,
        _ => return refused("the SignatureVersion is neither 1 nor 2"),
    };
    let Some(signature) = body.text("Signature").and_then(|text| base64::decode(&text)) else {
        return refused("there is no Signature in base64");
    };
    let key = host::certificate_public_key(&certificate(body, settings)?).map_err(Refusal::unauthorized)?;
    let signed = string_to_sign(body);
    if !host::verify_rsa_pkcs1(&key, digest, signed.as_bytes(), &signature).map_err(Refusal::unauthorized)? {
        return refused("the signature is not of Amazon's certificate");
    }
    let stamp = body.text("Timestamp").as_deref().and_then(time::unix_seconds);
    need_fresh(request, &stamp.map(|stamp| stamp.to_string()).unwrap_or_default(), OLDEST_SECONDS)
}

/// Amazon's certificate: the one in the settings, or the one at the address that the message names.
fn certificate(body: &Fields, settings: &Settings) -> Result<Vec<u8>, Refusal> {
    if let Some(pem) = settings.get("signing_certificate") {
        return Ok(pem.as_bytes().to_vec());
    }
    let url = body.text("SigningCertURL").unwrap_or_default();
    let is_certificate = |path: &str| path.starts_with("/SimpleNotificationService-") && path.ends_with(".pem");
    if !path_at_amazon(&url).is_some_and(is_certificate) {
        return Err(Refusal::unauthorized("the SigningCertURL is not Amazon's"));
    }
    let asked = FetchRequest { method: "GET".to_owned(), url, headers: Vec::new(), body: Vec::new() };
    match host::fetch(&asked) {
        Ok(answer) if answer.status == 200 => Ok(answer.body),
        Ok(answer) => {
            Err(Refusal::retry(format!("Amazon answered the request for its certificate with {}", answer.status)))
        }
        Err(error) => Err(Refusal::retry(format!("Amazon's certificate could not be fetched: {error:?}"))),
    }
}

/// The path of an https address whose host is `sns.<region>.amazonaws.com` or the same in China, and nothing else:
/// no port, no user, no other host that only looks like it.
pub(crate) fn path_at_amazon(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://sns.")?;
    let (host, _) = rest.split_once('/')?;
    let region = host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"))?;
    let is_region = !region.is_empty()
        && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let path = &rest[host.len()..];
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#');
    (is_region && is_plain && !path.contains("..")).then_some(path)
}

fn string_to_sign(body: &Fields) -> String {
    let names: &[&str] = if body.raw_text("Type") == Some("Notification") { &NOTIFICATION } else { &CONFIRMATION };
    let present = names.iter().filter_map(|name| Some((name, body.raw_text(name)?)));
    present.map(|(name, value)| format!("{name}\n{value}\n")).collect()
}
