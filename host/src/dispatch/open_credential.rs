//! A credential whose password is open, for as long as something is sent through it.

use crate::app::App;
use crate::domain::credential::Credential;
use crate::secrets::SealedFor;
use crate::smtp::SmtpServer;
use crate::store::credentials;

/// A credential whose password is open.
pub(super) struct OpenCredential {
    /// As it is stored.
    pub(super) credential: Credential,
    /// Where it sends; an error when its password does not open.
    pub(super) server: Result<SmtpServer, String>,
}

impl OpenCredential {
    pub(super) fn open(app: &App, credential: Credential) -> Self {
        let row = credential.id.to_string();
        let place = SealedFor { column: credentials::SMTP_PASSWORD, row: &row };
        let server = app.sealer.open(&credential.smtp.sealed_password, place).map(|password| SmtpServer {
            host: credential.smtp.host.clone(),
            port: credential.smtp.port,
            tls: credential.smtp.tls,
            username: credential.smtp.username.clone(),
            password,
        });
        Self { credential, server: server.map_err(|error| error.to_string()) }
    }
}
