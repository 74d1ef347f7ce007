//! Reading of messages, as the matcher and the classifiers see it.

use bytes::Bytes;

use super::parse::{Parsed, parse};
use crate::domain::Timestamp;
use crate::extensions::hooks::reply::Message;

const ID: &str = "019ab7c0-1234-7abc-8def-0123456789ab";

fn read(raw: &str) -> Parsed {
    parse(raw.replace('\n', "\r\n").as_bytes(), Timestamp::from_millis(0))
}

fn types(parsed: &Parsed) -> Vec<&str> {
    parsed.message.parts.iter().map(|part| part.content_type.as_str()).collect()
}

#[test]
fn a_reply_is_read_with_its_headers_in_order() {
    let parsed = read(&format!(
        "From bob@example.com Mon Nov 23 08:00:00 2026\nReturn-Path: <bob@Example.com>\nDelivered-To: ada+abc123@sender.test\n\
         From: =?utf-8?Q?B=C3=B6b?= <bob@Example.COM>\nTo: Ada <ada@sender.test>\nSubject: =?utf-8?B?UmU6IGjDqWxsbw==?=\n\
         In-Reply-To:\n <{ID}@sender.test>\nReferences: <x@y.test> <{ID}@sender.test>\nMessage-ID: <r1@example.com>\n\n\
         Sounds good.\n\n> Hi Bob\n"
    ));
    let message = &parsed.message;
    assert_eq!(message.sender.as_deref(), Some("bob@example.com"));
    assert_eq!(message.return_path.as_deref(), Some("bob@example.com"));
    assert_eq!(message.recipients, ["ada+abc123@sender.test", "ada@sender.test"]);
    assert_eq!(message.subject, "Re: héllo");
    assert_eq!(message.text, "Sounds good.\n\n> Hi Bob\n");
    let names: Vec<_> = message.headers.iter().map(|header| header.name.as_str()).collect();
    assert_eq!(names[..3], ["Return-Path", "Delivered-To", "From"]);
    assert_eq!(message.headers[2].value, "Böb <bob@Example.COM>");
    assert!(message.raw_headers.starts_with(b"Return-Path: <bob@Example.com>\r\n"));
    assert_eq!(message.our_message_ids, [format!("{ID}@sender.test")]);
    assert_eq!(parsed.references.in_reply_to_and_references, [format!("{ID}@sender.test"), "x@y.test".to_owned()]);
    assert_eq!(parsed.references.plus_tokens, ["abc123"]);
    assert_eq!(parsed.message_id.as_deref(), Some("r1@example.com"));
    assert!(message.extra.is_empty());
}

/// The same delivery status, in containers and under labels of several makes.
#[track_caller]
fn check_dsn(container: &str, status_type: &str, returned_type: &str) {
    let parsed = read(&format!(
        "Return-Path: <>\nFrom: MAILER-DAEMON@mx.test\nContent-Type: {container}; boundary=\"b\"\n\n--b\n\n\
         It failed.\n--b\n{status_type}\nReporting-MTA: dns; mx.test\nOriginal-Envelope-Id: {ID}\n\n\
         Original-Recipient: rfc822;Bob@example.com\nFinal-Recipient: rfc822; robert@example.com\nAction: failed\n\
         Status: 5.1.1\n--b\n{returned_type}\n\nMessage-ID: <{}@sender.test>\nX-Ampout-Send-Id: {ID}\nTo: bob@example.com\n\n\
         the original text\n--b--\n",
        ID.to_uppercase()
    ));
    let references = &parsed.references;
    assert_eq!(parsed.message.return_path.as_deref(), Some(""));
    assert_eq!(types(&parsed)[0], "message/delivery-status", "{container}");
    assert!(parsed.message.parts[0].content.contains("Status: 5.1.1"));
    assert!(types(&parsed).len() == 2 && !parsed.message.parts[1].content.contains("the original text"));
    assert_eq!(parsed.message.text.trim(), "It failed.");
    assert_eq!(references.returned_message_ids, [format!("{}@sender.test", ID.to_uppercase())]);
    assert_eq!(references.returned_send_ids, [ID]);
    assert_eq!(references.returned_recipients, ["Bob@example.com", "robert@example.com"]);
    assert_eq!(parsed.message.our_message_ids, references.returned_message_ids);
}

