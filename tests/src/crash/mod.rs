//! The engine killed at random moments: the real binary on one node or several, `kill -9` while it sends, a restart, and in
//! the end the comparison of what the mail server has with what the ledger, the API, the events and the webhooks say.
//!
//! The mail server and the customer's app live in the test's process, so that they outlive every kill. A seed makes the
//! moments; where the processes are at those moments is the machine's, so a seed narrows a failure down and does not
//! replay it.

mod customer;
mod ledger;
mod nodes;
mod random;
mod report;
mod seen;
mod verdict;

use std::time::Duration;

use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::{Action, Moment, ReceiverTls, SmtpReceiver};
use anyhow::{Context, ensure};
use tokio::time::{Instant, sleep};

use crate::engine::Database;
use crate::installation::Installation;
use crate::provider::provider;
use crate::webhook_receiver::WebhookReceiver;
use customer::Customer;
use nodes::Nodes;
use random::Random;
pub use report::Report;
use seen::Seen;

/// Who logs in to the server.
const SENDER: &str = "ada@lovelace.test";
/// Credentials of the campaign, all with the same login.
const CREDENTIALS: usize = 2;
/// Connections that a node may open for each: the engine's default.
const CONNECTIONS: usize = 4;
/// How long a dead node's sends stay its own. Long enough for a living node on a busy machine to hold on to its own.
const LEASE_SECONDS: &str = "10";
/// The server has a message at once and says so after up to so many milliseconds: the time in which a kill makes doubts.
const SLOWEST_ANSWER: u64 = 12;
/// A kill while a node starts comes within so many milliseconds.
const LONGEST_START: u64 = 2_500;
/// Nothing may stand still for so long: above the leases of sends and of webhook deliveries.
const STANDSTILL: Duration = Duration::from_secs(90);
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// What is done to whom.
#[derive(Debug, Clone, Copy)]
pub struct CrashPlan {
    /// On which database.
    pub database: Database,
    /// How many nodes share it.
    pub nodes: usize,
    /// How many kills.
    pub kills: u64,
    /// How many messages, in two steps each contact.
    pub messages: u64,
    /// What makes the moments.
    pub seed: u64,
}

impl CrashPlan {
    /// A plan with these figures, or with those of `AMPOUT_TESTS_KILLS`, `AMPOUT_TESTS_MESSAGES` and `AMPOUT_TESTS_SEED`.
    pub fn new(database: Database, nodes: usize, kills: u64, messages: u64) -> anyhow::Result<Self> {
        let given = |name: &str| -> anyhow::Result<Option<u64>> {
            let Ok(text) = std::env::var(name) else { return Ok(None) };
            text.parse().map(Some).with_context(|| format!("{name}={text} is no number"))
        };
        Ok(Self {
            database,
            nodes,
            kills: given("AMPOUT_TESTS_KILLS")?.unwrap_or(kills),
            messages: given("AMPOUT_TESTS_MESSAGES")?.unwrap_or(messages),
            seed: given("AMPOUT_TESTS_SEED")?.unwrap_or_else(random::any_seed),
        })
    }

    /// Does it. An error names the seed and the promises that were broken.
    pub async fn run(self) -> anyhow::Result<Report> {
        self.run_seeded().await.with_context(|| format!("with AMPOUT_TESTS_SEED={}", self.seed))
    }

