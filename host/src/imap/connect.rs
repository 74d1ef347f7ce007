//! From a server's settings to a connection that a login may go over: TCP, then TLS at once or by STARTTLS.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::clean;
use super::wire::Wire;
use super::{IMPLICIT_TLS_PORT, ImapError, ImapServer, Mailbox};
use crate::domain::status::TlsMode;

/// All that a server may say before TLS begins.
const MAX_PLAIN_BYTES: usize = 8 << 10;
const STARTTLS: &str = "STARTTLS";

/// A connection after its TLS, if any; and whether the greeting was read.
pub(super) struct Connected {
    pub(super) wire: Wire,
    pub(super) greeted: bool,
}

impl Mailbox {
    pub(super) async fn connect(&self, server: &ImapServer) -> Result<Connected, ImapError> {
        let mode = match server.tls {
            TlsMode::Auto if server.port == IMPLICIT_TLS_PORT => TlsMode::Implicit,
            TlsMode::Auto => TlsMode::Starttls,
            mode => mode,
        };
        if mode == TlsMode::None && !self.allow_plaintext {
            return Err(ImapError::PlaintextForbidden);
        }
        let mut tcp = self.egress.connect(&server.host, server.port, self.timeouts.connect).await?;
        if mode == TlsMode::None {
            return Ok(Connected { wire: Wire::plain(tcp), greeted: false });
        }
        let greeted = mode == TlsMode::Starttls;
        let limit = self.timeouts.command;
        let encrypt = async {
            if greeted {
                ask_for_tls(&mut tcp).await?;
            }
            Ok::<_, ImapError>(self.tls.wrap(&server.host, tcp).await?)
        };
        let timed_out = |_| ImapError::TimedOut { step: "the TLS handshake", after: limit };
        let stream = timeout(limit, encrypt).await.map_err(timed_out)??;
        Ok(Connected { wire: Wire::encrypted(stream), greeted })
    }
}

/// Reads the greeting and has STARTTLS accepted (RFC 3501 §6.2.1). Written by hand rather than with the library, so that
/// what an attacker adds behind the server's OK is seen: it would be plain text taken for the encrypted server's words.
async fn ask_for_tls(tcp: &mut TcpStream) -> Result<(), ImapError> {
    let mut received = Vec::new();
    let greeting = read_line(tcp, &mut received).await?;
    // PREAUTH would have us speak to somebody else's session without TLS (RFC 9051 §11.1).
    if !begins_with(&greeting, "* OK") {
        return Err(match greeting.get(..5).map(str::to_ascii_uppercase).as_deref() {
            Some("* BYE") => ImapError::Unreachable { reason: clean(&greeting) },
            _ => ImapError::protocol("the connection", "its greeting is not `* OK`"),
        });
    }
    tcp.write_all(b"a1 STARTTLS\r\n").await.map_err(|error| ImapError::of_io(&error, STARTTLS))?;
    loop {
        let line = read_line(tcp, &mut received).await?;
        if !begins_with(&line, "a1 ") {
            continue;
        }
        if !begins_with(&line, "a1 OK") {
            return Err(ImapError::Tls { reason: format!("STARTTLS is refused: {}", clean(&line)) });
        }
        if !received.is_empty() {
            return Err(ImapError::Tls { reason: "something was put into the plain text behind STARTTLS".to_owned() });
        }
        return Ok(());
    }
}

/// Takes the first line off `received`, reading until there is one.
async fn read_line(tcp: &mut TcpStream, received: &mut Vec<u8>) -> Result<String, ImapError> {
    let mut chunk = [0; 1024];
    loop {
        if let Some(end) = received.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = received.drain(..=end).collect();
            return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        if received.len() > MAX_PLAIN_BYTES {
            return Err(ImapError::protocol(STARTTLS, "it is too long"));
        }
        let length = tcp.read(&mut chunk).await.map_err(|error| ImapError::of_io(&error, STARTTLS))?;
        if length == 0 {
            return Err(ImapError::lost());
        }
        received.extend_from_slice(&chunk[..length]);
    }
}

fn begins_with(line: &str, start: &str) -> bool {
    line.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}
