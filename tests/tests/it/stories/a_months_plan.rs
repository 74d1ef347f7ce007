//! What an account may send in a month: the operator sets it by the shell, the engine holds it to the message, and two
//! nodes that claim at once never share a place.

use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::ReceiverTls;
use ampout::domain::Timestamp;
use ampout::domain::ids::AccountId;
use ampout::store::{DatabaseUrl, Store, StoreOptions, account_months, accounts};
use ampout::wake::Wakeups;
use ampout_tests::postgres::fresh_database;
use ampout_tests::{CampaignPlan, Database, Engine, credential, eventually, letters, provider, text};
use anyhow::ensure;
use reqwest::Method;
use serde_json::{Value, json};

super::on_both_databases!(the_shell_sets_what_an_account_may_send, nodes_never_share_a_place);

const ADA: &str = "ada@lovelace.test";

async fn the_shell_sets_what_an_account_may_send(database: Database) -> anyhow::Result<()> {
    let certificates = Certificates::generate()?;
    let ada = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
    let engine = Engine::on(database).trust(certificates.ca_pem()).start().await?;
    let accounts = engine.shell(&["accounts", "list", "--json"]).await?;
    let account: Value = serde_json::from_str(accounts.trim())?;
    assert_eq!((&account["monthly_limit"], &account["plan_slug"]), (&Value::Null, &json!("self_hosted")));
    let id = text(&account["account_id"])?;
    engine.shell(&["accounts", "limit", id, "2", "--plan", "trial"]).await?;
    let campaign = CampaignPlan::new("Plan").credential(credential(ADA, &ada, "implicit")).make(&engine.api).await?;
    campaign.send_to(&["bo@there.test", "cy@there.test", "di@there.test"]).await?;
    let explained = eventually("the plan to be used up", async || {
        let explained = campaign.explain().await.map_err(|error| error.to_string())?;
        let is_used_up = explained["reasons"][0]["code"] == "plan_limit_reached" && explained["state"] == "blocked";
        if is_used_up { Ok(explained) } else { Err(explained) }
    })
    .await?;
    let until: Timestamp = text(&explained["reasons"][0]["until"])?.parse()?;
    assert_eq!(until, engine.clock.now().next_utc_month());
    assert_eq!((ada.accepted(), &explained["reasons"][0]["subject_id"]), (2, &json!(id)));
    campaign.enroll(&["ed@there.test"]).await?;
    let refused = engine.api.call(Method::POST, &campaign.path("/dispatch"), None).await?;
    let refused = refused.refused(402, "plan_limit_reached")?;
    let details = json!({ "current_period_sends": 2, "monthly_limit": 2, "plan_slug": "trial" });
    assert_eq!(refused["details"], details);
    engine.shell(&["accounts", "limit", id, "none"]).await?;
    campaign.dispatch().await?;
    letters(&ada, 4).await?;
    engine.stop().await;
    Ok(())
}

async fn nodes_never_share_a_place(database: Database) -> anyhow::Result<()> {
    const LIMIT: u64 = 25;
    let folder = tempfile::tempdir()?;
    let url = match database {
        Database::Sqlite => DatabaseUrl::sqlite_file(&folder.path().join("ampout.db")),
        Database::Postgres => DatabaseUrl::parse(&fresh_database().await?)?,
    };
    let nodes = [open(&url).await?, open(&url).await?];
    nodes[0].migrate().await?;
    let now = Timestamp::from_millis(1_795_420_800_000);
    let account = AccountId::new(now);
    let mut tx = nodes[0].begin().await?;
    accounts::insert(tx.conn(), account, None, None, now).await?;
    accounts::set_plan(tx.conn(), account, Some(LIMIT), None).await?;
    tx.commit().await?;
    let claims: Vec<_> = (0..40)
        .map(|n| {
            let node = nodes[n % 2].clone();
            tokio::spawn(async move {
                let mut tx = node.begin().await?;
                let plan = account_months::lock_plan(&mut tx, account, now.utc_month()).await?;
                let taken = plan.left().unwrap_or(0).min(2);
                let places = i64::try_from(taken)?;
                tx.make(|writes| account_months::reserve(writes, account, now.utc_month(), places)).await?;
                tx.commit().await?;
                anyhow::Ok(taken)
            })
        })
        .collect();
    let mut taken = 0;
    for claim in claims {
        taken += claim.await??;
    }
    let plan = account_months::plan(&mut *nodes[1].read().await?, account, now.utc_month()).await?;
    ensure!(taken == LIMIT && plan.current_period_sends == LIMIT && plan.is_used_up(), "{taken} were taken: {plan:?}");
    for node in nodes {
        node.close().await;
    }
    Ok(())
}

async fn open(url: &DatabaseUrl) -> anyhow::Result<Store> {
    Ok(Store::open(url, &StoreOptions::default(), Wakeups::default()).await?)
}
