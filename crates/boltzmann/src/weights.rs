//! Importance weights, and whether they may be trusted.
//!
//! A sample `x` of the proposal `q` counts for the target `e^{−βU}` with the weight `w = e^{−βU(x)} / q(x)`. Only `log w` is ever
//! stored unnormalised; all sums are in f64.

use std::fmt;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::pareto::Tail;

/// The fewest effective samples that are trusted.
pub const LEAST_EFFECTIVE: f64 = 100.0;
/// The largest share of all weight that one sample may have to be trusted.
pub const LARGEST_SHARE: f64 = 0.1;

/// Why statistics of samples are refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StatisticsError {
    /// There is nothing.
    #[error("there are no samples; draw at least one")]
    Empty,
    /// A log-weight is not a number, or infinitely large.
    #[error("log-weight {index} is {found}; look at the energy and the log-density of that sample")]
    LogWeight {
        /// Which, counted from 0.
        index: usize,
        /// What it is.
        found: f64,
    },
    /// Every weight is zero.
    #[error(
        "all {count} weights are zero: no sample can belong to the target; check units, temperature and stereochemistry"
    )]
    AllZero {
        /// How many there are.
        count: usize,
    },
    /// Two lists that belong together differ in length.
    #[error("{found} {what} were given for {expected} samples; give one for each")]
    Count {
        /// Of what.
        what: &'static str,
        /// Weights there are.
        expected: usize,
        /// Values there are.
        found: usize,
    },
    /// A value is not finite.
    #[error("{what} number {index} is {found}; only finite values can be averaged")]
    Value {
        /// Of what.
        what: &'static str,
        /// Which, counted from 0.
        index: usize,
        /// What it is.
        found: f64,
    },
    /// A size is out of range.
    #[error("{what} is {found}, but must be {range}")]
    Range {
        /// Of what.
        what: &'static str,
        /// What was given.
        found: f64,
        /// What may be given.
        range: &'static str,
    },
    /// Samples vanish from the books.
    #[error(
        "{drawn} samples were drawn, but {kept} kept and {rejected} rejected; every sample must be counted once"
    )]
    Unbalanced {
        /// In.
        drawn: usize,
        /// Out.
        kept: usize,
        /// By all reasons together.
        rejected: usize,
    },
}

/// `log Σ e^{x_i}`, without overflow; −∞ for nothing.
pub fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest.is_infinite() {
        return largest;
    }
    largest
        + values
            .map(|value| (value - largest).exp())
            .sum::<f64>()
            .ln()
}

/// The weights of `n` samples. Weight zero is a weight: its sample counts in `n`.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    logs: Vec<f64>,
    normalised: Vec<f64>,
    log_mean: f64,
}

/// The effective sample size after the largest weights were cut. It is a figure of comparison only: a clipped estimate is biased.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clipped {
    /// How many weights were lowered to the largest that remains.
    pub lowered: usize,
    /// The share of all weight that was cut away.
    pub lost: f64,
    /// Kish's effective sample size of the rest, divided by `n`.
    pub efficiency: f64,
}

impl Weights {
    /// Normalises `log w`, where −∞ stands for weight zero.
    ///
    /// # Errors
    /// If there are none, one is NaN or +∞, or all are zero.
    pub fn from_log(log_weights: Vec<f64>) -> Result<Self, StatisticsError> {
        if log_weights.is_empty() {
            return Err(StatisticsError::Empty);
        }
        let bad = log_weights
            .iter()
            .position(|value| value.is_nan() || *value == f64::INFINITY);
        if let Some(index) = bad {
            return Err(StatisticsError::LogWeight {
                index,
                found: log_weights[index],
            });
        }
        let log_sum = log_sum_exp(log_weights.iter().copied());
        if log_sum == f64::NEG_INFINITY {
            return Err(StatisticsError::AllZero {
                count: log_weights.len(),
            });
        }
        let normalised = log_weights
            .iter()
            .map(|value| (value - log_sum).exp())
            .collect();
        let log_mean = log_sum - (log_weights.len() as f64).ln();
        Ok(Self {
            logs: log_weights,
            normalised,
            log_mean,
        })
    }

    /// Equal weights: samples of the target itself.
    pub fn equal(count: usize) -> Result<Self, StatisticsError> {
        Self::from_log(vec![0.0; count])
    }

    /// How many there are, those of weight zero included.
    pub fn len(&self) -> usize {
        self.logs.len()
    }

    /// Whether there are none; there always are some.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// `log w`, as they were given.
    pub fn log_weights(&self) -> &[f64] {
        &self.logs
    }

