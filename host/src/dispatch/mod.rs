//! Sending: due work → credential → send gate → SMTP → ledger.
//!
//! [`plan`] gives enrollments their times, `claim` takes what is due under a lease, `worker` brings one message to its
//! server, `ledger` writes intents and outcomes of many at once. [`run`] is the loop around them.

mod allowance;
mod claim;
mod compose;
mod connect;
mod gate_question;
mod held;
mod lasting;
mod ledger;
mod open_credential;
mod outcome;
pub mod plan;
mod quiet;
pub mod render;
mod sequence;
mod sequences;
mod standing;
pub mod test_send;
mod turns;
mod unwritten;
mod worker;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::domain::Timestamp;
use crate::domain::ids::SendId;
use crate::store::sends::{self, Lease};
use crate::store::{self, campaigns, facts};
use crate::wake::Wake;
use claim::Round;
use held::Held;
use lasting::Lasting;
use ledger::Ledger;
use quiet::Quiet;
use sequences::Sequences;
use turns::Turns;

/// Sends that a node holds at once, whatever its settings: leases of all of them are extended together.
const MOST_HELD: usize = 2_048;
/// Without a bell the due work is looked for this often: another node may have planned it.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// Sends of dead nodes are looked for this often, by an idle node, too: with the lease it is how long a dead node's work lies.
const RECOVER_AGAIN: Duration = Duration::from_secs(2);
/// After an error of the database.
const AFTER_ERROR: Duration = Duration::from_secs(1);
const MOST_RECOVERED: i64 = 500;

/// What rounds and workers share. Cheap to clone.
#[derive(Clone)]
struct Dispatcher {
    app: App,
    ledger: Ledger,
    held: Held,
    turns: Turns,
    shutdown: CancellationToken,
}

/// Sends of one credential that a node holds at once.
pub fn most_held(app: &App) -> u64 {
    u64::try_from(claim::most_held(app)).unwrap_or(u64::MAX)
}

/// Sends until `shutdown`; then what is on its way is finished and written, and what is only held given back, before it
/// returns.
pub async fn run(app: App, shutdown: CancellationToken) {
    let (ledger, writer) = Ledger::start(app.clone(), shutdown.clone());
    let held = Held::default();
    let turns = Turns::new(app.config.smtp_connections_per_credential, app.config.smtp_connections_per_account);
    let dispatcher =
        Dispatcher { app: app.clone(), ledger, held: held.clone(), turns: turns.clone(), shutdown: shutdown.clone() };
    let sequences = Sequences::default();
    let mut quiet = Quiet::default();
    let mut workers = JoinSet::new();
    let mut rounds: usize = 0;
    let mut recover_at = app.clock.now();
    let mut next = recover_at;
    let mut woken = Woken::Time;
    let (mut recovering, mut claiming) = (Lasting::default(), Lasting::default());
    let heartbeat = tokio::spawn(keep_leases(app.clone(), held.clone(), turns.clone(), shutdown.clone()));
    while !shutdown.is_cancelled() {
        // Further away than ever planned: the clock was set back.
        let is_time = |at: Timestamp, after: Duration, now: Timestamp| now >= at || at > now.plus(after);
        let now = app.clock.now();
        if is_time(recover_at, RECOVER_AGAIN, now) {
            recover_at = now.plus(RECOVER_AGAIN);
            match recover(&app, &held).await {
                Ok(freed) => {
                    recovering.works(Instant::now());
                    if freed > 0 {
                        woken = Woken::Bell;
                    }
                }
                Err(error) if recovering.fails(Instant::now()) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "Freeing the sends of dead nodes failed");
                }
                Err(_) => {}
            }
        }
        if woken == Woken::Bell {
            quiet.forget();
        }
        // Looking through all campaigns whenever it looks for the dead would keep an idle node busy.
        if woken != Woken::Time || is_time(next, LOOK_AGAIN, now) {
            rounds = rounds.wrapping_add(1);
            held.mark();
            next = match round(&dispatcher, &sequences, &mut quiet, &mut workers, rounds).await {
                Ok(next) => {
                    claiming.works(Instant::now());
                    next
                }
                Err(error) => {
                    if claiming.fails(Instant::now()) {
                        tracing::warn!(error = &error as &dyn std::error::Error, "Claiming sends failed");
                    }
                    app.clock.now().plus(AFTER_ERROR)
                }
            };
        }
        woken = wait_for_work(&app, &held, &mut workers, next.min(recover_at), &shutdown).await;
    }
    while let Some(ended) = workers.join_next().await {
        reap(ended);
    }
    heartbeat.abort();
    // The last handle: the writer writes what it has and ends.
    drop(dispatcher);
    if writer.await.is_err() {
        tracing::error!("The ledger's writer ended by a panic");
    }
    app.smtp.close_all_idle().await;
    if let Err(error) = hand_over(&app).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "Other nodes could not be told; they look by themselves"
        );
    }
}

