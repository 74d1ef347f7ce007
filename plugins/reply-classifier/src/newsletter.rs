//! Mail that many got the same: a contact's newsletter, or what the contact wrote to a mailing list, answers nothing of ours,
//! though the contact's address sent it.

use ampout_plugin::Classification;
use ampout_plugin::address::first_address;

use crate::headers::Headers;
use crate::mail::Mail;
use crate::subjects;

/// A mass mailing or a list's post that only its sender's address matched to an enrollment, if the message is one. What
/// nothing matched stops no sequence.
pub(crate) fn find(mail: &Mail<'_>) -> Option<Classification> {
    let by_address =
        mail.message.enrollment.as_ref().is_some_and(|enrollment| enrollment.matched_by == "sender-address");
    // Who names a message of ours answers it, whatever his helpdesk or his list writes around it.
    if !by_address || !mail.message.our_message_ids.is_empty() {
        return None;
    }
    let is_answer = mail.headers.is_answer || subjects::has_reply_prefix(&mail.subject);
    if mail.headers.is_bulk && !is_answer {
        return Some(Classification::ignore().because("a mass mailing"));
    }
    let is_post = mail.headers.is_list_post && !is_of_our_list(&mail.headers);
    // Some providers put an id of their own in place of ours, so that an answer seems to answer somebody else. It is
    // addressed to us; the post of a thread is addressed to the list.
    let is_for_members = || !is_answer || is_addressed_to_the_list(&mail.headers);
    (is_post && is_for_members()).then(|| Classification::ignore().because("a mailing list's post"))
}

/// Whether the list is the address by which our own side is reached, as a group that several people read.
fn is_of_our_list(headers: &Headers<'_>) -> bool {
    let domain = headers.delivered_to.and_then(first_address);
    let domain = domain.as_deref().and_then(|address| address.split_once('@')).map(|(_, domain)| domain);
    let list = headers.list.unwrap_or_default().to_ascii_lowercase();
    domain.is_some_and(|domain| {
        list.match_indices(&domain.to_ascii_lowercase()).any(|(at, _)| list[..at].ends_with(['.', '@', '<']))
    })
}

/// A list's id is its address with a dot for the sign (RFC 2919 section 2).
fn is_addressed_to_the_list(headers: &Headers<'_>) -> bool {
    let Some(to) = headers.to.and_then(first_address) else { return false };
    let (to, list) = (to.to_ascii_lowercase(), headers.list.unwrap_or_default().to_ascii_lowercase());
    list.contains(&to) || list.contains(&to.replacen('@', ".", 1))
}

#[cfg(test)]
mod tests {
    use ampout_plugin::{Header, MatchedEnrollment, Message, Verdict};

    use super::*;

    fn from_a_contact(headers: &[(&str, &str)], subject: &str, matched_by: &str) -> Message {
        let header = |(name, value): &(&str, &str)| Header { name: (*name).to_owned(), value: (*value).to_owned() };
        let enrollment = MatchedEnrollment { matched_by: matched_by.to_owned(), ..MatchedEnrollment::default() };
        Message {
            headers: headers.iter().map(header).collect(),
            subject: subject.to_owned(),
            enrollment: Some(enrollment),
            ..Message::default()
        }
    }

    #[track_caller]
    fn check(headers: &[(&str, &str)], subject: &str, is_ignored: bool) {
        let message = from_a_contact(headers, subject, "sender-address");
        let found = find(&Mail::new(&message)).map(|found| found.verdict);
        assert_eq!(found == Some(Verdict::Ignore), is_ignored, "of {headers:?} {subject:?}");
    }

    const LIST: (&str, &str) = ("List-Id", "Widgets <widgets.lists.example.org>");
    const ANSWER: (&str, &str) = ("In-Reply-To", "<1@elsewhere.example>");

    #[test]
    fn a_contacts_newsletter_stops_no_sequence() {
        let leave = ("List-Unsubscribe", "<https://acme.example/u>");
        check(&[leave, ("Precedence", "bulk")], "Our news of May", true);
        check(&[leave, ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")], "Our news of May", true);
        check(&[leave, ("Precedence", "bulk"), ANSWER], "Re: Quick question", false);
        // Either alone stands in the mail of people, too.
        check(&[leave], "About your offer", false);
        check(&[("Precedence", "bulk")], "About your offer", false);
    }

    #[test]
    fn what_a_contact_writes_to_a_list_stops_no_sequence() {
        let to_the_list = ("To", "Widgets <widgets@lists.example.org>");
        check(&[LIST, to_the_list], "[widgets] Release 2.0", true);
        check(&[("Precedence", "list"), to_the_list], "[widgets] Release 2.0", true);
        check(&[LIST, to_the_list, ANSWER], "Re: [widgets] Release 2.0", true);
        check(&[("List-Post", "<mailto:widgets@lists.example.org>"), to_the_list, ANSWER], "Re: Release", true);
    }

    #[test]
    fn an_answer_that_passes_a_list_is_an_answer() {
        check(&[LIST, ("To", "Ana <ana@sender.example>"), ANSWER], "Re: Quick question", false);
        let group = ("List-Id", "<sales.sender.example>");
        let to_the_group = ("To", "sales@sender.example");
        check(&[group, to_the_group, ("Delivered-To", "ana@sender.example")], "Your offer", false);
        let named = from_a_contact(&[LIST, ("To", "widgets@lists.example.org"), ANSWER], "Re: x", "reply-header");
        assert!(find(&Mail::new(&named)).is_none());
        let named = Message { our_message_ids: vec!["1@sender.example".to_owned()], ..named };
        assert!(find(&Mail::new(&named)).is_none());
    }
}
