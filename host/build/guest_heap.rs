//! How much heap a plugin's instance begins with. What is laid out by the linker costs nothing until it is touched; what is
//! asked for during a call costs a change of the page tables, each time. A message with its headers, and what a classifier
//! makes of it, fits.

/// What cargo is told when it builds for `wasm32-unknown-unknown`: 256 KiB.
pub(crate) const CARGO_ARGUMENTS: [&str; 2] =
    ["--config", r#"target.wasm32-unknown-unknown.rustflags = ["-Clink-arg=--initial-heap=262144"]"#];
