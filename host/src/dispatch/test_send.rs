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

/// What became of one address: the error is for people.
pub type Tested = (EmailAddress, Result<(), String>);

/// Sends `step` to each of `recipients`, one after another over one connection, all of it `within` that time.
pub async fn send(
    app: &App,
    campaign: &Campaign,
    step: &Step,
    credential: Credential,
    recipients: Vec<EmailAddress>,
    within: Duration,
) -> Vec<Tested> {
    let deadline = Instant::now() + within;
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
        Err(_) => Err("not sent: there was no connection in time".to_owned()),
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
        return Err("not sent: the time of the call was over".to_owned());
    }
    match timeout_at(deadline, connection.send(&envelope, &message)).await {
        Ok(TransactionOutcome::Accepted(_)) => Ok(()),
        Ok(TransactionOutcome::Refused { reply, .. }) => Err(format!("the server refused it: {reply}")),
        Ok(TransactionOutcome::Unsuitable { why }) => Err(why.to_string()),
        Ok(TransactionOutcome::LostBeforeData { error }) => {
            Err(format!("not sent: the connection broke before the message left: {error}"))
        }
        Ok(TransactionOutcome::LostAfterData { error }) => {
            Err(format!("the server may have it: the connection broke after the message left: {error}"))
        }
        Err(_) => Err("the server may have it: it did not answer in time".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::store::{campaigns, credentials};
    use crate::test_support::TestApp;

    #[tokio::test]
    async fn a_server_that_says_nothing_is_waited_for_no_longer_than_the_call_may_take() {
        let app = TestApp::start().await;
        let sender = app.sender(app.account().await, None).await;
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut conn = app.store.read().await.unwrap();
        let campaign = campaigns::get(&mut conn, sender.campaign).await.unwrap().unwrap();
        let step = campaigns::steps(&mut conn, sender.campaign).await.unwrap().remove(0);
        let mut credential = credentials::get(&mut conn, sender.credential).await.unwrap().unwrap();
        credential.smtp.port = silent.local_addr().unwrap().port();
        let recipients = ["a@example.org", "b@example.org"].map(|to| EmailAddress::parse(to).unwrap()).to_vec();
        let within = Duration::from_millis(200);
        let begun = Instant::now();
        let tested = send(&app, &campaign, &step, credential, recipients, within).await;
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!(tested.len(), 2);
        for (_, result) in tested {
            assert!(result.unwrap_err().contains("no connection in time"));
        }
    }
}
