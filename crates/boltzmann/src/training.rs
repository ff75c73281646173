//! Training: a step is a function of the seed and the step's number. Its minibatch is cut into pieces of a fixed size, each differentiated
//! on one thread, and their gradients are added in order: the same bits at any number of threads.

mod draws;
mod energy;
mod fab;
mod fit;
mod joint;
mod learnt;
mod likelihood;
mod matching;
mod pool;
mod reflow;
mod rounds;
mod source;
mod through_solve;

use std::ops::Range;

use boltzflow_energy::EnergyError;
use boltzflow_flow::random::{Purpose, stream};
use boltzflow_flow::{Chain, FlowError, Layer};
use boltzflow_molecule::Conformers;
use rand::RngExt;

use crate::config::{Objective, TrainingConfig};
use crate::model::{FlowArchitecture, Model};
use crate::optimizer::AdamW;
use crate::system::System;
use crate::temperatures::TrainingData;
pub use fab::AnnealedBatch;
use likelihood::Likelihood;
pub use pool::Pool;
pub use rounds::Round;
use source::Source;

/// Samples of each validation along the energy.
const VALIDATION_SAMPLES: usize = 1024;
/// Pairs of points in a piece of a minibatch of clouds.
const PAIRS: usize = 4096;
/// Steps' streams are numbered from 0; validation has one of its own.
const VALIDATION_STREAM: u64 = u64::MAX;

/// A training under way: what is saved is `optimizer`, `progress` and `pool`; all else follows from the config and the data.
pub struct Training<'a> {
    model: Model,
    config: &'a TrainingConfig,
    source: Source<'a>,
    /// The optimiser, with parameters and their average.
    pub optimizer: AdamW,
    /// What early stopping remembers.
    pub progress: Progress,
    /// Samples of the flow that it learns from.
    pub pool: Pool,
}

/// Clouds of so many points that one thread differentiates at a time: few where there are many pairs to share the work of, and no more than leave
/// work for many threads where there are few.
pub fn piece(points: usize) -> usize {
    let most = (PAIRS / (points * points).max(1)).clamp(1, 32);
    // A power of two, as batches are, so that none is left over.
    1 << most.ilog2()
}

/// The maps of a flow of internal coordinates.
type Maps = Chain<Layer>;

/// What a step along the energy took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Effort {
    /// Energies with their gradients.
    pub energy_calls: usize,
    /// How many of them counted by their logarithm.
    pub softened: usize,
    /// How many samples had their slope cut.
    pub cut: usize,
    /// How many samples had no finite energy or density.
    pub lost: usize,
}

impl Effort {
    fn with(self, other: Self) -> Self {
        Self {
            energy_calls: self.energy_calls + other.energy_calls,
            softened: self.softened + other.softened,
            cut: self.cut + other.cut,
            lost: self.lost + other.lost,
        }
    }
}

/// Why a training cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// The flow.
    #[error(transparent)]
    Flow(#[from] FlowError),
    /// The energy at the start.
    #[error(transparent)]
    Energy(#[from] EnergyError),
    /// Nothing to learn from.
    #[error(
        "none of {count} configurations is left to learn from: all are held out, or outside the bounds of the flow"
    )]
    NoData {
        /// How many there were.
        count: usize,
    },
    /// A flow that makes nothing to learn from.
    #[error(
        "none of {count} paths of the flow to start from is left to learn from: all run off, or are held out; start from a flow that is trained"
    )]
    NoPairs {
        /// How many there were.
        count: usize,
    },
}

/// What early stopping remembers, and what was evaluated before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The lowest validation loss so far.
    pub best: f64,
    /// Validations since then.
    pub waited: u64,
    /// Energies with their gradients before the first step: of minimisations, and of the harmonic approximation of a flow that starts without data.
    pub prepared: u64,
}

impl Progress {
    /// Whether no step is left to take after this one.
    pub fn is_finished(&self, step: u64, config: &TrainingConfig) -> bool {
        let impatient = config.patience > 0 && self.waited >= config.patience;
        step >= config.steps || impatient
    }
}

/// Data for training and held out.
struct Split<T> {
    train: T,
    held_out: T,
}

/// The summed loss of each piece of a batch and its gradient, and what the sum is divided by.
struct Losses {
    pieces: Vec<(f64, Vec<f32>)>,
    count: f64,
}

impl Losses {
    /// Where there is nothing to learn from: a loss that is no number ends a training.
    fn nothing() -> Self {
        Self {
            pieces: vec![(f64::NAN, Vec::new())],
            count: 1.0,
        }
    }
}

