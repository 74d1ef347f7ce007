//! The IMAP door against the demo's IMAP server over TLS, and against peers that misbehave byte by byte.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::demo::imap_server::{ImapServer as DemoServer, ImapServerOptions, ImapUser};
use crate::dns::{Resolver, ResolverOptions};

const USER: &str = "ada@sender.test";
const PASSWORD: &str = "pass \"word\\";
const PATIENCE: Duration = Duration::from_secs(60);

fn door(ca_pem: Option<&str>, allow_plaintext: bool, timeouts: ImapTimeouts) -> Mailbox {
    let resolver =
        Resolver::new(ResolverOptions { servers: vec!["127.0.0.1:9".parse().unwrap()], ..Default::default() });
    let egress = EgressGuard::new(resolver.unwrap(), vec!["127.0.0.0/8".parse().unwrap()]);
    let tls = TlsClient::new(ca_pem.map(str::as_bytes)).unwrap();
    Mailbox::new(egress, tls, timeouts, allow_plaintext)
}

fn at(address: SocketAddr, tls: TlsMode, password: &str) -> ImapServer {
    ImapServer {
        host: address.ip().to_string(),
        port: address.port(),
        tls,
        username: USER.to_owned(),
        password: SecretString::from(password),
    }
}

async fn demo(options: ImapServerOptions) -> (DemoServer, Mailbox, ImapServer) {
    let user = ImapUser { username: USER.to_owned(), password: SecretString::from(PASSWORD) };
    let server = DemoServer::start(ImapServerOptions { tls: true, users: vec![user], ..options }).await.unwrap();
    let door = door(Some(server.ca_pem()), false, ImapTimeouts::default());
    let settings = at(server.address(), TlsMode::Implicit, PASSWORD);
    (server, door, settings)
}

fn mail(subject: &str) -> Vec<u8> {
    format!("From: bob@example.com\r\nSubject: {subject}\r\n\r\nhello\r\n").into_bytes()
}

fn uids(batch: &FetchBatch) -> Vec<u32> {
    batch.messages.iter().map(|message| message.uid).collect()
}

#[tokio::test]
async fn only_what_is_newer_comes_whole_and_unmarked() {
    let (server, door, settings) = demo(ImapServerOptions::default()).await;
    server.deliver(USER, mail("one")).unwrap();
    server.skip_uids(USER, 9).unwrap();
    let odd = b"Subject: \xe4\xff\r\n\r\nbare \r and 8-bit \x80\xfe {12}\r\n* 1 FETCH ()\r\n".to_vec();
    let odd_uid = server.deliver(USER, odd.clone()).unwrap();

    let mut session = door.open(&settings).await.unwrap();
    let state = session.state();
    assert_eq!((state.exists, state.uid_next), (2, odd_uid + 1));

    let all = session.fetch_since(0, FetchLimits::default()).await.unwrap();
    assert_eq!(uids(&all), [1, odd_uid]);
    assert_eq!(all.messages[1].raw, odd);
    assert_eq!((all.messages[1].size as usize, all.messages[1].truncated), (odd.len(), false));
    assert!(all.messages[1].internal_date.is_some());

    // A server answers `n:*` with its last message even when n is beyond it.
    let none = session.fetch_since(odd_uid, FetchLimits::default()).await.unwrap();
    assert_eq!((uids(&none), none.scanned_to, none.more), (vec![], odd_uid, false));
    let late = server.deliver(USER, mail("late")).unwrap();
    assert_eq!(uids(&session.fetch_since(odd_uid, FetchLimits::default()).await.unwrap()), [late]);
    session.logout().await;
    assert_eq!(server.seen(USER).unwrap(), 0);
}

#[tokio::test]
async fn a_backlog_comes_in_batches_and_again_after_a_restart() {
    let (server, door, settings) = demo(ImapServerOptions::default()).await;
    for number in 1..=10 {
        server.deliver(USER, mail(&number.to_string())).unwrap();
    }
    let limits = FetchLimits { messages: 4, ..FetchLimits::default() };
    let mut session = door.open(&settings).await.unwrap();
    let (mut checkpoint, mut brought, mut more) = (2, vec![], true);
    while more {
        let batch = session.fetch_since(checkpoint, limits).await.unwrap();
        assert!(batch.messages.len() <= 4 && batch.scanned_to >= checkpoint);
        brought.extend(uids(&batch));
        (checkpoint, more) = (batch.scanned_to, batch.more);
    }
    assert_eq!(brought, (3..=10).collect::<Vec<_>>());

    // The caller could not store the second batch: it starts from the earlier checkpoint and misses nothing.
    let mut session = door.open(&settings).await.unwrap();
    assert_eq!(uids(&session.fetch_since(0, limits).await.unwrap()), [1, 2, 3, 4]);
    assert_eq!(uids(&session.fetch_since(0, limits).await.unwrap()), [1, 2, 3, 4]);
    assert_eq!(uids(&session.fetch_since(4, limits).await.unwrap()), [5, 6, 7, 8]);

    let small = FetchLimits { batch_bytes: 80, ..FetchLimits::default() };
    assert_eq!(session.fetch_since(0, small).await.unwrap().messages.len(), 1);
}

