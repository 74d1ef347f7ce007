//! How holding a send came out, and what is written for it.

use crate::domain::Timestamp;
use crate::domain::status::BounceClass;
use crate::store::counters::SkipCounter;
use crate::store::facts::accepted::{self, Accepted};
use crate::store::facts::{bounce, delivery};
use crate::store::sends::{ClaimedSend, Ending, NewSend};
use crate::store::{Result, Tx, counters, sends};

/// What became of a held send.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// The server took it; what follows is planned.
    Accepted {
        /// The reply.
        ending: Ending,
        /// The step that follows.
        next: Option<NewSend>,
    },
    /// The server put it off.
    Deferred {
        /// The reply.
        ending: Ending,
        /// None: that was the last try.
        retry_at: Option<Timestamp>,
    },
    /// The connection broke before the message left.
    Lost {
        /// How it broke.
        ending: Ending,
        /// None: that was once too often.
        retry_at: Option<Timestamp>,
    },
    /// The server refused the recipient.
    Bounced {
        /// The reply.
        ending: Ending,
        /// What it says of the address.
        class: BounceClass,
    },
    /// The credential is refused, or its server can't be reached: it rests.
    CredentialAtFault {
        /// The reply or the error.
        ending: Ending,
        /// Until when it is left alone.
        rest_until: Timestamp,
    },
    /// Nothing has left; again at that time.
    GivenBack {
        /// When.
        due_at: Timestamp,
        /// Why.
        reason: String,
        /// Whether an MX look-up without an answer was the reason.
        counts_as_mx_attempt: bool,
    },
    /// The server may have it.
    InDoubt {
        /// What went wrong.
        ending: Ending,
    },
    /// It can't be made or sent.
    Failed {
        /// Why.
        ending: Ending,
    },
    /// The server takes no message of this size.
    TooLarge {
        /// What it said.
        ending: Ending,
    },
    /// Its server can't take it by what it offers, and was told nothing.
    Unsuitable {
        /// Why, and what helps.
        reason: String,
    },
    /// The domain takes no mail.
    DomainTakesNoMail {
        /// Why.
        reason: String,
    },
    /// Passed over for good, and counted.
    PassedOver {
        /// Which counter.
        why: SkipCounter,
        /// For people.
        reason: String,
    },
    /// A gate passed over this step; the sequence goes on.
    Skipped {
        /// Why.
        reason: String,
        /// The step that follows.
        next: Option<NewSend>,
    },
    /// The enrollment had stopped.
    Stopped {
        /// Why.
        reason: String,
    },
}

impl Outcome {
    /// The word for counters and logs.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Deferred { .. } => "deferred",
            Self::Lost { .. } => "lost",
            Self::Bounced { .. } => "bounced",
            Self::CredentialAtFault { .. } => "credential_at_fault",
            Self::GivenBack { .. } => "given_back",
            Self::InDoubt { .. } => "in_doubt",
            Self::Failed { .. } | Self::TooLarge { .. } => "failed",
            Self::Unsuitable { .. } => "unsuitable",
            Self::DomainTakesNoMail { .. } => "domain_takes_no_mail",
            Self::PassedOver { .. } => "passed_over",
            Self::Skipped { .. } | Self::Stopped { .. } => "skipped",
        }
    }

    /// Writes it with all that follows from it; the bounce policy is asked about its credential at `judge_at`.
    pub(super) async fn write(
        &self,
        tx: &mut Tx,
        held: &ClaimedSend,
        now: Timestamp,
        judge_at: Timestamp,
    ) -> Result<()> {
        match self {
            Self::Accepted { ending, next } => {
                let one = Accepted { held, ending, next: next.as_ref() };
                let mut writes = tx.writes();
                let known = accepted::known(tx, &[one], held.owner).await?;
                accepted::accepted(tx, &mut writes, &[one], known, held.owner, now, judge_at).await?;
                writes.run(tx).await
            }
            Self::Deferred { ending, retry_at } => delivery::deferred(tx, held, ending, *retry_at, now).await,
            Self::Lost { ending, retry_at } => delivery::lost(tx, held, ending, *retry_at, now).await,
            Self::Bounced { ending, class } => bounced(tx, held, ending, *class, now).await,
            Self::CredentialAtFault { ending, rest_until } => {
                delivery::credential_at_fault(tx, held, ending, *rest_until, now).await
            }
            Self::GivenBack { due_at, reason, counts_as_mx_attempt } => {
                let is_news = delivery::give_back(tx, held, *due_at, reason).await?;
                if is_news && *counts_as_mx_attempt {
                    sends::count_mx_attempt(tx.conn(), held.send.id).await?;
                }
                Ok(())
            }
            Self::InDoubt { ending } => delivery::in_doubt(tx, held, ending, now).await,
            Self::Failed { ending } => delivery::failed(tx, held, ending, now).await,
            Self::TooLarge { ending } => delivery::too_large(tx, held, ending, now).await,
            Self::Unsuitable { reason } => delivery::unsuitable(tx, held, reason, now).await,
            Self::DomainTakesNoMail { reason } => delivery::domain_takes_no_mail(tx, held, reason, now).await,
            Self::PassedOver { why, reason } => delivery::passed_over(tx, held, *why, reason, now).await,
            Self::Skipped { reason, next } => delivery::skipped(tx, held, reason, next.as_ref(), now).await.map(drop),
            Self::Stopped { reason } => delivery::skipped(tx, held, reason, None, now).await.map(drop),
        }
    }
}

async fn bounced(tx: &mut Tx, held: &ClaimedSend, ending: &Ending, class: BounceClass, now: Timestamp) -> Result<()> {
    use crate::domain::status::SendState;
    use crate::store::counters::CredentialCounter;
    if !sends::finish(tx.conn(), held, SendState::Bounced, ending).await? {
        return Ok(());
    }
    delivery::record(tx, held, "bounced", ending, now).await?;
    let reason = ending.reason.clone().unwrap_or_default();
    let fact = bounce::Bounce { class, source: bounce::Source::Smtp, reason };
    bounce::bounced(tx, &held.send, &fact, now).await?;
    counters::credential(tx, held.credential_id, CredentialCounter::Transaction, now).await
}
