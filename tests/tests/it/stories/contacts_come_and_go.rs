//! Contacts come as a CSV file, even through a kill in the midst of it, and go again with all that hangs on them: what is
//! deleted or suppressed is not mailed any more, and nobody's opt-out is lost.

use std::collections::HashSet;
use std::time::Duration;

use ampout::clock::Clock;
use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::{ReceiverTls, SmtpReceiver};
use ampout_tests::{
    Api, Campaign, CampaignPlan, Database, Engine, Installation, PATIENCE, credential, eventually, eventually_within,
    letters, provider, text,
};
use anyhow::{Context, ensure};
use reqwest::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;

super::on_both_databases!(
    a_killed_import_is_made_again_without_duplicates,
    what_is_deleted_is_not_mailed_any_more,
    what_is_suppressed_is_not_mailed_any_more
);

const ADA: &str = "ada@lovelace.test";
const CSV: &str = "text/csv";
const MINUTE: Duration = Duration::from_secs(60);

async fn a_killed_import_is_made_again_without_duplicates(database: Database) -> anyhow::Result<()> {
    let url = match database {
        Database::Sqlite => String::new(),
        Database::Postgres => ampout_tests::postgres::fresh_database().await?,
    };
    let installation =
        Installation::new(&[("AMPOUT_DATABASE_URL", url.as_str()), ("AMPOUT_RATE_LIMIT_PER_MINUTE", "1000000")])?;
    let key = installation.run(&["keys", "create", "--json"]).await?;
    let key: Value = serde_json::from_slice(&key.stdout)?;
    let mut serving = installation.serve().await?;
    let api = Api::new(&serving.base(), text(&key["plaintext"])?)?;

    let rows: Vec<String> = (0..20_000).map(|n| format!("\"Bo {n}\",BO{n}@There.test\r\n")).collect();
    let path = "/contact_imports?name=spring";
    let (pieces, body) = a_body();
    let uploading = tokio::spawn({
        let api = api.once("spring-2026");
        async move { api.upload_as_it_comes(path, CSV, body).await }
    });
    pieces.send(format!("First Name,E-mail\r\n{}", rows[..13_000].concat())).await?;
    let begun = eventually("the first rows to be kept", async || {
        let imports = api.get("/contact_imports").await.map_err(|error| error.to_string())?;
        if imports[0]["contact_count"].as_u64() >= Some(5000) {
            Ok(imports[0].clone())
        } else {
            Err(imports.to_string())
        }
    });
    let begun = begun.await?;
    serving.end_by("KILL").await?;
    ensure!(uploading.await?.is_err(), "who was killed does not answer");
    drop((pieces, serving));

    let serving = installation.serve().await?;
    let api = Api::new(&serving.base(), text(&key["plaintext"])?)?;
    let kept = contacts_of(&api, text(&begun["id"])?).await?;
    ensure!(kept.len() >= 5000 && kept.len() % 5000 == 0, "{} are no whole chunks", kept.len());
    let whole = format!("First Name,E-mail\r\n{}", rows.concat());
    let upload = async |api: &Api| api.upload(path, CSV, whole.as_bytes()).await;
    // Another node could be at it still: on PostgreSQL whoever was cut off is waited for, half a minute.
    let made = eventually_within(3 * PATIENCE, "the call to be taken up", async || {
        let answer = upload(&api.once("spring-2026")).await.map_err(|error| format!("{error:#}"))?;
        if answer.status == 409 { Err(answer.text) } else { Ok(answer) }
    });
    let made = made.await?.succeeded()?;
    let expected = json!({ "id": begun["id"], "name": "spring", "record_count": 20_000, "rejected": [],
                           "rejected_count": 0, "ignored_columns": [] });
    assert_eq!(made, expected, "it goes on with what it had begun");
    let all = contacts_of(&api, text(&made["id"])?).await?;
    assert_eq!((all.len(), all.iter().collect::<HashSet<_>>().len()), (20_000, 20_000));
    ensure!(all.contains(&"BO19999@there.test".to_owned()), "the last row is missing");

    let again = upload(&api.once("spring-2026")).await?;
    ensure!(again.replayed && again.succeeded()? == made, "the same call does nothing");
    let without = upload(&api).await?.succeeded()?;
    assert_eq!((&without["record_count"], &without["skipped"]), (&json!(20_000), &json!(20_000)));
    Ok(())
}

