//! The Message-ID of what we send. It is derived from the send's id alone, so it is the same however often a message is
//! tried, and a reply or a bounce that quotes it names the row of the ledger without a look-up.

use uuid::Uuid;

use super::ids::SendId;

/// The Message-ID of `send`, without angle brackets: `019ab7c0-0000-7000-8000-000000000000@sender.example`
/// (RFC 5322 §3.6.4).
pub fn message_id_of(send: SendId, domain: &str) -> String {
    format!("{send}@{domain}")
}

/// The domain for the Message-IDs of a credential: its own, or that of the address in From.
pub fn domain_of<'a>(own: Option<&'a str>, from_email: &'a str) -> &'a str {
    let of_address = || from_email.rsplit_once('@').map(|(_, domain)| domain);
    own.or_else(of_address).unwrap_or_default()
}

/// The send that a Message-ID of ours names, or `None` for anybody else's. Brackets and blanks around it are tolerated,
/// and so is a change of case, as some servers lower or raise what they quote.
pub fn send_id_of(message_id: &str) -> Option<SendId> {
    let bare = message_id.trim().trim_start_matches('<').trim_end_matches('>');
    let (local, domain) = bare.split_once('@')?;
    if domain.is_empty() {
        return None;
    }
    send_id_in_token(local)
}

/// The send that a bare token names: the hyphenated UUID and nothing else. The other spellings of a UUID are not ours.
pub fn send_id_in_token(token: &str) -> Option<SendId> {
    const HYPHENATED_LENGTH: usize = 36;
    if token.len() != HYPHENATED_LENGTH {
        return None;
    }
    Uuid::try_parse(token).ok().map(SendId::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "019ab7c0-1234-7abc-8def-0123456789ab";

    #[track_caller]
    fn check(message_id: &str, expected: Option<&str>) {
        assert_eq!(send_id_of(message_id).map(|id| id.to_string()).as_deref(), expected, "{message_id}");
    }

    #[test]
    fn our_own_form_names_its_send_and_no_other_form_does() {
        check(&format!("{ID}@sender.test"), Some(ID));
        check(&format!("<{ID}@sender.test>"), Some(ID));
        check(&format!(" <{}@SENDER.TEST> ", ID.to_uppercase()), Some(ID));
        check(&format!("x{ID}@sender.test"), None);
        check(&format!("{ID}.1@sender.test"), None);
        check(&format!("{}@sender.test", ID.replace('-', "")), None);
        check(&format!("{{{ID}}}@sender.test"), None);
        check(&format!("{ID}@"), None);
        check(ID, None);
        check("CAF+abc@mail.gmail.com", None);
        check("", None);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let send: SendId = ID.parse().unwrap();
        assert_eq!(send_id_of(&message_id_of(send, "sender.test")), Some(send));
    }
}
