//! An installation whose first start is several at once: `ampout serve &`, and at once `ampout keys create`.

use ampout_tests::{Database, Installation};
use anyhow::ensure;

super::on_both_databases!(processes_that_begin_together_make_one_database);

const ROUNDS: usize = 4;

async fn processes_that_begin_together_make_one_database(database: Database) -> anyhow::Result<()> {
    for round in 0..ROUNDS {
        let installation = Installation::on(database, &[]).await?;
        let create = || installation.run(&["keys", "create", "--account", "new", "--json"]);
        let (serving, one, two, migrated) =
            tokio::join!(installation.serve(), create(), create(), installation.run(&["migrate"]));
        let mut serving = serving?;
        for output in [one?, two?, migrated?] {
            let told = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "round {round}: {}: {told}", output.status);
        }
        let status = serving.end_by("TERM").await?;
        ensure!(status.success(), "round {round}: {status}: {}", serving.log());
    }
    Ok(())
}
