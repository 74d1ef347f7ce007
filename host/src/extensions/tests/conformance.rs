//! The shipped adapters against the conformance cases of the plugin kit, as the components that they are in the binary.
//! The kit puts the same cases to their functions natively; here it is the engine that carries request and answer.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ampout_plugin::testkit::conformance::{Case, cases};
use bytes::Bytes;

use super::*;
use crate::extensions::hooks::ingest::{Request, Settings};
use crate::extensions::shipped::{SHIPPED, Shipped};

/// The API refuses larger bodies before an adapter is asked, and hyper longer addresses.
const LARGEST_BODY: usize = 1 << 20;
const LONGEST_QUERY: usize = 64 << 10;

fn plugin(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins").join(name)
}

fn question(case: &Case) -> HookInput {
    let given = case.request.clone();
    let request = Request {
        method: given.method,
        path: given.path,
        query: given.query,
        url: given.url,
        headers: given.headers,
        body: Bytes::from(given.body),
        received_at: given.received_at.parse().unwrap(),
        ..Request::default()
    };
    let settings = case.settings.iter().map(|(key, value)| (key.clone(), value.as_str().into()));
    HookInput::ProviderAdapter(Arc::new(request), Arc::new(Settings::new(settings)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_shipped_adapter_conforms_as_a_component() {
    let host = host();
    let mut tried = 0;
    let hooks = |shipped: &Shipped| shipped.manifest().unwrap().hooks;
    for shipped in SHIPPED.iter().filter(|shipped| hooks(shipped) == [Hook::ProviderAdapter]) {
        let adapter = host.load(shipped.bytes, shipped.engine, shipped.file).await.unwrap();
        let mut wrong = Vec::new();
        let arrives =
            |case: &&Case| case.request.body.len() <= LARGEST_BODY && case.request.query.len() <= LONGEST_QUERY;
        for case in cases(plugin(shipped.name())).iter().filter(arrives) {
            let mut called = host.call(&adapter, &question(case)).await;
            // A machine that runs other tests, too, may keep a call from its processor.
            if matches!(called.answer, Err(CallError::OutOfTime { .. })) {
                called = host.call(&adapter, &question(case)).await;
            }
            wrong.extend(match called.answer {
                Ok(answer) => case.complaint(&answer.to_json()),
                Err(error) => Some(format!("{}: {error}", case.name)),
            });
            tried += 1;
        }
        assert!(
            wrong.is_empty(),
            "{}: {} cases failed:\n{}",
            shipped.name(),
            wrong.len(),
            wrong[..wrong.len().min(5)].join("\n")
        );
    }
    assert!(tried > 17 * 50, "only {tried} cases were there to try");
}
