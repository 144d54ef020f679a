//! The configuration: as written (TOML with positions) to resolved, every error in one run.
