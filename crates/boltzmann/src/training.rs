//! Training: a step is a function of the seed and the step's number. Its minibatch is cut into pieces of a fixed size, each differentiated
//! on one thread, and their gradients are added in order: the same bits at any number of threads.

mod likelihood;
mod matching;

use std::ops::Range;

use boltzflow_flow::FlowError;
use boltzflow_flow::random::{Purpose, stream};
use boltzflow_molecule::{Conformers, Reflections};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::config::{Objective, TrainingConfig};
use crate::model::{Flow, FlowArchitecture, Model};
use crate::optimizer::AdamW;
use crate::pairing::Symmetry;
use likelihood::Likelihood;
use matching::Matching;

/// Pairs of each validation of flow matching.
const VALIDATION_PAIRS: usize = 512;
/// Steps' streams are numbered from 0; validation has one of its own.
const VALIDATION_STREAM: u64 = u64::MAX;

/// A training under way: what is saved is `optimizer` and `progress`; all else follows from the config and the data.
pub struct Training<'a> {
    model: Model,
    config: &'a TrainingConfig,
    source: Source,
    /// The optimiser, with parameters and their average.
    pub optimizer: AdamW,
    /// What early stopping remembers.
    pub progress: Progress,
}

/// What is learnt from, by objective.
enum Source {
    Matching(Matching),
    Likelihood(Likelihood),
}

/// What early stopping remembers.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// The lowest validation loss so far.
    pub best: f64,
    /// Validations since then.
    pub waited: u64,
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

/// What happened in one step.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Step {
    /// Steps done.
    pub step: u64,
    /// Mean squared error a coordinate, or the mean negative log-likelihood of a configuration.
    pub loss: f64,
    /// The gradient's norm before clipping.
    pub gradient_norm: f64,
    /// The averaged parameters' loss on held-out data, where it was taken.
    pub validation: Option<f64>,
}

impl<'a> Training<'a> {
    /// Starts from the model's parameters. `data` are configurations in the model's data units, any centroid.
    ///
    /// # Panics
    /// If the objective is none of the model's: [`crate::Config::check`] refuses that.
    pub fn new(
        model: Model,
        config: &'a TrainingConfig,
        data: &Conformers,
        symmetry: Symmetry,
        reflections: Reflections,
    ) -> Result<Self, FlowError> {
        let optimizer = AdamW::new(model.parameters());
        let progress = Progress {
            best: f64::INFINITY,
            waited: 0,
        };
        let first_held_out = held_out(data.len(), config).start;
        let parts = (model.flow(), &model.architecture().flow, config.objective);
        let source = match parts {
            (
                Flow::Cartesian(_),
                FlowArchitecture::Cartesian(parts),
                Objective::FlowMatching { pairing },
            ) => {
                let alike = (symmetry, reflections);
                let scale = parts.scale;
                Source::Matching(Matching::new(data, scale, first_held_out, pairing, alike))
            }
            (Flow::Internal(flow), _, Objective::Likelihood) => {
                Source::Likelihood(Likelihood::new(&flow.locate(data)?, first_held_out))
            }
            _ => panic!("a checked config has the objective of its model"),
        };
        let [train, left] = source.counts();
        if config.patience > 0 && left == 0 {
            log::warn!(
                "training.validation = {} holds out none of {train} configurations, so training does not end early",
                config.validation,
            );
        }
        if let Source::Likelihood(Likelihood { outside: 1.., .. }) = &source {
            log::warn!(
                "{} of {} configurations are outside the flow's bounds and are not learnt from",
                data.len() - train - left,
                data.len()
            );
        }
        if train == 0 {
            return Err(FlowError::Unsupported {
                what: "no configuration is left to learn from".to_owned(),
            });
        }
        Ok(Self {
            model,
            config,
            source,
            optimizer,
            progress,
        })
    }

    /// Whether no step is left to take.
    pub fn is_finished(&self) -> bool {
        let impatient = self.config.patience > 0 && self.progress.waited >= self.config.patience;
        self.optimizer.step >= self.config.steps || impatient
    }

    /// The model with the averaged parameters.
    pub fn averaged(&self) -> Model {
        self.model.clone().with_parameters(&self.optimizer.average)
    }

    /// Takes one step.
    pub fn advance(&mut self) -> Step {
        let mut random = stream(self.config.seed, Purpose::Training, self.optimizer.step);
        let model = self
            .model
            .clone()
            .with_parameters(&self.optimizer.parameters);
        let Losses { pieces, count } = self.source.losses(&model, self.config.batch, &mut random);
        let mut total = vec![0.0_f32; self.optimizer.parameters.len()];
        let mut loss = 0.0;
        for (error, gradient) in &pieces {
            loss += error / count;
            total
                .iter_mut()
                .zip(gradient)
                .for_each(|(total, g)| *total += g / count as f32);
        }
        let gradient_norm = self.optimizer.update(&total, self.config);
        let step = self.optimizer.step;
        let due = step.is_multiple_of(self.config.validate_every) || step == self.config.steps;
        let validation = (due && self.source.counts()[1] > 0).then(|| self.validate());
        Step {
            step,
            loss,
            gradient_norm,
            validation,
        }
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
            };
        } else {
            self.progress.waited += 1;
        }
        loss
    }
}

impl Source {
    /// Configurations for training and held out.
    fn counts(&self) -> [usize; 2] {
        match self {
            Self::Matching(matching) => matching.counts(),
            Self::Likelihood(likelihood) => likelihood.counts(),
        }
    }

    fn losses(&self, model: &Model, count: usize, random: &mut ChaCha8Rng) -> Losses {
        match (self, model.flow()) {
            (Self::Matching(matching), Flow::Cartesian(flow)) => {
                matching.losses((model, flow), count, random)
            }
            (Self::Likelihood(likelihood), Flow::Internal(flow)) => {
                likelihood.losses(flow, count, random)
            }
            _ => unreachable!("made for this model"),
        }
    }

    /// The mean loss on held-out data.
    fn held_out(&self, model: &Model, batch: usize, random: &mut ChaCha8Rng) -> f64 {
        let (total, count) = match (self, model.flow()) {
            (Self::Matching(matching), Flow::Cartesian(flow)) => {
                let batches = VALIDATION_PAIRS.div_ceil(batch);
                let each = (0..batches).map(|_| matching.held_out((model, flow), batch, random));
                each.fold((0.0, 0.0), |total, one| (total.0 + one.0, total.1 + one.1))
            }
            (Self::Likelihood(likelihood), Flow::Internal(flow)) => likelihood.held_out(flow),
            _ => unreachable!("made for this model"),
        };
        total / count
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

/// As many of `length` rows, each drawn at random.
fn chosen(length: usize, count: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    (0..count).map(|_| random.random_range(0..length)).collect()
}

/// Which of `count` configurations a training holds out: the last, since consecutive frames are correlated, so that a random choice would
/// leak.
pub fn held_out(count: usize, config: &TrainingConfig) -> Range<usize> {
    let held_out = (count as f64 * config.validation) as usize;
    count - held_out..count
}
