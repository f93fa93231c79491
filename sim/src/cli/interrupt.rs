//! Ctrl-C: once to stop with what there is, twice to end at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::SIGINT;
use signal_hook::flag;

use super::Failure;

/// The exit status of a command that was broken off: 128 and the signal's number, as shells have it.
pub(super) const STATUS: u8 = 130;

/// A flag that the first Ctrl-C from now on sets. The second ends the process.
pub(super) fn watch() -> Result<Arc<AtomicBool>, Failure> {
    let asked = Arc::new(AtomicBool::new(false));
    // In this order: what the flag was before this signal decides.
    flag::register_conditional_shutdown(SIGINT, STATUS.into(), Arc::clone(&asked))
        .and_then(|_| flag::register(SIGINT, Arc::clone(&asked)))
        .map_err(|error| Failure::bad_input(format_args!("Ctrl-C cannot be heard: {error}")))?;
    Ok(asked)
}
