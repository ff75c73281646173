//! The program `boltzflow`.

mod arguments;
mod clock;
mod commands;
mod device;
mod interrupt;
mod memory;
mod progress;
mod report;
mod warnings;

use std::process::ExitCode;

use anyhow::{Result, bail};
use boltzflow_flow::simd::Level;
use clap::Parser;

use arguments::{Cli, Command, Simd};
use interrupt::Interrupted;

/// Unfinished, to be run again (`EX_TEMPFAIL` of sysexits.h).
const RESUME_ME: u8 = 75;
/// What a shell says of a program that wrote to a pipe without a reader: 128 + SIGPIPE.
const BROKEN_PIPE: u8 = 141;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("boltzflow: {error}");
            ExitCode::from(RESUME_ME)
        }
        Err(error) if is_broken_pipe(&error) => ExitCode::from(BROKEN_PIPE),
        Err(error) => {
            eprintln!("boltzflow: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nobody reads standard output any more; an error of a file says which file it is, so it is another one.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn run(cli: &Cli) -> Result<()> {
    boltzflow_boltzmann::keep_pages();
    warnings::show();
    let mut pool = rayon::ThreadPoolBuilder::new();
    let threads = cli.threads.map(|threads| threads as usize);
    if let Some(threads) = threads.or_else(arguments::threads_of_environment) {
        pool = pool.num_threads(threads);
    }
    pool.build_global()?;
    if cli.command.saves_its_work() {
        interrupt::watch()?;
    }
    if let Some(simd) = cli.simd {
        pin(simd)?;
    }
    device::choose(cli.device)?;
    match &cli.command {
        Command::Info(arguments) => commands::info(arguments, cli.json),
        Command::Energy(arguments) => commands::energy(arguments, cli.json),
        Command::Simulate(arguments) => commands::simulate(arguments, cli.json),
        Command::Train(arguments) => commands::train(arguments, cli.json),
        Command::Sample(arguments) => commands::sample(arguments, cli.json),
        Command::Merge(arguments) => commands::merge(arguments, cli.json),
        Command::Density(arguments) => commands::density(arguments, cli.json),
        Command::Reweight(arguments) => commands::reweight(arguments, cli.json),
        Command::Evaluate(arguments) => commands::evaluate(arguments, cli.json),
        Command::Compare(arguments) => commands::compare(arguments, cli.json),
        Command::Generate(arguments) => commands::generate(arguments, cli.json),
    }
}

/// Fixes the vector instructions of networks and force fields.
fn pin(simd: Simd) -> Result<()> {
    let level = Level::from(simd);
    if !level.pin() {
        bail!(
            "this processor has no {level:?} instructions, its best level is {:?}; give --simd for that or a lower one",
            Level::detected()
        );
    }
    boltzflow_energy::simd::limit(match simd {
        Simd::Baseline => boltzflow_energy::simd::Widest::Portable,
        Simd::Avx2 => boltzflow_energy::simd::Widest::Avx2,
        Simd::Avx512 => boltzflow_energy::simd::Widest::Avx512,
    });
    Ok(())
}
