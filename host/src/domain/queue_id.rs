//! The provider's own id of a message, learned from its reply to the message: webhooks name the message by it.

/// Shorter words are no ids.
const SHORTEST: usize = 8;

/// The id in a reply's text, where it is in one of the known forms:
/// `OK id=1uhTzQ-FnQWr7abcde-K1x2` (Exim, SMTP2GO), `Ok: queued as 4XyzAbc` (Postfix),
/// `Ok 0100018f5e2c-…-000000` (Amazon SES).
pub fn of_reply(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let after = |wanted: &[&str]| {
        let at = words
            .windows(wanted.len())
            .position(|seen| seen.iter().zip(wanted).all(|(a, b)| a.eq_ignore_ascii_case(b)))?;
        words.get(at + wanted.len()).copied()
    };
    let named = words.iter().find_map(|word| word.strip_prefix("id="));
    let found = named.or_else(|| after(&["queued", "as"])).or_else(|| match words.as_slice() {
        [ok, id] if ok.eq_ignore_ascii_case("ok") && id.contains('-') && id.len() > 30 => Some(id),
        _ => None,
    })?;
    let id = found.trim_matches(|c: char| "<>()[].,;".contains(c));
    let is_id = id.len() >= SHORTEST && id.len() <= 200 && id.chars().all(|c| c.is_ascii_graphic());
    is_id.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::of_reply;

    #[test]
    fn ids_are_learned_from_the_known_forms_alone() {
        let check = |text: &str, id: Option<&str>| assert_eq!(of_reply(text).as_deref(), id, "{text}");
        check("OK id=1uhTzQ-FnQWr7abcde-K1x2", Some("1uhTzQ-FnQWr7abcde-K1x2"));
        check("Ok: queued as 4XyzAbc123", Some("4XyzAbc123"));
        check(
            "Ok 0100018f5e2c7a11-1c2d3e4f-0000-4444-8888-0123456789ab-000000",
            Some("0100018f5e2c7a11-1c2d3e4f-0000-4444-8888-0123456789ab-000000"),
        );
        check("Great success", None);
        check("Ok", None);
        check("accepted for delivery", None);
        check("OK id=x", None);
    }
}
