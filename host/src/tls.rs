//! One TLS client configuration for everything that leaves: Mozilla's roots, and the operator's own CA when one is
//! given. There is no switch to accept a certificate that does not verify.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A TLS connection over TCP.
pub type TlsStream = tokio_rustls::client::TlsStream<TcpStream>;

/// How long a handshake may take, whoever asks for it.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);

/// Wraps connections in TLS. Cheap to clone.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
}

/// Whether a connection without TLS is taken where somebody asks for one: the operator's decision, not the tenant's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plaintext {
    /// Only with TLS.
    Forbidden,
    /// With or without.
    Allowed,
}

/// Why there is no TLS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The operator's CA file can't be used.
    #[error("the extra CA can't be used: {reason}; AMPOUT_EXTRA_CA wants a PEM file with at least one certificate")]
    ExtraCa {
        /// What is wrong with it.
        reason: String,
    },
    /// The library can't be set up.
    #[error("TLS can't be set up: {reason}")]
    Setup {
        /// What it said.
        reason: String,
    },
    /// No certificate can be checked against this.
    #[error("{host:?} is not a name that a certificate could be for")]
    NotAName {
        /// What was given.
        host: String,
    },
    /// The handshake failed: the certificate does not verify, or the server does not speak TLS there.
    #[error("no TLS with {host}: {reason}")]
    Handshake {
        /// Whom it was made with.
        host: String,
        /// What went wrong.
        reason: String,
    },
}

impl TlsClient {
    /// Trusts Mozilla's roots and the certificates in `extra_ca_pem`.
    pub fn new(extra_ca_pem: Option<&[u8]>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(pem) = extra_ca_pem {
            add_extra_ca(&mut roots, pem)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| TlsError::Setup { reason: e.to_string() })?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config) })
    }

    /// The same, with the extra CA read from a file.
    pub fn with_extra_ca_file(path: Option<&Path>) -> Result<Self, TlsError> {
        let Some(path) = path else { return Self::new(None) };
        let pem = std::fs::read(path)
            .map_err(|e| TlsError::ExtraCa { reason: format!("{} can't be read: {e}", path.display()) })?;
        Self::new(Some(&pem))
    }

    /// Makes the handshake over `stream` and checks that the certificate is for `host`. Takes at most 30 s.
    pub async fn wrap(&self, host: &str, stream: TcpStream) -> Result<TlsStream, TlsError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| TlsError::NotAName { host: host.to_owned() })?;
        let failed = |reason: String| TlsError::Handshake { host: host.to_owned(), reason };
        let connector = TlsConnector::from(self.config.clone());
        match tokio::time::timeout(HANDSHAKE_LIMIT, connector.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed("the handshake took too long".to_owned())),
        }
    }

    /// The configuration, for clients that make their own handshake.
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }
}

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsClient").finish_non_exhaustive()
    }
}

fn add_extra_ca(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), TlsError> {
    let refused = |reason: String| TlsError::ExtraCa { reason };
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|e| refused(e.to_string()))?;
        roots.add(certificate).map_err(|e| refused(e.to_string()))?;
    }
    if roots.len() == before {
        return Err(refused("it holds no certificate".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pem: Option<&str>, expected: Result<(), &str>) {
        let made = TlsClient::new(pem.map(str::as_bytes)).map(|_| ()).map_err(|error| error.to_string());
        match expected {
            Ok(()) => assert_eq!(made, Ok(())),
            Err(part) => assert!(made.clone().unwrap_err().contains(part), "{made:?}"),
        }
    }

    #[test]
    fn an_extra_ca_is_taken_or_refused_with_its_reason() {
        let key = rcgen::KeyPair::generate().unwrap();
        let ca = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap();
        check(None, Ok(()));
        check(Some(&ca.pem()), Ok(()));
        check(Some("not a certificate"), Err("no certificate"));
        check(Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), Err("AMPOUT_EXTRA_CA"));
        let missing = TlsClient::with_extra_ca_file(Some(Path::new("no/such/file.pem"))).unwrap_err();
        assert!(missing.to_string().contains("no/such/file.pem"), "{missing}");
    }
}
