//! The events that a customer's app is told, and the filters of its webhooks.

use super::status::words;

words! {
    /// The type of an event.
    pub EventType {
        /// A step was accepted by a server.
        EnrollmentSent = "enrollment.sent",
        /// The pixel was loaded for the first time.
        EnrollmentOpened = "enrollment.opened",
        /// A person answered.
        EnrollmentReplied = "enrollment.replied",
        /// The address does not take mail.
        EnrollmentBounced = "enrollment.bounced",
        /// The contact does not want more.
        EnrollmentUnsubscribed = "enrollment.unsubscribed",
        /// A machine answered.
        EnrollmentAutoReplied = "enrollment.auto_replied",
        /// A bounce policy turned a credential off.
        CredentialDisabled = "credential.disabled",
        /// A person or the last credential's end stopped a campaign.
        CampaignPaused = "campaign.paused",
        /// Nothing is left to send.
        CampaignFinished = "campaign.finished",
        /// An extension failed too often.
        ExtensionSuspended = "extension.suspended",
        /// A message that looks like a reply belongs to no enrollment.
        InboundUnmatched = "inbound.unmatched",
    }
}

/// Whether a webhook's filter (an exact name, `*`, or `enrollment.*`) lets an event through.
pub fn filter_matches(filter: &str, event: EventType) -> bool {
    filter == "*"
        || filter == event.as_str()
        || filter.strip_suffix(".*").is_some_and(|group| event.as_str().split('.').next() == Some(group))
}

/// Whether a text is a filter that could ever match.
pub fn is_filter(text: &str) -> bool {
    EventType::ALL.iter().any(|event| filter_matches(text, *event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_exact_or_for_a_group_or_for_all() {
        assert!(filter_matches("*", EventType::CampaignPaused));
        assert!(filter_matches("enrollment.*", EventType::EnrollmentSent));
        assert!(!filter_matches("enrollment.*", EventType::CampaignPaused));
        assert!(filter_matches("enrollment.sent", EventType::EnrollmentSent));
        assert!(!is_filter("enrolment.*") && !is_filter("") && !is_filter("enrollment.sentt"));
    }
}
