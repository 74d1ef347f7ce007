use super::test_peer::{Act, Peer, Script};
use super::*;
use crate::dns::{Resolver, ResolverOptions};
use crate::domain::EmailAddress;
use crate::domain::ids::CredentialId;
use crate::egress::EgressGuard;
use crate::tls::{Plaintext, TlsClient};

const PASSWORD: &str = "correct horse";
const FULL: &[&str] = &["PIPELINING", "CHUNKING", "SIZE 1000000", "AUTH PLAIN LOGIN"];
const PIPELINING: &[&str] = &["PIPELINING", "AUTH PLAIN"];
const BARE: &[&str] = &["AUTH PLAIN"];
const MESSAGE: &[u8] = b"Subject: x\r\n\r\n.hidden\nbare\r\n";

fn behaves(_: usize, _: &str) -> Option<Act> {
    None
}

fn connector(peer: &Peer, plaintext: Plaintext) -> Connector {
    impatient_connector(peer, plaintext, SmtpTimeouts::default())
}

fn impatient_connector(peer: &Peer, plaintext: Plaintext, timeouts: SmtpTimeouts) -> Connector {
    let dns = ResolverOptions { servers: vec!["127.0.0.1:9".parse().unwrap()], ..ResolverOptions::default() };
    let allow = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    let guard = EgressGuard::new(Resolver::new(dns).unwrap(), allow);
    let tls = TlsClient::new(Some(peer.ca_pem.as_bytes())).unwrap();
    Connector::new(guard, tls, SmtpOptions { ehlo_name: "engine.example".to_owned(), plaintext, timeouts }).unwrap()
}

fn pools(peer: &Peer, limits: PoolLimits) -> Pools {
    Pools::new(connector(peer, Plaintext::Allowed), limits)
}

fn server(peer: &Peer, tls: TlsMode) -> SmtpServer {
    SmtpServer {
        host: "localhost".to_owned(),
        port: peer.port,
        tls,
        username: "ada".to_owned(),
        password: PASSWORD.into(),
    }
}

fn credential(number: u8) -> CredentialId {
    format!("019ab7c0-0000-7000-8000-0000000000{number:02x}").parse().unwrap()
}

fn envelope() -> Envelope {
    let address = |text| EmailAddress::parse(text).unwrap();
    Envelope { from: address("ada@sender.example"), to: address("bob@recipient.example") }
}

/// Sends `count` messages, each over a connection taken from the pool, and prints how they ended.
async fn send(extensions: &'static [&'static str], script: Script, count: usize) -> (Peer, Vec<String>) {
    let peer = Peer::start(extensions, false, script).await;
    let (pools, credential) = (pools(&peer, PoolLimits::default()), credential(1));
    let mut outcomes = Vec::new();
    for _ in 0..count {
        let mut connection = pools.acquire(credential, &server(&peer, TlsMode::None)).await.unwrap();
        outcomes.push(describe(&connection.send(&envelope(), MESSAGE).await));
    }
    (peer, outcomes)
}

fn describe(outcome: &TransactionOutcome) -> String {
    match outcome {
        TransactionOutcome::Accepted(reply) => format!("accepted: {reply}"),
        TransactionOutcome::Refused { stage, reply } => format!("refused at {stage}: {reply}"),
        TransactionOutcome::Unsuitable { why } => format!("unsuitable: {why}"),
        TransactionOutcome::LostBeforeData { error } => format!("not sent: {error}"),
        TransactionOutcome::LostAfterData { error } => format!("in doubt: {error}"),
    }
}

/// One message against a script: how it ends, and the commands that the peer saw on its first connection.
async fn check(extensions: &'static [&'static str], script: Script, outcome: &str, verbs: &str) {
    let (peer, outcomes) = send(extensions, script, 1).await;
    assert_eq!(outcomes, [outcome]);
    assert_eq!(peer.log.verbs(0), verbs);
}

