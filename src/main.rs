//! Exit codes, and where memory comes from.

use std::process::ExitCode;

/// Many small allocations on every thread are what a gateway does; this one is quicker at them than the C library's. It is built so
/// that it asks for no huge pages: of those each thread takes some, and a single large body would cost half as much again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The same for systems that give huge pages to whoever does not ask. Where there are none, there is nothing to switch off.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    ExitCode::from(hookgate::cli::run() as u8)
}