#[test]
fn a_header_that_is_too_large_hides_none_behind_it() {
    let large = "x".repeat(70_000);
    let parsed = read(&format!("X-Large: {large}\nAuto-Submitted: auto-replied\nSubject: Away\n\nUntil Monday.\n"));
    let names: Vec<_> = parsed.message.headers.iter().map(|header| header.name.as_str()).collect();
    assert_eq!(names, ["Auto-Submitted", "Subject"]);
}

#[test]
fn a_delivery_status_is_found_whatever_its_container_says() {
    let rfc822 = "Content-Type: message/rfc822";
    let status = "Content-Type: message/delivery-status\n";
    check_dsn("multipart/report; report-type=delivery-status", status, rfc822);
    check_dsn("multipart/mixed", status, rfc822);
    check_dsn("multipart/report", "Content-Type: text/plain\n", rfc822);
    check_dsn("multipart/report", "\n", rfc822);
    check_dsn(
        "multipart/report",
        "Content-Type: MESSAGE/Delivery-Status; x=y\nContent-Transfer-Encoding: 7bit\n",
        rfc822,
    );
}

#[test]
fn parts_are_found_at_any_nesting_and_in_a_message_in_pieces() {
    let inner = format!(
        "Content-Type: multipart/report; boundary=i\n\n--i\n\nno\n--i\nContent-Type: message/feedback-report\n\n\
         Feedback-Type: abuse\nOriginal-Rcpt-To: <bob@example.com>\n--i\nContent-Type: text/rfc822-headers\n\n\
         X-Ampout-Send-Id: {ID}\n--i--\n"
    );
    for outer in [
        format!("Content-Type: multipart/mixed; boundary=o\n\n--o\n{inner}\n--o--\n"),
        format!("Content-Type: message/rfc822\n\n{inner}"),
        format!("Content-Type: message/partial; number=1; total=2; id=x\n\n{inner}"),
        format!("Content-Type: multipart/digest; boundary=o\n\n--o\n\n{inner}\n--o--\n"),
    ] {
        let parsed = read(&format!("From: fbl@mx.test\n{outer}"));
        assert!(types(&parsed).ends_with(&["message/feedback-report", "text/rfc822-headers"]), "{outer}");
        assert_eq!(parsed.references.returned_recipients, ["bob@example.com"]);
        assert_eq!(parsed.references.returned_send_ids, [ID]);
    }
}

#[test]
fn what_a_system_writes_above_a_returned_message_with_parts_is_its_text() {
    let parsed = read(
        "From: MAILER-DAEMON@mx.test\nSubject: Failure Notice\n\n<bob@example.com>:\n550 5.1.1 User unknown\n\n\
         --- Below this line is a copy of the message.\n\nFrom: ada@sender.test\n\
         Content-Type: multipart/alternative; boundary=\"r\"\n\n--r\nContent-Type: text/plain\n\nhello\n--r\n\
         Content-Type: text/html\n\n<p>hello</p>\n--r--\n",
    );
    assert!(parsed.message.text.starts_with("<bob@example.com>:\n550 5.1.1 User unknown\n"), "{}", parsed.message.text);
}

#[test]
fn a_boundary_that_a_gateway_indented_parts_all_the_same() {
    let parsed = read(
        "From: mx@mx.test\nContent-Type: multipart/report; boundary=\"b\"\n\n--b\n\nno\n --b\n\
         Content-Type: message/delivery-status\n\nStatus: 5.1.1\n --b--\n",
    );
    assert_eq!((types(&parsed), parsed.message.text.trim()), (vec!["message/delivery-status"], "no"));
}

#[test]
fn a_report_with_the_wrong_boundary_or_none_is_taken_apart_all_the_same() {
    let parts = "--real\nContent-Type: text/plain\n\nno\n--real\nContent-Type: message/delivery-status\n\nStatus: 5.1.1\n--real--\n";
    for kind in ["Content-Type: multipart/report; boundary=stated\n", "Content-Type: multipart/report\n", ""] {
        let parsed = read(&format!("From: mx@mx.test\n{kind}\n{parts}"));
        assert_eq!((types(&parsed), parsed.message.text.trim()), (vec!["message/delivery-status"], "no"), "{kind}");
    }
    let quoted = read("From: a@b.test\n\nHi\n-- \nBob\n--\nnot a Content-Type: here\n");
    assert!(types(&quoted).is_empty() && quoted.message.text.contains("Bob"));
}

