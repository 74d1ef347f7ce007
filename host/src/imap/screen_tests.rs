//! What honest servers say passes, in whatever pieces it comes; what would end the process does not; and what passes is
//! read by the library's parser up to the same byte.

use async_imap::imap_proto::Response;

use super::screen::{Screen, Unacceptable};

const ALLOWED: u64 = 64 << 10;

fn screen() -> Screen {
    let mut screen = Screen::new();
    screen.allow_literals(u64::MAX);
    screen
}

/// The verdict on `answer`, which must be the same however it is cut in two, and byte by byte.
fn verdict(answer: &[u8]) -> Result<(), Unacceptable> {
    let in_pieces = |pieces: &[&[u8]]| {
        let mut screen = self::screen();
        let mut allowed = ALLOWED;
        pieces.iter().try_for_each(|piece| {
            let looked = screen.look_through(piece, allowed);
            allowed -= u64::try_from(piece.len()).unwrap();
            looked
        })
    };
    let whole = in_pieces(&[answer]);
    for cut in 0..=answer.len() {
        let (first, second) = answer.split_at(cut);
        assert_eq!(in_pieces(&[first, second]), whole, "cut at {cut}");
    }
    assert_eq!(in_pieces(&answer.chunks(1).collect::<Vec<_>>()), whole);
    whole
}

#[test]
fn what_honest_servers_say_passes() {
    let brackets = "(".repeat(300);
    let answers = [
        "* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ AUTH=PLAIN] Dovecot ready.\r\n",
        "* OK (((\" {12} don't \"quote\\ me {\r\n* OK Gimap ready for requests from 192.0.2.1 {7}x\r\n+ idling (\"\r\n",
        &format!("* OK {brackets}\r\nA0001 NO {brackets}\r\n+ {brackets}\r\n"),
        "A0001 OK [READ-ONLY] EXAMINE completed (0.001 + 0.000 secs).\r\nA0002 BAD Error in \"{5}\" (\r\n",
        "* FLAGS (\\Answered \\Flagged \\Draft $Junk)\r\n* OK [PERMANENTFLAGS ()] Read-only mailbox.\r\n",
        "* 3 EXISTS\r\n* 0 RECENT \r\n* 2 EXPUNGE\r\n* SEARCH 1 2 3\r\n* SEARCH\r\n* CAPABILITY IMAP4rev1\r\n",
        "* LIST (\\HasNoChildren \\Sent) \"/\" \"[Gmail]/Sent (old) {4}\"\r\n* LIST () \"/\" {6}\r\nA(\"{9}\r\n",
        "* ID (\"name\" \"Dovecot\" \"note\" {3}\r\n\"((\")\r\n* ID NIL\r\n* STATUS \"INBOX\" (MESSAGES 3) \r\n",
        "* 1 FETCH (UID 7 INTERNALDATE \" 5-Nov-2026 10:00:00 +0100\" RFC822.SIZE 512)\r\n",
        "* 1 FETCH (FLAGS (\\Seen $Label1) MODSEQ (65) UID 7 EMAILID (M6d99) THREADID NIL )\r\n",
        "* 1 FETCH (UID 7 BODY[] {26}\r\n((((\"{900000}\r\n* 2 (((( \r\n)\r\n* 2 FETCH (BODY[]<0> {0}\r\n UID 8)\r\n",
        "* 1 FETCH (BODY[] \"(((\\\" \\\\ {5}) \u{e9}\" UID 7 BODY[TEXT] NIL)\r\nA3 OK done\r\n",
    ];
    for answer in answers {
        assert_eq!(verdict(answer.as_bytes()), Ok(()), "{answer}");
    }
}

#[test]
fn brackets_in_brackets_of_a_fetch_do_not_pass_however_they_are_hidden() {
    let nested = format!("BODYSTRUCTURE {}", "(".repeat(100));
    let answers = [
        format!("* 1 FETCH ({nested}"),
        format!("* 1 fetch (UID 7 {nested}"),
        "* 1 FETCH (BODYSTRUCTURE (1 (1 (1".to_owned(),
        "* 1 FETCH (ENVELOPE (\"\" \"\" ((".to_owned(),
        // Which the parser takes for a value up to the bracket or space, with the structure behind it.
        format!("* 1 FETCH (X (\") {nested}"),
        format!("* 1 FETCH (X a\"b {nested}"),
        format!("* 1 FETCH (X \"a\r\nb {nested}"),
        format!("* 1 FETCH (X \"a\\b {nested}"),
        format!("* 1 FETCH (X ({{60000}}\r\n) {nested}"),
        format!("* 1 FETCH (X a{{60000}}\r\n {nested}"),
        format!("* 1 FETCH (X {{60000}}a\r\n+ {nested}"),
        format!("* 1 FETCH (X {{99999999999}}\r\n+ {nested}"),
        format!("* 1 FETCH (X a\r\n+ {nested}"),
        format!("* 1 FETCH (X (a\r\n+ ) {nested}"),
        format!("* 1 FETCH (X(\r\n+ ) {nested}"),
        // A literal after some codes, text after the others.
        "* OK [BADCHARSET ({30000}\r\n".to_owned(),
        "+ [BADCHARSET ({30000}\r\n".to_owned(),
        "A1 OK {5}\r\n".to_owned(),
    ];
    for answer in answers {
        assert_eq!(verdict(answer.as_bytes()), Err(Unacceptable::OtherForm), "{answer}");
    }
}

