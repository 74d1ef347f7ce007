//! First-step sends of credentials by UTC day: reserved in the transaction of the claim, given back when no SMTP transaction
//! came of it.

use std::collections::{BTreeMap, HashMap};

use super::dialect::json_of;
use super::row::RowExt;
use super::{Answers, Conn, Nth, Reads, Result, Tx, Writes};
use crate::domain::ids::{CampaignId, CredentialId};

/// How many sends of a day were made or are reserved.
pub async fn reserved(conn: &mut Conn, id: CredentialId, utc_day: i64) -> Result<u64> {
    let row = sqlx::query("SELECT reserved FROM credential_days WHERE credential_id = $1 AND utc_day = $2")
        .bind(id.to_string())
        .bind(utc_day)
        .fetch_optional(conn)
        .await?;
    row.map_or(Ok(0), |row| row.count("reserved"))
}

/// Asks the same of a campaign's credentials; [`reserved_of`] reads the answer.
pub fn ask_reserved(reads: &mut Reads, campaign: CampaignId, utc_day: i64) -> Nth {
    let sql = "SELECT d.credential_id, d.reserved FROM smtp_credentials x
               JOIN credential_days d ON d.credential_id = x.id AND d.utc_day = $2
               WHERE x.campaign_id = $1 AND x.deleted_at IS NULL";
    reads.add(sql, [campaign.to_string().into(), utc_day.into()])
}

/// What [`ask_reserved`] asked for; a credential that has sent nothing that day is not among them.
pub fn reserved_of(answers: &Answers, asked: Nth) -> Result<HashMap<CredentialId, u64>> {
    answers.rows(asked).iter().map(|row| Ok((row.id("credential_id")?, row.count("reserved")?))).collect()
}

/// Takes `count` places of a day's limit; negative gives them back.
pub async fn reserve(tx: &mut Tx, id: CredentialId, utc_day: i64, count: i64) -> Result<()> {
    tx.make(|writes| reserve_many(writes, &BTreeMap::from([(id, count)]), utc_day)).await
}

/// Takes so many places of a day's limit of each.
pub fn reserve_many(writes: &mut Writes, counts: &BTreeMap<CredentialId, i64>, utc_day: i64) {
    let sql = format!(
        "INSERT INTO credential_days (credential_id, utc_day, reserved)
         SELECT c0, $2, CAST(c1 AS BIGINT) FROM {} AS given WHERE true
         ON CONFLICT (credential_id, utc_day) DO UPDATE SET reserved = credential_days.reserved + excluded.reserved",
        writes.dialect().json_rows(2)
    );
    let given = json_of(counts.iter().map(|(id, count)| (id.to_string(), count.to_string())));
    writes.add(sql, [given.into(), utc_day.into()]);
}