#[tokio::test]
async fn a_message_arrives_whole_whatever_the_server_offers() {
    let chunking: &[&str] = &["CHUNKING"];
    let ways = [
        (BARE, "MAIL RCPT DATA", "..hidden"),
        (PIPELINING, "MAIL RCPT DATA", "..hidden"),
        (FULL, "MAIL RCPT BDAT", ".hidden"),
        (chunking, "MAIL RCPT BDAT", ".hidden"),
    ];
    for (extensions, verbs, dots) in ways {
        let peer = Peer::start(extensions, false, behaves).await;
        let mut server = server(&peer, TlsMode::None);
        server.username.clear();
        let pools = pools(&peer, PoolLimits::default());
        for _ in 0..2 {
            let mut connection = pools.acquire(credential(1), &server).await.unwrap();
            let outcome = connection.send(&envelope(), MESSAGE).await;
            assert_eq!(describe(&outcome), "accepted: 250 2.0.0 queued");
        }
        assert_eq!(peer.log.verbs(0), format!("EHLO {verbs} {verbs}"), "{extensions:?}");
        let expected = format!("Subject: x\r\n\r\n{dots}\r\nbare\r\n");
        assert_eq!(peer.log.messages(), [expected.clone(), expected], "{extensions:?}");
    }
}

#[tokio::test]
async fn size_and_smtputf8_are_named_where_offered() {
    let peer = Peer::start(&["SIZE", "SMTPUTF8"], false, behaves).await;
    let pools = pools(&peer, PoolLimits::default());
    let mut connection = pools
        .acquire(credential(1), &SmtpServer { username: String::new(), ..server(&peer, TlsMode::None) })
        .await
        .unwrap();
    let to_joerg = Envelope { to: EmailAddress::parse("jörg@recipient.example").unwrap(), ..envelope() };
    assert!(matches!(connection.send(&to_joerg, MESSAGE).await, TransactionOutcome::Accepted(_)));
    let commands = peer.log.commands.lock().unwrap().clone();
    let size = MESSAGE.len();
    assert_eq!(commands[1].1, format!("MAIL FROM:<ada@sender.example> SIZE={size} SMTPUTF8"));
    assert_eq!(commands[2].1, "RCPT TO:<jörg@recipient.example>");

    let (peer, _) = send(BARE, behaves, 0).await;
    let pools = super::tests::pools(&peer, PoolLimits::default());
    let mut connection = pools.acquire(credential(1), &server(&peer, TlsMode::None)).await.unwrap();
    // Nobody has refused anything, and the connection is as good as before.
    let from_joerg = Envelope { from: to_joerg.to.clone(), ..envelope() };
    for (envelope, whose) in [(&to_joerg, "recipient"), (&from_joerg, "sender")] {
        let outcome = describe(&connection.send(envelope, MESSAGE).await);
        assert!(outcome.starts_with(&format!("unsuitable: not sent: the {whose}'s address is not ASCII")), "{outcome}");
    }
    assert_eq!(peer.log.verbs(0), "EHLO AUTH");
    assert!(matches!(connection.send(&envelope(), MESSAGE).await, TransactionOutcome::Accepted(_)));
    assert_eq!((peer.log.verbs(0).as_str(), peer.log.verbs(1).as_str()), ("EHLO AUTH MAIL RCPT DATA", ""));
}

#[tokio::test]
async fn tls_is_made_as_the_setting_says() {
    let peer = Peer::start(FULL, true, behaves).await;
    let report = connector(&peer, Plaintext::Forbidden).test(&server(&peer, TlsMode::Implicit)).await.unwrap();
    assert_eq!(report.tls, Some("TLS 1.3"));
    peer.log.wait_for(0, "EHLO AUTH QUIT").await;

    let peer = Peer::start(&["STARTTLS", "AUTH PLAIN"], false, behaves).await;
    let report = connector(&peer, Plaintext::Forbidden).test(&server(&peer, TlsMode::Auto)).await.unwrap();
    assert_eq!(report.tls, Some("TLS 1.3"));
    peer.log.wait_for(0, "EHLO STARTTLS EHLO AUTH QUIT").await;
}