#[test]
fn a_literal_is_not_waited_for_that_may_not_come() {
    for answer in ["* 1 FETCH (BODY[] {536000000}\r\n", "* LIST () {70000}\r\n", "* 1 FETCH (BODY[] {65536}\r\n"] {
        assert_eq!(verdict(answer.as_bytes()), Err(Unacceptable::TooLong), "{answer}");
    }
    let announcement = b"* 1 FETCH (BODY[] {60000}\r\n";
    assert_eq!(verdict(announcement), Ok(()));
    let length = u64::try_from(announcement.len()).unwrap();
    assert_eq!(screen().look_through(announcement, 60_000 + length), Ok(()));
    assert_eq!(screen().look_through(announcement, 60_000 + length - 1), Err(Unacceptable::TooLong));
}

#[test]
fn a_response_may_be_as_long_as_the_uids_of_a_search_and_a_fetch_much_less() {
    let verdict = |answer: String| screen().look_through(answer.as_bytes(), u64::MAX);
    let uids: Vec<String> = (0..50_000).map(|number| (u32::MAX - number).to_string()).collect();
    assert_eq!(verdict(format!("* SEARCH {}\r\n", uids.join(" "))), Ok(()));
    assert_eq!(verdict(format!("* SEARCH {}", "1 ".repeat(1 << 20))), Err(Unacceptable::TooLong));
    assert_eq!(verdict(format!("* OK {}", "(".repeat(2 << 20))), Err(Unacceptable::TooLong));
    // The parser makes some hundred bytes of each of these.
    assert_eq!(verdict(format!("* 1 FETCH ({}", "UID 1 ".repeat(20_000))), Err(Unacceptable::TooLong));
    let message = "x".repeat(2 << 20);
    let literal = format!("{{{}}}\r\n{message}", message.len());
    let fetch = format!("* 1 FETCH (BODY[] {literal})\r\n").repeat(3);
    assert_eq!(verdict(fetch.clone()), Ok(()));
    let mut narrow = Screen::new();
    narrow.allow_literals(3 << 20);
    assert_eq!(narrow.look_through(fetch.as_bytes(), u64::MAX), Ok(()));
    let two = format!("* 1 FETCH (BODY[] {literal} X {literal})\r\n");
    assert_eq!(narrow.look_through(two.as_bytes(), u64::MAX), Err(Unacceptable::TooLong));
}

#[test]
fn the_parser_reads_what_passes_up_to_the_same_byte() {
    const PIECES: [&str; 38] = [
        "UID ",
        "FLAGS ",
        "BODY[] ",
        "BODY ",
        "BODY[TEXT]<0> ",
        "BODYSTRUCTURE ",
        "ENVELOPE ",
        "X ",
        "RFC822 ",
        "RFC822.HEADER ",
        "X-GM-LABELS ",
        "MODSEQ ",
        "EMAILID ",
        "THREADID ",
        "BODY[HEADER.FIELDS (",
        "7",
        "NIL",
        "a",
        "\\Seen",
        "(",
        ")",
        "\"",
        "\\",
        "{2}\r\n",
        "{0}\r\n",
        "{3}",
        "\r\n",
        "\r",
        "\n",
        " ",
        "\"a b\"",
        "\"(\\\"\"",
        "(7)",
        "(\"a\" {1}\r\n",
        ")\r\n",
        "+ ",
        "* OK ",
        "]",
    ];
    const BEGINNINGS: [&str; 8] = [
        "* 1 FETCH (",
        "* 1 FETCH (UID 7 ",
        "* 1 FETCH (X ",
        "* LIST (",
        "* OK [BADCHARSET (",
        "+ ",
        "* ID (",
        "A1 OK ",
    ];
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut pick = |count: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % u64::try_from(count).unwrap()).unwrap()
    };
    let (mut complete, mut incomplete) = (0, 0);
    for _ in 0..200_000 {
        let mut answer = BEGINNINGS[pick(BEGINNINGS.len())].to_owned();
        for _ in 0..pick(8) {
            answer.push_str(PIECES[pick(PIECES.len())]);
        }
        answer.push_str(["", "7)\r\n", ")\r\n", "\r\n"][pick(4)]);
        let mut screen = self::screen();
        let mut end = None;
        let passes = answer.bytes().enumerate().all(|(index, byte)| {
            let passes = end.is_some() || screen.look_through(&[byte], ALLOWED).is_ok();
            if end.is_none() && passes && screen.is_between_responses() {
                end = Some(index + 1);
            }
            passes
        });
        if !passes {
            continue;
        }
        match (end, Response::parse(answer.as_bytes())) {
            (Some(end), Ok((rest, _))) => {
                assert_eq!(answer.len() - rest.len(), end, "{answer:?}");
                complete += 1;
            }
            (None, Ok((rest, _))) => panic!("the parser is done before {rest:?} in {answer:?}"),
            (_, Err(error)) if error.is_incomplete() => {
                // It may know later than we that there is no sense in it, but must not wait for what we think is over.
                assert!(end.is_none(), "{answer:?}");
                incomplete += 1;
            }
            (_, Err(_)) => {}
        }
    }
    assert!(complete > 1_000 && incomplete > 1_000, "{complete} {incomplete}");
}
