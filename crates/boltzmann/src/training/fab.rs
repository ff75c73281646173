//! Flow annealed importance sampling bootstrap (Midgley, Stimper, Simm, Schölkopf, Hernández-Lobato 2023): `min ln ∫ p²/q`.
//!
//! The gradient is that of a likelihood, `∇ ln ∫ p²/q = −E_g ∇ ln q` with `g ∝ p²/q`: of samples where `q` lacks most, which annealing finds and
//! weighs. They are kept: a step draws some as often as they weigh now, by what is known. A sample's weight is `∝ 1/q`, so that where the
//! density has become `q` since it was `q_old`, it counts `q_old/q` times, and weighs so much from then on.

mod annealing;

use boltzflow_flow::parameters::gradients;
use boltzflow_flow::random::{Purpose, stream};
use boltzflow_flow::{Bijection, Samples, Space, host};
use burn::tensor::{Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::Losses;
use super::energy::{Boltzmann, Sampler};
use super::pool::Pool;
use crate::config::FabConfig;
use crate::model::{Flow, Model, log_density_and_slope};
use crate::weights::Weights;
use annealing::{Annealed, Annealing, Densities, Member, adapted};

/// Samples that one thread anneals, or differentiates, at a time.
const PIECE: usize = 64;
/// The first step of trajectories, in standard coordinates.
const STEP: f64 = 0.1;
/// What goes with the numbers of a point in the buffer: the logarithm of its weight, and of its density when that was known.
pub const BESIDE: usize = 2;

/// A flow that is trained on its annealed samples.
pub trait Student: Member {
    /// `Σ −c ln q` over some points, and its gradient in the parameters, with the factors `c` that are answered of all `ln q`; and these.
    fn likelihood(
        &self,
        points: &[f64],
        factors: impl FnOnce(&[f64]) -> Vec<f64>,
    ) -> (f64, Vec<f32>, Vec<f64>);
}

/// What is told, and the target.
pub struct Fab<'a> {
    pub told: FabConfig,
    pub boltzmann: Boltzmann<'a>,
    /// Of the training.
    pub seed: u64,
}

/// New annealed samples.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct AnnealedBatch {
    /// How many were annealed.
    pub samples: usize,
    /// Energies with their gradients.
    pub energy_calls: usize,
    /// How many effective samples of `p²/q` they are.
    pub effective: f64,
    /// `ln` of the mean weight: what `ln ∫ p²/q` is estimated to be, with `p = e^{−u}` in the numbers that the flow ends in.
    pub divergence: f64,
    /// The part of proposals that was accepted, over all distributions.
    pub accepted: f64,
    /// How many began where a density is none, and are left out.
    pub lost: usize,
}

/// A flow with paths, and the Boltzmann distribution at the system's temperature.
pub struct Pupil<'a, F> {
    flow: &'a F,
    boltzmann: &'a Boltzmann<'a>,
}

impl<F: Sampler> Member for Pupil<'_, F> {
    fn space(&self) -> Space {
        self.flow.maps().output()
    }

    fn widths(&self) -> Vec<f64> {
        self.flow.widths()
    }

    fn draw(&self, samples: &Samples) -> Vec<f64> {
        let z = self.flow.batch(&self.flow.latents(samples));
        let found = self.flow.maps().forward(z, self.flow.context());
        host(found.expect("latents are of the flow's space").0)
    }

    fn flow(&self, points: &[f64]) -> Densities {
        let found = log_density_and_slope(self.flow, points);
        let (logs, slopes) = found.expect("points are of the flow's space");
        Densities { logs, slopes }
    }

    fn target(&self, points: &[f64]) -> Densities {
        let kt = self.boltzmann.kt();
        let energies = |positions: &[f64]| self.boltzmann.potential(positions, kt).0;
        let found = self.flow.target_and_slope(points, energies);
        let found = found.expect("points are of the flow's space");
        Densities {
            logs: found.minus_log_p.iter().map(|log| -log).collect(),
            slopes: found.slope.iter().map(|slope| -slope).collect(),
        }
    }
}

