//! The connection that a send leaves by, or what follows from there being none. A server that turns one away while others of
//! the credential work takes no more at a time: then there are fewer turns, and nobody rests.

use std::time::Duration;

use super::Dispatcher;
use super::claim::CampaignContext;
use super::open_credential::OpenCredential;
use super::outcome::Outcome;
use super::worker::{at_fault, because, given_back};
use crate::smtp::{Blame, PooledConnection, SmtpServer};
use crate::store::sends::ClaimedSend;

/// Where the credential works, a server that turns a connection away is asked again after these: it may not have noticed yet
/// that the one before, which had carried as many messages as one may, has gone.
const AGAIN_AFTER: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];
/// What others of the same credential keep out for longer than that is due again after this.
const KEPT_OUT: Duration = Duration::from_secs(30);

/// A connection for a send that has its turn.
pub(super) async fn connect(
    dispatcher: &Dispatcher,
    context: &CampaignContext,
    credential: &OpenCredential,
    server: &SmtpServer,
    held: &ClaimedSend,
) -> Result<PooledConnection, Outcome> {
    let Dispatcher { app, turns, shutdown, .. } = dispatcher;
    let id = held.credential_id;
    let mut waits = AGAIN_AFTER.into_iter();
    let mut is_first = true;
    loop {
        let error = match app.smtp.acquire(id, server).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        // One that is on its way tells as much as an open one: if it is turned away in its turn, there is none left for which
        // that could be said, and the last one has the credential rest.
        let others = app.smtp.connections_of(id);
        let has_worked = turns.has_worked_since(id, context.claimed_at);
        let is_crowded = error.blame() != Blame::Credential && (others > 0 || has_worked);
        // Before anything is concluded from it, the one before is given the moment that it takes to go.
        if is_crowded && others > 0 && !(has_worked && is_first) && turns.turned_away(id, others) {
            tracing::info!(credential.id = %id, connections = others, error = &error as &dyn std::error::Error,
                "A server takes no more connections of a credential than it has; for a while it gets fewer");
            let reason = "its server takes no more connections at a time; it waits for one that is open";
            return Err(given_back(app.clock.now(), reason));
        }
        is_first = false;
        match waits.next().filter(|_| is_crowded) {
            Some(wait) => {
                if shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                    return Err(given_back(app.clock.now(), "the node that held it stops"));
                }
                if turns.was_refused_since(id, context.claimed_at) {
                    return Err(given_back(app.clock.now(), "its credential rests: the server has just refused it"));
                }
            }
            None if is_crowded && others > 0 => {
                let reason = format!("its server takes no more connections: {}", error.told());
                return Err(given_back(app.clock.now().plus(KEPT_OUT), reason));
            }
            None => {
                turns.none_works(id);
                return Err(at_fault(app, credential, because(error.told())));
            }
        }
    }
}
