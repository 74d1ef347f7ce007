//! Contacts and the imports that they came with.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::row::RowExt;
use super::{Conn, Dialect, Page, Result, Tx};
use crate::domain::address::{domain_of_key, key_of};
use crate::domain::contact::Contact;
use crate::domain::ids::{AccountId, CampaignId, ContactId, ContactImportId, EnrollmentId};
use crate::domain::status::EnrollmentStatus;
use crate::domain::{EmailAddress, Timestamp};

/// One import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactImport {
    /// Its id.
    pub id: ContactImportId,
    /// For people.
    pub name: String,
    /// Rows that were given.
    pub record_count: u64,
    /// Contacts that came of them.
    pub contact_count: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A contact that is about to be made.
#[derive(Debug, Clone)]
pub struct NewContact {
    /// Its id.
    pub id: ContactId,
    /// Its address.
    pub email: EmailAddress,
    /// May be unknown.
    pub first_name: Option<Box<str>>,
    /// May be unknown.
    pub last_name: Option<Box<str>>,
    /// May be unknown.
    pub company: Option<Box<str>>,
}

/// An enrollment in a contact's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrollmentOfContact {
    /// Its id.
    pub id: EnrollmentId,
    /// Where it is enrolled.
    pub campaign_id: CampaignId,
    /// How far it got.
    pub status: EnrollmentStatus,
    /// In which batch.
    pub batch_number: i64,
    /// When step 1 was accepted.
    pub sent_at: Option<Timestamp>,
}

/// Makes an import; one that is there already is kept as it is.
pub async fn insert_import(conn: &mut Conn, account: AccountId, import: &ContactImport) -> Result<()> {
    sqlx::query(
        "INSERT INTO contact_imports (id, account_id, name, record_count, contact_count, created_at)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING",
    )
    .bind(import.id.to_string())
    .bind(account.to_string())
    .bind(&import.name)
    .bind(signed(import.record_count))
    .bind(signed(import.contact_count))
    .bind(import.created_at.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds contacts to an import, which has now been read up to `records`; false when it is deleted. Doing it again changes
/// nothing.
pub async fn grow_import(
    tx: &mut Tx,
    account: AccountId,
    id: ContactImportId,
    records: u64,
    contacts: &[NewContact],
    now: Timestamp,
) -> Result<bool> {
    let found = sqlx::query(
        "UPDATE contact_imports SET record_count = CASE WHEN record_count < $2 THEN $2 ELSE record_count END
         WHERE id = $1 AND account_id = $3 AND deleted_at IS NULL",
    )
    .bind(id.to_string())
    .bind(signed(records))
    .bind(account.to_string())
    .execute(tx.conn())
    .await?;
    if found.rows_affected() == 0 {
        return Ok(false);
    }
    let made = insert_many(tx, account, id, contacts, now).await?;
    sqlx::query("UPDATE contact_imports SET contact_count = contact_count + $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(signed(made))
        .execute(tx.conn())
        .await?;
    Ok(true)
}

/// The whole list was read; gives how many contacts came of it, or none when the import is deleted.
pub async fn finish_import(conn: &mut Conn, id: ContactImportId, records: u64) -> Result<Option<u64>> {
    let row = sqlx::query(
        "UPDATE contact_imports SET record_count = $2 WHERE id = $1 AND deleted_at IS NULL RETURNING contact_count",
    )
    .bind(id.to_string())
    .bind(signed(records))
    .fetch_optional(conn)
    .await?;
    row.map(|row| row.count("contact_count")).transpose()
}

/// Makes many contacts by one statement; addresses that the account has are passed over. Gives how many were made.
pub async fn insert_many(
    tx: &mut Tx,
    account: AccountId,
    import: ContactImportId,
    contacts: &[NewContact],
    now: Timestamp,
) -> Result<u64> {
    let mut rows: Vec<_> = contacts
        .iter()
        .map(|c| {
            let (email, key, domain) = (c.email.to_string(), c.email.key(), c.email.domain());
            let (first_name, last_name) = (c.first_name.as_deref(), c.last_name.as_deref());
            (domain, key, c.id.to_string(), email, first_name, last_name, c.company.as_deref())
        })
        .collect();
    // In the order of the index that decides: its pages are visited once each, and of two transactions that insert the same
    // addresses one waits for the other, where in any other order both would. Of two with one key the first stays first.
    rows.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
    // «WHERE true» keeps SQLite from reading ON as part of a join.
    let sql = format!(
        "INSERT INTO contacts (domain, email_key, id, email, first_name, last_name, company, account_id,
                               contact_import_id, created_at)
         SELECT c0, c1, c2, c3, c4, c5, c6, $2, $3, $4 FROM {} AS given WHERE true
         ON CONFLICT (account_id, domain, email_key) DO NOTHING",
        tx.dialect().json_rows(7)
    );
    let done = sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::to_string(&rows).unwrap_or_default())
        .bind(account.to_string())
        .bind(import.to_string())
        .bind(now.as_millis())
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected())
}

