//! Deleting a campaign: only while nothing is being sent. What it has done stays in the figures of nobody; its credentials go
//! with it, and the unsubscribe links in the mail that it sent still work.

use axum::Json;
use axum::extract::State;

use crate::api::auth::MayWrite;
use crate::api::body::Ids;
use crate::api::deleted::Deleted;
use crate::api::error::{ApiError, Code, Result};
use crate::api::state::Api;
use crate::deletions::finish_soon;
use crate::domain::ids::CampaignId;
use crate::store::deletions::{self, Busy, Doomed, Marked};

pub(in crate::api) async fn delete(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<CampaignId>,
) -> Result<Json<Deleted<CampaignId>>> {
    let mut tx = api.app.store.begin().await?;
    match deletions::mark_campaign(&mut tx, caller.account, id, api.now()).await? {
        Err(Busy::Sending) => {
            Err(ApiError::unprocessable("Messages of this campaign are on their way; pause it and wait a moment."))
        }
        Err(Busy::Active) => Err(ApiError::unprocessable("The campaign is active; pause it before you delete it.")),
        Ok(Marked::NotThere) => Err(ApiError::missing(Code::CampaignNotFound)),
        Ok(Marked::Now | Marked::Before) => {
            tx.commit().await?;
            finish_soon(&api.app, Doomed::Campaign(id)).await;
            Ok(Json(Deleted::new(id)))
        }
    }
}
