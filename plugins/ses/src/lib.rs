//! Amazon SES through SNS: the handshake of a subscription, and notifications in both of SES's dialects.
//! <https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html>

mod event;
mod sns;

use ampout_plugin::fields::Fields;
use ampout_plugin::host::{FetchRequest, Level, fetch, log};
use ampout_plugin::{Outcome, Refusal, Request, Settings};

ampout_plugin::provider_adapter!(ingest);

/// Reads one request of SNS.
///
/// # Errors
/// `unauthorized` when the topic is not in the list or the signature is not Amazon's; `malformed` when the body is not
/// JSON; `retry` when Amazon can't be reached.
pub fn ingest(request: Request, settings: Settings) -> Result<Outcome, Refusal> {
    request.need_post()?;
    let bodies = Fields::from_json(&request.body).map_err(Refusal::malformed)?;
    let Some(body) = bodies.first() else { return Err(Refusal::malformed("the body is empty")) };
    sns::need_topic(body, &settings)?;
    sns::need_amazon(&request, body, &settings)?;
    match body.text("Type").as_deref() {
        Some("SubscriptionConfirmation") => confirm(body),
        Some("UnsubscribeConfirmation") => {
            log(Level::Warn, "The subscription to the topic was cancelled: no events will come any more");
            Ok(Vec::new().into())
        }
        _ => Ok(event::events_of(&body.text("Message").unwrap_or_default()).into()),
    }
}

/// Opens the address of the confirmation, which is Amazon's.
fn confirm(body: &Fields) -> Result<Outcome, Refusal> {
    let url = body.text("SubscribeURL").unwrap_or_default();
    if sns::path_at_amazon(&url).is_none() {
        return Err(Refusal::unauthorized("the SubscribeURL is not Amazon's"));
    }
    let asked = FetchRequest { method: "GET".to_owned(), url, headers: Vec::new(), body: Vec::new() };
    match fetch(&asked) {
        Ok(answer) if answer.status == 200 => Ok(Vec::new().into()),
        Ok(answer) => Err(Refusal::retry(format!("Amazon answered the confirmation with {}", answer.status))),
        Err(error) => Err(Refusal::retry(format!("the confirmation could not be sent: {error:?}"))),
    }
}

#[cfg(test)]
mod tests;
