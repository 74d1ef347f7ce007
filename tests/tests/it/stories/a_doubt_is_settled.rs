//! What may or may not have left is found by people and settled by them: as sent, or sent again through the same credential
//! with the same Message-ID.

use std::time::Duration;

use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::{Action, ReceiverTls, SmtpReceiver, by_local_part};
use ampout_tests::{
    Api, Campaign, CampaignPlan, CertificateAuthority, Database, Dovecot, Engine, PASSWORD, altered, credential,
    eventually, letters, provider, text, with_mailbox,
};
use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};

super::on_both_databases!(
    a_person_knows_that_it_left,
    a_person_has_it_sent_again,
    a_copy_in_the_sent_folder_says_that_it_left,
    whoever_opts_out_has_it,
    what_must_not_be_sent_again_is_not,
    a_retry_takes_a_place_of_its_day
);

const ADA: &str = "ada@lovelace.test";
const BO: &str = "bo@there.test";
const CY: &str = "cy@there.test";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A provider that loses its answers to whoever is called bo.
async fn forgetful(certificates: &Certificates) -> anyhow::Result<SmtpReceiver> {
    let ada = provider(ADA, ReceiverTls::Implicit, certificates).await?;
    ada.set_rule(by_local_part(vec![("bo".to_owned(), Action::AcceptAndClose)]));
    Ok(ada)
}

/// The doubts of a campaign, as soon as there are so many.
async fn doubts(api: &Api, campaign: &Campaign, count: usize) -> anyhow::Result<Vec<Value>> {
    let path = format!("/sends?state=in_doubt&campaign_id={}", campaign.id);
    eventually(&format!("{count} sends in doubt"), async || {
        let listed = api.get(&path).await.map_err(|error| format!("{error:#}"))?;
        let found = listed.as_array().filter(|found| found.len() == count).cloned();
        found.ok_or_else(|| listed.to_string())
    })
    .await
}

async fn resolve(api: &Api, doubt: &Value, resolved_as: &str) -> anyhow::Result<Value> {
    api.post(&format!("/sends/{}/resolve", text(&doubt["id"])?), json!({ "as": resolved_as })).await
}

fn fact<'a>(timeline: &'a [Value], kind: &str) -> anyhow::Result<&'a Value> {
    timeline.iter().rfind(|fact| fact["kind"] == kind).with_context(|| format!("no {kind} in {timeline:?}"))
}

async fn a_person_knows_that_it_left(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = forgetful(&certificates).await?;
    let engine = Engine::on(database).trust(certificates.ca_pem()).start().await?;
    let (api, plan) = (&engine.api, CampaignPlan::new("Doubt").credential(credential(ADA, &ada, "implicit")));
    let campaign = plan.step(0, "Hello", "<p>Hi</p>").step(60, "Again", "<p>Hi</p>").make(api).await?;
    campaign.send_to(&[BO, CY]).await?;
    let doubt = doubts(api, &campaign, 1).await?.remove(0);
    let letter = letters(&ada, 2).await?.into_iter().find(|letter| letter.to == BO).context("nothing came")?;
    assert_eq!(doubt["message_id"], letter.message_id);
    assert_eq!((&doubt["contact_email"], &doubt["from_email"], &doubt["step"]), (&json!(BO), &json!(ADA), &json!(1)));
    ensure!(doubt["in_doubt_since"].is_string() && text(&doubt["reason"])?.contains("connection"), "{doubt}");
    let explained = campaign.explain().await?;
    let told = explained["reasons"].as_array().into_iter().flatten().find(|reason| reason["code"] == "in_doubt");
    ensure!(text(&told.context("it is not explained")?["message"])?.contains("/sends?state=in_doubt"), "{explained}");

    let stranger = engine.another_account().await?;
    let path = format!("/sends/{}/resolve", text(&doubt["id"])?);
    let asked = |api: Api, body: Value| async move { api.call(Method::POST, &path, Some(body)).await };
    asked(stranger.clone(), json!({ "as": "sent" })).await?.refused(404, "send_not_found")?;
    ensure!(stranger.get("/sends?state=in_doubt").await? == json!([]), "a stranger sees it");

    let once = api.once("settled-once");
    let settled = resolve(&once, &doubt, "sent").await?;
    assert_eq!(settled, json!({ "id": doubt["id"], "state": "sent", "due_at": null }));
    assert_eq!(resolve(&once, &doubt, "sent").await?, settled);
    campaign.becomes(BO, "sent").await?;
    doubts(api, &campaign, 0).await?;
    assert_eq!(api.get("/status").await?["queue"]["in_doubt"], 0);
    assert_eq!(campaign.figures_of(ADA).await?["transactions"], 2);
    let path = format!("/sends/{}/resolve", text(&doubt["id"])?);
    let again = api.call(Method::POST, &path, Some(json!({ "as": "retry" }))).await?.refused(422, "unprocessable")?;
    ensure!(text(&again["message"])?.contains("is sent"), "{again}");
    let timeline = campaign.timeline_of(BO).await?;
    let resolved = fact(&timeline, "resolved")?;
    assert_eq!((&resolved["as"], &resolved["by"]), (&json!("sent"), &json!("api_key")));
    ensure!(resolved["api_key_id"].is_string() && resolved["api_key_label"].is_string(), "{resolved}");

    // The sequence goes on.
    ada.set_rule(|_| None);
    engine.clock.advance(DAY);
    let second =
        letters(&ada, 4).await?.into_iter().find(|letter| letter.to == BO && letter.subject().contains("Again"));
    ensure!(second.is_some(), "no second step");
    engine.stop().await;
    Ok(())
}

