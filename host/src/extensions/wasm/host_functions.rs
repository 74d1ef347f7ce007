//! What a component may import: `log`, `clock`, `crypto` and `http` of `ampout:extension`.

use super::bindings::ampout::extension::{clock, crypto, http, log, types};
use super::state::State;
use crate::extensions::crypto::{self as keys, Digest};
use crate::extensions::fetch::Refused;
use crate::extensions::record::LogLevel;
use crate::http_client::Answer;

impl types::Host for State {}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        self.logs.write(level, &message);
        Ok(())
    }
}

impl clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<String> {
        Ok(self.now.to_string())
    }
}

impl crypto::Host for State {
    fn hash(&mut self, digest: crypto::Digest, data: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        Ok(keys::hash(digest.into(), &data))
    }

    fn hmac(&mut self, digest: crypto::Digest, key: Vec<u8>, data: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        Ok(keys::hmac(digest.into(), &key, &data))
    }

    fn verify_ecdsa_p256(
        &mut self,
        public_key: Vec<u8>,
        message: Vec<u8>,
        signature: Vec<u8>,
    ) -> wasmtime::Result<Result<bool, String>> {
        Ok(keys::verify_ecdsa_p256(&public_key, &message, &signature))
    }

    fn verify_ed25519(
        &mut self,
        public_key: Vec<u8>,
        message: Vec<u8>,
        signature: Vec<u8>,
    ) -> wasmtime::Result<Result<bool, String>> {
        Ok(keys::verify_ed25519(&public_key, &message, &signature))
    }

    fn verify_rsa_pkcs1(
        &mut self,
        public_key: Vec<u8>,
        digest: crypto::Digest,
        message: Vec<u8>,
        signature: Vec<u8>,
    ) -> wasmtime::Result<Result<bool, String>> {
        Ok(keys::verify_rsa_pkcs1(&public_key, digest.into(), &message, &signature))
    }

    fn certificate_public_key(&mut self, certificate: Vec<u8>) -> wasmtime::Result<Result<Vec<u8>, String>> {
        Ok(keys::certificate_public_key(&certificate))
    }

    fn constant_time_equal(&mut self, left: Vec<u8>, right: Vec<u8>) -> wasmtime::Result<bool> {
        Ok(keys::constant_time_equal(&left, &right))
    }
}

impl From<crypto::Digest> for Digest {
    fn from(digest: crypto::Digest) -> Self {
        match digest {
            crypto::Digest::Sha1 => Self::Sha1,
            crypto::Digest::Sha256 => Self::Sha256,
        }
    }
}

impl http::Host for State {
    async fn fetch(
        &mut self,
        request: http::FetchRequest,
    ) -> wasmtime::Result<Result<http::FetchResponse, http::FetchError>> {
        let http::FetchRequest { method, url, headers, body } = request;
        self.own_time.stands_still();
        let fetched = self.fetcher.fetch(&method, &url, headers, body).await;
        self.own_time.goes_on();
        Ok(match fetched {
            Ok(Answer { status, headers, body }) => Ok(http::FetchResponse { status, headers, body: body.into() }),
            Err(Refused::Denied(reason)) => Err(http::FetchError::Denied(reason)),
            Err(Refused::Timeout) => Err(http::FetchError::Timeout),
            Err(Refused::TooLarge) => Err(http::FetchError::TooLarge),
            Err(Refused::Failed(reason)) => Err(http::FetchError::Failed(reason)),
        })
    }
}
