//! The last words of a plugin that panics. On `wasm32-unknown-unknown` the standard library prints them nowhere, and what is
//! left is a trap that says nothing; on targets with a system they are printed, and what is printed is logged.

/// Called first in each call, which has an instance of its own: a panic is logged with its place before it ends the call. It
/// takes some nanoseconds.
pub fn are_logged() {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    std::panic::set_hook(Box::new(log));
}

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
fn log(panicked: &std::panic::PanicHookInfo<'_>) {
    let payload = panicked.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
    let line = match panicked.location() {
        Some(place) => format!("panicked at {place}: {text}"),
        None => format!("panicked: {text}"),
    };
    crate::host::log(crate::host::Level::Error, &line);
}
