//! `simulate`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use boltzflow_boltzmann::{
    System, Torsion, Well, digest, identity as identity_of_points, positions_of, write_mean_energy,
    write_torsion,
};
use boltzflow_chemio::{Array, AtomicFile, Npz};
use boltzflow_energy::{
    Propagator, ReplicaExchange, Settings, State, Units, blocks, energies, geometric_ladder,
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

pub fn simulate(arguments: &Simulate, json: bool) -> Result<()> {
    interrupt::stop_within(arguments.limit.get());
    report::print(&simulated(arguments)?, json)
}

/// Simulates, unless the output is there already, and says what there is.
pub fn simulated(arguments: &Simulate) -> Result<Simulated> {
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
            arguments.replicas as usize,
        ),
        ladders: arguments.ladders as usize,
        propagator: propagator(&system),
        burn_in: arguments.burn_in,
        stride: arguments.stride,
        seed: arguments.seed,
    };
    settings.validate()?;
    let fingerprint = format!("{} n={}", fingerprint(&system, &settings)?, arguments.count);
    let state_path = output.with_extension("state.json");
    prepare(&state_path)?;
    if output.exists() {
        let old = Npz::read(output).ok();
        let old = old.as_ref().and_then(|npz| npz.array("fingerprint"));
        if old.and_then(Array::as_text) == Some(&fingerprint[..]) {
            // An earlier run may have been killed before it removed this.
            remove(&state_path)?;
            eprintln!("{} is complete already", output.display());
            let frames = read_frames(output, &system)?;
            return Simulated::new(output, &system, &settings, &frames);
        }
        if existing == Existing::Refuse {
            bail!(
                "{} holds something else; give --overwrite to replace it",
                output.display()
            );
        }
    }
    Need::simulation(arguments.count, system.start.size(), settings.replicas()).check()?;
    let save = Save {
        path: &state_path,
        existing,
    };
    let frames = run(&system, settings.clone(), arguments.count, save)?;
    let simulated = Simulated::new(output, &system, &settings, &frames)?;
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
            (
                "molecule",
                &Array::text(&identity_of_points(&system.points())),
            ),
            ("fingerprint", &Array::text(&fingerprint)),
        ],
    )?;
    remove(&state_path)?;
    Ok(simulated)
}

/// The frames of a file that is complete.
fn read_frames(path: &Path, system: &System) -> Result<Frames> {
    let npz = Npz::read(path)?;
    let conformers = positions_of(&npz, path, &system.points())?;
    let energies = npz.array("energies").and_then(Array::as_f64);
    let energies = energies.filter(|energies| energies.len() == conformers.len());
    let energies = energies.with_context(|| format!("{} has no energies", path.display()))?;
    Ok(Frames {
        energies: energies.to_vec(),
        conformers,
    })
}

/// Averages over the frames of a simulation, with errors by blocking.
#[derive(Serialize)]
pub struct Simulated {
    output: PathBuf,
    system: String,
    frames: usize,
    /// Evaluations of the energy.
    pub energy_calls: u64,
    /// The mean potential energy.
    mean_energy: Average,
    /// Its unit.
    units: Units,
    torsions: Vec<SimulatedTorsion>,
}

/// A torsion in the frames.
#[derive(Serialize)]
struct SimulatedTorsion {
    name: String,
    /// Its atoms, from 0.
    atoms: [usize; 4],
    wells: Vec<SimulatedWell>,
}

/// How often a torsion is in a well.
#[derive(Serialize)]
struct SimulatedWell {
    name: &'static str,
    population: Average,
}

/// An average over frames with its standard error, by blocking: frames are correlated.
#[derive(Serialize)]
struct Average {
    value: f64,
    error: f64,
}

impl Average {
    fn of(values: &[f64]) -> Self {
        let (value, error) = blocks::mean_and_error(values);
        Self { value, error }
    }
}

impl fmt::Display for Average {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4} ± {:.4}", self.value, self.error)
    }
}

impl Simulated {
    fn new(output: &Path, system: &System, settings: &Settings, frames: &Frames) -> Result<Self> {
        let of_torsion = |torsion: &Torsion| {
            let angles: Vec<f64> = frames.conformers.iter().map(|x| torsion.angle(x)).collect();
            let population = |well: &Well| {
                let inside = |&angle: &f64| f64::from(u8::from(well.contains(angle)));
                SimulatedWell {
                    name: well.name,
                    population: Average::of(&angles.iter().map(inside).collect::<Vec<_>>()),
                }
            };
            SimulatedTorsion {
                name: torsion.name.clone(),
                atoms: torsion.atoms,
                wells: torsion.kind.wells().iter().map(population).collect(),
            }
        };
        Ok(Self {
            output: output.to_owned(),
            system: system.name.clone(),
            frames: frames.conformers.len(),
            energy_calls: energy_calls(settings, frames.conformers.len() as u64)?,
            mean_energy: Average::of(&frames.energies),
            units: system.units(),
            torsions: system.torsions().iter().map(of_torsion).collect(),
        })
    }
}

impl fmt::Display for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} frames of {} in {}, {} energy calls",
            self.frames,
            self.system,
            self.output.display(),
            self.energy_calls
        )?;
        write_mean_energy(f, &self.mean_energy, self.units)?;
        for torsion in &self.torsions {
            write_torsion(f, &torsion.name, torsion.atoms)?;
            for well in &torsion.wells {
                writeln!(f, "  {:<22}  {}", well.name, well.population)?;
            }
        }
        Ok(())
    }
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

/// Evaluations of the energy until `count` frames are there.
pub fn energy_calls(settings: &Settings, count: u64) -> Result<u64> {
    let each = settings.replicas() * settings.evaluations_per_round();
    Ok(settings.rounds(count)?.saturating_mul(each as u64))
}

/// Runs until `count` frames of the lowest temperature are there, from a saved state of the same run where there is one.
pub fn run(system: &System, settings: Settings, count: u64, save: Save) -> Result<Frames> {
    let (points, dims) = (system.energy.points(), system.energy.dims());
    let rounds = settings.rounds(count)?;
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
