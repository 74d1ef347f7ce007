//! Credentials: the SMTP (and perhaps IMAP) accounts that a campaign sends through.

use super::ids::{AccountId, CampaignId, CredentialId};
use super::message_id;
use super::provider::Provider;
use super::status::TlsMode;
use super::time::Timestamp;

/// A credential as it is stored: its passwords are sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its id.
    pub id: CredentialId,
    /// Its owner.
    pub account_id: AccountId,
    /// The campaign that it is attached to.
    pub campaign_id: CampaignId,
    /// For people.
    pub label: Option<String>,
    /// Where it sends.
    pub smtp: Endpoint,
    /// Whose server that is, where a person said so.
    pub provider: Option<Provider>,
    /// Where its answers arrive; reply detection is on when it is there.
    pub imap: Option<Endpoint>,
    /// The name in From.
    pub from_name: String,
    /// The address in From and in the envelope.
    pub from_email: String,
    /// The domain of its Message-IDs, where `from_email` had another when it was made.
    pub message_id_domain: Option<String>,
    /// First-step sends of a UTC day.
    pub daily_limit: u64,
    /// What a bounce policy throttled it to.
    pub throttled_limit: Option<u64>,
    /// Since when it is enabled.
    pub enabled_at: Timestamp,
    /// Disabled by a policy or a person.
    pub disabled: Option<Disabled>,
    /// Its server refused it; left alone until then.
    pub resting_until: Option<Timestamp>,
    /// How often it rested in a row.
    pub rests: u32,
    /// The server's last complaint about it.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A server and an account on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Login name.
    pub username: String,
    /// Sealed; see `crate::secrets`.
    pub sealed_password: String,
    /// How the connection is secured.
    pub tls: TlsMode,
}

/// Since when and why a credential is disabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disabled {
    /// Since when.
    pub at: Timestamp,
    /// Why, for people.
    pub reason: String,
}

impl Endpoint {
    /// Whether it is the same account on the same server, through whatever port and with whatever password.
    pub fn is_same_account_as(&self, other: &Self) -> bool {
        self.host.eq_ignore_ascii_case(&other.host) && self.username == other.username
    }
}

impl Credential {
    /// The limit that binds.
    pub fn effective_limit(&self) -> u64 {
        self.throttled_limit.map_or(self.daily_limit, |throttled| throttled.min(self.daily_limit))
    }

    /// The domain of the Message-IDs of what it sends. It stays when `from_email` gets another: what is tried again has the
    /// Message-ID that it had, and a follow-up names the message that it follows.
    pub fn message_id_domain(&self) -> &str {
        message_id::domain_of(self.message_id_domain.as_deref(), &self.from_email)
    }

    /// Whose server it sends through: what a person said, or what the host name tells.
    pub fn provider(&self) -> Option<Provider> {
        self.provider.or_else(|| Provider::of_host(&self.smtp.host))
    }

    /// Whether it may send at `now`.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.disabled.is_none() && self.resting_until.is_none_or(|until| until <= now)
    }
}
