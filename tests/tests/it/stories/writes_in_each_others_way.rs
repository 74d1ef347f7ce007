//! Two writes that each hold what the other needs: PostgreSQL undoes one of them, and it is made again. Nobody notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ampout::config::Config;
use ampout::store::{Result, Store, StoreOptions, meta};
use ampout::wake::Wakeups;
use ampout_tests::postgres::fresh_database;
use tokio::sync::Barrier;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_nobodys_failure() -> anyhow::Result<()> {
    let url = Config::from_settings(&[("database_url", fresh_database().await?)])?.database_url;
    let store = Store::open(&url, &StoreOptions::default(), Wakeups::default()).await?;
    store.migrate().await?;
    let mut tx = store.begin().await?;
    for name in ["one", "two"] {
        meta::set(tx.conn(), name, "").await?;
    }
    tx.commit().await?;

    let both_hold_one = Arc::new(Barrier::new(2));
    let tries = Arc::new(AtomicUsize::new(0));
    let (there, back) = tokio::join!(
        write(&store, ["one", "two"], &both_hold_one, &tries),
        write(&store, ["two", "one"], &both_hold_one, &tries),
    );
    there?;
    back?;
    assert_eq!(tries.load(Ordering::SeqCst), 3, "one of the two was made twice");
    store.close().await;
    Ok(())
}

async fn write(store: &Store, order: [&'static str; 2], both: &Arc<Barrier>, tries: &Arc<AtomicUsize>) -> Result<()> {
    let (both, tries) = (Arc::clone(both), Arc::clone(tries));
    store
        .write(move |tx| {
            let (both, tries) = (Arc::clone(&both), Arc::clone(&tries));
            Box::pin(async move {
                let nth = tries.fetch_add(1, Ordering::SeqCst);
                meta::set(tx.conn(), order[0], "held").await?;
                if nth < 2 {
                    both.wait().await;
                }
                meta::set(tx.conn(), order[1], "held").await
            })
        })
        .await
}
