//! Integration tests: one binary, so that linking is paid once. `cargo test --test integration -- NAME` runs some of them.

#![allow(
    clippy::unwrap_used,
    clippy::unnecessary_wraps,
    clippy::needless_pass_by_value,
    missing_docs,
    reason = "a test that meets an error has failed, and all tests have one signature"
)]

mod augmented;
mod broken;
mod cli;
mod compare;
mod data;
mod dynamics;
mod files;
#[cfg(feature = "wgpu")]
mod gpu;
mod internal;
mod learning;
mod molecule;
mod reference;
mod refusals;
mod report;
mod resumption;
mod support;
mod temperatures;

use std::process::ExitCode;

use libtest_mimic::{Arguments, run};

fn main() -> ExitCode {
    let trials = [
        augmented::trials(),
        broken::trials(),
        cli::trials(),
        compare::trials(),
        data::trials(),
        dynamics::trials(),
        files::trials(),
        #[cfg(feature = "wgpu")]
        gpu::trials(),
        internal::trials(),
        learning::trials(),
        molecule::trials(),
        reference::trials(),
        refusals::trials(),
        report::trials(),
        resumption::trials(),
        temperatures::trials(),
    ];
    let trials = trials.into_iter().flatten().collect();
    run(&Arguments::from_args(), trials).exit_code()
}