async fn a_person_has_it_sent_again(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let (ada, other) =
        (forgetful(&certificates).await?, provider("bea@lovelace.test", ReceiverTls::Implicit, &certificates).await?);
    let engine = Engine::on(database).trust(certificates.ca_pem()).start().await?;
    let api = &engine.api;
    let campaign = CampaignPlan::new("Again").credential(credential(ADA, &ada, "implicit")).make(api).await?;
    campaign.send_to(&[BO]).await?;
    let doubt = doubts(api, &campaign, 1).await?.remove(0);
    eventually("the campaign to be finished", async || {
        let shown = campaign.show().await.map_err(|error| error.to_string())?;
        if shown["status"] == "finished" { Ok(()) } else { Err(shown["status"].to_string()) }
    })
    .await?;
    // Another credential is free; it must not be the one.
    let second = credential("bea@lovelace.test", &other, "implicit");
    api.post(&campaign.path("/smtp_credentials"), json!({ "smtp_credential": second })).await?;
    ada.set_rule(|_| None);
    let settled = resolve(api, &doubt, "retry").await?;
    assert_eq!((&settled["state"], settled["due_at"].is_string()), (&json!("due"), true));
    campaign.becomes(BO, "sent").await?;
    let letters = letters(&ada, 2).await?;
    assert_eq!(letters[0].message_id, letters[1].message_id);
    assert_eq!(other.accepted(), 0);
    let figures = campaign.figures_of(ADA).await?;
    assert_eq!((&figures["transactions"], &figures["sent_today"]), (&json!(1), &json!(1)));
    let timeline = campaign.timeline_of(BO).await?;
    assert_eq!(fact(&timeline, "resolved")?["as"], "retry");
    let outcomes: Vec<_> =
        timeline.iter().filter(|fact| fact["kind"] == "transaction").map(|fact| fact["outcome"].clone()).collect();
    assert_eq!(outcomes, ["in_doubt", "accepted"]);
    engine.stop().await;
    Ok(())
}

async fn a_copy_in_the_sent_folder_says_that_it_left(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let authority = CertificateAuthority::create()?;
    let dovecot = Dovecot::start(&authority).await?;
    dovecot.add_user(ADA, PASSWORD)?;
    let ada = forgetful(&certificates).await?;
    let engine = Engine::on(database).trust(certificates.ca_pem()).trust(authority.pem()).start().await?;
    let watched = with_mailbox(credential(ADA, &ada, "implicit"), dovecot.imaps_port, "implicit");
    let campaign = CampaignPlan::new("Copies").credential(watched).make(&engine.api).await?;
    campaign.send_to(&[BO, "bob@there.test"]).await?;
    doubts(&engine.api, &campaign, 2).await?;
    let copy = ada.messages().into_iter().find(|message| message.to == [BO]).context("nothing came")?;
    dovecot.save(ADA, "Sent", &copy.raw)?;
    let settled = engine.as_time_passes(Duration::from_secs(10), "the copy to be found", async || {
        let enrollment = campaign.enrollment_of(BO).await.map_err(|error| error.to_string())?;
        if enrollment["status"] == "sent" { Ok(()) } else { Err(enrollment.to_string()) }
    });
    settled.await?;
    let timeline = campaign.timeline_of(BO).await?;
    let resolved = fact(&timeline, "resolved")?;
    assert_eq!((&resolved["as"], &resolved["by"]), (&json!("sent"), &json!("sent_folder")));
    // Of the other there is none.
    assert_eq!(doubts(&engine.api, &campaign, 1).await?[0]["contact_email"], "bob@there.test");
    engine.stop().await;
    Ok(())
}

