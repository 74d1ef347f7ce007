//! One contact: who it is, and where it is enrolled.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::Answer;
use super::auth::{MayRead, MayWrite};
use super::body::{self, Ids};
use super::deleted::Deleted;
use super::error::{ApiError, Code, Result};
use super::input::{Reading, read_wrapped};
use super::state::Api;
use super::values::{email, line};
use crate::deletions::finish_soon;
use crate::domain::address::key_of;
use crate::domain::contact::Contact;
use crate::domain::ids::{AccountId, CampaignId, ContactId, ContactImportId, EnrollmentId};
use crate::domain::status::EnrollmentStatus;
use crate::domain::{EmailAddress, Timestamp};
use crate::store::contacts::{self, EnrollmentOfContact};
use crate::store::deletions::{self, Doomed, Marked};
use crate::store::{Conn, former_addresses, suppressions};

/// The longest name or company.
pub(super) const LONGEST_NAME: usize = 200;

/// A person to write to.
#[derive(Serialize, ToSchema)]
pub(super) struct ContactShown {
    id: ContactId,
    contact_import_id: ContactImportId,
    /// The domain in lower-case ASCII.
    email: String,
    first_name: Option<String>,
    last_name: Option<String>,
    company: Option<String>,
    /// Never mailed again since then.
    unsubscribed_at: Option<Timestamp>,
    created_at: Timestamp,
}

/// A person with what he is enrolled in, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct ContactInFull {
    #[serde(flatten)]
    contact: ContactShown,
    enrollments: Vec<EnrollmentOfIt>,
}

/// Where a contact is enrolled.
#[derive(Serialize, ToSchema)]
struct EnrollmentOfIt {
    id: EnrollmentId,
    campaign_id: CampaignId,
    status: EnrollmentStatus,
    batch_number: i64,
    sent_at: Option<Timestamp>,
}

/// What to change.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `update` reads it")]
struct ContactChange {
    contact: ContactChanges,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `update` reads it")]
struct ContactChanges {
    /// Not that of another contact. The old address of somebody who unsubscribed is suppressed; a bounce of mail that went to
    /// the old one suppresses that one.
    #[schema(nullable = false)]
    email: Option<String>,
    /// Trimmed; null where nothing is left of it, as the others are.
    #[schema(max_length = 200)]
    first_name: Option<String>,
    #[schema(max_length = 200)]
    last_name: Option<String>,
    #[schema(max_length = 200)]
    company: Option<String>,
}

/// Show a contact
#[utoipa::path(get, path = "/contacts/{id}", operation_id = "show_contact", tag = "Contacts",
    responses((status = OK, description = "With its enrollments.", body = ContactInFull)))]
pub(super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<ContactId>,
) -> Result<Json<ContactInFull>> {
    let mut conn = api.app.store.read().await?;
    let contact = found(&mut conn, caller.account, id).await?;
    let enrollments = contacts::enrollments(&mut conn, id).await?.into_iter().map(enrollment).collect();
    Ok(Json(ContactInFull { contact: shown(contact), enrollments }))
}

/// Change a contact
#[utoipa::path(patch, path = "/contacts/{id}", operation_id = "update_contact", tag = "Contacts",
    request_body = ContactChange, responses((status = OK, description = "As it is now.", body = ContactShown)))]
pub(super) async fn update(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<ContactId>,
    body::Json(body): body::Json,
) -> Result<Answer> {
    let mut tx = api.app.store.begin().await?;
    let contact = contacts::find_for_update(&mut tx, caller.account, id).await?;
    let mut contact = contact.ok_or_else(missing)?;
    let mut address: Option<EmailAddress> = None;
    read_wrapped(body, "contact", |fields| {
        if fields.is_null("email") {
            fields.note("email", "can't be null; leave it out to keep it");
        }
        address = fields.optional("email", email);
        fields.change_or_clear("first_name", &mut contact.first_name, name);
        fields.change_or_clear("last_name", &mut contact.last_name, name);
        fields.change_or_clear("company", &mut contact.company, name);
        Some(())
    })?;
    let before = key_of(&contact.email);
    if let Some(address) = &address {
        contact.email = address.to_string();
    }
    if address.is_some_and(|address| address.key() != before) {
        former_addresses::give_up(tx.conn(), id, &before, api.now()).await?;
        if contact.unsubscribed_at.is_some() {
            // Whoever reads mail at the old address does not want more, whosever contact it is next.
            suppressions::add_address(tx.conn(), caller.account, &before, "unsubscribed", api.now()).await?;
        }
    }
    if !contacts::update(tx.conn(), &contact).await? {
        return Err(ApiError::invalid_field("contact.email", "is the address of another contact"));
    }
    caller.commit(tx, StatusCode::OK, &shown(contact)).await
}

/// Delete a contact
///
/// With its enrollments; nothing that is planned for it leaves any more. If it had unsubscribed, its address stays suppressed,
/// and the unsubscribe links in mail that it got work for another year.
#[utoipa::path(delete, path = "/contacts/{id}", operation_id = "delete_contact", tag = "Contacts",
    responses((status = OK, description = "It is deleted.", body = Deleted<ContactId>)))]
pub(super) async fn delete(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<ContactId>,
) -> Result<Answer> {
    let mut tx = api.app.store.begin().await?;
    if deletions::mark_contact(&mut tx, caller.account, id, api.now()).await? == Marked::NotThere {
        return Err(ApiError::missing(Code::ContactNotFound));
    }
    let answer = caller.commit(tx, StatusCode::OK, &Deleted::new(id)).await?;
    finish_soon(&api.app, Doomed::Contact(id)).await;
    Ok(answer)
}

pub(super) async fn found(conn: &mut Conn, account: AccountId, id: ContactId) -> Result<Contact> {
    contacts::find(conn, account, id).await?.ok_or_else(missing)
}

/// A name or company as it is kept, whichever way it comes: trimmed, and absent where it is empty.
pub(super) fn name(value: &Value) -> Reading<Option<String>> {
    let given = line(0, LONGEST_NAME)(value)?;
    let name = given.trim();
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

fn missing() -> ApiError {
    ApiError::missing(Code::ContactNotFound)
}

pub(super) fn shown(contact: Contact) -> ContactShown {
    let Contact { id, contact_import_id, email, first_name, last_name, company, unsubscribed_at, created_at, .. } =
        contact;
    ContactShown { id, contact_import_id, email, first_name, last_name, company, unsubscribed_at, created_at }
}

fn enrollment(row: EnrollmentOfContact) -> EnrollmentOfIt {
    let EnrollmentOfContact { id, campaign_id, status, batch_number, sent_at } = row;
    EnrollmentOfIt { id, campaign_id, status, batch_number, sent_at }
}
