//! Campaigns, their steps and their outreaches, as the engine holds them.

use std::time::Duration;

use super::ids::{AccountId, CampaignId, CredentialId, OutreachId, StepId};
use super::status::CampaignStatus;
use super::time::Timestamp;

/// A group of campaigns that share their contacts' patience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outreach {
    /// Its id.
    pub id: OutreachId,
    /// For people.
    pub name: String,
    /// An address enrolled in one campaign of the group is skipped by its siblings.
    pub unique_contacts: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A sequence of messages to a list of contacts.
#[derive(Debug, Clone, PartialEq)]
pub struct Campaign {
    /// Its id.
    pub id: CampaignId,
    /// Its owner.
    pub account_id: AccountId,
    /// Its group, if it has one.
    pub outreach_id: Option<OutreachId>,
    /// For people; 1 to 200 characters.
    pub name: String,
    /// Its state.
    pub status: CampaignStatus,
    /// Why it is paused.
    pub paused_reason: Option<String>,
    /// The random gaps between the first steps of one batch.
    pub waits: Waits,
    /// Whether the recipient's domain must have an MX record.
    pub verify_email_mx: bool,
    /// In percent; the bounce policy is given it.
    pub bounce_rate_threshold: f64,
    /// Whether messages carry the open pixel.
    pub track_opens: bool,
    /// The credential that sent the latest first step.
    pub last_credential_id: Option<CredentialId>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The shortest and the longest gap between two first-step sends of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// At least this.
    pub min: Duration,
    /// At most this.
    pub max: Duration,
}

/// One message of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its id.
    pub id: StepId,
    /// From 1; gaps are allowed.
    pub position: u32,
    /// With merge tags.
    pub subject: String,
    /// With merge tags.
    pub body_html: String,
    /// With merge tags; derived from the HTML when absent.
    pub body_text: Option<String>,
    /// After the step before was accepted.
    pub delay: Duration,
}

impl Waits {
    /// A gap for a draw in 0..1.
    pub fn gap(self, draw: f64) -> Duration {
        self.min + self.max.saturating_sub(self.min).mul_f64(draw.clamp(0.0, 1.0))
    }
}
