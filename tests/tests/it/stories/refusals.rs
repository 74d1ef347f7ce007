//! What goes wrong on the way out: addresses that must not be connected to, a server that says "later", one that hangs up
//! after the message, one that refuses the password. Nobody is mailed twice, nobody is taken for bounced.

use std::time::Duration;

use ampout::clock::Clock;
use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::{Action, Moment, ReceiverTls, Reply, by_local_part};
use ampout::domain::Timestamp;
use ampout_tests::dns::names;
use ampout_tests::{
    Campaign, CampaignPlan, Database, DnsServers, Engine, WebhookReceiver, altered, credential, eventually, letters,
    provider, text,
};
use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};

super::on_both_databases!(
    the_operators_network_is_not_connected_to,
    what_is_put_off_is_tried_again_after_five_minutes,
    what_is_in_doubt_is_not_sent_again,
    a_refused_password_is_nobodys_bounce
);

const ADA: &str = "ada@lovelace.test";
const BO: &str = "bo@there.test";
const MINUTE: Duration = Duration::from_secs(60);

async fn the_operators_network_is_not_connected_to(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let app = WebhookReceiver::start().await?;
    let dns = DnsServers::start().await?;
    let engine =
        Engine::on(database).trust(certificates.ca_pem()).set("egress_allow", "").dns(dns.address).start().await?;
    let webhook = engine.api.post("/webhooks", json!({ "webhook": { "url": app.url() } })).await?;
    // ns.test is a name of 127.0.0.1.
    for host in ["127.0.0.1", "ns.test"] {
        let there = altered(credential(ADA, &ada, "implicit"), json!({ "smtp_host": host }));
        let campaign = CampaignPlan::new(host).set("verify_email_mx", true).credential(there).make(&engine.api).await?;
        let recipient = format!("bo.{}@{}", host.len(), names::MAIL);
        let nowhere = format!("bo.{}@{}", host.len(), names::MISSING);
        campaign.send_to(&[&recipient, &nowhere]).await?;
        let credential = resting(&campaign).await?;
        let told = text(&credential["last_error"])?;
        ensure!(told.contains("a loopback address") && told.contains("AMPOUT_EGRESS_ALLOW"), "{told}");
        ensure!(told.contains(host) && (host == "127.0.0.1" || !told.contains("127.0.0.1")), "{told}");
        assert_eq!(campaign.enrollment_of(&recipient).await?["status"], "pending");
        campaign.becomes(&nowhere, "bounced").await?;
        let id = text(&credential["id"])?;
        let path = campaign.path(&format!("/smtp_credentials/{id}/test"));
        let tried = engine.api.call(Method::POST, &path, None).await?.succeeded()?;
        ensure!(
            tried["smtp"]["ok"] == false && text(&tried["smtp"]["error"])?.contains("AMPOUT_EGRESS_ALLOW"),
            "{tried}"
        );
    }
    let path = format!("/webhooks/{}/deliveries", text(&webhook["id"])?);
    let delivery = eventually("the webhook to be tried", async || {
        let deliveries = engine.api.get(&path).await.map_err(|error| error.to_string())?;
        let tried = deliveries.as_array().into_iter().flatten().find(|delivery| delivery["error"].is_string()).cloned();
        tried.ok_or(deliveries)
    });
    let delivery = delivery.await?;
    ensure!(text(&delivery["error"])?.contains("AMPOUT_EGRESS_ALLOW"), "{delivery}");
    assert_eq!((ada.connections(), app.requests().len()), (0, 0));
    engine.stop().await;
    Ok(())
}

async fn what_is_put_off_is_tried_again_after_five_minutes(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let (seen, offered) = std::sync::mpsc::channel();
    ada.set_rule(move |moment| {
        let Moment::Message { raw, .. } = moment else { return None };
        // The receiver outlives the story's interest in what it saw.
        let _ = seen.send(raw.to_vec());
        Some(Reply::refuse(451, "4.7.1", "greylisted, come back later"))
    });
    let clock = Clock::manual("2026-11-23T08:00:00Z".parse()?);
    let engine = Engine::on(database).trust(certificates.ca_pem()).clock(clock).start().await?;
    let plan = CampaignPlan::new("Later").credential(credential(ADA, &ada, "implicit"));
    let campaign = plan.make(&engine.api).await?;
    campaign.send_to(&[BO]).await?;
    let explained = eventually("the retry to be announced", async || {
        let explained = campaign.explain().await.map_err(|error| error.to_string())?;
        if explained["state"] == "waiting" { Ok(explained) } else { Err(explained) }
    });
    assert_eq!(explained.await?["reasons"][0]["until"], "2026-11-23T08:05:00.000Z");
    let put_off = campaign.transactions_of(BO).await?;
    assert_eq!((&put_off[0]["outcome"], &put_off[0]["smtp_code"]), (&json!("deferred"), &json!(451)));
    assert_eq!(campaign.enrollment_of(BO).await?["status"], "pending");

    ada.set_rule(|_| None);
    engine.move_to("2026-11-23T08:05:00Z".parse()?);
    campaign.becomes(BO, "sent").await?;
    let letter = letters(&ada, 1).await?.remove(0);
    let first = String::from_utf8(offered.try_recv().context("nothing was offered at first")?)?;
    ensure!(
        first.contains(&format!("<{}>", letter.message_id)),
        "another Message-ID than {}: {first}",
        letter.message_id
    );
    assert_eq!((ada.transactions(), campaign.transactions_of(BO).await?.len()), (2, 2));
    assert_eq!(campaign.figures_of(ADA).await?["bounces"], 0);
    engine.stop().await;
    Ok(())
}

