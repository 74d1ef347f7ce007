//! A trial of a credential: both its servers at once.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::super::error::Result;
use super::super::state::Api;
use crate::domain::credential::{Credential, Endpoint};
use crate::domain::status::TlsMode;
use crate::imap::ImapServer;
use crate::secrets::SealedFor;
use crate::smtp::SmtpServer;
use crate::store::credentials;

/// Whoever asked is waiting.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// What came of a trial.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct Tried {
    smtp: TrialShown,
    /// Null where the credential has no mailbox.
    imap: Option<TrialShown>,
}

/// One server.
#[derive(Serialize, ToSchema)]
struct TrialShown {
    ok: bool,
    error: Option<String>,
    /// How the connection is secured; null where it is not.
    tls: Option<&'static str>,
    latency_ms: u64,
}

/// Connects and signs in.
pub(super) async fn of(api: &Api, credential: &Credential) -> Result<Tried> {
    let (smtp, imap) = tokio::join!(try_smtp(api, credential), try_imap(api, credential));
    Ok(Tried { smtp: smtp?, imap: imap? })
}

async fn try_smtp(api: &Api, credential: &Credential) -> Result<TrialShown> {
    let Endpoint { host, port, username, sealed_password, tls } = credential.smtp.clone();
    let place = SealedFor { column: credentials::SMTP_PASSWORD, row: &credential.id.to_string() };
    let password = api.app.sealer.open(&sealed_password, place)?;
    let begun = Instant::now();
    let server = SmtpServer { host, port, tls, username, password };
    Ok(match timeout(TIME_LIMIT, api.app.smtp.test(&server)).await {
        Ok(Ok(report)) => TrialShown { ok: true, error: None, tls: report.tls, latency_ms: millis(report.latency) },
        Ok(Err(error)) => failed(error.told(), begun),
        Err(_) => failed(too_late(), begun),
    })
}

async fn try_imap(api: &Api, credential: &Credential) -> Result<Option<TrialShown>> {
    let Some(Endpoint { host, port, username, sealed_password, tls }) = credential.imap.clone() else {
        return Ok(None);
    };
    let place = SealedFor { column: credentials::IMAP_PASSWORD, row: &credential.id.to_string() };
    let password = api.app.sealer.open(&sealed_password, place)?;
    let begun = Instant::now();
    let server = ImapServer { host, port, tls, username, password };
    Ok(Some(match timeout(TIME_LIMIT, api.app.imap.test(&server)).await {
        Ok(Ok(_)) => {
            let tls = if tls == TlsMode::None { None } else { Some("TLS") };
            TrialShown { ok: true, error: None, tls, latency_ms: millis(begun.elapsed()) }
        }
        Ok(Err(error)) => failed(error.to_string(), begun),
        Err(_) => failed(too_late(), begun),
    }))
}

fn failed(error: String, begun: Instant) -> TrialShown {
    TrialShown { ok: false, error: Some(error), tls: None, latency_ms: millis(begun.elapsed()) }
}

fn too_late() -> String {
    format!("the server did not let us in within {} s", TIME_LIMIT.as_secs())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