/// A trial of a credential against a script, in plain text where `tls` is none.
async fn check_connect(
    extensions: &'static [&'static str],
    script: Script,
    tls: TlsMode,
    expected: &str,
) -> ConnectError {
    let peer = Peer::start(extensions, false, script).await;
    let error = connector(&peer, Plaintext::Allowed).test(&server(&peer, tls)).await.unwrap_err();
    let text = format!("{error} {error:?}").replace(&peer.port.to_string(), "PORT");
    assert!(text.contains(expected), "{text}");
    assert!(!text.contains(PASSWORD) && !text.contains("AGFkYQBjb3JyZWN0IGhvcnNl"), "{text}");
    error
}

#[tokio::test]
async fn what_goes_wrong_on_the_way_in_is_told_apart() {
    let error = check_connect(FULL, behaves, TlsMode::Auto, "port PORT does not offer STARTTLS").await;
    assert_eq!(error.blame(), Blame::Credential);
    let refuses_password: Script = |_, line| {
        line.starts_with("AUTH").then_some(Act::Say("535 5.7.8 no: AGFkYQBjb3JyZWN0IGhvcnNl is not correct horse"))
    };
    let error = check_connect(FULL, refuses_password, TlsMode::None, "535 5.7.8 no: [hidden] is not [hidden]").await;
    assert!(matches!(error, ConnectError::AuthRefused { .. }));
    let too_often: Script = |_, line| line.starts_with("AUTH").then_some(Act::Say("454 4.7.0 too many login attempts"));
    let error = check_connect(FULL, too_often, TlsMode::None, "refused at AUTH: 454 4.7.0").await;
    assert_eq!(error.blame(), Blame::Server);
    let error = check_connect(&["AUTH XOAUTH2"], behaves, TlsMode::None, "neither AUTH PLAIN nor AUTH LOGIN").await;
    assert_eq!(error.blame(), Blame::Credential);
    let injects: Script = |_, line| (line == "STARTTLS").then_some(Act::Say("220 ready\r\n250-evil\r\n250 AUTH PLAIN"));
    check_connect(&["STARTTLS"], injects, TlsMode::Starttls, "it went on in plain text").await;
    let refuses_all: Script = |_, line| (line == "GREETING").then_some(Act::SayAndClose("554 5.7.1 no service"));
    check_connect(FULL, refuses_all, TlsMode::None, "refused at its greeting: 554 5.7.1 no service").await;
    let speaks_http: Script = |_, line| (line == "GREETING").then_some(Act::Say("HTTP/1.1 400 Bad Request"));
    check_connect(FULL, speaks_http, TlsMode::None, "broke the protocol at its greeting").await;
    check_connect(
        FULL,
        |_, line| line.starts_with("EHLO").then_some(Act::Close),
        TlsMode::None,
        "closed the connection at EHLO",
    )
    .await;
}

#[tokio::test]
async fn plain_text_and_strangers_certificates_are_refused() {
    let peer = Peer::start(FULL, true, behaves).await;
    let error = connector(&peer, Plaintext::Forbidden).test(&server(&peer, TlsMode::None)).await.unwrap_err();
    assert_eq!(error, ConnectError::PlaintextForbidden { host: "localhost".to_owned() });
    let other = Peer::start(FULL, true, behaves).await;
    let error = connector(&other, Plaintext::Forbidden).test(&server(&peer, TlsMode::Implicit)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Tls(_)), "{error}");
    assert_eq!(peer.log.verbs(0), "");
    let nul = SmtpServer { username: "a\0b".to_owned(), ..server(&peer, TlsMode::Implicit) };
    let error = connector(&peer, Plaintext::Forbidden).test(&nul).await.unwrap_err();
    assert!(matches!(error, ConnectError::BadSettings { .. }), "{error}");
}

