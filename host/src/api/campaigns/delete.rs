//! Deleting a campaign: only while nothing is being sent. What it has done stays in the figures of nobody; its credentials go
//! with it, and the unsubscribe links in the mail that it sent still work.

use axum::extract::State;
use axum::http::StatusCode;

use crate::api::answer::Answer;
use crate::api::auth::MayWrite;
use crate::api::body::Ids;
use crate::api::deleted::Deleted;
use crate::api::error::{ApiError, Code, Result};
use crate::api::state::Api;
use crate::deletions::finish_soon;
use crate::domain::ids::CampaignId;
use crate::store::deletions::{self, Busy, Doomed, Marked};

/// Delete a campaign
///
/// With its enrollments, steps and credentials, and only while nothing is being sent: an active campaign that has something
/// planned is paused first. Unsubscribe links in mail that it sent work for another year.
#[utoipa::path(delete, path = "/campaigns/{id}", operation_id = "delete_campaign", tag = "Campaigns",
    responses((status = OK, description = "It is deleted.", body = Deleted<CampaignId>)))]
pub(in crate::api) async fn delete(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<CampaignId>,
) -> Result<Answer> {
    let mut tx = api.app.store.begin().await?;
    match deletions::mark_campaign(&mut tx, caller.account, id, api.now()).await? {
        Err(Busy::Sending) => {
            Err(ApiError::unprocessable("Messages of this campaign are on their way; pause it and wait a moment."))
        }
        Err(Busy::Active) => Err(ApiError::unprocessable("The campaign is active; pause it before you delete it.")),
        Ok(Marked::NotThere) => Err(ApiError::missing(Code::CampaignNotFound)),
        Ok(Marked::Now | Marked::Before) => {
            let answer = caller.commit(tx, StatusCode::OK, &Deleted::new(id)).await?;
            finish_soon(&api.app, Doomed::Campaign(id)).await;
            Ok(answer)
        }
    }
}
