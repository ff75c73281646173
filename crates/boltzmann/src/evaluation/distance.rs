//! Distances between samples, with errors.

use std::fmt;

use boltzflow_molecule::Conformers;
use serde::{Deserialize, Serialize};

use crate::torsion::Torsion;
use crate::wasserstein;
use crate::weights::{StatisticsError, Weights};

/// Parts that samples are dealt into for the error of a distance.
const PARTS: usize = 10;

/// A distance between samples with its standard error: from ten disjoint tenths of both, whose spread is that of the whole times `√10`.
/// Infinite where a tenth has no weight, or for fewer than ten samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// The distance.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

/// T-W2 over φ and ψ of one residue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RamachandranDistance {
    /// Which residue.
    pub residue: String,
    /// Pairs of angles on each side.
    pub count: usize,
    /// Of the samples as drawn.
    pub raw: Distance,
    /// Of the samples resampled in proportion to their weights.
    pub resampled: Distance,
}

impl Distance {
    /// That of samples one of which has no energy, or no angles: it is infinitely far away.
    pub(super) const INFINITE: Self = Self {
        value: f64::INFINITY,
        error: f64::INFINITY,
    };
}

impl RamachandranDistance {
    pub(super) fn new(
        residue: &str,
        [ours, theirs]: [&[[f64; 2]]; 2],
        weights: &Weights,
        pairs: usize,
        seed: u64,
    ) -> Result<Self, StatisticsError> {
        let count = pairs.min(ours.len()).min(theirs.len());
        // Tenths of samples and of the reference must be equally large.
        let count = if count >= PARTS {
            count - count % PARTS
        } else {
            count
        };
        let near = select(theirs, &spread(theirs.len(), count));
        let raw = select(ours, &spread(ours.len(), count));
        let raw = if raw.iter().flatten().all(|angle| angle.is_finite()) {
            distance([count, count], |a, b| {
                wasserstein::torus(&select(&raw, a), &select(&near, b))
            })?
        } else {
            Distance::INFINITE
        };
        let resampled = distance([ours.len(), count], |a, b| {
            let part = Weights::from_log(select(weights.log_weights(), a))?;
            let drawn = part.resample(b.len(), seed);
            wasserstein::torus(&select(&select(ours, a), &drawn), &select(&near, b))
        })?;
        Ok(Self {
            residue: residue.to_owned(),
            count,
            raw,
            resampled,
        })
    }
}