#[tokio::test]
async fn auth_login_is_spoken_where_it_is_all_there_is() {
    let peer = Peer::start(&["AUTH LOGIN"], false, behaves).await;
    connector(&peer, Plaintext::Allowed).test(&server(&peer, TlsMode::None)).await.unwrap();
    let commands: Vec<String> = peer.log.commands.lock().unwrap().iter().map(|(_, line)| line.clone()).collect();
    assert_eq!(commands[1..4], ["AUTH LOGIN", "YWRh", "Y29ycmVjdCBob3JzZQ=="]);
}

#[tokio::test]
async fn a_refusal_is_told_with_its_stage() {
    let no_such_user: Script = |_, line| line.starts_with("RCPT").then_some(Act::Say("550 5.1.1 no such user"));
    let told = "refused at RCPT TO: 550 5.1.1 no such user";
    check(BARE, no_such_user, told, "EHLO AUTH MAIL RCPT").await;
    // The peer agrees to DATA all the same: a lone dot ends it, which stands for no message.
    check(PIPELINING, no_such_user, told, "EHLO AUTH MAIL RCPT DATA").await;
    let and_data: Script = |_, line| match line.split([' ', ':']).next() {
        Some("RCPT") => Some(Act::Say("550 5.1.1 no such user")),
        Some("DATA" | "MESSAGE") => Some(Act::Say("554 5.5.1 no valid recipients")),
        _ => None,
    };
    check(PIPELINING, and_data, told, "EHLO AUTH MAIL RCPT DATA").await;
    check(FULL, and_data, told, "EHLO AUTH MAIL RCPT BDAT").await;
    let spam: Script = |_, line| (line == "MESSAGE").then_some(Act::Say("554 5.7.1 spam"));
    for extensions in [BARE, PIPELINING, FULL] {
        let (_, outcomes) = send(extensions, spam, 1).await;
        assert_eq!(outcomes, ["refused at end of message: 554 5.7.1 spam"]);
    }
}

#[tokio::test]
async fn a_refused_recipient_gets_nothing_and_the_connection_is_kept() {
    let first_refused: Script = |_, line| line.starts_with("RCPT").then_some(Act::Say("550 5.1.1 no such user"));
    for (extensions, verbs) in
        [(BARE, "EHLO AUTH MAIL RCPT RSET MAIL RCPT"), (PIPELINING, "EHLO AUTH MAIL RCPT DATA RSET MAIL RCPT DATA")]
    {
        let (peer, outcomes) = send(extensions, first_refused, 2).await;
        assert_eq!(outcomes, ["refused at RCPT TO: 550 5.1.1 no such user"; 2]);
        assert_eq!((peer.log.verbs(0).as_str(), peer.log.verbs(1).as_str()), (verbs, ""));
        assert!(peer.log.messages().iter().all(String::is_empty), "{:?}", peer.log.messages());
    }
}

#[tokio::test]
async fn a_server_that_contradicts_itself_gets_no_empty_message() {
    let refuses_sender: Script = |_, line| line.starts_with("MAIL").then_some(Act::Say("550 5.7.1 not you"));
    let (peer, outcomes) = send(PIPELINING, refuses_sender, 2).await;
    assert_eq!(outcomes, ["refused at MAIL FROM: 550 5.7.1 not you"; 2]);
    assert_eq!(peer.log.messages(), Vec::<String>::new());
    assert_eq!(peer.log.verbs(1), "EHLO AUTH MAIL RCPT DATA");
    // With BDAT the peer has taken the message by then, and says so: sending it again would send it twice.
    let (peer, outcomes) = send(FULL, refuses_sender, 1).await;
    assert_eq!(outcomes, ["accepted: 250 2.0.0 queued"]);
    assert_eq!(peer.log.messages().len(), 1);
}

