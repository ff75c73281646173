//! Warnings of our libraries: what they leave out of a file, and why.

use log::{LevelFilter, Log, Metadata, Record};

struct Warnings;

/// Shows them on standard error from now on.
pub fn show() {
    log::set_logger(&Warnings).expect("the program sets one logger");
    log::set_max_level(LevelFilter::Warn);
}

impl Log for Warnings {
    fn enabled(&self, metadata: &Metadata) -> bool {
        // Other libraries warn of what no user can act on.
        metadata.target().starts_with("boltzflow")
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            eprintln!("boltzflow: warning: {}", record.args());
        }
    }

    fn flush(&self) {}
}
