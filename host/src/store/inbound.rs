//! Providers' webhooks: endpoints, the requests as they came, and the events that were read from them.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::row::RowExt;
use super::{Conn, Page, Result, Tx};
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, EnrollmentId, InboundEndpointId, InboundRequestId, ProviderEventId, SendId};
use crate::domain::status::words;

/// What the signing secret of a row is sealed for.
pub const SIGNING_SECRET: &str = "inbound_endpoints.signing_secret";

words! {
    /// What became of a provider's request.
    pub RequestState {
        /// Nobody has read it yet.
        Stored = "stored",
        /// Its events are facts.
        Applied = "applied",
        /// The adapter does not believe its signature.
        Unauthorized = "unauthorized",
        /// The adapter can't read it.
        Malformed = "malformed",
        /// It is read again later.
        Retry = "retry",
        /// It was to be read again too often.
        Failed = "failed",
    }
}

/// What the settings of a row are sealed for.
pub const SETTINGS: &str = "inbound_endpoints.settings";

/// A provider's webhook address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundEndpoint {
    /// Its id.
    pub id: InboundEndpointId,
    /// Its owner.
    pub account_id: AccountId,
    /// The name of the adapter.
    pub provider: String,
    /// The unguessable part of its address.
    pub token: String,
    /// Sealed.
    pub signing_secret: Option<String>,
    /// Sealed: a JSON object of what else its adapter needs.
    pub settings: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// One request of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundRequest {
    /// Its id.
    pub id: InboundRequestId,
    /// Its owner.
    pub account_id: AccountId,
    /// Which endpoint took it.
    pub endpoint_id: InboundEndpointId,
    /// `POST`, mostly.
    pub method: String,
    /// With the token: never shown.
    pub path: String,
    /// Without the question mark.
    pub query: String,
    /// In order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The raw bytes.
    pub body: Vec<u8>,
    /// How often it was read.
    pub attempts: u32,
    /// How often an adapter failed at it, or put it off.
    pub failures: u32,
    /// When it came.
    pub received_at: Timestamp,
}

/// An event of a provider, matched or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderEvent {
    /// Its id.
    pub id: ProviderEventId,
    /// Its owner.
    pub account_id: AccountId,
    /// The request that told it.
    pub request_id: InboundRequestId,
    /// The adapter's name.
    pub provider: String,
    /// Events with the same key are one.
    pub dedupe_key: String,
    /// The kind's word.
    pub kind: String,
    /// The address.
    pub recipient: Option<String>,
    /// The send that it is about.
    pub send_id: Option<SendId>,
    /// The enrollment that it is about.
    pub enrollment_id: Option<EnrollmentId>,
    /// How that was found.
    pub matched_by: Option<String>,
    /// The provider's id of the message.
    pub provider_message_id: Option<String>,
    /// The server's reply.
    pub smtp_code: Option<u16>,
    /// The enhanced code.
    pub smtp_status: Option<String>,
    /// For people.
    pub reason: Option<String>,
    /// The provider's time of it.
    pub occurred_at: Option<Timestamp>,
    /// When it was taken in.
    pub at: Timestamp,
}

/// Writes an endpoint's secrets.
pub async fn update_endpoint(conn: &mut Conn, endpoint: &InboundEndpoint) -> Result<()> {
    sqlx::query("UPDATE inbound_endpoints SET signing_secret = $2, settings = $3 WHERE id = $1")
        .bind(endpoint.id.to_string())
        .bind(endpoint.signing_secret.as_deref())
        .bind(endpoint.settings.as_deref())
        .execute(conn)
        .await?;
    Ok(())
}

