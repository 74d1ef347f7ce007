//! Campaigns as stories need them: a builder for the JSON with everything optional left short, and the made campaign with
//! the questions that stories ask of it.

use ampout::demo::smtp_receiver::SmtpReceiver;
use anyhow::Context;
use serde_json::{Map, Value, json};

use crate::api::{Api, text};

/// The password of every credential and mailbox of the stories.
pub const PASSWORD: &str = "correct horse 7";

/// A campaign to be made: no waits, no MX look-up, one step, until told otherwise.
#[derive(Debug, Clone)]
pub struct CampaignPlan {
    fields: Map<String, Value>,
    credentials: Vec<Value>,
    steps: Vec<Value>,
}

/// A campaign that was made.
#[derive(Debug, Clone)]
pub struct Campaign {
    api: Api,
    /// Its id.
    pub id: String,
}

/// A credential that sends through `receiver` as `from`, who is its login name as well. `tls` as the API has it.
pub fn credential(from: &str, receiver: &SmtpReceiver, tls: &str) -> Value {
    json!({
        "smtp_host": "127.0.0.1", "smtp_port": receiver.address().port(), "smtp_tls": tls, "smtp_username": from,
        "smtp_password": PASSWORD, "from_name": "Ada Lovelace", "from_email": from, "daily_limit": 1000,
    })
}

/// The same credential with other values.
pub fn altered(mut credential: Value, changes: Value) -> Value {
    if let (Some(credential), Some(changes)) = (credential.as_object_mut(), changes.as_object()) {
        credential.extend(changes.clone());
    }
    credential
}

/// The same credential with a mailbox on 127.0.0.1 of the same name.
pub fn with_mailbox(credential: Value, port: u16, tls: &str) -> Value {
    let name = credential["from_email"].clone();
    let mailbox = json!({ "imap_host": "127.0.0.1", "imap_port": port, "imap_tls": tls, "imap_username": name,
                          "imap_password": PASSWORD });
    altered(credential, mailbox)
}

impl CampaignPlan {
    /// The smallest.
    pub fn new(name: &str) -> Self {
        let fields = json!({ "name": name, "min_wait_seconds": 0, "max_wait_seconds": 0 });
        let fields = fields.as_object().cloned().unwrap_or_default();
        Self { fields, credentials: Vec::new(), steps: Vec::new() }
    }

    /// Any field of the campaign.
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// One more credential.
    pub fn credential(mut self, credential: Value) -> Self {
        self.credentials.push(credential);
        self
    }

    /// One more step, `delay_minutes` after the one before.
    pub fn step(mut self, delay_minutes: u32, subject: &str, body_html: &str) -> Self {
        let position = self.steps.len() + 1;
        self.steps.push(json!({ "position": position, "subject": subject, "body_html": body_html,
                                "delay_minutes": delay_minutes }));
        self
    }

    /// The body of `POST /campaigns`.
    pub fn body(mut self) -> Value {
        if self.steps.is_empty() {
            self = self.step(0, "A question", "<p>Hi {{first_name}}</p>");
        }
        self.fields.insert("smtp_credentials".to_owned(), self.credentials.into());
        self.fields.insert("sequence_steps".to_owned(), self.steps.into());
        json!({ "campaign": self.fields })
    }

    /// Makes it.
    pub async fn make(self, api: &Api) -> anyhow::Result<Campaign> {
        let made = api.post("/campaigns", self.body()).await?;
        Ok(Campaign { api: api.clone(), id: text(&made["id"])?.to_owned() })
    }
}

impl Campaign {
    /// Imports contacts with these addresses and enrolls them in one batch.
    pub async fn enroll(&self, addresses: &[&str]) -> anyhow::Result<Value> {
        let contacts = addresses.iter().map(|email| json!({ "email": email, "first_name": "Bo" })).collect();
        self.enroll_contacts(contacts, 1_000_000).await
    }

    /// Imports these contacts and enrolls them in batches.
    pub async fn enroll_contacts(&self, contacts: Vec<Value>, batch_size: usize) -> anyhow::Result<Value> {
        let import = json!({ "contact_import": { "name": "a list", "contacts": contacts } });
        let import = self.api.post("/contact_imports", import).await?;
        let body = json!({ "contact_import_id": import["id"], "batch_size": batch_size });
        self.api.post(&self.path("/enroll"), body).await
    }

    /// Tells it to go.
    pub async fn dispatch(&self) -> anyhow::Result<Value> {
        self.api.post(&self.path("/dispatch"), json!({})).await
    }

    /// Enrolls and dispatches.
    pub async fn send_to(&self, addresses: &[&str]) -> anyhow::Result<()> {
        self.enroll(addresses).await?;
        self.dispatch().await.map(drop)
    }

    /// `GET /campaigns/:id`.
    pub async fn show(&self) -> anyhow::Result<Value> {
        self.api.get(&self.path("")).await
    }

    /// `GET /campaigns/:id/explain`.
    pub async fn explain(&self) -> anyhow::Result<Value> {
        self.api.get(&self.path("/explain")).await
    }

    /// The figures of the credential that sends as `from`.
    pub async fn figures_of(&self, from: &str) -> anyhow::Result<Value> {
        let shown = self.show().await?;
        let found = shown["credentials"].as_array().into_iter().flatten().find(|one| one["from_email"] == from);
        found.cloned().with_context(|| format!("no credential {from} in {shown}"))
    }

    /// The credential that sends as `from`, as its own address shows it.
    pub async fn credential(&self, from: &str) -> anyhow::Result<Value> {
        let id = self.figures_of(from).await?["id"].clone();
        self.api.get(&self.path(&format!("/smtp_credentials/{}", text(&id)?))).await
    }

    /// The enrollment of the contact with this address.
    pub async fn enrollment_of(&self, email: &str) -> anyhow::Result<Value> {
        let enrollments = self.api.get(&self.path("/enrollments?limit=1000")).await?;
        for enrollment in enrollments.as_array().into_iter().flatten() {
            let contact = self.api.get(&format!("/contacts/{}", text(&enrollment["contact_id"])?)).await?;
            if contact["email"] == email {
                return Ok(enrollment.clone());
            }
        }
        anyhow::bail!("nobody with {email} is enrolled")
    }

    /// The facts of the enrollment of the contact with this address, oldest first.
    pub async fn timeline_of(&self, email: &str) -> anyhow::Result<Vec<Value>> {
        let enrollment = self.enrollment_of(email).await?;
        let timeline = self.api.get(&format!("/enrollments/{}/timeline", text(&enrollment["id"])?)).await?;
        timeline.as_array().cloned().context("a timeline is a list")
    }

    /// How often the contact with this address was told to a server.
    pub async fn transactions_of(&self, email: &str) -> anyhow::Result<Vec<Value>> {
        let timeline = self.timeline_of(email).await?;
        Ok(timeline.into_iter().filter(|fact| fact["kind"] == "transaction").collect())
    }

    /// Waits until the enrollment of this address has this status.
    pub async fn becomes(&self, email: &str, status: &str) -> anyhow::Result<Value> {
        crate::wait::eventually(&format!("{email} to be {status}"), async || {
            let enrollment = self.enrollment_of(email).await.map_err(|error| format!("{error:#}"))?;
            if enrollment["status"] == status { Ok(enrollment) } else { Err(enrollment.to_string()) }
        })
        .await
    }

    /// The address below this campaign's.
    pub fn path(&self, below: &str) -> String {
        format!("/campaigns/{}{below}", self.id)
    }
}
