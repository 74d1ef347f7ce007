//! A campaign on its way through a mail server that lives in the test's process: what the stories of faults begin with.

use std::collections::HashMap;
use std::time::Duration;

use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::{Action, Moment, ReceiverTls, SmtpReceiver};
use anyhow::ensure;

use crate::api::Api;
use crate::campaign::{Campaign, CampaignPlan, credential};
use crate::installation::Serving;
use crate::provider::provider;
use crate::wait::{PATIENCE, eventually_within};

const ADA: &str = "ada@lovelace.test";
/// Leases, rests and retries of a few seconds may come in between.
const LONG_PATIENCE: Duration = Duration::from_secs(90);
/// The server takes its time, so that a fault meets mail on its way.
const ANSWER: Duration = Duration::from_millis(10);

/// A campaign of one step and one credential, dispatched.
#[derive(Debug)]
pub struct Mailing {
    /// The provider.
    pub server: SmtpReceiver,
    /// The customer.
    pub api: Api,
    /// The campaign.
    pub campaign: Campaign,
    count: u64,
}

impl Mailing {
    /// Connections that the engine opens to the server at most: its default for a credential.
    pub const CONNECTIONS: u64 = 4;

    /// Signs up and writes to `count` people: `bo0@there.test` and so on.
    pub async fn start(serving: &Serving, count: u64) -> anyhow::Result<Self> {
        let answers =
            |moment: &Moment<'_>| matches!(moment, Moment::Message { .. }).then_some(Action::AnswerAfter(ANSWER));
        Self::start_with(serving, count, answers).await
    }

    /// The same through a server with this rule.
    pub async fn start_with(
        serving: &Serving,
        count: u64,
        rule: impl Fn(&Moment<'_>) -> Option<Action> + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let server = provider(ADA, ReceiverTls::None, &Certificates::generate()?).await?;
        server.set_rule(rule);
        let api = Api::sign_up(&serving.base()).await?;
        let plan = CampaignPlan::new("Faults").credential(credential(ADA, &server, "none"));
        let campaign = plan.make(&api).await?;
        let recipients: Vec<String> = (0..count).map(|n| format!("bo{n}@there.test")).collect();
        campaign.send_to(&recipients.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        Ok(Self { server, api, campaign, count })
    }

    /// Waits until the server has half of it.
    pub async fn half_has_left(&self) -> anyhow::Result<()> {
        let there = self.server.wait_for(self.count / 2, PATIENCE).await;
        ensure!(there, "waited {PATIENCE:?} for half of it; {} came", self.server.accepted());
        ensure!(self.server.accepted() < self.count, "all had left before the fault");
        Ok(())
    }

    /// Waits until so many are sent, so many in doubt and none due.
    pub async fn is_done(&self, sent: u64, in_doubt: u64) -> anyhow::Result<()> {
        self.is_done_by(&self.api, sent, in_doubt).await
    }

    /// The same, asked at another node.
    pub async fn is_done_by(&self, api: &Api, sent: u64, in_doubt: u64) -> anyhow::Result<()> {
        eventually_within(LONG_PATIENCE, &format!("{sent} to be sent and {in_doubt} in doubt"), async || {
            let shown = api.get(&self.campaign.path("")).await.map_err(|error| format!("{error:#}"))?;
            let queue = api.get("/status").await.map_err(|error| format!("{error:#}"))?["queue"].clone();
            let is_done = shown["totals"]["sent"] == sent && queue["due"] == 0 && queue["in_doubt"] == in_doubt;
            if is_done { Ok(()) } else { Err(format!("{}, {queue}", shown["totals"])) }
        })
        .await
    }

    /// Fails unless so many people have each got one message.
    pub fn each_has_arrived_once(&self, people: u64) -> anyhow::Result<()> {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for message in self.server.messages() {
            *counts.entry(message.to.join(",")).or_default() += 1;
        }
        let more: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
        ensure!(more.is_empty(), "got it more than once: {more:?}");
        ensure!(counts.len() == usize::try_from(people)?, "{} people of {people} have got it", counts.len());
        Ok(())
    }
}
