//! Conditional flow matching.
//!
//! Latents `x₀` and data `x₁` are joined by straight lines, `x_t = (1 − α) x₀ + α x₁` with the schedule `α(t)`, and the field learns
//! their direction: `min E |S⁻¹ (v(t, x_t)/α' − (x₁ − x₀))|²` (Lipman et al. 2023; Tong et al. 2024). `S` gives noise the covariance of the
//! data; any such metric has the same minimum, and with this one every degree of freedom of the noise counts alike. In plain coordinates the
//! narrow ones (a carbon among its hydrogens) hardly count, but the density needs them as well as any other.
//!
//! A step is a function of the seed and the step's number. Its minibatch is cut into pieces of a fixed size, each differentiated on one
//! thread, and their gradients are added in order: the same bits at any number of threads.

use std::ops::Range;

use boltzflow_flow::parameters::gradients;
use boltzflow_flow::random::{Purpose, stream};
use boltzflow_flow::{Dual, Samples, VectorField, host};
use boltzflow_molecule::{Conformers, Reflections};
use burn::tensor::{DType, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::config::{Pairing, TrainingConfig};
use crate::model::Model;
use crate::optimizer::AdamW;
use crate::pairing::{Copies, Symmetry};

/// Pairs that one thread differentiates at a time.
const PIECE: usize = 16;
/// Pairs of each validation.
const VALIDATION_PAIRS: usize = 512;
/// Steps' streams are numbered from 0; validation has one of its own.
const VALIDATION_STREAM: u64 = u64::MAX;

/// A training under way: what is saved is `optimizer` and `progress`; all else follows from the config and the data.
pub struct Training<'a> {
    model: Model,
    config: &'a TrainingConfig,
    data: Split,
    symmetry: Symmetry,
    reflections: Reflections,
    /// The optimiser, with parameters and their average.
    pub optimizer: AdamW,
    /// What early stopping remembers.
    pub progress: Progress,
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

/// Data in latent units: for training and held out.
struct Split {
    train: Conformers,
    held_out: Conformers,
}

/// What happened in one step.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Step {
    /// Steps done.
    pub step: u64,
    /// Mean squared error a coordinate.
    pub loss: f64,
    /// The gradient's norm before clipping.
    pub gradient_norm: f64,
    /// The averaged parameters' loss on held-out data, where it was taken.
    pub validation: Option<f64>,
}

impl<'a> Training<'a> {
    /// Starts from the model's parameters. `data` are configurations in the model's data units, any centroid.
    pub fn new(
        model: Model,
        config: &'a TrainingConfig,
        data: &Conformers,
        symmetry: Symmetry,
        reflections: Reflections,
    ) -> Self {
        let optimizer = AdamW::new(model.parameters());
        let progress = Progress {
            best: f64::INFINITY,
            waited: 0,
        };
        let data = Split::new(data, model.architecture().scale, config);
        if config.patience > 0 && data.held_out.is_empty() {
            log::warn!(
                "training.validation = {} holds out none of {} configurations, so training does not end early",
                config.validation,
                data.train.len()
            );
        }
        Self {
            model,
            config,
            data,
            symmetry,
            reflections,
            optimizer,
            progress,
        }
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
        let batch = self.pairs(&self.data.train, self.config.batch, &mut random);
        let model = self
            .model
            .clone()
            .with_parameters(&self.optimizer.parameters);
        let size = self.model.points() * self.model.dims();
        let pieces: Vec<(f64, Vec<f32>)> = batch
            .pieces(size)
            .into_par_iter()
            .map(|piece| {
                let field = model.trainable_field();
                let loss = piece.error(&field, &model);
                let gradients = gradients(&field, &loss.backward());
                (host(loss)[0], gradients)
            })
            .collect();
        let count = (self.config.batch * size) as f64;
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
        let validation = (due && !self.data.held_out.is_empty()).then(|| self.validate());
        Step {
            step,
            loss,
            gradient_norm,
            validation,
        }
    }

    /// The averaged parameters' loss on held-out data, always with the same noise and times.
    fn validate(&mut self) -> f64 {
        let mut random = stream(self.config.seed, Purpose::Training, VALIDATION_STREAM);
        let count = VALIDATION_PAIRS.next_multiple_of(self.config.batch);
        let size = self.model.points() * self.model.dims();
        let model = self.averaged();
        let mut total = 0.0;
        for _ in 0..count / self.config.batch {
            let batch = self.pairs(&self.data.held_out, self.config.batch, &mut random);
            let errors: Vec<f64> = batch
                .pieces(size)
                .into_par_iter()
                .map(|piece| host(piece.error(&model.continuous().field, &model))[0])
                .collect();
            total += errors.iter().sum::<f64>();
        }
        let loss = total / (count * size) as f64;
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

    /// Draws pairs of noise and data, and times stratified over (0, 1).
    fn pairs(&self, data: &Conformers, count: usize, random: &mut ChaCha8Rng) -> Batch {
        let chosen: Vec<usize> = (0..count)
            .map(|_| random.random_range(0..data.len()))
            .collect();
        let noise_seed: u64 = random.random();
        let offset: f64 = random.random();
        let noise = self
            .model
            .noise(&Samples::consecutive(noise_seed, 0..count as u64))
            .expect("noise has the model's shape");
        let data = data.select(&chosen);
        let copies = Copies {
            points: data.points(),
            dims: data.dims(),
            symmetry: &self.symmetry,
            reflections: self.reflections,
        };
        let data = match self.config.pairing {
            Pairing::Independent => data.into_positions(),
            Pairing::Aligned => copies.aligned(&noise, data.positions()),
            Pairing::OptimalTransport => copies.transported(&noise, data.positions()),
        };
        let times = times(count, offset);
        Batch { noise, data, times }
    }
}

/// The times `(k + offset)/count`, dealt so that every piece of a batch sees all of (0, 1) as evenly as the batch does.
fn times(count: usize, offset: f64) -> Vec<f64> {
    let pieces = count.div_ceil(PIECE);
    // Where a pair would stand in its piece alone, pieces shifted against one another. The last piece may be short.
    let place = |index: &usize| {
        let (piece, row) = (index / PIECE, index % PIECE);
        let length = PIECE.min(count - piece * PIECE);
        (row as f64 + (piece as f64 + 0.5) / pieces as f64) / length as f64
    };
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|a, b| place(a).total_cmp(&place(b)));
    let mut times = vec![0.0; count];
    for (rank, index) in order.into_iter().enumerate() {
        times[index] = ((rank as f64 + offset) / count as f64).min(1.0);
    }
    times
}

