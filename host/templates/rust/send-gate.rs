//! Asked before each SMTP transaction: may this message leave now?

use ampout_plugin::{Admission, Send};

ampout_plugin::send_gate!(admit);

/// Nothing goes to example.com.
pub fn admit(send: Send) -> Admission {
    if send.contact.domain == "example.com" {
        return Admission::Skip("nobody reads mail at example.com".to_owned());
    }
    Admission::Admit
}
@TEST@
