//! One flow of a comparison: trained, sampled, weighted.

use std::path::{Path, PathBuf};

use anyhow::Result;
use boltzflow_boltzmann::{
    Bootstrap, Checkpoint, Comparison, EqualCost, Estimate, Evaluation, Model, System, Tail,
    TargetSamples, TrainingData, Unreached, Verdict, digest, efficiency, log_z, sampling, spread,
};
use boltzflow_energy::energies;
use boltzflow_molecule::Conformers;
use serde::{Deserialize, Serialize};

use super::list::{Entry, List, Target};
use super::with_suffix;
use crate::arguments::Shard;
use crate::commands::evaluation::{folded_averages, folded_log_densities};
use crate::commands::marginal::Averaged;
use crate::commands::{Existing, remove, sampling as drawing, to_learn_from, training};
use crate::{clock, device, interrupt};

/// Seed of the samples.
const SEED: u64 = 1;
/// Samples that are timed where all had been drawn before, and fewer of flows with an ODE.
const TIMED: [usize; 2] = [2048, 64];

/// Configurations of a target from replica exchanges.
pub struct Frames {
    /// The file of those to learn from.
    pub data: PathBuf,
    /// Energy calls of these.
    pub data_calls: u64,
    /// The reference, with its energies.
    pub all: TargetSamples,
    /// What the reference is from.
    pub exchange: Exchange,
}

/// The replica exchange that a reference is from.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Exchange {
    /// Frames.
    pub frames: usize,
    /// Energy calls.
    pub energy_calls: u64,
    /// Core-seconds, where they are known.
    pub core_seconds: Option<f64>,
}

/// A flow on a target.
pub struct Case<'a> {
    /// Where both are from.
    pub list: &'a List,
    /// What is sampled.
    pub target: &'a Target,
    /// What samples it.
    pub entry: &'a Entry,
    /// The target's system.
    pub system: &'a System,
}

/// What a flow is worth.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Hash of all that it follows from.
    pub identity: String,
    /// The flow.
    pub flow: String,
    /// Its parameters.
    pub parameters: usize,
    /// Configurations that it was given to learn from; 0 where it learns from the energy alone.
    pub frames: usize,
    /// Energy calls of the simulation of these, of the training, and of the samples.
    pub energy_calls: [u64; 3],
    /// Core-seconds of the training, where they are known.
    pub training_core_seconds: Option<f64>,
    /// Whether its weights may be trusted.
    pub verdict: Verdict,
    /// Samples that were weighted.
    pub samples: usize,
    /// Raw effective sample size over their number.
    pub efficiency: Estimate,
    /// Their weights' tail.
    pub tail: Tail,
    /// `ln Z`.
    pub log_z: Estimate,
    /// Configurations of the reference that weigh more than any sample.
    pub unreached: Unreached,
    /// Against the reference, with distances of as many samples as there are configurations in it.
    pub evaluation: Evaluation,
    /// The flow and the replica exchange of the reference at the same number of energy calls.
    pub equal_cost: EqualCost,
    /// That replica exchange.
    pub exchange: Exchange,
    /// Core-seconds of one sample with its density, of the density of one configuration, of one energy.
    pub core_seconds: [f64; 3],
}

impl Row {
    /// Effective samples per core-second, densities and energies included.
    pub fn rate(&self) -> f64 {
        let [sample, _, energy] = self.core_seconds;
        self.efficiency.value / (sample + energy)
    }
}

/// What is to be found.
pub struct Job<'a> {
    pub case: &'a Case<'a>,
    pub frames: &'a Frames,
    /// What names of checkpoints start with.
    pub stem: &'a Path,
    /// The folder of samples.
    pub scratch: &'a Path,
    pub existing: Existing,
}

/// What a training took.
struct Trained {
    checkpoint: Checkpoint,
    frames: usize,
    energy_calls: u64,
    core_seconds: Option<f64>,
}

impl Case<'_> {
    /// A hash of the experiments, the target and the counts.
    pub fn identity(&self) -> Result<String> {
        let configs = self.entry.experiments()?;
        let Target {
            system,
            frames,
            reference,
            ..
        } = self.target;
        let all = serde_json::to_string(&(
            configs,
            (system, frames, reference),
            identity_anywhere(self.system)?,
            [
                self.list.samples_of(self.entry),
                self.list.compared_of(self.entry) as u64,
            ],
            env!("CARGO_PKG_VERSION"),
        ))?;
        let numbers: Vec<f64> = all.bytes().map(f64::from).collect();
        Ok(digest(&numbers))
    }
}

/// Which energy of which geometry this is: the same on every processor, whose energies differ in their last digits.
fn identity_anywhere(system: &System) -> Result<String> {
    let found = energies(&*system.energy, &system.start)?.into_iter();
    let found = found.map(|energy| Ok(format!("{:.6}", energy?)));
    let found: Vec<String> = found.collect::<Result<_>>()?;
    let place = digest(system.start.positions());
    Ok(format!("{} {place} {}", system.name, found.join(" ")))
}

