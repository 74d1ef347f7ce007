//! An open mailbox: login, EXAMINE, and the one place where a command is sent and its answer read.
//!
//! The answer is read here rather than by the library's own methods because those drop a NO at the end of a FETCH or a
//! SEARCH and can't tell a lost connection from an empty answer; both would pass for "no new mail".

use std::collections::VecDeque;
use std::time::Duration;

use async_imap::Client;
use async_imap::imap_proto::{Capability, MailboxDatum, Response, ResponseCode, Status};
use tokio::time::{Instant, timeout};

use super::connect::Connected;
use super::error::clean;
use super::panics::caught;
use super::wire::Wire;
use super::{ImapError, ImapServer, ImapTimeouts};
use crate::secrets::{ExposeSecret, SecretString};

/// What any answer may have that brings neither messages nor long lists.
const SHORT_ANSWER_BYTES: u64 = 256 << 10;
/// What the literals of one response may have that brings no message: the names of folders and the like.
pub(super) const SHORT_LITERALS: u64 = 16 << 10;

/// A mailbox as the server last told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxState {
    /// While this is the same, a UID names the same message for ever (RFC 3501 §2.3.1.1). When it differs from the one
    /// that a checkpoint was kept with, the checkpoint is void.
    pub uid_validity: u32,
    /// No message has this UID or a larger one yet, as of the opening.
    pub uid_next: u32,
    /// How many messages there are.
    pub exists: u32,
}

/// An open mailbox, read-only. A session whose method was dropped before its end, or gave an error, is of no more use:
/// open another.
#[derive(Debug)]
pub struct Session {
    library: async_imap::Session<Wire>,
    folder: String,
    pub(super) timeouts: ImapTimeouts,
    pub(super) idle_offered: bool,
    pub(super) state: MailboxState,
    /// How many messages there were when all of them had been looked at.
    pub(super) looked_at: u32,
    /// UIDs that a search found and no fetch has brought yet, in rising order.
    pub(super) pending: VecDeque<u32>,
    /// The UID up to which `pending` was searched for.
    pub(super) searched_to: u32,
    /// The checkpoint that `pending` goes on from.
    pub(super) resume_at: Option<u32>,
    busy: bool,
    /// When several commands together have to be done, and how long that was from their beginning.
    turn: Option<(Instant, Duration)>,
}

/// What a command may take.
#[derive(Clone, Copy)]
pub(super) struct Allowance {
    pub(super) time: Duration,
    pub(super) bytes: u64,
    /// What the literals of one response may have together.
    pub(super) literals: u64,
}

impl Session {
    /// Logs in over a fresh connection and opens `folder`.
    pub(super) async fn begin(
        connected: Connected,
        server: &ImapServer,
        folder: &str,
        timeouts: ImapTimeouts,
    ) -> Result<Self, ImapError> {
        let timed_out = |_| ImapError::TimedOut { step: "the login", after: timeouts.command };
        let login = caught("the login", log_in(connected, server));
        let library = timeout(timeouts.command, login).await.map_err(timed_out)??;
        let state = MailboxState { uid_validity: 0, uid_next: 0, exists: 0 };
        let mut session = Self {
            library,
            folder: folder.to_owned(),
            timeouts,
            idle_offered: false,
            state,
            looked_at: 0,
            pending: VecDeque::new(),
            searched_to: 0,
            resume_at: None,
            busy: false,
            turn: None,
        };
        session.learn_capabilities().await?;
        session.refresh().await?;
        Ok(session)
    }

    /// The mailbox as the server last told of it.
    pub fn state(&self) -> MailboxState {
        self.state
    }

    /// Whether the server offers IDLE (RFC 2177).
    pub fn offers_idle(&self) -> bool {
        self.idle_offered
    }

    /// Opens the folder anew, for a state that is up to date.
    pub async fn refresh(&mut self) -> Result<MailboxState, ImapError> {
        const STEP: &str = "EXAMINE";
        let folder = self.folder.replace('\\', "\\\\").replace('"', "\\\"");
        if folder.chars().any(char::is_control) {
            return Err(ImapError::protocol(STEP, "a control character stands in the folder's name"));
        }
        self.resume_at = None;
        self.state = MailboxState { uid_validity: 0, uid_next: 0, exists: 0 };
        self.command(STEP, &format!("EXAMINE \"{folder}\""), self.short_answer(), |_| {}).await?;
        if self.state.uid_validity == 0 {
            return Err(ImapError::protocol(STEP, "it gives no UIDVALIDITY"));
        }
        if self.state.uid_next == 0 {
            self.state.uid_next = self.last_uid().await?.saturating_add(1);
        }
        self.looked_at = self.state.exists;
        Ok(self.state)
    }

    /// Opens another folder in place of this one.
    pub(super) async fn change_folder(&mut self, folder: String) -> Result<MailboxState, ImapError> {
        self.folder = folder;
        self.pending.clear();
        self.refresh().await
    }

