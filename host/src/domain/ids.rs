//! Ids: UUIDv7, one type for each thing, so that a contact's id can't be passed where a campaign's is wanted.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

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
            /// A new id that sorts by `at`, and among those of the same millisecond in the order in which this process
            /// made them.
            pub fn new(at: Timestamp) -> Self {
                Self(uuid_at(at, ISSUED.fetch_add(1, Ordering::Relaxed), rand::random()))
            }

            /// The id of nothing that is stored: what the links of a test message are about.
            pub const NOBODY: Self = Self(Uuid::nil());

            /// An id below all that are made at `at` or later: where a sweep of what is older ends.
            pub fn first_of(at: Timestamp) -> Self {
                Self(uuid_at(at, 0, 0))
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
    /// A doubt that was settled.
    ResolutionId,
    /// One running process of the engine.
    NodeId,
}

/// How many ids this process has made, around and around.
static ISSUED: AtomicU32 = AtomicU32::new(0);

/// RFC 9562 §5.7 with a counter of 32 bits behind the time (§6.2, method 1): a transaction makes several events of one
/// subject within a millisecond, and they are told in the order of their ids. 42 random bits are left, which keep nodes
/// apart; no id is a secret.
fn uuid_at(at: Timestamp, issued: u32, random: u64) -> Uuid {
    let millis = u128::try_from(at.as_millis()).unwrap_or(0) & 0xFFFF_FFFF_FFFF;
    let (upper, lower) = (u128::from(issued >> 20), u128::from(issued & 0xF_FFFF));
    let random = u128::from(random) & 0x3FF_FFFF_FFFF;
    Uuid::from_u128((millis << 80) | (0x7 << 76) | (upper << 64) | (0b10 << 62) | (lower << 42) | random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_their_time_and_then_by_their_making() {
        let at = Timestamp::from_millis(1_700_000_000_000);
        let ids: Vec<_> = (0..1000).map(|_| EventId::new(at)).collect();
        assert!(ids.iter().map(ToString::to_string).is_sorted());
        assert!(
            EventId::first_of(at) < ids[0] && ids[999] < EventId::first_of(Timestamp::from_millis(1_700_000_000_001))
        );
        let id = Uuid::parse_str(&ids[0].to_string()).unwrap();
        assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
    }
}
