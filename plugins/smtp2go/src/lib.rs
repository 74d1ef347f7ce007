//! SMTP2GO's webhooks as events. SMTP2GO posts one event a request, as a form or as JSON by the webhook's own setting,
//! and signs nothing: the secret, where one is set, comes back in the Authorization header.

mod event;

use ampout_plugin::fields::Fields;
use ampout_plugin::{Outcome, Refusal, Request, Settings};

use crate::event::event_of;

ampout_plugin::provider_adapter!(ingest);

/// Reads one request of SMTP2GO.
///
/// # Errors
/// `unauthorized` when a signing secret is set and not presented; `malformed` when the body begins like JSON and isn't.
pub fn ingest(request: Request, settings: Settings) -> Result<Outcome, Refusal> {
    if let Some(secret) = settings.signing_secret()
        && !request.presents_secret(secret)
    {
        return Err(Refusal::unauthorized("the Authorization header does not present the endpoint's signing_secret"));
    }
    let bodies = Fields::sniff(&request.body).map_err(Refusal::malformed)?;
    let events: Vec<_> = bodies.iter().flat_map(event_of).collect();
    Ok(events.into())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_example_is_decided_as_expected() {
        ampout_plugin::testkit::check_provider_adapter(env!("CARGO_MANIFEST_DIR"), super::ingest);
    }
}
