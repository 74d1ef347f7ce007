use mail_parser::{MessageParser, MimeHeaders};

use super::*;

fn message() -> OutgoingMessage {
    OutgoingMessage {
        from_name: "Ada Lovelace".to_owned(),
        from_email: EmailAddress::parse("ada@sender.example").unwrap(),
        to_name: Some("Bob".to_owned()),
        to_email: EmailAddress::parse("bob@recipient.example").unwrap(),
        subject: "Hello".to_owned(),
        body_html: "<p>Hi Bob,</p>\n<p>.</p>".to_owned(),
        body_text: "Hi Bob,\n.\n".to_owned(),
        message_id: "019ab7c0@sender.example".to_owned(),
        in_reply_to: None,
        references: vec![],
        date: "2026-11-23T08:00:00Z".parse().unwrap(),
        list_unsubscribe_url: None,
        send_id: "019ab7c0-0000-7000-8000-000000000000".parse().unwrap(),
        extra_headers: vec![],
    }
}

fn text(message: &OutgoingMessage) -> String {
    String::from_utf8(message.build().unwrap()).unwrap()
}

/// The header block and no more of it than `expected` names.
#[track_caller]
fn check(message: &OutgoingMessage, expected: &[&str]) {
    let text = text(message);
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    for line in expected {
        assert!(head.split("\r\n").any(|found| found == *line), "{line:?} is not in\n{head}");
    }
}

#[test]
fn the_headers_are_those_that_were_asked_for() {
    let message = OutgoingMessage {
        in_reply_to: Some("first@sender.example".to_owned()),
        references: vec!["first@sender.example".to_owned(), "second@sender.example".to_owned()],
        list_unsubscribe_url: Some(format!("https://example.org/u/{}", "t".repeat(200))),
        extra_headers: vec![
            ("X-PM-Tag".to_owned(), "cold".to_owned()),
            ("X-SMTPAPI".to_owned(), format!("{{\"unique_args\":{{\"ampout_send_id\":\"{}\"}}}}", "x".repeat(100))),
        ],
        ..message()
    };
    check(
        &message,
        &[
            "From: \"Ada Lovelace\" <ada@sender.example>",
            "To: Bob <bob@recipient.example>",
            "Subject: Hello",
            "Date: Mon, 23 Nov 2026 08:00:00 +0000",
            "Message-ID: <019ab7c0@sender.example>",
            "In-Reply-To: <first@sender.example>",
            "References: <first@sender.example>",
            " <second@sender.example>",
            &format!("List-Unsubscribe: <https://example.org/u/{}>", "t".repeat(200)),
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
            &format!("X-SMTPAPI: {{\"unique_args\":{{\"ampout_send_id\":\"{}\"}}}}", "x".repeat(100)),
            "X-Ampout-Send-Id: 019ab7c0-0000-7000-8000-000000000000",
            "X-PM-Tag: cold",
            "MIME-Version: 1.0",
        ],
    );
    let lower = text(&message).to_lowercase();
    assert!(!lower.contains("precedence:") && !lower.contains("auto-submitted:"));
}

#[test]
fn any_script_comes_back_as_it_was_written() {
    let message = OutgoingMessage {
        from_name: "Jörg \"Ü\" Müller, GmbH".to_owned(),
        to_name: Some("李雷".to_owned()),
        subject: format!("Grüße {}", "äöü ".repeat(60)).trim().to_owned(),
        body_text: "Привет\n".to_owned(),
        body_html: format!("<p>{}</p>", "x".repeat(3000)),
        ..message()
    };
    let bytes = message.build().unwrap();
    assert!(bytes.is_ascii());
    let parsed = MessageParser::default().parse(&bytes).unwrap();
    assert_eq!(parsed.subject(), Some(message.subject.as_str()));
    let from = parsed.from().unwrap().first().unwrap();
    assert_eq!((from.name(), from.address()), (Some(message.from_name.as_str()), Some("ada@sender.example")));
    assert_eq!(parsed.to().unwrap().first().unwrap().name(), Some("李雷"));
    assert_eq!(parsed.body_text(0).unwrap().trim(), "Привет");
    assert!(parsed.body_html(0).unwrap().contains(&"x".repeat(3000)));
    assert_eq!(parsed.content_type().unwrap().subtype(), Some("alternative"));
    assert_eq!(message.build().unwrap(), bytes, "built twice");
}

