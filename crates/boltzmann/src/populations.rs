//! Populations of states with their covariance: of weighted samples, and of correlated samples in the order of their run.

use nalgebra::{DMatrix, DVector};

use crate::bootstrap::Estimate;
use crate::weights::{StatisticsError, Weights};

/// Blocks that a run is cut into where the errors of its populations are wanted: each is a hundredth of the run, and a variance known from a
/// hundred values is known to 14 %.
pub const BLOCKS: usize = 100;

/// The populations of states `0..K` with their covariance.
///
/// Where every sample is in one of them, they add to one, and the covariance has no part along `(1, …, 1)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Populations {
    /// One for each state.
    pub values: DVector<f64>,
    /// `K × K`.
    pub covariance: DMatrix<f64>,
    /// How well the covariance is known: as well as one from so many independent values and one more.
    pub degrees: f64,
}

impl Populations {
    /// Of weighted samples that are independent, given each one's state; one that is in none has a number of `count` or more.
    ///
    /// The covariance is `Σ w̃² (1 − p)(1 − p)ᵀ` with `1` the sample's indicator of the states and `w̃ = w/Σw`: the limit of the bootstrap's for many
    /// replicates and samples, without the noise of some hundred replicates, which an inverse does not forgive. The degrees are
    /// `(Σw²)²/Σw⁴ − 1`: as many samples have a say in it.
    ///
    /// # Errors
    /// If there is not one state for every weight.
    pub fn weighted(
        weights: &Weights,
        states: &[usize],
        count: usize,
    ) -> Result<Self, StatisticsError> {
        weights.check_count("states", states.len())?;
        let (mut values, mut squares) = (DVector::zeros(count), DVector::zeros(count));
        let (mut all_squares, mut fourths) = (0.0, 0.0);
        for (w, &state) in weights.normalised().iter().zip(states) {
            all_squares += w * w;
            fourths += w.powi(4);
            if state < count {
                values[state] += w;
                squares[state] += w * w;
            }
        }
        let covariance = DMatrix::from_diagonal(&squares)
            - &squares * values.transpose()
            - &values * squares.transpose()
            + &values * values.transpose() * all_squares;
        Ok(Self {
            values,
            covariance,
            degrees: all_squares * all_squares / fourths - 1.0,
        })
    }

    /// Of correlated samples of equal weight in the order of their run, given each one's state; one that is in none has a number of `count` or more.
    ///
    /// The covariance is that of the means of `blocks` equally long blocks of neighbours, divided by their number (non-overlapping batch means; what
    /// is left over at the end counts in the populations only). It is right where blocks are much longer than the run's correlation, see
    /// [`block_correlation`]. The frames of several chains may be written in turn, as `simulate --ladders` does: then a block holds all chains over the same
    /// stretch, of a length that is smaller by their number. Fewer than two samples have an infinite covariance.
    pub fn in_order(states: &[usize], count: usize, blocks: usize) -> Self {
        let values = shares(states, count);
        let means = block_means(states, count, blocks);
        let found = means.len() as f64;
        let mean = means.iter().sum::<DVector<f64>>() / found;
        let mut covariance = DMatrix::zeros(count, count);
        for block in &means {
            let off = block - &mean;
            covariance.ger(1.0 / (found * (found - 1.0)), &off, &off, 1.0);
        }
        if means.len() < 2 {
            covariance.fill(f64::INFINITY);
        }
        Self {
            values,
            covariance,
            degrees: found - 1.0,
        }
    }

    /// How many states there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The standard error of one population; 0 for a state that was never left or never seen, which is no error to believe.
    pub fn error(&self, state: usize) -> f64 {
        let variance = self.covariance[(state, state)];
        if self.spread(state) > 0.0 || variance.is_infinite() {
            variance.max(0.0).sqrt()
        } else {
            0.0
        }
    }

    /// `p (1 − p)`, 0 where it is not more than rounding.
    fn spread(&self, state: usize) -> f64 {
        let p = self.values[state];
        Some(p * (1.0 - p))
            .filter(|spread| *spread > 1e-14)
            .unwrap_or(0.0)
    }

