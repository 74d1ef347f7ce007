//! The first step of a campaign leaves: in turns through the credentials, within their daily limits, spaced by the waits,
//! to domains that take mail, as a message that mail programs can thread, show and unsubscribe from.

use std::time::Duration;

use ampout::clock::Clock;
use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::ReceiverTls;
use ampout::domain::Timestamp;
use ampout_tests::dns::names;
use ampout_tests::{
    CampaignPlan, Database, DnsServers, Engine, altered, credential, eventually, letters, provider, text,
};
use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};

super::on_both_databases!(
    credentials_take_turns_over_tls,
    a_days_limit_holds_until_midnight,
    gaps_lie_within_the_waits,
    what_a_gate_puts_off_leaves_with_its_gaps,
    only_domains_that_take_mail_are_written_to,
    a_message_is_complete
);

const ADA: &str = "ada@lovelace.test";
const GRACE: &str = "grace@hopper.test";
const MINUTE: Duration = Duration::from_secs(60);

async fn credentials_take_turns_over_tls(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::StarttlsRequired, &certificates).await?;
    let grace = provider(GRACE, ReceiverTls::Implicit, &certificates).await?;
    let engine = Engine::on(database).trust(certificates.ca_pem()).start().await?;
    let plan = CampaignPlan::new("Turns");
    let plan = plan.credential(credential(ADA, &ada, "starttls")).credential(credential(GRACE, &grace, "implicit"));
    let campaign = plan.make(&engine.api).await?;
    let recipients: Vec<String> = (0..6).map(|n| format!("bo{n}@there.test")).collect();
    campaign.send_to(&recipients.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    letters(&ada, 3).await?;
    letters(&grace, 3).await?;
    for (receiver, user) in [(&ada, ADA), (&grace, GRACE)] {
        for message in receiver.messages() {
            ensure!(message.encrypted && message.user.as_deref() == Some(user) && message.from == user, "{message:?}");
        }
    }
    let mut through = Vec::new();
    for recipient in &recipients {
        through.push(campaign.becomes(recipient, "sent").await?["smtp_credential_id"].clone());
    }
    ensure!(through.windows(2).all(|pair| pair[0] != pair[1]), "not in turns: {through:?}");
    engine.stop().await;
    Ok(())
}

async fn a_days_limit_holds_until_midnight(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let grace = provider(GRACE, ReceiverTls::Implicit, &certificates).await?;
    let clock = Clock::manual("2026-11-23T20:00:00Z".parse()?);
    let engine = Engine::on(database).trust(certificates.ca_pem()).clock(clock).start().await?;
    let plan = CampaignPlan::new("Limits")
        .credential(altered(credential(ADA, &ada, "implicit"), json!({ "daily_limit": 2 })))
        .credential(altered(credential(GRACE, &grace, "implicit"), json!({ "daily_limit": 1 })));
    let campaign = plan.make(&engine.api).await?;
    let recipients: Vec<String> = (0..5).map(|n| format!("bo{n}@there.test")).collect();
    campaign.send_to(&recipients.iter().map(String::as_str).collect::<Vec<_>>()).await?;

    let explained = eventually("the limits to bind", async || {
        let explained = campaign.explain().await.map_err(|error| error.to_string())?;
        let totals = campaign.show().await.map_err(|error| error.to_string())?["totals"].clone();
        let is_blocked = explained["state"] == "blocked" && totals["sent"] == 3;
        if is_blocked { Ok(explained) } else { Err(format!("{explained}, {totals}")) }
    })
    .await?;
    let reasons = explained["reasons"].as_array().context("reasons")?;
    assert_eq!(reasons.len(), 2, "{explained}");
    for reason in reasons {
        assert_eq!(
            (&reason["code"], &reason["until"]),
            (&json!("daily_limit_reached"), &json!("2026-11-24T00:00:00.000Z"))
        );
    }
    ensure!(text(&reasons[0]["message"])?.contains("daily limit of 2"), "{explained}");
    assert_eq!((ada.accepted(), grace.accepted()), (2, 1));

    engine.move_to("2026-11-24T00:00:00Z".parse()?);
    for recipient in &recipients {
        campaign.becomes(recipient, "sent").await?;
    }
    assert_eq!(ada.accepted() + grace.accepted(), 5);
    assert_eq!(campaign.figures_of(ADA).await?["sent_today"].as_u64().context("sent_today")?, ada.accepted() - 2);
    engine.stop().await;
    Ok(())
}

