//! The answer to a deletion.

use serde::Serialize;

/// `{"id": …, "status": "deleted"}`.
#[derive(Serialize, utoipa::ToSchema)]
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
