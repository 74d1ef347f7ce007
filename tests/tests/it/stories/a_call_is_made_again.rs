//! A client that heard nothing makes its call again, with the same `Idempotency-Key`: the server was killed somewhere
//! between the write and the answer, or fifty of the client's workers had the same idea at once. What was asked for is
//! there once.

use std::collections::BTreeSet;

use ampout_tests::{Api, Database, Engine, Installation, eventually, text};
use anyhow::{Context, ensure};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

super::on_both_databases!(a_kill_between_write_and_answer_makes_nothing_twice, fifty_at_once_make_one);

const KILLS: usize = 3;
const WORKERS: usize = 8;

async fn a_kill_between_write_and_answer_makes_nothing_twice(database: Database) -> anyhow::Result<()> {
    let url = match database {
        Database::Sqlite => String::new(),
        Database::Postgres => ampout_tests::postgres::fresh_database().await?,
    };
    let settings = [("AMPOUT_DATABASE_URL", url.as_str()), ("AMPOUT_RATE_LIMIT_PER_MINUTE", "1000000")];
    let installation = Installation::new(&settings)?;
    let output = installation.run(&["keys", "create", "--json"]).await?;
    let key: Value = serde_json::from_slice(&output.stdout)?;
    let key = text(&key["plaintext"])?;

    let mut asked: Vec<String> = Vec::new();
    for kill in 0..KILLS {
        let mut serving = installation.serve().await?;
        let api = Api::new(&serving.base(), key)?;
        let workers: Vec<_> = (0..WORKERS).map(|w| tokio::spawn(ask_until_killed(api.clone(), kill, w))).collect();
        eventually("the workers to be in the midst of it", async || {
            let made = outreaches(&api).await.map_err(|error| error.to_string())?.len();
            if made >= asked.len() + 3 * WORKERS { Ok(()) } else { Err(format!("{made} are made")) }
        })
        .await?;
        serving.end_by("KILL").await?;
        for worker in workers {
            asked.extend(worker.await?);
        }
    }

    let serving = installation.serve().await?;
    let api = Api::new(&serving.base(), key)?;
    let before = outreaches(&api).await?.len();
    for name in &asked {
        make(&api, name).await?.succeeded()?;
    }
    let made = outreaches(&api).await?;
    let names: BTreeSet<&String> = made.iter().collect();
    assert_eq!(
        (made.len(), names.len()),
        (asked.len(), asked.len()),
        "{before} were there before they were asked again"
    );
    Ok(())
}

async fn fifty_at_once_make_one(database: Database) -> anyhow::Result<()> {
    let engine = Engine::on(database).start().await?;
    let answers = join_all((0..50).map(|_| make(&engine.api, "one"))).await;
    let answers = answers.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    let first = made.first().context("nobody was served")?.text.clone();
    ensure!(made.iter().all(|answer| answer.text == first), "two answers to one call: {made:?}");
    assert_eq!(made.iter().filter(|answer| !answer.replayed).count(), 1);
    for answer in refused {
        answer.refused(409, "idempotency_in_progress")?;
    }
    assert_eq!(outreaches(&engine.api).await?, ["one"]);
    engine.stop().await;
    Ok(())
}

/// Makes one after the other until the server is gone; the names of all that were asked for, the last of which may have
/// been made or not.
async fn ask_until_killed(api: Api, kill: usize, worker: usize) -> Vec<String> {
    let mut asked = Vec::new();
    for n in 0..100_000 {
        let name = format!("{kill}-{worker}-{n}");
        let answer = make(&api, &name).await;
        asked.push(name);
        if !answer.is_ok_and(|answer| answer.status == 201) {
            break;
        }
    }
    asked
}

async fn make(api: &Api, name: &str) -> anyhow::Result<ampout_tests::ApiAnswer> {
    let body = json!({ "outreach": { "name": name } });
    api.once(name).call(Method::POST, "/outreaches", Some(body)).await
}

/// The names of all, page by page.
async fn outreaches(api: &Api) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut after = String::new();
    loop {
        let page = api.get(&format!("/outreaches?limit=1000{after}")).await?;
        let page = page.as_array().context("no list")?;
        let Some(last) = page.last() else { return Ok(names) };
        after = format!("&after={}", text(&last["id"])?);
        for outreach in page {
            names.push(text(&outreach["name"])?.to_owned());
        }
    }
}
