//! The group commit: intents and outcomes of many connections in one transaction every few milliseconds, by as many
//! statements as one message would need. Whoever asks is answered after the commit, so that nothing is sent before its
//! intent is safe. Nobody waits for company: what comes while a group is written is the next one.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::outcome::Outcome;
use super::unwritten::{Unwritten, Waiting};
use super::worker::Line;
use crate::app::App;
use crate::domain::Timestamp;
use crate::store::decisions::{self, Decision};
use crate::store::facts::accepted::{self, Accepted, Known};
use crate::store::facts::delivery;
use crate::store::sends::{self, ClaimedSend, Intent, Obstacle};
use crate::store::{self, Tx};

/// Entries of one transaction.
const MOST_AT_ONCE: usize = 256;
/// Entries that wait; who comes later waits for a place.
const MOST_WAITING: usize = 1024;

/// A handle to the writer. Cheap to clone; the writer ends with the last one.
#[derive(Clone)]
pub(super) struct Ledger {
    entries: mpsc::Sender<Entry>,
    unwritten: Arc<Unwritten>,
    shutdown: CancellationToken,
}

enum Entry {
    Intent { intent: Intent, answer: oneshot::Sender<store::Result<Result<(), Obstacle>>> },
    Outcome { finished: Arc<Finished>, answer: oneshot::Sender<store::Result<()>> },
}

/// A held send that is done with.
struct Finished {
    held: ClaimedSend,
    outcome: Outcome,
    decisions: Vec<Decision>,
}

impl Ledger {
    /// Starts the writer; its task ends when the last handle is dropped and everything is written.
    pub(super) fn start(app: App, shutdown: CancellationToken) -> (Self, JoinHandle<()>) {
        let (entries, waiting) = mpsc::channel(MOST_WAITING);
        (Self { entries, unwritten: Arc::default(), shutdown }, tokio::spawn(write_all(app, waiting)))
    }

    /// Writes that a send is about to leave. An error or an obstacle means: it must not.
    pub(super) async fn intent(&self, intent: Intent) -> store::Result<Result<(), Obstacle>> {
        let (answer, answered) = oneshot::channel();
        if self.entries.send(Entry::Intent { intent, answer }).await.is_err() {
            return Ok(Err(Obstacle::Lost));
        }
        let begun = answered.await.unwrap_or(Ok(Err(Obstacle::Lost)));
        if let Err(error) = &begun {
            self.unwritten.intent_failed(error);
        }
        begun
    }

    /// Writes how a send came out, however long the database takes to answer: forgetting it would leave the send in
    /// doubt. What it left by is let go once it stands in line.
    pub(super) async fn outcome(
        &self,
        held: ClaimedSend,
        outcome: Outcome,
        decisions: Vec<Decision>,
        mut line: Option<Line>,
    ) {
        let finished = Arc::new(Finished { held, outcome, decisions });
        let mut waiting: Option<Waiting<'_>> = None;
        for failures in 1.. {
            let (answer, answered) = oneshot::channel();
            if self.entries.send(Entry::Outcome { finished: Arc::clone(&finished), answer }).await.is_err() {
                return;
            }
            drop(line.take());
            match answered.await {
                Ok(Ok(())) => {
                    if let Some(waiting) = waiting {
                        waiting.written();
                    }
                    return;
                }
                Err(_) => return,
                Ok(Err(error)) => {
                    let waiting = waiting.get_or_insert_with(|| self.unwritten.one_more());
                    waiting.failed(&error);
                    waiting.again(failures, &self.shutdown).await;
                }
            }
        }
    }
}

async fn write_all(app: App, mut waiting: mpsc::Receiver<Entry>) {
    let mut group = Vec::with_capacity(MOST_AT_ONCE);
    while waiting.recv_many(&mut group, MOST_AT_ONCE).await > 0 {
        let mut entries = std::mem::take(&mut group);
        match write_group_again(&app, &entries).await {
            Ok(results) => {
                for (entry, result) in entries.drain(..).zip(results) {
                    entry.answer(Ok(result));
                }
            }
            // One entry that can't be written must not take the others with it.
            Err(_) if entries.len() > 1 => {
                for entry in entries.drain(..) {
                    let result = write_group(&app, std::slice::from_ref(&entry)).await;
                    entry.answer(result.map(|mut results| results.pop().unwrap_or(Ok(()))));
                }
            }
            Err(error) => {
                if let Some(entry) = entries.pop() {
                    entry.answer(Err(error));
                }
            }
        }
        group = entries;
    }
}

