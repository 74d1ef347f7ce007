//! The database stands still, comes back, and ends: `GET /status`, which a load balancer asks, says so in time.

use std::time::Duration;

use ampout_tests::postgres::Cluster;
use ampout_tests::{Api, Installation, eventually};
use anyhow::ensure;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

/// The engine waits three seconds for its database; the rest is a busy machine's.
const IN_TIME: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_tells_in_time_that_the_database_does_not_answer() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let installation = Installation::new(&[("AMPOUT_DATABASE_URL", &cluster.first_database())])?;
    let serving = installation.serve().await?;
    let api = Api::new(&serving.base(), "")?;
    assert_eq!(status(&api).await?, (200, json!("ok"), json!({ "due": 0, "in_doubt": 0 })));
    for _ in 0..2 {
        cluster.signal("STOP")?;
        assert_eq!(status(&api).await?, (503, json!("unavailable"), Value::Null));
        cluster.signal("CONT")?;
        eventually("the database to be back", async || match status(&api).await {
            Ok((200, ..)) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await?;
    }
    cluster.signal("QUIT")?;
    for _ in 0..3 {
        assert_eq!(status(&api).await?.0, 503);
    }
    ensure!(serving.log().contains("The database does not answer"), "{}", serving.log());
    Ok(())
}

/// The status, what it says of the database, and the queue.
async fn status(api: &Api) -> anyhow::Result<(u16, Value, Value)> {
    let answer = timeout(IN_TIME, api.call(Method::GET, "/status", None)).await??;
    Ok((answer.status.as_u16(), answer.body["database"].clone(), answer.body["queue"].clone()))
}
