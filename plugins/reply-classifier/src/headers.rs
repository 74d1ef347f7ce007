//! The headers that say something of a message's kind, found in one walk over all of them.

use ampout_plugin::Message;
use ampout_plugin::phrases::{Phrases, count};
use ampout_plugin::text::fold;

/// `multipart/report`, of whatever kind.
pub(crate) const REPORT: u32 = 1;
/// RFC 3464.
pub(crate) const OF_DELIVERY: u32 = 1 << 1;
/// RFC 8098.
pub(crate) const OF_READING: u32 = 1 << 2;
/// RFC 5965.
pub(crate) const OF_FEEDBACK: u32 = 1 << 3;
/// The boundary by which MailInBlack is known.
pub(crate) const OF_MAIL_IN_BLACK: u32 = 1 << 4;
/// RFC 8460.
pub(crate) const OF_TLS: u32 = 1 << 5;

const CONTENT_TYPE_LISTS: &[(u32, &[&str])] = &[
    (REPORT, &["report"]),
    (OF_DELIVERY, &["delivery-status"]),
    (OF_READING, &["disposition-notification"]),
    (OF_FEEDBACK, &["feedback-report"]),
    (OF_MAIL_IN_BLACK, &["multipartboundary_mailinblack"]),
    (OF_TLS, &["tlsrpt"]),
];
static CONTENT_TYPES: Phrases<{ count(CONTENT_TYPE_LISTS) }> = Phrases::new(CONTENT_TYPE_LISTS);

/// The longest name that is compared.
const LONGEST_NAME: usize = 40;

/// What the headers say.
#[derive(Debug, Default)]
pub(crate) struct Headers<'a> {
    pub(crate) from: Option<&'a str>,
    pub(crate) date: Option<&'a str>,
    /// What Content-Type names, of what follows.
    pub(crate) content_type: u32,
    /// Lower case: the first word of Auto-Submitted, where it is neither empty nor `no` (RFC 3834 section 5), nor the
    /// `auto-forwarded` by which a mailbox passes on what a person wrote.
    pub(crate) auto_submitted: Option<String>,
    /// `auto-replied (rejected)`: a report that calls itself an answer.
    pub(crate) was_rejected: bool,
    /// The values of X-Failed-Recipients.
    pub(crate) failed_recipients: Vec<&'a str>,
    /// In-Reply-To or References.
    pub(crate) is_answer: bool,
    pub(crate) in_reply_to: bool,
    /// The name of a header that only a program that answers for somebody writes.
    pub(crate) autoresponder: Option<&'static str>,
    /// The mark of a product that challenges.
    pub(crate) challenge: Option<&'static str>,
    pub(crate) asked_by_apple: bool,
    /// Mailman's own notices.
    pub(crate) is_list_notice: bool,
    /// A header of Amazon's notification service.
    pub(crate) is_amazon_notice: bool,
    /// RFC 8058, or another mark that many got the same.
    pub(crate) is_bulk: bool,
    /// RFC 2919, or `Precedence: list`: a mailing list sent it to all of its members.
    pub(crate) is_list_post: bool,
    /// Whom it is addressed to.
    pub(crate) to: Option<&'a str>,
    /// The mailbox that took it.
    pub(crate) delivered_to: Option<&'a str>,
    /// List-Id or List-Post, where the list says what it is called.
    pub(crate) list: Option<&'a str>,
    /// SpamCop and its kin.
    pub(crate) complaint: Option<&'static str>,
    /// X-HmXmrOriginalRecipient: whom Microsoft saw call our message junk.
    pub(crate) junk_reporter: Option<&'a str>,
    /// RFC 2369: it offers to be let go, and so asks nothing of the kind itself.
    pub(crate) has_list_unsubscribe: bool,
    has_feedback_id: bool,
    /// `Precedence: bulk` or its kin. By itself it says little: ordinary mail carries it, too.
    has_bulk_precedence: bool,
    suppresses_all: bool,
    has_rules_loop: bool,
}

