//! Nodes are killed at random moments, and nothing is sent twice, lost, miscounted or left untold. Here the short version;
//! `tests/crash/run` makes the long one of the same.

use ampout_tests::Database;
use ampout_tests::crash::{CrashPlan, Report};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_one_node_on_sqlite() -> anyhow::Result<()> {
    check(CrashPlan::new(Database::Sqlite, 1, 6, 2_000)?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_nodes_on_postgres() -> anyhow::Result<()> {
    check(CrashPlan::new(Database::Postgres, 3, 6, 2_000)?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "of the long version"]
async fn of_one_node_on_postgres() -> anyhow::Result<()> {
    check(CrashPlan::new(Database::Postgres, 1, 6, 2_000)?).await
}

async fn check(plan: CrashPlan) -> anyhow::Result<()> {
    let report = plan.run().await?;
    println!("{}", Report::HEAD);
    println!("{report}");
    Ok(())
}
