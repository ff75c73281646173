//! The rotamers of two ensembles: populations of wells, of torsions alone and together, and whether they are those of one distribution.

mod cells;
mod states;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::block_means::{BlockMeans, Cuts, populations_in_order};
use crate::bootstrap::{Bootstrap, Estimate, number_or_null};
use crate::chi_squared::ChiSquared;
use crate::free_energy::populations;
use crate::populations::Populations;
use crate::torsion::Torsion;
use crate::weights::{StatisticsError, Weights};
pub use cells::LEAST_COUNTS;
use cells::{Cells, Sides};
use states::{Rotamers, States};

/// `|z|` of 95 % coverage.
const COVERAGE_Z: f64 = 1.96;

/// A torsion with its angles (radians) in two ensembles: weighted samples of a flow, and frames of a reference in the order of their run.
pub struct Angles<'a> {
    /// The torsion.
    pub torsion: &'a Torsion,
    /// One angle for each sample.
    pub flow: Vec<f64>,
    /// One angle for each frame.
    pub reference: Vec<f64>,
}

impl Angles<'_> {
    /// Checks that every sample of some weight, and every frame, has one.
    fn check(&self, weights: &Weights) -> Result<(), StatisticsError> {
        let equal = Weights::equal(self.reference.len())?;
        weights.check_values("angles", &self.flow)?;
        equal.check_values("angles of the reference", &self.reference)
    }
}

/// One state in both ensembles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateComparison {
    /// The wells that it consists of.
    pub name: String,
    /// Its population by the flow's weights.
    pub flow: Estimate,
    /// Its population in the reference, with its error by blocks.
    pub reference: Estimate,
    /// The difference, flow less reference, over its standard error. A side that has seen the state, or any other, too few times to know its own error has
    /// at least that of as many independent samples as its effective size at the other's population.
    #[serde(deserialize_with = "number_or_null")]
    pub z: f64,
    /// Where the flow's population is with 95 %: 1.96 of its standard error on either side.
    pub interval: [f64; 2],
    /// Whether the two agree to 1.96 of their common standard error: with the reference exact, that it lies in the interval.
    pub covered: bool,
    /// Whether it is too rare to be told apart in the test, see [`LEAST_COUNTS`].
    pub rare: bool,
}

/// States of some torsions in both ensembles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RotamerComparison {
    /// The torsion, or all of them.
    pub name: String,
    /// How many states there are: the product of the torsions' wells.
    pub possible: u64,
    /// How many either side has seen.
    pub seen: usize,
    /// How many of these are too rare, and pooled.
    pub pooled: usize,
    /// The states that were seen, but not more than 256, the most populated ones; of one torsion, all of its wells.
    pub states: Vec<StateComparison>,
    /// Whether the populations are of one distribution; absent where fewer than two states are left, or the reference is too short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chi_squared: Option<ChiSquared>,
    /// How many independent samples of equal weight know the populations as well, of the flow and of the reference.
    pub effective: [f64; 2],
    /// Blocks of the reference that the test's covariance is from.
    pub blocks: usize,
    /// Frames in each.
    pub block_length: usize,
    /// The largest correlation of a state's population in neighbouring blocks.
    pub block_correlation: f64,
    /// Whether it is more than chance: then even the longest blocks are too short, and the reference's errors too small.
    pub blocks_are_correlated: bool,
}

impl RotamerComparison {
    /// The states of a torsion alone, or of several together. The reference is taken to be worth not more than `most` independent frames, infinity where
    /// that is not known: a torsion that has hardly turned does not tell how slowly it turns.
    ///
    /// # Errors
    /// If there is not one finite angle for every weight and every frame, or there are no frames.
    pub fn new(
        torsions: &[&Angles],
        weights: &Weights,
        bootstrap: &Bootstrap,
        most: f64,
    ) -> Result<Self, StatisticsError> {
        torsions
            .iter()
            .try_for_each(|angles| angles.check(weights))?;
        let rotamers = Rotamers::new(torsions);
        let states = States::new(&rotamers, torsions, weights);
        let count = states.keys.len();
        let [flow, reference] = &states.of;
        let estimates = [
            populations(weights, flow, count, bootstrap)?,
            populations_in_order(reference, count),
        ];
        let in_blocks = BlockMeans::independent(reference, count + 1, Cuts::OF_ERRORS);
        let sides = [
            Populations::weighted(weights, flow, count + 1)?.of_size_at_most(weights.effective()),
            in_blocks.populations().of_size_at_most(most),
        ];
        let sides = [&sides[0], &sides[1]];
        let cells = Cells::new(sides);
        let state = |index: usize| {
            let estimates = [estimates[0][index], estimates[1][index]];
            StateComparison {
                name: rotamers.name(&states.keys[index]),
                rare: cells.rare[index],
                ..StateComparison::of(index, estimates, sides)
            }
        };
        let [flow, reference] = [flow, reference].map(|states| cells.of(states));
        let cuts = Cuts::of_covariance(cells.count);
        let blocks = BlockMeans::independent(&reference, cells.count, cuts);
        let flow = Populations::weighted(weights, &flow, cells.count)?;
        let is_seen = |state: &usize| sides.iter().any(|side| side.values[*state] > 0.0);
        let rare = (0..count).filter(|state| cells.rare[*state] && is_seen(state));
        Ok(Self {
            name: rotamers.title(torsions),
            possible: rotamers.possible(),
            seen: states.seen,
            pooled: rare.count() + states.seen.saturating_sub(count),
            states: (0..count).map(state).collect(),
            chi_squared: ChiSquared::between(&flow, &blocks.populations()),
            effective: sides.map(Populations::size),
            blocks: blocks.count(),
            block_length: blocks.length,
            block_correlation: blocks.correlation(),
            blocks_are_correlated: blocks.are_correlated(),
        })
    }
}

impl StateComparison {
    fn of(index: usize, [flow, reference]: [Estimate; 2], sides: Sides) -> Self {
        let spread = |estimate: Estimate| estimate.value * (1.0 - estimate.value);
        let size = sides[0].size_of(index).min(sides[1].size_of(index));
        let is_scarce = spread(flow).max(spread(reference)) * size < LEAST_COUNTS;
        let error = |side: usize, estimate: Estimate, other: Estimate| {
            if is_scarce || estimate.error == 0.0 {
                estimate.error.max(sides[side].expected_error(other.value))
            } else {
                estimate.error
            }
        };
        let errors = error(0, flow, reference).hypot(error(1, reference, flow));
        let difference = flow.value - reference.value;
        let z = if difference == 0.0 {
            0.0
        } else {
            difference / errors
        };
        let reach = COVERAGE_Z * flow.error;
        Self {
            name: String::new(),
            flow,
            reference,
            z,
            interval: [flow.value - reach, flow.value + reach],
            covered: z.abs() <= COVERAGE_Z,
            rare: false,
        }
    }
}