/// Another node's transaction may be in the way: that is no fault of any entry, and the group is written once more.
async fn write_group_again(app: &App, entries: &[Entry]) -> store::Result<Vec<Result<(), Obstacle>>> {
    match write_group(app, entries).await {
        Err(error) if error.is_conflict() => write_group(app, entries).await,
        written => written,
    }
}

/// One transaction. For an outcome the inner result is always fine. Outcomes come first: what they stop must not leave.
async fn write_group(app: &App, entries: &[Entry]) -> store::Result<Vec<Result<(), Obstacle>>> {
    let now = app.clock.now();
    let judge_at = now.plus(app.config.health_interval);
    let (mut taken, mut others, mut intents, mut decided) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        match entry {
            Entry::Intent { intent, .. } => intents.push(intent),
            Entry::Outcome { finished, .. } => {
                decided.extend_from_slice(&finished.decisions);
                match finished.accepted() {
                    Some(accepted) => taken.push(accepted),
                    None => others.push(&**finished),
                }
            }
        }
    }
    let (mut tx, known) = match others.is_empty() {
        true => begin_knowing(app, &taken).await?,
        false => write_one_by_one(app, &others, &taken, now, judge_at).await?,
    };
    let mut writes = tx.writes();
    decisions::insert_many(&mut writes, &decided);
    accepted::accepted(&mut tx, &mut writes, &taken, known, app.node, now, judge_at).await?;
    let moved = sends::begin_sending(&mut writes, &intents, app.node);
    let moved = tx.commit_with(writes).await?.rows(moved);
    let mut begun = begun(app, &intents, moved).await?.into_iter();
    let result = |entry: &Entry| match entry {
        Entry::Intent { .. } => begun.next().unwrap_or(Err(Obstacle::Lost)),
        Entry::Outcome { .. } => Ok(()),
    };
    Ok(entries.iter().map(result).collect())
}

/// Begins the transaction of a group that has nothing but acceptances and intents, as nearly all have.
async fn begin_knowing(app: &App, taken: &[Accepted<'_>]) -> store::Result<(Tx, Known)> {
    let mut reads = app.store.reads();
    let asked = accepted::ask(&mut reads, taken, app.node);
    let (tx, answers) = app.store.begin_with(reads).await?;
    Ok((tx, asked.known(&answers)?))
}

/// Begins one with what came out otherwise. How the accepted ones stand is asked behind that, which may have changed it.
async fn write_one_by_one(
    app: &App,
    others: &[&Finished],
    taken: &[Accepted<'_>],
    now: Timestamp,
    judge_at: Timestamp,
) -> store::Result<(Tx, Known)> {
    let mut tx = app.store.begin().await?;
    if others.len() + taken.len() > 1 {
        let all = others.iter().map(|finished| &finished.held).chain(taken.iter().map(|accepted| accepted.held));
        delivery::hold_all(&mut tx, &all.collect::<Vec<_>>()).await?;
    }
    for finished in others {
        finished.outcome.write(&mut tx, &finished.held, now, judge_at).await?;
    }
    let known = accepted::known(&mut tx, taken, app.node).await?;
    Ok((tx, known))
}

/// What stands in the way of each intent. That so many rows were `moved` as there are intents tells all, which is nearly
/// always so. Otherwise it is looked at once they are committed: what is on its way by then was let go.
async fn begun(app: &App, intents: &[&Intent], moved: usize) -> store::Result<Vec<Result<(), Obstacle>>> {
    if moved == intents.len() {
        return Ok(vec![Ok(()); intents.len()]);
    }
    sends::begun(&mut *app.store.read().await?, app.store.dialect(), intents, app.node).await
}

impl Finished {
    fn accepted(&self) -> Option<Accepted<'_>> {
        let Outcome::Accepted { ending, next } = &self.outcome else { return None };
        Some(Accepted { held: &self.held, ending, next: next.as_ref() })
    }
}

impl Entry {
    /// Who no longer waits (it was cancelled) needs no answer.
    fn answer(self, result: store::Result<Result<(), Obstacle>>) {
        match self {
            Self::Intent { answer, .. } => drop(answer.send(result)),
            Self::Outcome { answer, .. } => drop(answer.send(result.map(|_| ()))),
        }
    }
}
