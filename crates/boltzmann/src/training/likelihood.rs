//! Maximum likelihood: `min E −log q` over the data.

use boltzflow_flow::parameters::gradients;
use boltzflow_flow::{FlowError, host};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::draws::Draws;
use super::{Losses, Split};
use crate::model::{InternalFlow, Located, Paths};
use crate::temperatures::TrainingData;
use crate::torsion::Torsion;

/// Configurations that one thread differentiates at a time.
const PIECE: usize = 64;

/// The most often that a configuration is drawn, as a multiple of its share.
const MOST: f64 = 10.0;
/// Configurations that a well has to have to be drawn more often.
const LEAST: usize = 100;

/// What is learnt from.
pub struct Likelihood {
    data: Split<Rows>,
    /// How those for training are drawn.
    draws: Draws,
    /// Configurations that the flow cannot make, because they are outside its bounds.
    pub outside: usize,
}

/// Configurations where the maps of the flow end, and the temperature and the weight of each.
pub struct Rows {
    located: Located,
    temperatures: Vec<f64>,
    weights: Vec<f64>,
}

impl Rows {
    /// Finds where the maps end.
    pub fn new(flow: &InternalFlow, data: &TrainingData) -> Result<Self, FlowError> {
        Ok(Self {
            located: flow.locate(&data.conformers)?,
            temperatures: data.temperatures.clone(),
            weights: data.weights.clone(),
        })
    }

    /// Which of these rows the flow can make.
    pub fn inside(&self, rows: impl Iterator<Item = usize>) -> Vec<usize> {
        rows.filter(|row| self.located.log_det[*row].is_finite())
            .collect()
    }

    /// Where the maps end for some of them.
    pub fn located(&self, which: &[usize]) -> Located {
        self.located.select(which)
    }

    fn select(&self, which: &[usize]) -> Self {
        Self {
            located: self.located.select(which),
            temperatures: which.iter().map(|&k| self.temperatures[k]).collect(),
            weights: which.iter().map(|&k| self.weights[k]).collect(),
        }
    }

    fn len(&self) -> usize {
        self.temperatures.len()
    }

    /// Points and temperatures, a piece at a time.
    fn pieces(&self) -> impl IndexedParallelIterator<Item = (&[f64], &[f64])> {
        let points = self.located.points.par_chunks(PIECE * self.located.size);
        points.zip(self.temperatures.par_chunks(PIECE))
    }
}

impl Likelihood {
    /// The data, those before `held_out` to be drawn as often as they are told to; what is outside the flow's bounds has no likelihood and is
    /// left out, counted.
    pub fn new(data: &Rows, often: &[f64], held_out: usize) -> Self {
        let count = data.len();
        let train = data.inside(0..held_out).into_iter();
        Self {
            draws: Draws::new(train.map(|row| often[row])),
            data: Split::new(count, held_out, |rows| {
                data.select(&data.inside(rows.iter().copied()))
            }),
            outside: count - data.inside(0..count).len(),
        }
    }

    /// Configurations for training and held out.
    pub fn counts(&self) -> [usize; 2] {
        [self.data.train.len(), self.data.held_out.len()]
    }

    /// The loss of new configurations, with its gradient.
    pub fn losses(&self, flow: &InternalFlow, count: usize, random: &mut ChaCha8Rng) -> Losses {
        let train = &self.data.train;
        let chosen: Vec<usize> = (0..count).map(|_| self.draws.one(random)).collect();
        let Rows {
            located,
            temperatures,
            ..
        } = train.select(&chosen);
        let mut found = losses(flow, &located.points, &temperatures);
        let constants = located.log_det.chunks(PIECE);
        for ((loss, _), log_det) in found.pieces.iter_mut().zip(constants) {
            *loss -= log_det.iter().sum::<f64>();
        }
        found
    }

    /// The loss of all that is held out: the sum, each as often as it weighs, and of the weights.
    pub fn held_out(&self, flow: &InternalFlow) -> (f64, f64) {
        loss(flow, &self.data.held_out)
    }

    /// The same of all that is learnt from.
    pub fn learnt(&self, flow: &InternalFlow) -> (f64, f64) {
        loss(flow, &self.data.train)
    }
}

