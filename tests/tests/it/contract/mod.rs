//! The contract's page, row by row, as a client meets it: one file for each of its sections, one test for each row. What a
//! row means in a whole story is told in `stories`; here it is the shape, the status and the code.

mod accounts;
mod campaigns;
mod contacts;
mod conventions;
mod credentials;
mod enrollments;
mod errors;
mod inbound;
mod outreaches;
mod recipients;
mod webhooks;

use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::{ReceiverTls, SmtpReceiver};
use ampout_tests::{Api, ApiAnswer, Campaign, CampaignPlan, Database, Engine, credential, provider, text};
use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};

const ADA: &str = "ada@lovelace.test";
const BO: &str = "bo@there.test";
/// No account has anything with this id.
const NOBODY: &str = "019ab7c0-0000-7000-8000-000000000000";

/// An engine and a provider that takes everything.
struct World {
    engine: Engine,
    provider: SmtpReceiver,
}

impl World {
    async fn start() -> anyhow::Result<Self> {
        let certificates = Certificates::generate()?;
        let provider = provider(ADA, ReceiverTls::Implicit, &certificates).await?;
        let engine = Engine::on(Database::Sqlite).trust(certificates.ca_pem()).start().await?;
        Ok(Self { engine, provider })
    }

    fn api(&self) -> &Api {
        &self.engine.api
    }

    fn credential(&self) -> Value {
        credential(ADA, &self.provider, "implicit")
    }

    fn plan(&self) -> CampaignPlan {
        CampaignPlan::new("Spring").credential(self.credential())
    }

    async fn campaign(&self) -> anyhow::Result<Campaign> {
        self.plan().make(self.api()).await
    }

    /// An import of these addresses; its id.
    async fn import(&self, addresses: &[&str]) -> anyhow::Result<String> {
        let contacts: Vec<Value> =
            addresses.iter().map(|email| json!({ "email": email, "first_name": "Bo" })).collect();
        let made =
            self.api().post("/contact_imports", json!({ "contact_import": { "name": "list", "contacts": contacts } }));
        Ok(text(&made.await?["id"])?.to_owned())
    }

    /// The first contact of an import.
    async fn contact(&self, address: &str) -> anyhow::Result<String> {
        let import = self.import(&[address]).await?;
        let contacts = self.api().get(&format!("/contact_imports/{import}/contacts")).await?;
        Ok(text(&contacts[0]["id"])?.to_owned())
    }

    async fn post(&self, path: &str, body: Value) -> anyhow::Result<ApiAnswer> {
        self.api().call(Method::POST, path, Some(body)).await
    }

    async fn delete(&self, path: &str) -> anyhow::Result<ApiAnswer> {
        self.api().call(Method::DELETE, path, None).await
    }
}

/// The body of an answer with this status.
fn with_status(answer: ApiAnswer, status: u16) -> anyhow::Result<Value> {
    ensure!(answer.status.as_u16() == status, "{} and not {status}: {}", answer.status, answer.text);
    Ok(answer.body)
}

/// The fields of a row, all there.
fn has(shown: &Value, fields: &str) -> anyhow::Result<()> {
    let there = shown.as_object().with_context(|| format!("no object: {shown}"))?;
    for field in fields.split([' ', ',']).filter(|field| !field.is_empty()) {
        ensure!(there.contains_key(field), "no {field} in {shown}");
    }
    Ok(())
}

/// An object with exactly these fields.
fn is(shown: &Value, fields: &str) -> anyhow::Result<()> {
    has(shown, fields)?;
    let count = fields.split([' ', ',']).filter(|field| !field.is_empty()).count();
    ensure!(shown.as_object().is_some_and(|there| there.len() == count), "more than {fields} in {shown}");
    Ok(())
}

/// The messages about a field of a refused body.
fn told_of<'a>(refused: &'a Value, field: &str) -> anyhow::Result<&'a Value> {
    let told = &refused["details"][field];
    ensure!(told.as_array().is_some_and(|messages| !messages.is_empty()), "nothing is said of {field} in {refused}");
    Ok(told)
}