/// One import of an account.
pub async fn find_import(conn: &mut Conn, account: AccountId, id: ContactImportId) -> Result<Option<ContactImport>> {
    let row = sqlx::query("SELECT * FROM contact_imports WHERE id = $1 AND account_id = $2 AND deleted_at IS NULL")
        .bind(id.to_string())
        .bind(account.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(import_of).transpose()
}

/// Keeps a contact from being taken away until the transaction ends.
pub async fn hold(tx: &mut Tx, id: ContactId) -> Result<()> {
    let sql = format!("SELECT id FROM contacts WHERE id = $1{}", tx.dialect().for_update());
    sqlx::query(AssertSqlSafe(sql)).bind(id.to_string()).fetch_optional(tx.conn()).await?;
    Ok(())
}

/// Keeps an import from being deleted until the transaction ends; false when it is.
pub async fn hold_import(tx: &mut Tx, id: ContactImportId) -> Result<bool> {
    let sql =
        format!("SELECT id FROM contact_imports WHERE id = $1 AND deleted_at IS NULL{}", tx.dialect().for_update());
    Ok(sqlx::query(AssertSqlSafe(sql)).bind(id.to_string()).fetch_optional(tx.conn()).await?.is_some())
}

/// An account's imports, newest first.
pub async fn list_imports(conn: &mut Conn, account: AccountId, page: &Page) -> Result<Vec<ContactImport>> {
    let rows = sqlx::query(
        "SELECT * FROM contact_imports WHERE account_id = $1 AND deleted_at IS NULL AND id < $2 ORDER BY id DESC LIMIT $3",
    )
    .bind(account.to_string())
    .bind(page.before())
    .bind(page.limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(import_of).collect()
}

/// The contacts of an import, newest first.
pub async fn of_import(conn: &mut Conn, import: ContactImportId, page: &Page) -> Result<Vec<Contact>> {
    let rows = sqlx::query(
        "SELECT * FROM contacts WHERE contact_import_id = $1 AND deleted_at IS NULL AND id < $2
         ORDER BY id DESC LIMIT $3",
    )
    .bind(import.to_string())
    .bind(page.before())
    .bind(page.limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(contact_of).collect()
}

const ONE_OF_AN_ACCOUNT: &str =
    "SELECT c.* FROM contacts c WHERE c.id = $1 AND c.account_id = $2 AND c.deleted_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM contact_imports i WHERE i.id = c.contact_import_id AND i.deleted_at IS NOT NULL)";

/// One contact of an account.
pub async fn find(conn: &mut Conn, account: AccountId, id: ContactId) -> Result<Option<Contact>> {
    let query = sqlx::query(ONE_OF_AN_ACCOUNT).bind(id.to_string()).bind(account.to_string());
    query.fetch_optional(conn).await?.as_ref().map(contact_of).transpose()
}

/// The same, to be changed: other changes of it wait for this transaction.
pub async fn find_for_update(tx: &mut Tx, account: AccountId, id: ContactId) -> Result<Option<Contact>> {
    let sql = format!("{ONE_OF_AN_ACCOUNT}{}", tx.dialect().for_update());
    let query = sqlx::query(AssertSqlSafe(sql)).bind(id.to_string()).bind(account.to_string());
    query.fetch_optional(tx.conn()).await?.as_ref().map(contact_of).transpose()
}

/// One contact, for the engine itself; one that is being deleted, too.
pub async fn get(conn: &mut Conn, id: ContactId) -> Result<Option<Contact>> {
    let row = sqlx::query("SELECT * FROM contacts WHERE id = $1").bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(contact_of).transpose()
}

/// An account's contact by its address (given as its key, in lower case).
pub async fn by_email(conn: &mut Conn, account: AccountId, email_key: &str) -> Result<Option<Contact>> {
    let row = sqlx::query("SELECT * FROM contacts WHERE account_id = $1 AND domain = $2 AND email_key = $3")
        .bind(account.to_string())
        .bind(domain_of_key(email_key))
        .bind(email_key)
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(contact_of).transpose()
}

/// Writes the fields that PATCH may change; false when another contact has the address.
pub async fn update(conn: &mut Conn, contact: &Contact) -> Result<bool> {
    let key = key_of(&contact.email);
    let written = sqlx::query(
        "UPDATE contacts SET email = $2, email_key = $3, domain = $4, first_name = $5, last_name = $6, company = $7
         WHERE id = $1",
    )
    .bind(contact.id.to_string())
    .bind(&contact.email)
    .bind(&key)
    .bind(domain_of_key(&key))
    .bind(contact.first_name.as_deref())
    .bind(contact.last_name.as_deref())
    .bind(contact.company.as_deref())
    .execute(conn)
    .await;
    match written {
        Err(error) if error.as_database_error().is_some_and(|e| e.is_unique_violation()) => Ok(false),
        other => other.map(|_| true).map_err(Into::into),
    }
}

/// A contact's enrollments, newest first.
pub async fn enrollments(conn: &mut Conn, contact: ContactId) -> Result<Vec<EnrollmentOfContact>> {
    let rows = sqlx::query("SELECT * FROM enrollments WHERE contact_id = $1 ORDER BY id DESC")
        .bind(contact.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(EnrollmentOfContact {
                id: row.id("id")?,
                campaign_id: row.id("campaign_id")?,
                status: row.word("status", EnrollmentStatus::parse)?,
                batch_number: row.int("batch_number")?,
                sent_at: row.opt_time("sent_at")?,
            })
        })
        .collect()
}

/// The contacts of an account at a domain whose keys come after `after`, in the order of those: each with its own.
pub async fn of_domain(
    conn: &mut Conn,
    account: AccountId,
    domain: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<(ContactId, String)>> {
    let rows = sqlx::query(
        "SELECT id, email_key FROM contacts WHERE account_id = $1 AND domain = $2 AND email_key > $3
         ORDER BY email_key LIMIT $4",
    )
    .bind(account.to_string())
    .bind(domain)
    .bind(after)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.id("id")?, row.text("email_key")?))).collect()
}

