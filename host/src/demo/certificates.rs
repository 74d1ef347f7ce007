//! A throw-away certificate authority with one certificate for `localhost` and 127.0.0.1, made anew at each start.
//!
//! Two certificates rather than one that signs itself: rustls refuses a certificate authority's own certificate as a
//! server's (`CaUsedAsEndEntity`).

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::DemoError;

/// The throw-away authority's certificate and what a server needs to show a certificate that it signed.
#[derive(Clone)]
pub struct Certificates {
    ca_pem: String,
    server: Arc<ServerConfig>,
}

impl Certificates {
    /// Makes both key pairs and both certificates.
    pub fn generate() -> Result<Self, DemoError> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        authority.distinguished_name.push(DnType::CommonName, "ampout demo authority");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

        let key = KeyPair::generate()?;
        let mut leaf = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        leaf.distinguished_name.push(DnType::CommonName, "ampout demo server");
        leaf.use_authority_key_identifier_extension = true;
        let leaf = leaf.signed_by(&key, &authority)?;

        let chain = vec![leaf.der().clone()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Self { ca_pem: authority.pem(), server: Arc::new(server) })
    }

    /// The authority's certificate as PEM, for a client's list of trusted roots.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// What the demo servers accept TLS connections with.
    pub(super) fn server(&self) -> Arc<ServerConfig> {
        self.server.clone()
    }
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificates(for localhost and 127.0.0.1)")
    }
}
