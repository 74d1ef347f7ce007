//! Test messages: one step to a few addresses of the customer's own, rendered with made-up data, through the very code and
//! connections that the campaign's messages go through. Nothing is written: no row of the ledger, no counter, no place of
//! a limit. Their pixel and their unsubscribe link are about nobody.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::compose::{Parts, compose};
use super::open_credential::OpenCredential;
use super::render::CompiledStep;
use crate::app::App;
use crate::domain::EmailAddress;
use crate::domain::campaign::{Campaign, Step};
use crate::domain::contact::Contact;
use crate::domain::credential::Credential;
use crate::domain::ids::{EnrollmentId, SendId};
use crate::smtp::{PooledConnection, TransactionOutcome};

/// All of it together: whoever asked is waiting.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// What became of one address: the error is for people.
pub type Tested = (EmailAddress, Result<(), String>);

/// Sends `step` to each of `recipients`, one after another over one connection.
pub async fn send(
    app: &App,
    campaign: &Campaign,
    step: &Step,
    credential: Credential,
    recipients: Vec<EmailAddress>,
) -> Vec<Tested> {
    let deadline = Instant::now() + TIME_LIMIT;
    let credential = OpenCredential::open(app, credential);
    let (step, mut connection) = match ready(app, step, &credential, deadline).await {
        Ok(ready) => ready,
        Err(error) => return recipients.into_iter().map(|to| (to, Err(error.clone()))).collect(),
    };
    let mut tested = Vec::with_capacity(recipients.len());
    for to in recipients {
        let sent = send_one(app, campaign, &step, &credential.credential, &to, &mut connection, deadline).await;
        tested.push((to, sent));
    }
    tested
}

/// The step, parsed, and a connection that is signed in.
async fn ready(
    app: &App,
    step: &Step,
    credential: &OpenCredential,
    deadline: Instant,
) -> Result<(CompiledStep, PooledConnection), String> {
    let step = CompiledStep::compile(step).map_err(|error| error.to_string())?;
    let server = credential.server.as_ref().map_err(Clone::clone)?;
    match timeout_at(deadline, app.smtp.acquire(credential.credential.id, server)).await {
        Ok(Ok(connection)) => Ok((step, connection)),
        Ok(Err(error)) => Err(error.told()),
        Err(_) => Err(format!("not sent: there was no connection within {} s", TIME_LIMIT.as_secs())),
    }
}

async fn send_one(
    app: &App,
    campaign: &Campaign,
    step: &CompiledStep,
    credential: &Credential,
    to: &EmailAddress,
    connection: &mut PooledConnection,
    deadline: Instant,
) -> Result<(), String> {
    let now = app.clock.now();
    let (envelope, message) = compose(Parts {
        credential,
        step,
        contact: &Contact::sample(to, now),
        send_id: SendId::new(now),
        opener: None,
        pixel: campaign.track_opens.then(|| app.links.pixel(SendId::NOBODY)),
        unsubscribe: app.links.unsubscribe(EnrollmentId::NOBODY),
        date: now,
    })?;
    if Instant::now() >= deadline {
        return Err(format!("not sent: the {} s of the call were over", TIME_LIMIT.as_secs()));
    }
    match timeout_at(deadline, connection.send(&envelope, &message)).await {
        Ok(TransactionOutcome::Accepted(_)) => Ok(()),
        Ok(TransactionOutcome::Refused { reply, .. }) => Err(format!("the server refused it: {reply}")),
        Ok(TransactionOutcome::LostBeforeData { error }) => {
            Err(format!("not sent: the connection broke before the message left: {error}"))
        }
        Ok(TransactionOutcome::LostAfterData { error }) => {
            Err(format!("the server may have it: the connection broke after the message left: {error}"))
        }
        Err(_) => Err(format!("the server may have it: it did not answer within {} s", TIME_LIMIT.as_secs())),
    }
}