#[tokio::test]
async fn a_lost_connection_says_whether_the_server_may_have_the_message() {
    let gone_at_mail: Script = |_, line| line.starts_with("MAIL").then_some(Act::Close);
    check(BARE, gone_at_mail, "not sent: the server closed the connection at MAIL", "EHLO AUTH MAIL").await;
    let gone_at_data: Script = |_, line| (line == "DATA").then_some(Act::Close);
    let closed = "not sent: the server closed the connection at DATA";
    check(BARE, gone_at_data, closed, "EHLO AUTH MAIL RCPT DATA").await;
    check(PIPELINING, gone_at_data, closed, "EHLO AUTH MAIL RCPT DATA").await;
    let gone_at_end: Script = |_, line| (line == "MESSAGE").then_some(Act::Close);
    for extensions in [BARE, PIPELINING, FULL] {
        let (_, outcomes) = send(extensions, gone_at_end, 1).await;
        assert_eq!(outcomes, ["in doubt: the server closed the connection at the message"]);
    }
    // A refusal that was read counts, whatever becomes of the connection.
    let refuses_and_goes: Script = |_, line| line.starts_with("RCPT").then_some(Act::SayAndClose("550 5.1.1 bye"));
    check(FULL, refuses_and_goes, "refused at RCPT TO: 550 5.1.1 bye", "EHLO AUTH MAIL RCPT").await;
}

#[tokio::test]
async fn silence_is_waited_for_only_so_long() {
    let brief = Duration::from_millis(100);
    let peer = Peer::start(FULL, false, |_, line| (line == "GREETING").then_some(Act::Hang)).await;
    let timeouts = SmtpTimeouts { greeting: brief, ..SmtpTimeouts::default() };
    let connector = impatient_connector(&peer, Plaintext::Allowed, timeouts);
    let error = connector.test(&server(&peer, TlsMode::None)).await.unwrap_err();
    assert_eq!(error.to_string(), "no reply to its greeting within 0.1 s");
    assert_eq!(error.blame(), Blame::Network);

    let peer = Peer::start(PIPELINING, false, |_, line| (line == "MESSAGE").then_some(Act::Hang)).await;
    let timeouts = SmtpTimeouts { message: brief, ..SmtpTimeouts::default() };
    let pools = Pools::new(impatient_connector(&peer, Plaintext::Allowed, timeouts), PoolLimits::default());
    let mut connection = pools.acquire(credential(1), &server(&peer, TlsMode::None)).await.unwrap();
    let outcome = describe(&connection.send(&envelope(), MESSAGE).await);
    assert_eq!(outcome, "in doubt: no reply to the message within 0.1 s");
}

#[tokio::test]
async fn a_kept_connection_that_died_is_replaced_unnoticed() {
    let hangs_up_after_the_first: Script =
        |number, line| (number == 0 && line == "MESSAGE").then_some(Act::SayAndClose("250 2.0.0 queued, and goodbye"));
    for extensions in [BARE, PIPELINING] {
        let (peer, outcomes) = send(extensions, hangs_up_after_the_first, 2).await;
        assert_eq!(outcomes, ["accepted: 250 2.0.0 queued, and goodbye", "accepted: 250 2.0.0 queued"]);
        assert_eq!(peer.log.verbs(1), "EHLO AUTH MAIL RCPT DATA");
    }

    // Dead in a way that only shows when it is used.
    let refuses_then_times_out: Script = |number, line| {
        let times_out = (number == 0 && line == "RSET").then_some(Act::SayAndClose("421 4.4.2 idle"));
        let refuses = (number == 0 && line.starts_with("RCPT")).then_some(Act::Say("550 5.1.1 no such user"));
        times_out.or(refuses)
    };
    let (peer, outcomes) = send(BARE, refuses_then_times_out, 2).await;
    assert_eq!(outcomes, ["refused at RCPT TO: 550 5.1.1 no such user", "accepted: 250 2.0.0 queued"]);
    assert_eq!(peer.log.verbs(1), "EHLO AUTH MAIL RCPT DATA");
}

#[tokio::test]
async fn a_fresh_connection_that_is_turned_away_is_not_tried_again() {
    let too_many: Script =
        |_, line| line.starts_with("MAIL").then_some(Act::SayAndClose("421 4.7.0 too many connections"));
    let (peer, outcomes) = send(PIPELINING, too_many, 1).await;
    assert_eq!(outcomes, ["refused at MAIL FROM: 421 4.7.0 too many connections"]);
    assert_eq!(peer.log.verbs(1), "");
}

