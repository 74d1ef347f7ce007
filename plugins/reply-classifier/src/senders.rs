//! Who sends bounces: the names that mail systems give themselves. A postmaster may also be a person, so the two kinds are
//! told apart.

use ampout_plugin::address::first_address;
use ampout_plugin::phrases::{Phrases, count};
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
    "mdaemon",
    "mail.delivery.system",
    "maildaemon",
    "mail-daemon",
    "mail-delivery-",
    "microsoftexchange",
    "post_master",
];

const POSTMASTER_LOCAL_PARTS: &[&str] = &["postmaster", "post-master", "poostmaster", "symantec_antivirus"];

const DAEMON_NAMES: &[&str] = &[
    "mail delivery system",
    "mail delivery subsystem",
    "mail deliver system",
    "mail delivery service",
    "delivery subsystem",
    "mailer-daemon",
    "mailer daemon",
    "mail administrator",
    "system administrator",
    "internet mail delivery",
];

const LISTS: &[(u32, &[&str])] = &[(1, DAEMON_NAMES)];
static NAMES: Phrases<{ count(LISTS) }> = Phrases::new(LISTS);

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
    let begins = |names: &[&str]| {
        names
            .iter()
            .any(|name| local_part.starts_with(name) || path.as_ref().is_some_and(|path| path.starts_with(name)))
    };
    if begins(DAEMON_LOCAL_PARTS) || from == "<>" || NAMES.marks_in(&from) != 0 {
        return SenderKind::Daemon;
    }
    if begins(POSTMASTER_LOCAL_PARTS) || from.starts_with("postmaster") || path.is_some_and(|path| path.is_empty()) {
        SenderKind::Postmaster
    } else {
        SenderKind::Anybody
    }
}

/// Whether an address belongs to a mail system and therefore is nobody's that we wrote to.
pub(crate) fn is_system_address(address: &str) -> bool {
    let local_part = address.split('@').next().unwrap_or_default().to_ascii_lowercase();
    let named = |names: &[&str]| names.iter().any(|name| local_part.starts_with(name));
    named(DAEMON_LOCAL_PARTS)
        || named(POSTMASTER_LOCAL_PARTS)
        || matches!(local_part.as_str(), "abuse" | "support" | "helpdesk")
}
