//! Why the program stops before its work is done: signals and the time limit. Both end it after the piece of work at hand.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

/// What is kept free at the end of a time limit for saving: a tenth of it, at most this.
const MARGIN: Duration = Duration::from_mins(1);

static SIGNALLED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
static END: OnceLock<Instant> = OnceLock::new();
/// Nanoseconds that the longest piece of work so far has taken.
static LONGEST: AtomicU64 = AtomicU64::new(0);

/// The work was cut short and can be resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Interrupted {
    /// On request.
    #[error("interrupted; what is done is saved, and the same command goes on from there")]
    Signal,
    /// For lack of time.
    #[error(
        "stopped before the time limit; what is done is saved, and the same command goes on from there"
    )]
    TimeLimit,
}

/// Starts to listen to SIGTERM, SIGINT and SIGUSR1. A second signal of the same kind ends the program at once.
pub fn watch() -> std::io::Result<()> {
    let flag = SIGNALLED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGUSR1] {
        signal_hook::flag::register_conditional_shutdown(signal, 75, Arc::clone(flag))?;
        signal_hook::flag::register(signal, Arc::clone(flag))?;
    }
    Ok(())
}

/// Stops in time to be done within `limit` from now. The first limit of a process counts.
pub fn stop_within(limit: Option<Duration>) {
    if let Some(limit) = limit
        && let Some(end) = Instant::now().checked_add(limit.saturating_sub(MARGIN.min(limit / 10)))
    {
        END.get_or_init(|| end);
    }
}

/// Does one piece of work and remembers how long the longest has taken: none is begun that may not end in time.
pub fn timed<T>(work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    LONGEST.fetch_max(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
    result
}

/// An error if no further piece of work is to be begun.
pub fn check() -> Result<(), Interrupted> {
    if SIGNALLED
        .get()
        .is_some_and(|flag| flag.load(Ordering::Relaxed))
    {
        return Err(Interrupted::Signal);
    }
    let longest = Duration::from_nanos(LONGEST.load(Ordering::Relaxed));
    match END.get() {
        Some(end) if Instant::now() + longest >= *end => Err(Interrupted::TimeLimit),
        _ => Ok(()),
    }
}
