//! `simulate`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use boltzflow_boltzmann::{
    System, Torsion, TrainingData, Well, digest, identity as identity_of_points, positions_of,
    starts, write_mean_energy, write_torsion,
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

/// Which frames are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Those of the lowest temperature.
    Lowest,
    /// Those of every replica.
    All,
}

impl Recorded {
    /// The temperatures that frames are recorded at, from the lowest.
    pub fn temperatures(self, settings: &Settings) -> Vec<f64> {
        match self {
            Self::Lowest => settings.temperatures.iter().take(1).copied().collect(),
            Self::All => settings.temperatures.clone(),
        }
    }

    /// What sets a run apart from one that records the lowest temperature.
    fn mark(self) -> &'static str {
        match self {
            Self::Lowest => "",
            Self::All => " at all temperatures",
        }
    }
}

/// Where replicas start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starts {
    /// All where the system is.
    Given,
    /// One there, and the others each from a conformer of its own, see [`starts`].
    Embedded,
    /// The same, or where the system is if none can be embedded.
    EmbeddedIfFound,
}

impl Starts {
    /// One for each replica, as far as they are found.
    fn conformers(self, system: &System, settings: &Settings) -> Result<Conformers> {
        let replicas = settings.replicas();
        let embedded = || starts(system, replicas, settings.seed);
        let given = || system.start.select(&[0]);
        let found = match self {
            Self::Given => return Ok(given()),
            Self::Embedded => embedded()?,
            Self::EmbeddedIfFound => embedded().unwrap_or_else(|error| {
                log::warn!("{error}");
                given()
            }),
        };
        if found.len() < replicas && system.molecule.is_some() {
            log::warn!(
                "{} of {replicas} replicas start from a conformer of their own",
                found.len()
            );
        }
        Ok(found)
    }

    /// What sets a run apart from one that starts where the system is.
    fn mark(self) -> &'static str {
        match self {
            Self::Given => "",
            Self::Embedded | Self::EmbeddedIfFound => " from embedded conformers",
        }
    }
}

/// How much of what is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Frames of each temperature.
    pub count: u64,
    /// Which temperatures.
    pub recorded: Recorded,
    /// Where it all starts.
    pub starts: Starts,
}

impl Wanted {
    /// What sets a run apart from one of the lowest temperature that starts where the system is.
    fn mark(self) -> String {
        format!("{}{}", self.recorded.mark(), self.starts.mark())
    }
}

/// Frames of a simulation, one of each temperature after another.
pub struct Frames {
    /// Configurations, centred.
    pub conformers: Conformers,
    /// Their energies.
    pub energies: Vec<f64>,
    /// The temperatures that they go through, from the lowest: frame `k` is at number `k mod n` of these `n`.
    pub ladder: Vec<f64>,
}

impl Frames {
    /// The temperature of each.
    pub fn temperatures(&self) -> Vec<f64> {
        let count = self.conformers.len();
        self.ladder.iter().copied().cycle().take(count).collect()
    }

    /// The places of those at one of the temperatures.
    fn at(&self, rung: usize) -> Vec<usize> {
        (rung..self.conformers.len())
            .step_by(self.ladder.len())
            .collect()
    }

    /// The energies of those at one of the temperatures.
    fn energies_at(&self, rung: usize) -> Vec<f64> {
        let places = self.at(rung).into_iter();
        places.map(|k| self.energies[k]).collect()
    }

    /// Each with its temperature.
    pub fn into_data(self) -> TrainingData {
        TrainingData {
            temperatures: self.temperatures(),
            ..TrainingData::at(self.conformers, self.ladder[0])
        }
    }
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
    if arguments.embed && system.molecule.is_none() {
        bail!("a toy target has no conformers to start from; leave out --embed");
    }
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
    let wanted = Wanted {
        count: arguments.count,
        recorded: if arguments.all_temperatures {
            Recorded::All
        } else {
            Recorded::Lowest
        },
        starts: if arguments.embed {
            Starts::Embedded
        } else {
            Starts::Given
        },
    };
    let ladder = wanted.recorded.temperatures(&settings);
    let fingerprint = format!(
        "{} n={}{}",
        fingerprint(&system, &settings)?,
        wanted.count,
        wanted.mark()
    );
    let state_path = output.with_extension("state.json");
    prepare(&state_path)?;
    if output.exists() {
        let old = Npz::read(output).ok();
        let old = old.as_ref().and_then(|npz| npz.array("fingerprint"));
        if old.and_then(Array::as_text) == Some(&fingerprint[..]) {
            // An earlier run may have been killed before it removed this.
            remove(&state_path)?;
            eprintln!("{} is complete already", output.display());
            let frames = read_frames(output, &system, ladder)?;
            return Simulated::new(output, &system, &settings, &frames);
        }
        if existing == Existing::Refuse {
            bail!(
                "{} holds something else; give --overwrite to replace it",
                output.display()
            );
        }
    }
    let frames = wanted.count.saturating_mul(ladder.len() as u64);
    Need::simulation(frames, system.start.size(), settings.replicas()).check()?;
    let save = Save {
        path: &state_path,
        existing,
    };
    let frames = run(&system, settings.clone(), wanted, save)?;
    let simulated = Simulated::new(output, &system, &settings, &frames)?;
    write_frames(output, frames, &system, &fingerprint)?;
    remove(&state_path)?;
    Ok(simulated)
}

