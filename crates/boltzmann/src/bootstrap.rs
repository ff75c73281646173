//! Errors by resampling (Efron 1979).

use std::fmt;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Deserializer, Serialize};

/// A value with its standard error, told in two ways.
///
/// Both errors are statistical only: they know nothing of modes that no sample has found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The estimate from all samples.
    #[serde(deserialize_with = "number_or_null")]
    pub value: f64,
    /// The standard deviation of bootstrap replicates; infinite where a replicate is, as when a state loses its only sample. Of correlated samples in the
    /// order of their run, the standard error by blocks.
    #[serde(deserialize_with = "number_or_null")]
    pub error: f64,
    /// The standard error to first order in the sums of weights (the delta method), of independent samples.
    #[serde(deserialize_with = "number_or_null")]
    pub delta: f64,
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4} ± {:.4}", self.value, self.error)
    }
}

/// JSON knows no infinity and writes `null`.
pub(crate) fn number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// How replicates are drawn. Replicate `b` is a function of the seed and `b`, at any number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// How many: the error of the error is `1/√(2B)` of it.
    pub replicates: usize,
    /// Their seed.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self {
            replicates: 200,
            seed: 0,
        }
    }
}

impl Bootstrap {
    /// How often each of `samples` is in a replicate: multinomial counts that sum to `samples`.
    pub fn counts(&self, samples: usize, replicate: usize) -> Vec<u32> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(replicate as u64);
        let mut counts = vec![0; samples];
        (0..samples).for_each(|_| counts[random.random_range(0..samples)] += 1);
        counts
    }

    /// The standard errors of several statistics of the same samples, each a function of the samples' counts.
    ///
    /// A statistic that is infinite in some replicate has an infinite error.
    pub fn errors(
        &self,
        samples: usize,
        statistics: impl Fn(&[u32]) -> Vec<f64> + Sync,
    ) -> Vec<f64> {
        let replicates: Vec<Vec<f64>> = (0..self.replicates)
            .into_par_iter()
            .map(|replicate| statistics(&self.counts(samples, replicate)))
            .collect();
        let width = replicates.first().map_or(0, Vec::len);
        (0..width)
            .map(|index| {
                deviation(
                    &replicates
                        .iter()
                        .map(|values| values[index])
                        .collect::<Vec<_>>(),
                )
            })
            .collect()
    }

    /// The standard error of one statistic.
    pub fn error(&self, samples: usize, statistic: impl Fn(&[u32]) -> f64 + Sync) -> f64 {
        self.errors(samples, |counts| vec![statistic(counts)])
            .first()
            .copied()
            .unwrap_or(f64::INFINITY)
    }
}

/// The sample standard deviation; infinite for fewer than two values, or for any that is not finite.
fn deviation(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    if values.len() < 2 || values.iter().any(|value| !value.is_finite()) {
        return f64::INFINITY;
    }
    let mean = values.iter().sum::<f64>() / count;
    (values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / (count - 1.0))
        .sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn the_error_of_a_mean_is_the_deviation_over_the_root_of_n() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let values: Vec<f64> = (0..2000)
            .map(|_| 3.0 * Distribution::<f64>::sample(&StandardNormal, &mut random))
            .collect();
        let mean = |counts: &[u32]| {
            counts
                .iter()
                .zip(&values)
                .map(|(count, value)| f64::from(*count) * value)
                .sum::<f64>()
                / 2000.0
        };
        let found = Bootstrap {
            replicates: 800,
            seed: 2,
        }
        .error(values.len(), mean);
        // 800 replicates know it to 2.5 %, 2000 values their deviation to 1.6 %.
        assert!(
            (found / (3.0 / 2000_f64.sqrt()) - 1.0).abs() < 0.1,
            "{found}"
        );
    }

    #[test]
    fn replicates_are_functions_of_seed_and_number() {
        let bootstrap = Bootstrap::default();
        assert_eq!(bootstrap.counts(100, 3), bootstrap.counts(100, 3));
        assert_ne!(bootstrap.counts(100, 3), bootstrap.counts(100, 4));
        assert_ne!(
            bootstrap.counts(100, 3),
            Bootstrap {
                seed: 1,
                ..bootstrap
            }
            .counts(100, 3)
        );
        assert_eq!(bootstrap.counts(100, 3).iter().sum::<u32>(), 100);
    }

    #[test]
    fn one_replicate_knows_no_error() {
        assert_eq!(
            Bootstrap {
                replicates: 1,
                seed: 0
            }
            .error(10, |_| 1.0),
            f64::INFINITY
        );
        assert_eq!(
            Bootstrap {
                replicates: 0,
                seed: 0
            }
            .error(10, |_| 1.0),
            f64::INFINITY
        );
    }
}
