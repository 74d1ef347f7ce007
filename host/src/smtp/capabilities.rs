//! What a server offers, read from its answer to EHLO (RFC 5321 §4.1.1.1). Lines that we don't know are passed over.

/// The extensions that we use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// RFC 2920.
    pub(super) pipelining: bool,
    /// RFC 3030.
    pub(super) chunking: bool,
    /// RFC 3207.
    pub(super) starttls: bool,
    /// RFC 6531.
    pub(super) smtputf8: bool,
    /// RFC 1870: MAIL may name the message's size.
    pub(super) size: bool,
    /// RFC 4616.
    pub(super) auth_plain: bool,
    /// The older way, which some servers know alone.
    pub(super) auth_login: bool,
}

impl Capabilities {
    /// From the lines of the answer; the first is the server's name.
    pub(super) fn read(lines: &[String]) -> Self {
        let mut found = Self::default();
        for line in lines.iter().skip(1) {
            // `AUTH=PLAIN LOGIN` is how it was written before RFC 4954.
            let mut words = line.split([' ', '=']).filter(|word| !word.is_empty());
            let Some(keyword) = words.next() else { continue };
            match keyword.to_ascii_uppercase().as_str() {
                "PIPELINING" => found.pipelining = true,
                "CHUNKING" => found.chunking = true,
                "STARTTLS" => found.starttls = true,
                "SMTPUTF8" => found.smtputf8 = true,
                "SIZE" => found.size = true,
                "AUTH" => words.for_each(|mechanism| found.add_mechanism(mechanism)),
                _ => {}
            }
        }
        found
    }

    fn add_mechanism(&mut self, mechanism: &str) {
        self.auth_plain |= mechanism.eq_ignore_ascii_case("PLAIN");
        self.auth_login |= mechanism.eq_ignore_ascii_case("LOGIN");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &str, expected: Capabilities) {
        let lines: Vec<String> = lines.lines().map(str::to_owned).collect();
        assert_eq!(Capabilities::read(&lines), expected);
    }

    #[test]
    fn known_lines_are_read_and_others_passed_over() {
        check("mx.example.org STARTTLS", Capabilities::default());
        check(
            "hi\nPIPELINING\nsize 35882577\nSTARTTLS\nXCLIENT NAME ADDR\nAUTH LOGIN\nAUTH=PLAIN\nCHUNKING\nSMTPUTF8",
            Capabilities {
                pipelining: true,
                chunking: true,
                starttls: true,
                smtputf8: true,
                size: true,
                auth_plain: true,
                auth_login: true,
            },
        );
        check("hi\n\nSIZE=100\nAUTH XOAUTH2 GSSAPI", Capabilities { size: true, ..Capabilities::default() });
    }
}
