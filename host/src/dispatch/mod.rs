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
mod leases;
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
mod used_up;
mod worker;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::domain::Timestamp;
use crate::domain::campaign::Campaign;
use crate::domain::ids::SendId;
use crate::store::sends;
use crate::store::{self, campaigns, facts};
use crate::wake::Wake;
use claim::{Memory, Round};
use held::Held;
use lasting::Lasting;
use ledger::Ledger;
use quiet::Quiet;
use turns::Turns;

/// Sends that a node holds at once, whatever its settings: leases of all of them are extended together.
const MOST_HELD: usize = 2_048;
/// Without a bell the due work is looked for this often: another node may have planned it.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// After an error of the database.
const AFTER_ERROR: Duration = Duration::from_secs(1);

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
    let (ledger, mut writer) = Ledger::start(app.clone(), shutdown.clone());
    let held = Held::default();
    let turns = Turns::new(app.config.smtp_connections_per_credential, app.config.smtp_connections_per_account);
    let dispatcher =
        Dispatcher { app: app.clone(), ledger, held: held.clone(), turns: turns.clone(), shutdown: shutdown.clone() };
    let memory = Memory::default();
    let mut quiet = Quiet::default();
    let mut workers = JoinSet::new();
    let mut rounds: usize = 0;
    let mut next = app.clock.now();
    let mut woken = Woken::Time;
    let mut has_writer = true;
    let mut claiming = Lasting::default();
    let heartbeat = tokio::spawn(leases::keep(app.clone(), held.clone(), turns.clone(), shutdown.clone()));
    let recovering = tokio::spawn(leases::free_those_of_the_dead(app.clone(), held.clone()));
    while !shutdown.is_cancelled() {
        if woken == Woken::Bell {
            quiet.forget();
        }
        let now = app.clock.now();
        // Further away than ever planned: the clock was set back.
        let is_time = now >= next || next > now.plus(LOOK_AGAIN);
        if woken != Woken::Time || is_time {
            rounds = rounds.wrapping_add(1);
            held.mark();
            next = match round(&dispatcher, &memory, &mut quiet, &mut workers, rounds).await {
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
        woken = tokio::select! {
            woken = wait_for_work(&app, &held, &mut workers, next, &shutdown) => woken,
            // Without it a node would claim on and on and send nothing.
            _ = &mut writer => {
                has_writer = false;
                shutdown.cancel();
                break;
            }
        };
    }
    while let Some(ended) = workers.join_next().await {
        reap(ended);
    }
    heartbeat.abort();
    recovering.abort();
    // The last handle: the writer writes what it has and ends.
    drop(dispatcher);
    if !has_writer || writer.await.is_err() {
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
    memory: &Memory,
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
        // A round over thousands of campaigns may take longer than a lease.
        let now = app.clock.now();
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
        let round = match claim::claim(app, held, memory, campaign, room, now).await {
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
                if let Err(error) = finish_if_done(app, &campaign, now).await {
                    if error.is_passing() && !error.is_conflict() {
                        return Err(error);
                    }
                    tracing::warn!(campaign.id = %campaign.id, error = &error as &dyn std::error::Error,
                        "A campaign could not be finished");
                    next = next.min(now.plus(AFTER_ERROR));
                }
            }
        }
    }
    Ok(next)
}

async fn finish_if_done(app: &App, campaign: &Campaign, now: Timestamp) -> store::Result<()> {
    let mut tx = app.store.begin().await?;
    facts::campaign::finish_if_done(&mut tx, campaign, now).await?;
    tx.commit().await
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