/// Which of `count` configurations a training holds out: the last, since consecutive frames are correlated, so that a random choice would
/// leak.
pub fn held_out(count: usize, config: &TrainingConfig) -> Range<usize> {
    let held_out = (count as f64 * config.validation) as usize;
    count - held_out..count
}

impl Split {
    fn new(data: &Conformers, scale: f64, config: &TrainingConfig) -> Self {
        let mut data = data.clone();
        data.center();
        data.positions_mut().iter_mut().for_each(|x| *x /= scale);
        let held_out = held_out(data.len(), config);
        Self {
            train: data.select(&(0..held_out.start).collect::<Vec<_>>()),
            held_out: data.select(&held_out.collect::<Vec<_>>()),
        }
    }
}

/// Pairs of noise and data, with a time each.
struct Batch {
    noise: Vec<f64>,
    data: Vec<f64>,
    times: Vec<f64>,
}

/// Some pairs of a batch.
struct Piece<'a> {
    noise: &'a [f64],
    data: &'a [f64],
    times: &'a [f64],
}

impl Batch {
    fn pieces(&self, size: usize) -> Vec<Piece<'_>> {
        let noise = self.noise.chunks(PIECE * size);
        let data = self.data.chunks(PIECE * size);
        let pairs = noise.zip(data).zip(self.times.chunks(PIECE));
        pairs
            .map(|((noise, data), times)| Piece { noise, data, times })
            .collect()
    }
}

impl Piece<'_> {
    /// `Σ |S⁻¹ (v(t, x_t)/α'(t) − (x₁ − x₀))|²`.
    fn error(&self, field: &dyn VectorField, model: &Model) -> Tensor<1> {
        let size = model.points() * model.dims();
        let along = |f: &dyn Fn(f64, f64, f64) -> f64| -> Vec<f64> {
            let pairs = self
                .noise
                .chunks(size)
                .zip(self.data.chunks(size))
                .zip(self.times);
            pairs
                .flat_map(|((a, b), &t)| a.iter().zip(b).map(move |(&a, &b)| f(a, b, t)))
                .collect()
        };
        let schedule = model.architecture().model.schedule;
        let x = model.batch(&along(&|a, b, t| {
            let fraction = schedule.fraction(t);
            (1.0 - fraction) * a + fraction * b
        }));
        let target = model.batch(&along(&|a, b, _| b - a));
        let times: Vec<f32> = self.times.iter().map(|t| *t as f32).collect();
        let count = times.len();
        let t = Tensor::from_data(TensorData::new(times, [count]), (&x.device(), DType::F32));
        let velocity = field.velocity(t.clone(), Dual::constant(x), model.context());
        let speed = schedule.speeds(t).reshape([-1, 1, 1]);
        let error = model.in_noise_units(velocity.value / speed - target);
        error
            .expect("an error has the shape of the model")
            .square()
            .sum()
    }
}

/// The scale that gives the data unit variance in each degree of freedom of the mean-free space.
pub fn natural_scale(data: &Conformers) -> f64 {
    let mut centred = data.clone();
    centred.center();
    let degrees = (data.dims() * (data.points() - 1) * data.len()) as f64;
    (centred.positions().iter().map(|x| x * x).sum::<f64>() / degrees).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_cover_their_interval_evenly_at_any_batch_size() {
        for count in (1..200).chain([511, 1000]) {
            let mut found = times(count, 0.25);
            found.sort_by(f64::total_cmp);
            for (rank, t) in found.into_iter().enumerate() {
                assert_eq!(t, (rank as f64 + 0.25) / count as f64);
            }
        }
    }

    #[test]
    fn every_piece_sees_all_of_time() {
        for count in (1..200).chain([511, 1000]) {
            let found = times(count, 0.5);
            // As even as pieces can be that take turns.
            let slack = count.div_ceil(PIECE) as f64 / count as f64;
            for piece in found.chunks(PIECE) {
                let length = piece.len() as f64;
                for (row, t) in piece.iter().enumerate() {
                    let even = (row as f64 + 0.5) / length;
                    assert!(
                        (t - even).abs() < 0.5 / length + slack,
                        "time {t} of {count} pairs stands where {even} should"
                    );
                }
            }
        }
    }

    #[test]
    fn whole_pieces_have_the_times_that_they_had_in_earlier_versions() {
        for count in [16, 32, 128, 256, 1024] {
            let pieces = count / PIECE;
            for (index, t) in times(count, 0.3).into_iter().enumerate() {
                let rank = (index % PIECE) * pieces + index / PIECE;
                assert_eq!(t, (rank as f64 + 0.3) / count as f64);
            }
        }
    }
}
