//! The receiver against the engine's own SMTP connection, and byte by byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::*;
use crate::dns::{Resolver, ResolverOptions};
use crate::domain::ids::CredentialId;
use crate::domain::status::TlsMode;
use crate::domain::{EmailAddress, Timestamp};
use crate::egress::EgressGuard;
use crate::smtp::{
    ConnectError, Connector, Envelope, PoolLimits, Pools, SmtpOptions, SmtpServer, SmtpTimeouts, TransactionOutcome,
};
use crate::tls::{Plaintext, TlsClient};

const PATIENCE: Duration = Duration::from_secs(60);
const MESSAGE: &[u8] = b"Message-ID:\r\n <one@sender.test>\r\nSubject: dots\r\n\r\n.\r\n..two\r\nend\r\n";

fn login() -> Option<ReceiverLogin> {
    Some(ReceiverLogin { username: "ada".to_owned(), password: SecretString::from("hunter2") })
}

fn pools(receiver: &SmtpReceiver, answer_limit: Duration) -> Pools {
    let options = ResolverOptions { servers: vec!["127.0.0.1:9".parse().unwrap()], ..Default::default() };
    let guard = EgressGuard::new(Resolver::new(options).unwrap(), vec!["127.0.0.0/8".parse().unwrap()]);
    let tls = TlsClient::new(Some(receiver.ca_pem().as_bytes())).unwrap();
    let timeouts = SmtpTimeouts { message: answer_limit, ..SmtpTimeouts::default() };
    let options = SmtpOptions { ehlo_name: "engine.test".to_owned(), plaintext: Plaintext::Allowed, timeouts };
    Pools::new(Connector::new(guard, tls, options).unwrap(), PoolLimits::default())
}

fn server(receiver: &SmtpReceiver, tls: TlsMode, password: &str) -> SmtpServer {
    SmtpServer {
        host: "127.0.0.1".to_owned(),
        port: receiver.address().port(),
        tls,
        username: if password.is_empty() { String::new() } else { "ada".to_owned() },
        password: SecretString::from(password),
    }
}

fn to(recipient: &str) -> Envelope {
    Envelope {
        from: EmailAddress::parse("ada@sender.test").unwrap(),
        to: EmailAddress::parse(&format!("{recipient}@example.com")).unwrap(),
    }
}

/// Sends to each recipient over one connection and says how it went: the code, `lost`, or `in doubt`.
async fn send(receiver: &SmtpReceiver, tls: TlsMode, password: &str, recipients: &[&str]) -> Vec<String> {
    let pools = pools(receiver, Duration::from_millis(500));
    let credential = CredentialId::new(Timestamp::from_millis(0));
    let mut connection = pools.acquire(credential, &server(receiver, tls, password)).await.unwrap();
    let mut outcomes = Vec::new();
    for recipient in recipients {
        outcomes.push(match connection.send(&to(recipient), MESSAGE).await {
            TransactionOutcome::Accepted(reply) => reply.code.to_string(),
            TransactionOutcome::Refused { reply, .. } => {
                format!("{} {}", reply.code, reply.enhanced.unwrap_or_default()).trim().to_owned()
            }
            TransactionOutcome::Unsuitable { why } => why.to_string(),
            TransactionOutcome::LostBeforeData { .. } => "lost".to_owned(),
            TransactionOutcome::LostAfterData { .. } => "in doubt".to_owned(),
        });
    }
    outcomes
}

