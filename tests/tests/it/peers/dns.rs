//! The name servers give each answer that `dns::names` promises.

use std::time::Duration;

use ampout_tests::DnsServers;
use ampout_tests::dns::names;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::RData;

#[tokio::test]
async fn every_name_of_the_zone_answers_as_it_promises() -> anyhow::Result<()> {
    let servers = DnsServers::start().await?;
    let resolver = resolver(&servers)?;
    let check = async |domain: &str, expected: &str| {
        assert_eq!(mail_hosts(&resolver, domain).await, expected, "{domain}");
    };
    check(names::MAIL, "10 mx1.test. 20 mx2.test.").await;
    check(names::SHORT, "10 mx1.test.").await;
    check(names::ALIAS, "10 mx1.test. 20 mx2.test.").await;
    check(names::NULL_MX, "0 .").await;
    check(names::DANGLING_MX, "10 missing.test.").await;
    check(&names::wild(1), "10 mx1.test.").await;
    check(&names::wild(9_999), "10 mx1.test.").await;
    check(names::ADDRESS_ONLY, "none").await;
    check(names::TEXT_ONLY, "none").await;
    check(names::MISSING, "no such domain").await;
    check("somewhere.example", "no such domain").await;
    check(names::SERVER_FAILURE, "Server Failure").await;
    check("below.servfail.test", "Server Failure").await;
    check(names::REFUSED, "Query Refused").await;
    check(names::TIMEOUT, "timeout").await;
    assert!(resolver.lookup_ip("address.test.").await.is_ok());
    assert!(resolver.lookup_ip("text.test.").await.is_err());
    Ok(())
}

#[tokio::test]
async fn questions_are_counted_by_their_exact_domain() -> anyhow::Result<()> {
    let servers = DnsServers::start().await?;
    for _ in 0..3 {
        // A resolver of its own each time: none answers from its cache.
        mail_hosts(&resolver(&servers)?, names::MAIL).await;
    }
    assert_eq!(servers.questions_about(names::MAIL), 3);
    assert_eq!(servers.questions_about(names::NULL_MX), 0);
    Ok(())
}

fn resolver(servers: &DnsServers) -> anyhow::Result<TokioResolver> {
    let (mut udp, mut tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
    (udp.port, tcp.port) = (servers.address.port(), servers.address.port());
    let server = NameServerConfig::new(servers.address.ip(), true, vec![udp, tcp]);
    let mut options = ResolverOpts::default();
    (options.timeout, options.attempts) = (Duration::from_millis(500), 1);
    let config = ResolverConfig::from_parts(None, vec![], vec![server]);
    Ok(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options).build()?)
}

/// The MX records in order, or the failure in a word.
async fn mail_hosts(resolver: &TokioResolver, domain: &str) -> String {
    match resolver.mx_lookup(format!("{domain}.")).await {
        Ok(found) => {
            let records = found.answers().iter().filter_map(|record| match &record.data {
                RData::MX(mx) => Some(format!("{} {}", mx.preference, mx.exchange)),
                _ => None,
            });
            let mut hosts: Vec<String> = records.collect();
            hosts.sort();
            hosts.join(" ")
        }
        Err(error) if error.is_nx_domain() => "no such domain".to_owned(),
        Err(error) if error.is_no_records_found() => "none".to_owned(),
        Err(NetError::Timeout) => "timeout".to_owned(),
        Err(NetError::Dns(DnsError::ResponseCode(code))) => code.to_string(),
        Err(error) => error.to_string(),
    }
}