/// The summed loss of some configurations, each as often as it weighs, and their weights' sum.
fn loss(flow: &InternalFlow, data: &Rows) -> (f64, f64) {
    let pieces = data.pieces().map(|(points, temperatures)| {
        let log_q = flow.log_likelihoods_at(points, temperatures);
        log_q.expect("points are of the flow's space")
    });
    let log_q: Vec<Vec<f64>> = pieces.collect();
    let log_q = log_q.iter().flatten().zip(&data.located.log_det);
    let losses = log_q.zip(&data.weights);
    let losses = losses.map(|((log_q, log_det), weight)| -weight * (log_q + log_det));
    (losses.sum(), data.weights.iter().sum())
}

/// The negative log-likelihood of points where the maps end, each at its temperature, with its gradient.
pub fn losses(flow: &InternalFlow, points: &[f64], temperatures: &[f64]) -> Losses {
    let pieces = points.par_chunks(PIECE * flow.coordinates());
    let pieces = pieces.zip(temperatures.par_chunks(PIECE));
    let pieces = pieces.map(|(points, temperatures)| {
        let maps = flow.trainable();
        let loss = flow
            .negative_log_likelihood(&maps, points, temperatures)
            .expect("points are of the flow's space");
        let gradients = gradients(&maps, &loss.backward());
        (host(loss)[0], gradients)
    });
    Losses {
        pieces: pieces.collect(),
        count: temperatures.len() as f64,
    }
}

/// How often configurations are to be drawn: as they weigh, but those in a torsion's well that holds less than the part `rarest` of all, as if it
/// held as much, see [`crate::TrainingConfig::rarest`].
pub fn how_often(data: &TrainingData, torsions: &[Torsion], rarest: f64) -> Vec<f64> {
    if rarest == 0.0 {
        return data.weights.clone();
    }
    let (mut factors, all) = (vec![1.0_f64; data.len()], data.weights.iter().sum::<f64>());
    for torsion in torsions {
        let angles = data.conformers.iter().map(|x| torsion.angle(x));
        let angles: Vec<f64> = angles.collect();
        for well in torsion.kind.wells() {
            let inside: Vec<bool> = angles.iter().map(|angle| well.contains(*angle)).collect();
            let count = inside.iter().filter(|inside| **inside).count();
            if count < LEAST {
                continue;
            }
            let weights = data.weights.iter().zip(&inside);
            let here: f64 = weights.filter_map(|(w, inside)| inside.then_some(w)).sum();
            let factor = (rarest / (here / all)).clamp(1.0, MOST);
            let here = factors.iter_mut().zip(inside).filter(|(_, inside)| *inside);
            here.for_each(|(known, _)| *known = known.max(factor));
        }
    }
    let often = factors.iter().zip(&data.weights);
    often.map(|(factor, weight)| factor * weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torsion::Kind;
    use boltzflow_molecule::Conformers;

    /// Four points with the dihedral of each angle.
    fn turned(angles: &[f64]) -> Conformers {
        let mut all = Conformers::empty(4, 3);
        for angle in angles {
            let (sine, cosine) = angle.sin_cos();
            all.push(&[
                1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, cosine, sine, 1.0,
            ]);
        }
        all
    }

    #[test]
    fn rare_wells_are_drawn_more_often_if_enough_is_known_of_them() {
        let torsion = Torsion {
            name: "a torsion".to_owned(),
            atoms: [0, 1, 2, 3],
            kind: Kind::Phi { alpha: 1 },
        };
        for (rare, rarest, expected) in [
            (200, 0.05, 2.5),
            (200, 0.01, 1.0),
            (200, 0.4, 10.0),
            (50, 0.05, 1.0),
            (200, 0.0, 1.0),
        ] {
            let angle = |k: usize| {
                if k.is_multiple_of(10_000 / rare) {
                    1.0
                } else {
                    -1.0
                }
            };
            let angles: Vec<f64> = (0..10_000).map(angle).collect();
            let data = TrainingData::at(turned(&angles), 300.0);
            let found = how_often(&data, std::slice::from_ref(&torsion), rarest);
            for (weight, angle) in found.iter().zip(angles) {
                let expected = if angle > 0.0 { expected } else { 1.0 };
                assert!(
                    (weight - expected).abs() < 1e-12,
                    "{rare} {rarest}: {weight}"
                );
            }
        }
    }
}