#[tokio::test]
async fn messages_arrive_unchanged_with_and_without_each_extension() {
    for (tls, mode, pipelining, chunking) in [
        (ReceiverTls::StarttlsRequired, TlsMode::Starttls, true, true),
        (ReceiverTls::Implicit, TlsMode::Implicit, true, false),
        (ReceiverTls::Implicit, TlsMode::Implicit, false, true),
        (ReceiverTls::None, TlsMode::None, false, false),
    ] {
        let options = SmtpReceiverOptions { tls, pipelining, chunking, login: login(), ..Default::default() };
        let receiver = SmtpReceiver::start(options).await.unwrap();
        assert_eq!(send(&receiver, mode, "hunter2", &["bob", "carol"]).await, ["250", "250"]);
        assert!(receiver.wait_for(2, PATIENCE).await);
        let messages = receiver.messages();
        assert_eq!(
            messages.iter().map(|m| m.to.join(",")).collect::<Vec<_>>(),
            ["bob@example.com", "carol@example.com"]
        );
        let first = &messages[0];
        assert_eq!(first.raw, MESSAGE, "{mode:?}");
        assert_eq!(first.message_id.as_deref(), Some("one@sender.test"));
        assert_eq!((first.from.as_str(), first.user.as_deref()), ("ada@sender.test", Some("ada")));
        assert_eq!((first.encrypted, first.connection), (tls != ReceiverTls::None, 1));
        assert_eq!((receiver.connections(), receiver.transactions()), (1, 2));
    }
}

#[tokio::test]
async fn recipients_are_refused_deferred_and_lost_as_told() {
    let receiver = SmtpReceiver::start(SmtpReceiverOptions::default()).await.unwrap();
    receiver.set_rule(by_local_part(vec![
        ("nobody".to_owned(), Reply::refuse(550, "5.1.1", "no such user")),
        ("later".to_owned(), Reply::refuse(451, "4.7.1", "greylisted")),
        ("dropped".to_owned(), Action::Close),
        ("kept".to_owned(), Action::AcceptAndClose),
        ("silent".to_owned(), Action::Hang),
        ("answered".to_owned(), Action::AnswerAndClose),
        ("late".to_owned(), Action::AnswerAfter(Duration::from_millis(20))),
    ]));
    let go = |recipients: &'static [&'static str]| send(&receiver, TlsMode::None, "", recipients);
    assert_eq!(go(&["nobody", "later-on", "bob"]).await, ["550 5.1.1", "451 4.7.1", "250"]);
    assert_eq!(go(&["dropped"]).await, ["in doubt"]);
    assert_eq!(go(&["silent"]).await, ["in doubt"]);
    assert_eq!(receiver.accepted(), 1);
    assert_eq!(go(&["kept"]).await, ["in doubt"]);
    assert_eq!(receiver.messages().last().unwrap().to, ["kept@example.com"]);
    let connections = receiver.connections();
    assert_eq!(go(&["answered"]).await, ["250"]);
    let begun = std::time::Instant::now();
    assert_eq!(go(&["late", "later-on"]).await, ["250", "451 4.7.1"]);
    assert!(begun.elapsed() >= Duration::from_millis(20));
    assert_eq!((receiver.accepted(), receiver.connections()), (4, connections + 2));
}

#[tokio::test]
async fn refusals_at_other_moments() {
    let receiver = SmtpReceiver::start(SmtpReceiverOptions { login: login(), ..Default::default() }).await.unwrap();
    receiver.set_rule(|moment| match moment {
        Moment::Message { raw, .. } if raw.ends_with(b"end\r\n") => Some(Reply::refuse(554, "5.7.1", "spam")),
        _ => None,
    });
    assert_eq!(send(&receiver, TlsMode::None, "hunter2", &["bob"]).await, ["554 5.7.1"]);
    receiver.set_rule(|moment| match moment {
        Moment::MailFrom { address } => Some(Reply::refuse(553, "5.7.1", format!("not from {address}"))),
        _ => None,
    });
    assert_eq!(send(&receiver, TlsMode::None, "hunter2", &["bob"]).await, ["553 5.7.1"]);

    let pools = pools(&receiver, PATIENCE);
    let wrong = pools.test(&server(&receiver, TlsMode::None, "wrong")).await.unwrap_err();
    assert!(matches!(wrong, ConnectError::AuthRefused { .. }), "{wrong:?}");
    receiver.set_rule(|moment| matches!(moment, Moment::Connected).then(|| Reply::refuse(421, "4.3.2", "busy")));
    assert!(pools.test(&server(&receiver, TlsMode::None, "hunter2")).await.is_err());
    assert_eq!(receiver.accepted(), 0);
}

