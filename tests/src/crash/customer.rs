//! The customer of the nodes that are killed: makes calls until one is answered, each with an `Idempotency-Key` as the
//! contract advises, and reads by the API what came of them.

use std::time::Duration;

use ampout::demo::smtp_receiver::SmtpReceiver;
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::nodes::{Bases, Nodes};
use super::seen::{Event, Seen};
use super::{CREDENTIALS, SENDER, STANDSTILL};
use crate::api::{Api, text};
use crate::campaign::{CampaignPlan, altered, credential};
use crate::webhook_receiver::WebhookReceiver;

/// Contacts of a batch.
const BATCH_SIZE: usize = 500;
/// The API's longest page.
const PAGE: usize = 1000;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);
/// How long a call may take at a node that may be killed meanwhile.
const LONGEST_CALL: Duration = Duration::from_secs(60);

/// A customer with a campaign of two steps and a webhook for everything. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Customer {
    bases: Bases,
    key: String,
    campaign: String,
}

impl Customer {
    pub(super) async fn sign_up(nodes: &Nodes, app: &WebhookReceiver, server: &SmtpReceiver) -> anyhow::Result<Self> {
        let bases = nodes.bases();
        let api = Api::sign_up(&bases.pick(0).context("no node runs")?).await?;
        let plan = (0..CREDENTIALS).fold(CampaignPlan::new("Crashes"), |plan, n| {
            let own = credential(&format!("ada{n}@lovelace.test"), server, "none");
            plan.credential(altered(own, json!({ "smtp_username": SENDER, "daily_limit": 1_000_000 })))
        });
        let lines = "<p>Nobody reads so much, but it has to arrive.</p>".repeat(30);
        let body = format!("<p>Hi {{{{first_name}}}}</p>{lines}");
        let plan = plan.step(0, "A question", &body).step(0, "Did you see it?", &body);
        let campaign = plan.make(&api).await?.id;
        api.post("/webhooks", json!({ "webhook": { "url": app.url(), "event_filters": ["*"] } })).await?;
        Ok(Self { bases, key: api.key().to_owned(), campaign })
    }

    /// Imports so many contacts, enrolls them and lets them go, whatever is killed meanwhile.
    pub(super) async fn send_to(self, contacts: usize) -> anyhow::Result<()> {
        let contacts: Vec<Value> =
            (0..contacts).map(|n| json!({ "email": format!("bo{n}@there.test"), "first_name": "Bo" })).collect();
        let import = json!({ "contact_import": { "name": "a list", "contacts": contacts } });
        let import = self.surely("/contact_imports", import).await?;
        let enroll = json!({ "contact_import_id": import["id"], "batch_size": BATCH_SIZE });
        self.surely(&format!("/campaigns/{}/enroll", self.campaign), enroll).await?;
        self.surely(&format!("/campaigns/{}/dispatch", self.campaign), json!({})).await?;
        Ok(())
    }

    pub(super) async fn is_finished(&self) -> anyhow::Result<bool> {
        Ok(self.get(&format!("/campaigns/{}", self.campaign)).await?["status"] == "finished")
    }

    /// All that the API shows of it.
    pub(super) async fn look(&self) -> anyhow::Result<Seen> {
        let campaign = self.get(&format!("/campaigns/{}", self.campaign)).await?;
        let status = self.get("/status").await?;
        let newest_first = self.pages(&format!("/campaigns/{}/enrollments", self.campaign)).await?;
        let mut statuses = Vec::new();
        for enrollment in &newest_first {
            statuses.push((text(&enrollment["id"])?.to_owned(), text(&enrollment["status"])?.to_owned()));
        }
        let stream = self.pages("/events").await?;
        let events = stream.iter().map(Event::of).collect::<anyhow::Result<_>>()?;
        Ok(Seen { campaign, status, statuses, events, ..Seen::default() })
    }

    async fn pages(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let after = match all.last() {
                Some(last) => format!("&after={}", text(&last["id"])?),
                None => String::new(),
            };
            let page = self.get(&format!("{path}?limit={PAGE}{after}")).await?;
            let page = page.as_array().context("a page is a list")?;
            all.extend(page.iter().cloned());
            if page.len() < PAGE {
                return Ok(all);
            }
        }
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Api::new(&self.bases.pick(0).context("no node runs")?, &self.key)?.get(path).await
    }

    /// Makes a call, again and at the next node, until it is answered as it should be.
    async fn surely(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        let tries = async {
            for turn in 0.. {
                let Some(base) = self.bases.pick(turn) else {
                    sleep(BETWEEN_TRIES).await;
                    continue;
                };
                // A path is called once.
                let api = Api::new(&base, &self.key)?.once(path);
                let answer = timeout(LONGEST_CALL, api.call(reqwest::Method::POST, path, Some(body.clone()))).await;
                match answer {
                    Ok(Ok(answer)) if answer.status.is_success() => return answer.succeeded(),
                    // 409: the node that was killed had begun it; 5xx: the node is ending.
                    Ok(Ok(answer)) => {
                        let may_be_better_later = answer.status.as_u16() == 409 || answer.status.is_server_error();
                        ensure!(may_be_better_later, "{path} was answered {}: {}", answer.status, answer.text);
                    }
                    Ok(Err(_)) | Err(_) => {}
                }
                sleep(BETWEEN_TRIES).await;
            }
            anyhow::bail!("{path} was never answered")
        };
        timeout(4 * STANDSTILL, tries).await.with_context(|| format!("{path} was not answered for {STANDSTILL:?}"))?
    }
}