    /// `w / Σw`: they sum to one.
    pub fn normalised(&self) -> &[f64] {
        &self.normalised
    }

    /// `ln (Σw / n)`, the estimate of `ln Z`.
    pub fn log_mean(&self) -> f64 {
        self.log_mean
    }

    /// Kish's effective sample size `(Σw)² / Σw²`, raw: nothing is clipped or dropped (Kish 1965).
    pub fn effective(&self) -> f64 {
        1.0 / self.normalised.iter().map(|w| w * w).sum::<f64>()
    }

    /// [`Weights::effective`] divided by `n`.
    pub fn efficiency(&self) -> f64 {
        self.effective() / self.len() as f64
    }

    /// The share of the heaviest sample.
    pub fn largest(&self) -> f64 {
        self.normalised.iter().copied().fold(0.0, f64::max)
    }

    /// How many samples have weight zero.
    pub fn zeros(&self) -> usize {
        self.logs
            .iter()
            .filter(|value| **value == f64::NEG_INFINITY)
            .count()
    }

    /// The effective sample size with the largest `count` weights lowered to the next largest one.
    pub fn clipped(&self, count: usize) -> Clipped {
        let mut sorted = self.normalised.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let lowered = count.min(sorted.len() - 1);
        let ceiling = sorted[lowered];
        sorted[..lowered].fill(ceiling);
        let sum: f64 = sorted.iter().sum();
        let squares: f64 = sorted.iter().map(|w| w * w).sum();
        let efficiency = if sum > 0.0 {
            sum * sum / squares / self.len() as f64
        } else {
            0.0
        };
        Clipped {
            lowered,
            lost: (1.0 - sum).max(0.0),
            efficiency,
        }
    }

    /// `Σ w f / Σ w`.
    ///
    /// # Errors
    /// If there is not one finite value for every weight; values of samples without weight are not looked at.
    pub fn mean(&self, values: &[f64]) -> Result<f64, StatisticsError> {
        self.check_values("values", values)?;
        Ok(self.weighted(values).map(|(w, value)| w * value).sum())
    }

    /// The shape of the weights' tail.
    pub fn tail(&self) -> Tail {
        Tail::of(&self.normalised)
    }

    /// Whether estimates with these weights may be trusted, and if not, for which reasons.
    pub fn verdict(&self) -> Verdict {
        let mut reasons = Vec::new();
        let limit = tail_limit(self.len());
        match self.tail() {
            Tail::Fitted { shape, .. } if shape > limit => {
                reasons.push(Reason::HeavyTail { shape, limit });
            }
            Tail::TooFew { count } => reasons.push(Reason::UnknownTail { count }),
            Tail::Fitted { .. } | Tail::Flat { .. } => {}
        }
        let effective = self.effective();
        // Equal weights may miss the limit by rounding.
        if effective < LEAST_EFFECTIVE * (1.0 - 1e-12) {
            reasons.push(Reason::FewEffective {
                effective,
                samples: self.len(),
            });
        }
        if self.largest() > LARGEST_SHARE {
            reasons.push(Reason::LargeWeight {
                share: self.largest(),
            });
        }
        if reasons.is_empty() {
            Verdict::Trusted
        } else {
            Verdict::NotToBeTrusted { reasons }
        }
    }

    /// Draws `count` sample numbers with probabilities `∝ w`, in ascending order, by systematic resampling: number `i` appears `⌊count·wᵢ⌋` or
    /// `⌈count·wᵢ⌉` times (Kitagawa 1996). A function of the seed.
    pub fn resample(&self, count: usize, seed: u64) -> Vec<usize> {
        let offset: f64 = ChaCha8Rng::seed_from_u64(seed).random();
        let last = self.normalised.iter().rposition(|w| *w > 0.0).unwrap_or(0);
        let (mut index, mut sum) = (0, self.normalised[0]);
        (0..count)
            .map(|number| {
                let at = (number as f64 + offset) / count as f64;
                while sum <= at && index < last {
                    index += 1;
                    sum += self.normalised[index];
                }
                index
            })
            .collect()
    }

