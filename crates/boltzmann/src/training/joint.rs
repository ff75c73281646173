//! Maximum likelihood of positions and auxiliary points together: `min E −log q(x, a) + log π(a | x)` over data `x` and points `a` drawn for them,
//! which is above `E −log q(x)` by what `q(a | x)` is unlike `π(a | x)` (Huang, Dinh and Courville 2020).

use boltzflow_flow::host;
use boltzflow_flow::parameters::gradients;
use boltzflow_molecule::Conformers;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::draws::Draws;
use super::{Losses, Split};
use crate::evaluation::spread;
use crate::model::{AugmentedFlow, Paths};
use crate::temperatures::TrainingData;

/// Pairs of points that one thread differentiates at a time: a few configurations of many, for the memory's sake, or many of a few, each operation on
/// which takes no longer than it takes to begin.
const PAIRS: usize = 16_384;
/// The most configurations of a piece.
const MOST: usize = 128;
/// Held-out configurations that a validation looks at, at most: evenly spread over all of them.
const VALIDATED: usize = 2048;

/// What is learnt from: auxiliary points are drawn anew for every step.
pub struct Joint {
    data: Split<TrainingData>,
    /// How those for training are drawn.
    draws: Draws,
}

impl Joint {
    /// `data` in the model's data units, any centroid, those before `held_out` to be drawn as often as they are told to.
    pub fn new(data: &TrainingData, often: &[f64], held_out: usize) -> Self {
        let mut data = data.clone();
        data.conformers.center();
        Self {
            draws: Draws::new(often[..held_out].iter().copied()),
            data: Split::new(data.len(), held_out, |rows| data.select(rows)),
        }
    }

    /// Configurations for training and held out.
    pub fn counts(&self) -> [usize; 2] {
        [self.data.train.len(), self.data.held_out.len()]
    }

    /// The loss of new configurations and auxiliary points, with its gradient.
    pub fn losses(&self, flow: &AugmentedFlow, count: usize, random: &mut ChaCha8Rng) -> Losses {
        let chosen: Vec<usize> = (0..count).map(|_| self.draws.one(random)).collect();
        let chosen = self.data.train.conformers.select(&chosen);
        let clouds = flow.join(chosen.positions(), random);
        let pieces = clouds.par_chunks(piece(&chosen)).map(|clouds| {
            let maps = flow.trainable();
            let log_ratios = flow.log_ratios(&maps, clouds);
            let loss = log_ratios
                .expect("clouds are of the flow's space")
                .sum()
                .neg();
            let gradients = gradients(&maps, &loss.backward());
            (host(loss)[0], gradients)
        });
        Losses {
            pieces: pieces.collect(),
            count: count as f64,
        }
    }

    /// The loss of what is held out, with a draw of auxiliary points each: the sum, each as often as it weighs, and of the weights.
    pub fn held_out(&self, flow: &AugmentedFlow, random: &mut ChaCha8Rng) -> (f64, f64) {
        let held_out = &self.data.held_out;
        let data = held_out.select(&spread(held_out.len(), held_out.len().min(VALIDATED)));
        let clouds = flow.join(data.conformers.positions(), random);
        let pieces = clouds.par_chunks(piece(&data.conformers));
        let log_ratios = pieces.map(|clouds| {
            let found = flow.log_ratios(flow.maps(), clouds);
            host(found.expect("clouds are of the flow's space"))
        });
        let log_ratios: Vec<Vec<f64>> = log_ratios.collect();
        let losses = log_ratios.iter().flatten().zip(&data.weights);
        let losses = losses.map(|(log_ratio, weight)| -weight * log_ratio);
        (losses.sum(), data.weights.iter().sum())
    }
}

/// Numbers of the clouds of a piece.
fn piece(conformers: &Conformers) -> usize {
    let points = conformers.points();
    (PAIRS / (points * points)).clamp(1, MOST) * 2 * conformers.size()
}