async fn what_is_in_doubt_is_not_sent_again(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    ada.set_rule(by_local_part(vec![("bo".to_owned(), Action::AcceptAndClose)]));
    let engine = Engine::on(database).trust(certificates.ca_pem()).start().await?;
    let plan = CampaignPlan::new("Doubt").credential(credential(ADA, &ada, "implicit"));
    let campaign = plan.make(&engine.api).await?;
    campaign.send_to(&[BO]).await?;
    eventually("the doubt to be told", async || {
        let status = engine.api.get("/status").await.map_err(|error| error.to_string())?;
        if status["queue"]["in_doubt"] == 1 { Ok(()) } else { Err(status) }
    })
    .await?;
    let timeline = campaign.timeline_of(BO).await?;
    let queued = timeline.iter().find(|fact| fact["kind"] == "queued").context("nothing was queued")?;
    assert_eq!(queued["state"], "in_doubt");

    // Two days later it is still in doubt, while others are written to.
    for (day, other) in [(1, "cy@there.test"), (2, "di@there.test")] {
        engine.clock.advance(24 * 60 * MINUTE);
        campaign.send_to(&[other]).await?;
        campaign.becomes(other, "sent").await?;
        assert_eq!(ada.accepted(), 1 + day, "once for {BO}, once for each other");
    }
    assert_eq!(engine.api.get("/status").await?["queue"]["in_doubt"], 1);
    engine.stop().await;
    Ok(())
}

async fn a_refused_password_is_nobodys_bounce(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::StarttlsRequired, &certificates).await?;
    let engine = Engine::on(database).trust(certificates.ca_pem()).start().await?;
    let wrong = altered(credential(ADA, &ada, "starttls"), json!({ "smtp_password": "of last year" }));
    let campaign = CampaignPlan::new("Password").credential(wrong).make(&engine.api).await?;
    campaign.send_to(&[BO, "cy@there.test"]).await?;
    let credential = resting(&campaign).await?;
    let told = text(&credential["last_error"])?;
    ensure!(told.contains("refused the username or password") && !told.contains("of last year"), "{told}");
    let explained = campaign.explain().await?;
    assert_eq!(explained["reasons"][0]["code"], "credential_resting", "{explained}");
    let figures = campaign.figures_of(ADA).await?;
    assert_eq!((&figures["bounces"], &figures["disabled_at"]), (&json!(0), &Value::Null));
    assert_eq!(campaign.enrollment_of(BO).await?["status"], "pending");

    let path = campaign.path(&format!("/smtp_credentials/{}", text(&credential["id"])?));
    let right = json!({ "smtp_credential": { "smtp_password": ampout_tests::PASSWORD } });
    engine.api.patch(&path, right).await?;
    let sent = engine.as_time_passes(MINUTE, "both to be written to", async || {
        let totals = campaign.show().await.map_err(|error| error.to_string())?["totals"].clone();
        if totals["sent"] == 2 { Ok(()) } else { Err(totals) }
    });
    sent.await?;
    assert_eq!(ada.accepted(), 2);
    engine.stop().await;
    Ok(())
}

/// The campaign's only credential, as soon as it rests.
async fn resting(campaign: &Campaign) -> anyhow::Result<Value> {
    eventually("the credential to rest", async || {
        let credential = campaign.credential(ADA).await.map_err(|error| format!("{error:#}"))?;
        let until = credential["resting_until"].as_str().and_then(|until| until.parse::<Timestamp>().ok());
        if until.is_some() { Ok(credential) } else { Err(credential.to_string()) }
    })
    .await
}