impl<'a> Headers<'a> {
    /// Whether Content-Type names one of these.
    pub(crate) fn are_of(&self, kinds: u32) -> bool {
        self.content_type & kinds != 0
    }

    pub(crate) fn of(message: &'a Message) -> Self {
        let mut headers = Self::default();
        let mut lower = [0; LONGEST_NAME];
        for header in &message.headers {
            let Some(name) = lower.get_mut(..header.name.len()) else { continue };
            name.copy_from_slice(header.name.as_bytes());
            name.make_ascii_lowercase();
            headers.read(name, &header.value);
        }
        // Exchange answers by a rule: it forbids answers to the answer and remembers the mailbox.
        if headers.suppresses_all && headers.has_rules_loop {
            headers.autoresponder.get_or_insert("X-MS-Exchange-Inbox-Rules-Loop");
        }
        headers.is_bulk |= headers.has_list_unsubscribe && (headers.has_feedback_id || headers.has_bulk_precedence);
        headers
    }

    fn read(&mut self, name: &[u8], value: &'a str) {
        match name {
            b"from" => self.from = self.from.or(Some(value)),
            b"date" => self.date = self.date.or(Some(value)),
            b"to" => self.to = self.to.or(Some(value)),
            b"content-type" => self.content_type |= CONTENT_TYPES.marks_in(&value.to_ascii_lowercase()),
            b"auto-submitted" => {
                let token = first_token(value);
                self.was_rejected |= value.contains("rejected");
                if !matches!(token.as_str(), "" | "no" | "auto-forwarded") && self.auto_submitted.is_none() {
                    self.auto_submitted = Some(token);
                }
            }
            b"in-reply-to" => {
                self.in_reply_to = true;
                self.is_answer = true;
            }
            b"references" => self.is_answer = true,
            b"x-failed-recipients" => self.failed_recipients.push(value),
            b"list-unsubscribe" => self.has_list_unsubscribe = true,
            b"list-unsubscribe-post" => self.is_bulk = true,
            b"feedback-id" => self.has_feedback_id = true,
            b"list-id" | b"list-post" => {
                self.is_list_post = true;
                self.list = self.list.or(Some(value));
            }
            b"x-list-administrivia" => self.is_list_notice |= first_token(value) == "yes",
            b"x-apple-unsubscribe" => self.asked_by_apple |= first_token(value) == "true",
            b"x-amz-sns-message-id" | b"x-amz-sns-subscription-arn" => self.is_amazon_notice = true,
            b"x-auto-response-suppress" => self.suppresses_all |= has_word(value, "all"),
            b"x-ms-exchange-inbox-rules-loop" => self.has_rules_loop = true,
            b"x-spamcop-sourceip" => self.complaint = Some("X-SpamCop-sourceip"),
            b"x-arf" | b"x-xarf" => self.complaint = Some("X-ARF"),
            b"x-hmxmroriginalrecipient" => self.junk_reporter = Some(value),
            _ if matches!(name.first(), Some(b'x' | b'p' | b'd' | b'm')) => self.read_marks(name, value),
            _ => {}
        }
    }

    fn read_marks(&mut self, name: &[u8], value: &'a str) {
        if name == b"delivered-to" {
            self.delivered_to = self.delivered_to.or(Some(value));
        }
        if let Some(product) = challenger(name, value) {
            self.challenge.get_or_insert(product);
        }
        if let Some(mark) = autoresponder(name, value) {
            self.autoresponder.get_or_insert(mark);
        }
        if matches!(name, b"precedence" | b"x-precedence") {
            let token = first_token(value);
            self.is_list_post |= token == "list";
            self.has_bulk_precedence |= matches!(token.as_str(), "bulk" | "list" | "junk");
        }
    }
}

