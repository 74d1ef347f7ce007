//! The answer to a deletion.

use serde::Serialize;
use utoipa::ToSchema;

/// `{"id": …, "status": "deleted"}`.
#[derive(Serialize, ToSchema)]
pub(super) struct Deleted<T> {
    id: T,
    /// `deleted`
    status: &'static str,
}

impl<T> Deleted<T> {
    pub(super) fn new(id: T) -> Self {
        Self { id, status: "deleted" }
    }
}
