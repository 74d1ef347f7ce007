//! Who sends bounces: the names that mail systems give themselves. A postmaster may also be a person, so the two kinds are
//! told apart.

use ampout_plugin::address::first_address;
use ampout_plugin::text::fold;

use crate::mail::Mail;

/// What the sender's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SenderKind {
    /// Only a machine calls itself so.
    Daemon,
    /// A machine mostly, a person at times.
    Postmaster,
    /// Anybody.
    Anybody,
}

const DAEMON_LOCAL_PARTS: &[&str] = &[
    "mailer-daemon",
    "mailerdaemon",
    "mailer_daemon",
    "mailer.daemon",
    "mail.delivery.system",
    "maildaemon",
    "mail-daemon",
    "mail-delivery-",
    "microsoftexchange",
    "post_master",
];

const POSTMASTER_LOCAL_PARTS: &[&str] = &["postmaster", "post-master", "poostmaster", "symantec_antivirus"];

/// Names that only a machine bears.
const DAEMON_NAMES: &[&str] = &[
    "mail delivery system",
    "mail delivery subsystem",
    "mail deliver system",
    "delivery subsystem",
    "mailer-daemon",
    "mailer daemon",
    "internet mail delivery",
];

/// Names that a machine bears and that are also somebody's job or trade.
const POSTMASTER_NAMES: &[&str] = &["mail administrator", "system administrator", "mail delivery service"];

/// Reads the From header.
pub(crate) fn sender_kind(mail: &Mail<'_>) -> SenderKind {
    // A report without From is known by its return path, which some systems put in place of the empty one.
    let from = fold(mail.headers.from.or(mail.message.return_path.as_deref()).unwrap_or_default());
    let address = mail.message.sender.clone().or_else(|| first_address(&from)).unwrap_or_default().to_ascii_lowercase();
    // Without an address the header itself is looked at: `From: MAILER-DAEMON`, `From: <>`.
    let local_part = match address.split_once('@') {
        Some((local_part, _)) => local_part,
        None => from.trim_matches(['<', '>', '"', ' ']),
    };
    // A person's From has an address (RFC 5322 section 3.6.2). One that only names a program is known by its return path.
    let path = mail.message.return_path.as_deref().filter(|_| !address.contains('@'));
    let path = path.map(str::to_ascii_lowercase);
    // MDaemon's own name; `mdaemon.k` may be somebody's.
    let is_mdaemon = local_part == "mdaemon";
    let begins = |names: &[&str]| {
        names
            .iter()
            .any(|name| local_part.starts_with(name) || path.as_ref().is_some_and(|path| path.starts_with(name)))
    };
    // The whole name, not a part of it: "Lee Roe, System Administrator" is a person.
    let is_called = |names: &[&str]| names.contains(&display_name(&from));
    if is_mdaemon || begins(DAEMON_LOCAL_PARTS) || from == "<>" || is_called(DAEMON_NAMES) {
        return SenderKind::Daemon;
    }
    if begins(POSTMASTER_LOCAL_PARTS)
        || is_called(POSTMASTER_NAMES)
        || from.starts_with("postmaster")
        || path.is_some_and(|path| path.is_empty())
    {
        SenderKind::Postmaster
    } else {
        SenderKind::Anybody
    }
}

/// The name of a folded From: what stands before the address, or in the comment behind it (RFC 822), or all of it.
fn display_name(from: &str) -> &str {
    let name = match (from.find('<'), from.find('(')) {
        (Some(0), _) => from.split_once('>').map_or("", |(_, behind)| behind),
        (Some(end), _) => &from[..end],
        (None, Some(start)) => from[start..].trim_end_matches(')'),
        (None, None) => from,
    };
    name.trim_matches(['"', '\'', '(', ')', ' ', '*'])
}

/// Whether an address belongs to a mail system and therefore is nobody's that we wrote to.
pub(crate) fn is_system_address(address: &str) -> bool {
    let local_part = address.split('@').next().unwrap_or_default().to_ascii_lowercase();
    let named = |names: &[&str]| names.iter().any(|name| local_part.starts_with(name));
    local_part == "mdaemon"
        || named(DAEMON_LOCAL_PARTS)
        || named(POSTMASTER_LOCAL_PARTS)
        || matches!(local_part.as_str(), "abuse" | "support" | "helpdesk")
}

#[cfg(test)]
mod tests {
    use ampout_plugin::{Header, Message};

    use super::*;

    #[track_caller]
    fn check(from: &str, expected: SenderKind) {
        let header = Header { name: "From".to_owned(), value: from.to_owned() };
        let message =
            Message { headers: vec![header], return_path: Some("a@example.com".to_owned()), ..Message::default() };
        assert_eq!(sender_kind(&Mail::new(&message)), expected, "of {from:?}");
    }

    #[test]
    fn mail_systems_are_known_by_their_whole_name() {
        check("Mail Delivery System <noreply@example.com>", SenderKind::Daemon);
        check("\"Mail Delivery Subsystem\" <bounces@example.com>", SenderKind::Daemon);
        check("bounces@example.com (Mail Delivery System)", SenderKind::Daemon);
        check("MAILER-DAEMON", SenderKind::Daemon);
        check("MDaemon@example.com", SenderKind::Daemon);
        check("Mailer-Daemon@example.com", SenderKind::Daemon);
        check("System Administrator <it@example.com>", SenderKind::Postmaster);
        check("postmaster@example.com", SenderKind::Postmaster);
    }

    #[test]
    fn people_are_not_taken_for_what_their_job_is_called() {
        for from in [
            "\"Jane Roe - System Administrator\" <jane@acme.example>",
            "Tom Hart (IT / Mail Administrator) <tom@acme.example>",
            "\"Max Muster, System Administrator\" <max@acme.example>",
            "System Administrators Team <it@acme.example>",
            "\"Marcus (Mailer Daemon Records)\" <marcus@acme.example>",
            "\"Swift Mail Delivery Service Ltd\" <ops@swift.example>",
            "\"M. Daemon\" <mdaemon.k@acme.example>",
            "lee@acme.example (Lee Roe, Mail Administrator)",
        ] {
            check(from, SenderKind::Anybody);
        }
    }
}