/// The mark of a program that answers for somebody. Precedence `bulk` and X-Auto-Response-Suppress alone are none:
/// ordinary mail carries them too; nor is X-Loop, which forwarders and lists write.
fn autoresponder(name: &[u8], value: &str) -> Option<&'static str> {
    // Their presence is the mark, unless they deny it.
    let by_presence = match name {
        b"x-autoreply" => "X-Autoreply",
        b"x-autorespond" => "X-Autorespond",
        b"x-autoresponder" => "X-Autoresponder",
        b"x-autoresponse" => "X-Autoresponse",
        b"x-auto-response" => "X-Auto-Response",
        b"x-autoreply-from" => "X-AutoReply-From",
        b"x-auto-reply-from" => "X-Auto-Reply-From",
        b"x-mail-autoreply" => "X-Mail-Autoreply",
        b"x-autogenerated" => "X-Autogenerated",
        b"x-fc-machinegenerated" => "X-FC-MachineGenerated",
        b"x-vacation" => "X-Vacation",
        b"x-amazon-auto-reply" => "X-Amazon-Auto-Reply",
        b"x-autoreply-domain" => "X-AutoReply-Domain",
        b"x-zoho-autoreply" => "X-Zoho-Autoreply",
        b"x-yahoo-autoreply" => "X-Yahoo-Autoreply",
        _ => "",
    };
    if !by_presence.is_empty() {
        return (!matches!(first_token(value).as_str(), "no" | "false" | "0")).then_some(by_presence);
    }
    let (mark, word) = match name {
        b"precedence" | b"x-precedence" => {
            let is_reply = matches!(first_token(value).as_str(), "auto_reply" | "auto-reply" | "autoreply");
            return is_reply.then_some("Precedence: auto_reply");
        }
        b"x-apple-action" => ("X-Apple-Action: vacation", "vacation"),
        b"x-post-messageclass" => ("X-POST-MessageClass: autoresponder", "autoresponder"),
        b"delivered-to" => ("Delivered-To: autoresponder", "autoresponder"),
        b"x-ms-exchange-generated-message-source" => ("generated by a mailbox rule", "mailbox rules agent"),
        b"x-mailer" => ("X-Mailer: vacation", "vacation"),
        b"x-amazon-mail-relay-type" => ("X-AMAZON-MAIL-RELAY-TYPE: autoreply", "autoreply"),
        _ => return None,
    };
    fold(value).contains(word).then_some(mark)
}

/// The mark of a product that asks senders to prove that they are people.
fn challenger(name: &[u8], value: &str) -> Option<&'static str> {
    Some(match name {
        b"x-bluebottle-request" => "X-Bluebottle-Request",
        b"x-boxtrapper" => "X-Boxtrapper",
        b"x-spamarrest-noauth" => "X-Spamarrest-noauth",
        b"x-askversion" => "X-AskVersion",
        b"x-choicemail-registration-request" => "X-Choicemail-Registration-Request",
        b"x-challenge-response" => "X-Challenge-Response",
        b"x-delivery-agent" if fold(value).contains("tmda") => "TMDA",
        b"message-id" if value.contains("-tmda-confirm") => "TMDA",
        _ => return None,
    })
}

/// The first word in lower case: comments, which may also stand before it (RFC 5322 section 3.2.2), and parameters are
/// left out.
fn first_token(value: &str) -> String {
    let token = after_comments(value).split([';', ' ', '\t', '(', ',']).next().unwrap_or_default();
    token.trim_matches('"').to_ascii_lowercase()
}

/// What follows the comments with which a value begins; of one that never ends nothing does.
fn after_comments(value: &str) -> &str {
    let mut depth = 0_usize;
    for (at, c) in value.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            _ if depth == 0 && !c.is_whitespace() => return &value[at..],
            _ => {}
        }
    }
    ""
}

fn has_word(value: &str, word: &str) -> bool {
    value.split([',', ' ', ';']).any(|item| item.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::first_token;

    #[test]
    fn a_value_may_begin_with_comments() {
        for value in
            ["auto-replied", " Auto-Replied; vacation", "(vacation) auto-replied", "(a (b)) (c)auto-replied (d)"]
        {
            assert_eq!(first_token(value), "auto-replied", "of {value:?}");
        }
        assert_eq!(first_token("(never ends auto-replied"), "");
        assert_eq!(first_token(""), "");
    }
}