#[test]
fn a_bounce_in_plain_text_gives_up_the_ids_that_it_quotes() {
    let parsed = read(&format!(
        "From: postmaster@mx.test\nX-Failed-Recipients: bob@example.com\n\nCould not deliver.\n\n\
         > Message-ID: <{ID}@sender.test>\n> X-Ampout-Send-Id: {ID}\n> Subject: hello\n"
    ));
    assert_eq!(parsed.references.returned_message_ids, [format!("{ID}@sender.test")]);
    assert_eq!(parsed.references.returned_send_ids, [ID]);
    assert_eq!(parsed.references.returned_recipients, ["bob@example.com"]);
    assert_eq!(parsed.message.our_message_ids, [format!("{ID}@sender.test")]);
}

#[test]
fn the_text_is_the_plain_form_or_the_html_as_text() {
    #[track_caller]
    fn check(body: &str, expected: &str) {
        assert_eq!(read(&format!("From: a@b.test\n{body}")).message.text.trim(), expected);
    }
    let plain = "--b\nContent-Type: text/plain\n\nplain\n";
    let html =
        "--b\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n<p>h=C3=A9</p>\n";
    let blank = "--b\nContent-Type: text/plain\n\n \n";
    let file = "--b\nContent-Type: text/plain\nContent-Disposition: attachment; filename=x.txt\n\na file\n";
    check(&format!("Content-Type: multipart/alternative; boundary=b\n\n{plain}{html}--b--\n"), "plain");
    check(&format!("Content-Type: multipart/alternative; boundary=b\n\n{html}--b--\n"), "hé");
    check(&format!("Content-Type: multipart/alternative; boundary=b\n\n{blank}{html}--b--\n"), "hé");
    check(&format!("Content-Type: multipart/mixed; boundary=b\n\n{plain}{file}{plain}"), "plain\nplain");
    check("Content-Type: text/html\n\n<div>one</div><div>two</div>", "one\ntwo");
    check("Content-Type: multipart/mixed; boundary=missing\n\nno boundary here", "no boundary here");
    check("Content-Type: nonsense\n\nstill text", "still text");
    check("\nno header but a From", "no header but a From");
}

#[test]
fn long_text_is_cut_between_characters_and_says_so() {
    let parsed = parse(format!("From: a@b.test\n\n{}", "é€".repeat(40_000)).as_bytes(), Timestamp::from_millis(0));
    assert!(parsed.message.text.len() <= 64 << 10 && parsed.message.text.len() > (64 << 10) - 4);
    assert_eq!(parsed.message.extra.get("text_truncated"), Some("true"));
}

#[test]
fn what_is_no_proper_message_is_read_as_far_as_it_goes() {
    let at = Timestamp::from_millis(7);
    assert_eq!(parse(b"", at).message.received_at, at);
    let bare = parse(b"From: a@b.test\rSubject: carriage returns\r\rtext\rtext\r", at).message;
    assert_eq!((bare.subject.as_str(), bare.text.as_str()), ("carriage returns", "text\ntext\n"));
    let raw = parse(b"Subject: Frav\xe6r i dag\nnot a header line\n folded junk\nFrom: a@b.test\n\nhei\n", at).message;
    assert_eq!((raw.subject.as_str(), raw.sender.as_deref()), ("Fravær i dag", Some("a@b.test")));
    let nobody = parse(b"Date: someday\n\nhello", at).message;
    assert_eq!((nobody.sender, nobody.return_path, nobody.text.as_str()), (None, None, "hello"));
}