    /// How many independent samples of equal weight would know all populations as well, `(1 − Σp²) / tr C`.
    pub fn size(&self) -> f64 {
        let trace = self.covariance.trace();
        let multinomial = 1.0 - self.values.norm_squared();
        if trace > 0.0 && multinomial > 1e-14 {
            multinomial / trace
        } else {
            self.degrees + 1.0
        }
    }

    /// How many would know the population of one state as well, `p (1 − p) / σ²`, but not more than [`Self::size`]: a state that was seen once, for a
    /// moment, seems to be known well.
    pub fn size_of(&self, state: usize) -> f64 {
        let error = self.error(state);
        if error > 0.0 {
            self.size().min(self.spread(state) / (error * error))
        } else {
            self.size()
        }
    }

    /// The standard error that [`Self::size`] independent samples leave of a population `p`.
    pub fn expected_error(&self, p: f64) -> f64 {
        (p * (1.0 - p) / self.size()).max(0.0).sqrt()
    }

    /// Those of groups of states, given the group of each.
    pub fn grouped(&self, group: &[usize], count: usize) -> Self {
        let mut sum = DMatrix::zeros(count, self.len());
        for (state, &group) in group.iter().enumerate() {
            sum[(group, state)] = 1.0;
        }
        Self {
            values: &sum * &self.values,
            covariance: &sum * &self.covariance * sum.transpose(),
            degrees: self.degrees,
        }
    }
}

/// Populations of correlated samples in the order of their run, as of [`Populations::in_order`] with [`BLOCKS`] blocks: errors by blocks, and as if samples were
/// independent.
pub fn populations_in_order(states: &[usize], count: usize) -> Vec<Estimate> {
    let found = Populations::in_order(states, count, BLOCKS);
    let estimate = |state: usize| {
        let value = found.values[state];
        Estimate {
            value,
            error: found.error(state),
            delta: (value * (1.0 - value) / states.len() as f64).sqrt(),
        }
    };
    (0..count).map(estimate).collect()
}

/// The correlation of a block's populations with the next one's, over all states (each in units of its own deviation); 0 where there are
/// fewer than two blocks, or nothing changes.
///
/// Where it is `ρ`, blocks are too short, and the covariance is too small by about `1 + 2ρ`. Independent blocks have `0 ± 1/√(blocks)`.
pub fn block_correlation(states: &[usize], count: usize, blocks: usize) -> f64 {
    let means = block_means(states, count, blocks);
    let mean = means.iter().sum::<DVector<f64>>() / means.len().max(1) as f64;
    let mut correlations = Vec::new();
    for state in 0..count {
        let series: Vec<f64> = means
            .iter()
            .map(|block| block[state] - mean[state])
            .collect();
        let squares: f64 = series.iter().map(|off| off * off).sum();
        let products: f64 = series.windows(2).map(|pair| pair[0] * pair[1]).sum();
        if squares > 0.0 {
            // Less the bias of a correlation about the mean of the same blocks.
            correlations.push(products / squares + 1.0 / series.len() as f64);
        }
    }
    correlations.iter().sum::<f64>() / correlations.len().max(1) as f64
}

/// How long the blocks are if a run of so many samples is cut into so many.
pub fn block_length(samples: usize, blocks: usize) -> usize {
    (samples / blocks).max(1)
}

fn block_means(states: &[usize], count: usize, blocks: usize) -> Vec<DVector<f64>> {
    let length = block_length(states.len(), blocks);
    let whole = states.chunks_exact(length).take(blocks);
    whole.map(|block| shares(block, count)).collect()
}

