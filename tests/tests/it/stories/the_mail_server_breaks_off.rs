//! A mail server that hangs up around its 250, or says nothing any more once it has a message: whoever the server may have
//! written to is in doubt and written to no more, everybody else gets their message once.

use ampout::demo::smtp_receiver::{Action, Moment};
use ampout_tests::{Api, Database, Installation, Mailing, eventually};
use anyhow::ensure;
use serde_json::{Value, json};

super::on_both_databases!(
    it_hangs_up_before_and_after_its_250,
    it_hangs_after_a_message_and_the_node_is_killed_meanwhile
);

const PEOPLE: u64 = 60;

async fn it_hangs_up_before_and_after_its_250(database: Database) -> anyhow::Result<()> {
    let installation = Installation::on(database, &[]).await?;
    let mut serving = installation.serve().await?;
    // Of ten people each, one is hung up on before anything is kept, one after it is kept, one after the 250.
    let mailing = Mailing::start_with(&serving, PEOPLE, |moment| {
        let Moment::Message { to, .. } = moment else { return None };
        match to.first()?.split('@').next()?.chars().last()? {
            '1' => Some(Action::Close),
            '2' => Some(Action::AcceptAndClose),
            '3' => Some(Action::AnswerAndClose),
            _ => None,
        }
    })
    .await?;
    let (refused, doubts) = (PEOPLE / 10, 2 * PEOPLE / 10);
    mailing.is_done(PEOPLE - doubts, doubts).await?;
    mailing.each_has_arrived_once(PEOPLE - refused)?;
    let shown = mailing.campaign.show().await?;
    assert_eq!((&shown["totals"]["pending"], &shown["totals"]["bounced"]), (&json!(doubts), &json!(0)));
    assert_eq!(shown["credentials"][0]["transactions"], PEOPLE - doubts);
    let credential = mailing.campaign.credential("ada@lovelace.test").await?;
    assert_eq!(credential["resting_until"], Value::Null, "the address and the password were fine: {credential}");

    // A restart asks nothing of the server again.
    let transactions = mailing.server.transactions();
    assert!(serving.end_by("TERM").await?.success(), "{}", serving.log());
    let serving = installation.serve().await?;
    mailing.is_done_by(&Api::new(&serving.base(), mailing.api.key())?, PEOPLE - doubts, doubts).await?;
    assert_eq!(mailing.server.transactions(), transactions);
    Ok(())
}

async fn it_hangs_after_a_message_and_the_node_is_killed_meanwhile(database: Database) -> anyhow::Result<()> {
    let installation = Installation::on(database, &[("AMPOUT_LEASE_SECONDS", "5")]).await?;
    let mut serving = installation.serve().await?;
    let mailing = Mailing::start_with(&serving, PEOPLE, |moment| {
        let Moment::Message { to, .. } = moment else { return None };
        to.first()?.starts_with("bo7@").then_some(Action::Hang)
    })
    .await?;
    eventually("all others to be sent while one connection hangs", async || {
        let totals = mailing.campaign.show().await.map_err(|error| format!("{error:#}"))?["totals"].clone();
        if totals["sent"] == PEOPLE - 1 { Ok(()) } else { Err(totals.to_string()) }
    })
    .await?;
    // It is being sent still: nobody knows yet.
    assert_eq!(mailing.api.get("/status").await?["queue"], json!({ "due": 0, "in_doubt": 0 }));
    serving.end_by("KILL").await?;
    drop(serving);
    mailing.server.set_rule(|_| None);
    let transactions = mailing.server.transactions();
    let serving = installation.serve().await?;
    mailing.is_done_by(&Api::new(&serving.base(), mailing.api.key())?, PEOPLE - 1, 1).await?;
    mailing.each_has_arrived_once(PEOPLE - 1)?;
    ensure!(mailing.server.transactions() == transactions, "what is in doubt was tried again");
    Ok(())
}