async fn gaps_lie_within_the_waits(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let clock = Clock::manual("2026-11-23T08:00:00Z".parse()?);
    let engine = Engine::on(database).trust(certificates.ca_pem()).clock(clock).start().await?;
    let plan = CampaignPlan::new("Waits").set("min_wait_seconds", 60).set("max_wait_seconds", 180);
    let campaign = plan.credential(credential(ADA, &ada, "implicit")).make(&engine.api).await?;
    let recipients: Vec<String> = (0..6).map(|n| format!("bo{n}@there.test")).collect();
    campaign.send_to(&recipients.iter().map(String::as_str).collect::<Vec<_>>()).await?;

    // The clock stands unless it is moved, and it is moved to the very moment for which the next message is announced.
    for sent in 1..=recipients.len() {
        letters(&ada, sent).await?;
        let until = eventually("the message to be noted and the next announced", async || {
            let totals = campaign.show().await.map_err(|error| error.to_string())?["totals"].clone();
            let explained = campaign.explain().await.map_err(|error| error.to_string())?;
            let until = explained["reasons"][0]["until"].as_str().and_then(|until| until.parse::<Timestamp>().ok());
            let is_last = sent == recipients.len();
            let is_noted = totals["sent"] == sent && (until.is_some() || is_last);
            if is_noted { Ok(until) } else { Err(format!("{totals}, {explained}")) }
        });
        if let Some(until) = until.await? {
            engine.move_to(until);
        }
    }
    let mut times = Vec::new();
    for recipient in &recipients {
        campaign.becomes(recipient, "sent").await?;
        let transactions = campaign.transactions_of(recipient).await?;
        times.push(text(&transactions[0]["at"])?.parse::<Timestamp>()?);
    }
    times.sort();
    let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[0].until(pair[1])).collect();
    ensure!(gaps.iter().all(|gap| (MINUTE..=3 * MINUTE).contains(gap)), "{gaps:?}");
    ensure!(gaps.windows(2).any(|pair| pair[0] != pair[1]), "gaps that are all the same are not random: {gaps:?}");
    engine.stop().await;
    Ok(())
}

async fn what_a_gate_puts_off_leaves_with_its_gaps(database: Database) -> anyhow::Result<()> {
    const NIGHT: &str = r#"//! name: night
//! version: 1.0.0
//! hooks: send-gate
//! description: Nothing leaves before nine.
//! license: Apache-2.0

fn admit(send) {
    if send.local_time < "2026-11-23T09:00" {
        return #{ decision: "defer", "until": "2026-11-23T09:00:00Z", reason: "it is night" };
    }
    #{ decision: "admit" }
}
"#;
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let clock = Clock::manual("2026-11-23T08:00:00Z".parse()?);
    let engine = Engine::on(database).trust(certificates.ca_pem()).clock(clock).start().await?;
    let night = engine.api.upload("/extensions", "text/rhai", NIGHT.as_bytes()).await?.succeeded()?;
    let binding = json!({ "scope": "account", "hook": "send-gate", "extension_id": night["id"], "mode": "active" });
    engine.api.put("/bindings", json!({ "bindings": [binding] })).await?;
    let plan = CampaignPlan::new("Night").set("min_wait_seconds", 60).set("max_wait_seconds", 180);
    let campaign = plan.credential(credential(ADA, &ada, "implicit")).make(&engine.api).await?;
    let recipients: Vec<String> = (0..4).map(|n| format!("bo{n}@there.test")).collect();
    campaign.send_to(&recipients.iter().map(String::as_str).collect::<Vec<_>>()).await?;

    let left = engine.as_time_passes(Duration::from_secs(5), "all to leave", async || {
        let totals = campaign.show().await.map_err(|error| error.to_string())?["totals"].clone();
        if totals["sent"] == recipients.len() { Ok(()) } else { Err(totals) }
    });
    left.await?;
    let mut times = Vec::new();
    for recipient in &recipients {
        let transactions = campaign.transactions_of(recipient).await?;
        times.push(text(&transactions[0]["at"])?.parse::<Timestamp>()?);
    }
    times.sort();
    ensure!(times[0] >= "2026-11-23T09:00:00Z".parse()?, "{times:?}");
    let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[0].until(pair[1])).collect();
    // The clock goes by steps, and faster than the engine sometimes.
    ensure!(gaps.iter().all(|gap| *gap >= MINUTE - Duration::from_secs(10)), "{gaps:?}");
    engine.stop().await;
    Ok(())
}