/// What happened in one step.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Step {
    /// Steps done.
    pub step: u64,
    /// Mean squared error a coordinate; or the mean negative log-likelihood of a configuration, also in the steps before the energy counts; or
    /// `E[ln q + u]`, and the former times its factor; or that likelihood of annealed samples, in the numbers that the flow ends in.
    pub loss: f64,
    /// The gradient's norm before clipping, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gradient_norm: Option<f64>,
    /// The averaged parameters' loss on held-out data, where it was taken.
    pub validation: Option<f64>,
    /// What it took along the energy.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub effort: Option<Effort>,
    /// The flow's own samples, if some were drawn before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round: Option<Round>,
    /// The annealed samples, if some were made before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annealed: Option<AnnealedBatch>,
}

impl<'a> Training<'a> {
    /// Starts from the model's parameters; its temperature, where it knows it, is the system's. All data count as what the flow is to give at their
    /// temperature; [`TrainingData::within`] leaves out those that it is not for.
    ///
    /// # Panics
    /// If the objective is none of the model's: [`crate::Config::check`] refuses that.
    pub fn new(
        model: Model,
        config: &'a TrainingConfig,
        data: &TrainingData,
        system: &'a System,
    ) -> Result<Self, TrainingError> {
        let source = Source::new(&model, config, data, system)?;
        let [train, left] = source.counts();
        let needs_data = config.objective.needs_data();
        if config.patience > 0 && left == 0 && needs_data {
            log::warn!(
                "training.validation = {} holds out none of {train} configurations, so training does not end early",
                config.validation,
            );
        }
        if let Some(Likelihood { outside, .. }) = source.located().filter(|data| data.outside > 0) {
            log::warn!(
                "{outside} of {} configurations are outside the flow's bounds and are not learnt from",
                data.len()
            );
        }
        if train == 0 && needs_data {
            return Err(TrainingError::NoData { count: data.len() });
        }
        let progress = Progress {
            best: f64::INFINITY,
            waited: 0,
            prepared: source.prepared(),
        };
        Ok(Self {
            optimizer: AdamW::new(model.parameters()),
            model,
            config,
            source,
            progress,
            pool: Pool::default(),
        })
    }

    /// Counts what [`crate::Architecture::new`] has evaluated, if that was without data.
    pub fn count_architecture(&mut self) {
        if let (Some(boltzmann), FlowArchitecture::Internal(parts)) =
            (self.source.boltzmann(), &self.model.architecture().flow)
        {
            // The same minimisation, and differences of gradients.
            let differences = 2 * parts.chart.stiff.len();
            self.progress.prepared += (boltzmann.evaluations + differences) as u64;
        }
    }

    /// Whether no step is left to take.
    pub fn is_finished(&self) -> bool {
        self.progress.is_finished(self.optimizer.step, self.config)
    }

    /// The model with the averaged parameters.
    pub fn averaged(&self) -> Model {
        self.model.clone().with_parameters(&self.optimizer.average)
    }

    /// The samples of its own that the flow is to learn from, if some are due.
    fn prepare(&mut self) -> (Option<Round>, Option<AnnealedBatch>) {
        let (step, optimizer) = (self.optimizer.step, &self.optimizer);
        let with = |parameters: &[f32]| self.model.clone().with_parameters(parameters);
        match &self.source {
            Source::Matching(matching) => {
                let averaged = || with(&optimizer.average);
                (matching.round(step, averaged, &mut self.pool), None)
            }
            Source::Fab(fab) if fab.told.is_due(step) => {
                let model = with(&optimizer.parameters);
                let annealed = fab.annealed_before(step, &model, self.config.batch, &mut self.pool);
                (None, annealed)
            }
            _ => (None, None),
        }
    }

    /// Takes one step.
    pub fn advance(&mut self) -> Step {
        let (round, annealed) = self.prepare();
        let (loss, gradient_norm, effort) = match &self.source {
            Source::Fit(fit) => {
                // In its only step.
                self.optimizer = AdamW {
                    step: 1,
                    ..AdamW::new(fit.parameters.clone())
                };
                (self.source.fitted(&self.averaged()), None, None)
            }
            _ => self.descend(),
        };
        let step = self.optimizer.step;
        let due = step.is_multiple_of(self.config.validate_every) || step == self.config.steps;
        let validation = (due && self.source.can_be_validated()).then(|| self.validate());
        Step {
            step,
            loss,
            gradient_norm,
            validation,
            effort,
            round,
            annealed,
        }
    }