impl<F: Sampler> Student for Pupil<'_, F> {
    /// What the flow cannot make counts nothing.
    fn likelihood(
        &self,
        points: &[f64],
        factors: impl FnOnce(&[f64]) -> Vec<f64>,
    ) -> (f64, Vec<f32>, Vec<f64>) {
        let maps = self.flow.trainable();
        let log_q = self
            .flow
            .log_likelihoods(&maps, points, self.flow.context());
        let log_q = log_q.expect("points are of the flow's space");
        let found = host(log_q.clone());
        let is_made = |log_q: &f64| log_q.is_finite();
        let counts = factors(&found).into_iter().zip(&found);
        let counts = counts.map(|(factor, log_q)| if is_made(log_q) { factor } else { 0.0 });
        let data = TensorData::new(counts.collect::<Vec<f64>>(), [found.len()]);
        let factors = Tensor::<1>::from_data(data, (self.flow.device(), log_q.dtype()));
        let is_none = log_q.clone().is_finite().bool_not();
        let loss = (log_q.mask_fill(is_none, 0.0) * factors).sum().neg();
        let gradients = gradients(&maps, &loss.backward());
        (host(loss)[0], gradients, found)
    }
}

/// Energies with their gradients that a batch of annealed samples takes.
pub fn energy_calls(told: FabConfig, batch: usize) -> u64 {
    annealing::energy_calls(batch, told.between, told.leapfrog) as u64
}