    /// Says goodbye. Whether the server hears it does not matter: nothing was changed.
    pub async fn logout(mut self) {
        let polite = Allowance { time: self.timeouts.command.min(Duration::from_secs(5)), ..self.short_answer() };
        let _not_needed = self.command("LOGOUT", "LOGOUT", polite, |_| {}).await;
    }

    pub(super) fn short_answer(&self) -> Allowance {
        Allowance { time: self.timeouts.command, bytes: SHORT_ANSWER_BYTES, literals: SHORT_LITERALS }
    }

    /// From now on all commands together may take `time`, until the turn ends.
    pub(super) fn begin_turn(&mut self, time: Duration) {
        self.turn = Some((Instant::now() + time, time));
    }

    pub(super) fn end_turn(&mut self) {
        self.turn = None;
    }

    /// Sends a command and hands each untagged response of its answer to `each`.
    pub(super) async fn command(
        &mut self,
        step: &'static str,
        text: &str,
        allowance: Allowance,
        each: impl FnMut(&Response<'_>),
    ) -> Result<(), ImapError> {
        self.begin_command(step, allowance.bytes, allowance.literals)?;
        let turn = self.turn;
        let exchange = async {
            let tag = self.library.run_command(text).await.map_err(|error| ImapError::of_library(&error, step))?;
            self.read_until_done(step, &tag.0, each).await
        };
        let (time, after) = match turn {
            Some((until, whole)) if until < Instant::now() + allowance.time => {
                (until.saturating_duration_since(Instant::now()), whole)
            }
            _ => (allowance.time, allowance.time),
        };
        let timed_out = |_| ImapError::TimedOut { step, after };
        let ended = timeout(time, exchange).await.map_err(timed_out)?;
        // A refusal leaves the connection in order; every other error leaves it in the middle of something.
        if matches!(ended, Ok(()) | Err(ImapError::Refused { .. })) {
            self.busy = false;
        }
        ended
    }

    /// Marks the session as in use, so that a dropped command is not followed by another that would read its answer.
    pub(super) fn begin_command(&mut self, step: &'static str, bytes: u64, literals: u64) -> Result<(), ImapError> {
        if self.busy {
            return Err(ImapError::protocol(step, "the command before was given up"));
        }
        self.busy = true;
        self.library.as_mut().allow(bytes, literals);
        Ok(())
    }

    pub(super) fn end_command(&mut self) {
        self.busy = false;
    }

    pub(super) async fn send(&mut self, step: &'static str, text: &str) -> Result<String, ImapError> {
        let tag = self.library.run_command(text).await.map_err(|error| ImapError::of_library(&error, step))?;
        Ok(tag.0)
    }

    pub(super) async fn send_untagged(&mut self, step: &'static str, text: &str) -> Result<(), ImapError> {
        self.library.run_command_untagged(text).await.map_err(|error| ImapError::of_library(&error, step))
    }

    pub(super) async fn read_until_done(
        &mut self,
        step: &'static str,
        wanted: &str,
        mut each: impl FnMut(&Response<'_>),
    ) -> Result<(), ImapError> {
        loop {
            let done = self.read(step, |response| match response {
                Response::Done { tag, status, outcome } if tag.0 == wanted => {
                    let reason = || clean(outcome.information.as_deref().unwrap_or_default());
                    Some(match status {
                        Status::Ok => Ok(()),
                        Status::No => Err(ImapError::Refused { step, reason: reason() }),
                        _ => Err(ImapError::protocol(step, format!("it says the command is bad: {}", reason()))),
                    })
                }
                other => {
                    each(other);
                    None
                }
            });
            if let Some(ended) = done.await? {
                return ended;
            }
        }
    }

    /// Reads one response, takes from it what concerns the mailbox's state, and shows it to `look`.
    pub(super) async fn read<T>(
        &mut self,
        step: &'static str,
        look: impl FnOnce(&Response<'_>) -> T,
    ) -> Result<T, ImapError> {
        let library = &mut self.library;
        let received = caught(step, async {
            let received = library.read_response().await.map_err(|error| ImapError::of_io(&error, step))?;
            received.ok_or_else(ImapError::lost)
        });
        let received = received.await?;
        let response = received.parsed();
        self.note(response)?;
        Ok(look(response))
    }

    fn note(&mut self, response: &Response<'_>) -> Result<(), ImapError> {
        match response {
            Response::MailboxData(MailboxDatum::Exists(count)) => self.state.exists = *count,
            Response::Expunge(_) => {
                self.state.exists = self.state.exists.saturating_sub(1);
                self.looked_at = self.looked_at.saturating_sub(1);
            }
            Response::Data { status: Status::Bye, outcome } => {
                return Err(ImapError::Unreachable {
                    reason: clean(outcome.information.as_deref().unwrap_or_default()),
                });
            }
            Response::Data { outcome, .. } => match outcome.code {
                // From one moment to the next the UIDs that we hold name other messages.
                Some(ResponseCode::UidValidity(given)) if ![0, given].contains(&self.state.uid_validity) => {
                    return Err(ImapError::protocol("the open mailbox", "its UIDVALIDITY has changed"));
                }
                Some(ResponseCode::UidValidity(given)) => self.state.uid_validity = given,
                Some(ResponseCode::UidNext(uid_next)) => self.state.uid_next = uid_next,
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    async fn learn_capabilities(&mut self) -> Result<(), ImapError> {
        let (mut idle, mut id) = (false, false);
        self.command("CAPABILITY", "CAPABILITY", self.short_answer(), |response| {
            if let Response::Capabilities(capabilities) = response {
                let offers = |name: &str| {
                    capabilities.iter().any(|offered| match offered {
                        Capability::Atom(atom) => atom.eq_ignore_ascii_case(name),
                        _ => false,
                    })
                };
                idle |= offers("IDLE");
                id |= offers("ID");
            }
        })
        .await?;
        self.idle_offered = idle;
        if id {
            // Some large providers open no mailbox to a client that does not say who it is (RFC 2971). A refusal of the
            // courtesy is no reason to stop.
            match self.command("ID", "ID (\"name\" \"ampout\")", self.short_answer(), |_| {}).await {
                Ok(()) | Err(ImapError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The largest UID, for servers that give no UIDNEXT; 0 for an empty mailbox.
    async fn last_uid(&mut self) -> Result<u32, ImapError> {
        if self.state.exists == 0 {
            return Ok(0);
        }
        let mut last = 0;
        self.command("UID FETCH", "UID FETCH * (UID)", self.short_answer(), |response| {
            last = last.max(super::fetch::uid_of(response).unwrap_or(0));
        })
        .await?;
        Ok(last)
    }
}

/// LOGIN for what a quoted string can hold (RFC 3501 §4.3), otherwise AUTHENTICATE PLAIN (RFC 4616), which is UTF-8; and
/// that too where LOGIN is not served.
async fn log_in(connected: Connected, server: &ImapServer) -> Result<async_imap::Session<Wire>, ImapError> {
    let Connected { mut wire, greeted } = connected;
    wire.allow(SHORT_ANSWER_BYTES, SHORT_LITERALS);
    let mut client = Client::new(wire);
    if !greeted {
        read_greeting(&mut client).await?;
    }
    let (username, password) = (&server.username, server.password.expose_secret());
    let printable = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if printable(username) && printable(password) {
        match client.login(username, password).await {
            Ok(session) => return Ok(session),
            Err((async_imap::error::Error::Bad(_), back)) => client = back,
            Err((error, _)) => return Err(login_error(&error, &server.password)),
        }
    }
    let plain = Plain { response: format!("\0{username}\0{password}").into() };
    client.authenticate("PLAIN", plain).await.map_err(|(error, _)| login_error(&error, &server.password))
}

async fn read_greeting(client: &mut Client<Wire>) -> Result<(), ImapError> {
    const STEP: &str = "the connection";
    let received = client.read_response().await.map_err(|error| ImapError::of_io(&error, STEP))?;
    let Some(received) = received else { return Err(ImapError::lost()) };
    match received.parsed() {
        Response::Data { status: Status::Ok, .. } => Ok(()),
        Response::Data { status: Status::Bye, outcome } => {
            Err(ImapError::Unreachable { reason: clean(outcome.information.as_deref().unwrap_or_default()) })
        }
        _ => Err(ImapError::protocol(STEP, "its greeting is not `* OK`")),
    }
}

/// A NO to a login means the user or password, unless the server says that it is the server (RFC 5530 §3).
fn login_error(error: &async_imap::error::Error, password: &SecretString) -> ImapError {
    match ImapError::of_library(error, "the login") {
        ImapError::Refused { reason, .. } | ImapError::Protocol { reason, .. }
            if matches!(error, async_imap::error::Error::No(_) | async_imap::error::Error::Bad(_)) =>
        {
            // A server that repeats the password must not have it shown or kept by us.
            let secret = password.expose_secret();
            let reason = if secret.is_empty() { reason } else { reason.replace(secret, "…") };
            let unavailable = ["UNAVAILABLE", "[INUSE]", "[LIMIT]"].iter().any(|code| reason.contains(code));
            if unavailable { ImapError::Unreachable { reason } } else { ImapError::AuthRefused { reason } }
        }
        other => other,
    }
}

/// The one message of SASL PLAIN.
struct Plain {
    response: SecretString,
}

impl async_imap::Authenticator for Plain {
    type Response = Vec<u8>;

    fn process(&mut self, _challenge: &[u8]) -> Vec<u8> {
        self.response.expose_secret().as_bytes().to_vec()
    }
}