    /// Takes one step along a gradient.
    fn descend(&mut self) -> (f64, Option<f64>, Option<Effort>) {
        let mut random = stream(self.config.seed, Purpose::Training, self.optimizer.step);
        let model = self
            .model
            .clone()
            .with_parameters(&self.optimizer.parameters);
        let now = (&model, self.optimizer.step);
        let count = self.config.batch;
        let (losses, effort) = self.source.losses(now, count, &mut random, &mut self.pool);
        let mut total = vec![0.0_f32; self.optimizer.parameters.len()];
        let mut loss = 0.0;
        for (Losses { pieces, count }, factor) in &losses {
            for (error, gradient) in pieces {
                loss += factor * error / count;
                let count = (count / factor) as f32;
                total
                    .iter_mut()
                    .zip(gradient)
                    .for_each(|(total, g)| *total += g / count);
            }
        }
        let gradient_norm = self.optimizer.update(&total, self.config);
        (loss, Some(gradient_norm), effort)
    }

    /// The averaged parameters' loss on held-out data, always with the same random numbers.
    fn validate(&mut self) -> f64 {
        let mut random = stream(self.config.seed, Purpose::Training, VALIDATION_STREAM);
        let loss = self
            .source
            .held_out(&self.averaged(), self.config.batch, &mut random);
        if loss < self.progress.best {
            self.progress = Progress {
                best: loss,
                waited: 0,
                ..self.progress
            };
        } else {
            self.progress.waited += 1;
        }
        loss
    }
}

impl<T> Split<T> {
    /// The rows before `first_held_out`, and those from there on.
    fn new(count: usize, first_held_out: usize, select: impl Fn(&[usize]) -> T) -> Self {
        let rows = |range: Range<usize>| select(&range.collect::<Vec<_>>());
        Self {
            train: rows(0..first_held_out),
            held_out: rows(first_held_out..count),
        }
    }
}

/// Energies, with their gradients along the energy, that a training on `frames` configurations takes in its first `steps` steps, those of its
/// validations among them; of a flow's own samples every one counts, also one that ran off.
pub(crate) fn energy_calls(config: &TrainingConfig, steps: u64, frames: usize) -> u64 {
    if let Some(own) = config.objective.improvement() {
        return own.begun(steps) * own.samples as u64;
    }
    let last = u64::from(steps == config.steps && !steps.is_multiple_of(config.validate_every));
    let validations = steps / config.validate_every + last;
    let validated = validations * VALIDATION_SAMPLES as u64;
    if let Objective::Fab(told) = config.objective {
        return told.batches(steps, config.batch) * fab::energy_calls(told, config.batch)
            + validated;
    }
    let Objective::Energy {
        likelihood,
        pool,
        start,
        ..
    } = config.objective
    else {
        return 0;
    };
    let is_validated = likelihood == 0.0 || !held_out(frames, config).is_empty();
    let validated = if is_validated { validated } else { 0 };
    let moves = if pool > 0.0 {
        energy::of_moves(config.batch)
    } else {
        0
    };
    steps.saturating_sub(start) * (config.batch + moves) as u64 + validated
}

/// Adds even noise of one quantum, in Å, to coordinates that are multiples of it: a function of the seed and of each configuration's number.
pub fn dequantize(data: &mut Conformers, quantum: f64, seed: u64) {
    for number in 0..data.len() {
        let mut random = stream(seed, Purpose::Quantum, number as u64);
        let x = data.get_mut(number).iter_mut();
        x.for_each(|x| *x += quantum * (random.random::<f64>() - 0.5));
    }
}

/// Which of `count` configurations a training holds out: the last, since consecutive frames are correlated, so that a random choice would
/// leak.
pub fn held_out(count: usize, config: &TrainingConfig) -> Range<usize> {
    let held_out = (count as f64 * config.validation) as usize;
    count - held_out..count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_of_few_decimals_has_lost_is_filled_up_evenly() {
        let rounded: Vec<f64> = (0..3000).map(|k| f64::from(k % 7) * 0.01).collect();
        let mut data = Conformers::new(1, 3, rounded.clone());
        dequantize(&mut data, 0.01, 3);
        let noise: Vec<f64> = data
            .positions()
            .iter()
            .zip(&rounded)
            .map(|(x, rounded)| (x - rounded) / 0.01)
            .collect();
        assert!(noise.iter().all(|noise| noise.abs() <= 0.5 + 1e-9));
        let variance = noise.iter().map(|noise| noise * noise).sum::<f64>() / 3000.0;
        assert!((variance - 1.0 / 12.0).abs() < 0.01, "{variance}");
        // Each configuration's is its own.
        let mut last = Conformers::new(1, 3, rounded.clone()).select(&[0, 1]);
        dequantize(&mut last, 0.01, 3);
        assert_eq!(last.get(1), data.get(1));
    }
}
