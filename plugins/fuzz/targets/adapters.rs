//! Every adapter behind its signature: the kit signs what the fuzzer makes up, so that it is read and not only refused.
//! The first byte chooses the adapter.
#![no_main]

use std::sync::LazyLock;

use ampout_plugin::testkit::conformance::Provider;
use ampout_plugin::{Outcome, Refusal, Request, Settings};
use libfuzzer_sys::fuzz_target;

type Ingest = fn(Request, Settings) -> Result<Outcome, Refusal>;

macro_rules! adapters {
    ($($folder:literal $adapter:ident),* $(,)?) => {
        vec![$((Provider::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../", $folder)), $adapter::ingest as Ingest)),*]
    };
}

// In the order of `seeds`.
static ADAPTERS: LazyLock<Vec<(Provider, Ingest)>> = LazyLock::new(|| {
    adapters![
        "azure" azure, "brevo" brevo, "elastic-email" elastic_email, "forward-email" forward_email, "generic" generic,
        "mailersend" mailersend, "mailgun" mailgun, "mailjet" mailjet, "mandrill" mandrill, "postal" postal,
        "postmark" postmark, "resend" resend, "sendgrid" sendgrid, "ses" ses, "smtp2go" smtp2go,
        "sparkpost" sparkpost, "zeptomail" zeptomail,
    ]
});

fuzz_target!(|input: &[u8]| {
    let Some((chosen, content)) = input.split_first() else { return };
    let (provider, ingest) = &ADAPTERS[usize::from(*chosen) % ADAPTERS.len()];
    if let Some(complaint) = provider.complaint(content, *ingest) {
        panic!("{complaint}");
    }
});
