//! How long the parts of `generate` take here, from short probes on copies of their own: nothing that is drawn or learnt later depends
//! on them.

use std::time::{Duration, Instant};

use anyhow::Result;
use boltzflow_boltzmann::{
    Architecture, Config, Model, System, Training, TrainingConfig, TrainingData, sampling,
};
use boltzflow_energy::{ReplicaExchange, Settings, energies};
use boltzflow_flow::ode::Steps;
use boltzflow_flow::{Method, Samples, Solver};
use boltzflow_molecule::Conformers;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::device;

/// A probe repeats its piece of work for about this long.
const PROBE: Duration = Duration::from_millis(400);
/// Samples that each thread draws in a probe.
const BATCH: usize = 16;
/// Steps that an adaptive solver is taken to need.
const ADAPTIVE_STEPS: usize = 30;

/// Seconds that one piece of each kind of work takes, all threads together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// A round of replica exchange.
    pub round: f64,
    /// An optimiser step of the likelihood alone, before the energy counts.
    pub first: f64,
    /// An optimiser step.
    pub step: f64,
    /// A sample with its log-density.
    pub sample: f64,
    /// An energy.
    pub energy: f64,
}

/// How many pieces of each kind there are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Rounds of replica exchange.
    pub rounds: u64,
    /// Optimiser steps of the likelihood alone, before the energy counts.
    pub first: u64,
    /// Other optimiser steps.
    pub steps: u64,
    /// Held-out frames whose density is found.
    pub checks: u64,
    /// Samples of this shard.
    pub samples: u64,
}

/// Seconds by part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seconds {
    /// Replica exchange.
    pub simulate: f64,
    /// Training.
    pub train: f64,
    /// Log-densities of held-out frames.
    pub check: f64,
    /// Sampling.
    pub sample: f64,
    /// Energies of the samples.
    pub energies: f64,
}

impl Rates {
    /// What these counts take.
    pub fn seconds(&self, counts: Counts) -> Seconds {
        Seconds {
            simulate: self.round * counts.rounds as f64,
            train: self.first * counts.first as f64 + self.step * counts.steps as f64,
            check: self.sample * counts.checks as f64,
            sample: self.sample * counts.samples as f64,
            energies: self.energy * counts.samples as f64,
        }
    }

    /// Of a whole run; with its network, which has its initial parameters.
    pub fn of_run(system: &System, settings: &Settings, config: &Config) -> Result<(Self, Model)> {
        let (round, frames) = simulation(system, settings)?;
        let model = Model::new(
            Architecture::new(config, system, &frames.conformers)?,
            config.training.seed,
            &device::current(),
        )?;
        let [first, step] = training(system, &config.training, &model, &frames)?;
        let (sample, energy) = (sample(&model)?, energy(system, &frames.conformers)?);
        // Each step bears its part of a round of the flow's own samples.
        let own = config.training.objective.improvement();
        let own = own.map_or(0.0, |own| own.samples as f64 / own.every as f64);
        let rates = Self {
            round,
            first,
            step: step + own * (sample + energy),
            sample,
            energy,
        };
        Ok((rates, model))
    }

    /// Of a run from a trained flow.
    pub fn of_model(system: &System, model: &Model) -> Result<Self> {
        let start = vec![0; BATCH * rayon::current_num_threads()];
        Ok(Self {
            round: 0.0,
            first: 0.0,
            step: 0.0,
            sample: sample(model)?,
            energy: energy(system, &system.start.select(&start))?,
        })
    }
}

impl Seconds {
    /// All parts together.
    pub fn total(&self) -> f64 {
        self.simulate + self.train + self.check + self.sample + self.energies
    }
}

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "estimated time {:.1} s: simulate {:.1} s, train {:.1} s, check {:.1} s, sample {:.1} s, energies {:.1} s",
            self.total(),
            self.simulate,
            self.train,
            self.check,
            self.sample,
            self.energies
        )
    }
}

/// Seconds of one call, from as many as go into the probe's time; `warm_up` calls are not counted.
fn time(warm_up: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    for _ in 0..warm_up {
        work()?;
    }
    let (started, mut calls) = (Instant::now(), 0);
    while calls == 0 || started.elapsed() < PROBE {
        work()?;
        calls += 1;
    }
    Ok(started.elapsed().as_secs_f64() / f64::from(calls))
}

