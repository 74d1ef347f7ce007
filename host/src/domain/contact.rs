//! Contacts: the people that are written to.

use super::address::EmailAddress;
use super::ids::{ContactId, ContactImportId};
use super::merge_tags::MergeValues;
use super::time::Timestamp;

/// A person of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Its id.
    pub id: ContactId,
    /// The import that it came with.
    pub contact_import_id: ContactImportId,
    /// Valid; the domain in lower-case ASCII.
    pub email: String,
    /// The part after the `@`.
    pub domain: String,
    /// May be unknown.
    pub first_name: Option<String>,
    /// May be unknown.
    pub last_name: Option<String>,
    /// May be unknown.
    pub company: Option<String>,
    /// Never mailed again since then.
    pub unsubscribed_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Contact {
    /// Somebody with an address and made-up names, for previews and test messages.
    pub fn sample(email: &EmailAddress, now: Timestamp) -> Self {
        Self {
            id: ContactId::NOBODY,
            contact_import_id: ContactImportId::NOBODY,
            email: email.to_string(),
            domain: email.domain().to_owned(),
            first_name: Some("Ada".to_owned()),
            last_name: Some("Lovelace".to_owned()),
            company: Some("Example Ltd".to_owned()),
            unsubscribed_at: None,
            created_at: now,
        }
    }

    /// What its merge tags stand for.
    pub fn merge_values(&self) -> MergeValues<'_> {
        MergeValues {
            first_name: self.first_name.as_deref().unwrap_or_default(),
            last_name: self.last_name.as_deref().unwrap_or_default(),
            email: &self.email,
            company: self.company.as_deref().unwrap_or_default(),
        }
    }
}