#[tokio::test]
async fn a_large_message_comes_as_a_stub_among_whole_ones() {
    let (server, door, settings) = demo(ImapServerOptions::default()).await;
    server.deliver(USER, mail("small")).unwrap();
    let mut large = mail("large");
    large.resize(100_000, b'x');
    server.deliver(USER, large.clone()).unwrap();
    server.deliver(USER, mail("after")).unwrap();
    let limits = FetchLimits { message_bytes: 50_000, stub_bytes: 1_000, ..FetchLimits::default() };
    let batch = door.open(&settings).await.unwrap().fetch_since(0, limits).await.unwrap();
    let shapes: Vec<_> = batch.messages.iter().map(|m| (m.uid, m.raw.len(), m.truncated)).collect();
    assert_eq!(shapes, [(1, mail("small").len(), false), (2, 1_000, true), (3, mail("after").len(), false)]);
    assert_eq!(batch.messages[1].raw, large[..1_000]);
    assert_eq!(batch.messages[1].size, 100_000);
}

#[tokio::test]
async fn idle_is_woken_by_new_mail_and_by_mail_that_came_before_it_began() {
    let (server, door, settings) = demo(ImapServerOptions::default()).await;
    let mut session = door.open(&settings).await.unwrap();
    assert!(session.offers_idle());
    assert_eq!(session.wait_for_change(Duration::from_millis(1)).await.unwrap(), Change::Nothing);

    let (change, uid) = tokio::join!(session.wait_for_change(PATIENCE), async { server.deliver(USER, mail("one")) });
    assert_eq!((change.unwrap(), uid.unwrap()), (Change::NewMail, 1));
    assert_eq!(uids(&session.fetch_since(0, FetchLimits::default()).await.unwrap()), [1]);

    server.deliver(USER, mail("between")).unwrap();
    assert_eq!(session.wait_for_change(PATIENCE).await.unwrap(), Change::NewMail);
    // Not fetched yet, so still news.
    assert_eq!(session.wait_for_change(PATIENCE).await.unwrap(), Change::NewMail);
    assert_eq!(uids(&session.fetch_since(1, FetchLimits::default()).await.unwrap()), [2]);
    assert_eq!(session.wait_for_change(Duration::from_millis(1)).await.unwrap(), Change::Nothing);
}

#[tokio::test]
async fn without_idle_the_caller_is_told_to_poll() {
    let (_server, door, settings) = demo(ImapServerOptions { idle: false, ..Default::default() }).await;
    let mut session = door.open(&settings).await.unwrap();
    assert_eq!(session.wait_for_change(PATIENCE).await.unwrap(), Change::NotSupported);
}

#[tokio::test]
async fn a_session_given_up_in_the_middle_is_not_used_again() {
    let (_server, door, settings) = demo(ImapServerOptions::default()).await;
    let mut session = door.open(&settings).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), session.wait_for_change(PATIENCE)).await.is_err());
    let error = session.fetch_since(0, FetchLimits::default()).await.unwrap_err();
    assert!(matches!(error, ImapError::Protocol { .. }), "{error}");
}

#[tokio::test]
async fn a_renumbered_mailbox_shows_another_uid_validity() {
    let (server, door, settings) = demo(ImapServerOptions::default()).await;
    server.deliver(USER, mail("one")).unwrap();
    let mut session = door.open(&settings).await.unwrap();
    let before = session.state().uid_validity;
    server.renumber(USER).unwrap();
    assert_ne!(session.refresh().await.unwrap().uid_validity, before);
    assert_ne!(session.fetch_since(0, FetchLimits::default()).await.unwrap().uid_validity, before);
}

#[tokio::test]
async fn a_password_beyond_ascii_is_taken_by_sasl() {
    let user = ImapUser { username: USER.to_owned(), password: SecretString::from("pässwörd") };
    let options = ImapServerOptions { tls: true, users: vec![user], ..Default::default() };
    let server = DemoServer::start(options).await.unwrap();
    let door = door(Some(server.ca_pem()), false, ImapTimeouts::default());
    assert_eq!(door.test(&at(server.address(), TlsMode::Implicit, "pässwörd")).await.unwrap().exists, 0);
}