/// Seconds of a round, and the frames of a few, of all temperatures.
fn simulation(system: &System, settings: &Settings) -> Result<(f64, TrainingData)> {
    let temperatures = settings.temperatures.clone();
    let settings = Settings {
        burn_in: 0,
        stride: 1,
        ..settings.clone()
    };
    let guard = |x: &[f64]| system.has_right_stereo(x);
    let mut exchange =
        ReplicaExchange::new(&*system.energy, system.masses(), settings, &system.start)?;
    if system.molecule.is_some() {
        exchange = exchange.guarded(&guard)?;
    }
    let nothing = Conformers::empty(system.energy.points(), system.energy.dims());
    let mut frames = TrainingData::at(nothing, system.temperature);
    let round = time(1, || {
        exchange.advance(1, |frame| {
            if frames.len() < 1000 {
                frames.conformers.push(frame.positions);
                let temperature = temperatures[frame.temperature];
                frames.temperatures.push(temperature);
                frames.weights.push(1.0);
            }
        })?;
        Ok(())
    })?;
    Ok((round, frames))
}

/// Seconds of an optimiser step before the energy counts, and of another.
fn training(
    system: &System,
    config: &TrainingConfig,
    model: &Model,
    frames: &TrainingData,
) -> Result<[f64; 2]> {
    let after = |start: u64| {
        let config = TrainingConfig {
            objective: config.objective.starting_with(start),
            ..config.clone()
        };
        step(system, &config, model, frames)
    };
    let step = after(0)?;
    let first = if config.objective.start() > 0 {
        after(u64::MAX)?
    } else {
        step
    };
    Ok([first, step])
}

/// Seconds of a training's first step.
fn step(
    system: &System,
    config: &TrainingConfig,
    model: &Model,
    frames: &TrainingData,
) -> Result<f64> {
    let config = TrainingConfig {
        objective: config.objective.without_improvement(),
        steps: u64::MAX,
        validation: 0.0,
        ..config.clone()
    };
    let mut training = Training::new(model.clone(), &config, frames, system)?;
    time(1, || {
        training.advance();
        Ok(())
    })
}

/// Seconds of a sample: of a chunk on every thread where nothing is solved, else of one evaluation of the field and its divergence on every
/// thread, times their number in a solve.
fn sample(model: &Model) -> Result<f64> {
    let Some(solver) = model.solver() else {
        return at_once(model, sampling::CHUNK);
    };
    let steps = match solver.steps {
        Steps::Fixed { count } => count,
        Steps::Adaptive { limit, .. } => ADAPTIVE_STEPS.min(limit),
    };
    let evaluations = steps * solver.method.tableau().b.len();
    let once = model.clone().with_solver(Solver {
        method: Method::Euler,
        steps: Steps::Fixed { count: 1 },
        ..solver
    });
    Ok(at_once(&once, BATCH)? * evaluations as f64)
}

/// Seconds of a sample where every thread draws so many at a time.
fn at_once(model: &Model, count: usize) -> Result<f64> {
    let threads = rayon::current_num_threads();
    let seconds = time(1, || {
        (0..threads).into_par_iter().try_for_each(|thread| {
            let first = (thread * count) as u64;
            let samples = Samples::consecutive(0, first..first + count as u64);
            model.sample(&samples).map(|_| ())
        })?;
        Ok(())
    })?;
    Ok(seconds / (threads * count) as f64)
}

/// Seconds of an energy.
fn energy(system: &System, frames: &Conformers) -> Result<f64> {
    let seconds = time(0, || {
        energies(&*system.energy, frames)?;
        Ok(())
    })?;
    Ok(seconds / frames.len() as f64)
}

/// The samples of some chunks that take as long as `count` samples do: a last round of chunks may leave threads idle.
pub fn full_load(count: u64) -> u64 {
    let chunk = sampling::CHUNK as u64;
    let threads = rayon::current_num_threads() as u64;
    let whole = count / (chunk * threads) * chunk * threads;
    let rest = (count - whole).min(chunk);
    whole + rest * threads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_an_estimate_add_up_to_its_total() {
        let rates = Rates {
            round: 0.5,
            first: 0.125,
            step: 0.25,
            sample: 2.0,
            energy: 0.125,
        };
        let seconds = rates.seconds(Counts {
            rounds: 10,
            first: 8,
            steps: 16,
            checks: 4,
            samples: 8,
        });
        assert_eq!(seconds.total(), 5.0 + 5.0 + 8.0 + 16.0 + 1.0);
        assert_eq!(
            seconds.to_string(),
            "estimated time 35.0 s: simulate 5.0 s, train 5.0 s, check 8.0 s, sample 16.0 s, energies 1.0 s"
        );
    }

    #[test]
    fn one_chunk_keeps_the_other_threads_waiting() {
        let threads = rayon::current_num_threads() as u64;
        assert_eq!(full_load(64 * threads), 64 * threads);
        assert_eq!(full_load(10), 10 * threads);
        assert_eq!(full_load(64 * threads + 64), 128 * threads);
    }
}
