//! A scripted server for faults that real ones can't be made to produce: it speaks just enough SMTP, and each test says
//! where it misbehaves. Real servers are met in `tests/`.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the peer does instead of its usual answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    /// Says this.
    Say(&'static str),
    /// Says this and closes.
    SayAndClose(&'static str),
    /// Closes without a word.
    Close,
    /// Says nothing, ever.
    Hang,
}

/// Asked with the number of the connection and the command (`GREETING`, a command line, `MESSAGE` for the end of one);
/// none is the usual answer.
pub(super) type Script = fn(usize, &str) -> Option<Act>;

pub(super) struct Peer {
    pub(super) port: u16,
    /// The certificate's authority, in PEM.
    pub(super) ca_pem: String,
    pub(super) log: Arc<Log>,
}

/// What the peer has seen.
#[derive(Default)]
pub(super) struct Log {
    /// All commands, with the number of their connection.
    pub(super) commands: Mutex<Vec<(usize, String)>>,
    /// The messages that it has accepted, dots still doubled.
    pub(super) messages: Mutex<Vec<String>>,
}

impl Log {
    /// The commands of one connection, joined by blanks, arguments left out.
    pub(super) fn verbs(&self, connection: usize) -> String {
        let commands = self.commands.lock().unwrap();
        let of_it = commands.iter().filter(|(number, _)| *number == connection);
        of_it.map(|(_, line)| line.split([' ', ':']).next().unwrap_or_default()).collect::<Vec<_>>().join(" ")
    }

    /// Waits until the commands of a connection are these: the last one is sent without waiting for its reply.
    pub(super) async fn wait_for(&self, connection: usize, verbs: &str) {
        let seen = async {
            while self.verbs(connection) != verbs {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let limit = std::time::Duration::from_secs(10);
        assert!(tokio::time::timeout(limit, seen).await.is_ok(), "{} is not {verbs}", self.verbs(connection));
    }

    pub(super) fn messages(&self) -> Vec<String> {
        self.messages.lock().unwrap().clone()
    }
}

impl Peer {
    /// Starts on a free port; `extensions` are the lines of its answer to EHLO.
    pub(super) async fn start(extensions: &'static [&'static str], implicit_tls: bool, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (ca_pem, acceptor) = certificate();
        let log = Arc::new(Log::default());
        let peer = Self { port, ca_pem, log: log.clone() };
        tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let session = Arc::new(Session { number, extensions, script, log: log.clone() });
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if implicit_tls {
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        session.run(BufStream::new(stream), true).await;
                    } else if let Some(stream) = session.run(BufStream::new(stream), true).await {
                        let Ok(stream) = acceptor.accept(stream.into_inner()).await else { return };
                        session.run(BufStream::new(stream), false).await;
                    }
                });
            }
        });
        peer
    }
}

struct Session {
    number: usize,
    extensions: &'static [&'static str],
    script: Script,
    log: Arc<Log>,
}

impl Session {
    /// Speaks until the end, or gives the stream back for STARTTLS.
    async fn run<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut stream: BufStream<S>,
        greets: bool,
    ) -> Option<BufStream<S>> {
        if greets && !self.answer(&mut stream, "GREETING", "220 peer.example ESMTP").await {
            return None;
        }
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_owned();
            self.log.commands.lock().unwrap().push((self.number, line.clone()));
            let verb = line.split([' ', ':']).next().unwrap_or_default();
            let usual = match verb {
                "EHLO" => self.ehlo_lines(),
                "AUTH" if line == "AUTH LOGIN" => "334 VXNlcm5hbWU6".to_owned(),
                "AUTH" => "235 2.7.0 welcome".to_owned(),
                "DATA" => "354 go on".to_owned(),
                "BDAT" => {
                    let length = line.split(' ').nth(1)?.parse().ok()?;
                    let mut chunk = vec![0; length];
                    stream.read_exact(&mut chunk).await.ok()?;
                    if !self.take(&mut stream, chunk).await {
                        return None;
                    }
                    continue;
                }
                "STARTTLS" => "220 ready".to_owned(),
                "MAIL" | "RCPT" | "RSET" | "QUIT" => "250 2.0.0 ok".to_owned(),
                _ => self.login_line(verb),
            };
            if !self.answer(&mut stream, &line, &usual).await {
                return None;
            }
            match verb {
                "STARTTLS" => return Some(stream),
                "DATA" if (self.script)(self.number, "DATA").is_none() => {
                    let message = read_message(&mut stream).await?;
                    if !self.take(&mut stream, message).await {
                        return None;
                    }
                }
                _ => {}
            }
        }
    }

    /// A line in base64: the name is followed by the password, the password by welcome.
    fn login_line(&self, verb: &str) -> String {
        let is_username = verb == "YWRh";
        if is_username { "334 UGFzc3dvcmQ6".to_owned() } else { "235 2.7.0 welcome".to_owned() }
    }

    fn ehlo_lines(&self) -> String {
        let lines = std::iter::once("peer.example").chain(self.extensions.iter().copied());
        let lines: Vec<&str> = lines.collect();
        let (last, first) = lines.split_last().unwrap();
        first.iter().map(|line| format!("250-{line}\r\n")).chain([format!("250 {last}")]).collect()
    }

    async fn take<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut BufStream<S>, message: Vec<u8>) -> bool {
        let usual = "250 2.0.0 queued";
        if (self.script)(self.number, "MESSAGE").is_none() {
            self.log.messages.lock().unwrap().push(String::from_utf8(message).unwrap());
        }
        self.answer(stream, "MESSAGE", usual).await
    }

    /// Answers as the script says; whether the session goes on.
    async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut BufStream<S>,
        to: &str,
        usual: &str,
    ) -> bool {
        let (text, goes_on) = match (self.script)(self.number, to) {
            None => (usual, true),
            Some(Act::Say(text)) => (text, true),
            Some(Act::SayAndClose(text)) => (text, false),
            Some(Act::Close) => return false,
            Some(Act::Hang) => std::future::pending().await,
        };
        let written = stream.write_all(format!("{text}\r\n").as_bytes()).await.is_ok();
        written && stream.flush().await.is_ok() && goes_on
    }
}

/// Up to and without the lone dot.
async fn read_message<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufStream<S>) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let start = message.len();
        if stream.read_until(b'\n', &mut message).await.ok()? == 0 {
            return None;
        }
        if &message[start..] == b".\r\n" {
            message.truncate(start);
            return Some(message);
        }
    }
}

fn certificate() -> (String, TlsAcceptor) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], rustls_pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    (ca_pem, TlsAcceptor::from(Arc::new(config)))
}
