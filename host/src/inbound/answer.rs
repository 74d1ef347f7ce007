//! What a provider is answered. An adapter may choose the words of a handshake; it may be an account's script, and the
//! answer leaves from the operator's own host name, so what a browser could be led by is taken out.

use crate::extensions::hooks::ingest::Response;

const MOST_HEADERS: usize = 32;
const LONGEST_VALUE: usize = 8 << 10;
const LONGEST_BODY: usize = 64 << 10;

/// Headers that an adapter may set, and how others begin that it may: those of handshakes. No browser obeys any of them.
const THEIRS: [&str; 3] = ["content-type", "content-language", "retry-after"];
const THEIRS_BEGIN: [&str; 3] = ["webhook-", "x-hook-", "x-webhook-"];

/// An answer to a provider, in plain types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, at most 64 KiB.
    pub body: Vec<u8>,
}

impl Answer {
    /// A status and nothing else.
    pub(super) fn plain(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// What an adapter chose, within bounds.
    pub(super) fn chosen(response: Response) -> Self {
        let is_theirs =
            |name: &str| THEIRS.contains(&name) || THEIRS_BEGIN.iter().any(|beginning| name.starts_with(beginning));
        let fits = |name: &str, value: &str| is_theirs(name) && value.len() <= LONGEST_VALUE;
        let named = response.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
        let mut headers: Vec<_> = named.filter(|(name, value)| fits(name, value)).take(MOST_HEADERS).collect();
        // Whatever its type is said to be, no browser runs it.
        headers.push(("x-content-type-options".to_owned(), "nosniff".to_owned()));
        headers.push(("content-security-policy".to_owned(), "default-src 'none'; sandbox".to_owned()));
        let body = response.body.get(..LONGEST_BODY).unwrap_or(&response.body).to_vec();
        Self { status: response.status, headers, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_passes_and_a_cookie_does_not() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let response = Response {
            status: 200,
            headers: vec![
                pair("Content-Type", "text/html"),
                pair("Set-Cookie", "a=b"),
                pair("Location", "/"),
                pair("NEL", "{}"),
                pair("WebHook-Allowed-Origin", "eventgrid.azure.net"),
            ],
            body: "42".into(),
        };
        let answer = Answer::chosen(response);
        let names: Vec<_> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
        let ours = ["x-content-type-options", "content-security-policy"];
        assert_eq!(names, [["content-type", "webhook-allowed-origin"], ours].concat());
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"42".as_slice()));
    }
}
