//! A stand-in for the host's `http.fetch`, so that adapters that fetch can be tried without a network.

use std::cell::RefCell;

use crate::host::{FetchError, FetchRequest, FetchResponse};

type Answer = Box<dyn Fn(&FetchRequest) -> Result<FetchResponse, FetchError>>;

thread_local! {
    static ANSWER: RefCell<Option<Answer>> = const { RefCell::new(None) };
}

/// Runs `test` with every [`fetch`](crate::host::fetch) of this thread answered by `answer`. Without it each is denied.
pub fn with_fetch<T>(
    answer: impl Fn(&FetchRequest) -> Result<FetchResponse, FetchError> + 'static,
    test: impl FnOnce() -> T,
) -> T {
    /// Takes the answer away, also where the test panics.
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            ANSWER.with_borrow_mut(|slot| *slot = None);
        }
    }
    ANSWER.with_borrow_mut(|slot| *slot = Some(Box::new(answer)));
    let _restore = Restore;
    test()
}

/// What the test laid out for a request.
pub(crate) fn fetched(request: &FetchRequest) -> Result<FetchResponse, FetchError> {
    ANSWER.with_borrow(|slot| match slot {
        Some(answer) => answer(request),
        None => Err(FetchError::Denied("no host is granted in this test; see testkit::with_fetch".to_owned())),
    })
}
