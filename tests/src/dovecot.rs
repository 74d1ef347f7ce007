//! A real Dovecot: IMAP with STARTTLS, IMAPS and IDLE on ports of its own, mail put in by LMTP. One for each test: it
//! starts in a fraction of a second. What a test wants to know about a mailbox is asked of Dovecot itself, not by IMAP,
//! so that the looking leaves no mark.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::certificates::CertificateAuthority;
use crate::free_port::{free_port, retry_while_ports_are_taken};
use crate::process::{Launch, Server, find_program, new_directory, output_of, running_as_root};

const SETTINGS: &str = include_str!("settings/dovecot.conf");
const WITHOUT_ROOT: &str = include_str!("settings/dovecot-without-root.conf");
const LMTP_REPLY_LIMIT: Duration = Duration::from_secs(20);

/// A running Dovecot. Dropping it ends it.
#[derive(Debug)]
pub struct Dovecot {
    server: Server,
    /// IMAP with STARTTLS, on 127.0.0.1.
    pub imap_port: u16,
    /// IMAP in TLS from the first byte, on 127.0.0.1.
    pub imaps_port: u16,
    lmtp_port: u16,
    doveadm: PathBuf,
}

/// A message as Dovecot holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its UID in the inbox.
    pub uid: u32,
    /// Its flags in the order Dovecot tells them, `\Seen` for one. `\Recent` is left out: it says that no client has
    /// selected the mailbox since, which changes without anybody's will.
    pub flags: Vec<String>,
}

impl Dovecot {
    /// Starts one with a certificate of `authority` and without any user.
    pub async fn start(authority: &CertificateAuthority) -> anyhow::Result<Self> {
        let program = find_program("dovecot", &[])?;
        let version = output_of(Command::new(&program).arg("--version"))?;
        ensure!(
            version.starts_with("2.3."),
            "the tests speak the settings of Dovecot 2.3 (Debian 12); this is {version}"
        );
        retry_while_ports_are_taken(async || Self::start_once(&program, authority).await).await
    }

    async fn start_once(program: &Path, authority: &CertificateAuthority) -> anyhow::Result<Self> {
        let (imap_port, imaps_port, lmtp_port) = (free_port()?, free_port()?, free_port()?);
        let directory = new_directory("dovecot")?;
        let path = directory.path();
        authority.issue()?.write_to(path)?;
        fs::write(path.join("users"), "")?;
        fs::create_dir(path.join("mail"))?;
        let (mail_user, mail_group) = mail_account(&path.join("mail"))?;
        let settings = SETTINGS
            .replace("@WITHOUT_ROOT@", if running_as_root() { "" } else { WITHOUT_ROOT })
            .replace("@DIRECTORY@", &path.to_string_lossy())
            .replace("@MAIL_USER@", &mail_user)
            .replace("@MAIL_GROUP@", &mail_group)
            .replace("@IMAP_PORT@", &imap_port.to_string())
            .replace("@IMAPS_PORT@", &imaps_port.to_string())
            .replace("@LMTP_PORT@", &lmtp_port.to_string());
        fs::write(path.join("dovecot.conf"), settings)?;

        let mut command = Command::new(program);
        command.arg("-F").arg("-c").arg(path.join("dovecot.conf"));
        let launch = Launch { name: "dovecot", command: &mut command, stop_signal: "TERM" };
        let mut server = Server::start(launch, directory)?;
        server.ready(async || greeting(imap_port, "* OK").await).await?;
        server.ready(async || greeting(lmtp_port, "220 ").await).await?;
        let doveadm = find_program("doveadm", &[])?;
        Ok(Self { server, imap_port, imaps_port, lmtp_port, doveadm })
    }

    /// Makes a mailbox: `address` is the login name as well.
    pub fn add_user(&self, address: &str, password: &str) -> anyhow::Result<()> {
        ensure!(!password.contains([':', '\n']), "a password file can't hold this password");
        let mut users = OpenOptions::new().append(true).open(self.server.directory().join("users"))?;
        Ok(writeln!(users, "{address}:{{PLAIN}}{password}")?)
    }

    /// Delivers a message to the inbox of `address` by LMTP, which adds `Return-Path: <>`, `Delivered-To` and `Received`.
    /// Line ends may be LF or CRLF.
    pub async fn deliver(&self, address: &str, raw: impl AsRef<[u8]>) -> anyhow::Result<()> {
        self.deliver_from("", address, raw).await
    }

    /// The same with an envelope sender, which becomes the `Return-Path`.
    pub async fn deliver_from(&self, return_path: &str, address: &str, raw: impl AsRef<[u8]>) -> anyhow::Result<()> {
        let mut lmtp = Lmtp::connect(self.lmtp_port).await?;
        let delivered = async {
            lmtp.expect("220").await?;
            lmtp.command("LHLO tests.invalid", "250").await?;
            lmtp.command(&format!("MAIL FROM:<{return_path}>"), "250").await?;
            lmtp.command(&format!("RCPT TO:<{address}>"), "250").await?;
            lmtp.command("DATA", "354").await?;
            lmtp.send(&dot_stuffed(raw.as_ref())).await?;
            lmtp.expect("250").await?;
            lmtp.command("QUIT", "221").await
        };
        let outcome: anyhow::Result<()> = delivered.await;
        outcome.with_context(|| format!("delivery to {address}; {}", self.server.log_shown()))
    }

