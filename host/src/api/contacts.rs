//! One contact: who it is, and where it is enrolled.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::auth::{MayRead, MayWrite};
use super::body::{self, Ids};
use super::deleted::Deleted;
use super::error::{ApiError, Code, Result};
use super::input::read_wrapped;
use super::state::Api;
use super::values::{email, line};
use crate::deletions::finish_soon;
use crate::domain::contact::Contact;
use crate::domain::ids::{AccountId, CampaignId, ContactId, ContactImportId, EnrollmentId};
use crate::domain::status::EnrollmentStatus;
use crate::domain::{EmailAddress, Timestamp};
use crate::store::contacts::{self, EnrollmentOfContact};
use crate::store::deletions::{self, Doomed, Marked};
use crate::store::{Conn, suppressions};

/// The longest name or company.
pub(super) const LONGEST_NAME: usize = 200;

#[derive(Serialize)]
pub(super) struct ContactShown {
    id: ContactId,
    contact_import_id: ContactImportId,
    email: String,
    first_name: Option<String>,
    last_name: Option<String>,
    company: Option<String>,
    unsubscribed_at: Option<Timestamp>,
    created_at: Timestamp,
}

#[derive(Serialize)]
pub(super) struct ContactInFull {
    #[serde(flatten)]
    contact: ContactShown,
    enrollments: Vec<EnrollmentOfIt>,
}

#[derive(Serialize)]
struct EnrollmentOfIt {
    id: EnrollmentId,
    campaign_id: CampaignId,
    status: EnrollmentStatus,
    batch_number: i64,
    sent_at: Option<Timestamp>,
}

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

pub(super) async fn update(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<ContactId>,
    body::Json(body): body::Json,
) -> Result<Json<ContactShown>> {
    let mut tx = api.app.store.begin().await?;
    let mut contact = found(tx.conn(), caller.account, id).await?;
    let mut address: Option<EmailAddress> = None;
    read_wrapped(body, "contact", |fields| {
        if fields.is_null("email") {
            fields.note("email", "can't be null; leave it out to keep it");
        }
        address = fields.optional("email", email);
        fields.change_or_clear("first_name", &mut contact.first_name, line(0, LONGEST_NAME));
        fields.change_or_clear("last_name", &mut contact.last_name, line(0, LONGEST_NAME));
        fields.change_or_clear("company", &mut contact.company, line(0, LONGEST_NAME));
        Some(())
    })?;
    let before = EmailAddress::parse(&contact.email).map_err(ApiError::internal)?;
    let address = address.unwrap_or_else(|| before.clone());
    if contact.unsubscribed_at.is_some() && address.key() != before.key() {
        // Whoever reads mail at the old address does not want more, whosever contact it is next.
        suppressions::add_address(tx.conn(), caller.account, &before.key(), "unsubscribed", api.now()).await?;
    }
    if !contacts::update(tx.conn(), &contact, &address).await? {
        return Err(ApiError::invalid_field("contact.email", "is the address of another contact"));
    }
    tx.commit().await?;
    Ok(Json(shown(Contact { email: address.to_string(), ..contact })))
}

/// Takes its enrollments. Who had unsubscribed stays so: the address is suppressed.
pub(super) async fn delete(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<ContactId>,
) -> Result<Json<Deleted<ContactId>>> {
    let mut tx = api.app.store.begin().await?;
    if deletions::mark_contact(&mut tx, caller.account, id, api.now()).await? == Marked::NotThere {
        return Err(ApiError::missing(Code::ContactNotFound));
    }
    tx.commit().await?;
    finish_soon(&api.app, Doomed::Contact(id)).await;
    Ok(Json(Deleted::new(id)))
}

pub(super) async fn found(conn: &mut Conn, account: AccountId, id: ContactId) -> Result<Contact> {
    contacts::find(conn, account, id).await?.ok_or_else(|| ApiError::missing(Code::ContactNotFound))
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
