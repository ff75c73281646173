//! Rounds of a flow's own samples, weighted: what self-improvement learns from, see [`Improvement`].

use boltzflow_flow::Samples;
use boltzflow_flow::random::{Purpose, stream};
use boltzflow_molecule::Conformers;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::draws::Draws;
use super::pool::Pool;
use crate::config::Improvement;
use crate::model::{Drawn, Model};
use crate::sampling::CHUNK;
use crate::system::System;
use crate::weights::{Verdict, Weights};

/// What rounds are told, and the target.
pub struct Rounds<'a> {
    pub system: &'a System,
    pub told: Improvement,
    /// Of the training.
    pub seed: u64,
}

/// A round of a flow's own samples.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Round {
    /// Samples that were drawn.
    pub samples: usize,
    /// Energies of them.
    pub energies: usize,
    /// How many effective samples they are, by their weights as they are.
    pub effective: f64,
    /// The largest share of all weight that one of them has.
    pub largest: f64,
    /// Whether these weights may be trusted.
    pub trusted: bool,
    /// Whether they are learnt from.
    pub learnt: bool,
    /// The part of all weight that was cut off before that: 0 of trusted weights.
    pub cut: f64,
}

impl Rounds<'_> {
    /// The round before a step, whose samples join the pool if they are learnt from; none if there is none before it. `alone` says that there are no
    /// other configurations.
    pub fn before(
        &self,
        step: u64,
        averaged: impl FnOnce() -> Model,
        alone: bool,
        pool: &mut Pool,
    ) -> Option<Round> {
        if !self.told.is_due(step) {
            return None;
        }
        let mut round = Round {
            samples: self.told.samples,
            energies: 0,
            effective: 0.0,
            largest: 0.0,
            trusted: false,
            learnt: false,
            cut: 0.0,
        };
        let model = averaged();
        let drawn = self.draw(&model, step);
        let is_finite = |log_q: &f64| log_q.is_finite();
        round.energies = drawn
            .log_q()
            .iter()
            .copied()
            .filter(|q| is_finite(q))
            .count();
        let mirror = model.architecture().mirror();
        let ensemble = match self.system.reweight(&drawn, mirror) {
            Ok(ensemble) => ensemble,
            Err(error) => {
                log::warn!("the flow's samples before step {step} are not learnt from: {error}");
                return Some(round);
            }
        };
        let verdict = ensemble.weights.verdict();
        round.effective = ensemble.weights.effective();
        round.largest = ensemble.weights.largest();
        round.trusted = verdict == Verdict::Trusted;
        round.learnt = round.trusted || (alone && pool.rows().is_empty());
        if !round.trusted {
            let consequence = if round.learnt {
                "but there is nothing else to learn from: weights above √n times their mean count as much as that"
            } else {
                "so they are not learnt from"
            };
            log::warn!(
                "the weights of the flow's samples before step {step}: {verdict}, {consequence}"
            );
        }
        if round.learnt {
            let weights = if round.trusted {
                ensemble.weights
            } else {
                let (weights, cut) = truncated(&ensemble.weights);
                round.cut = cut;
                weights
            };
            self.keep(ensemble.conformers, &weights, pool);
        }
        Some(round)
    }

    /// The samples of the round before a step; without a density where a solve has failed.
    fn draw(&self, model: &Model, step: u64) -> Drawn {
        let seed = stream(self.seed, Purpose::Own, step).random();
        let starts: Vec<usize> = (0..self.told.samples).step_by(CHUNK).collect();
        let chunks = starts.into_par_iter().map(|start| {
            let end = (start + CHUNK).min(self.told.samples);
            let samples = Samples::consecutive(seed, start as u64..end as u64);
            model.sample(&samples).unwrap_or_else(|_| Drawn {
                positions: vec![0.0; (end - start) * model.points() * model.dims()],
                latents: Vec::new(),
                log_prior: vec![0.0; end - start],
                log_det: vec![f64::NAN; end - start],
            })
        });
        let chunks: Vec<Drawn> = chunks.collect();
        let mut all = Drawn::default();
        chunks.into_iter().for_each(|drawn| all.append(drawn));
        all
    }

    /// Puts positions, and what each counts, into the pool: all of a round as much as its effective samples, which is how they are best put
    /// together with those of other flows.
    fn keep(&self, mut conformers: Conformers, weights: &Weights, pool: &mut Pool) {
        conformers.center();
        let width = conformers.size() + 1;
        let effective = weights.effective();
        let rows = conformers.iter().zip(weights.normalised());
        let rows = rows.flat_map(|(x, weight)| {
            // A sample that ran off has no weight, and no place.
            let counts = *weight > 0.0;
            let place = move |x: &f64| if counts { *x as f32 } else { 0.0 };
            let weight = (weight * effective) as f32;
            x.iter().map(place).chain([weight])
        });
        let rows: Vec<f32> = rows.collect();
        pool.append(&rows, width, self.told.rounds * self.told.samples);
    }

    /// How many of a minibatch are such samples.
    pub fn count(&self, batch: usize, alone: bool, pool: &Pool) -> usize {
        if pool.rows().is_empty() {
            0
        } else if alone {
            batch
        } else {
            (self.told.share * batch as f64).round() as usize
        }
    }

    /// Some of them, drawn as often as they count.
    pub fn chosen(&self, count: usize, pool: &Pool, random: &mut ChaCha8Rng) -> Vec<f64> {
        let size = self.system.energy.points() * self.system.energy.dims();
        let rows: Vec<&[f32]> = pool.rows().chunks_exact(size + 1).collect();
        let draws = Draws::new(rows.iter().map(|row| f64::from(row[size])));
        let chosen = (0..count).map(|_| rows[draws.one(random)]);
        let positions = chosen.flat_map(|row| row[..size].iter().map(|x| f64::from(*x)));
        positions.collect()
    }
}

/// The weights with those above `√n` times their mean lowered to that, and the part of all weight that this takes away (Ionides 2008).
fn truncated(weights: &Weights) -> (Weights, f64) {
    let highest = weights.log_mean() + 0.5 * (weights.len() as f64).ln();
    let logs = weights.log_weights().iter();
    let lowered = logs.map(|log| log.min(highest)).collect();
    let lowered = Weights::from_log(lowered).expect("they were weights");
    let kept = (lowered.log_mean() - weights.log_mean()).exp();
    (lowered, 1.0 - kept)
}

#[cfg(test)]
mod tests;
