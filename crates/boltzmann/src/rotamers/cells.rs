//! Which states are too rare to be told apart.

use crate::populations::Populations;

/// A state is too rare for a Gaussian, and is pooled with others that are, where either side expects fewer effective counts: the larger of its two populations times
/// the side's effective size for the state. The side that has not seen it expects what the other has seen.
pub const LEAST_COUNTS: f64 = 10.0;

/// The populations of the same states in two ensembles.
pub type Sides<'a> = [&'a Populations; 2];

/// How states are pooled for a test.
pub struct Cells {
    /// Whether each state is too rare to be told apart.
    pub rare: Vec<bool>,
    /// The cell of each.
    cell: Vec<usize>,
    /// How many there are.
    pub count: usize,
}

impl Cells {
    /// Pools the rare states into one cell; and that with the least populated of the others, where it is too rare itself. The last state is that of
    /// all that are not told apart, and counts as rare.
    pub fn new(sides: Sides) -> Self {
        let last = sides[0].len() - 1;
        let rare: Vec<bool> = (0..=last)
            .map(|state| state == last || is_rare(sides, state))
            .collect();
        let common: Vec<usize> = (0..=last).filter(|state| !rare[*state]).collect();
        let pool = common.len();
        let mut cell = vec![pool; rare.len()];
        for (index, state) in common.iter().enumerate() {
            cell[*state] = index;
        }
        let pooled = sides.map(|side| side.grouped(&cell, pool + 1));
        if !is_rare([&pooled[0], &pooled[1]], pool) {
            return Self {
                rare,
                cell,
                count: pool + 1,
            };
        }
        let population = |index: &usize| larger([&pooled[0], &pooled[1]], *index);
        let least = (0..pool).min_by(|a, b| population(a).total_cmp(&population(b)));
        let least = least.unwrap_or(0);
        for cell in cell.iter_mut().filter(|cell| **cell == pool) {
            *cell = least;
        }
        Self {
            rare,
            cell,
            count: pool.max(1),
        }
    }

    /// The cell of each sample, given its state.
    pub fn of(&self, states: &[usize]) -> Vec<usize> {
        let cell = |state: &usize| self.cell.get(*state).copied().unwrap_or(usize::MAX);
        states.iter().map(cell).collect()
    }
}

fn larger(sides: Sides, state: usize) -> f64 {
    sides[0].values[state].max(sides[1].values[state])
}

fn is_rare(sides: Sides, state: usize) -> bool {
    let size = sides[0].size_of(state).min(sides[1].size_of(state));
    // No number where there is one block: nothing is known.
    let counts = larger(sides, state) * size;
    counts.is_nan() || counts < LEAST_COUNTS
}
