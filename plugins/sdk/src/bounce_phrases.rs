//! What servers say when they refuse, as folded words: lower case, no accents, single spaces. Only phrases that name the
//! cause are here; a phrase that servers use for several causes is left to the status.
//!
//! Collected from the sources of Postfix, sendmail, Exim, qmail and its kin, Courier, Exchange, Domino and GroupWise, from
//! the help pages of Gmail, Outlook.com, Yahoo, AOL, mail.ru, QQ and 163, and from the tables of reasons that bounce
//! libraries publish.

mod dead_address;
mod passing;
mod policy;

use self::dead_address::{DEAD_ADDRESS, DEAD_ADDRESS_AT_HOME};
use self::passing::TEMPORARY;
use self::policy::POLICY;
use crate::phrases::{Phrases, count};

pub(crate) const SENDER: u32 = 1;
pub(crate) const RECIPIENT_STAGE: u32 = 1 << 1;
pub(crate) const DATA_STAGE: u32 = 1 << 2;
pub(crate) const CERTAIN: u32 = 1 << 3;
pub(crate) const DOMAIN: u32 = 1 << 4;
pub(crate) const ADDRESS: u32 = 1 << 5;
pub(crate) const REFUSAL: u32 = 1 << 6;
pub(crate) const PASSING: u32 = 1 << 7;
pub(crate) const DIRECTORY: u32 = 1 << 8;
pub(crate) const LIVING: u32 = 1 << 9;
pub(crate) const LATE: u32 = 1 << 10;
pub(crate) const AT_HOME: u32 = 1 << 11;

const LISTS: &[(u32, &[&str])] = &[
    (SENDER, ABOUT_THE_SENDER),
    (RECIPIENT_STAGE, AT_RECIPIENT),
    (DATA_STAGE, AT_DATA),
    (LATE, SENT_AHEAD),
    (LIVING, KNOWN_TO_LIVE),
    (LIVING, DEAD_OR_CLOSED),
    (DIRECTORY, LOOKED_UP),
    (DIRECTORY | LATE, LOOKED_UP_AFTER_DATA),
    (CERTAIN, CERTAINLY_DEAD),
    (DOMAIN, DEAD_DOMAIN),
    (ADDRESS, DEAD_ADDRESS),
    (ADDRESS | AT_HOME, DEAD_ADDRESS_AT_HOME),
    (REFUSAL, POLICY),
    (PASSING, TEMPORARY),
];

/// All of them, looked for at once.
pub(crate) static PHRASES: Phrases<{ count(LISTS) }> = Phrases::new(LISTS);

/// It is the sender that is refused, whatever else stands there.
const ABOUT_THE_SENDER: &[&str] = &[
    "sender address",
    "domain of sender",
    "sender domain",
    "sender's domain",
    "sender rejected",
    "sender denied",
    "sender verify",
    "sender verification",
    "invalid sender",
    "after mail from",
    "in reply to mail from",
    ">>> mail from",
    "from: domain is invalid",
    "bogus mail from",
    "null sender",
    "empty envelope sender",
    "unroutable sender",
    "sender is spammer",
    "sender not pre-approved",
    "sender verify failed",
    "valid sender domain",
    "is not a registered gateway user",
    "email address is not verified",
    "batv",
    "returned mail not accepted here",
    "no third-party dsns",
    "your domain does not exist",
    "sender's address",
    "mail from: domain",
    "from address does not exist",
    "sender callout",
    "envelope sender is in my",
    "envelope sender domain",
    "return address does not exist",
    "sender was rejected",
    "badmailfrom",
    "5322.from",
    "emetteur invalide",
    "mail from not owned",
    "sender unknown",
    "messages to unknown users",
    "too many unknown users",
    "too many invalid recipients",
    "unknown sender",
];

/// The server refused the recipient's command.
const AT_RECIPIENT: &[&str] = &[
    "in reply to rcpt",
    "after rcpt to",
    ">>> rcpt to",
    "[rcpt_to]",
    "following rcpt",
    "does not like recipient",
    "smtp:rcpt",
    "did not like our rcpt",
    "[rcpt to]",
    "rcpt to:",
    "smtp error from remote mail server after rcpt",
    "rcpt command",
    "rcpt to command",
    "in response to rcpt",
    "in response to the rcpt",
    "command: rcpt",
];

/// The server had refused the recipient when it answered DATA, which was sent ahead (RFC 2920).
const SENT_AHEAD: &[&str] = &["need rcpt", "need recipient", "valid rcpt command must precede", "no valid recipients"];

/// A server that looks for the recipient after DATA: Yahoo's, with `dd`.
const LOOKED_UP_AFTER_DATA: &[&str] = &["delivery error: dd this user doesn't"];

