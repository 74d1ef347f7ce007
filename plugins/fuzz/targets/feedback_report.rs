//! `message/feedback-report`: a report is a complaint, an opt-out, or neither, and never both.
#![no_main]

use ampout_plugin::feedback_report::FeedbackReport;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    let report = FeedbackReport::parse(&String::from_utf8_lossy(content));
    assert!(report.original_recipients.len() <= 100);
    assert!(!(report.is_complaint() && report.is_opt_out()));
});
