//! The rotamers of two ensembles: populations of wells, of torsions alone and together, and whether they are those of one distribution.

mod cells;
mod states;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::bootstrap::{Bootstrap, Estimate, number_or_null};
use crate::chi_squared::ChiSquared;
use crate::free_energy::populations;
use crate::populations::{
    BLOCKS, Populations, block_correlation, block_length, populations_in_order,
};
use crate::torsion::Torsion;
use crate::weights::{StatisticsError, Weights};
pub use cells::LEAST_COUNTS;
use cells::{Cells, Sides};
use states::{Rotamers, States};

/// Blocks of the reference for each state of a test, at least: its covariance must be known in all directions.
const BLOCKS_PER_STATE: usize = 8;
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
    /// Frames in each block of the reference that the test's covariance is from.
    pub block_length: usize,
    /// The correlation of neighbouring blocks' populations ([`block_correlation`]): where it is not about 0, the reference's errors are too small.
    pub block_correlation: f64,
}

impl RotamerComparison {
    /// The states of a torsion alone, or of several together.
    ///
    /// # Errors
    /// If there is not one finite angle for every weight and every frame, or there are no frames.
    pub fn new(
        torsions: &[&Angles],
        weights: &Weights,
        bootstrap: &Bootstrap,
    ) -> Result<Self, StatisticsError> {
        let equal = Weights::equal(torsions.first().map_or(0, |angles| angles.reference.len()))?;
        for angles in torsions {
            weights.check_values("angles", &angles.flow)?;
            equal.check_values("angles of the reference", &angles.reference)?;
        }
        let rotamers = Rotamers::new(torsions);
        let states = States::new(&rotamers, torsions, weights);
        let count = states.keys.len();
        let [flow, reference] = &states.of;
        let estimates = [
            populations(weights, flow, count, bootstrap)?,
            populations_in_order(reference, count),
        ];
        let sides = [
            Populations::weighted(weights, flow, count + 1)?,
            Populations::in_order(reference, count + 1, BLOCKS),
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
        let blocks = BLOCKS.max(BLOCKS_PER_STATE * cells.count);
        let [flow, reference] = [flow, reference].map(|states| cells.of(states));
        let test = ChiSquared::between(
            &Populations::weighted(weights, &flow, cells.count)?,
            &Populations::in_order(&reference, cells.count, blocks),
        );
        let is_seen = |state: &usize| sides.iter().any(|side| side.values[*state] > 0.0);
        let rare = (0..count).filter(|state| cells.rare[*state] && is_seen(state));
        Ok(Self {
            name: rotamers.title(torsions),
            possible: rotamers.possible(),
            seen: states.seen,
            pooled: rare.count() + states.seen.saturating_sub(count),
            states: (0..count).map(state).collect(),
            chi_squared: test,
            block_length: block_length(reference.len(), blocks),
            block_correlation: block_correlation(&reference, cells.count, blocks),
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