async fn what_is_deleted_is_not_mailed_any_more(database: Database) -> anyhow::Result<()> {
    let (ada, engine, campaign) = a_slow_campaign(database).await?;
    let api = &engine.api;
    let stays = enroll(api, &campaign, &["bo@there.test", "cy@there.test", "di@there.test"]).await?;
    let goes: Vec<String> = (0..50).map(|n| format!("goes{n}@there.test")).collect();
    let goes = enroll(api, &campaign, &goes.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    campaign.dispatch().await?;
    let first = letters(&ada, 2).await?;
    let gone = first.iter().find(|letter| letter.to.starts_with("goes")).context("no batch waits for another")?;
    campaign.becomes(&gone.to, "sent").await?;
    campaign.becomes("bo@there.test", "sent").await?;

    let deleted = api.delete(&format!("/contact_imports/{goes}")).await?;
    assert_eq!(deleted, json!({ "id": goes, "status": "deleted" }));
    let shown = campaign.show().await?;
    assert_eq!((&shown["totals"]["sent"], &shown["totals"]["pending"]), (&json!(1), &json!(2)), "{shown}");
    let mut left = contacts_of(api, &stays).await?;
    left.sort();
    assert_eq!(left, ["bo@there.test", "cy@there.test", "di@there.test"]);
    totals(&engine, &campaign, 3).await?;
    let finished = eventually("the campaign to be finished", async || {
        let shown = campaign.show().await.map_err(|error| error.to_string())?;
        engine.clock.advance(MINUTE);
        if shown["status"] == "finished" { Ok(()) } else { Err(shown["status"].to_string()) }
    });
    finished.await?;
    assert_eq!((ada.accepted(), ada.transactions()), (4, 4), "three that stay, and one before the deletion");
    let link = gone.unsubscribe_link();
    assert_eq!(api.post_publicly(link, "application/x-www-form-urlencoded", "List-Unsubscribe=One-Click").await?, 200);
    let again = enrolled(api, &campaign, &[&gone.to, "new@there.test"]).await?;
    assert_eq!((&again["enrolled"], &again["skipped"][0]["reason"]), (&json!(1), &json!("suppressed")), "{again}");

    let path = campaign.path("");
    api.delete(&path).await?;
    api.call(reqwest::Method::GET, &path, None).await?.refused(404, "campaign_not_found")?;
    assert_eq!(api.get("/status").await?["queue"], json!({ "due": 0, "in_doubt": 0 }));
    engine.stop().await;
    Ok(())
}

async fn what_is_suppressed_is_not_mailed_any_more(database: Database) -> anyhow::Result<()> {
    let (ada, engine, campaign) = a_slow_campaign(database).await?;
    let api = &engine.api;
    let recipients = ["a@one.test", "b@one.test", "c@sub.one.test", "d@two.test", "e@two.test", "f@two.test"];
    enroll(api, &campaign, &recipients).await?;
    campaign.dispatch().await?;
    let first = letters(&ada, 1).await?.remove(0).to;
    let others: Vec<&str> = recipients.into_iter().filter(|recipient| *recipient != first).collect();
    for suppressed in [json!({ "domain": "ONE.test" }), json!({ "email": "D@two.test" })] {
        api.post("/suppressions", json!({ "suppression": suppressed })).await?;
    }
    let is_kept = |recipient: &&str| !recipient.ends_with("@one.test") && **recipient != *"d@two.test";
    let mut expected: Vec<String> = others.into_iter().filter(is_kept).map(str::to_owned).collect();
    let due = api.get("/status").await?["queue"]["due"].clone();
    let enrollments = api.get(&campaign.path("/enrollments")).await?;
    assert_eq!(due, json!(expected.len()), "{first} was first: {enrollments}");
    expected.push(first);
    totals(&engine, &campaign, expected.len()).await?;
    let mut mailed: Vec<String> = letters(&ada, expected.len()).await?.into_iter().map(|letter| letter.to).collect();
    mailed.sort();
    expected.sort();
    assert_eq!(mailed, expected);
    let shown = campaign.show().await?;
    assert_eq!(shown["skipped"]["suppressed"], json!(recipients.len() - expected.len()));
    engine.stop().await;
    Ok(())
}

/// A campaign that writes one letter a minute of each batch, and a clock to move.
async fn a_slow_campaign(database: Database) -> anyhow::Result<(SmtpReceiver, Engine, Campaign)> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let clock = Clock::manual("2026-11-23T08:00:00Z".parse()?);
    let engine = Engine::on(database).trust(certificates.ca_pem()).clock(clock).start().await?;
    let plan = CampaignPlan::new("Slow").set("min_wait_seconds", 60).set("max_wait_seconds", 60);
    let campaign = plan.credential(credential(ADA, &ada, "implicit")).make(&engine.api).await?;
    Ok((ada, engine, campaign))
}

