//! Reading credentials from bodies: the whole of a new one, or what a PATCH changes.

use serde_json::Value;

use super::super::input::{Fields, Reading};
use super::super::state::Api;
use super::super::values::{email, host, line, port, secret, whole, word};
use crate::domain::Timestamp;
use crate::domain::campaign::Campaign;
use crate::domain::credential::{Credential, Endpoint};
use crate::domain::ids::CredentialId;
use crate::domain::provider::Provider;
use crate::domain::status::TlsMode;
use crate::secrets::{SealedFor, SecretString};
use crate::store::credentials::{IMAP_PASSWORD, SMTP_PASSWORD};

const LARGEST_DAILY_LIMIT: u64 = 1_000_000_000;
const LONGEST_USERNAME: usize = 320;
const KEPT_IMAP_FIELDS: [&str; 4] = ["imap_port", "imap_username", "imap_password", "imap_tls"];
const IMAP_FIELDS: [&str; 4] = ["imap_host", "imap_port", "imap_username", "imap_password"];

/// A new credential of a campaign, its passwords sealed for its id.
pub(in super::super) fn new_credential(
    fields: &mut Fields<'_>,
    api: &Api,
    campaign: &Campaign,
    now: Timestamp,
) -> Option<Credential> {
    let id = CredentialId::new(now);
    let tls = tls_mode(api);
    let label = fields.optional("label", line(1, 200));
    let smtp_host = fields.required("smtp_host", host);
    let smtp_port = fields.required("smtp_port", port);
    let username = fields.required("smtp_username", line(1, LONGEST_USERNAME));
    let password = fields.required("smtp_password", secret);
    let smtp_tls = fields.optional("smtp_tls", &tls).unwrap_or(TlsMode::Auto);
    let from_name = fields.required("from_name", line(1, 200));
    let from_email = fields.required("from_email", email);
    let daily_limit = fields.required("daily_limit", whole(0, LARGEST_DAILY_LIMIT));
    let provider = fields.optional("provider", word(Provider::parse, Provider::ALL));
    let imap = imap(fields, api, id, None);
    let smtp = Endpoint {
        host: smtp_host?,
        port: smtp_port?,
        username: username?,
        sealed_password: seal(api, SMTP_PASSWORD, id, &password?),
        tls: smtp_tls,
    };
    Some(Credential {
        id,
        account_id: campaign.account_id,
        campaign_id: campaign.id,
        label,
        smtp,
        provider,
        imap: imap?,
        from_name: from_name?,
        from_email: from_email?.to_string(),
        message_id_domain: None,
        daily_limit: daily_limit?,
        throttled_limit: None,
        enabled_at: now,
        disabled: None,
        resting_until: None,
        rests: 0,
        last_error: None,
        created_at: now,
    })
}

/// What a PATCH changes. `imap_host: null` turns reply detection off.
pub(super) fn change(fields: &mut Fields<'_>, api: &Api, credential: &mut Credential) -> Option<()> {
    let id = credential.id;
    fields.change_or_clear("label", &mut credential.label, line(1, 200));
    let has_password = fields.has("smtp_password");
    let before = credential.smtp.host.clone();
    fields.change("smtp_host", &mut credential.smtp.host, host);
    if !credential.smtp.host.eq_ignore_ascii_case(&before) && !has_password {
        fields.note("smtp_password", needs_password("smtp_host"));
    }
    fields.change("smtp_port", &mut credential.smtp.port, port);
    fields.change("smtp_username", &mut credential.smtp.username, line(1, LONGEST_USERNAME));
    let sealed = |column| move |value: &Value| -> Reading<String> { Ok(seal(api, column, id, &secret(value)?)) };
    fields.change("smtp_password", &mut credential.smtp.sealed_password, sealed(SMTP_PASSWORD));
    fields.change("smtp_tls", &mut credential.smtp.tls, tls_mode(api));
    fields.change_or_clear("provider", &mut credential.provider, word(Provider::parse, Provider::ALL));
    fields.change("from_name", &mut credential.from_name, line(1, 200));
    let domain = credential.message_id_domain().to_owned();
    fields.change("from_email", &mut credential.from_email, |value| email(value).map(|address| address.to_string()));
    if credential.message_id_domain() != domain {
        credential.message_id_domain = Some(domain);
    }
    fields.change("daily_limit", &mut credential.daily_limit, whole(0, LARGEST_DAILY_LIMIT));
    let standing = if fields.is_null("imap_host") { None } else { credential.imap.clone() };
    credential.imap = imap(fields, api, id, standing)?;
    Some(())
}

/// Whoever may change a credential may not read its password, and could have it sent to a server of their own.
fn needs_password(host: &str) -> String {
    format!("is required with another {host}: the stored one is not sent to another server")
}

/// The mailbox: none of the four fields, or all of them together with what stands.
fn imap(fields: &mut Fields<'_>, api: &Api, id: CredentialId, standing: Option<Endpoint>) -> Option<Option<Endpoint>> {
    let is_given = IMAP_FIELDS.map(|key| fields.has(key)).contains(&true);
    let nulls: Vec<_> = KEPT_IMAP_FIELDS.into_iter().filter(|key| fields.is_null(key)).collect();
    let imap_host = fields.optional("imap_host", host);
    let imap_port = fields.optional("imap_port", port);
    let username = fields.optional("imap_username", line(1, LONGEST_USERNAME));
    let password = fields.optional("imap_password", secret);
    let tls = fields.optional("imap_tls", tls_mode(api));
    let Some(standing) = standing else {
        if !is_given {
            if tls.is_some() {
                fields.note("imap_tls", "needs imap_host, imap_port, imap_username and imap_password beside it");
            }
            return Some(None);
        }
        let given = [imap_host.is_some(), imap_port.is_some(), username.is_some(), password.is_some()];
        for (key, is_given) in IMAP_FIELDS.iter().zip(given) {
            if !is_given && !fields.is_wrong(key) {
                fields.note(key, "is required: give all four imap fields, or none");
            }
        }
        return Some(Some(Endpoint {
            host: imap_host?,
            port: imap_port?,
            username: username?,
            sealed_password: seal(api, IMAP_PASSWORD, id, &password?),
            tls: tls.unwrap_or(TlsMode::Auto),
        }));
    };
    for key in nulls {
        fields
            .note(key, "can't be null; leave it out to keep it, or set imap_host to null to turn reply detection off");
    }
    let is_elsewhere = imap_host.as_ref().is_some_and(|host| !host.eq_ignore_ascii_case(&standing.host));
    if is_elsewhere && password.is_none() && !fields.is_wrong("imap_password") {
        fields.note("imap_password", needs_password("imap_host"));
    }
    Some(Some(Endpoint {
        host: imap_host.unwrap_or(standing.host),
        port: imap_port.unwrap_or(standing.port),
        username: username.unwrap_or(standing.username),
        sealed_password: password.map_or(standing.sealed_password, |password| seal(api, IMAP_PASSWORD, id, &password)),
        tls: tls.unwrap_or(standing.tls),
    }))
}

fn tls_mode(api: &Api) -> impl Fn(&Value) -> Reading<TlsMode> + use<> {
    let plaintext_allowed = api.app.config.allow_plaintext;
    move |value| match word(TlsMode::parse, TlsMode::ALL)(value)? {
        TlsMode::None if !plaintext_allowed => Err("none is not allowed here; use auto".to_owned()),
        mode => Ok(mode),
    }
}

fn seal(api: &Api, column: &'static str, id: CredentialId, password: &SecretString) -> String {
    api.app.sealer.seal(password, SealedFor { column, row: &id.to_string() })
}