#[test]
fn a_subject_comes_back_with_its_blanks_whatever_stands_in_it() {
    let long = "x".repeat(2000);
    for subject in [
        "Grüße  für Sie",
        "Hé  é",
        "é é   é a  b é",
        "Hi  there",
        "a =?utf-8?q?b?= c",
        "=?utf-8?q?evil?=",
        &"für Sie  ".repeat(40),
        &long,
        "李雷",
        "",
    ] {
        let bytes = OutgoingMessage { subject: subject.to_owned(), ..message() }.build().unwrap();
        let parsed = MessageParser::default().parse(&bytes).unwrap();
        assert_eq!(parsed.subject().unwrap_or_default(), subject.trim(), "{}", String::from_utf8_lossy(&bytes));
        assert!(bytes.split(|byte| *byte == b'\n').all(|line| line.len() <= 999), "{subject}");
    }
}

#[test]
fn no_value_breaks_out_of_its_header() {
    let evil = "x\r\nBcc: eve@evil.example\r\n\r\nbody";
    let message = OutgoingMessage {
        from_name: evil.to_owned(),
        to_name: Some(evil.replace("\r\n", "\n")),
        subject: evil.replace("\r\n", "\r"),
        extra_headers: vec![("X-Tag".to_owned(), evil.to_owned())],
        ..message()
    };
    let text = text(&message);
    assert!(!text.contains("\nBcc:") && !text.contains("\rBcc:"), "{text}");
    let parsed = MessageParser::default().parse(text.as_bytes()).unwrap();
    assert!(parsed.bcc().is_none());
    assert_eq!(parsed.subject(), Some("x Bcc: eve@evil.example  body"));

    type Spoil = fn(&mut OutgoingMessage, &str);
    let strict: [(&str, Spoil); 5] = [
        ("Message-ID", |m, v| m.message_id = v.to_owned()),
        ("In-Reply-To", |m, v| m.in_reply_to = Some(v.to_owned())),
        ("References", |m, v| m.references = vec![v.to_owned()]),
        ("List-Unsubscribe", |m, v| m.list_unsubscribe_url = Some(v.to_owned())),
        ("extra header", |m, v| m.extra_headers = vec![(v.to_owned(), "x".to_owned())]),
    ];
    for (header, spoil) in strict {
        for value in [evil, "", "a b", "a>,<b", "ä", "a\0"] {
            let mut spoilt = super::tests::message();
            spoil(&mut spoilt, value);
            assert!(spoilt.build().is_err(), "{header}: {value:?}");
        }
    }
    for name in ["From", "bcc", "Content-Type", "Message-ID", "Resent-To", "X Y", "X:"] {
        let spoilt =
            OutgoingMessage { extra_headers: vec![(name.to_owned(), "x".to_owned())], ..super::tests::message() };
        assert!(matches!(spoilt.build(), Err(BuildError::ExtraHeader { .. })), "{name}");
    }
}

#[test]
fn what_mail_cannot_carry_is_refused() {
    let long = OutgoingMessage { message_id: format!("{}@x.example", "a".repeat(1000)), ..message() };
    assert_eq!(long.build(), Err(BuildError::LineTooLong));
    for millis in [-1, i64::MAX, 253_402_300_800_000] {
        let date = Timestamp::from_millis(millis);
        assert_eq!(OutgoingMessage { date, ..message() }.build(), Err(BuildError::Date { date }));
    }
}

#[test]
fn odd_but_valid_addresses_are_taken() {
    for address in ["o'brien+tag@example.org", "jörg@bücher.example", "{x}|y@example.org", "a@xn--bcher-kva.example"]
    {
        let to_email = EmailAddress::parse(address).unwrap();
        assert!(OutgoingMessage { to_email, ..message() }.build().is_ok(), "{address}");
    }
}
