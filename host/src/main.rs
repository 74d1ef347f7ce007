//! The `ampout` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ampout::cli::main()
}
