//! The words by which servers say what their codes leave open. Each phrase stands in a table under what it means; what
//! is in no table means nothing.

use crate::domain::smtp_reply::CredentialFault;
use crate::domain::status::BounceClass;

/// Lower case, one blank between words, and without addresses and links: those hold other people's words, and
/// `relay-denied@example.org` must not decide anything.
pub(super) fn normalised(text: &str) -> String {
    let words = text.split_whitespace().filter(|word| !word.contains('@') && !word.starts_with("http"));
    words.collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Whether the message is too large, for this server or for that mailbox.
pub(super) fn is_about_size(text: &str) -> bool {
    any(text, SIZE)
}

/// Whether it is the recipient who gets too much mail: Gmail says so to any sender.
pub(super) fn is_about_the_recipients_pace(text: &str) -> bool {
    text.contains("receiving mail")
}

/// What is wrong with the account, the sender or our own address, if the text says so.
pub(super) fn credential_fault(text: &str) -> Option<CredentialFault> {
    if is_about_the_recipients_pace(text) {
        return None;
    }
    // A quota is told in the words of whichever rule refused, "recipient address rejected" among them.
    let by_table =
        |table: &[(CredentialFault, &[&str])]| table.iter().find(|(_, list)| any(text, list)).map(|(f, _)| *f);
    if let Some(why) = by_table(PACE) {
        return Some(why);
    }
    // By its own words about the recipient; what follows is often the quoted reply of another server.
    if text.contains("recipient address rejected") {
        return None;
    }
    // DMARC, SPF and DKIM are a receiving domain's opinion of one message; resting would not change it.
    if any(text, &["dmarc", "dkim", "spf"]) {
        return None;
    }
    by_table(ACCOUNT)
}

/// The class of bounce that the text tells of, if it does.
pub(super) fn bounce_class(text: &str) -> Option<BounceClass> {
    if is_about_the_recipients_pace(text) || any(text, FULL) {
        return Some(BounceClass::Soft);
    }
    // Before the dead mailbox: "mailbox unavailable, rejected as spam" is said of living ones.
    if any(text, POLICY) {
        return Some(BounceClass::Policy);
    }
    any(text, NOBODY).then_some(BounceClass::Hard)
}

fn any(text: &str, phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| text.contains(phrase))
}

const SIZE: &[&str] = &[
    "message size",
    "message too large",
    "message too big",
    "message is too large",
    "message file too big",
    "message exceeds",
    "size limit",
    "size exceeds",
];

const PACE: &[(CredentialFault, &[&str])] = &[
    (
        CredentialFault::Quota,
        &[
            "sending limit",
            "sending quota",
            "user sending",
            "daily message quota",
            "message quota exceeded",
            "daily limit",
            "hourly limit",
            "monthly limit",
            "daily quota",
            "hourly quota",
            "monthly quota",
            "exceeded your",
            "maximum number of messages",
            "maximum number of emails",
            "outgoing mail limit",
            "limit for message recipients",
            "insufficient credits",
            "out of credits",
        ],
    ),
    (
        CredentialFault::Throttled,
        &[
            "throttl",
            "sending rate",
            "rate limit",
            "rate-limit",
            "ratelimit",
            "unusual rate",
            "too many connections",
            "too many concurrent",
            "concurrent connections",
            "connections limit",
            "too many login",
            "slow down",
        ],
    ),
];

const ACCOUNT: &[(CredentialFault, &[&str])] = &[
    (
        CredentialFault::Authentication,
        &[
            "authentication required",
            "authentication is required",
            "authentication failed",
            "authentication unsuccessful",
            "authentication credentials",
            "must authenticate",
            "please authenticate",
            "need to authenticate",
            "authenticate first",
            "not authenticated",
            "must issue a starttls",
            "username and password not accepted",
            "specific password required",
        ],
    ),
    (
        CredentialFault::Relay,
        &[
            "relay access denied",
            "relay denied",
            "relaying denied",
            "relay not permitted",
            "relay is not permitted",
            "relay not allowed",
            "relaying not allowed",
            "relaying is not allowed",
            "relaying is prohibited",
            "not permitted to relay",
            "not allowed to relay",
            "unable to relay",
            "do not relay",
            "allowed rcpthosts",
        ],
    ),
    (
        CredentialFault::Blocked,
        &[
            "client host rejected",
            "blocked using",
            "outboundspamexception",
            "spam abuse detected",
            "traffic not accepted",
            "blocked from sending",
            "suspended from sending",
            "sending suspended",
            "sending is suspended",
            "sending has been suspended",
            "sending is paused",
            "sending has been disabled",
            "your account has been",
            "your account is",
        ],
    ),
    (
        CredentialFault::Sender,
        &[
            "sender address rejected",
            "sender rejected",
            "sender denied",
            "sender verify failed",
            "sender is not authorized",
            "sender not authorized",
            "sender not allowed",
            "sender address is not",
            "sender domain is not",
            "sender domain not",
            "sender email",
            "invalid sender",
            "bad sender",
            "outbound sender",
            "unverified sender",
            "from address is not",
            "not owned by user",
            "not authorized to send",
            "not allowed to send",
            "not permitted to send",
            "permissions to send as",
            "permission to send as",
            "sendasdenied",
            "address is not verified",
            "domain is not verified",
            "domain not verified",
        ],
    ),
];

const FULL: &[&str] = &[
    "mailbox full",
    "mailbox is full",
    "inbox is full",
    "over quota",
    "overquota",
    "over its quota",
    "quota exceeded",
    "exceeds quota",
    "out of storage",
    "storage allocation",
    "insufficient storage",
    "insufficient system storage",
    "not enough storage",
    "greylist",
    "graylist",
];

const POLICY: &[&str] = &[
    "spam",
    "policy",
    "blacklist",
    "blocklist",
    "block list",
    "blocked",
    "reputation",
    "unsolicited",
    "prohibit",
    "virus",
    "content",
    "access denied",
];

const NOBODY: &[&str] = &[
    "user unknown",
    "unknown user",
    "unknown recipient",
    "recipient unknown",
    "unknown address",
    "address unknown",
    "no such user",
    "no such recipient",
    "no such mailbox",
    "no such address",
    "no mailbox",
    "no user",
    "does not exist",
    "doesn't exist",
    "do not exist",
    "not exist",
    "mailbox not found",
    "mailbox unavailable",
    "mailbox disabled",
    "mailbox is disabled",
    "user not found",
    "recipient not found",
    "invalid recipient",
    "invalid mailbox",
    "unrouteable address",
    "unroutable address",
    "domain not found",
    "is disabled",
    "has been disabled",
    "is inactive",
    "no longer",
    "user doesn't have",
    "not a valid mailbox",
    "not our customer",
];
