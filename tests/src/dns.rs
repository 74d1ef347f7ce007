//! Real name servers: NSD with authority for `test.` and unbound in front of it. unbound's address is the one to hand to
//! `AMPOUT_DNS_SERVERS`; the names of [`names`] are the cases that it answers, refuses or leaves without an answer.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::free_port::{free_port, retry_while_ports_are_taken};
use crate::process::{Launch, Server, find_program, new_directory};

const NSD: &str = include_str!("settings/nsd.conf");
const ZONE: &str = include_str!("settings/test.zone");
const UNBOUND: &str = include_str!("settings/unbound.conf");

/// The domains of the zone, one for each answer that a sender may get to "where does this domain's mail go".
pub mod names {
    /// Two MX records with addresses: 10 `mx1.test`, 20 `mx2.test`.
    pub const MAIL: &str = "mail.test";
    /// The same, but the answer holds for 5 s only (the others for 60 s).
    pub const SHORT: &str = "short.test";
    /// A null MX: takes no mail at all (RFC 7505).
    pub const NULL_MX: &str = "null.test";
    /// No MX but an address, which RFC 5321 (section 5.1) takes for an implicit MX.
    pub const ADDRESS_ONLY: &str = "address.test";
    /// An MX that names a host without any record.
    pub const DANGLING_MX: &str = "dangling.test";
    /// A CNAME to [`MAIL`].
    pub const ALIAS: &str = "alias.test";
    /// Exists, but has only a TXT record.
    pub const TEXT_ONLY: &str = "text.test";
    /// NXDOMAIN.
    pub const MISSING: &str = "missing.test";
    /// SERVFAIL, as are all names below it.
    pub const SERVER_FAILURE: &str = "servfail.test";
    /// REFUSED, as are all names below it.
    pub const REFUSED: &str = "refused.test";
    /// Never answered, as are all names below it.
    pub const TIMEOUT: &str = "timeout.test";

    /// One of as many domains as a test needs, each with one MX.
    pub fn wild(number: usize) -> String {
        format!("d{number}.wild.test")
    }
}

/// Running name servers. Dropping them ends them.
#[derive(Debug)]
pub struct DnsServers {
    resolver: Server,
    _authority: Server,
    /// The resolver, over UDP and TCP.
    pub address: SocketAddr,
}

impl DnsServers {
    /// Starts NSD and unbound.
    pub async fn start() -> anyhow::Result<Self> {
        let (authority, nsd_port) = retry_while_ports_are_taken(start_nsd).await?;
        let (resolver, port) = retry_while_ports_are_taken(async || start_unbound(nsd_port).await).await?;
        Ok(Self { resolver, _authority: authority, address: loopback(port) })
    }

    /// How many questions about `domain` itself have reached the resolver, of any type.
    pub fn questions_about(&self, domain: &str) -> usize {
        let asked = format!(" {domain}. ");
        self.resolver.log().lines().filter(|line| line.contains("info: 127.0.0.1 ") && line.contains(&asked)).count()
    }
}

async fn start_nsd() -> anyhow::Result<(Server, u16)> {
    let port = free_port()?;
    let directory = new_directory("nsd")?;
    let path = directory.path();
    fs::write(path.join("test.zone"), ZONE)?;
    fs::write(path.join("nsd.conf"), filled(NSD, &path.to_string_lossy(), port))?;
    let mut command = Command::new(find_program("nsd", &[])?);
    command.arg("-d").arg("-c").arg(path.join("nsd.conf"));
    let mut server = Server::start(Launch { name: "nsd", command: &mut command, stop_signal: "TERM" }, directory)?;
    server.ready(async || answers(port).await).await?;
    Ok((server, port))
}

async fn start_unbound(nsd_port: u16) -> anyhow::Result<(Server, u16)> {
    let port = free_port()?;
    let directory = new_directory("unbound")?;
    let path = directory.path();
    let settings = UNBOUND.replace("@NSD_PORT@", &nsd_port.to_string());
    fs::write(path.join("unbound.conf"), filled(&settings, &path.to_string_lossy(), port))?;
    let mut command = Command::new(find_program("unbound", &[])?);
    command.arg("-d").arg("-c").arg(path.join("unbound.conf"));
    let mut server = Server::start(Launch { name: "unbound", command: &mut command, stop_signal: "TERM" }, directory)?;
    server.ready(async || answers(port).await).await?;
    Ok((server, port))
}

fn filled(settings: &str, directory: &str, port: u16) -> String {
    settings.replace("@DIRECTORY@", directory).replace("@PORT@", &port.to_string())
}

/// Whether the server at `port` knows `mx1.test`: one question and its answer on the wire (RFC 1035, section 4.1).
async fn answers(port: u16) -> anyhow::Result<()> {
    const QUESTION: &[u8] = b"\x2b\x67\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03mx1\x04test\x00\x00\x01\x00\x01";
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(loopback(port)).await?;
    socket.send(QUESTION).await?;
    let mut answer = [0; 512];
    let length = timeout(Duration::from_millis(500), socket.recv(&mut answer)).await??;
    let (code, records) = (answer[3] & 0x0f, answer[7]);
    ensure!(length > QUESTION.len() && code == 0 && records == 1, "answered with code {code} and {records} records");
    Ok(())
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