impl Job<'_> {
    /// Trains, samples, weighs and compares, from what an earlier run has left.
    pub fn run(&self) -> Result<Row> {
        let Case {
            list,
            target,
            entry,
            system,
        } = self.case;
        let trained = self.trained()?;
        let model = trained.checkpoint.model(&device::current())?;
        let samples = self
            .scratch
            .join(format!("{}.{}.npz", target.name, entry.file_name()));
        let started = clock::core_seconds();
        let (file, timing) = drawing::Job {
            model: &model,
            flow: &trained.checkpoint.fingerprint(),
            seed: SEED,
            count: list.samples_of(entry),
            shard: Shard { index: 0, count: 1 },
            output: &samples,
            existing: Existing::Replace,
        }
        .run()?;
        let sample = match timing.drawn {
            0 => seconds_of_a_sample(&model)?,
            drawn => (clock::core_seconds() - started) / drawn as f64,
        };
        let started = clock::core_seconds();
        let ensemble = system.reweight(&file.drawn, file.fingerprint.mirror)?;
        let weights = &ensemble.weights;
        let energy = (clock::core_seconds() - started) / weights.len() as f64;

        let Frames { all, exchange, .. } = self.frames;
        let compared = list.compared_of(entry);
        let known = all.spread(compared);
        let started = clock::core_seconds();
        let log_q = folded_log_densities(system, &model, known.conformers())?;
        let density = (clock::core_seconds() - started) / known.conformers().len() as f64;
        let bootstrap = Bootstrap::default();
        let mut evaluation = Evaluation::new(&known, &log_q, bootstrap)?
            .with_labels(model.architecture().labels(system));
        let averaged = folded_averages(system, &model, known.conformers(), None)?;
        if let Some(Averaged { draws, marginals }) = averaged {
            evaluation = evaluation.with_marginals(&marginals, draws)?;
        }
        evaluation.comparison = Some(Comparison::new(
            system,
            (&known, &log_q),
            &system.reweight(
                &file
                    .drawn
                    .select(&spread(weights.len(), compared.min(weights.len()))),
                file.fingerprint.mirror,
            )?,
            compared,
            &bootstrap,
        )?);
        let unreached = Unreached::new(&known.log_weights(&log_q), weights);
        let energy_calls = [
            if trained.frames > 0 {
                self.frames.data_calls
            } else {
                0
            },
            trained.energy_calls,
            weights.len() as u64,
        ];
        let row = Row {
            identity: self.case.identity()?,
            flow: entry.name.clone(),
            parameters: model.parameters().len(),
            frames: trained.frames,
            energy_calls,
            training_core_seconds: trained.core_seconds,
            verdict: unreached.upon(weights.verdict(), weights.effective()),
            samples: weights.len(),
            efficiency: efficiency(weights, &bootstrap),
            tail: weights.tail(),
            log_z: log_z(weights, &bootstrap),
            unreached,
            evaluation,
            equal_cost: EqualCost::new(
                system,
                all,
                weights,
                exchange.energy_calls,
                energy_calls.iter().sum(),
            ),
            exchange: *exchange,
            core_seconds: [sample, density, energy],
        };
        remove(&samples)?;
        Ok(row)
    }

    /// Each experiment goes on from the one before.
    fn trained(&self) -> Result<Trained> {
        let Case { entry, system, .. } = self.case;
        let configs = entry.experiments()?;
        let nothing = Conformers::empty(system.energy.points(), system.energy.dims());
        let (mut before, mut frames, mut calls) = (None, 0, 0);
        let mut core_seconds = Some(0.0);
        for (stage, config) in configs.iter().enumerate() {
            let data = if config.training.objective.needs_data() {
                to_learn_from(&self.frames.data, system, config)?
            } else {
                TrainingData::at(nothing.clone(), system.temperature)
            };
            frames = frames.max(data.len());
            let path = self.checkpoint_path(stage, configs.len());
            let earlier = Checkpoint::read(&path).map_or(0, |old| old.optimizer.step);
            let started = clock::core_seconds();
            let checkpoint = training::Job {
                system,
                config,
                data: &data,
                from: before.as_ref(),
                path: &path,
                existing: self.existing,
            }
            .run()?;
            let steps = checkpoint.optimizer.step;
            // Steps of an earlier run are as long as those of this one.
            let part = (clock::core_seconds() - started) / steps.saturating_sub(earlier) as f64;
            core_seconds = core_seconds
                .filter(|_| steps > earlier)
                .map(|sum: f64| sum + part * steps as f64);
            calls += checkpoint.energy_calls(data.len());
            before = Some(checkpoint);
        }
        let checkpoint = before.expect("a list has experiments for each flow");
        Ok(Trained {
            checkpoint,
            frames,
            energy_calls: calls,
            core_seconds,
        })
    }

    /// The last stage's stays with the result.
    fn checkpoint_path(&self, stage: usize, stages: usize) -> PathBuf {
        if stage + 1 == stages {
            return with_suffix(self.stem, ".safetensors");
        }
        let name = self.stem.file_name().unwrap_or_default();
        with_suffix(&self.scratch.join(name), &format!(".{stage}.safetensors"))
    }
}

/// Core-seconds of one sample with its density.
fn seconds_of_a_sample(model: &Model) -> Result<f64> {
    interrupt::check()?;
    let count = TIMED[usize::from(model.solver().is_some())];
    let started = clock::core_seconds();
    sampling::Usual::of(model, SEED, count)?;
    Ok((clock::core_seconds() - started) / count as f64)
}
