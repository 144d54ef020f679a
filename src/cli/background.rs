//! Work that takes long and that nobody should have to wait for, the gateway beside it least of all.

/// The lowest there is.
const NICEST: i32 = 19;

/// Lets everybody else go first from now on: to the processors, and to a disk whose scheduler goes by priorities (Linux derives that
/// for the disk from this one). On an idle machine it makes no difference.
pub(super) fn step_back() {
    // What a sandbox forbids is no reason not to do the work.
    let _ = rustix::process::nice(NICEST);
}
