//! Populations of correlated samples, from blocks that are long enough to be independent.

use nalgebra::{DMatrix, DVector};

use crate::bootstrap::Estimate;
use crate::populations::{Populations, TELLING};

/// The chance that independent blocks are taken for correlated ones.
const CHANCE: f64 = 0.05;

/// Into how many blocks a run may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cuts {
    /// Where blocks so short are independent.
    pub most: usize,
    /// Where even these are not.
    pub fewest: usize,
}

impl Cuts {
    /// For the errors of single populations: a variance from 100 blocks is known to 14 %, one from 16 to 37 %.
    pub const OF_ERRORS: Self = Self {
        most: 100,
        fewest: 16,
    };

    /// For a covariance of so many populations that is to be inverted: it must be known in all directions.
    pub fn of_covariance(count: usize) -> Self {
        Self {
            most: Self::OF_ERRORS.most.max(8 * count),
            fewest: Self::OF_ERRORS.fewest.max(2 * count),
        }
    }
}

/// The populations of states `0..K` in equally long blocks of neighbours of a run. What is left over at its end counts in its populations only.
///
/// Errors from them (non-overlapping batch means) are right where blocks are much longer than the run's correlation. The frames of several chains may be
/// written in turn, as `simulate --ladders` does: then a block holds the same stretch of all of them, which is shorter than the block by their number.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockMeans {
    /// Samples in each.
    pub length: usize,
    of_run: DVector<f64>,
    means: Vec<DVector<f64>>,
}

impl BlockMeans {
    /// Cuts a run into `blocks` blocks, or into one for each sample where these are fewer, given each sample's state; one that is in none has a number of `count` or
    /// more.
    pub fn new(states: &[usize], count: usize, blocks: usize) -> Self {
        let length = (states.len() / blocks).max(1);
        let whole = states.chunks_exact(length).take(blocks);
        Self {
            length,
            of_run: shares(states, count),
            means: whole.map(|block| shares(block, count)).collect(),
        }
    }

    /// Cuts a run into as many blocks as `cuts` allows, and joins neighbours while they are correlated and enough are left; then once more, because
    /// the last correlation that shows is not the last that matters.
    pub fn independent(states: &[usize], count: usize, cuts: Cuts) -> Self {
        let whole = Self::new(states, count, cuts.most);
        let enough = |blocks: &Self| blocks.count() >= 2 * cuts.fewest;
        if !whole.are_correlated() || !enough(&whole) {
            return whole;
        }
        let mut blocks = whole.joined();
        while enough(&blocks) && blocks.are_correlated() {
            blocks = blocks.joined();
        }
        if enough(&blocks) {
            blocks = blocks.joined();
        }
        blocks
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.means.len()
    }

    /// Blocks of twice the length.
    fn joined(&self) -> Self {
        let pairs = self.means.chunks_exact(2);
        Self {
            length: 2 * self.length,
            of_run: self.of_run.clone(),
            means: pairs.map(|pair| (&pair[0] + &pair[1]) / 2.0).collect(),
        }
    }

    fn mean(&self) -> DVector<f64> {
        self.means.iter().sum::<DVector<f64>>() / self.count() as f64
    }

    /// The run's populations, with the covariance of the blocks' over their number; infinite for fewer than two blocks.
    pub fn populations(&self) -> Populations {
        let (count, found) = (self.of_run.len(), self.count() as f64);
        let mean = self.mean();
        let mut covariance = DMatrix::zeros(count, count);
        for block in &self.means {
            let off = block - &mean;
            covariance.ger(1.0 / (found * (found - 1.0)), &off, &off, 1.0);
        }
        if self.count() < 2 {
            covariance.fill(f64::INFINITY);
        }
        let telling = (0..count).map(|state| self.is_telling(state)).collect();
        Populations::new(self.of_run.clone(), covariance, found - 1.0, telling)
    }

    /// Whether at least [`TELLING`] blocks have seen a state, and as many have seen another.
    fn is_telling(&self, state: usize) -> bool {
        let populations = self.means.iter().map(|block| block[state]);
        let seen = populations.clone().filter(|p| *p > 0.0).count();
        let left = populations.filter(|p| *p < 1.0).count();
        seen.min(left) >= TELLING
    }

    /// The correlation of each telling state's population with that of the next block, less the bias of one about the mean of the same blocks.
    fn correlations(&self) -> Vec<f64> {
        let mean = self.mean();
        let telling = (0..mean.len()).filter(|state| self.is_telling(*state));
        let correlation = |state: usize| {
            let off = self.means.iter().map(|block| block[state] - mean[state]);
            let off: Vec<f64> = off.collect();
            let squares: f64 = off.iter().map(|off| off * off).sum();
            let products: f64 = off.windows(2).map(|pair| pair[0] * pair[1]).sum();
            (squares > 0.0).then(|| products / squares + 1.0 / off.len() as f64)
        };
        telling.filter_map(correlation).collect()
    }