    async fn run_seeded(self) -> anyhow::Result<Report> {
        let begun = Instant::now();
        let mut random = Random::new(self.seed);
        let server = slow_server(self.seed).await?;
        let app = WebhookReceiver::start().await?;
        let installation = Installation::on(
            self.database,
            &[
                ("AMPOUT_LEASE_SECONDS", LEASE_SECONDS),
                ("AMPOUT_SMTP_CONNECTIONS_PER_CREDENTIAL", &CONNECTIONS.to_string()),
            ],
        )
        .await?;
        let database = ledger::Place::of(&installation);
        let mut nodes = Nodes::start(installation, self.nodes).await?;
        let customer = Customer::sign_up(&nodes, &app, &server).await?;

        let contacts = usize::try_from(self.messages / 2)?;
        let mut errand = Some(tokio::spawn(customer.clone().send_to(contacts)));
        // So many may come before the customer's calls are answered; the others are for what leaves.
        let early = self.kills / 10 + 1;
        let mut kills = Vec::new();
        for kill in 0..self.kills {
            if let Some(errand) = errand.take_if(|errand| kill >= early || errand.is_finished()) {
                errand.await??;
            }
            wait_for_moment(&server, &mut random, self.messages, self.kills - kill, errand.is_none()).await;
            let victim = choose(&nodes, &database, &mut random).await?;
            let node = nodes.kill(victim).await?;
            let sending = match &node {
                Some(node) => database.sending_of(node).await?,
                None => Vec::new(),
            };
            tell(self.seed, kill, node.as_deref(), server.accepted(), sending.len());
            kills.push(sending);
            nodes.restart(victim).await?;
        }
        if let Some(errand) = errand {
            errand.await??;
        }
        self.wait_for_the_end(&database, &customer, &app).await?;

        let mut seen = Seen {
            contacts,
            connections_a_node: CONNECTIONS * CREDENTIALS,
            kills,
            at_server: server.messages().iter().filter_map(|message| message.message_id.clone()).collect(),
            ledger: database.read().await?,
            ..customer.look().await?
        };
        seen.hear(&app.requests())?;
        let broken = seen.broken_promises();
        ensure!(broken.is_empty(), "{} promises were broken:\n{}", broken.len(), broken.join("\n"));
        Ok(Report::new(self, begun.elapsed(), seen))
    }

    /// Until the campaign is finished and every event was told, or nothing has moved for too long.
    async fn wait_for_the_end(
        &self,
        database: &ledger::Place,
        customer: &Customer,
        app: &WebhookReceiver,
    ) -> anyhow::Result<()> {
        let mut last = String::new();
        let mut moved = Instant::now();
        loop {
            let state = database.progress().await?;
            let told = seen::distinct_events(&app.requests());
            if state.is_done() && customer.is_finished().await? && told >= state.events {
                return Ok(());
            }
            let now = format!("{state:?}, {told} events told");
            if now != last {
                (last, moved) = (now, Instant::now());
            }
            ensure!(moved.elapsed() < STANDSTILL, "nothing has moved for {STANDSTILL:?}: {last}");
            sleep(BETWEEN_LOOKS).await;
        }
    }
}

/// A mail server that takes everything, without TLS so that the pace is the engine's, and answers a moment later.
async fn slow_server(seed: u64) -> anyhow::Result<SmtpReceiver> {
    let server = provider(SENDER, ReceiverTls::None, &Certificates::generate()?).await?;
    let random = std::sync::Mutex::new(Random::new(seed.wrapping_add(1)));
    server.set_rule(move |moment| {
        let Moment::Message { .. } = moment else { return None };
        let mut random = random.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Some(Action::AnswerAfter(Duration::from_millis(random.below(SLOWEST_ANSWER))))
    });
    Ok(server)
}

/// A random moment: of every four kills one comes while the node may still be starting, the others when some more messages
/// have left. Before the customer's calls are answered all come by the clock. `kills_left` counts this one.
async fn wait_for_moment(
    server: &SmtpReceiver,
    random: &mut Random,
    messages: u64,
    kills_left: u64,
    is_under_way: bool,
) {
    if !is_under_way || random.below(4) == 0 {
        sleep(Duration::from_millis(random.below(LONGEST_START))).await;
        return;
    }
    let accepted = server.accepted();
    // On average an equal share of what is left, so that the last kill still meets mail on its way.
    let share = random.below(2 * messages.saturating_sub(accepted) / (kills_left + 1) + 1);
    // What is missing may wait for leases to end, or be in doubt.
    server.wait_for(accepted + share, STANDSTILL / 3).await;
    sleep(Duration::from_micros(random.below(30_000))).await;
}

/// A node at random, but where there are several three times of four one that is sending: the others have nothing to lose.
async fn choose(nodes: &Nodes, database: &ledger::Place, random: &mut Random) -> anyhow::Result<usize> {
    if nodes.count() > 1 && random.below(4) > 0 {
        let busy = database.who_is_sending().await?;
        let name = busy.get(random.below_usize(busy.len()));
        if let Some(place) = name.and_then(|name| nodes.place_of(name)) {
            return Ok(place);
        }
    }
    Ok(random.below_usize(nodes.count()))
}

/// Shown by `--nocapture`, and with the failure otherwise.
fn tell(seed: u64, kill: u64, node: Option<&str>, accepted: u64, sending: usize) {
    let node = node.unwrap_or("that has just begun");
    println!("seed {seed}: kill {}: node {node} with {sending} on their way, {accepted} messages accepted", kill + 1);
}
