//! `GET /events` while events are being written: many connections, transactions that end in another order than they began,
//! some of them undone, two nodes that give places. Who follows the cursor meets every event once, in order.

use std::collections::HashSet;
use std::time::Duration;

use ampout::app::App;
use ampout::clock::Clock;
use ampout::domain::event::EventType;
use ampout::domain::ids::AccountId;
use ampout::store::{Store, StoreOptions, accounts, events};
use ampout::wake::Wakeups;
use ampout_tests::{Database, Engine, eventually, text};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;

super::on_both_databases!(a_cursor_meets_every_event_once_and_in_order);

const WRITERS: usize = 8;
const TRANSACTIONS: u64 = 30;
/// Without a bell a node looks for events this often.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

async fn a_cursor_meets_every_event_once_and_in_order(database: Database) -> anyhow::Result<()> {
    let engine = Engine::on(database).start().await?;
    let another_node = App::start(engine.config(), engine.clock.clone(), &engine.base()).await?;
    let account = *accounts::list(&mut *another_node.store.read().await?).await?.first().context("no account")?;
    let mut writing = JoinSet::new();
    for writer in 0..WRITERS {
        let store = Store::open(&engine.config().database_url, &StoreOptions::default(), Wakeups::default()).await?;
        writing.spawn(write(store, engine.clock.clone(), account, writer));
    }
    let mut sequencing = JoinSet::new();
    sequencing.spawn(async move {
        loop {
            ampout::events::step(&another_node).await?;
            tokio::task::yield_now().await;
        }
        #[expect(unreachable_code, reason = "says what it fails with")]
        anyhow::Ok(())
    });

    let of_one: Vec<u64> = (0..TRANSACTIONS).filter(|n| !is_undone(*n)).flat_map(numbers).collect();
    let expected = of_one.len() * WRITERS;
    let mut seen: Vec<Value> = Vec::new();
    let reading = eventually("every event", async || {
        let page = page_after(&engine, seen.last()).await.map_err(|error| format!("{error:#}"))?;
        if page.is_empty() {
            engine.clock.advance(LOOK_AGAIN);
        }
        seen.extend(page);
        if seen.len() >= expected { Ok(()) } else { Err(format!("{} of {expected}", seen.len())) }
    });
    reading.await?;
    while let Some(ended) = writing.join_next().await {
        ended??;
    }
    seen.extend(page_after(&engine, seen.last()).await?);
    if let Some(ended) = sequencing.try_join_next() {
        ended??;
    }
    sequencing.shutdown().await;

    let ids: HashSet<&str> = seen.iter().map(|event| text(&event["id"])).collect::<Result<_, _>>()?;
    assert_eq!(ids.len(), seen.len(), "no event came twice");
    for writer in 0..WRITERS {
        let of_it = seen.iter().filter(|event| event["data"]["writer"] == writer);
        let told: Vec<u64> = of_it.filter_map(|event| event["data"]["n"].as_u64()).collect();
        assert_eq!(told, of_one, "writer {writer}");
    }
    // The stream stands: whoever begins anew reads the same.
    let mut again: Vec<Value> = Vec::new();
    loop {
        let page = page_after(&engine, again.last()).await?;
        if page.is_empty() {
            break;
        }
        again.extend(page);
    }
    ensure!(again == seen, "the stream has changed");
    engine.stop().await;
    Ok(())
}

/// Some events a transaction; their commits come in another order than their ids.
async fn write(store: Store, clock: Clock, account: AccountId, writer: usize) -> anyhow::Result<()> {
    for n in 0..TRANSACTIONS {
        let mut tx = store.begin().await?;
        for number in numbers(n) {
            let data = json!({ "writer": writer, "n": number });
            let subject = writer.to_string();
            events::insert(&mut tx, account, EventType::EnrollmentSent, &subject, &data, clock.now()).await?;
        }
        // Uneven, so that whoever began later often ends earlier.
        tokio::time::sleep(Duration::from_millis((u64::try_from(writer)? * 7 + n * 13) % 11)).await;
        if is_undone(n) { tx.rollback().await? } else { tx.commit().await? }
    }
    Ok(())
}

fn numbers(n: u64) -> std::ops::Range<u64> {
    n * 10..n * 10 + 1 + n % 5
}

fn is_undone(n: u64) -> bool {
    n % 7 == 3
}

async fn page_after(engine: &Engine, last: Option<&Value>) -> anyhow::Result<Vec<Value>> {
    let after = last.map(|event| text(&event["id"])).transpose()?.map(|id| format!("&after={id}"));
    let page = engine.api.get(&format!("/events?limit=50{}", after.unwrap_or_default())).await?;
    page.as_array().cloned().context("a page is a list")
}
