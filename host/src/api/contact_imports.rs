//! Imports of contacts: addresses are checked and compared inside the list and against the account.

use std::collections::HashSet;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use serde::Serialize;

use super::auth::{MayRead, MayWrite};
use super::body::{self, Ids};
use super::contacts::{LONGEST_NAME, shown as contact_shown};
use super::error::{ApiError, Code, Result};
use super::input::{Fields, read_wrapped};
use super::json::Given;
use super::query::{Listed, Parameters};
use super::state::Api;
use super::values::{email, line};
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, ContactId, ContactImportId};
use crate::store::Conn;
use crate::store::contacts::{self, ContactImport, NewContact};

/// Contacts of one transaction: each is all or nothing, and none holds others up for long.
const CHUNK: usize = 5000;

#[derive(Serialize)]
pub(super) struct Imported {
    id: ContactImportId,
    name: String,
    record_count: u64,
    /// Addresses that the list or the account has already.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct ImportShown {
    id: ContactImportId,
    name: String,
    record_count: u64,
    contact_count: u64,
    created_at: Timestamp,
}

pub(super) async fn create(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    request: Request,
) -> Result<(StatusCode, Json<Imported>)> {
    // The body is read under the permit: it is what needs the memory.
    let _permit = api.large_bodies.acquire().await.map_err(ApiError::internal)?;
    let body::Json(body) = body::Json::from_request(request, &api).await?;
    let now = api.now();
    let (name, records) = read_import(body, now)?;
    if records.is_empty() {
        return Err(ApiError::new(Code::NoContactsProvided, "The import holds no contacts."));
    }
    let record_count = count_of(records.len());
    let mut seen = HashSet::with_capacity(records.len());
    let fresh: Vec<NewContact> = records.into_iter().filter(|contact| seen.insert(contact.email.key())).collect();
    drop(seen);

    let id = ContactImportId::new(now);
    let import = ContactImport { id, name, record_count, contact_count: 0, created_at: now };
    let mut made = 0;
    for (index, chunk) in fresh.chunks(CHUNK).enumerate() {
        let mut tx = api.app.store.begin().await?;
        if index == 0 {
            contacts::insert_import(tx.conn(), caller.account, &import).await?;
        }
        let of_chunk = contacts::insert_many(&mut tx, caller.account, id, chunk, now).await?;
        contacts::grow_import(tx.conn(), id, 0, of_chunk).await?;
        tx.commit().await?;
        made += of_chunk;
    }
    let skipped = Some(record_count.saturating_sub(made)).filter(|skipped| *skipped > 0);
    Ok((StatusCode::CREATED, Json(Imported { id, name: import.name, record_count, skipped })))
}

pub(super) async fn list(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    mut parameters: Parameters,
) -> Result<Listed> {
    let asked = parameters.page();
    parameters.finish()?;
    let mut conn = api.app.store.read().await?;
    let rows = contacts::list_imports(&mut conn, caller.account, &asked.page()).await?;
    Ok(asked.answer(rows, |import| import.id, shown))
}

pub(super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<ContactImportId>,
) -> Result<Json<ImportShown>> {
    let mut conn = api.app.store.read().await?;
    found(&mut conn, caller.account, id).await.map(|import| Json(shown(import)))
}

pub(super) async fn contacts(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<ContactImportId>,
    mut parameters: Parameters,
) -> Result<Listed> {
    let asked = parameters.page();
    parameters.finish()?;
    let mut conn = api.app.store.read().await?;
    found(&mut conn, caller.account, id).await?;
    let rows = contacts::of_import(&mut conn, id, &asked.page()).await?;
    Ok(asked.answer(rows, |contact| contact.id, contact_shown))
}

pub(super) async fn found(conn: &mut Conn, account: AccountId, id: ContactImportId) -> Result<ContactImport> {
    contacts::find_import(conn, account, id).await?.ok_or_else(|| ApiError::missing(Code::ContactImportNotFound))
}

fn read_import(body: impl Into<Given>, now: Timestamp) -> Result<(String, Vec<NewContact>)> {
    read_wrapped(body, "contact_import", |fields| {
        let name = fields.required("name", line(1, 200));
        let contacts = fields.objects("contacts", |fields| new_contact(fields, now));
        Some((name?, contacts?))
    })
}

fn new_contact(fields: &mut Fields<'_>, now: Timestamp) -> Option<NewContact> {
    let email = fields.required("email", email);
    let first_name = fields.optional("first_name", line(0, LONGEST_NAME));
    let last_name = fields.optional("last_name", line(0, LONGEST_NAME));
    let company = fields.optional("company", line(0, LONGEST_NAME));
    Some(NewContact { id: ContactId::new(now), email: email?, first_name, last_name, company })
}

fn shown(import: ContactImport) -> ImportShown {
    let ContactImport { id, name, record_count, contact_count, created_at } = import;
    ImportShown { id, name, record_count, contact_count, created_at }
}

fn count_of(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
