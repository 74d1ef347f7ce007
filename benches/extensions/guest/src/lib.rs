//! The shipped reply classifier as an Extism plugin: the same code behind another boundary.

mod wire;

use extism_pdk::{FnResult, Msgpack, plugin_fn};

use self::wire::{Answer, Message};

/// Classifies one message.
#[plugin_fn]
pub fn classify(Msgpack(message): Msgpack<Message>) -> FnResult<Msgpack<Answer>> {
    let classification = reply_classifier::classify(of(message));
    let verdict = match classification.verdict {
        ampout_plugin::Verdict::Pass => "pass",
        ampout_plugin::Verdict::HumanReply => "human-reply",
        ampout_plugin::Verdict::AutoReply(_) => "auto-reply",
        ampout_plugin::Verdict::Bounce(_) => "bounce",
        ampout_plugin::Verdict::Complaint(_) => "complaint",
        ampout_plugin::Verdict::UnsubscribeRequest => "unsubscribe-request",
        ampout_plugin::Verdict::Challenge => "challenge",
        ampout_plugin::Verdict::Ignore => "ignore",
    };
    Ok(Msgpack(Answer { verdict: verdict.to_owned(), reason: classification.reason }))
}

/// Answers without a look at the message: what the boundary alone costs.
#[plugin_fn]
pub fn nothing(_input: Vec<u8>) -> FnResult<Msgpack<Answer>> {
    Ok(Msgpack(Answer { verdict: "human-reply".to_owned(), reason: None }))
}

fn of(message: Message) -> ampout_plugin::Message {
    let header = |one: wire::Header| ampout_plugin::Header { name: one.name, value: one.value };
    let part = |one: wire::Part| ampout_plugin::Part { content_type: one.content_type, content: one.content };
    ampout_plugin::Message {
        headers: message.headers.into_iter().map(header).collect(),
        raw_headers: message.raw_headers.into_bytes(),
        sender: message.sender,
        return_path: message.return_path,
        recipients: message.recipients,
        subject: message.subject,
        text: message.text,
        parts: message.parts.into_iter().map(part).collect(),
        our_message_ids: message.our_message_ids,
        received_at: message.received_at,
        ..ampout_plugin::Message::default()
    }
}
