//! Evidence that a send in doubt had left: its copy in the mailbox's folder of sent messages, which servers of people's
//! mailboxes put there themselves. The node that watches the mailbox looks, a few times in the first hour of a doubt.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::start;
use super::watch::{self, WatchError};
use crate::app::App;
use crate::domain::credential::Credential;
use crate::domain::ids::CredentialId;
use crate::domain::message_id::{message_id_of, send_id_of};
use crate::store::sends::{self, Send};
use crate::store::{Result, credentials, facts};

/// Between two looks.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(5 * 60);
/// A doubt that is older is a person's.
const YOUNG: Duration = Duration::from_secs(3600);
/// Doubts of one look. Each is a search in its mailbox.
const MOST_DOUBTS: i64 = 200;
/// Mailboxes that are looked through at a time, and how long one may take after it was opened: servers that drip must not
/// have the doubts of the others grow old.
const AT_A_TIME: usize = 16;
const LONGEST_LOOK: Duration = Duration::from_secs(45);

/// Looks for the copies of all doubts in the mailboxes of this node.
pub(super) async fn step(app: &App) -> Result<()> {
    let now = app.clock.now();
    let mut conn = app.store.read().await?;
    let doubts = sends::in_doubt_of_watched(&mut conn, app.node, now.minus(YOUNG), MOST_DOUBTS).await?;
    let mut by_credential: HashMap<CredentialId, Vec<Send>> = HashMap::new();
    for send in doubts {
        if let Some(credential) = send.smtp_credential_id {
            by_credential.entry(credential).or_default().push(send);
        }
    }
    let mut mailboxes = Vec::new();
    for (id, doubts) in by_credential {
        mailboxes.extend(credentials::get(&mut conn, id).await?.map(|credential| (credential, doubts)));
    }
    // The connection is not held while servers think.
    drop(conn);
    let looks = stream::iter(mailboxes).for_each_concurrent(AT_A_TIME, |(credential, doubts)| async move {
        if let Err(error) = look(app, &credential, &doubts).await {
            // Its watcher tells of what is wrong with the mailbox.
            tracing::debug!(credential.id = %credential.id, error = &error as &dyn std::error::Error,
                "The sent messages of a mailbox could not be looked through");
        }
    });
    looks.await;
    Ok(())
}

async fn look(app: &App, credential: &Credential, doubts: &[Send]) -> std::result::Result<(), WatchError> {
    let Some(endpoint) = &credential.imap else { return Ok(()) };
    let server = watch::server(app, credential.id, endpoint)?;
    let mut session = start::open(app, &server).await?;
    let ids: Vec<String> = doubts.iter().map(|send| message_id_of(send.id, credential.message_id_domain())).collect();
    let sent = session.sent_among(&ids, LONGEST_LOOK).await?;
    for id in sent.into_iter().filter_map(send_id_of) {
        let Some(send) = doubts.iter().find(|send| send.id == id) else { continue };
        let mut tx = app.store.begin().await?;
        facts::doubt::found_in_sent_folder(&mut tx, send, rand::random(), app.clock.now()).await?;
        tx.commit().await?;
    }
    session.logout().await;
    Ok(())
}
