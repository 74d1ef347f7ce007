//! Ids: UUIDv7, one type for each thing, so that a contact's id can't be passed where a campaign's is wanted.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Timestamp;

/// The text was not a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not an id; ids are UUIDs, such as 019ab7c0-0000-7000-8000-000000000000")]
pub struct BadId {
    /// What was given.
    pub given: String,
}

macro_rules! id_types {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id that sorts by `at`, and is unguessable in its lower half.
            pub fn new(at: Timestamp) -> Self {
                Self(uuid_at(at))
            }

            /// The sixteen bytes, for keyed hashes over ids.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Uuid::parse_str(text).map(Self).map_err(|_| BadId { given: text.to_owned() })
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )+};
}

id_types! {
    /// An account: the owner of everything else.
    AccountId,
    /// An API key.
    ApiKeyId,
    /// A group of campaigns.
    OutreachId,
    /// A campaign.
    CampaignId,
    /// A step of a campaign's sequence.
    StepId,
    /// An SMTP (and perhaps IMAP) account attached to a campaign.
    CredentialId,
    /// One import of contacts.
    ContactImportId,
    /// A person to write to.
    ContactId,
    /// A contact in a campaign.
    EnrollmentId,
    /// One message of one step to one enrollment: a row of the ledger.
    SendId,
    /// One attempt to hand a send to an SMTP server.
    TransactionId,
    /// An address or domain never to be mailed.
    SuppressionId,
    /// A message that came into a watched mailbox.
    InboundMessageId,
    /// A provider's webhook address.
    InboundEndpointId,
    /// One request of a provider.
    InboundRequestId,
    /// One event read from a provider's request.
    ProviderEventId,
    /// A fact that the customer's app is told.
    EventId,
    /// A customer's webhook.
    WebhookId,
    /// One event on its way to one webhook.
    DeliveryId,
    /// A stored version of an extension.
    ExtensionId,
    /// A decision of an extension.
    DecisionId,
    /// One running process of the engine.
    NodeId,
}

fn uuid_at(at: Timestamp) -> Uuid {
    let millis = u64::try_from(at.as_millis()).unwrap_or(0);
    let stamp = uuid::Timestamp::from_unix(
        uuid::NoContext,
        millis / 1000,
        u32::try_from(millis % 1000).unwrap_or(0) * 1_000_000,
    );
    Uuid::new_v7(stamp)
}
