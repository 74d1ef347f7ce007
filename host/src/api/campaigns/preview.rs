//! What a contact would read: every step rendered for one contact, or for sample data.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::super::auth::MayRead;
use super::super::body::Ids;
use super::super::contacts::found as contact_found;
use super::super::error::{ApiError, Result};
use super::super::query::Parameters;
use super::super::state::Api;
use super::found;
use crate::domain::campaign::Step;
use crate::domain::ids::{CampaignId, ContactId};
use crate::domain::merge_tags::{BadTemplate, MergeValues, Template};
use crate::store::campaigns;

const SAMPLE: MergeValues<'static> =
    MergeValues { first_name: "Ada", last_name: "Lovelace", email: "ada@example.com", company: "Example Ltd" };
/// Columns of the text that is made of the HTML.
const TEXT_WIDTH: usize = 78;

#[derive(Serialize)]
pub(in super::super) struct StepRendered {
    position: u32,
    subject: String,
    body_html: String,
    body_text: String,
}

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
        Some(contact) => Some(contact_found(&mut conn, caller.account, contact).await?),
        None => None,
    };
    drop(conn);
    let values = contact.as_ref().map_or(SAMPLE, |contact| contact.merge_values());
    let rendered = steps.iter().map(|step| render(step, &values)).collect::<std::result::Result<_, BadTemplate>>();
    rendered.map(Json).map_err(ApiError::internal)
}

fn render(step: &Step, values: &MergeValues<'_>) -> std::result::Result<StepRendered, BadTemplate> {
    let body_html = Template::parse(&step.body_html)?.render_html(values);
    let body_text = match &step.body_text {
        Some(text) => Template::parse(text)?.render_text(values),
        None => html2text::from_read(body_html.as_bytes(), TEXT_WIDTH).unwrap_or_default(),
    };
    let subject = Template::parse(&step.subject)?.render_text(values);
    Ok(StepRendered { position: step.position, subject, body_html, body_text })
}