#[tokio::test]
async fn refusals_say_what_to_mend_and_hold_no_secret() {
    let (server, trusted, settings) = demo(ImapServerOptions::default()).await;
    let address = server.address();
    let wrong = trusted.test(&at(address, TlsMode::Implicit, "not-it")).await.unwrap_err();
    assert!(matches!(wrong, ImapError::AuthRefused { .. }) && !format!("{wrong:?}").contains("not-it"), "{wrong:?}");
    assert!(!format!("{settings:?}").contains("word\\"));

    let plain = trusted.test(&at(address, TlsMode::None, PASSWORD)).await.unwrap_err();
    assert_eq!(plain, ImapError::PlaintextForbidden);

    let stranger = door(None, false, ImapTimeouts::default());
    let untrusted = stranger.test(&settings).await.unwrap_err();
    assert!(matches!(untrusted, ImapError::Tls { .. }), "{untrusted:?}");

    let private = ImapServer { host: "10.0.0.1".to_owned(), ..settings.clone() };
    let refused = trusted.test(&private).await.unwrap_err();
    assert!(matches!(refused, ImapError::Egress(_)) && !refused.is_temporary(), "{refused:?}");

    let missing = trusted.open_folder(&settings, "No such folder").await.unwrap_err();
    assert!(matches!(missing, ImapError::Refused { .. }), "{missing:?}");
    drop(server);
}

/// A peer that writes `lines` one by one, each after something was read, and then stays silent.
async fn scripted(lines: &'static [&'static [u8]]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut ignored = [0; 1024];
        for line in lines {
            if tcp.write_all(line).await.is_err() {
                return;
            }
            if !matches!(tcp.read(&mut ignored).await, Ok(length) if length > 0) {
                return;
            }
        }
        std::future::pending::<()>().await;
    });
    address
}