/// Writes the file whole or not at all; with the temperature of each frame where there are others than the system's.
fn write_frames(path: &Path, frames: Frames, system: &System, fingerprint: &str) -> Result<()> {
    let (points, dims) = (frames.conformers.points(), frames.conformers.dims());
    let n = frames.conformers.len();
    let temperatures = Array::new(&[n], frames.temperatures());
    let are_many = frames.ladder.len() > 1;
    let positions = Array::new(&[n, points, dims], frames.conformers.into_positions());
    let energies = Array::new(&[n], frames.energies);
    let texts = [
        Array::text(&system.name),
        Array::text(&identity_of_points(&system.points())),
        Array::text(fingerprint),
    ];
    let mut arrays = vec![("positions", &positions), ("energies", &energies)];
    if are_many {
        arrays.push(("temperatures", &temperatures));
    }
    arrays.extend(
        ["system", "molecule", "fingerprint"]
            .into_iter()
            .zip(&texts),
    );
    Ok(Npz::write(path, &arrays)?)
}

/// The frames of a file that is complete.
fn read_frames(path: &Path, system: &System, ladder: Vec<f64>) -> Result<Frames> {
    let npz = Npz::read(path)?;
    let conformers = positions_of(&npz, path, &system.points())?;
    let energies = npz.array("energies").and_then(Array::as_f64);
    let energies = energies.filter(|energies| energies.len() == conformers.len());
    let energies = energies.with_context(|| format!("{} has no energies", path.display()))?;
    Ok(Frames {
        energies: energies.to_vec(),
        conformers,
        ladder,
    })
}

/// Averages over the frames of a simulation at the lowest temperature, with errors by blocking.
#[derive(Serialize)]
pub struct Simulated {
    output: PathBuf,
    system: String,
    /// Frames of each temperature that was recorded.
    frames: usize,
    /// Evaluations of the energy.
    pub energy_calls: u64,
    /// The mean potential energy.
    mean_energy: Average,
    /// Its unit.
    units: Units,
    torsions: Vec<SimulatedTorsion>,
    /// Each temperature, where all were recorded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    temperatures: Vec<SimulatedTemperature>,
}

/// The frames at a temperature.
#[derive(Serialize)]
struct SimulatedTemperature {
    temperature: f64,
    mean_energy: Average,
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
    /// How many frames are in it.
    frames: usize,
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
        let lowest = frames.at(0);
        let of_torsion = |torsion: &Torsion| {
            let angles = lowest.iter().map(|&k| frames.conformers.get(k));
            let angles: Vec<f64> = angles.map(|x| torsion.angle(x)).collect();
            let population = |well: &Well| {
                let inside = |&angle: &f64| f64::from(u8::from(well.contains(angle)));
                let inside: Vec<f64> = angles.iter().map(inside).collect();
                SimulatedWell {
                    name: well.name,
                    frames: inside.iter().sum::<f64>() as usize,
                    population: Average::of(&inside),
                }
            };
            SimulatedTorsion {
                name: torsion.name.clone(),
                atoms: torsion.atoms,
                wells: torsion.kind.wells().iter().map(population).collect(),
            }
        };
        let recorded = frames.ladder.iter().enumerate();
        let temperatures =
            recorded
                .filter(|_| frames.ladder.len() > 1)
                .map(|(rung, &temperature)| SimulatedTemperature {
                    temperature,
                    mean_energy: Average::of(&frames.energies_at(rung)),
                });
        Ok(Self {
            output: output.to_owned(),
            system: system.name.clone(),
            frames: lowest.len(),
            energy_calls: energy_calls(settings, lowest.len() as u64)?,
            mean_energy: Average::of(&frames.energies_at(0)),
            units: system.units(),
            torsions: system.torsions().iter().map(of_torsion).collect(),
            temperatures: temperatures.collect(),
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
                write!(f, "  {:<22}  ", well.name)?;
                match well.frames {
                    0 => writeln!(f, "no frame is here")?,
                    _ => writeln!(f, "{}", well.population)?,
                }
            }
        }
        if !self.temperatures.is_empty() {
            writeln!(
                f,
                "as many frames at each of these temperatures; mean energy"
            )?;
        }
        for at in &self.temperatures {
            writeln!(f, "  {:<22.2}  {}", at.temperature, at.mean_energy)?;
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

/// Evaluations of the energy until `count` frames are there, without the few hundred that bring each embedded start to its minimum.
pub fn energy_calls(settings: &Settings, count: u64) -> Result<u64> {
    let each = settings.replicas() * settings.evaluations_per_round();
    Ok(settings.rounds(count)?.saturating_mul(each as u64))
}

/// Runs until the wanted frames are there, from a saved state of the same run where there is one.
pub fn run(system: &System, settings: Settings, wanted: Wanted, save: Save) -> Result<Frames> {
    let (points, dims) = (system.energy.points(), system.energy.dims());
    let rounds = settings.rounds(wanted.count)?;
    let fingerprint = fingerprint(system, &settings)? + &wanted.mark();
    let mut frames = Frames {
        conformers: Conformers::empty(points, dims),
        energies: Vec::new(),
        ladder: wanted.recorded.temperatures(&settings),
    };
    let rungs = frames.ladder.len();
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
        let starts = wanted.starts.conformers(system, &settings)?;
        ReplicaExchange::new(&*system.energy, system.masses(), settings, &starts)?
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
                if frame.temperature < rungs {
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
    let kept = (wanted.count as usize).saturating_mul(rungs);
    let kept: Vec<usize> = (0..frames.conformers.len().min(kept)).collect();
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
