//! Intents: what is held is told that it is about to leave, many at a time, unless something speaks against it in this very
//! moment.

use std::collections::HashSet;

use sqlx::AssertSqlSafe;

use super::{ClaimedSend, Obstacle};
use crate::domain::ids::{CredentialId, NodeId, SendId};
use crate::domain::status::{CampaignStatus, SendState};
use crate::store::deletions::DELETED;
use crate::store::dialect::json_of;
use crate::store::row::RowExt;
use crate::store::{Conn, Dialect, Nth, Result, Writes};

/// A send that is about to leave, as it was claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Which.
    pub send: SendId,
    /// By what it leaves.
    pub credential: CredentialId,
    /// To whom. Who has another address by now is claimed again: what came back for the old one would be charged to it.
    pub recipient: String,
}

impl Intent {
    /// That a claimed send leaves.
    pub fn of(held: &ClaimedSend) -> Self {
        Self { send: held.send.id, credential: held.credential_id, recipient: held.contact.email.clone() }
    }
}

/// Which of [`begin_sending`]'s intents stand once it is written, where not all did: what stands in the way of each, in their
/// order.
pub async fn begun(
    conn: &mut Conn,
    dialect: Dialect,
    intents: &[&Intent],
    owner: NodeId,
) -> Result<Vec<std::result::Result<(), Obstacle>>> {
    let begun = begun_of(&mut *conn, dialect, intents, owner).await?;
    let mut answers = Vec::with_capacity(intents.len());
    for intent in intents {
        answers.push(match begun.contains(&intent.send) {
            true => Ok(()),
            false => Err(obstacle(&mut *conn, intent, owner).await?),
        });
    }
    Ok(answers)
}

/// From `claimed` to `sending`, each send with the credential that it was claimed for, unless something stands in the way.
/// The leases stay as they are: `owner` extends those of all that it holds.
pub fn begin_sending(writes: &mut Writes, intents: &[&Intent], owner: NodeId) -> Option<Nth> {
    if intents.is_empty() {
        return None;
    }
    let sql = format!(
        "UPDATE sends SET state = 'sending', attempts = attempts + 1
         FROM {} AS given
         WHERE sends.id = given.c0 AND sends.state = 'claimed' AND sends.lease_owner = $2
           AND sends.smtp_credential_id = given.c1
           AND EXISTS (SELECT 1 FROM enrollments e WHERE e.id = sends.enrollment_id AND e.stopped_at IS NULL)
           AND EXISTS (SELECT 1 FROM campaigns k WHERE k.id = sends.campaign_id AND k.status = 'active')
           AND EXISTS (SELECT 1 FROM smtp_credentials x WHERE x.id = sends.smtp_credential_id
                         AND x.disabled_at IS NULL AND x.deleted_at IS NULL)
           AND EXISTS (SELECT 1 FROM contacts c WHERE c.id = sends.contact_id AND c.email = given.c2
                         AND c.unsubscribed_at IS NULL AND c.deleted_at IS NULL
                         AND NOT EXISTS (SELECT 1 FROM contact_imports i WHERE i.id = c.contact_import_id
                               AND i.deleted_at IS NOT NULL)
                         AND NOT EXISTS (SELECT 1 FROM suppressions p WHERE p.account_id = c.account_id
                               AND p.kind = 'address' AND p.value = c.email_key)
                         AND NOT EXISTS (SELECT 1 FROM suppressions p WHERE p.account_id = c.account_id
                               AND p.kind = 'domain' AND p.value = c.domain))",
        writes.dialect().json_rows(3)
    );
    Some(writes.add(sql, [rows_of(intents).into(), owner.to_string().into()]))
}

fn rows_of(intents: &[&Intent]) -> String {
    json_of(intents.iter().map(|it| (it.send.to_string(), it.credential.to_string(), &it.recipient)))
}

