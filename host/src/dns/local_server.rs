//! A name server for the demo alone: it answers for made-up domains on 127.0.0.1 over UDP, so that MX look-ups are real
//! look-ups and nothing leaves the machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::MX;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio_util::task::AbortOnDropHandle;

const TTL_SECONDS: u32 = 300;
const MOST_BYTES: usize = 512;

/// Runs until it is dropped.
#[derive(Debug)]
pub struct LocalNameServer {
    address: SocketAddr,
    _answering: AbortOnDropHandle<()>,
}

impl LocalNameServer {
    /// Answers that `domains` and all below them take mail at `mail.<domain>`; other names do not exist.
    pub async fn start(domains: &[&str]) -> std::io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = socket.local_addr()?;
        let domains: Arc<[String]> = domains.iter().map(|domain| (*domain).to_owned()).collect();
        let answering = tokio::spawn(async move {
            let mut packet = [0; MOST_BYTES];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                if let Some(answer) = answer(&packet[..length], &domains) {
                    // Who does not get it asks again.
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        Ok(Self { address, _answering: AbortOnDropHandle::new(answering) })
    }

    /// For `dns_servers`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// `None`: not a question.
fn answer(packet: &[u8], domains: &[String]) -> Option<Vec<u8>> {
    let question = Message::from_vec(packet).ok()?;
    let query = question.queries.first()?.clone();
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    let name = query.name().to_ascii().trim_end_matches('.').to_lowercase();
    let known = domains.iter().find(|domain| name == **domain || name.ends_with(&format!(".{domain}")));
    match known {
        None => answer.metadata.response_code = ResponseCode::NXDomain,
        Some(_) if query.query_type() == RecordType::MX => {
            let exchange = Name::from_ascii(format!("mail.{name}.")).ok()?;
            let record = Record::from_rdata(query.name().clone(), TTL_SECONDS, RData::MX(MX::new(10, exchange)));
            answer.add_answer(record);
        }
        Some(_) => {}
    }
    answer.add_query(query);
    answer.to_vec().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{MxAnswer, Resolver, ResolverOptions};

    #[tokio::test]
    async fn known_domains_take_mail_and_others_do_not_exist() {
        let server = LocalNameServer::start(&["demo.example"]).await.unwrap();
        let resolver =
            Resolver::new(ResolverOptions { servers: vec![server.address()], ..Default::default() }).unwrap();
        let found = resolver.mail_exchangers("a.demo.example").await;
        assert!(
            matches!(&found, MxAnswer::Exchangers(hosts) if hosts[0].host.starts_with("mail.a.demo.example")),
            "{found:?}"
        );
        assert_eq!(resolver.mail_exchangers("gone.example").await, MxAnswer::NoMx);
    }
}
