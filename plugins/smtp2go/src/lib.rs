//! SMTP2GO's webhooks as events. SMTP2GO posts one event a request, as a form or as JSON by the webhook's own setting,
//! and signs nothing: the secret, where one is set, comes back in the Authorization header.

mod event;

use ampout_plugin::fields::Fields;
use ampout_plugin::{Outcome, Refusal, Request, Settings};

use crate::event::events_of;

ampout_plugin::provider_adapter!(ingest);

/// Reads one request of SMTP2GO.
///
/// # Errors
/// `unauthorized` when a signing secret is set and not presented; `malformed` when the body begins like JSON and isn't.
pub fn ingest(request: Request, settings: Settings) -> Result<Outcome, Refusal> {
    request.need_post()?;
    request.need_shared_secret(&settings)?;
    let bodies = Fields::sniff(&request.body).map_err(Refusal::malformed)?;
    let told = bodies.iter().filter(|fields| fields.names().next().is_some());
    Ok(told.flat_map(events_of).collect::<Vec<_>>().into())
}

#[cfg(test)]
mod tests {
    use ampout_plugin::{Outcome, Request, Settings};

    use super::ingest;

    #[test]
    fn every_example_is_decided_as_expected() {
        ampout_plugin::testkit::check_provider_adapter(env!("CARGO_MANIFEST_DIR"), ingest);
    }

    #[test]
    fn it_conforms() {
        ampout_plugin::testkit::conformance::check(env!("CARGO_MANIFEST_DIR"), ingest);
    }

    fn events_of(body: &[u8]) -> Vec<ampout_plugin::Event> {
        match ingest(Request::post(body), Settings::default()) {
            Ok(Outcome::Events(events)) => events,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_same_event_sent_again_has_the_same_key_and_another_event_has_another() {
        let first = events_of(b"event=open&rcpt=a%40example.net&email_id=1&time=2026-11-20T12%3A00%3A00Z");
        let again = events_of(
            b"{\"event\":\"open\",\"rcpt\":\"a@example.net\",\"email_id\":\"1\",\"time\":\"2026-11-20T12:00:00Z\"}",
        );
        let later = events_of(b"event=open&rcpt=a%40example.net&email_id=1&time=2026-11-20T12%3A00%3A01Z");
        assert_eq!(first[0].dedupe_key, again[0].dedupe_key);
        assert_ne!(first[0].dedupe_key, later[0].dedupe_key);
    }

    #[test]
    fn no_form_makes_it_panic() {
        let form = b"event=bounce&bounce=hard&rcpt=%C3%28%zz&recipients[0]=a%40b.c&recipients[=x&message=550+5.1.1\xff&time=2026-11-20T12%3A";
        for cut in 0..=form.len() {
            for half in [&form[..cut], &form[cut..]] {
                let _ = ingest(Request::post(half), Settings::default());
            }
        }
    }
}
