//! Contacts that could be enrolled, and what speaks against each.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::domain::ids::{AccountId, CampaignId, ContactId, ContactImportId, OutreachId};
use crate::store::row::RowExt;
use crate::store::{Conn, Result};

/// A contact that could be enrolled, with what speaks against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub contact_id: ContactId,
    /// The address, for the answer.
    pub email: String,
    /// Enrolled in this campaign already.
    pub already_enrolled: bool,
    /// Unsubscribed.
    pub unsubscribed: bool,
    /// The address or its domain is suppressed.
    pub suppressed: bool,
    /// A sibling campaign of an outreach with unique contacts has it.
    pub in_sibling: bool,
}

/// Each kind of suppression is asked for by itself: of one question with OR, SQLite makes a look at all suppressions of the
/// account, for each contact.
const CANDIDATE: &str = "SELECT c.id, c.email,
       CASE WHEN EXISTS (SELECT 1 FROM enrollments e WHERE e.campaign_id = $2 AND e.contact_id = c.id)
            THEN 1 ELSE 0 END AS already_enrolled,
       CASE WHEN c.unsubscribed_at IS NULL THEN 0 ELSE 1 END AS unsubscribed,
       CASE WHEN EXISTS (SELECT 1 FROM suppressions s WHERE s.account_id = c.account_id
                           AND s.kind = 'address' AND s.value = c.email_key)
              OR EXISTS (SELECT 1 FROM suppressions s WHERE s.account_id = c.account_id
                           AND s.kind = 'domain' AND s.value = c.domain)
            THEN 1 ELSE 0 END AS suppressed,
       CASE WHEN EXISTS (SELECT 1 FROM enrollments e JOIN campaigns k ON k.id = e.campaign_id
                         WHERE e.contact_id = c.id AND k.outreach_id = $3 AND e.campaign_id <> $2)
            THEN 1 ELSE 0 END AS in_sibling
     FROM contacts c";

/// The next contacts of an import after `after`, oldest first. `unique_in` is the outreach whose other campaigns
/// must not have them.
pub async fn candidates(
    conn: &mut Conn,
    campaign: CampaignId,
    unique_in: Option<OutreachId>,
    import: ContactImportId,
    after: &str,
    limit: i64,
) -> Result<Vec<Candidate>> {
    let sql = format!(
        "{CANDIDATE} WHERE c.contact_import_id = $1 AND c.deleted_at IS NULL AND c.id > $4 ORDER BY c.id LIMIT $5"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(import.to_string())
        .bind(campaign.to_string())
        .bind(unique_in.map(|id| id.to_string()))
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(candidate_of).collect()
}

/// One contact of an account as a candidate.
pub async fn candidate(
    conn: &mut Conn,
    account: AccountId,
    campaign: CampaignId,
    unique_in: Option<OutreachId>,
    contact: ContactId,
) -> Result<Option<Candidate>> {
    let sql = format!(
        "{CANDIDATE} WHERE c.id = $1 AND c.account_id = $4 AND c.deleted_at IS NULL
           AND NOT EXISTS (SELECT 1 FROM contact_imports i WHERE i.id = c.contact_import_id AND i.deleted_at IS NOT NULL)"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(contact.to_string())
        .bind(campaign.to_string())
        .bind(unique_in.map(|id| id.to_string()))
        .bind(account.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(candidate_of).transpose()
}

fn candidate_of(row: &AnyRow) -> Result<Candidate> {
    Ok(Candidate {
        contact_id: row.id("id")?,
        email: row.text("email")?,
        already_enrolled: row.flag("already_enrolled")?,
        unsubscribed: row.flag("unsubscribed")?,
        suppressed: row.flag("suppressed")?,
        in_sibling: row.flag("in_sibling")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TestApp;

    /// Thousands of suppressions must not make enrolling slower: none of them is looked at but those of the contact.
    #[tokio::test]
    async fn a_contact_costs_the_same_however_many_suppressions_there_are() {
        let app = TestApp::start().await;
        let sql = format!("EXPLAIN QUERY PLAN {CANDIDATE} WHERE c.contact_import_id = $1");
        let query = sqlx::query(AssertSqlSafe(sql)).bind("import").bind("campaign").bind("outreach");
        let plan = query.fetch_all(&mut *app.store.read().await.unwrap()).await.unwrap();
        let steps: Vec<_> = plan.iter().map(|row| row.text("detail").unwrap()).collect();
        let looks = steps.iter().filter(|step| step.contains(" s USING"));
        assert_eq!(looks.filter(|step| step.contains("account_id=? AND kind=? AND value=?")).count(), 2, "{steps:#?}");
        assert!(!steps.iter().any(|step| step.contains("SCAN")), "{steps:#?}");
    }
}