#[tokio::test]
async fn an_edited_password_does_not_reuse_the_old_session() {
    let peer = Peer::start(FULL, false, behaves).await;
    let pools = pools(&peer, PoolLimits::default());
    let before = server(&peer, TlsMode::None);
    let after = SmtpServer { password: "changed".into(), ..before.clone() };
    drop(pools.acquire(credential(1), &before).await.unwrap());
    drop(pools.acquire(credential(1), &before).await.unwrap());
    assert_eq!(peer.log.verbs(1), "");
    drop(pools.acquire(credential(1), &after).await.unwrap());
    assert_eq!(peer.log.verbs(1), "EHLO AUTH");
    assert_eq!(pools.open_connections(), 1);
    pools.close_all_idle().await;
    assert_eq!(pools.open_connections(), 0);
}

#[tokio::test]
async fn connections_are_bounded_for_the_credential_and_for_the_node() {
    let peer = Peer::start(FULL, false, behaves).await;
    let limits = PoolLimits { per_credential: 2, per_node: 2, ..PoolLimits::default() };
    let (pools, server) = (pools(&peer, limits), server(&peer, TlsMode::None));
    let first = pools.acquire(credential(1), &server).await.unwrap();
    let second = pools.acquire(credential(1), &server).await.unwrap();
    let mut third = Box::pin(pools.acquire(credential(1), &server));
    assert!(futures_util::poll!(third.as_mut()).is_pending());
    let mut of_another = Box::pin(pools.acquire(credential(2), &server));
    assert!(futures_util::poll!(of_another.as_mut()).is_pending());
    // Who waits for one of the credential's opens none; who waits for one of the node's does as soon as it may.
    assert_eq!([1, 2, 3].map(|number| pools.connections_of(credential(number))), [2, 1, 0]);
    // Somebody waits for the node: this one is closed rather than kept, and refuses_then_times_out waiters can go on.
    drop(first);
    let of_another = of_another.await.unwrap();
    drop(second);
    drop(third.await.unwrap());
    // An idle connection of one credential makes room for another's.
    let again = pools.acquire(credential(3), &server).await.unwrap();
    assert_eq!(pools.open_connections(), 2);
    assert_eq!(pools.connections_of(credential(3)), 1);
    drop((of_another, again));
}

#[tokio::test]
async fn a_connection_carries_only_so_many_messages() {
    let peer = Peer::start(FULL, false, behaves).await;
    let limits = PoolLimits { max_messages_per_connection: 2, ..PoolLimits::default() };
    let (pools, server) = (pools(&peer, limits), server(&peer, TlsMode::None));
    let mut connection = pools.acquire(credential(1), &server).await.unwrap();
    for _ in 0..3 {
        assert!(matches!(connection.send(&envelope(), MESSAGE).await, TransactionOutcome::Accepted(_)));
    }
    assert_eq!(peer.log.verbs(1), "EHLO AUTH MAIL RCPT BDAT");
    assert_eq!(peer.log.messages().len(), 3);
}

#[tokio::test]
async fn a_send_that_is_given_up_halfway_does_not_leave_its_connection_to_others() {
    let hangs: Script = |number, line| (number == 0 && line == "DATA").then_some(Act::Hang);
    let peer = Peer::start(BARE, false, hangs).await;
    let (pools, server) = (pools(&peer, PoolLimits::default()), server(&peer, TlsMode::None));
    let mut connection = pools.acquire(credential(1), &server).await.unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(100), connection.send(&envelope(), MESSAGE)).await;
    assert!(given_up.is_err());
    drop(connection);
    assert_eq!(pools.open_connections(), 0);
    let mut connection = pools.acquire(credential(1), &server).await.unwrap();
    assert!(matches!(connection.send(&envelope(), MESSAGE).await, TransactionOutcome::Accepted(_)));
    assert_eq!(peer.log.verbs(1), "EHLO AUTH MAIL RCPT DATA");
}