/// Which of them are on their way by now. One that was so before is the same intent, whose commit was answered for a failure.
async fn begun_of(conn: &mut Conn, dialect: Dialect, intents: &[&Intent], owner: NodeId) -> Result<HashSet<SendId>> {
    let sql = format!(
        "SELECT s.id FROM {} AS given JOIN sends s ON s.id = given.c0 AND s.smtp_credential_id = given.c1
         WHERE s.state = 'sending' AND s.lease_owner = $2",
        dialect.json_rows(3)
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(rows_of(intents)).bind(owner.to_string());
    let rows = query.fetch_all(conn).await?;
    rows.iter().map(|row| row.id("id")).collect()
}

async fn obstacle(conn: &mut Conn, intent: &Intent, owner: NodeId) -> Result<Obstacle> {
    let row = sqlx::query(
        "SELECT s.state, s.lease_owner, s.smtp_credential_id, e.stopped_at, e.stop_reason, k.status, c.email, c.unsubscribed_at,
                CASE WHEN c.deleted_at IS NOT NULL OR EXISTS (SELECT 1 FROM contact_imports i
                               WHERE i.id = c.contact_import_id AND i.deleted_at IS NOT NULL)
                     THEN 1 ELSE 0 END AS deleted,
                CASE WHEN x.id IS NULL OR x.disabled_at IS NOT NULL OR x.deleted_at IS NOT NULL THEN 1 ELSE 0 END AS credential_off,
                CASE WHEN EXISTS (SELECT 1 FROM suppressions p WHERE p.account_id = c.account_id
                               AND p.kind = 'address' AND p.value = c.email_key)
                       OR EXISTS (SELECT 1 FROM suppressions p WHERE p.account_id = c.account_id
                               AND p.kind = 'domain' AND p.value = c.domain)
                     THEN 1 ELSE 0 END AS suppressed
         FROM sends s JOIN enrollments e ON e.id = s.enrollment_id JOIN campaigns k ON k.id = s.campaign_id
              JOIN contacts c ON c.id = s.contact_id LEFT JOIN smtp_credentials x ON x.id = s.smtp_credential_id
         WHERE s.id = $1",
    )
    .bind(intent.send.to_string())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(Obstacle::Lost) };
    let is_held = row.text("state")? == SendState::Claimed.as_str()
        && row.opt_text("lease_owner")? == Some(owner.to_string())
        && row.opt_text("smtp_credential_id")? == Some(intent.credential.to_string());
    if !is_held {
        return Ok(Obstacle::Lost);
    }
    if row.opt_time("unsubscribed_at")?.is_some() {
        return Ok(Obstacle::Unsubscribed);
    }
    if row.opt_time("stopped_at")?.is_some() {
        return Ok(Obstacle::Stopped(row.opt_text("stop_reason")?.unwrap_or_default()));
    }
    if row.flag("deleted")? {
        return Ok(Obstacle::Stopped(DELETED.to_owned()));
    }
    if row.word("status", CampaignStatus::parse)? != CampaignStatus::Active {
        return Ok(Obstacle::CampaignNotActive);
    }
    if row.flag("credential_off")? {
        return Ok(Obstacle::CredentialOff);
    }
    if row.flag("suppressed")? {
        return Ok(Obstacle::Suppressed);
    }
    // Between the two looks a campaign may have been resumed: nothing is concluded from finding nothing else.
    let is_same = row.text("email")? == intent.recipient;
    Ok(if is_same { Obstacle::Gone } else { Obstacle::OtherAddress })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::enrollments;
    use crate::test_support::{self, TestApp};

    #[tokio::test]
    async fn whose_address_was_changed_since_is_claimed_again() {
        let app = TestApp::start().await;
        let sender = app.sender(app.account().await, None).await;
        let held = app.claimed(sender, "bob@example.com").await;
        let mut tx = app.store.begin().await.unwrap();
        let sql = "UPDATE contacts SET email = 'bo@example.org', email_key = 'bo@example.org' WHERE id = $1";
        sqlx::query(sql).bind(held.contact.id.to_string()).execute(tx.conn()).await.unwrap();
        let begun = test_support::begin_sending(&mut tx, &[&held]).await;
        assert_eq!(begun, [Err(Obstacle::OtherAddress)]);
    }

    #[tokio::test]
    async fn what_stands_in_the_way_of_one_keeps_no_other_and_an_intent_that_stands_is_not_refused() {
        let app = TestApp::start().await;
        let sender = app.sender(app.account().await, None).await;
        let mut held = Vec::new();
        for email in ["ann@example.com", "bob@example.com", "cleo@example.com"] {
            held.push(app.claimed(sender, email).await);
        }
        let mut tx = app.store.begin().await.unwrap();
        let now = app.clock.now();
        enrollments::stop(tx.conn(), held[1].send.enrollment_id, "replied", now).await.unwrap();
        let answers = test_support::begin_sending(&mut tx, &held.iter().collect::<Vec<_>>()).await;
        assert_eq!(answers, [Ok(()), Err(Obstacle::Stopped("replied".to_owned())), Ok(())]);

        // The commit was answered for a failure: its entries are written once more.
        assert_eq!(test_support::begin_sending(&mut tx, &[&held[0]]).await, [Ok(())]);
        tx.commit().await.unwrap();
        assert_eq!(app.send(held[0].send.id).await.attempts, 1);
    }
}
