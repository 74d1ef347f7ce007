//! The `ampout` command.

use std::process::ExitCode;

/// A send allocates some hundred times, on several threads, and so does SQLite for it (the allocator takes the place of
/// C's `malloc`, too): it is a fifth of the processor's time with glibc's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ampout::cli::main()
}