    /// Weights and values of the samples that have any weight.
    pub(crate) fn weighted<'a>(
        &'a self,
        values: &'a [f64],
    ) -> impl Iterator<Item = (f64, f64)> + 'a {
        self.normalised
            .iter()
            .copied()
            .zip(values.iter().copied())
            .filter(|(w, _)| *w > 0.0)
    }

    pub(crate) fn check_count(
        &self,
        what: &'static str,
        found: usize,
    ) -> Result<(), StatisticsError> {
        let expected = self.len();
        if found == expected {
            Ok(())
        } else {
            Err(StatisticsError::Count {
                what,
                expected,
                found,
            })
        }
    }

    pub(crate) fn check_values(
        &self,
        what: &'static str,
        values: &[f64],
    ) -> Result<(), StatisticsError> {
        self.check_count(what, values.len())?;
        let bad = |index: &usize| self.normalised[*index] > 0.0 && !values[*index].is_finite();
        match (0..values.len()).find(bad) {
            Some(index) => Err(StatisticsError::Value {
                what,
                index,
                found: values[index],
            }),
            None => Ok(()),
        }
    }
}

/// The largest `k̂` that is trusted for `n` samples: `min(1 − 1/log₁₀ n, 0.7)` (Vehtari et al. 2024).
pub fn tail_limit(samples: usize) -> f64 {
    // Nothing is trusted for ten samples or fewer.
    if samples <= 10 {
        0.0
    } else {
        (1.0 - 1.0 / (samples as f64).log10()).min(0.7)
    }
}

/// Whether estimates may be trusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing speaks against it.
    Trusted,
    /// Something does; the estimates stand for what they are.
    NotToBeTrusted {
        /// Everything that does, at least one.
        reasons: Vec<Reason>,
    },
}

impl Verdict {
    /// Whether it is [`Verdict::Trusted`].
    pub fn is_trusted(&self) -> bool {
        *self == Self::Trusted
    }

    /// The same with one more reason for distrust.
    pub(crate) fn with(self, reason: Reason) -> Self {
        let mut reasons = match self {
            Self::Trusted => Vec::new(),
            Self::NotToBeTrusted { reasons } => reasons,
        };
        reasons.push(reason);
        Self::NotToBeTrusted { reasons }
    }
}

