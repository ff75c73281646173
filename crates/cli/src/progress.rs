//! How far the work is: a bar on a terminal, log lines elsewhere.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// The first log line comes after this; each further one when twice as much time has passed.
const FIRST: Duration = Duration::from_secs(10);
/// There is never longer silence than this between two pieces of work.
const LONGEST: Duration = Duration::from_mins(5);

/// Work that is under way.
pub struct Progress {
    bar: ProgressBar,
    /// None on a terminal.
    log: Option<Mutex<Log>>,
    message: String,
}

/// When lines were and will be written.
#[derive(Clone, Copy)]
struct Log {
    started: Instant,
    /// Where the work stood then.
    first: u64,
    /// Time after which the next line comes.
    next: Duration,
}

impl Progress {
    /// Work of `length` pieces, of which `done` were done by an earlier run.
    pub fn new(length: u64, done: u64, message: &str) -> Self {
        let bar = ProgressBar::new(length).with_position(done);
        let style = ProgressStyle::with_template("{msg} [{bar:40}] {pos}/{len} {eta}")
            .expect("a fixed template");
        bar.set_style(style.progress_chars("=> "));
        bar.set_message(message.to_owned());
        bar.reset_eta();
        let log = bar.is_hidden().then(|| {
            Mutex::new(Log {
                started: Instant::now(),
                first: done,
                next: FIRST,
            })
        });
        if log.is_some() {
            match done {
                0 => eprintln!("{message}: {length}"),
                done => eprintln!("{message}: {length}, of which {done} are done"),
            }
        }
        Self {
            bar,
            log,
            message: message.to_owned(),
        }
    }

    /// Some more is done.
    pub fn inc(&self, pieces: u64) {
        self.bar.inc(pieces);
        if let Some(log) = &self.log {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            let elapsed = log.started.elapsed();
            if elapsed >= log.next {
                log.next = elapsed + elapsed.min(LONGEST);
                let line = line(
                    &self.message,
                    [
                        log.first,
                        self.bar.position(),
                        self.bar.length().unwrap_or(0),
                    ],
                    elapsed,
                );
                eprintln!("{line}");
            }
        }
    }

    /// Says something that a log should hold; a bar leaves no room for it.
    pub fn note(&self, text: impl std::fmt::Display) {
        if self.log.is_some() {
            eprintln!("{}: {text}", self.message);
        }
    }

    /// The work is done.
    pub fn finish_and_clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// `first`: what was done at the start of the clock, `done`: what is done now, `all`: of how much.
fn line(message: &str, [first, done, all]: [u64; 3], elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let left = seconds * all.saturating_sub(done) as f64 / done.saturating_sub(first).max(1) as f64;
    format!("{message}: {done} of {all} after {seconds:.0} s, about {left:.0} s to go")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_go_counts_only_what_this_run_has_done() {
        assert_eq!(
            line("samples", [400, 500, 1000], Duration::from_secs(20)),
            "samples: 500 of 1000 after 20 s, about 100 s to go"
        );
    }
}
