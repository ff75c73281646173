//! Integration tests: one binary, so that linking is paid once. `cargo test --test integration -- NAME` runs some of them.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    missing_docs,
    reason = "a test that meets an error has failed"
)]

mod cli;
mod data;
mod dynamics;
mod files;
mod mmff;
mod molecule;
mod support;

use std::process::ExitCode;

use libtest_mimic::{Arguments, run};

fn main() -> ExitCode {
    let trials = [
        cli::trials(),
        data::trials(),
        dynamics::trials(),
        files::trials(),
        mmff::trials(),
        molecule::trials(),
    ];
    let trials = trials.into_iter().flatten().collect();
    run(&Arguments::from_args(), trials).exit_code()
}
