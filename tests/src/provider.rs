//! The senders' SMTP provider: the refusable receiver of `ampout demo` with TLS and a login, as real providers have it.

use std::collections::HashMap;

use ampout::demo::certificates::Certificates;
use ampout::demo::smtp_receiver::{ReceiverLogin, ReceiverTls, SmtpReceiver, SmtpReceiverOptions};
use ampout::secrets::SecretString;
use anyhow::ensure;

use crate::campaign::PASSWORD;
use crate::letter::Letter;
use crate::wait::PATIENCE;

/// A provider whose customer is `username`, with [`PASSWORD`].
pub async fn provider(username: &str, tls: ReceiverTls, certificates: &Certificates) -> anyhow::Result<SmtpReceiver> {
    let login = ReceiverLogin { username: username.to_owned(), password: SecretString::from(PASSWORD) };
    let certificates = Some(certificates.clone());
    Ok(SmtpReceiver::start(SmtpReceiverOptions { tls, certificates, login: Some(login), ..Default::default() }).await?)
}

/// The first `count` messages, as soon as they are there.
pub async fn letters(receiver: &SmtpReceiver, count: usize) -> anyhow::Result<Vec<Letter>> {
    let there = receiver.wait_for(u64::try_from(count)?, PATIENCE).await;
    ensure!(there, "waited {PATIENCE:?} for {count} messages; {} came", receiver.accepted());
    receiver.messages().iter().take(count).map(|received| Letter::of(received)).collect()
}

/// How often each recipient was written to.
pub fn times_written_to(receiver: &SmtpReceiver) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for message in receiver.messages() {
        *counts.entry(message.to.join(",")).or_default() += 1;
    }
    counts
}
