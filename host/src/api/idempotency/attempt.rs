//! One run of a call that carries a key: what its handler stores in its own transactions.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::super::answer::Answer;
use super::super::auth::Caller;
use super::super::error::Result;
use super::super::state::Api;
use super::fingerprint::Fingerprint;
use super::{KEPT_FOR, find, in_progress, replay, reused};
use crate::clock::Clock;
use crate::domain::ids::AccountId;
use crate::secrets::{ExposeSecret as _, SealedFor, Sealer, SecretString};
use crate::store::idempotent_answers::{self as answers, KeyOf, SealedAnswer, Stored};
use crate::store::{StoreError, Tx};

const COLUMN: &str = "idempotent_answers.body";
/// A call of several transactions that is silent for so long was cut off.
const LEASE: Duration = Duration::from_secs(30);

/// A call under its key.
pub(in super::super) struct Attempt {
    account: AccountId,
    key: String,
    /// Of method and path.
    opening: String,
    fingerprint: Arc<Fingerprint>,
    before: Before,
    is_kept: AtomicBool,
    sealer: Sealer,
    clock: Clock,
}

/// What stood under the key before.
pub(super) enum Before {
    Nothing,
    Answered,
    /// A call of several transactions that did not come to its end.
    CutOff {
        resource_id: String,
        /// Of method and path, and behind a blank the whole, where the body was read before the first transaction.
        fingerprint: String,
    },
}

impl Caller {
    /// Commits `tx` and gives `body`, which is stored in the same transaction where the call carries a key.
    pub(in super::super) async fn commit<T: Serialize>(&self, tx: Tx, status: StatusCode, body: &T) -> Result<Answer> {
        self.commit_answer(tx, Answer::json(status, body)).await
    }

    /// The same with a finished answer.
    pub(in super::super) async fn commit_answer(&self, mut tx: Tx, answer: Answer) -> Result<Answer> {
        self.keep(&mut tx, &answer).await?;
        tx.commit().await?;
        Ok(answer)
    }

    /// Stores the answer in a transaction that somebody else commits.
    pub(in super::super) async fn keep(&self, tx: &mut Tx, answer: &Answer) -> Result<()> {
        match &self.attempt {
            Some(attempt) => attempt.keep(tx, answer).await,
            None => Ok(()),
        }
    }

    /// What a call of several transactions was making when it was cut off, and goes on with.
    pub(in super::super) fn resumed(&self) -> Option<&str> {
        match &self.attempt.as_ref()?.before {
            Before::CutOff { resource_id, .. } => Some(resource_id),
            Before::Nothing | Before::Answered => None,
        }
    }

    /// Notes in each transaction of a call that has several what it makes, so that the call can be resumed.
    pub(in super::super) async fn begun(&self, tx: &mut Tx, resource_id: &str) -> Result<()> {
        match &self.attempt {
            Some(attempt) => attempt.begun(tx, resource_id).await,
            None => Ok(()),
        }
    }
}

impl Attempt {
    pub(super) fn new(
        api: &Api,
        of: KeyOf<'_>,
        opening: String,
        fingerprint: Arc<Fingerprint>,
        before: Before,
    ) -> Self {
        Self {
            account: of.account,
            key: of.key.to_owned(),
            opening,
            fingerprint,
            before,
            is_kept: AtomicBool::new(false),
            sealer: api.app.sealer.clone(),
            clock: api.app.clock.clone(),
        }
    }

    pub(super) fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Relaxed)
    }

    /// Whether the key had an answer before.
    pub(in super::super) fn is_answered(&self) -> bool {
        matches!(self.before, Before::Answered)
    }

    /// Stops a call that is answered already; its answer takes this refusal's place.
    pub(in super::super) fn check_unanswered(&self) -> Result<()> {
        if self.is_answered() { Err(in_progress()) } else { Ok(()) }
    }

    /// Stores an answer that goes with no write; `false` when the key has one already.
    pub(super) async fn keep_alone(&self, api: &Api, answer: &Answer) -> Result<bool> {
        let Some(fingerprint) = self.fingerprint.whole() else { return Ok(true) };
        self.check_same(&fingerprint)?;
        let mut tx = api.app.store.begin().await?;
        let is_first = self.write(&mut tx, &fingerprint, answer).await?;
        tx.commit().await?;
        Ok(is_first)
    }

    /// The answer of whoever was first.
    pub(super) async fn first_answer(&self, api: &Api) -> Result<Response> {
        match (find(api, self.of()).await?, self.fingerprint.whole()) {
            (Some(Stored::Answered { fingerprint, answer }), Some(own)) => {
                replay(api, self.of(), (&fingerprint, &own), &answer)
            }
            _ => Err(in_progress()),
        }
    }

    async fn keep(&self, tx: &mut Tx, answer: &Answer) -> Result<()> {
        // A body that was not read to its end has no fingerprint; the handler has refused it.
        let Some(fingerprint) = self.fingerprint.whole() else { return Ok(()) };
        self.check_same(&fingerprint)?;
        if !self.write(tx, &fingerprint, answer).await? {
            return Err(in_progress());
        }
        self.is_kept.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn begun(&self, tx: &mut Tx, resource_id: &str) -> Result<()> {
        let now = self.clock.now();
        let (until, since) = (now.plus(LEASE), now.minus(KEPT_FOR));
        let mut fingerprint = self.opening.clone();
        if let Some(whole) = self.fingerprint.whole() {
            self.check_same(&whole)?;
            fingerprint.extend([" ", &whole]);
        }
        let begun = answers::begin(tx.conn(), self.of(), &fingerprint, resource_id, now, until, since).await?;
        if begun { Ok(()) } else { Err(in_progress()) }
    }

    /// Refuses to go on with a call that was another.
    fn check_same(&self, whole: &str) -> Result<()> {
        let Before::CutOff { fingerprint, .. } = &self.before else { return Ok(()) };
        match fingerprint.split_once(' ') {
            Some((_, first)) if first != whole => Err(reused()),
            _ => Ok(()),
        }
    }

    async fn write(&self, tx: &mut Tx, fingerprint: &str, answer: &Answer) -> std::result::Result<bool, StoreError> {
        let now = self.clock.now();
        let body = SecretString::from(String::from_utf8_lossy(&answer.body).into_owned());
        let sealed = SealedAnswer {
            status: answer.status.as_u16(),
            etag: answer.etag.clone(),
            body: self.sealer.seal(&body, SealedFor { column: COLUMN, row: &row_of(self.of()) }),
        };
        answers::keep(tx.conn(), self.of(), fingerprint, &sealed, now, now.minus(KEPT_FOR)).await
    }

    fn of(&self) -> KeyOf<'_> {
        KeyOf { account: self.account, key: &self.key }
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("account", &self.account).field("key", &self.key).finish_non_exhaustive()
    }
}

/// A stored answer as it was given first.
pub(super) fn opened(api: &Api, of: KeyOf<'_>, sealed: &SealedAnswer) -> Result<Answer> {
    let body = api.app.sealer.open(&sealed.body, SealedFor { column: COLUMN, row: &row_of(of) })?;
    let status = StatusCode::from_u16(sealed.status).unwrap_or(StatusCode::OK);
    Ok(Answer { status, etag: sealed.etag.clone(), body: Bytes::from(body.expose_secret().to_owned()) })
}

fn row_of(of: KeyOf<'_>) -> String {
    format!("{}/{}", of.account, of.key)
}
