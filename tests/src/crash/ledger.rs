//! What the database holds, read as an operator would with SQL: after a kill what was on its way, in the end everything.

use std::path::PathBuf;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

use crate::installation::Installation;
use crate::process::new_directory;

/// PostgreSQL may still be ending what a killed node asked for.
const LAST_COMMITS: std::time::Duration = std::time::Duration::from_millis(300);

/// Where the database is.
#[derive(Debug)]
pub(super) enum Place {
    File(PathBuf),
    Server(String),
}

/// A row of the ledger.
#[derive(Debug, Clone)]
pub(super) struct SendRow {
    pub(super) id: String,
    pub(super) enrollment: String,
    pub(super) step: i64,
    pub(super) state: String,
    pub(super) credential: Option<String>,
    pub(super) has_day: bool,
    pub(super) has_month: bool,
    /// With the server's positive reply and its time.
    pub(super) is_accepted: bool,
}

/// All that is compared.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    pub(super) sends: Vec<SendRow>,
    /// Places of daily limits and of the account's months that are taken.
    pub(super) reserved: (i64, i64),
}

/// How far it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) open: i64,
    pub(super) ended: i64,
    pub(super) events: usize,
    pub(super) untold: i64,
}

impl Progress {
    pub(super) fn is_done(&self) -> bool {
        self.open == 0 && self.untold == 0 && self.ended > 0
    }
}

impl Place {
    pub(super) fn of(installation: &Installation) -> Self {
        match installation.database_url() {
            "" => Self::File(installation.data_folder().join("ampout.db")),
            url => Self::Server(url.to_owned()),
        }
    }

    /// What a node that was just killed had on its way: what the server may have without the ledger knowing.
    pub(super) async fn sending_of(&self, node: &str) -> anyhow::Result<Vec<String>> {
        let sql = format!("SELECT id FROM sends WHERE state = 'sending' AND lease_owner = '{}'", hex_and_dashes(node));
        let rows = match self {
            // A copy, since opening the file itself would repair it in the engine's stead.
            Self::File(file) => {
                let folder = new_directory("copy")?;
                for end in ["", "-wal"] {
                    let name = format!("ampout.db{end}");
                    let from = file.with_file_name(&name);
                    if from.exists() {
                        std::fs::copy(from, folder.path().join(&name))?;
                    }
                }
                Self::File(folder.path().join("ampout.db")).query(&sql).await?
            }
            Self::Server(_) => {
                tokio::time::sleep(LAST_COMMITS).await;
                self.query(&sql).await?
            }
        };
        rows.iter().map(|row| Ok(row.try_get("id")?)).collect()
    }

    /// The names of the nodes that have something on its way, dead ones among them until their leases end.
    pub(super) async fn who_is_sending(&self) -> anyhow::Result<Vec<String>> {
        let rows =
            self.query("SELECT DISTINCT lease_owner FROM sends WHERE state = 'sending' ORDER BY lease_owner").await?;
        rows.iter().map(|row| Ok(row.try_get("lease_owner")?)).collect()
    }

    pub(super) async fn progress(&self) -> anyhow::Result<Progress> {
        let sql = "SELECT (SELECT COUNT(*) FROM sends WHERE state IN ('due', 'claimed', 'sending')) AS open,
                          (SELECT COUNT(*) FROM sends WHERE state NOT IN ('due', 'claimed', 'sending')) AS ended,
                          (SELECT COUNT(*) FROM events) AS events,
                          (SELECT COUNT(*) FROM events WHERE position IS NULL) AS untold";
        let rows = self.query(sql).await?;
        let Some(row) = rows.first() else { return Ok(Progress::default()) };
        let events: i64 = row.try_get("events")?;
        Ok(Progress {
            open: row.try_get("open")?,
            ended: row.try_get("ended")?,
            events: usize::try_from(events)?,
            untold: row.try_get("untold")?,
        })
    }

    pub(super) async fn read(&self) -> anyhow::Result<Ledger> {
        let sends = self
            .query(
                "SELECT id, enrollment_id, step_position, state, smtp_credential_id,
                        CASE WHEN reserved_day IS NULL THEN 0 ELSE 1 END AS has_day,
                        CASE WHEN reserved_month IS NULL THEN 0 ELSE 1 END AS has_month,
                        CASE WHEN sent_at > 0 AND smtp_code BETWEEN 200 AND 299 THEN 1 ELSE 0 END AS is_accepted FROM sends",
            )
            .await?;
        let reserved = self
            .query(
                "SELECT (SELECT CAST(COALESCE(SUM(reserved), 0) AS BIGINT) FROM credential_days) AS of_days,
                        (SELECT CAST(COALESCE(SUM(reserved), 0) AS BIGINT) FROM account_months) AS of_months",
            )
            .await?;
        Ok(Ledger {
            sends: sends.iter().map(send_of).collect::<anyhow::Result<_>>()?,
            reserved: match reserved.first() {
                Some(row) => (row.try_get("of_days")?, row.try_get("of_months")?),
                None => (0, 0),
            },
        })
    }

    async fn query(&self, sql: &str) -> anyhow::Result<Vec<AnyRow>> {
        sqlx::any::install_default_drivers();
        let url = match self {
            Self::File(path) => format!("sqlite://{}", path.display()),
            Self::Server(url) => url.clone(),
        };
        let mut connection = AnyConnection::connect(&url).await?;
        // A copy's text is our own, and so is the node's name in it.
        let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok(rows)
    }
}

fn send_of(row: &AnyRow) -> anyhow::Result<SendRow> {
    Ok(SendRow {
        id: row.try_get("id")?,
        enrollment: row.try_get("enrollment_id")?,
        step: row.try_get("step_position")?,
        state: row.try_get("state")?,
        credential: row.try_get("smtp_credential_id")?,
        has_day: row.try_get::<i64, _>("has_day")? == 1,
        has_month: row.try_get::<i64, _>("has_month")? == 1,
        is_accepted: row.try_get::<i64, _>("is_accepted")? == 1,
    })
}

/// What an id is made of; anything else is left out of the text of a query.
fn hex_and_dashes(id: &str) -> String {
    id.chars().filter(|one| one.is_ascii_hexdigit() || *one == '-').collect()
}
