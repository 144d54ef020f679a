//! Exit codes, nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(hookgate::cli::run() as u8)
}
