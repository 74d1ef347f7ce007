//! Where a domain's mail goes is asked of the name servers once, whoever waits for it, and remembered for as long as the
//! answer says, "there is no such domain" among the answers.

use std::time::Duration;

use ampout::dns::{MxAnswer, Resolver, ResolverOptions};
use ampout_tests::dns::names;
use ampout_tests::{DnsServers, eventually};
use futures_util::future::join_all;
use tokio::time::Instant;

fn resolver(servers: &DnsServers, options: ResolverOptions) -> anyhow::Result<Resolver> {
    Ok(Resolver::new(ResolverOptions { servers: vec![servers.address], ..options })?)
}

#[tokio::test]
async fn a_thousand_who_wait_for_a_domain_cost_one_question() -> anyhow::Result<()> {
    let servers = DnsServers::start().await?;
    let resolver = resolver(&servers, ResolverOptions::default())?;
    let answers = join_all((0..1000).map(|_| resolver.mail_exchangers(names::MAIL))).await;
    for answer in answers {
        assert!(matches!(&answer, MxAnswer::Exchangers(hosts) if hosts[0].host == "mx1.test"), "{answer:?}");
    }
    assert_eq!(servers.questions_about(names::MAIL), 1);
    Ok(())
}

#[tokio::test]
async fn an_answer_is_kept_as_long_as_it_holds_and_so_is_a_no() -> anyhow::Result<()> {
    let servers = DnsServers::start().await?;
    let resolver = resolver(&servers, ResolverOptions::default())?;
    for (domain, is_expected) in [
        (names::SHORT, (|answer| matches!(answer, MxAnswer::Exchangers(_))) as fn(&MxAnswer) -> bool),
        (names::MISSING, |answer| *answer == MxAnswer::NoMx),
        (names::TEXT_ONLY, |answer| *answer == MxAnswer::NoMx),
        (names::NULL_MX, |answer| *answer == MxAnswer::NullMx),
    ] {
        for _ in 0..3 {
            let answer = resolver.mail_exchangers(domain).await;
            assert!(is_expected(&answer), "{domain}: {answer:?}");
        }
        assert_eq!(servers.questions_about(domain), 1, "{domain}");
    }
    // Its answer holds for five seconds, the others for a minute.
    let asked_again = eventually("a second question", async || {
        resolver.mail_exchangers(names::SHORT).await;
        if servers.questions_about(names::SHORT) > 1 { Ok(()) } else { Err("one question") }
    });
    asked_again.await?;
    assert_eq!(servers.questions_about(names::MISSING), 1);
    Ok(())
}

#[tokio::test]
async fn failures_are_not_remembered_as_answers() -> anyhow::Result<()> {
    let servers = DnsServers::start().await?;
    let resolver = resolver(&servers, ResolverOptions::default())?;
    for domain in [names::SERVER_FAILURE, names::REFUSED] {
        let answer = resolver.mail_exchangers(domain).await;
        assert!(matches!(answer, MxAnswer::NoAnswer { .. }), "{domain}: {answer:?}");
        let before = servers.questions_about(domain);
        resolver.mail_exchangers(domain).await;
        assert!(servers.questions_about(domain) > before, "{domain} was not asked about again");
    }
    Ok(())
}

#[tokio::test]
async fn no_more_questions_are_on_their_way_than_allowed() -> anyhow::Result<()> {
    let servers = DnsServers::start().await?;
    let patience = Duration::from_millis(300);
    let options = ResolverOptions { timeout: patience, attempts: 1, concurrency: 2, ..ResolverOptions::default() };
    let resolver = resolver(&servers, options)?;
    let silent: Vec<_> = (0..8).map(|n| format!("d{n}.{}", names::TIMEOUT)).collect();
    let began = Instant::now();
    let answers = join_all(silent.iter().map(|domain| resolver.mail_exchangers(domain))).await;
    assert!(answers.iter().all(|answer| matches!(answer, MxAnswer::NoAnswer { .. })), "{answers:?}");
    // Two at a time, each for as long as a try may take.
    assert!(began.elapsed() >= patience * 4, "{:?}", began.elapsed());
    Ok(())
}

#[tokio::test]
async fn the_memory_of_answers_is_bounded() -> anyhow::Result<()> {
    const KEPT: usize = 20;
    const DOMAINS: usize = 400;
    let servers = DnsServers::start().await?;
    let options = ResolverOptions { cache_size: KEPT as u64, ..ResolverOptions::default() };
    let resolver = resolver(&servers, options)?;
    for _ in 0..2 {
        for n in 0..DOMAINS {
            let answer = resolver.mail_exchangers(&names::wild(n)).await;
            assert!(matches!(answer, MxAnswer::Exchangers(_)), "{answer:?}");
        }
    }
    let asked: usize = (0..DOMAINS).map(|n| servers.questions_about(&names::wild(n))).sum();
    assert!(asked >= 2 * DOMAINS - 2 * KEPT, "{asked} questions for two rounds of {DOMAINS} domains");
    Ok(())
}
