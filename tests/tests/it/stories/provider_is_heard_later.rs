//! A provider tells of a bounce while its adapter is broken: it is asked to come again, nothing is lost, and once the adapter
//! is mended the engine reads by itself what it kept. What the adapter could not read can be read again by hand.

use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::ReceiverTls;
use ampout_tests::{Api, CampaignPlan, Database, Engine, credential, eventually, letters, provider, text};
use anyhow::ensure;
use reqwest::Method;
use serde_json::{Value, json};

super::on_both_databases!(a_broken_adapter_loses_nothing, a_call_to_make_an_endpoint_is_answered_once);

const ADA: &str = "ada@lovelace.test";
const BO: &str = "bo@there.test";

/// An adapter of this version with this body.
fn adapter(version: &str, body: &str) -> String {
    format!(
        "//! name: house-relay\n//! version: {version}\n//! hooks: provider-adapter\n\
         //! description: The house's own relay.\n//! license: Apache-2.0\n\n\
         fn ingest(request, settings) {{\n{body}\n}}\n"
    )
}

async fn install(api: &Api, version: &str, body: &str) -> anyhow::Result<()> {
    let made = api.upload("/extensions", "text/rhai", adapter(version, body).as_bytes()).await?.succeeded()?;
    let binding =
        json!({ "scope": "account", "hook": "provider-adapter", "extension_id": made["id"], "mode": "active" });
    api.put("/bindings", json!({ "bindings": [binding] })).await.map(drop)
}

async fn a_broken_adapter_loses_nothing(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let engine = Engine::on(database).trust(certificates.ca_pem()).start().await?;
    let api = &engine.api;
    let plan = CampaignPlan::new("Spring").credential(credential(ADA, &ada, "implicit"));
    let campaign = plan.make(api).await?;
    campaign.send_to(&[BO]).await?;
    let letter = letters(&ada, 1).await?.remove(0);
    campaign.becomes(BO, "sent").await?;

    install(api, "1.0.0", "throw \"these words are new to me\";").await?;
    let made = api.post("/inbound_endpoints", json!({ "inbound_endpoint": { "provider": "house-relay" } })).await?;
    let (path, url) = (format!("/inbound_endpoints/{}", text(&made["id"])?), text(&made["url"])?);
    let told = format!("kind=hard_bounce&send_id={}&reason=no+such+user", letter.header("X-Ampout-Send-Id"));
    for _ in 0..2 {
        let answer = api.post_publicly(url, "application/x-www-form-urlencoded", &told).await?;
        assert_eq!(answer, 503);
    }
    let requests = format!("{path}/requests");
    let kept = api.get(&requests).await?;
    for request in kept.as_array().into_iter().flatten() {
        assert_eq!((&request["state"], &request["attempts"]), (&json!("retry"), &json!(1)), "{kept}");
        ensure!(text(&request["error"])?.contains("new to me") && request["next_try_at"].is_string(), "{kept}");
    }
    assert_eq!(kept.as_array().map(Vec::len), Some(2));
    assert_eq!(campaign.enrollment_of(BO).await?["status"], "sent");

    let reading = "let given = request.body.form();\n\
        if !given.contains(\"kind\") { return #{ error: \"malformed\", reason: \"no kind\" }; }\n\
        #{ events: [#{ kind: given.kind, send_id: given.send_id, reason: given.reason }] }";
    install(api, "1.1.0", reading).await?;
    let applied = engine.as_time_passes(std::time::Duration::from_secs(30), "both to be applied", async || {
        let all = api.get(&requests).await.map_err(|error| format!("{error:#}"))?;
        let is_applied = |request: &Value| request["state"] == "applied";
        if all.as_array().is_some_and(|all| all.iter().all(is_applied)) { Ok(()) } else { Err(all.to_string()) }
    });
    applied.await?;
    let bounced = campaign.enrollment_of(BO).await?;
    assert_eq!((&bounced["status"], &bounced["bounce_reason"]), (&json!("bounced"), &json!("no such user")));
    assert_eq!(campaign.figures_of(ADA).await?["bounces"], 1, "one bounce, told twice");

    // What nobody could read is read again when its owner says so, by the adapter of then.
    assert_eq!(api.post_publicly(url, "text/plain", "kin=delivered").await?, 422);
    let malformed = api.get(&format!("{requests}?state=malformed")).await?;
    assert_eq!((&malformed[0]["error"], &malformed[0]["next_try_at"]), (&json!("no kind"), &Value::Null));
    install(api, "1.2.0", "#{ events: [] }").await?;
    let again = format!("{requests}/{}/retry", text(&malformed[0]["id"])?);
    api.call(Method::POST, &again, None).await?.succeeded()?;
    eventually("it to be applied", async || {
        let left = api.get(&format!("{requests}?state=malformed")).await.map_err(|error| format!("{error:#}"))?;
        let applied = api.get(&format!("{requests}?state=applied")).await.map_err(|error| format!("{error:#}"))?;
        match (left.as_array().map(Vec::len), applied.as_array().map(Vec::len)) {
            (Some(0), Some(3)) => Ok(()),
            counts => Err(format!("{counts:?}")),
        }
    })
    .await?;
    api.call(Method::DELETE, &path, None).await?.succeeded()?;
    assert_eq!(api.post_publicly(url, "text/plain", &told).await?, 404);
    engine.stop().await;
    Ok(())
}

/// Its secrets come with it: the address of an endpoint, the secret of a webhook.
async fn a_call_to_make_an_endpoint_is_answered_once(database: Database) -> anyhow::Result<()> {
    let engine = Engine::on(database).start().await?;
    let endpoint = json!({ "inbound_endpoint": { "provider": "smtp2go", "signing_secret": "s3cret" } });
    let webhook = json!({ "webhook": { "url": "https://app.example/hooks" } });
    for (path, body) in [("/inbound_endpoints", endpoint), ("/webhooks", webhook)] {
        let once = engine.api.once(&format!("make{}", path.replace('/', "-")));
        let first = once.call(Method::POST, path, Some(body.clone())).await?;
        let again = once.call(Method::POST, path, Some(body)).await?;
        assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201));
        ensure!(again.replayed && !first.replayed, "{again:?}");
        assert_eq!(first.text, again.text);
        assert_eq!(engine.api.get(path).await?.as_array().map(Vec::len), Some(1));
    }
    engine.stop().await;
    Ok(())
}
