//! The parsers that read what strangers send, fed with damaged reports and bodies: none may panic, hang or grow without
//! end. The damage is the same at every run; a failure names its round's seed, and `AMPOUT_FUZZ_SEED` begins there.
//! `AMPOUT_FUZZ_ROUNDS` makes it longer. Adapters have the same done to them by the conformance kit.

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use ampout_plugin::delivery_status::DeliveryStatus;
use ampout_plugin::feedback_report::FeedbackReport;
use ampout_plugin::fields::Fields;
use ampout_plugin::smtp_reply::SmtpReply;
use ampout_plugin::testkit::conformance::Random;
use ampout_plugin::{BounceClass, address, base64, form, hex, text, time};

const ROUNDS: u64 = 3_000;
/// Damaged input is at most a few kilobytes; even an unoptimised build on a busy machine takes milliseconds.
const LONGEST_ROUND: Duration = Duration::from_secs(5);

const DELIVERY_STATUS: &[u8] = b"Reporting-MTA: dns; mx.example.org\r\nOriginal-Envelope-Id: 019ab7c0\r\n\
    Arrival-Date: Fri, 20 Nov 2026 12:00:00 +0000\r\n\r\nOriginal-Recipient: rfc822;nobody@example.net\r\n\
    Final-Recipient: rfc822; nobody@example.net\r\nAction: failed\r\nStatus: 5.1.1 (bad mailbox)\r\n\
    Remote-MTA: dns; mx.example.net\r\nDiagnostic-Code: smtp; 550-5.1.1 <nobody@example.net>:\r\n User unknown\r\n\r\n\
    Final-Recipient: x-local; a\r\nAction: delayed\r\nStatus: 4.2.2\r\n";
const FEEDBACK_REPORT: &[u8] = b"Feedback-Type: abuse\r\nUser-Agent: Some/1.0\r\nVersion: 1\r\n\
    Original-Rcpt-To: <ada@example.net>\r\nArrival-Date: Fri, 20 Nov 2026 12:00:00 +0000\r\nSource-IP: 192.0.2.1\r\n\
    Removal-Recipient: ada@example.net\r\nReported-Domain: example.com\r\n";
const FORM: &[u8] = b"event=bounce&rcpt=full%40example.net&recipients[0]=a%40b.c&recipients[]=d&message=452+4.2.2+Full\
    &X-Ampout-Send-Id=snd_1&a=%zz&time=2026-11-20T12%3A00%3A00Z";
const JSON: &[u8] =
    br#"[{"event":"bounce","n":-1.5e300,"list":["a",{"b":[]}],"text":"\u00e9\ud83d\ude00 \"x\"","deep":[[[[]]]]}]"#;
const WORDS: &[u8] =
    "host mx.example.net[192.0.2.25] said: 550-5.1.1 <jörg@bücher.example>: \"User unknown\" (in reply to RCPT TO) \
    2026-11-20T12:00:00.5+01:00 7/31/2026 12:00:00 PM 1785499200 Zm9vYmFy== 00fF"
        .as_bytes();

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn fuzz(seed_text: &[u8], parse: fn(&[u8])) {
    let (first, rounds) = (setting("AMPOUT_FUZZ_SEED").unwrap_or(1), setting("AMPOUT_FUZZ_ROUNDS").unwrap_or(ROUNDS));
    for seed in first..first.saturating_add(rounds) {
        let damaged = Random::seeded(seed).damaged(seed_text);
        let began = Instant::now();
        let ended = catch_unwind(|| parse(&damaged));
        let shown = String::from_utf8_lossy(&damaged);
        assert!(ended.is_ok(), "the seed {seed} makes it panic: {shown:?}");
        assert!(began.elapsed() < LONGEST_ROUND, "the seed {seed} makes it hang: {shown:?}");
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn delivery_reports_may_be_damaged() {
    fuzz(DELIVERY_STATUS, |bytes| drop(DeliveryStatus::parse(&lossy(bytes))));
}

#[test]
fn feedback_reports_may_be_damaged() {
    fuzz(FEEDBACK_REPORT, |bytes| drop(FeedbackReport::parse(&lossy(bytes))));
}

#[test]
fn forms_may_be_damaged() {
    fuzz(FORM, |bytes| {
        assert!(form::pairs(bytes).count() <= bytes.len() + 1);
        let fields = Fields::from_form(bytes).unwrap_or_default();
        for name in fields.names().map(str::to_owned).collect::<Vec<_>>() {
            let _ = (fields.list(&name), fields.number(&name), fields.last_text(&name), fields.objects(&name));
        }
        let _ = fields.send_id();
    });
}

#[test]
fn json_may_be_damaged() {
    fuzz(JSON, |bytes| {
        for fields in Fields::sniff(bytes).unwrap_or_default() {
            let _ = (fields.inside(&["list", "b"]), fields.objects("deep"), fields.list_text("list"), fields.send_id());
        }
    });
}

#[test]
fn words_may_be_damaged() {
    fuzz(WORDS, |bytes| {
        let words = lossy(bytes);
        let _ =
            (SmtpReply::find(&words), BounceClass::of_text(&words), text::fold(&words), address::addresses_in(&words));
        for word in words.split(' ') {
            let _ = (time::instant(word), time::normalize_rfc3339(word), base64::decode(word), hex::decode(word));
        }
        let _ = time::instant(&words);
    });
}
