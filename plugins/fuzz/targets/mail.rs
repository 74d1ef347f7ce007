//! Whole mails through the classifier, and the same bytes as its text and as each of its machine-readable parts.
#![no_main]

#[path = "../../reply-classifier/tests/raw_mail/mod.rs"]
mod raw_mail;

use ampout_plugin::{Message, Part};
use libfuzzer_sys::fuzz_target;
use reply_classifier::classify;

const PARTS: [&str; 4] =
    ["message/delivery-status", "message/feedback-report", "message/disposition-notification", "message/rfc822"];

fuzz_target!(|raw: &[u8]| {
    let message = raw_mail::message_of(raw);
    let content = String::from_utf8_lossy(raw).into_owned();
    let _ = classify(Message { text: content.clone(), ..message.clone() });
    for content_type in PARTS {
        let part = Part { content_type: content_type.to_owned(), content: content.clone() };
        let _ = classify(Message { parts: vec![part], ..message.clone() });
    }
    let _ = classify(message);
});