    /// The largest correlation of a state's population with that of the next block; 0 where no state tells any. Where it is `ρ`, the state's variance is too
    /// small by a factor of about `1 + 2ρ`.
    pub fn correlation(&self) -> f64 {
        self.correlations()
            .into_iter()
            .reduce(f64::max)
            .unwrap_or(0.0)
    }

    /// Whether that is more than the largest of as many independent normal numbers of deviation `1/√(blocks)` has a chance of one in twenty to be.
    pub fn are_correlated(&self) -> bool {
        let found = self.correlations();
        let largest = found.iter().copied().fold(0.0, f64::max);
        // The quantile of a normal variable far out, where `1 − Φ(z) = φ(z)/z`.
        let log = 2.0 * (found.len().max(1) as f64 / CHANCE).ln();
        let quantile = (log - (2.0 * std::f64::consts::PI * log).ln()).sqrt();
        largest * (self.count() as f64).sqrt() > quantile
    }
}

/// Populations of correlated samples in the order of their run: errors by independent blocks, and as if all samples were independent.
pub fn populations_in_order(states: &[usize], count: usize) -> Vec<Estimate> {
    let found = BlockMeans::independent(states, count, Cuts::OF_ERRORS).populations();
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
    use crate::testing::Markov;

    fn run(p: &[f64], stay: f64, chains: usize, count: usize, seed: u64) -> Vec<usize> {
        Markov { p, stay, chains }.run(count, seed)
    }

    #[test]
    fn errors_of_a_correlated_series_follow_from_its_correlation_time() {
        let p = [0.6, 0.3, 0.1];
        for (stay, chains) in [(0.0, 1), (0.8, 1), (0.8, 4), (0.98, 4)] {
            let populations = (0..20).map(|seed| {
                let states = run(&p, stay, chains, 60_000, seed);
                BlockMeans::independent(&states, 3, Cuts::OF_ERRORS).populations()
            });
            let populations: Vec<Populations> = populations.collect();
            let time = (1.0 + stay) / (1.0 - stay);
            for i in 0..3 {
                for j in 0..3 {
                    let own = if i == j { p[i] } else { 0.0 };
                    let exact = time * (own - p[i] * p[j]) / 60_000.0;
                    let found = populations.iter().map(|found| found.covariance[(i, j)]);
                    // 2000 blocks in all know a variance to 3 %, a covariance of a correlation of .2 to 11 %. The last has blocks of 600 frames, 1.5 times
                    // the time of all chains, and joins them: at 2400 it is right to an eighth.
                    let off = found.sum::<f64>() / 20.0 / exact - 1.0;
                    let tolerance = if i == j { 0.25 } else { 0.35 };
                    assert!(off.abs() < tolerance, "{stay} {chains} {i} {j}: {off}");
                }
            }
        }
    }

    #[test]
    fn blocks_are_joined_until_they_are_independent() {
        let p = [0.5, 0.3, 0.2];
        let found = |stay: f64, seed: u64| {
            let states = run(&p, stay, 1, 40_000, seed);
            BlockMeans::independent(&states, 3, Cuts::OF_ERRORS)
        };
        // Blocks of 400 steps are much longer than a time of 3; by chance one run in twenty has longer ones.
        let short = (0..40)
            .filter(|seed| found(0.5, *seed).length == 400)
            .count();
        assert!(short >= 34, "{short} of 40");
        // And as long as one of 400.
        let long = (0..40)
            .filter(|seed| found(0.995, *seed).length >= 1600)
            .count();
        assert!(long >= 30, "{long} of 40");
        // Of a run that is as long as its correlation no blocks are independent.
        let never = found(0.9999, 1);
        assert!(never.are_correlated() && never.count() < 32 && never.correlation() > 0.3);
    }

    #[test]
    fn what_never_changes_is_not_correlated() {
        let blocks = BlockMeans::independent(&[1; 1000], 2, Cuts::OF_ERRORS);
        assert_eq!((blocks.length, blocks.correlation()), (10, 0.0));
        assert!(!blocks.are_correlated());
        // A state that was seen once tells nothing, though a visit may end in the next block.
        let mut states = vec![0; 1000];
        states[8..12].fill(1);
        let blocks = BlockMeans::independent(&states, 2, Cuts::OF_ERRORS);
        assert_eq!((blocks.length, blocks.correlation()), (10, 0.0));
    }

    #[test]
    fn the_end_of_a_run_counts_in_its_populations_and_one_sample_has_no_error() {
        let mut states = vec![0; 205];
        states[200..].fill(1);
        let found = BlockMeans::new(&states, 2, 100).populations();
        assert!((found.values[1] - 5.0 / 205.0).abs() < 1e-12);
        assert_eq!((found.error(1), found.degrees), (0.0, 99.0));
        assert!(populations_in_order(&[0], 1)[0].error.is_infinite());
    }
}