#[tokio::test]
async fn a_stopped_receiver_frees_its_port_and_breaks_its_connections() {
    let receiver = SmtpReceiver::start(SmtpReceiverOptions::default()).await.unwrap();
    let port = receiver.address().port();
    let mut open = dial(port).await;
    open.read_u8().await.unwrap();
    receiver.stop().await;
    let mut rest = Vec::new();
    // Whether it ends in order or with a reset, it ends.
    let _end = open.read_to_end(&mut rest).await;
    let again = SmtpReceiver::start(SmtpReceiverOptions { port, ..Default::default() }).await.unwrap();
    assert_eq!(again.address().port(), port);
}

async fn dial(port: u16) -> tokio::net::TcpStream {
    TcpSocket::new_v4().unwrap().connect((Ipv4Addr::LOCALHOST, port).into()).await.unwrap()
}

/// Writes `input` at once and returns the codes of all replies until the receiver closes.
async fn check(options: SmtpReceiverOptions, input: &[u8], expected: &str) {
    let receiver = SmtpReceiver::start(options).await.unwrap();
    let mut tcp = dial(receiver.address().port()).await;
    tcp.write_all(input).await.unwrap();
    let mut replies = Vec::new();
    tokio::time::timeout(PATIENCE, tcp.read_to_end(&mut replies)).await.unwrap().unwrap();
    let replies = String::from_utf8(replies).unwrap();
    let codes: Vec<_> = replies.lines().filter(|line| line.as_bytes()[3] == b' ').map(|line| &line[..3]).collect();
    assert_eq!(codes.join(" "), expected, "{replies}");
}

#[tokio::test]
async fn the_protocol_is_kept_in_odd_conversations() {
    let plain = SmtpReceiverOptions::default;
    let envelope = "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\n";
    let all = |text: &str| format!("{envelope}{text}QUIT\r\n").into_bytes();
    check(plain(), &all("DATA\r\nhi\r\n.\r\n"), "220 250 250 250 354 250 221").await;
    check(plain(), &all("BDAT 2\r\nhiBDAT 0 LAST\r\n"), "220 250 250 250 250 250 221").await;
    check(plain(), b"EHLO x\r\nBDAT 2 LAST\r\nhiDATA\r\nWHAT\r\nQUIT\r\n", "220 250 503 503 500 221").await;
    let small = SmtpReceiverOptions { max_message_bytes: 10, ..plain() };
    check(small.clone(), &all("DATA\r\nmuch too long\r\n.\r\n"), "220 250 250 250 354 552 221").await;
    check(small.clone(), &all("BDAT 20 LAST\r\n12345678901234567890"), "220 250 250 250 552 221").await;
    check(small, b"EHLO x\r\nMAIL FROM:<a@b.test> SIZE=11\r\nQUIT\r\n", "220 250 552 221").await;
    let with_login = SmtpReceiverOptions { login: login(), ..plain() };
    let by_login = b"EHLO x\r\nMAIL FROM:<>\r\nAUTH LOGIN\r\nYWRh\r\naHVudGVyMg==\r\nMAIL FROM:<>\r\nQUIT\r\n";
    check(with_login, by_login, "220 250 530 334 334 235 250 221").await;
    // What stands behind STARTTLS in plain text is not obeyed: the connection ends.
    let starttls = SmtpReceiverOptions { tls: ReceiverTls::StarttlsRequired, ..plain() };
    check(starttls, b"EHLO x\r\nMAIL FROM:<>\r\nSTARTTLS\r\nRSET\r\n", "220").await;
    check(plain(), "NONSENSE\r\n".repeat(60).as_bytes(), &format!("220{} 421", " 500".repeat(50))).await;
}
