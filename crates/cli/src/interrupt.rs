//! Signals: SIGTERM, SIGINT and SIGUSR1 end the program after the piece of work at hand.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// The work was cut short on request and can be resumed.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; what is done is saved, and the same command goes on from there")]
pub struct Interrupted;

/// Starts to listen. A second signal of the same kind ends the program at once.
pub fn watch() -> std::io::Result<()> {
    let flag = ASKED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGUSR1] {
        signal_hook::flag::register_conditional_shutdown(signal, 75, Arc::clone(flag))?;
        signal_hook::flag::register(signal, Arc::clone(flag))?;
    }
    Ok(())
}

/// Whether a signal has asked to end.
pub fn asked() -> bool {
    ASKED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// An error if a signal has asked to end.
pub fn check() -> Result<(), Interrupted> {
    if asked() { Err(Interrupted) } else { Ok(()) }
}