/// The part of the samples that is in each state.
fn shares(states: &[usize], count: usize) -> DVector<f64> {
    let mut shares = DVector::zeros(count);
    for &state in states.iter().filter(|state| **state < count) {
        shares[state] += 1.0;
    }
    shares / states.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::Bootstrap;
    use crate::free_energy::populations;
    use crate::testing::{Markov, normal};

    #[test]
    fn errors_of_a_correlated_series_follow_from_its_correlation_time() {
        let p = [0.6, 0.3, 0.1];
        for (stay, chains) in [(0.0, 1), (0.8, 1), (0.8, 4), (0.95, 4)] {
            let chain = Markov {
                p: &p,
                stay,
                chains,
            };
            let runs =
                (0..20).map(|seed| Populations::in_order(&chain.run(60_000, seed), 3, BLOCKS));
            let runs: Vec<Populations> = runs.collect();
            let time = (1.0 + stay) / (1.0 - stay);
            for i in 0..3 {
                for j in 0..3 {
                    let own = if i == j { p[i] } else { 0.0 };
                    let exact = time * (own - p[i] * p[j]) / 60_000.0;
                    let found = runs.iter().map(|run| run.covariance[(i, j)]);
                    // 2000 blocks in all know a variance to 3 %, a covariance of a correlation of .2 to 11 %; blocks of 600 frames of four chains with a
                    // time of 39 each lose a tenth of it.
                    let off = found.sum::<f64>() / 20.0 / exact - 1.0;
                    assert!(off.abs() < 0.35, "{stay} {chains} {i} {j}: {off}");
                    assert!(i != j || off.abs() < 0.2, "{stay} {chains} {i}: {off}");
                }
            }
        }
    }

    #[test]
    fn neighbouring_blocks_tell_that_they_are_too_short() {
        let p = [0.5, 0.5];
        let correlation = |stay: f64| {
            let chain = Markov {
                p: &p,
                stay,
                chains: 1,
            };
            let found = (0..10).map(|seed| block_correlation(&chain.run(20_000, seed), 2, BLOCKS));
            found.sum::<f64>() / 10.0
        };
        assert!(correlation(0.5).abs() < 0.12, "{}", correlation(0.5));
        assert!(correlation(0.995) > 0.4, "{}", correlation(0.995));
        assert_eq!(block_correlation(&[1; 1000], 2, BLOCKS), 0.0);
    }

    #[test]
    fn the_covariance_of_weighted_samples_is_the_bootstraps() {
        let weights = Weights::from_log(normal(4000, 1).iter().map(|x| 0.7 * x).collect()).unwrap();
        let states: Vec<usize> = normal(4000, 2)
            .iter()
            .map(|x| usize::from(*x > 0.0) + usize::from(*x > 1.0))
            .collect();
        let found = Populations::weighted(&weights, &states, 3).unwrap();
        let bootstrap = Bootstrap {
            replicates: 800,
            seed: 3,
        };
        let known = populations(&weights, &states, 3, &bootstrap).unwrap();
        for (state, known) in known.iter().enumerate() {
            assert!((found.values[state] - known.value).abs() < 1e-12);
            assert!((found.error(state) / known.delta - 1.0).abs() < 1e-9);
            assert!((found.error(state) / known.error - 1.0).abs() < 0.12);
        }
        // They add to one.
        let ones = DVector::from_element(3, 1.0);
        assert!((found.values.sum() - 1.0).abs() < 1e-12);
        assert!((&found.covariance * ones).norm() < 1e-16);
    }

    #[test]
    fn equal_weights_are_multinomial_and_groups_add() {
        let states: Vec<usize> = (0..1000).map(|k| [0, 0, 1, 2, 3][k % 5]).collect();
        let equal = Weights::equal(1000).unwrap();
        let found = Populations::weighted(&equal, &states, 4).unwrap();
        assert!((found.size() - 1000.0).abs() < 1e-6 && (found.degrees - 999.0).abs() < 1e-6);
        assert!((found.size_of(2) - 1000.0).abs() < 1e-6);
        let group = [0, 1, 1, 0];
        let grouped: Vec<usize> = states.iter().map(|state| group[*state]).collect();
        let expected = Populations::weighted(&equal, &grouped, 2).unwrap();
        let found = found.grouped(&group, 2);
        assert!((found.values - expected.values).norm() < 1e-12);
        assert!((found.covariance - expected.covariance).norm() < 1e-15);
    }

    #[test]
    fn a_state_that_was_never_seen_has_the_error_of_the_size() {
        let states: Vec<usize> = (0..1000).map(|k| k % 2).collect();
        let found = Populations::weighted(&Weights::equal(1000).unwrap(), &states, 3).unwrap();
        assert_eq!(found.error(2), 0.0);
        assert!((found.expected_error(0.01) - (0.01 * 0.99 / 1000.0_f64).sqrt()).abs() < 1e-9);
        assert!(
            Populations::in_order(&[0], 1, BLOCKS)
                .error(0)
                .is_infinite()
        );
    }
}
