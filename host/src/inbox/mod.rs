//! What comes in by mail: watched mailboxes are read and kept, each message is matched to what it answers, the reply
//! classifier says what it is, and that becomes a fact. Nothing is marked, moved or deleted in a mailbox, and nothing is
//! sent.
//!
//! [`run`] is two loops that meet in the store: `supervise` keeps a watcher for each mailbox of this node, and `apply`
//! reads what the watchers stored. Beside them `doubts` looks for copies of what may or may not have left.

mod apply;
mod decode;
mod doubts;
mod look;
mod matching;
mod mime;
pub mod parse;
pub mod references;
mod start;
mod supervise;
mod suspects;
mod turns;
mod verdict;
mod watch;

#[cfg(test)]
mod room_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::rounds::{self, Next};
use crate::store::{Result, StoreError, inbox};

pub use apply::{Outcome, question};

/// Without a bell stored messages are looked for this often: another node may have stored them and died.
const LOOK_AGAIN: Duration = Duration::from_secs(15);
const SWEEP_EVERY: Duration = Duration::from_secs(24 * 3600);
/// How long mail is kept that belongs to no enrollment.
const UNMATCHED_KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
const MOST_SWEPT: i64 = 1_000;

/// Watches and applies until `shutdown`.
pub async fn run(app: App, shutdown: CancellationToken) {
    let stored = Arc::new(Notify::new());
    let applying = async {
        let round = || async {
            let outcome = step(&app).await?;
            let next = if outcome.read > 0 { Next::Now } else { Next::At(app.clock.now().plus(LOOK_AGAIN)) };
            Ok::<_, StoreError>(next)
        };
        rounds::keep("inbox", &app.clock, &shutdown, round, || stored.notified()).await;
    };
    let sweeping = async {
        let round = || async {
            let more = sweep(&app).await?;
            Ok::<_, StoreError>(if more { Next::Now } else { Next::At(app.clock.now().plus(SWEEP_EVERY)) })
        };
        rounds::keep("inbox", &app.clock, &shutdown, round, std::future::pending::<()>).await;
    };
    let settling = async {
        let round = || async {
            Box::pin(doubts::step(&app)).await?;
            Ok::<_, StoreError>(Next::At(app.clock.now().plus(doubts::LOOK_AGAIN)))
        };
        rounds::keep("inbox", &app.clock, &shutdown, round, std::future::pending::<()>).await;
    };
    tokio::join!(supervise::run(&app, &shutdown, &stored), applying, sweeping, settling);
}

/// Reads the oldest stored messages, a bounded number: matches, classifies, applies.
pub async fn step(app: &App) -> Result<Outcome> {
    apply::step(app).await
}

async fn sweep(app: &App) -> Result<bool> {
    let before = app.clock.now().minus(UNMATCHED_KEPT_FOR);
    let mut tx = app.store.begin().await?;
    let swept = inbox::sweep_unmatched(tx.conn(), before, MOST_SWEPT).await?;
    tx.commit().await?;
    Ok(swept >= MOST_SWEPT.unsigned_abs())
}