/// The server had taken the recipient before it refused.
const AT_DATA: &[&str] = &[
    "smtp:data",
    "in reply to end of data",
    "in reply to data",
    "after end of data",
    "after data",
    ">>> data",
    "other mail system problem",
    "smtp command data",
];

/// The address may be dead, or closed to us: Google Groups says both, in any language.
const DEAD_OR_CLOSED: &[&str] = &["groups.google.com/support"];

/// The mailbox's own system says why it takes nothing, and adds an "unknown user" for the other server.
const KNOWN_TO_LIVE: &[&str] = &[
    "user(s) account is disabled",
    "user(s) account is temporarily",
    "account has been disabled or discontinued",
    "as their mailbox is full",
];

/// The address or its domain is dead, in the words of a server that looked for it in its own directory or in the DNS.
const LOOKED_UP: &[&str] = &[
    "recipient name is not recognized",
    "recipient name is not recognised",
    "user doesn't have a yahoo",
    "no valid recipients were found for this message",
    "destinataire invalide",
    "adresse d au moins un destinataire",
    "local recipient table",
    "virtual mailbox table",
    "virtual alias table",
    "relay recipient table",
    "relay recipient map",
    "invalid final delivery userid",
    "not listed in domino directory",
    "not listed in public name",
    "no mailbox here by that name",
    "recipnotfound",
    "couldn't find the recipient",
    "wasn't found at",
    "email address you entered couldn't be found",
    "address couldn't be found",
    "address wasn't found",
    "address not present in directory",
    "not present in directory",
    "could not be found in the directory",
    "unknown local part",
    "unknown local-part",
    "unrouteable address",
    "unknown virtual user",
    "not in my validrcptto",
    "exist at the organization",
    "null mx",
    "no smtp service",
    "no such domain",
    "account or domain may not exist",
    "domain is not reachable",
    "dns lookup failure: host",
    "couldn't be found. check for typos",
    "not found in ldap",
    "recipient notfound",
    "recipientnotfound",
    "non repertorie dans l'annuaire",
    "no se encuentra en el directorio",
    "domino ディレクトリには見つかりません",
    "nicht im domino-verzeichnis",
    "nicht im domino verzeichnis",
    "(user not found)",
    "this address no longer accepts mail",
    "user unknown: \"",
    "account does not exist",
    "宛先のメールアドレスは存在しません",
    "收件方邮箱地址不存在",
    "rcp-p1",
    "int-p1",
    "int-p4",
    "no valid recipients for this mm",
    "email address is wrong",
    "e-mail address is wrong",
    "mail.i.ua/err/2/",
    "invalid recipient - https://community.mimecast",
];

/// The address is dead; said in words that nothing beside them can soften.
const CERTAINLY_DEAD: &[&str] = &[
    "user unknown",
    "unknown user",
    "no such user",
    "no such recipient",
    "no such mailbox",
    "account that you tried to reach does not exist",
];

/// The domain, or its host, takes no mail at all.
const DEAD_DOMAIN: &[&str] = &[
    "unrouteable mail domain",
    "unroutable address",
    "all relevant mx records point to non-existent hosts",
    "mx points to",
    "domain not found",
    "domain name not found",
    "domain does not accept mail",
    "does not accept mail",
    "host unknown",
    "unknown host",
    "host not found",
    "host or domain name not found",
    "couldn't find any host named",
    "couldn't find any host by that name",
    "name or service not known",
    "nxdomain",
    "non-existent domain",
    "domain is not valid",
    "system not accepting network messages",
    "domain does not exist",
    "domain must exist",
    "domain doesn't exist",
    "mail domain mentioned in email address is unknown",
    "unknown domain name",
    "no mx record found for domain",
    "couldn't find a mail exchanger",
    "could not find a mail exchanger",
    "no mail exchanger",
    "host/domain does not accept mail",
    "host does not accept mail",
    "bad destination system",
    "illegal host/domain name",
    "unknown domain",
    "no such host",
    "has no mail exchanger",
    "no route found to domain",
    "name server: .: host not found",
    "no address associated with hostname",
    "no address associated with name",
    "host address lookups failed permanently",
    "mail receiving disabled",
    "no mail hosts for domain",
    "no mx or a record",
    "no a or mx record",
    "domain name does not exist",
    "domain couldn't be found",
    "no mail servers appear to exist",
    "domain has expired",
    "non-existing domain",
    "nonexistent domain",
    "domain nonexistent",
    "unresolvable domain",
    "hostname cannot be resolved",
    "unable to resolve host",
    "dns hard error",
    "infodomainnonexistent",
];
