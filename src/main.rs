//! Exit codes, nothing else.

use std::process::ExitCode;

/// Many small allocations on every thread are what a gateway does; this one is quicker at them than the C library's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(hookgate::cli::run() as u8)
}