async fn whoever_opts_out_has_it(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = forgetful(&certificates).await?;
    let engine = Engine::on(database).trust(certificates.ca_pem()).start().await?;
    let campaign = CampaignPlan::new("Out").credential(credential(ADA, &ada, "implicit")).make(&engine.api).await?;
    campaign.send_to(&[BO]).await?;
    doubts(&engine.api, &campaign, 1).await?;
    let letter = letters(&ada, 1).await?.remove(0);
    let form = "application/x-www-form-urlencoded";
    let link = letter.unsubscribe_link();
    assert_eq!(engine.api.post_publicly(link, form, "List-Unsubscribe=One-Click").await?.as_u16(), 200);
    doubts(&engine.api, &campaign, 0).await?;
    assert_eq!(campaign.enrollment_of(BO).await?["stop_reason"], "unsubscribed");
    engine.stop().await;
    Ok(())
}

async fn what_must_not_be_sent_again_is_not(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = forgetful(&certificates).await?;
    let engine = Engine::on(database).trust(certificates.ca_pem()).start().await?;
    let api = &engine.api;
    let campaign = CampaignPlan::new("Never").credential(credential(ADA, &ada, "implicit")).make(api).await?;
    campaign.send_to(&[BO, "bob@there.test"]).await?;
    let found = doubts(api, &campaign, 2).await?;
    let of = |email: &str| found.iter().find(|doubt| doubt["contact_email"] == email).cloned().context("not in doubt");
    let (bo, bob) = (of(BO)?, of("bob@there.test")?);
    let first = api.get(&format!("/sends?state=in_doubt&limit=1&campaign_id={}", campaign.id)).await?;
    let after = text(&first[0]["id"])?;
    let next = api.get(&format!("/sends?state=in_doubt&limit=1&after={after}")).await?;
    ensure!(next[0]["id"] != first[0]["id"] && next.as_array().is_some_and(|rows| rows.len() == 1), "{next}");
    let wrong = |path: &'static str| async move { api.call(Method::GET, path, None).await };
    wrong("/sends").await?.refused(400, "bad_request")?;
    wrong("/sends?state=sent").await?.refused(400, "bad_request")?;
    let retry = async |doubt: &Value, body: Value| {
        api.call(Method::POST, &format!("/sends/{}/resolve", text(&doubt["id"])?), Some(body)).await
    };
    retry(&bo, json!({ "as": "maybe" })).await?.refused(422, "validation_failed")?;
    retry(&bo, json!({})).await?.refused(422, "validation_failed")?;

    api.post("/suppressions", json!({ "suppression": { "email": BO } })).await?;
    let stopped = retry(&bo, json!({ "as": "retry" })).await?.refused(422, "unprocessable")?;
    ensure!(text(&stopped["message"])?.contains("suppressed"), "{stopped}");
    let id = text(&bob["smtp_credential_id"])?;
    api.delete(&campaign.path(&format!("/smtp_credentials/{id}"))).await?;
    let gone = retry(&bob, json!({ "as": "retry" })).await?.refused(422, "unprocessable")?;
    ensure!(text(&gone["message"])?.contains("credential was deleted"), "{gone}");
    resolve(api, &bob, "sent").await?;
    assert_eq!(ada.accepted(), 2);
    engine.stop().await;
    Ok(())
}

async fn a_retry_takes_a_place_of_its_day(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = forgetful(&certificates).await?;
    let clock = ampout::clock::Clock::manual("2026-11-23T08:00:00Z".parse()?);
    let engine = Engine::on(database).trust(certificates.ca_pem()).clock(clock).start().await?;
    let api = &engine.api;
    let two = altered(credential(ADA, &ada, "implicit"), json!({ "daily_limit": 2 }));
    let campaign = CampaignPlan::new("Places").credential(two).make(api).await?;
    campaign.send_to(&[BO, "bob@there.test"]).await?;
    let found = doubts(api, &campaign, 2).await?;
    ada.set_rule(|_| None);
    // A new day with two places: two others take them.
    engine.clock.advance(DAY);
    campaign.send_to(&[CY, "di@there.test"]).await?;
    campaign.becomes(CY, "sent").await?;
    campaign.becomes("di@there.test", "sent").await?;
    let settled = resolve(api, &found[0], "retry").await?;
    assert_eq!(settled["due_at"], "2026-11-25T00:00:00.000Z", "the day has no place left");
    let explained = campaign.explain().await?;
    assert_eq!(explained["reasons"][0]["until"], "2026-11-25T00:00:00.000Z", "{explained}");
    resolve(api, &found[1], "retry").await?;
    // Both places of the next day are theirs.
    engine.move_to("2026-11-25T00:00:00Z".parse()?);
    campaign.send_to(&["eve@there.test"]).await?;
    campaign.becomes(BO, "sent").await?;
    campaign.becomes("bob@there.test", "sent").await?;
    let explained = campaign.explain().await?;
    assert_eq!(explained["reasons"][0]["code"], "daily_limit_reached", "{explained}");
    assert_eq!(campaign.enrollment_of("eve@there.test").await?["status"], "pending");
    assert_eq!(campaign.figures_of(ADA).await?["sent_today"], 2);
    engine.stop().await;
    Ok(())
}
