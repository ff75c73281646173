//! Populations of states with their covariance.

use nalgebra::{DMatrix, DVector};

use crate::weights::{StatisticsError, Weights};

/// A state's own error is believed where at least so many samples (effective ones, or blocks of a run) have been in it, and as many outside.
pub const TELLING: usize = 10;

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
    /// Whether each state's own error is to be believed, see [`TELLING`].
    telling: Vec<bool>,
    /// What else is known of the effective size: it is not more than this.
    most: f64,
}

impl Populations {
    /// Populations with their covariance, the degrees of this, and which states' errors are to be believed.
    pub(crate) fn new(
        values: DVector<f64>,
        covariance: DMatrix<f64>,
        degrees: f64,
        telling: Vec<bool>,
    ) -> Self {
        Self {
            values,
            covariance,
            degrees,
            telling,
            most: f64::INFINITY,
        }
    }

    /// The same of samples that are known to be worth not more than so many independent ones: what a run has hardly seen looks well known, however slow
    /// it is.
    pub fn of_size_at_most(self, most: f64) -> Self {
        Self { most, ..self }
    }

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
        let degrees = all_squares * all_squares / fourths - 1.0;
        let effective = |sum: f64, squares: f64| sum * sum / squares >= TELLING as f64;
        let is_telling = |state: usize| {
            let (p, square): (f64, f64) = (values[state], squares[state]);
            effective(p, square) && effective(1.0 - p, all_squares - square)
        };
        let telling = (0..count).map(is_telling).collect();
        Ok(Self::new(values, covariance, degrees, telling))
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
        let size = if trace > 0.0 && multinomial > 1e-14 {
            multinomial / trace
        } else {
            self.degrees + 1.0
        };
        size.min(self.most)
    }

    /// How many would know the population of one state as well, `p (1 − p) / σ²`; not more than [`Self::size`] where its error is not to be believed: a
    /// state that was seen once, for a moment, seems to be known well.
    pub fn size_of(&self, state: usize) -> f64 {
        let error = self.error(state);
        let own = self.spread(state) / (error * error);
        match (error > 0.0, self.telling[state]) {
            (true, true) => own,
            (true, false) => own.min(self.size()),
            (false, _) => self.size(),
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
        let of_group = |index: usize| {
            let mut states = group.iter().zip(&self.telling);
            states.any(|(group, telling)| *group == index && *telling)
        };
        Self {
            telling: (0..count).map(of_group).collect(),
            values: &sum * &self.values,
            covariance: &sum * &self.covariance * sum.transpose(),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::Bootstrap;
    use crate::free_energy::populations;
    use crate::testing::normal;

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
        let worth_less = found.of_size_at_most(50.0);
        assert!((worth_less.expected_error(0.5).powi(2) - 0.25 / 50.0).abs() < 1e-12);
        assert!((worth_less.size_of(2) - 50.0).abs() < 1e-9);
        // Half of the samples tell of their state what they are worth.
        assert!((worth_less.size_of(0) - 1000.0).abs() < 1e-6);
    }
}
