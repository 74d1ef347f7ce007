//! What makes two requests the same: SHA-256 over method, path with query, and body. Large bodies are hashed while they
//! pass by.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::{Method, Uri};
use futures_util::{StreamExt as _, stream};
use sha2::{Digest as _, Sha256};

use super::super::error::{ApiError, Code, Result};

/// A hash under way.
#[derive(Debug)]
pub(super) struct Fingerprint(Mutex<State>);

#[derive(Debug)]
struct State {
    hash: Sha256,
    is_whole: bool,
}

impl Fingerprint {
    pub(super) fn begin(method: &Method, uri: &Uri) -> Self {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let hash = Sha256::new().chain_update(method.as_str()).chain_update(b"\0").chain_update(path);
        Self(Mutex::new(State { hash: hash.chain_update(b"\0"), is_whole: false }))
    }

    /// In hex, of what was hashed so far.
    pub(super) fn so_far(&self) -> String {
        hex::encode(self.state(|state| state.hash.clone().finalize()))
    }

    /// In hex, once the body was read to its end.
    pub(super) fn whole(&self) -> Option<String> {
        self.state(|state| state.is_whole).then(|| self.so_far())
    }

    /// Adds the whole body.
    pub(super) fn add_last(&self, body: &[u8]) {
        self.add(body);
        self.state(|state| state.is_whole = true);
    }

    /// The body, and its hash once somebody has read it to its end.
    pub(super) fn beside(self, body: Body) -> (Body, Arc<Self>) {
        let this = Arc::new(self);
        let (passing, ending) = (Arc::clone(&this), Arc::clone(&this));
        let pieces = body.into_data_stream().inspect(move |piece| {
            if let Ok(bytes) = piece {
                passing.add(bytes);
            }
        });
        let end = stream::poll_fn(move |_| {
            ending.state(|state| state.is_whole = true);
            std::task::Poll::Ready(None)
        });
        (Body::from_stream(pieces.chain(end)), this)
    }

    /// Reads a body for its hash alone.
    pub(super) async fn of_body(self, body: Body, largest: usize) -> Result<Arc<Self>> {
        let mut pieces = body.into_data_stream();
        let mut size = 0_usize;
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| ApiError::bad_request("The body could not be read to its end."))?;
            size = size.saturating_add(piece.len());
            if size > largest {
                return Err(ApiError::new(Code::PayloadTooLarge, "The body is larger than it may be."));
            }
            self.add(&piece);
        }
        self.add_last(b"");
        Ok(Arc::new(self))
    }

    fn add(&self, bytes: &[u8]) {
        self.state(|state| state.hash.update(bytes));
    }

    fn state<T>(&self, use_it: impl FnOnce(&mut State) -> T) -> T {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