/// Moves the clock until so many were written to.
async fn totals(engine: &Engine, campaign: &Campaign, sent: usize) -> anyhow::Result<()> {
    engine
        .as_time_passes(MINUTE, "all to be written to", async || {
            let totals = campaign.show().await.map_err(|error| error.to_string())?["totals"].clone();
            if totals["sent"] == json!(sent) { Ok(()) } else { Err(totals.to_string()) }
        })
        .await
}

/// Imports a file of these addresses and enrolls them in a batch of their own; the import's id.
async fn enroll(api: &Api, campaign: &Campaign, addresses: &[&str]) -> anyhow::Result<String> {
    let (import, enrolled) = import_and_enroll(api, campaign, addresses).await?;
    ensure!(enrolled["enrolled"] == json!(addresses.len()), "{enrolled}");
    Ok(import)
}

async fn enrolled(api: &Api, campaign: &Campaign, addresses: &[&str]) -> anyhow::Result<Value> {
    Ok(import_and_enroll(api, campaign, addresses).await?.1)
}

async fn import_and_enroll(api: &Api, campaign: &Campaign, addresses: &[&str]) -> anyhow::Result<(String, Value)> {
    let file = format!("email\n{}\n", addresses.join("\n"));
    let made = api.upload("/contact_imports?name=list", CSV, file.as_bytes()).await?.succeeded()?;
    let body = json!({ "contact_import_id": made["id"], "batch_size": 1000 });
    Ok((text(&made["id"])?.to_owned(), api.post(&campaign.path("/enroll"), body).await?))
}

/// The addresses of an import, page after page.
async fn contacts_of(api: &Api, import: &str) -> anyhow::Result<Vec<String>> {
    let mut addresses = Vec::new();
    let mut after = String::new();
    loop {
        let page = api.get(&format!("/contact_imports/{import}/contacts?limit=1000{after}")).await?;
        let page = page.as_array().context("a page is a list")?;
        let Some(last) = page.last() else { return Ok(addresses) };
        after = format!("&after={}", text(&last["id"])?);
        for contact in page {
            addresses.push(text(&contact["email"])?.to_owned());
        }
    }
}

/// A body that is sent as it is given.
fn a_body() -> (mpsc::Sender<String>, Body) {
    let (pieces, given) = mpsc::channel::<String>(1);
    let stream = futures_util::stream::unfold(given, |mut given| async move {
        let piece = given.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), given))
    });
    (pieces, Body::wrap_stream(stream))
}
