use super::*;

/// A reply as its line stands on the wire.
fn reply(line: &str) -> Reply {
    let (code, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (enhanced, text) = match rest.split_once(' ') {
        Some((first, text)) if first.split('.').count() == 3 && first.starts_with(&code[..1]) => (Some(first), text),
        _ => (None, rest),
    };
    Reply { code: code.parse().unwrap(), enhanced: enhanced.map(str::to_owned), text: text.to_owned() }
}

const ACCEPTED: ReplyVerdict = ReplyVerdict::Accepted;
const LATER: ReplyVerdict = ReplyVerdict::TryLater;
const HARD: ReplyVerdict = ReplyVerdict::RecipientRefused { class: BounceClass::Hard };
const SOFT: ReplyVerdict = ReplyVerdict::RecipientRefused { class: BounceClass::Soft };
const POLICY: ReplyVerdict = ReplyVerdict::RecipientRefused { class: BounceClass::Policy };
const TOO_LARGE: ReplyVerdict = ReplyVerdict::MessageTooLarge;

const fn fault(why: CredentialFault) -> ReplyVerdict {
    ReplyVerdict::CredentialAtFault { why }
}

const AUTHENTICATION: ReplyVerdict = fault(CredentialFault::Authentication);
const SENDER: ReplyVerdict = fault(CredentialFault::Sender);
const RELAY: ReplyVerdict = fault(CredentialFault::Relay);
const QUOTA: ReplyVerdict = fault(CredentialFault::Quota);
const THROTTLED: ReplyVerdict = fault(CredentialFault::Throttled);
const BLOCKED: ReplyVerdict = fault(CredentialFault::Blocked);

#[track_caller]
fn check(cases: &[(Stage, &str, ReplyVerdict)]) {
    for (stage, line, expected) in cases {
        assert_eq!(judge(*stage, &reply(line)), *expected, "{stage}: {line}");
    }
}

#[test]
fn gmail() {
    check(&[
        (Stage::Message, "250 2.0.0 OK 1700000000 a1-20020a05600c.1 - gsmtp", ACCEPTED),
        (
            Stage::Mail,
            "530 5.7.0 Authentication Required. For more information, go to https://support.google.com/a/?p=NeedAuth",
            AUTHENTICATION,
        ),
        (
            Stage::Mail,
            "550 5.4.5 Daily user sending limit exceeded. For more information on Gmail sending limits",
            QUOTA,
        ),
        (Stage::Message, "550 5.4.5 Daily user sending limit exceeded.", QUOTA),
        (Stage::Mail, "454 4.7.0 Too many login attempts, please try again later.", THROTTLED),
        (Stage::Mail, "421 4.7.0 Temporary System Problem. Try again later.", THROTTLED),
        (Stage::Message, "421 4.7.28 Our system has detected an unusual rate of unsolicited mail", THROTTLED),
        (
            Stage::Rcpt,
            "550 5.1.1 The email account that you tried to reach does not exist. https://support.google.com/mail/?p=NoSuchUser",
            HARD,
        ),
        (Stage::Rcpt, "550 5.2.1 The email account that you tried to reach is disabled.", HARD),
        (
            Stage::Rcpt,
            "550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages",
            SOFT,
        ),
        (Stage::Rcpt, "450 4.2.1 The user you are trying to contact is receiving mail too quickly. Rate limit", LATER),
        (Stage::Rcpt, "552 5.2.2 The email account that you tried to reach is over quota.", SOFT),
        (Stage::Rcpt, "452 4.2.2 The recipient's inbox is out of storage space", LATER),
        (
            Stage::Message,
            "552 5.7.0 This message was blocked because its content presents a potential security issue.",
            POLICY,
        ),
        (
            Stage::Message,
            "550 5.7.26 Unauthenticated email from example.org is not accepted due to domain's DMARC policy.",
            POLICY,
        ),
        (Stage::Message, "552 5.3.4 Your message exceeded Google's message size limits.", TOO_LARGE),
        (Stage::Rcpt, "553 5.1.3 The recipient address is not a valid RFC 5321 address.", HARD),
    ]);
}

#[test]
fn microsoft() {
    check(&[
        (Stage::Mail, "530 5.7.57 Client not authenticated to send mail.", AUTHENTICATION),
        (
            Stage::Mail,
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
            AUTHENTICATION,
        ),
        (Stage::Message, "554 5.2.252 SendAsDenied; ada@example.org not allowed to send as eve@example.org", SENDER),
        (Stage::Message, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", SENDER),
        (
            Stage::Message,
            "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed to process message",
            BLOCKED,
        ),
        (Stage::Rcpt, "550 5.1.8 Access denied, bad outbound sender AS(42003)", SENDER),
        (Stage::Message, "550 5.7.705 Access denied, tenant has exceeded threshold", BLOCKED),
        (Stage::Rcpt, "550 5.7.64 TenantAttribution; Relay Access Denied", RELAY),
        (Stage::Message, "432 4.3.2 Concurrent connections limit exceeded", THROTTLED),
        (Stage::Message, "554 5.2.0 You've reached your daily limit for message recipients", QUOTA),
        (Stage::Rcpt, "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)", HARD),
        (Stage::Rcpt, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", HARD),
        (Stage::Rcpt, "550 5.5.0 Requested action not taken: mailbox unavailable.", HARD),
        (
            Stage::Rcpt,
            "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. part of their network is on our block list (S3150).",
            POLICY,
        ),
        (Stage::Rcpt, "550 5.4.310 DNS domain example.org does not exist", HARD),
        (Stage::Rcpt, "550 5.2.2 mailbox full", SOFT),
    ]);
}

#[test]
fn ses_and_smtp2go() {
    check(&[
        (
            Stage::Message,
            "554 Message rejected: Email address is not verified. The following identities failed the check in region EU-WEST-1: ada@example.org",
            SENDER,
        ),
        (Stage::Message, "454 Throttling failure: Maximum sending rate exceeded.", THROTTLED),
        (Stage::Message, "454 Throttling failure: Daily message quota exceeded.", QUOTA),
        (Stage::Message, "554 Message rejected: Sending suspended for this account.", BLOCKED),
        (Stage::Mail, "530 Authentication required", AUTHENTICATION),
        (Stage::Message, "554 Transaction failed: Message contains virus", POLICY),
        (Stage::Mail, "550 The sender domain is not verified", SENDER),
        (Stage::Rcpt, "550 unable to send: sender email not verified on account", SENDER),
        (Stage::Mail, "452 You have exceeded your monthly quota", QUOTA),
        (Stage::Rcpt, "451 4.7.1 rate limit exceeded, slow down", THROTTLED),
    ]);
}

#[test]
fn postfix() {
    check(&[
        (
            Stage::Rcpt,
            "550 5.1.1 <bob@example.org>: Recipient address rejected: User unknown in virtual mailbox table",
            HARD,
        ),
        (Stage::Rcpt, "554 5.7.1 <bob@example.org>: Relay access denied", RELAY),
        (Stage::Rcpt, "454 4.7.1 <bob@example.org>: Relay access denied", RELAY),
        (Stage::Rcpt, "553 5.7.1 <ada@example.org>: Sender address rejected: not owned by user ada", SENDER),
        (Stage::Rcpt, "450 4.1.8 <ada@example.org>: Sender address rejected: Domain not found", SENDER),
        (Stage::Rcpt, "550 5.1.2 <bob@example.org>: Recipient address rejected: Domain not found", HARD),
        (
            Stage::Rcpt,
            "450 4.2.0 <bob@example.org>: Recipient address rejected: Greylisted, see http://postgrey.example/",
            LATER,
        ),
        (Stage::Rcpt, "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", BLOCKED),
        (Stage::Rcpt, "554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied", BLOCKED),
        (Stage::Rcpt, "550 5.7.1 <bob@example.org>: Recipient address rejected: Access denied", POLICY),
        (
            Stage::Rcpt,
            "450 4.7.1 <bob@example.org>: Recipient address rejected: sending rate exceeded for user",
            THROTTLED,
        ),
        (Stage::Rcpt, "452 4.3.1 Insufficient system storage", LATER),
        (Stage::Mail, "552 5.3.4 Message size exceeds fixed limit", TOO_LARGE),
        (Stage::Mail, "552 Message size exceeds fixed maximum message size", TOO_LARGE),
        (Stage::Rcpt, "552 5.2.3 Message length exceeds the mailbox's limit", POLICY),
        (Stage::Message, "554 5.7.1 Message rejected as spam by Content Filtering.", POLICY),
        (Stage::Data, "554 5.5.1 Error: no valid recipients", POLICY),
        (Stage::Rcpt, "503 5.5.1 Error: need MAIL command", LATER),
        (Stage::Rcpt, "421 4.7.0 mx.example.org Error: too many errors", LATER),
        (
            Stage::Rcpt,
            "550 5.1.1 <bob@example.org>: Recipient address rejected: undeliverable address: host mx[192.0.2.9] said: 550 sender rejected",
            HARD,
        ),
    ]);
}

#[test]
fn exim_and_others() {
    check(&[
        (Stage::Rcpt, "550 Unrouteable address", HARD),
        (Stage::Rcpt, "550 relay not permitted", RELAY),
        (Stage::Rcpt, "550 Sender verify failed", SENDER),
        (Stage::Rcpt, "550 Administrative prohibition", POLICY),
        (Stage::Rcpt, "451 Temporary local problem - please try later", LATER),
        (Stage::Rcpt, "550 No Such User Here", HARD),
        (Stage::Rcpt, "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", RELAY),
        (Stage::Rcpt, "550 5.7.1 Rejected by local policy", POLICY),
        (Stage::Rcpt, "550 Rejected", SOFT),
        (Stage::Message, "550 Rejected", POLICY),
        (Stage::Rcpt, "551 User not local", HARD),
        (Stage::Rcpt, "556 5.1.10 Recipient address has null MX", HARD),
        (Stage::Rcpt, "552 Requested mail action aborted: exceeded storage allocation", SOFT),
        (Stage::Rcpt, "502 5.5.2 Error: command not recognized", LATER),
        (Stage::Mail, "550 5.7.1 Access denied", SENDER),
        (Stage::Mail, "553 5.1.7 Bad sender address syntax", SENDER),
        (Stage::Rcpt, "354 what", LATER),
    ]);
}

#[test]
fn an_address_or_a_link_in_the_text_decides_nothing() {
    check(&[
        (Stage::Rcpt, "550 5.1.1 <relaying-denied@sending-quota.example>: user unknown", HARD),
        (Stage::Rcpt, "550 5.1.1 no such user, see https://example.org/sender-rejected/daily-limit", HARD),
    ]);
}

#[test]
fn a_reply_prints_as_on_the_wire() {
    assert_eq!(reply("550 5.1.1 no such user").to_string(), "550 5.1.1 no such user");
    assert_eq!(reply("250").to_string(), "250");
}