/// Where contacts are enrolled, campaign by campaign.
pub async fn enrollments_of(
    conn: &mut Conn,
    dialect: Dialect,
    contacts: &[ContactId],
) -> Result<Vec<(CampaignId, EnrollmentId)>> {
    let sql = format!(
        "SELECT campaign_id, id FROM enrollments WHERE contact_id IN (SELECT c0 FROM {} AS given) ORDER BY campaign_id, id",
        dialect.json_rows(1)
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(id_rows(contacts)).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((row.id("campaign_id")?, row.id("id")?))).collect()
}

/// Marks it unsubscribed; false when it was already.
pub async fn unsubscribe(conn: &mut Conn, account: AccountId, id: ContactId, now: Timestamp) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE contacts SET unsubscribed_at = $2 WHERE id = $1 AND account_id = $3 AND unsubscribed_at IS NULL",
    )
    .bind(id.to_string())
    .bind(now.as_millis())
    .bind(account.to_string())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Ids as the one parameter of [`Dialect::json_rows`].
pub(super) fn id_rows<T: ToString>(ids: &[T]) -> String {
    let rows: Vec<_> = ids.iter().map(|id| [id.to_string()]).collect();
    serde_json::to_string(&rows).unwrap_or_default()
}

pub(super) fn contact_of(row: &AnyRow) -> Result<Contact> {
    Ok(Contact {
        id: row.id("id")?,
        contact_import_id: row.id("contact_import_id")?,
        email: row.text("email")?,
        domain: row.text("domain")?,
        first_name: row.opt_text("first_name")?,
        last_name: row.opt_text("last_name")?,
        company: row.opt_text("company")?,
        unsubscribed_at: row.opt_time("unsubscribed_at")?,
        created_at: row.time("created_at")?,
    })
}

fn import_of(row: &AnyRow) -> Result<ContactImport> {
    Ok(ContactImport {
        id: row.id("id")?,
        name: row.text("name")?,
        record_count: row.count("record_count")?,
        contact_count: row.count("contact_count")?,
        created_at: row.time("created_at")?,
    })
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