/// What this node would have claimed next is looked for by the others at once.
async fn hand_over(app: &App) -> store::Result<()> {
    let mut tx = app.store.begin().await?;
    tx.wake(Wake::Dispatch);
    tx.commit().await
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Woken {
    Time,
    Bell,
    /// A credential has room where it had none. A claim for each place that becomes free would cost more than the sending.
    Room,
}

/// Until there may be something to claim, or it is `until`.
async fn wait_for_work(
    app: &App,
    held: &Held,
    workers: &mut JoinSet<()>,
    until: Timestamp,
    shutdown: &CancellationToken,
) -> Woken {
    let work = async {
        tokio::select! {
            () = shutdown.cancelled() => Woken::Time,
            () = app.store.wakeups().wait(Wake::Dispatch) => Woken::Bell,
            () = held.drained() => Woken::Room,
            () = app.clock.sleep_until(until) => Woken::Time,
        }
    };
    tokio::pin!(work);
    loop {
        tokio::select! {
            woken = &mut work => return woken,
            Some(ended) = workers.join_next() => reap(ended),
        }
    }
}

/// Claims what is due and starts a worker for each. Gives the time to look again.
async fn round(
    dispatcher: &Dispatcher,
    sequences: &Sequences,
    quiet: &mut Quiet,
    workers: &mut JoinSet<()>,
    rounds: usize,
) -> store::Result<Timestamp> {
    let Dispatcher { app, held, .. } = dispatcher;
    let now = app.clock.now();
    let mut next = now.plus(LOOK_AGAIN);
    let mut active = campaigns::active(&mut *app.store.read().await?).await?;
    // Each round begins with another campaign, so that none is always the last to find room.
    let first = rounds % active.len().max(1);
    active.rotate_left(first);
    // More would only wait for connections while their leases run.
    let held_by = |connections: usize| MOST_HELD.min(connections.saturating_mul(claim::HELD_PER_CONNECTION));
    let most = held_by(app.config.smtp_connections);
    let most_of_account = held_by(app.config.smtp_connections_per_account);
    for (campaign, account) in active {
        let room = most.saturating_sub(held.len());
        if room == 0 {
            break;
        }
        let room = room.min(most_of_account.saturating_sub(held.of_account(account)));
        if room == 0 {
            continue;
        }
        if let Some(until) = quiet.until(campaign, now) {
            next = next.min(until);
            continue;
        }
        quiet.end(campaign);
        let round = match claim::claim(app, held, sequences, campaign, room, now).await {
            // What is wrong with one, or in the way of one, keeps no other waiting.
            Err(error) if error.is_conflict() || !error.is_passing() => {
                tracing::warn!(campaign.id = %campaign, error = &error as &dyn std::error::Error,
                    "Claiming sends of a campaign failed");
                next = next.min(now.plus(AFTER_ERROR));
                continue;
            }
            round => round?,
        };
        match round {
            Round::Claimed { context, sends, next_due } => {
                next = next.min(next_due.unwrap_or(next));
                for send in sends {
                    held.take(&send);
                    workers.spawn(hold(dispatcher.clone(), Arc::clone(&context), send));
                }
            }
            Round::Idle { next_due, is_quiet } => {
                next = next.min(next_due.unwrap_or(next));
                if is_quiet {
                    quiet.begin(campaign, next_due, now);
                }
            }
            Round::NothingLeft(campaign) => {
                let mut tx = app.store.begin().await?;
                facts::campaign::finish_if_done(&mut tx, &campaign, now).await?;
                tx.commit().await?;
            }
        }
    }
    Ok(next)
}

async fn hold(dispatcher: Dispatcher, context: Arc<claim::CampaignContext>, send: sends::ClaimedSend) {
    // Released on every way out, a panic among them: the lease then ends by itself.
    let _guard = Release { held: dispatcher.held.clone(), id: send.send.id };
    worker::bring(&dispatcher, &context, send).await;
}

struct Release {
    held: Held,
    id: SendId,
}

impl Drop for Release {
    fn drop(&mut self) {
        self.held.release(self.id);
    }
}

fn reap(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "A worker ended by a panic; its send is free when its lease ends");
    }
}

/// Leases that ended belonged to a node that died. Gives how many sends are due again.
async fn recover(app: &App, held: &Held) -> store::Result<usize> {
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    // After a step of the clock our own leases look ended, too.
    let lease = Lease { owner: app.node, until: now.plus(app.lease()) };
    sends::extend_leases(&mut tx, &held.ids(), lease).await?;
    let (freed, in_doubt) = sends::recover_expired(&mut tx, now, MOST_RECOVERED).await?;
    facts::doubt::left_behind(&mut tx, &in_doubt, now).await?;
    facts::delivery::release_all(&mut tx, &freed).await?;
    tx.commit().await?;
    if !in_doubt.is_empty() {
        tracing::warn!(sends = in_doubt.len(), "Sends are in doubt: a node stopped while it was sending them");
    }
    Ok(freed.len())
}

/// Holds on to what is being worked on, for as long as it takes.
async fn keep_leases(app: App, held: Held, turns: Turns, shutdown: CancellationToken) {
    let mut extending = Lasting::default();
    loop {
        app.clock.sleep(app.lease() / 3).await;
        app.smtp.close_idle().await;
        turns.forget_idle();
        let ids = held.ids();
        if ids.is_empty() {
            if shutdown.is_cancelled() {
                return;
            }
            continue;
        }
        let lease = Lease { owner: app.node, until: app.clock.now().plus(app.lease()) };
        match extend(&app, &ids, lease).await {
            Ok(()) => {
                extending.works(Instant::now());
            }
            Err(error) if extending.fails(Instant::now()) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "Leases could not be extended");
            }
            Err(_) => {}
        }
    }
}

async fn extend(app: &App, ids: &[SendId], lease: Lease) -> store::Result<()> {
    let mut tx = app.store.begin().await?;
    sends::extend_leases(&mut tx, ids, lease).await?;
    tx.commit().await
}
