//! `simulate`.

use std::path::Path;

use anyhow::{Context, Result, bail};
use boltzflow_boltzmann::System;
use boltzflow_chemio::{Array, AtomicFile, Npz};
use boltzflow_energy::{Propagator, ReplicaExchange, Settings, State, Units, geometric_ladder};
use boltzflow_molecule::Conformers;
use serde::{Deserialize, Serialize};

use crate::arguments::Simulate;
use crate::{interrupt, report};

/// Rounds between saves.
const SAVE_EVERY: u64 = 2000;

/// A run as it stands on disk.
#[derive(Serialize, Deserialize)]
struct Saved {
    system: String,
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

pub fn simulate(arguments: &Simulate) -> Result<()> {
    let system = arguments.system.system(None)?;
    if arguments.count == 0 {
        bail!("-n 0 asks for no frames; give at least 1");
    }
    if arguments.output.exists() && !arguments.overwrite {
        bail!(
            "{} exists; give --overwrite to replace it",
            arguments.output.display()
        );
    }
    let ladders = arguments.ladders.max(1);
    let settings = Settings {
        temperatures: geometric_ladder(
            system.temperature,
            system.temperature * arguments.hottest,
            arguments.replicas,
        ),
        ladders,
        propagator: propagator(&system),
        burn_in: arguments.burn_in,
        stride: arguments.stride,
        seed: arguments.seed,
    };
    let state_path = arguments.output.with_extension("state.json");
    let frames = run(&system, settings, arguments.count, Some(&state_path))?;
    let (points, dims) = (frames.conformers.points(), frames.conformers.dims());
    let n = frames.conformers.len();
    Npz::write(
        &arguments.output,
        &[
            (
                "positions",
                &Array::new(&[n, points, dims], frames.conformers.into_positions()),
            ),
            ("energies", &Array::new(&[n], frames.energies)),
            ("system", &Array::text(&system.name)),
        ],
    )?;
    if state_path.exists() {
        std::fs::remove_file(&state_path)?;
    }
    report::say(format_args!(
        "{n} frames of {} written to {}",
        system.name,
        arguments.output.display()
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

/// Runs until `count` frames of the lowest temperature are there; saves on the way where a path is given.
pub fn run(system: &System, settings: Settings, count: u64, save: Option<&Path>) -> Result<Frames> {
    let (points, dims) = (system.energy.points(), system.energy.dims());
    let guard = |x: &[f64]| system.has_right_stereo(x);
    let saved = save.filter(|path| path.exists()).map(load).transpose()?;
    let mut frames = Frames {
        conformers: Conformers::empty(points, dims),
        energies: Vec::new(),
    };
    let rounds = rounds(&settings, count);
    let exchange = match saved {
        Some(saved) if saved.system == system.name && *saved.state.settings() == settings => {
            let numbers = |bits: Vec<u64>| bits.into_iter().map(f64::from_bits).collect::<Vec<_>>();
            frames.conformers = Conformers::new(points, dims, numbers(saved.positions));
            frames.energies = numbers(saved.energies);
            ReplicaExchange::resume(&*system.energy, system.masses(), settings, &saved.state)?
        }
        Some(_) => bail!(
            "{} belongs to another run; remove it, or run with the arguments it was made with",
            save.unwrap_or(Path::new("")).display()
        ),
        None => ReplicaExchange::new(&*system.energy, system.masses(), settings, &system.start)?,
    };
    let mut exchange = if system.molecule.is_some() {
        exchange.guarded(&guard)?
    } else {
        exchange
    };
    let bar = report::progress(rounds, "replica exchange, rounds");
    bar.set_position(exchange.round());
    let mut unsaved = 0;
    while exchange.round() < rounds {
        let step = 100.min(rounds - exchange.round());
        exchange.advance(step, |frame| {
            if frame.temperature == 0 {
                frames.conformers.push(frame.positions);
                frames.energies.push(frame.energy);
            }
        })?;
        bar.inc(step);
        unsaved += step;
        if let Some(path) = save
            && (unsaved >= SAVE_EVERY || interrupt::asked())
        {
            unsaved = 0;
            let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect();
            let saved = Saved {
                system: system.name.clone(),
                state: exchange.state(),
                positions: bits(frames.conformers.positions()),
                energies: bits(&frames.energies),
            };
            AtomicFile::write_all_to(path, &serde_json::to_vec(&saved)?)?;
        }
        interrupt::check()?;
    }
    bar.finish_and_clear();
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

fn load(path: &Path) -> Result<Saved> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| {
        format!(
            "{} is no saved simulation, or is damaged; remove it to start afresh",
            path.display()
        )
    })
}