#[test]
fn a_message_made_to_hurt_costs_little() {
    let nested = "Content-Type: message/rfc822\n\n".repeat(100_000);
    let digests = "Content-Type: multipart/digest; boundary=b\n\n--b\n\n".repeat(50_000);
    let many = format!("Content-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\nx\n".repeat(100_000));
    let headers = "X: y\n".repeat(300_000);
    let ids = format!("References: {}\n\n{}", "<a@b>".repeat(100_000), format!("{ID}@x ").repeat(20_000));
    for raw in [nested, digests, many, headers, ids] {
        let message = parse(raw.as_bytes(), Timestamp::from_millis(0)).message;
        assert_eq!(message.extra.get("unreadable"), None);
        assert!(message.parts.len() <= 24 && message.headers.len() <= 1_000 && message.our_message_ids.len() <= 200);
        assert!(message.text.len() + message.raw_headers.len() <= 128 << 10);
    }
}

/// Random damage to well-formed messages: nothing panics, nor passes a limit.
#[test]
fn damaged_messages_are_read_without_harm() {
    let seeds = [
        format!(
            "Return-Path: <>\r\nFrom: =?utf-8?Q?B=C3=B6b?= <b@c.test>\r\nTo: x: a@b.test, \"q\" <c@d.test>;\r\nSubject: \
             =?iso-2022-jp?B?GyRCJEgbKEI=?= y\r\nContent-Type: multipart/report; boundary=\"b\"; report-type*=utf-8''x\r\n\r\n\
             --b\r\nContent-Type: text/html; charset=gb2312\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
             <table><tr><td>a=3D&amp;=\r\n</td></table>\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: \
             dns;x\r\n\r\nFinal-Recipient: utf-8; a@b.test\r\nAction: failed\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\
             Message-ID: <{ID}@s.test>\r\n\r\nx\r\n--b--\r\n"
        ),
        "Content-Type: text/plain; charset=utf-7\r\nContent-Transfer-Encoding: base64\r\nIn-Reply-To: <a@b> (c)\r\n\r\n\
         K0FHRS0tIGhlbGxv+/==\r\n"
            .to_owned(),
    ];
    const ODD_BYTES: &[u8] = b"\r\n\0 =?<>;:\"\\-&\xff";
    // Xorshift with a fixed seed: the same damage in each run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 16).unwrap_or(0) % below
    };
    for round in 0..6_000 {
        let mut raw = seeds[round % seeds.len()].clone().into_bytes();
        for _ in 0..=random(12) {
            let at = random(raw.len().max(1));
            match random(5) {
                _ if raw.is_empty() => raw.push(b'x'),
                0 => raw[at] = ODD_BYTES[random(ODD_BYTES.len())],
                1 => drop(raw.remove(at)),
                2 => raw.truncate(at.max(1)),
                3 => raw.extend_from_within(at..),
                _ => raw.splice(at..at, b"=?utf-8?B?".iter().copied()).for_each(drop),
            }
        }
        let message = parse(&raw, Timestamp::from_millis(0)).message;
        assert_eq!(message.extra.get("unreadable"), None, "{:?}", String::from_utf8_lossy(&raw));
        assert!(message.text.len() <= 64 << 10);
    }
}

#[test]
fn no_text_of_a_message_has_a_nul() {
    let raw = "From: =?utf-8?q?B=00ob?= <bob\0@example.com>\r\nSubject: a=?utf-8?q?=00?= b\r\nMessage-ID: <r\0one@x.test>\r\n\
               In-Reply-To: <a\0b@c.test>\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\nhel\0lo\r\n--b\r\n\
               Content-Type: message/delivery-status\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
               Original-Message-ID: <d=00e@f.test>\r\nFinal-Recipient: rfc822; b=00ob@example.com\r\n--b--\r\n";
    let parsed = parse(raw.as_bytes(), Timestamp::from_millis(0));
    assert_eq!(parsed.message.sender.as_deref(), Some("bob@example.com"));
    assert_eq!(parsed.message_id.as_deref(), Some("rone@x.test"));
    assert_eq!(parsed.references.in_reply_to_and_references, ["ab@c.test"]);
    assert_eq!(parsed.references.returned_message_ids, ["de@f.test"]);
    assert_eq!(parsed.references.returned_recipients, ["bob@example.com"]);
    let message = serde_json::to_string(&Message { raw_headers: Bytes::new(), ..parsed.message }).unwrap();
    assert!(!message.contains("\\u0000"), "{message}");
}
