//! `simulate`.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use boltzflow_boltzmann::{System, digest};
use boltzflow_chemio::{Array, AtomicFile, Npz};
use boltzflow_energy::{
    Propagator, ReplicaExchange, Settings, State, Units, energies, geometric_ladder,
};
use boltzflow_flow::simd::Level;
use boltzflow_molecule::Conformers;
use serde::{Deserialize, Serialize};

use super::{Existing, prepare, remove};
use crate::arguments::Simulate;
use crate::memory::Need;
use crate::progress::Progress;
use crate::{interrupt, report};

/// Rounds between two looks at signals and clocks.
const ROUNDS: u64 = 10;
/// Rounds between saves.
const SAVE_EVERY: u64 = 2000;
/// Time between saves, if that comes earlier.
const SAVE_AFTER: Duration = Duration::from_secs(20);

/// A run as it stands on disk.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// The fingerprint.
    run: String,
    state: State,
    /// Bits of all recorded numbers.
    positions: Vec<u64>,
    energies: Vec<u64>,
}

/// Frames of the lowest temperature.
pub struct Frames {
    /// Configurations, centred.
    pub conformers: Conformers,
    /// Their energies.
    pub energies: Vec<f64>,
}

/// Where a simulation is saved on its way, and what to do with another one's state there.
#[derive(Clone, Copy)]
pub struct Save<'a> {
    /// The file.
    pub path: &'a Path,
    /// If it is of another run.
    pub existing: Existing,
}

/// Which energy of which geometry this is: the system's name with a hash of where it starts and of the energies there, in which
/// charges and other parameters show that no name tells.
pub fn identity(system: &System) -> Result<String> {
    let mut numbers = system.start.positions().to_vec();
    for energy in energies(&*system.energy, &system.start)? {
        numbers.push(energy?);
    }
    Ok(format!("{} {}", system.name, digest(&numbers)))
}

/// All that frames depend on, but for their number.
fn fingerprint(system: &System, settings: &Settings) -> Result<String> {
    Ok(serde_json::to_string(&serde_json::json!({
        "system": identity(system)?,
        "settings": settings,
        "simd": Level::current(),
        "version": env!("CARGO_PKG_VERSION"),
    }))?)
}

pub fn simulate(arguments: &Simulate) -> Result<()> {
    interrupt::stop_within(arguments.limit.get());
    if arguments.count == 0 {
        bail!("-n 0 asks for no frames; give at least 1");
    }
    let system = arguments.system.system(None)?;
    let output = &arguments.output;
    prepare(output)?;
    let existing = Existing::from_flag(arguments.overwrite);
    let settings = Settings {
        temperatures: geometric_ladder(
            system.temperature,
            arguments.hottest * system.temperature,
            arguments.replicas,
        ),
        ladders: arguments.ladders.max(1),
        propagator: propagator(&system),
        burn_in: arguments.burn_in,
        stride: arguments.stride,
        seed: arguments.seed,
    };
    let fingerprint = format!("{} n={}", fingerprint(&system, &settings)?, arguments.count);
    let state_path = output.with_extension("state.json");
    prepare(&state_path)?;
    if output.exists() {
        let old = Npz::read(output).ok();
        let old = old.as_ref().and_then(|npz| npz.array("fingerprint"));
        if old.and_then(Array::as_text) == Some(&fingerprint[..]) {
            // An earlier run may have been killed before it removed this.
            remove(&state_path)?;
            return report::say(format_args!("{} is complete already", output.display()));
        }
        if existing == Existing::Refuse {
            bail!(
                "{} holds something else; give --overwrite to replace it",
                output.display()
            );
        }
    }
    Need::simulation(arguments.count, system.start.size()).check()?;
    let save = Save {
        path: &state_path,
        existing,
    };
    let frames = run(&system, settings, arguments.count, save)?;
    let (points, dims) = (frames.conformers.points(), frames.conformers.dims());
    let n = frames.conformers.len();
    Npz::write(
        output,
        &[
            (
                "positions",
                &Array::new(&[n, points, dims], frames.conformers.into_positions()),
            ),
            ("energies", &Array::new(&[n], frames.energies)),
            ("system", &Array::text(&system.name)),
            ("fingerprint", &Array::text(&fingerprint)),
        ],
    )?;
    remove(&state_path)?;
    report::say(format_args!(
        "{n} frames of {} written to {}",
        system.name,
        output.display()
    ))
}

