//! Mail providers that speak of our messages afterwards: which one a server is, and the header in which each takes our id
//! and gives it back in its webhooks. Every message has `X-Ampout-Send-Id` beside it; that is enough for those that echo
//! any header, and for those that echo nothing.

use super::ids::SendId;
use super::status::words;

/// The name of our id among a provider's metadata. Providers flatten metadata into their events, so it has our own name.
const KEY: &str = "ampout_send_id";

words! {
    /// A provider, by the name of its adapter.
    pub Provider {
        /// Azure Communication Services.
        Azure = "azure",
        /// Brevo, once Sendinblue.
        Brevo = "brevo",
        /// Elastic Email.
        ElasticEmail = "elastic-email",
        /// Forward Email.
        ForwardEmail = "forward-email",
        /// MailerSend.
        Mailersend = "mailersend",
        /// Mailgun.
        Mailgun = "mailgun",
        /// Mailjet.
        Mailjet = "mailjet",
        /// Mandrill, now Mailchimp Transactional.
        Mandrill = "mandrill",
        /// Postal, on a server of one's own.
        Postal = "postal",
        /// Postmark.
        Postmark = "postmark",
        /// Resend.
        Resend = "resend",
        /// SendGrid.
        Sendgrid = "sendgrid",
        /// Amazon SES.
        Ses = "ses",
        /// SMTP2GO.
        Smtp2go = "smtp2go",
        /// SparkPost, and Bird's e-mail API.
        Sparkpost = "sparkpost",
        /// ZeptoMail.
        Zeptomail = "zeptomail",
        /// Any other: no header but our own.
        Generic = "generic",
    }
}

/// The domains under which providers have their SMTP servers.
const DOMAINS: [(&str, Provider); 21] = [
    ("azurecomm.net", Provider::Azure),
    ("brevo.com", Provider::Brevo),
    ("sendinblue.com", Provider::Brevo),
    ("elasticemail.com", Provider::ElasticEmail),
    ("forwardemail.net", Provider::ForwardEmail),
    ("mailersend.net", Provider::Mailersend),
    ("mailersend.com", Provider::Mailersend),
    ("mailgun.org", Provider::Mailgun),
    ("mailjet.com", Provider::Mailjet),
    ("mandrillapp.com", Provider::Mandrill),
    ("postmarkapp.com", Provider::Postmark),
    ("resend.com", Provider::Resend),
    ("sendgrid.net", Provider::Sendgrid),
    ("smtp2go.com", Provider::Smtp2go),
    ("sparkpostmail.com", Provider::Sparkpost),
    ("sparkpost.com", Provider::Sparkpost),
    ("zeptomail.com", Provider::Zeptomail),
    ("zeptomail.eu", Provider::Zeptomail),
    ("zeptomail.in", Provider::Zeptomail),
    ("zeptomail.com.au", Provider::Zeptomail),
    ("zeptomail.jp", Provider::Zeptomail),
];

impl Provider {
    /// Whose an SMTP server is, by its host name.
    pub fn of_host(host: &str) -> Option<Self> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let is_under =
            |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        // email-smtp.eu-west-1.amazonaws.com: Amazon has much more than mail under its domain.
        if host.starts_with("email-smtp") && (is_under("amazonaws.com") || is_under("amazonaws.com.cn")) {
            return Some(Self::Ses);
        }
        DOMAINS.iter().find(|(domain, _)| is_under(domain)).map(|(_, provider)| *provider)
    }

    /// The header that this provider reads, with our id in the shape that it wants; none where `X-Ampout-Send-Id` will do.
    pub fn header(self, send: SendId) -> Option<(&'static str, String)> {
        let json = format!("{{\"{KEY}\":\"{send}\"}}");
        Some(match self {
            Self::Brevo => ("X-Mailin-custom", json),
            Self::ElasticEmail => ("X-ElasticEmail-Postback", send.to_string()),
            Self::Mailersend => ("X-MailerSend-Tags", send.to_string()),
            Self::Mailgun => ("X-Mailgun-Variables", json),
            Self::Mailjet => ("X-MJ-CustomID", send.to_string()),
            Self::Mandrill => ("X-MC-Metadata", json),
            Self::Postal => ("X-Postal-Tag", send.to_string()),
            // The key is the rest of the name. A hyphen, as some servers drop headers with an underscore.
            Self::Postmark => ("X-PM-Metadata-ampout-send-id", send.to_string()),
            Self::Sendgrid => ("X-SMTPAPI", format!("{{\"unique_args\":{json}}}")),
            Self::Ses => ("X-SES-MESSAGE-TAGS", format!("{KEY}={send}")),
            Self::Sparkpost => ("X-MSYS-API", format!("{{\"metadata\":{json}}}")),
            Self::Zeptomail => ("X-TM-CLIENT-REF", send.to_string()),
            // They echo any header, or a list of those that the operator names; Azure echoes nothing.
            Self::Smtp2go | Self::Resend | Self::ForwardEmail | Self::Azure | Self::Generic => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, expected: Option<Provider>) {
        assert_eq!(Provider::of_host(host), expected, "{host}");
    }

    #[test]
    fn a_server_is_known_by_the_domain_that_it_is_under() {
        check("smtp.postmarkapp.com", Some(Provider::Postmark));
        check("SMTP.EU.MAILGUN.ORG.", Some(Provider::Mailgun));
        check("smtp.sendgrid.net", Some(Provider::Sendgrid));
        check("email-smtp.eu-west-1.amazonaws.com", Some(Provider::Ses));
        check("email-smtp-fips.us-east-1.amazonaws.com", Some(Provider::Ses));
        check("mail-eu.smtp2go.com", Some(Provider::Smtp2go));
        check("in-v3.mailjet.com", Some(Provider::Mailjet));
    }

    #[test]
    fn a_server_that_only_looks_like_one_is_nobody_s() {
        for host in [
            "smtp.gmail.com",
            "notsendgrid.net",
            "smtp.sendgrid.net.example.com",
            "ec2-1-2-3-4.eu-west-1.compute.amazonaws.com",
            "",
            ".",
        ] {
            check(host, None);
        }
    }

    #[test]
    fn every_header_names_the_send_and_is_one_short_line() {
        let send: SendId = "019ab7c0-0000-7000-8000-000000000000".parse().unwrap();
        for provider in Provider::ALL {
            let Some((name, value)) = provider.header(send) else { continue };
            assert!(value.contains(&send.to_string()), "{provider}");
            assert!(name.len() + value.len() < 200 && value.bytes().all(|b| b.is_ascii_graphic()), "{provider}");
            if value.starts_with('{') {
                serde_json::from_str::<serde_json::Value>(&value).unwrap();
            }
        }
    }
}
