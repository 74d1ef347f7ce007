//! From nothing to a signed-in session: TCP, TLS, greeting, EHLO, STARTTLS, AUTH (RFC 5321, 3207, 4954).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::SmtpServer;
use super::capabilities::Capabilities;
use super::connector::ConnectorParts;
use super::error::{ConnectError, LostError};
use super::wire::{RawReply, Transport, Wire};
use crate::domain::smtp_reply::Reply;
use crate::domain::status::TlsMode;
use crate::secrets::ExposeSecret;
use crate::tls::Plaintext;

const IMPLICIT_TLS_PORT: u16 = 465;
/// RFC 4954 §4 gives a line of AUTH 12 288 octets; a name and a password of this size fit twice over.
const MAX_CREDENTIAL_BYTES: usize = 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Security {
    Implicit,
    Starttls,
    None,
}

/// Opens a session that is ready for MAIL.
pub(super) async fn open(parts: &ConnectorParts, server: &SmtpServer) -> Result<(Wire, Capabilities), ConnectError> {
    let security = security_of(server, parts.options.plaintext)?;
    check_credentials(server)?;
    let limits = parts.options.timeouts;
    let stream = parts.guard.connect(&server.host, server.port, limits.connect).await?;
    let wire = match security {
        Security::Implicit => Wire::over_tls(&server.host, &parts.tls, stream, limits.tls).await?,
        Security::Starttls | Security::None => Wire::new(Transport::Plain(stream)),
    };

    let mut session = Session { wire, parts };
    session.expect_greeting().await?;
    let mut capabilities = session.ehlo().await?;
    if security == Security::Starttls {
        session = session.start_tls(server, &capabilities).await?;
        // RFC 3207 §4.2: what was said before TLS may be a stranger's word and is forgotten.
        capabilities = session.ehlo().await?;
    }
    if !server.username.is_empty() {
        session.authenticate(server, &capabilities).await?;
    }
    Ok((session.wire, capabilities))
}

fn security_of(server: &SmtpServer, plaintext: Plaintext) -> Result<Security, ConnectError> {
    match (server.tls, server.port, plaintext) {
        (TlsMode::Implicit, _, _) | (TlsMode::Auto, IMPLICIT_TLS_PORT, _) => Ok(Security::Implicit),
        (TlsMode::Starttls | TlsMode::Auto, _, _) => Ok(Security::Starttls),
        (TlsMode::None, _, Plaintext::Allowed) => Ok(Security::None),
        (TlsMode::None, _, Plaintext::Forbidden) => Err(ConnectError::PlaintextForbidden { host: server.host.clone() }),
    }
}

/// RFC 4616 §2: NUL separates the name from the password in AUTH PLAIN.
fn check_credentials(server: &SmtpServer) -> Result<(), ConnectError> {
    let parts = [("username", server.username.as_str()), ("password", server.password.expose_secret())];
    for (part, text) in parts {
        if text.contains('\0') || text.len() > MAX_CREDENTIAL_BYTES {
            let why = format!("the {part} has a zero byte or is longer than {MAX_CREDENTIAL_BYTES} bytes");
            return Err(ConnectError::BadSettings { why });
        }
    }
    Ok(())
}

struct Session<'a> {
    wire: Wire,
    parts: &'a ConnectorParts,
}

impl Session<'_> {
    async fn expect_greeting(&mut self) -> Result<(), ConnectError> {
        let step = "its greeting";
        let greeting = self.wire.read_reply(step, self.parts.options.timeouts.greeting).await?;
        positive(greeting, step).map(|_| ())
    }

    async fn ehlo(&mut self) -> Result<Capabilities, ConnectError> {
        let step = "EHLO";
        let command = format!("EHLO {}\r\n", self.parts.options.ehlo_name);
        let reply = self.command(&command, step).await?;
        positive(reply, step).map(|reply| Capabilities::read(&reply.lines))
    }

    async fn start_tls(mut self, server: &SmtpServer, offered: &Capabilities) -> Result<Self, ConnectError> {
        if !offered.starttls {
            return Err(ConnectError::NoStarttls { host: server.host.clone(), port: server.port });
        }
        let step = "STARTTLS";
        positive(self.command("STARTTLS\r\n", step).await?, step)?;
        let limit = self.parts.options.timeouts.tls;
        let wire = self.wire.start_tls(&server.host, &self.parts.tls, limit).await?;
        Ok(Self { wire, parts: self.parts })
    }

    async fn authenticate(&mut self, server: &SmtpServer, offered: &Capabilities) -> Result<(), ConnectError> {
        let password = server.password.expose_secret();
        let step = "AUTH";
        let reply = if offered.auth_plain {
            let token = BASE64.encode(format!("\0{}\0{password}", server.username));
            self.command(&format!("AUTH PLAIN {token}\r\n"), step).await?
        } else if offered.auth_login {
            self.login(&server.username, password).await?
        } else {
            return Err(ConnectError::NoAuth { host: server.host.clone() });
        };
        if reply.is_positive() {
            return Ok(());
        }
        let reply = without_secrets(reply.into_reply(), server);
        match reply.code {
            // 454 and 421 are the server's trouble, and too many tries: the password may be right.
            400..=499 => Err(ConnectError::ServerRefused { step, reply }),
            _ => Err(ConnectError::AuthRefused { reply }),
        }
    }

    /// The server asks for the name and then for the password, each in base64; its own words are not looked at.
    async fn login(&mut self, username: &str, password: &str) -> Result<RawReply, ConnectError> {
        let step = "AUTH";
        let mut reply = self.command("AUTH LOGIN\r\n", step).await?;
        for answer in [username, password] {
            if reply.code != 334 {
                break;
            }
            reply = self.command(&format!("{}\r\n", BASE64.encode(answer)), step).await?;
        }
        Ok(reply)
    }

    async fn command(&mut self, command: &str, step: &'static str) -> Result<RawReply, LostError> {
        let limit = self.parts.options.timeouts.command;
        self.wire.write(command.as_bytes(), step, limit).await.map_err(|failed| failed.error)?;
        self.wire.read_reply(step, limit).await
    }
}

fn positive(reply: RawReply, step: &'static str) -> Result<RawReply, ConnectError> {
    if reply.is_positive() { Ok(reply) } else { Err(ConnectError::ServerRefused { step, reply: reply.into_reply() }) }
}

/// Some servers repeat what they were sent, and their words are shown and logged.
fn without_secrets(mut reply: Reply, server: &SmtpServer) -> Reply {
    let password = server.password.expose_secret();
    let tokens =
        [BASE64.encode(format!("\0{}\0{password}", server.username)), BASE64.encode(password), password.to_owned()];
    for token in tokens.iter().filter(|token| !token.is_empty()) {
        reply.text = reply.text.replace(token, "[hidden]");
    }
    reply
}
