//! What a contact would read: every step rendered for one contact, or for sample data.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::auth::MayRead;
use super::super::body::Ids;
use super::super::contacts::found as contact_found;
use super::super::error::{ApiError, Result};
use super::super::query::Parameters;
use super::super::state::Api;
use super::found;
use crate::dispatch::render::{CompiledStep, Rendered};
use crate::domain::EmailAddress;
use crate::domain::campaign::Step;
use crate::domain::contact::Contact;
use crate::domain::ids::{CampaignId, ContactId};
use crate::domain::merge_tags::BadTemplate;
use crate::store::campaigns;

/// A step as one contact would read it.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct StepRendered {
    position: u32,
    subject: String,
    body_html: String,
    body_text: String,
}

/// Preview a campaign
///
/// Every step for one contact, or for made-up data. A preview is no open.
#[utoipa::path(get, path = "/campaigns/{id}/preview", operation_id = "preview_campaign", tag = "Campaigns",
    params(("contact_id" = Option<ContactId>, Query, description = "For whom.")),
    responses((status = OK, description = "In the order of the steps.", body = [StepRendered])))]
pub(in super::super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<CampaignId>,
    mut parameters: Parameters,
) -> Result<Json<Vec<StepRendered>>> {
    let contact = parameters.id::<ContactId>("contact_id");
    parameters.finish()?;
    let mut conn = api.app.store.read().await?;
    let campaign = found(&mut conn, caller.account, id).await?;
    let steps = campaigns::steps(&mut conn, campaign.id).await?;
    let contact = match contact {
        Some(contact) => contact_found(&mut conn, caller.account, contact).await?,
        None => {
            let nobody = EmailAddress::parse("ada@example.com").map_err(ApiError::internal)?;
            Contact::sample(&nobody, api.now())
        }
    };
    drop(conn);
    let rendered = steps.iter().map(|step| render(step, &contact)).collect::<std::result::Result<_, BadTemplate>>();
    rendered.map(Json).map_err(ApiError::internal)
}

/// As the message is made, but for the pixel: a preview is not an open.
fn render(step: &Step, contact: &Contact) -> std::result::Result<StepRendered, BadTemplate> {
    let compiled = CompiledStep::compile(step)?;
    let Rendered { subject, html, text } = compiled.render(contact, None);
    Ok(StepRendered { position: compiled.position, subject, body_html: html, body_text: text })
}