    /// The messages in the inbox of `address`, oldest first.
    pub fn messages(&self, address: &str) -> anyhow::Result<Vec<StoredMessage>> {
        let table = self.doveadm(&["-f", "tab", "fetch", "-u", address, "uid flags", "mailbox", "INBOX"])?;
        table.lines().skip(1).map(stored_message).collect()
    }

    /// The flags of one message; an error when there is none with this UID.
    pub fn flags(&self, address: &str, uid: u32) -> anyhow::Result<Vec<String>> {
        let found = self.messages(address)?.into_iter().find(|message| message.uid == uid);
        found.map(|message| message.flags).with_context(|| format!("{address} has no message with UID {uid}"))
    }

    /// Puts a message into a folder of `address`, as its server does with what was sent.
    pub fn save(&self, address: &str, folder: &str, raw: impl AsRef<[u8]>) -> anyhow::Result<()> {
        let file = self.server.directory().join("saved");
        fs::write(&file, raw)?;
        self.doveadm(&["save", "-u", address, "-m", folder, &file.to_string_lossy()]).map(drop)
    }

    /// Closes every IMAP connection of `address`, as a provider does at will.
    pub fn disconnect(&self, address: &str) -> anyhow::Result<()> {
        self.doveadm(&["kick", address]).map(drop)
    }

    /// All that Dovecot has logged, logins among it.
    pub fn log(&self) -> String {
        self.server.log()
    }

    fn doveadm(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let settings = self.server.directory().join("dovecot.conf");
        output_of(Command::new(&self.doveadm).arg("-c").arg(settings).args(arguments))
    }
}

/// The account that owns the mail: Dovecot as root gives its rights away, otherwise there is only ours.
fn mail_account(mail: &Path) -> anyhow::Result<(String, String)> {
    if !running_as_root() {
        let ask = |flag| output_of(Command::new("id").arg(flag)).map(|name| name.trim().to_owned());
        return Ok((ask("-un")?, ask("-gn")?));
    }
    let number =
        |flag| -> anyhow::Result<u32> { Ok(output_of(Command::new("id").args([flag, "mail"]))?.trim().parse()?) };
    chown(mail, Some(number("-u")?), Some(number("-g")?))?;
    Ok(("mail".to_owned(), "mail".to_owned()))
}

async fn greeting(port: u16, expected: &str) -> anyhow::Result<()> {
    let mut line = String::new();
    BufReader::new(TcpStream::connect(("127.0.0.1", port)).await?).read_line(&mut line).await?;
    ensure!(line.starts_with(expected), "port {port} greets with {line:?}");
    Ok(())
}

/// One line of `doveadm -f tab fetch`: the UID, a tab, the flags between spaces.
fn stored_message(line: &str) -> anyhow::Result<StoredMessage> {
    let (uid, flags) = line.split_once('\t').with_context(|| format!("doveadm printed {line:?}"))?;
    let flags = flags.split_whitespace().filter(|flag| *flag != "\\Recent").map(str::to_owned).collect();
    Ok(StoredMessage { uid: uid.parse()?, flags })
}

/// The message with CRLF line ends, leading dots doubled and the final dot (RFC 5321, section 4.5.2).
fn dot_stuffed(raw: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(raw.len() + 64);
    for line in raw.strip_suffix(b"\n").unwrap_or(raw).split(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}

/// As much of LMTP (RFC 2033) as one delivery needs.
struct Lmtp(BufReader<TcpStream>);

impl Lmtp {
    async fn connect(port: u16) -> anyhow::Result<Self> {
        Ok(Self(BufReader::new(TcpStream::connect(("127.0.0.1", port)).await?)))
    }

    async fn command(&mut self, line: &str, expected: &str) -> anyhow::Result<()> {
        self.send(format!("{line}\r\n").as_bytes()).await?;
        self.expect(expected).await.with_context(|| line.to_owned())
    }

    async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(timeout(LMTP_REPLY_LIMIT, self.0.write_all(bytes)).await??)
    }

    async fn expect(&mut self, code: &str) -> anyhow::Result<()> {
        loop {
            let mut line = String::new();
            timeout(LMTP_REPLY_LIMIT, self.0.read_line(&mut line)).await??;
            if !line.starts_with(code) {
                bail!("expected {code}, got {:?}", line.trim_end());
            }
            // A hyphen after the code announces another line.
            if line.as_bytes().get(code.len()) != Some(&b'-') {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_out_with_crlf_doubled_dots_and_a_final_dot() {
        let check = |raw: &str, sent: &str| assert_eq!(String::from_utf8(dot_stuffed(raw.as_bytes())).unwrap(), sent);
        check("Subject: a\n\n.b\n", "Subject: a\r\n\r\n..b\r\n.\r\n");
        check("Subject: a\r\n\r\nb", "Subject: a\r\n\r\nb\r\n.\r\n");
    }

    #[test]
    fn a_line_of_doveadm_is_a_uid_and_flags_without_recent() {
        let seen = StoredMessage { uid: 7, flags: vec!["\\Seen".to_owned()] };
        assert_eq!(stored_message("7\t\\Seen \\Recent").unwrap(), seen);
        assert!(stored_message("no tab").is_err());
    }
}