async fn only_domains_that_take_mail_are_written_to(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let dns = DnsServers::start().await?;
    let engine = Engine::on(database).trust(certificates.ca_pem()).dns(dns.address).start().await?;
    let plan = CampaignPlan::new("MX").set("verify_email_mx", true);
    let campaign = plan.credential(credential(ADA, &ada, "implicit")).make(&engine.api).await?;
    let at = |domain: &str| format!("bo@{domain}");
    let taking = [names::MAIL, names::ALIAS, names::SERVER_FAILURE, names::TIMEOUT].map(at);
    let not_taking = [names::NULL_MX, names::ADDRESS_ONLY, names::TEXT_ONLY, names::MISSING].map(at);
    let all: Vec<&str> = taking.iter().chain(&not_taking).map(String::as_str).collect();
    campaign.send_to(&all).await?;

    let done = engine.as_time_passes(MINUTE, "every domain to be decided", async || {
        let totals = campaign.show().await.map_err(|error| error.to_string())?["totals"].clone();
        if totals["pending"] == 0 { Ok(totals) } else { Err(totals) }
    });
    let totals = done.await?;
    assert_eq!((&totals["sent"], &totals["bounced"]), (&json!(4), &json!(4)), "{totals}");
    for recipient in &not_taking {
        let enrollment = campaign.enrollment_of(recipient).await?;
        assert_eq!(enrollment["bounce_reason"], "MX check failed at dispatch", "{recipient}");
        assert_eq!(campaign.transactions_of(recipient).await?, [Value::Null; 0]);
    }
    let mut written_to: Vec<String> = ada.messages().iter().flat_map(|message| message.to.clone()).collect();
    let mut expected = taking.to_vec();
    written_to.sort();
    expected.sort();
    assert_eq!((written_to, ada.transactions()), (expected, 4));
    ensure!(dns.questions_about(names::TIMEOUT) >= 3, "a resolver that fails is asked three times");
    assert_eq!(campaign.show().await?["skipped"]["mx_invalid"], 4);
    let figures = campaign.figures_of(ADA).await?;
    assert_eq!((&figures["transactions"], &figures["bounces"]), (&json!(4), &json!(0)), "they are in no rate");
    engine.stop().await;
    Ok(())
}

async fn a_message_is_complete(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let engine = Engine::on(database).trust(certificates.ca_pem()).start().await?;
    let of_mailgun = altered(credential(ADA, &ada, "implicit"), json!({ "provider": "mailgun" }));
    let plan = CampaignPlan::new("Complete").credential(of_mailgun);
    let html = "<p>Hi {{first_name}}{{last_name}} of {{company}}, is <b>{{email}}</b> yours?</p>";
    let campaign = plan.step(0, "{{first_name}} at {{company}}", html).make(&engine.api).await?;
    let bo = json!({ "email": "bo@there.test", "first_name": "Bø <b>", "company": "Smith & Sons" });
    campaign.enroll_contacts(vec![bo], 50).await?;
    campaign.dispatch().await?;
    let letter = letters(&ada, 1).await?.remove(0);

    assert_eq!(letter.subject(), "Bø <b> at Smith & Sons");
    let html = letter.html();
    ensure!(html.contains("Hi Bø &lt;b&gt; of Smith &amp; Sons, is <b>bo@there.test</b> yours?"), "{html}");
    let plain = letter.text();
    ensure!(plain.contains("Hi Bø <b> of Smith & Sons, is") && !plain.contains("&amp;"), "{plain}");
    ensure!(letter.header("Content-Type").starts_with("multipart/alternative"), "{}", letter.header("Content-Type"));
    let send_id = letter.header("X-Ampout-Send-Id");
    assert_eq!(letter.header("Message-ID"), format!("<{send_id}@lovelace.test>"));
    let variables: Value = serde_json::from_str(letter.header("X-Mailgun-Variables"))?;
    assert_eq!(variables, json!({ "ampout_send_id": send_id }));
    assert_eq!(letter.header("List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
    ensure!(letter.unsubscribe_link().starts_with(&format!("{}/u/", engine.base())), "{}", letter.unsubscribe_link());
    ensure!(letter.header("From").contains("Ada Lovelace") && letter.header("Date").ends_with("+0000"), "{letter:?}");

    campaign.becomes("bo@there.test", "sent").await?;
    let timeline = campaign.timeline_of("bo@there.test").await?;
    let queued = timeline.iter().find(|fact| fact["kind"] == "queued").context("nothing was queued")?;
    assert_eq!(queued["send_id"], send_id);
    let pixel = letter.pixel()?;
    ensure!(pixel.starts_with(&format!("{}/t/", engine.base())), "{pixel}");
    engine.clock.advance(MINUTE);
    engine.api.visit(Method::GET, &pixel, &[("user-agent", "Thunderbird/128.5.0")], "").await?;
    campaign.becomes("bo@there.test", "opened").await?;
    engine.stop().await;
    Ok(())
}