/// Makes an endpoint.
pub async fn insert_endpoint(conn: &mut Conn, endpoint: &InboundEndpoint) -> Result<()> {
    sqlx::query(
        "INSERT INTO inbound_endpoints (id, account_id, provider, token, signing_secret, settings, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(endpoint.id.to_string())
    .bind(endpoint.account_id.to_string())
    .bind(&endpoint.provider)
    .bind(&endpoint.token)
    .bind(endpoint.signing_secret.as_deref())
    .bind(endpoint.settings.as_deref())
    .bind(endpoint.created_at.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// An account's endpoints, newest first.
pub async fn list_endpoints(conn: &mut Conn, account: AccountId, page: &Page) -> Result<Vec<InboundEndpoint>> {
    let rows =
        sqlx::query("SELECT * FROM inbound_endpoints WHERE account_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3")
            .bind(account.to_string())
            .bind(page.before())
            .bind(page.limit)
            .fetch_all(conn)
            .await?;
    rows.iter().map(endpoint_of).collect()
}

/// The endpoint of a called address.
pub async fn endpoint_by_token(conn: &mut Conn, provider: &str, token: &str) -> Result<Option<InboundEndpoint>> {
    let row = sqlx::query("SELECT * FROM inbound_endpoints WHERE token = $1 AND provider = $2")
        .bind(token)
        .bind(provider)
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(endpoint_of).transpose()
}

/// An endpoint by its id, for requests that are read again.
pub async fn get_endpoint(conn: &mut Conn, id: InboundEndpointId) -> Result<Option<InboundEndpoint>> {
    let row =
        sqlx::query("SELECT * FROM inbound_endpoints WHERE id = $1").bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(endpoint_of).transpose()
}

/// The same, to be changed: other changes of it wait for this transaction.
pub async fn get_endpoint_for_update(tx: &mut Tx, id: InboundEndpointId) -> Result<Option<InboundEndpoint>> {
    let sql = format!("SELECT * FROM inbound_endpoints WHERE id = $1{}", tx.dialect().for_update());
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id.to_string()).fetch_optional(tx.conn()).await?;
    row.as_ref().map(endpoint_of).transpose()
}

/// Deletes an endpoint; false when the account has no such one.
pub async fn delete_endpoint(conn: &mut Conn, account: AccountId, id: InboundEndpointId) -> Result<bool> {
    let done = sqlx::query("DELETE FROM inbound_endpoints WHERE id = $1 AND account_id = $2")
        .bind(id.to_string())
        .bind(account.to_string())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// How many endpoints an account has.
pub async fn count_endpoints(conn: &mut Conn, account: AccountId) -> Result<u64> {
    let row = sqlx::query("SELECT COUNT(*) AS made FROM inbound_endpoints WHERE account_id = $1")
        .bind(account.to_string())
        .fetch_one(conn)
        .await?;
    row.count("made")
}

/// Takes requests that have to be read (again) by `now`; they are due again at `next` unless [`inbound_many::finish_requests`](super::inbound_many::finish_requests) says
/// otherwise before. Two nodes never take the same.
pub async fn take_to_retry(tx: &mut Tx, now: Timestamp, next: Timestamp, limit: i64) -> Result<Vec<InboundRequest>> {
    let sql = format!(
        "UPDATE inbound_requests SET next_try_at = $2 WHERE id IN
            (SELECT id FROM inbound_requests WHERE next_try_at <= $1 ORDER BY next_try_at LIMIT $3{})
         RETURNING *",
        tx.dialect().skip_locked()
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(now.as_millis())
        .bind(next.as_millis())
        .bind(limit)
        .fetch_all(tx.conn())
        .await?;
    rows.iter().map(request_of).collect()
}

/// A provider's requests that were read, the newest first, from `since` on and before `before`; of one account or of all.
pub async fn newest(
    conn: &mut Conn,
    account: Option<AccountId>,
    provider: &str,
    since: Timestamp,
    before: Option<InboundRequestId>,
    limit: i64,
) -> Result<Vec<InboundRequest>> {
    let rows = sqlx::query(
        "SELECT r.* FROM inbound_requests r JOIN inbound_endpoints e ON e.id = r.endpoint_id
         WHERE r.id >= $1 AND ($2 = '' OR r.id < $2) AND ($3 = '' OR r.account_id = $3) AND e.provider = $4
           AND r.state <> 'stored'
         ORDER BY r.id DESC LIMIT $5",
    )
    .bind(InboundRequestId::first_of(since).to_string())
    .bind(before.map(|id| id.to_string()).unwrap_or_default())
    .bind(account.map(|id| id.to_string()).unwrap_or_default())
    .bind(provider)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(request_of).collect()
}

/// When the next request has to be read.
pub async fn next_retry(conn: &mut Conn) -> Result<Option<Timestamp>> {
    let row = sqlx::query("SELECT MIN(next_try_at) AS next FROM inbound_requests WHERE next_try_at IS NOT NULL")
        .fetch_one(conn)
        .await?;
    row.opt_time("next")
}

/// Forgets requests from before `older_than` that are not to be read again; their events stay. Gives how many, at most
/// `limit`.
pub async fn sweep_requests(conn: &mut Conn, older_than: Timestamp, limit: i64) -> Result<u64> {
    let done = sqlx::query(
        "DELETE FROM inbound_requests WHERE id IN
            (SELECT id FROM inbound_requests WHERE id < $1 AND next_try_at IS NULL ORDER BY id LIMIT $2)",
    )
    .bind(InboundRequestId::first_of(older_than).to_string())
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// The events about an enrollment, oldest first.
pub async fn of_enrollment(conn: &mut Conn, enrollment: EnrollmentId) -> Result<Vec<ProviderEvent>> {
    let rows = sqlx::query("SELECT * FROM provider_events WHERE enrollment_id = $1 ORDER BY id LIMIT 1000")
        .bind(enrollment.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(event_of).collect()
}

fn endpoint_of(row: &AnyRow) -> Result<InboundEndpoint> {
    Ok(InboundEndpoint {
        id: row.id("id")?,
        account_id: row.id("account_id")?,
        provider: row.text("provider")?,
        token: row.text("token")?,
        signing_secret: row.opt_text("signing_secret")?,
        settings: row.opt_text("settings")?,
        created_at: row.time("created_at")?,
    })
}

fn request_of(row: &AnyRow) -> Result<InboundRequest> {
    Ok(InboundRequest {
        id: row.id("id")?,
        account_id: row.id("account_id")?,
        endpoint_id: row.id("endpoint_id")?,
        method: row.text("method")?,
        path: row.text("path")?,
        query: row.text("query")?,
        headers: row.json("headers")?,
        body: row.bytes("body")?,
        attempts: row.small("attempts")?,
        failures: row.small("failures")?,
        received_at: row.time("received_at")?,
    })
}

fn event_of(row: &AnyRow) -> Result<ProviderEvent> {
    Ok(ProviderEvent {
        id: row.id("id")?,
        account_id: row.id("account_id")?,
        request_id: row.id("request_id")?,
        provider: row.text("provider")?,
        dedupe_key: row.text("dedupe_key")?,
        kind: row.text("kind")?,
        recipient: row.opt_text("recipient")?,
        send_id: row.opt_id("send_id")?,
        enrollment_id: row.opt_id("enrollment_id")?,
        matched_by: row.opt_text("matched_by")?,
        provider_message_id: row.opt_text("provider_message_id")?,
        smtp_code: row.opt_int("smtp_code")?.and_then(|code| u16::try_from(code).ok()),
        smtp_status: row.opt_text("smtp_status")?,
        reason: row.opt_text("reason")?,
        occurred_at: row.opt_time("occurred_at")?,
        at: row.time("at")?,
    })
}
