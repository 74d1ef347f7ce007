//! Asked of every message that reaches a watched mailbox, before the shipped classifier.

use ampout_plugin::{Classification, Message};

ampout_plugin::reply_classifier!(classify);

/// A short "not interested" ends the sequence; everything else is left to the next in line.
pub fn classify(message: Message) -> Classification {
    if message.text.trim_start().to_lowercase().starts_with("not interested") {
        return Classification::unsubscribe_request().because("declined");
    }
    Classification::pass()
}
@TEST@
