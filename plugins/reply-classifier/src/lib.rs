//! The shipped reply classifier: what is this inbound message? One module a question, asked in an order that matters:
//! a complaint carries a bounce's shape, a bounce carries an automatic reply's headers. What is none of these, a person
//! wrote.

mod auto_reply;
mod bounce_text;
mod bounce_words;
mod challenge;
mod complaint;
mod dates;
mod delivery_report;
mod own_words;
mod return_date;
mod returned_message;
mod senders;
mod subjects;
mod unsubscribe;

use ampout_plugin::{Classification, Message};

ampout_plugin::reply_classifier!(classify);

/// Classifies one message.
#[must_use]
pub fn classify(message: Message) -> Classification {
    complaint::find(&message)
        .or_else(|| challenge::find(&message))
        .or_else(|| delivery_report::find(&message))
        .or_else(|| bounce_text::find(&message))
        .or_else(|| unsubscribe::find_made_by_a_machine(&message))
        .or_else(|| auto_reply::find(&message))
        .or_else(|| unsubscribe::find(&message))
        .unwrap_or_else(Classification::human_reply)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_example_is_decided_as_expected() {
        ampout_plugin::testkit::check_reply_classifier(env!("CARGO_MANIFEST_DIR"), super::classify);
    }
}
