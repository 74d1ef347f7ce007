//! The bodies of the credentials' calls, as the OpenAPI document shows them; `input` reads them.
#![expect(dead_code, reason = "the shapes alone")]

use utoipa::ToSchema;

use crate::domain::provider::Provider;
use crate::domain::status::TlsMode;

/// A new credential.
#[derive(ToSchema)]
pub(super) struct NewCredential {
    smtp_credential: CredentialFields,
}

/// An SMTP account, and the mailbox where its answers arrive: all four `imap_` fields, or none.
#[derive(ToSchema)]
pub(in super::super) struct CredentialFields {
    #[schema(min_length = 1, max_length = 200)]
    label: Option<String>,
    #[schema(min_length = 1, max_length = 253)]
    smtp_host: String,
    #[schema(minimum = 1, maximum = 65535)]
    smtp_port: u16,
    #[schema(min_length = 1, max_length = 320)]
    smtp_username: String,
    /// Sealed at rest, and in no answer.
    #[schema(format = Password, min_length = 1, max_length = 1024)]
    smtp_password: String,
    /// `none` only where the operator allows it.
    #[schema(default = "auto")]
    smtp_tls: Option<TlsMode>,
    /// Whose server it is, where its host name does not tell: which header our id travels in.
    provider: Option<Provider>,
    #[schema(min_length = 1, max_length = 200)]
    from_name: String,
    #[schema(format = "email")]
    from_email: String,
    /// First-step sends of a UTC day.
    #[schema(minimum = 0, maximum = 1000000000)]
    daily_limit: u64,
    #[schema(min_length = 1, max_length = 253)]
    imap_host: Option<String>,
    #[schema(minimum = 1, maximum = 65535)]
    imap_port: Option<u16>,
    #[schema(min_length = 1, max_length = 320)]
    imap_username: Option<String>,
    #[schema(format = Password, min_length = 1, max_length = 1024)]
    imap_password: Option<String>,
    #[schema(default = "auto")]
    imap_tls: Option<TlsMode>,
}

/// What to change.
#[derive(ToSchema)]
pub(super) struct CredentialChange {
    smtp_credential: CredentialChanges,
}

#[derive(ToSchema)]
struct CredentialChanges {
    #[schema(min_length = 1, max_length = 200)]
    label: Option<String>,
    #[schema(nullable = false, min_length = 1, max_length = 253)]
    smtp_host: Option<String>,
    #[schema(nullable = false, minimum = 1, maximum = 65535)]
    smtp_port: Option<u16>,
    #[schema(nullable = false, min_length = 1, max_length = 320)]
    smtp_username: Option<String>,
    #[schema(nullable = false, format = Password, min_length = 1, max_length = 1024)]
    smtp_password: Option<String>,
    #[schema(nullable = false)]
    smtp_tls: Option<TlsMode>,
    /// Null leaves it to the host name.
    provider: Option<Provider>,
    #[schema(nullable = false, min_length = 1, max_length = 200)]
    from_name: Option<String>,
    #[schema(nullable = false, format = "email")]
    from_email: Option<String>,
    #[schema(nullable = false, minimum = 0, maximum = 1000000000)]
    daily_limit: Option<u64>,
    /// Null turns reply detection off.
    #[schema(min_length = 1, max_length = 253)]
    imap_host: Option<String>,
    #[schema(nullable = false, minimum = 1, maximum = 65535)]
    imap_port: Option<u16>,
    #[schema(nullable = false, min_length = 1, max_length = 320)]
    imap_username: Option<String>,
    #[schema(nullable = false, format = Password, min_length = 1, max_length = 1024)]
    imap_password: Option<String>,
    #[schema(nullable = false)]
    imap_tls: Option<TlsMode>,
}
