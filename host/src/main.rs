//! The `ampout` command.

use std::process::ExitCode;

/// `.cargo/config.toml` says how many arenas it has.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    ampout::cli::main()
}