/// What speaks against weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// The tail is so heavy that the error estimates do not hold.
    HeavyTail {
        /// `k̂`.
        shape: f64,
        /// The largest that is trusted.
        limit: f64,
    },
    /// There are too few samples to know the tail.
    UnknownTail {
        /// Samples in the tail.
        count: usize,
    },
    /// Fewer effective samples than [`LEAST_EFFECTIVE`].
    FewEffective {
        /// Kish's.
        effective: f64,
        /// Of so many.
        samples: usize,
    },
    /// One sample has a greater share than [`LARGEST_SHARE`].
    LargeWeight {
        /// Its share.
        share: f64,
    },
    /// The samples have not come to a part of the target that is larger than the errors of populations.
    Unreached {
        /// The share of the target's own samples that weigh more than any sample of the flow.
        share: f64,
        /// Its standard error.
        error: f64,
        /// The standard error of a population of one half, `1/(2√ESS)`.
        limit: f64,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeavyTail { shape, limit } => {
                write!(
                    f,
                    "the weights' tail is heavy (k̂ = {shape:.2}, at most {limit:.2} is trusted)"
                )
            }
            Self::UnknownTail { count } => {
                write!(
                    f,
                    "the weights' tail is unknown (k̂ needs more than the {count} samples in it)"
                )
            }
            Self::FewEffective { effective, samples } => {
                write!(
                    f,
                    "{effective:.1} effective of {samples} samples (at least {LEAST_EFFECTIVE} are needed)"
                )
            }
            Self::LargeWeight { share } => {
                let (share, most) = (100.0 * share, 100.0 * LARGEST_SHARE);
                write!(
                    f,
                    "one sample has {share:.1} % of the weight (at most {most} % is trusted)"
                )
            }
            Self::Unreached {
                share,
                error,
                limit,
            } => {
                let [share, error, limit] = [share, error, limit].map(|part| 100.0 * part);
                write!(
                    f,
                    "{share:.1} ± {error:.1} % of the target weighs more than any sample, so the samples have not come there, and populations may be off by more than their errors of up to {limit:.1} %"
                )
            }
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trusted => write!(f, "trusted"),
            Self::NotToBeTrusted { reasons } => {
                let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                write!(f, "NOT TO BE TRUSTED: {}", reasons.join("; "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::normal;

    #[test]
    fn an_exact_flow_has_equal_weights_and_is_trusted() {
        let weights = Weights::from_log(vec![-812.25; 1000]).unwrap();
        assert!((weights.efficiency() - 1.0).abs() < 1e-12);
        assert!((weights.log_mean() + 812.25).abs() < 1e-12);
        assert_eq!(weights.verdict(), Verdict::Trusted);
        let rounded: Vec<f64> = normal(1000, 1).into_iter().map(|x| 1e-13 * x).collect();
        assert_eq!(
            Weights::from_log(rounded).unwrap().verdict(),
            Verdict::Trusted
        );
    }

    #[test]
    fn log_normal_weights_are_as_efficient_as_theory_says() {
        let sigma = 0.7;
        let weights =
            Weights::from_log(normal(200_000, 2).into_iter().map(|x| sigma * x).collect()).unwrap();
        assert!((weights.efficiency() - (-sigma * sigma).exp()).abs() < 0.01);
        assert!(weights.verdict().is_trusted());
    }

    #[test]
    fn a_constant_shift_changes_nothing_but_the_mean() {
        let log: Vec<f64> = normal(1000, 3);
        let weights = Weights::from_log(log.clone()).unwrap();
        let shifted = Weights::from_log(log.iter().map(|x| x + 1e4).collect()).unwrap();
        assert!((shifted.effective() / weights.effective() - 1.0).abs() < 1e-9);
        assert!((shifted.log_mean() - weights.log_mean() - 1e4).abs() < 1e-9);
        assert_eq!(weights.resample(50, 7), shifted.resample(50, 7));
    }

    #[test]
    fn zero_weights_count_in_n() {
        let mut log = vec![0.0; 500];
        log.extend(vec![f64::NEG_INFINITY; 500]);
        let weights = Weights::from_log(log).unwrap();
        assert!((weights.efficiency() - 0.5).abs() < 1e-12);
        assert!((weights.log_mean() - 0.5_f64.ln()).abs() < 1e-12);
        assert_eq!(weights.zeros(), 500);
    }

    #[test]
    fn what_is_no_weight_is_refused_with_its_number() {
        let found = Weights::from_log(vec![0.0, f64::NAN]).unwrap_err();
        assert!(matches!(found, StatisticsError::LogWeight { index: 1, .. }));
        let found = Weights::from_log(vec![f64::INFINITY]).unwrap_err();
        assert!(matches!(found, StatisticsError::LogWeight { index: 0, .. }));
        let found = Weights::from_log(vec![f64::NEG_INFINITY; 3]).unwrap_err();
        assert_eq!(found, StatisticsError::AllZero { count: 3 });
        assert_eq!(
            Weights::from_log(Vec::new()).unwrap_err(),
            StatisticsError::Empty
        );
    }

    #[test]
    fn every_reason_for_distrust_is_named() {
        let mut log = vec![0.0; 2000];
        log[17] = 2000_f64.ln();
        let Verdict::NotToBeTrusted { reasons } = Weights::from_log(log).unwrap().verdict() else {
            panic!()
        };
        assert!(
            reasons
                .iter()
                .any(|reason| matches!(reason, Reason::LargeWeight { .. }))
        );
        assert!(
            reasons
                .iter()
                .any(|reason| matches!(reason, Reason::FewEffective { .. }))
        );
        let few = Weights::equal(3).unwrap().verdict();
        let Verdict::NotToBeTrusted { reasons } = few else {
            panic!()
        };
        assert!(
            reasons
                .iter()
                .any(|reason| matches!(reason, Reason::UnknownTail { .. }))
        );
        let heavy: Vec<f64> = normal(10_000, 4).into_iter().map(|x| 5.0 * x).collect();
        let Verdict::NotToBeTrusted { reasons } = Weights::from_log(heavy).unwrap().verdict()
        else {
            panic!()
        };
        assert!(
            reasons
                .iter()
                .any(|reason| matches!(reason, Reason::HeavyTail { .. }))
        );
    }

    #[test]
    fn resampling_keeps_each_sample_as_often_as_its_weight_says() {
        let weights = Weights::from_log(normal(200, 5)).unwrap();
        let chosen = weights.resample(1000, 6);
        for (index, w) in weights.normalised().iter().enumerate() {
            let times = chosen.iter().filter(|chosen| **chosen == index).count() as f64;
            assert!((times - 1000.0 * w).abs() < 1.0 + 1e-9);
        }
        assert_eq!(chosen, weights.resample(1000, 6));
    }

    #[test]
    fn a_clipped_figure_says_what_was_cut() {
        let mut log = vec![0.0; 99];
        log.push(99_f64.ln());
        let clipped = Weights::from_log(log).unwrap().clipped(1);
        assert_eq!(clipped.lowered, 1);
        assert!((clipped.lost - (0.5 - 0.5 / 99.0)).abs() < 1e-12);
        assert!((clipped.efficiency - 1.0).abs() < 1e-12);
    }
}
