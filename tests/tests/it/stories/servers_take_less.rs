//! Servers that take less than most do: few connections at a time, no address outside ASCII, no message of this size. It is
//! nobody's bounce, no credential is blamed for it, and whoever can be written to is.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::{Action, Moment, ReceiverLogin, ReceiverTls, SmtpReceiver, SmtpReceiverOptions};
use ampout::secrets::SecretString;
use ampout_tests::{
    Campaign, CampaignPlan, Database, Engine, PASSWORD, altered, credential, eventually, provider, text,
    times_written_to,
};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

super::on_both_databases!(
    a_server_that_takes_few_connections_gets_all_of_it_by_those,
    an_address_that_the_server_cannot_take_is_nobodys_bounce,
    a_message_that_is_too_large_is_nobodys_bounce
);

const ADA: &str = "ada@lovelace.test";
/// Enough for the bounce policy to judge.
const MANY: usize = 25;

async fn a_server_that_takes_few_connections_gets_all_of_it_by_those(database: Database) -> anyhow::Result<()> {
    // More than one connection carries: the one that follows it may be turned away while the server has not noticed its end.
    const PEOPLE: usize = 120;
    let certificates = Certificates::generate()?;
    let engine = Engine::on(database).start().await?;
    for most in [1, 3] {
        let ada = provider(ADA, ReceiverTls::None, &certificates).await?;
        ada.set_rule(|moment| {
            let pause = Duration::from_millis(10);
            matches!(moment, Moment::Message { .. }).then_some(Action::AnswerAfter(pause))
        });
        let (address, turned_away) = with_few_connections(ada.address(), most).await?;
        let few = altered(credential(ADA, &ada, "none"), json!({ "smtp_port": address.port() }));
        let campaign = CampaignPlan::new("Few").credential(few).make(&engine.api).await?;
        let recipients: Vec<String> = (0..PEOPLE).map(|n| format!("bo{n}.{most}@there.test")).collect();
        campaign.send_to(&recipients.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        eventually("all to be sent", async || {
            let totals = campaign.show().await.map_err(|error| format!("{error:#}"))?["totals"].clone();
            if totals["sent"] == PEOPLE { Ok(()) } else { Err(totals.to_string()) }
        })
        .await?;
        let written_to = times_written_to(&ada);
        ensure!(written_to.len() == PEOPLE && written_to.values().all(|times| *times == 1), "{written_to:?}");
        let kept = campaign.credential(ADA).await?;
        assert_eq!((&kept["resting_until"], &kept["last_error"]), (&Value::Null, &Value::Null), "it works: {kept}");
        let figures = campaign.figures_of(ADA).await?;
        assert_eq!((&figures["transactions"], &figures["sent_today"]), (&json!(PEOPLE), &json!(PEOPLE)));
        let turned_away = turned_away.load(Ordering::Relaxed);
        ensure!((1..30).contains(&turned_away), "it was asked {turned_away} times for more than {most}");
    }
    engine.stop().await;
    Ok(())
}

async fn an_address_that_the_server_cannot_take_is_nobodys_bounce(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let engine = Engine::on(database).trust(certificates.ca_pem()).start().await?;
    let plan = CampaignPlan::new("Abroad").credential(credential(ADA, &ada, "implicit"));
    let campaign = plan.make(&engine.api).await?;
    let mut recipients: Vec<String> = (0..MANY).map(|n| format!("jörg{n}@there.test")).collect();
    recipients.push("bo@there.test".to_owned());
    campaign.send_to(&recipients.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    is_finished(&campaign).await?;

    let shown = campaign.show().await?;
    assert_eq!((&shown["totals"]["sent"], &shown["totals"]["bounced"]), (&json!(1), &json!(0)), "{shown}");
    let figures = campaign.figures_of(ADA).await?;
    let counted = [&figures["transactions"], &figures["bounces"], &figures["sent_today"]];
    assert_eq!(counted, [&json!(1), &json!(0), &json!(1)], "{figures}");
    assert_eq!(figures["disabled_at"], Value::Null, "{figures}");
    assert_eq!((ada.transactions(), engine.api.get("/suppressions").await?), (1, json!([])));

    let joerg = campaign.enrollment_of("jörg0@there.test").await?;
    assert_eq!(joerg["status"], "pending");
    let queued = queued(&campaign, "jörg0@there.test").await?;
    for told in [&joerg["stop_reason"], &queued["reason"]] {
        let told = text(told)?;
        ensure!(told.contains("does not offer SMTPUTF8") && told.contains("in ASCII"), "{told}");
    }
    assert_eq!(campaign.transactions_of("jörg0@there.test").await?, Vec::<Value>::new());
    engine.stop().await;
    Ok(())
}

async fn a_message_that_is_too_large_is_nobodys_bounce(database: Database) -> anyhow::Result<()> {
    let login = ReceiverLogin { username: ADA.to_owned(), password: SecretString::from(PASSWORD) };
    let options = SmtpReceiverOptions { login: Some(login), max_message_bytes: 200, ..Default::default() };
    let ada = SmtpReceiver::start(options).await?;
    let engine = Engine::on(database).start().await?;
    let campaign = CampaignPlan::new("Large").credential(credential(ADA, &ada, "none")).make(&engine.api).await?;
    let recipients: Vec<String> = (0..MANY).map(|n| format!("bo{n}@there.test")).collect();
    campaign.send_to(&recipients.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    is_finished(&campaign).await?;

    let figures = campaign.figures_of(ADA).await?;
    assert_eq!((&figures["bounces"], &figures["disabled_at"]), (&json!(0), &Value::Null), "{figures}");
    assert_eq!(campaign.credential(ADA).await?["resting_until"], Value::Null);
    assert_eq!(campaign.show().await?["totals"]["bounced"], 0);
    assert_eq!(queued(&campaign, "bo0@there.test").await?["state"], "failed");
    let told = campaign.transactions_of("bo0@there.test").await?;
    assert_eq!((told.len(), &told[0]["outcome"], &told[0]["smtp_code"]), (1, &json!("failed"), &json!(552)));
    engine.stop().await;
    Ok(())
}

/// In front of `receiver`: a server that serves so many connections at a time and turns others away, as large providers do;
/// and how many that were.
async fn with_few_connections(receiver: SocketAddr, most: usize) -> anyhow::Result<(SocketAddr, Arc<AtomicU64>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let (places, turned_away) = (Arc::new(Semaphore::new(most)), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&turned_away);
    // Ends with the story's runtime.
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                counted.fetch_add(1, Ordering::Relaxed);
                // Who has left already needs no answer.
                let _ = client.write_all(b"421 4.7.0 Too many concurrent SMTP connections\r\n").await;
                continue;
            };
            tokio::spawn(async move {
                let Ok(mut server) = TcpStream::connect(receiver).await else { return };
                // However it ends, the place is free.
                let _ = copy_bidirectional(&mut client, &mut server).await;
                drop(place);
            });
        }
    });
    Ok((address, turned_away))
}

async fn queued(campaign: &Campaign, recipient: &str) -> anyhow::Result<Value> {
    let timeline = campaign.timeline_of(recipient).await?;
    timeline.into_iter().find(|fact| fact["kind"] == "queued").context("nothing was queued")
}

async fn is_finished(campaign: &Campaign) -> anyhow::Result<()> {
    eventually("the campaign to be finished", async || {
        let shown = campaign.show().await.map_err(|error| format!("{error:#}"))?;
        if shown["status"] == "finished" { Ok(()) } else { Err(shown["totals"].to_string()) }
    })
    .await
}
