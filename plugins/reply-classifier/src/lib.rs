//! The shipped reply classifier: what is this inbound message? One module a question, asked in an order that matters:
//! a complaint carries a bounce's shape, a bounce carries an automatic reply's headers. What is none of these, a person
//! wrote.

mod aggregate_report;
mod amazon_notice;
mod auto_reply;
mod auto_reply_words;
mod automatic_sentence;
mod automatic_words;
mod bounce_text;
mod bounce_words;
mod challenge;
mod complaint;
mod date_words;
mod dates;
mod delivery_report;
mod headers;
mod hearsay;
mod mail;
mod newsletter;
mod opt_out;
mod opt_out_closed;
mod opt_out_sentence;
mod opt_out_words;
mod own_words;
mod quotes;
mod read_receipt;
mod return_date;
mod return_words;
mod returned_message;
mod senders;
mod sentences;
mod subject_words;
mod subjects;
mod unsubscribe;

use ampout_plugin::{Classification, Message};

use self::mail::Mail;

ampout_plugin::reply_classifier!(classify);

/// Classifies one message.
#[must_use]
pub fn classify(message: Message) -> Classification {
    if message.extra.iter().any(|(name, _)| name == "unreadable") {
        // Nobody's words are known; whoever is asked next may know better, and else it is kept and told.
        return Classification::pass().because("the message could not be read");
    }
    let mail = Mail::new(&message);
    complaint::find(&mail)
        .or_else(|| challenge::find(&mail))
        .or_else(|| amazon_notice::find(&mail))
        .or_else(|| delivery_report::find(&mail))
        .or_else(|| aggregate_report::find(&mail))
        .or_else(|| bounce_text::find(&mail))
        .or_else(|| read_receipt::find(&mail))
        .or_else(|| unsubscribe::find_made_by_a_machine(&mail))
        .or_else(|| auto_reply::find(&mail))
        .or_else(|| newsletter::find(&mail))
        .or_else(|| unsubscribe::find(&mail))
        .unwrap_or_else(Classification::human_reply)
}

#[cfg(test)]
mod tests {
    use ampout_plugin::text::fold;
    use ampout_plugin::{Header, Message, Part};

    use super::classify;

    #[test]
    fn every_example_is_decided_as_expected() {
        ampout_plugin::testkit::check_reply_classifier(env!("CARGO_MANIFEST_DIR"), classify);
    }

    #[test]
    fn every_phrase_is_folded_as_the_texts_are() {
        let all = crate::bounce_words::IN_SUBJECTS.all().chain(crate::bounce_words::IN_TEXTS.all());
        let all = all.chain(crate::subject_words::OPENERS.all()).chain(crate::auto_reply_words::IN_REPLIES.all());
        let all = all.chain(crate::return_words::BEFORE_DATES.all()).chain(crate::opt_out_words::IN_REQUESTS.all());
        let strange: Vec<_> = all.filter(|phrase| fold(phrase.trim()) != phrase.trim()).collect();
        assert!(strange.is_empty(), "{strange:?}");
    }

    /// Every beginning and every end of a text that has something of each subject, in every place of a message.
    #[test]
    fn no_text_makes_it_panic() {
        let text = "Auto: Ré: Außer Haus bis einschließlich 30.11.2026 – 12月1日 back on\u{a0}Dec 1st, 20\u{300}26\n\
                    <kim@example.net>: 550-5.1.1 ﬁ İ\n>>> DATA\n--- Below this line is a copy of the message\n\
                    Final-Recipient: rfc822;ü@x.y\nAction: f\nStatus: 5.1.\nFeedback-Type: \n On x wrote:\n> \u{feff}";
        let cuts = (0..=text.len()).filter(|cut| text.is_char_boundary(*cut));
        for half in cuts.flat_map(|cut| [&text[..cut], &text[cut..]]) {
            let names = ["From", "Auto-Submitted", "Precedence", "X-Failed-Recipients", "Content-Type"];
            let headers = names.map(|name| Header { name: name.to_owned(), value: half.to_owned() });
            for content_type in ["message/delivery-status", "message/feedback-report", "message/rfc822"] {
                for used in [0, headers.len()] {
                    let _ = classify(Message {
                        headers: headers[..used].to_vec(),
                        subject: half.to_owned(),
                        text: half.to_owned(),
                        parts: vec![Part { content_type: content_type.to_owned(), content: half.to_owned() }],
                        sender: Some(half.to_owned()),
                        received_at: half.to_owned(),
                        ..Message::default()
                    });
                    let message = Message { subject: half.to_owned(), text: half.to_owned(), ..Message::default() };
                    let _ = classify(Message { received_at: "2026-11-23T08:00:00.000Z".to_owned(), ..message });
                }
            }
        }
    }
}
