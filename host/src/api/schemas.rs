//! How the engine's own types look in the OpenAPI document. `domain/` knows nothing of HTTP, so it is told here.

use serde_json::json;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use super::error::Code;
use crate::domain::Timestamp;
use crate::domain::api_key::{ClientKind, Scope};
use crate::domain::event::EventType;
use crate::domain::explain::{ExplainState, ReasonCode};
use crate::domain::forecast::{Assumption, Limit};
use crate::domain::ids;
use crate::domain::provider::Provider;
use crate::domain::status::{BounceClass, CampaignStatus, EnrollmentStatus, Hook, ResolvedAs, SendState, TlsMode};
use crate::store::facts::enrolled::SkipReason;
use crate::store::inbound::RequestState;
use crate::store::webhooks::DisabledReason;

macro_rules! text_schemas {
    ($format:expr, $example:literal: $($type:ty),+ $(,)?) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let schema = ObjectBuilder::new().schema_type(Type::String).format(Some($format));
                schema.examples([json!($example)]).into()
            }
        }
        impl ToSchema for $type {}
    )+};
}

macro_rules! word_schemas {
    ($($type:ty),+ $(,)?) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let words = <$type>::ALL.iter().map(|word| word.as_str());
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).into()
            }
        }
        impl ToSchema for $type {}
    )+};
}

text_schemas! { SchemaFormat::Custom("uuid".to_owned()), "019ab7c0-0000-7000-8000-000000000000":
    ids::AccountId, ids::ApiKeyId, ids::OutreachId, ids::CampaignId, ids::StepId, ids::CredentialId,
    ids::ContactImportId, ids::ContactId, ids::EnrollmentId, ids::SendId, ids::SuppressionId,
    ids::InboundMessageId, ids::InboundEndpointId, ids::InboundRequestId, ids::ProviderEventId, ids::EventId,
    ids::WebhookId, ids::DeliveryId, ids::ExtensionId, ids::DecisionId, ids::ResolutionId,
}

text_schemas! { SchemaFormat::KnownFormat(KnownFormat::DateTime), "2026-11-23T08:00:00Z": Timestamp }

word_schemas! {
    Code, Scope, ClientKind, CampaignStatus, EnrollmentStatus, BounceClass, TlsMode, Hook, SendState, ResolvedAs, EventType,
    DisabledReason, RequestState, SkipReason, ExplainState, ReasonCode, Limit, Assumption, Provider,
}