/// A distance between all of `counts` samples, with its error from tenths.
pub(super) fn distance(
    counts: [usize; 2],
    between: impl Fn(&[usize], &[usize]) -> Result<f64, StatisticsError>,
) -> Result<Distance, StatisticsError> {
    let all = counts.map(|count| (0..count).collect::<Vec<usize>>());
    let value = between(&all[0], &all[1])?;
    let mut error = f64::INFINITY;
    if counts.iter().all(|count| *count >= PARTS) {
        let part = |count: usize, part: usize| (part..count).step_by(PARTS).collect::<Vec<usize>>();
        let found: Result<Vec<f64>, _> = (0..PARTS)
            .map(|index| between(&part(counts[0], index), &part(counts[1], index)))
            .collect();
        match found {
            Ok(found) => {
                let mean = found.iter().sum::<f64>() / PARTS as f64;
                let squares: f64 = found.iter().map(|value| (value - mean).powi(2)).sum();
                error = (squares / (PARTS - 1) as f64 / PARTS as f64).sqrt();
            }
            Err(StatisticsError::AllZero { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(Distance { value, error })
}

pub(super) fn floor(values: &[f64]) -> Result<f64, StatisticsError> {
    let half =
        |first: usize| -> Vec<f64> { values.iter().skip(first).step_by(2).copied().collect() };
    let (even, odd) = (half(0), half(1));
    let equal = [Weights::equal(even.len())?, Weights::equal(odd.len())?];
    wasserstein::line(&even, &equal[0], &odd, &equal[1])
}

pub(super) fn select<T: Copy>(values: &[T], indices: &[usize]) -> Vec<T> {
    indices.iter().map(|&index| values[index]).collect()
}

/// `count` of `length` numbers, evenly spread.
pub fn spread(length: usize, count: usize) -> Vec<usize> {
    (0..count).map(|index| index * length / count).collect()
}

pub(super) fn angles(torsions: &[Torsion; 2], conformers: &Conformers) -> Vec<[f64; 2]> {
    conformers
        .iter()
        .map(|x| torsions.each_ref().map(|torsion| torsion.angle(x)))
        .collect()
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ± {:.3}", self.value, self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::normal;

    fn line(a: &[f64], b: &[f64]) -> Distance {
        distance([a.len(), b.len()], |i, j| {
            let equal = [Weights::equal(i.len())?, Weights::equal(j.len())?];
            wasserstein::line(&select(a, i), &equal[0], &select(b, j), &equal[1])
        })
        .unwrap()
    }

    #[test]
    fn the_error_of_a_distance_is_its_spread_over_independent_samples() {
        let runs: Vec<Distance> = (0..60)
            .map(|seed| {
                let b: Vec<f64> = normal(1000, 1000 + seed).iter().map(|x| x + 1.0).collect();
                line(&normal(1000, seed), &b)
            })
            .collect();
        let mean = runs.iter().map(|run| run.value).sum::<f64>() / 60.0;
        let spread = runs
            .iter()
            .map(|run| (run.value - mean).powi(2))
            .sum::<f64>()
            / 59.0;
        let typical = runs.iter().map(|run| run.error.powi(2)).sum::<f64>() / 60.0;
        assert!((mean - 1.0).abs() < 0.03);
        // 60 runs know the ratio of variances to 20 %.
        assert!(
            (typical / spread - 1.0).abs() < 0.6,
            "{typical} for {spread}"
        );
    }

    #[test]
    fn few_samples_have_no_error_of_their_distance() {
        assert_eq!(line(&[0.0; 9], &[1.0; 20]).error, f64::INFINITY);
        let found = line(&[0.0; 10], &[1.0; 20]);
        assert!((found.value - 1.0).abs() < 1e-12 && found.error < 1e-12);
    }

    #[test]
    fn weights_bring_samples_to_the_target() {
        let target = normal(4000, 1);
        let x: Vec<f64> = normal(4000, 2).iter().map(|x| 1.5 * x).collect();
        let logs = x
            .iter()
            .map(|x| -0.5 * x * x * (1.0 - 1.0 / 2.25))
            .collect();
        let weights = Weights::from_log(logs).unwrap();
        let angles = |x: &[f64]| -> Vec<[f64; 2]> { x.iter().map(|x| [0.3 * x, 0.0]).collect() };
        let found =
            RamachandranDistance::new("ALA 2", [&angles(&x), &angles(&target)], &weights, 1000, 3)
                .unwrap();
        assert_eq!(found.count, 1000);
        // 0.3 · (1.5 − 1) apart as drawn.
        assert!((found.raw.value - 0.15).abs() < 0.03, "{found:?}");
        assert!(found.resampled.value < 0.05, "{found:?}");
        assert!(found.raw.error < 0.02 && found.resampled.error < 0.05);
    }

    #[test]
    fn a_sample_without_angles_is_infinitely_far_away_unless_it_has_no_weight() {
        let target: Vec<[f64; 2]> = normal(200, 1).iter().map(|x| [0.3 * x, 0.0]).collect();
        let mut ours = target.clone();
        ours[17][0] = f64::NAN;
        let mut logs = vec![0.0; 200];
        logs[17] = f64::NEG_INFINITY;
        let weights = Weights::from_log(logs).unwrap();
        let found = RamachandranDistance::new("ALA 2", [&ours, &target], &weights, 200, 3).unwrap();
        assert_eq!(found.raw, Distance::INFINITE);
        assert!(found.resampled.value < 0.1, "{found:?}");
    }
}