async fn check_scripted(tls: TlsMode, lines: &'static [&'static [u8]], expected: &str) {
    let hasty = Duration::from_millis(300);
    let door = door(None, true, ImapTimeouts { connect: PATIENCE, command: hasty, fetch: hasty });
    let error = door.test(&at(scripted(lines).await, tls, "hunter2")).await.unwrap_err();
    let shown = format!("{error:?}");
    assert!(shown.contains(expected) && !shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn a_hostile_or_broken_server_ends_in_an_error() {
    const LONG: &[u8] = &[b'x'; 400 << 10];
    let starttls = TlsMode::Starttls;
    check_scripted(starttls, &[b"* OK hi\r\n", b"a1 OK go\r\n* OK [CAPABILITY IMAP4rev1] mine\r\n"], "behind STARTTLS")
        .await;
    check_scripted(starttls, &[b"* OK hi\r\n", b"a1 NO never\r\n"], "STARTTLS is refused").await;
    check_scripted(starttls, &[b"* PREAUTH welcome\r\n"], "Protocol").await;
    check_scripted(starttls, &[b"* BYE too busy\r\n"], "Unreachable").await;
    check_scripted(starttls, &[LONG], "too long").await;
    check_scripted(starttls, &[b"* OK hi\r\n"], "TimedOut").await;
    check_scripted(TlsMode::None, &[b"* PREAUTH welcome\r\n"], "Protocol").await;
    check_scripted(TlsMode::None, &[b"HTTP/1.1 400 Bad Request\r\n\r\n"], "Protocol").await;
    check_scripted(TlsMode::None, &[b"* OK hi\r\n"], "TimedOut").await;
    check_scripted(TlsMode::None, &[b"* OK hi\r\n", b"A0001 NO not hunter2, no\r\n"], "AuthRefused").await;
    check_scripted(TlsMode::None, &[b"* OK hi\r\n", b"A0001 NO [UNAVAILABLE] later\r\n"], "Unreachable").await;
    check_scripted(TlsMode::None, &[b"* OK hi\r\n", b"A0001 OK in\r\n", LONG], "too long").await;
    check_scripted(TlsMode::None, &[b"* OK hi\r\n", b"A0001 OK in\r\n", b"* BYE out\r\n"], "Unreachable").await;
    // What would take the process down, or half a gigabyte of memory at once.
    const NESTED: &[u8] =
        b"* 1 FETCH (BODYSTRUCTURE ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((";
    const ANNOUNCED: &[u8] = b"* 1 FETCH (BODY[] {536000000}\r\n";
    check_scripted(TlsMode::None, &[NESTED], "a form that nothing was asked for in").await;
    check_scripted(TlsMode::None, &[b"* OK hi\r\n", b"A0001 OK in\r\n", NESTED], "a form that nothing").await;
    check_scripted(TlsMode::None, &[ANNOUNCED], "too long").await;
    check_scripted(TlsMode::None, &[b"* OK hi\r\n", b"A0001 OK in\r\n", ANNOUNCED], "too long").await;
    // What makes the library panic.
    const CUT: &[u8] = b"* OK [UIDVALIDITY 1]\xc3\xa9tat\r\n";
    check_scripted(TlsMode::None, &[CUT], "reading it failed").await;
    check_scripted(TlsMode::None, &[b"* OK hi\r\n", b"A0001 NO [ALERT]\xc3\xa9chec\r\n"], "reading it failed").await;
    check_scripted(TlsMode::None, &[b"* OK hi\r\n", b"A0001 OK in\r\n", CUT], "reading it failed").await;
    let no_validity: &[&[u8]] = &[
        b"* OK hi\r\n",
        b"A0001 OK in\r\n",
        b"* CAPABILITY IMAP4rev1\r\nA0002 OK\r\n",
        b"* 0 EXISTS\r\nA0003 OK done\r\n",
    ];
    check_scripted(TlsMode::None, no_validity, "UIDVALIDITY").await;
}

/// Two messages of which the second never comes.
const DRIPPING: &[&[u8]] = &[
    b"* OK hi\r\n",
    b"A0001 OK in\r\n",
    b"* CAPABILITY IMAP4rev1\r\nA0002 OK\r\n",
    b"* 2 EXISTS\r\n* OK [UIDVALIDITY 1] valid\r\n* OK [UIDNEXT 3] next\r\nA0003 OK done\r\n",
    b"* SEARCH 1 2\r\nA0004 OK done\r\n",
    b"* 1 FETCH (UID 1 RFC822.SIZE 5)\r\n* 2 FETCH (UID 2 RFC822.SIZE 5)\r\nA0005 OK done\r\n",
    b"* 1 FETCH (UID 1 BODY[] {5}\r\nfirst)\r\n* 2 FETCH (UID 2 BODY[] {5}\r\nse",
];

#[tokio::test]
async fn a_server_that_drips_keeps_nobody_longer_than_allowed_and_what_came_is_kept() {
    let door = door(None, true, ImapTimeouts::default());
    let mut session = door.open(&at(scripted(DRIPPING).await, TlsMode::None, PASSWORD)).await.unwrap();
    let limits = FetchLimits { time: Duration::from_millis(300), ..FetchLimits::default() };
    let batch = session.fetch_since(0, limits).await.unwrap();
    assert_eq!((uids(&batch), batch.scanned_to, batch.more), (vec![1], 1, true));
    assert!(matches!(batch.cut_short, Some(ImapError::TimedOut { .. })), "{batch:?}");
    assert!(session.fetch_since(1, limits).await.is_err());
}

#[tokio::test]
async fn a_session_whose_answer_made_the_library_panic_is_not_used_again() {
    const DATELESS: &[&[u8]] = &[
        DRIPPING[0],
        DRIPPING[1],
        DRIPPING[2],
        DRIPPING[3],
        DRIPPING[4],
        b"* 1 FETCH (UID 1 INTERNALDATE NIL RFC822.SIZE 5)\r\nA0005 OK done\r\n",
    ];
    let door = door(None, true, ImapTimeouts::default());
    let mut session = door.open(&at(scripted(DATELESS).await, TlsMode::None, PASSWORD)).await.unwrap();
    let error = session.fetch_since(0, FetchLimits::default()).await.unwrap_err();
    assert!(matches!(error, ImapError::Protocol { .. }) && error.to_string().contains("reading it failed"), "{error}");
    let error = session.fetch_since(0, FetchLimits::default()).await.unwrap_err();
    assert!(error.to_string().contains("the command before was given up"), "{error}");
}

#[tokio::test]
async fn a_server_that_gives_other_uids_in_the_middle_is_opened_anew() {
    const RENUMBERING: &[&[u8]] = &[
        DRIPPING[0],
        DRIPPING[1],
        DRIPPING[2],
        DRIPPING[3],
        b"* OK [UIDVALIDITY 2] other\r\n* SEARCH 1 2\r\nA0004 OK done\r\n",
    ];
    let door = door(None, true, ImapTimeouts::default());
    let mut session = door.open(&at(scripted(RENUMBERING).await, TlsMode::None, PASSWORD)).await.unwrap();
    let error = session.fetch_since(0, FetchLimits::default()).await.unwrap_err();
    assert!(error.to_string().contains("UIDVALIDITY has changed"), "{error}");
}
