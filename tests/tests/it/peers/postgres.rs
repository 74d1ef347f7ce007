//! One cluster, a database for each test.

use std::collections::HashSet;

use ampout_tests::postgres::fresh_database;
use sqlx::{Connection, PgConnection};

#[tokio::test]
async fn databases_are_empty_and_apart() -> anyhow::Result<()> {
    let (one, two) = (fresh_database().await?, fresh_database().await?);
    let mut first = PgConnection::connect(&one).await?;
    sqlx::query("CREATE TABLE kept (id bigint)").execute(&mut first).await?;
    let mut second = PgConnection::connect(&two).await?;
    assert!(sqlx::query("SELECT id FROM kept").execute(&mut second).await.is_err());
    Ok(())
}

#[tokio::test]
async fn many_tests_may_ask_at_once() -> anyhow::Result<()> {
    let asked = futures_util::future::join_all((0..8).map(|_| fresh_database())).await;
    let urls = asked.into_iter().collect::<anyhow::Result<HashSet<_>>>()?;
    assert_eq!(urls.len(), 8);
    Ok(())
}
