//! `message/delivery-status`: what is read of it keeps its bounds, and what stands in it can be classed.
#![no_main]

use ampout_plugin::BounceClass;
use ampout_plugin::delivery_status::DeliveryStatus;
use ampout_plugin::smtp_reply::SmtpReply;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    let content = String::from_utf8_lossy(content);
    let report = DeliveryStatus::parse(&content);
    assert!(report.recipients.len() <= 500);
    for recipient in &report.recipients {
        let diagnostic = recipient.diagnostic.as_deref().unwrap_or_default();
        let class = BounceClass::of(recipient.status, diagnostic);
        // `4.0.0` and the like give way to a status that is quoted; RFC 7504 gave two codes one meaning, whatever else is said.
        let is_passing = recipient.status.is_some_and(|status| status.class == 4 && status.detail != 0);
        let has_one_meaning = matches!(SmtpReply::find(diagnostic).code, Some(521 | 556));
        assert!(!is_passing || has_one_meaning || class != BounceClass::Hard, "what may pass is called hard");
    }
});