/// How a system's replicas move: by Hamiltonian Monte Carlo, which is exact; its step is adapted in the burn-in.
pub fn propagator(system: &System) -> Propagator {
    match system.units() {
        Units::Reduced => Propagator::Hmc {
            time_step: 0.05,
            leapfrog: 10,
            trajectories: 1,
        },
        Units::Molecular => Propagator::Hmc {
            time_step: 1.0,
            leapfrog: 20,
            trajectories: 1,
        },
    }
}

/// Rounds until the lowest temperature has given `count` frames.
pub fn rounds(settings: &Settings, count: u64) -> u64 {
    settings.burn_in + count.div_ceil(settings.ladders as u64) * settings.stride
}

/// Runs until `count` frames of the lowest temperature are there, from a saved state of the same run where there is one.
pub fn run(system: &System, settings: Settings, count: u64, save: Save) -> Result<Frames> {
    let (points, dims) = (system.energy.points(), system.energy.dims());
    let rounds = rounds(&settings, count);
    let fingerprint = fingerprint(system, &settings)?;
    let mut frames = Frames {
        conformers: Conformers::empty(points, dims),
        energies: Vec::new(),
    };
    let saved = match load(save.path) {
        Ok(Some(saved)) if saved.run == fingerprint => Some(saved),
        Ok(Some(_)) if save.existing == Existing::Refuse => bail!(
            "{} is the state of another run; give --overwrite to replace it, or the arguments it was made with to go on",
            save.path.display()
        ),
        Err(error) if save.existing == Existing::Refuse => return Err(error),
        _ => None,
    };
    let exchange = if let Some(saved) = saved {
        let numbers = |bits: Vec<u64>| bits.into_iter().map(f64::from_bits).collect::<Vec<_>>();
        frames.conformers = Conformers::new(points, dims, numbers(saved.positions));
        frames.energies = numbers(saved.energies);
        ReplicaExchange::resume(&*system.energy, system.masses(), settings, &saved.state)?
    } else {
        ReplicaExchange::new(&*system.energy, system.masses(), settings, &system.start)?
    };
    let guard = |x: &[f64]| system.has_right_stereo(x);
    let mut exchange = if system.molecule.is_some() {
        exchange.guarded(&guard)?
    } else {
        exchange
    };
    let progress = Progress::new(rounds, exchange.round(), "replica exchange, rounds");
    let mut saved = (exchange.round(), Instant::now());
    while exchange.round() < rounds {
        let stop = interrupt::check();
        let unsaved = exchange.round() - saved.0;
        let due = unsaved >= SAVE_EVERY || saved.1.elapsed() >= SAVE_AFTER || stop.is_err();
        if due && unsaved > 0 {
            write(save.path, &fingerprint, exchange.state(), &frames)?;
            saved = (exchange.round(), Instant::now());
        }
        stop?;
        let step = ROUNDS.min(rounds - exchange.round());
        interrupt::timed(|| {
            exchange.advance(step, |frame| {
                if frame.temperature == 0 {
                    frames.conformers.push(frame.positions);
                    frames.energies.push(frame.energy);
                }
            })
        })?;
        progress.inc(step);
    }
    if exchange.round() > saved.0 {
        write(save.path, &fingerprint, exchange.state(), &frames)?;
    }
    progress.finish_and_clear();
    let statistics = exchange.statistics();
    let accepted: Vec<String> = statistics
        .pairs
        .iter()
        .map(|pair| format!("{:.2}", pair.acceptance()))
        .collect();
    eprintln!(
        "exchange acceptance {}; {} round trips",
        accepted.join(" "),
        statistics.round_trips
    );
    let kept: Vec<usize> = (0..frames.conformers.len().min(count as usize)).collect();
    frames.conformers = frames.conformers.select(&kept);
    frames.energies.truncate(kept.len());
    Ok(frames)
}

fn write(path: &Path, fingerprint: &str, state: State, frames: &Frames) -> Result<()> {
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect();
    let saved = Saved {
        run: fingerprint.to_owned(),
        state,
        positions: bits(frames.conformers.positions()),
        energies: bits(&frames.energies),
    };
    AtomicFile::write_all_to(path, &serde_json::to_vec(&saved)?)?;
    Ok(())
}

/// A saved run, if there is one.
fn load(path: &Path) -> Result<Option<Saved>> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        outcome => outcome.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let saved = serde_json::from_slice(&bytes).with_context(|| {
        format!(
            "{} is no saved simulation, or is damaged; give --overwrite to start afresh",
            path.display()
        )
    })?;
    Ok(Some(saved))
}
