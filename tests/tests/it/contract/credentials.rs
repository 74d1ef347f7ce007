//! SMTP credentials.

use ampout_tests::{altered, text};
use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::{World, has, told_of, with_status};

#[tokio::test]
async fn a_credential_is_added_listed_shown_changed_and_deleted() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign = world.campaign().await?;
    let list = campaign.path("/smtp_credentials");
    let made = with_status(world.post(&list, json!({ "smtp_credential": world.credential() })).await?, 201)?;
    has(&made, "id from_email from_name smtp_host smtp_port daily_limit")?;
    let one = format!("{list}/{}", text(&made["id"])?);
    assert_eq!(world.api().get(&list).await?.as_array().map(Vec::len), Some(2));
    let shown = world.api().call(Method::GET, &one, None).await?;
    ensure!(!shown.text.contains(ampout_tests::PASSWORD), "a password is shown");
    let change = json!({ "smtp_credential": { "label": "second", "daily_limit": 7 } });
    let changed = with_status(world.api().call(Method::PATCH, &one, Some(change)).await?, 200)?;
    assert_eq!((&changed["label"], &changed["daily_limit"]), (&json!("second"), &json!(7)));
    assert_eq!(with_status(world.delete(&one).await?, 200)?, json!({ "id": made["id"], "status": "deleted" }));
    world.api().call(Method::GET, &one, None).await?.refused(404, "smtp_credential_not_found")?;
    Ok(())
}

#[tokio::test]
async fn every_rule_of_a_credential_is_held() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign = world.campaign().await?;
    let required =
        ["smtp_host", "smtp_port", "smtp_username", "smtp_password", "from_name", "from_email", "daily_limit"];
    let mut wrong: Vec<(Value, &str)> = required.iter().map(|field| (json!({ *field: null }), *field)).collect();
    wrong.extend([
        (json!({ "smtp_tls": "maybe" }), "smtp_tls"),
        (json!({ "smtp_port": 65_536 }), "smtp_port"),
        (json!({ "daily_limit": -1 }), "daily_limit"),
        (json!({ "imap_host": "imap.company.test" }), "imap_username"),
        (json!({ "from_email": "nobody" }), "from_email"),
    ]);
    for (change, field) in wrong {
        let body = json!({ "smtp_credential": altered(world.credential(), change) });
        let refused = world.post(&campaign.path("/smtp_credentials"), body).await?.refused(422, "validation_failed");
        told_of(&refused.context(field)?, &format!("smtp_credential.{field}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_credential_is_reenabled_and_tested() -> anyhow::Result<()> {
    let world = World::start().await?;
    let campaign = world.campaign().await?;
    let shown = campaign.figures_of(super::ADA).await?;
    let one = campaign.path(&format!("/smtp_credentials/{}", text(&shown["id"])?));
    let enabled = with_status(world.post(&format!("{one}/reenable"), json!({})).await?, 200)?;
    assert_eq!(enabled, json!({ "id": shown["id"], "from_email": super::ADA, "status": "enabled" }));
    let tried = with_status(world.post(&format!("{one}/test"), json!({})).await?, 200)?;
    has(&tried, "smtp imap")?;
    has(&tried["smtp"], "ok error tls latency_ms")?;
    assert_eq!((&tried["smtp"]["ok"], &tried["smtp"]["error"]), (&json!(true), &Value::Null));
    Ok(())
}
