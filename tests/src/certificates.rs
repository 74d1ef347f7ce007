//! A certificate authority for one test: what it issues is good for `localhost` and 127.0.0.1, and a client trusts it by
//! the PEM file that `AMPOUT_EXTRA_CA` names. rustls refuses a leaf that is a CA itself, so the two are kept apart.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

/// Issues certificates for the servers of a test.
#[derive(Debug)]
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    directory: TempDir,
}

/// A server's certificate and its private key, both as PEM.
#[derive(Debug, Clone)]
pub struct ServerCertificate {
    /// The certificate alone, without the authority's.
    pub certificate_pem: String,
    /// Its private key, PKCS #8.
    pub key_pem: String,
}

impl CertificateAuthority {
    /// A new authority with a new key.
    pub fn create() -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "ampout tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        let directory = crate::process::new_directory("ca")?;
        fs::write(directory.path().join("ca.pem"), &pem)?;
        Ok(Self { issuer: Issuer::new(params, key), pem, directory })
    }

    /// Issues a certificate for `localhost` and 127.0.0.1.
    pub fn issue(&self) -> anyhow::Result<ServerCertificate> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, "localhost");
        params.is_ca = IsCa::ExplicitNoCa;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate_pem = params.signed_by(&key, &self.issuer)?.pem();
        Ok(ServerCertificate { certificate_pem, key_pem: key.serialize_pem() })
    }

    /// The authority's own certificate as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The file with [`CertificateAuthority::pem`], for `AMPOUT_EXTRA_CA`. It lives as long as the authority.
    pub fn pem_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }
}

impl ServerCertificate {
    /// Writes `cert.pem` and `key.pem` into `directory`.
    pub(crate) fn write_to(&self, directory: &Path) -> std::io::Result<()> {
        fs::write(directory.join("cert.pem"), &self.certificate_pem)?;
        fs::write(directory.join("key.pem"), &self.key_pem)
    }
}