impl Fab<'_> {
    fn pupil<'a, F>(&'a self, flow: &'a F) -> Pupil<'a, F> {
        let boltzmann = &self.boltzmann;
        Pupil { flow, boltzmann }
    }

    /// The annealed samples of a model before a step, which join the buffer; none if there are none before it.
    ///
    /// # Panics
    /// If the objective is not for the model: [`crate::Config::check`] refuses that.
    pub fn annealed_before(
        &self,
        step: u64,
        model: &Model,
        batch: usize,
        pool: &mut Pool,
    ) -> Option<AnnealedBatch> {
        match model.flow() {
            Flow::Internal(flow) => self.before(step, &self.pupil(flow), batch, pool),
            Flow::Augmented(flow) => self.before(step, &self.pupil(flow), batch, pool),
            Flow::Cartesian(_) => panic!("a checked config has the objective of its model"),
        }
    }

    /// The loss of a model, see [`Fab::losses`].
    ///
    /// # Panics
    /// If the objective is not for the model: [`crate::Config::check`] refuses that.
    pub fn losses_of(
        &self,
        model: &Model,
        count: usize,
        random: &mut ChaCha8Rng,
        pool: &mut Pool,
    ) -> Losses {
        match model.flow() {
            Flow::Internal(flow) => self.losses(&self.pupil(flow), count, random, pool),
            Flow::Augmented(flow) => self.losses(&self.pupil(flow), count, random, pool),
            Flow::Cartesian(_) => panic!("a checked config has the objective of its model"),
        }
    }

    /// The annealed samples before a step, which join the buffer; none if there are none before it.
    pub fn before(
        &self,
        step: u64,
        student: &impl Student,
        batch: usize,
        pool: &mut Pool,
    ) -> Option<AnnealedBatch> {
        if !self.told.is_due(step) {
            return None;
        }
        if pool.step_sizes.is_empty() {
            pool.step_sizes = vec![STEP as f32; self.told.between];
        }
        let batches = if step == 0 { self.told.first(batch) } else { 1 };
        let mut random = stream(self.seed, Purpose::Own, step);
        let mut all = Vec::new();
        for _ in 0..batches {
            let steps: Vec<f64> = pool
                .step_sizes
                .iter()
                .map(|step| f64::from(*step))
                .collect();
            let found = self.annealed(student, batch, random.random(), &steps);
            pool.step_sizes = adapted(&steps, &found)
                .iter()
                .map(|step| *step as f32)
                .collect();
            all.extend(found);
        }
        let told = self.told;
        let width = student.space().coordinates() + BESIDE;
        all.iter()
            .for_each(|found| pool.append(&rows(found, width), width, told.most));
        Some(self.bootstrap(&all))
    }

    /// New samples, a piece after another.
    fn annealed(
        &self,
        student: &impl Student,
        count: usize,
        seed: u64,
        step_sizes: &[f64],
    ) -> Vec<Annealed> {
        let annealing = Annealing {
            step_sizes,
            leapfrog: self.told.leapfrog,
        };
        let starts: Vec<usize> = (0..count).step_by(PIECE).collect();
        let pieces = starts.into_par_iter().map(|start| {
            let end = (start + PIECE).min(count);
            annealing.run(
                student,
                &Samples::consecutive(seed, start as u64..end as u64),
            )
        });
        pieces.collect()
    }

    fn bootstrap(&self, all: &[Annealed]) -> AnnealedBatch {
        let logs: Vec<f64> = all
            .iter()
            .flat_map(|found| found.log_weights.clone())
            .collect();
        let samples = logs.len();
        let moved: usize = all.iter().map(|found| found.moved).sum();
        let accepted: f64 = all.iter().flat_map(|found| &found.accepted).sum();
        let weights = Weights::from_log(logs).ok();
        let of = |what: fn(&Weights) -> f64, none| weights.as_ref().map_or(none, what);
        AnnealedBatch {
            samples,
            energy_calls: annealing::energy_calls(samples, self.told.between, self.told.leapfrog),
            effective: of(Weights::effective, 0.0),
            divergence: of(Weights::log_mean, f64::NEG_INFINITY),
            accepted: accepted / (moved * self.told.between).max(1) as f64,
            lost: samples - moved,
        }
    }

    /// The loss of some of the buffer, drawn as often as they weigh, with its gradient; what they weigh is known better then.
    pub fn losses(
        &self,
        student: &impl Student,
        count: usize,
        random: &mut ChaCha8Rng,
        pool: &mut Pool,
    ) -> Losses {
        let size = student.space().coordinates();
        let width = size + BESIDE;
        let rows: Vec<&[f32]> = pool.rows().chunks_exact(width).collect();
        let logs = rows.iter().map(|row| f64::from(row[size])).collect();
        let Ok(weights) = Weights::from_log(logs) else {
            return Losses::nothing();
        };
        let chosen = weights.resample(count, random.random());
        let pieces = chosen.par_chunks(PIECE).map(|chosen| {
            let points = chosen.iter().flat_map(|&k| &rows[k][..size]);
            let points: Vec<f64> = points.map(|x| f64::from(*x)).collect();
            let old = chosen.iter().map(|&k| f64::from(rows[k][size + 1]));
            let (loss, gradient, new) = student.likelihood(&points, |new| {
                let factors = old.zip(new).map(|(old, new)| factor(old, *new));
                factors
                    .map(|factor| factor.min(self.told.correction))
                    .collect()
            });
            ((loss, gradient), new)
        });
        let (pieces, new): (Vec<_>, Vec<Vec<f64>>) = pieces.unzip();
        let new: Vec<(usize, f64)> = chosen.into_iter().zip(new.concat()).collect();
        for (k, log_q) in new {
            let [log_weight, old] = pool.beside(k, width);
            let (weight, density) = reweighted(f64::from(*log_weight), f64::from(*old), log_q);
            (*log_weight, *old) = (weight as f32, density as f32);
        }
        Losses {
            pieces,
            count: count as f64,
        }
    }
}

/// What the weight of a sample of `p²/q` has changed by, where `ln q` has become another; none of one that the flow cannot make any more.
fn factor(old: f64, new: f64) -> f64 {
    if new.is_finite() {
        (old - new).exp()
    } else {
        0.0
    }
}

/// The logarithms of its weight and density then. What cannot be made any more keeps its own: it has no gradient, and its time will be over.
fn reweighted(log_weight: f64, old: f64, new: f64) -> (f64, f64) {
    if new.is_finite() {
        (log_weight + old - new, new)
    } else {
        (log_weight, old)
    }
}

/// Rows of the buffer, without samples that have no weight.
fn rows(found: &Annealed, width: usize) -> Vec<f32> {
    let points = found.points.chunks(width - BESIDE);
    let beside = found.log_weights.iter().zip(&found.log_q);
    let sound = points
        .zip(beside)
        .filter(|(_, (weight, _))| weight.is_finite());
    let rows = sound.flat_map(|(point, (weight, log_q))| point.iter().chain([weight, log_q]));
    rows.map(|value| *value as f32).collect()
}

#[cfg(test)]
mod tests;
