//! What receivers tell a domain's owner once a day: how much of its mail passed DMARC (RFC 7489) and came in over TLS
//! (RFC 8460). Such a report answers nothing.

use ampout_plugin::Classification;

use crate::headers::OF_TLS;
use crate::mail::Mail;

/// A report on a domain, if the message is one: by the subject that both documents ask for, or by what TLS reports carry.
pub(crate) fn find(mail: &Mail<'_>) -> Option<Classification> {
    // RFC 7489 section 7.2.1.1, RFC 8460 section 5.3. Some set a word in brackets before it.
    let subject = match mail.subject.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((_, rest)) => rest.trim_start(),
        None => &mail.subject,
    };
    let is_named = subject.starts_with("report domain:") && subject.contains("submitter:");
    (is_named || mail.headers.are_of(OF_TLS))
        .then(|| Classification::ignore().because("a report on a domain's mail (DMARC or TLS)"))
}

#[cfg(test)]
mod tests {
    use ampout_plugin::{Header, Message};

    use super::*;

    #[track_caller]
    fn check(subject: &str, content_type: &str, is_report: bool) {
        let header = Header { name: "Content-Type".to_owned(), value: content_type.to_owned() };
        let message = Message { headers: vec![header], subject: subject.to_owned(), ..Message::default() };
        assert_eq!(find(&Mail::new(&message)).is_some(), is_report, "of {subject:?}");
    }

    #[test]
    fn reports_on_a_domain_are_nobodys_reply() {
        check("Report domain: sender.example Submitter: google.com Report-ID: 123", "application/zip", true);
        check("Report Domain: sender.example; Submitter: mail.example; Report-ID: <1>", "multipart/mixed", true);
        check("[Preview] Report Domain: sender.example Submitter: protection.outlook.com", "text/plain", true);
        check("Your daily report", "multipart/report; report-type=\"tlsrpt\"; boundary=b", true);
    }

    #[test]
    fn who_answers_one_is_a_person() {
        check("Re: Report domain: sender.example Submitter: google.com", "text/plain", false);
        check("Report domain: are you in charge of it?", "text/plain", false);
        check("Re: Quick question", "text/plain", false);
    }
}
