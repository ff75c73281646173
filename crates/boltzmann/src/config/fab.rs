//! What a flow that bootstraps annealed importance sampling is told.

use serde::{Deserialize, Serialize};

use super::{ConfigError, WHOLE, within};

/// The divergence `ln ∫ p²/q`, of α = 2, by samples of the flow that are annealed towards `p²/q`, where the flow lacks most, and kept in a buffer
/// (flow annealed importance sampling bootstrap, Midgley, Stimper, Simm, Schölkopf, Hernández-Lobato 2023).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FabConfig {
    /// Distributions between the flow and `p²/q`, along each of which samples are moved by one trajectory of Hamiltonian Monte Carlo, whose steps
    /// are kept so long that 0.65 of all are accepted. One is the target alone.
    pub between: usize,
    /// Steps of a trajectory, an energy with its gradient each.
    pub leapfrog: usize,
    /// Annealed samples before the first step.
    pub least: usize,
    /// Annealed samples that are kept, the newest.
    pub most: usize,
    /// Optimiser steps from one batch of annealed samples to the next.
    pub updates: u64,
    /// A sample whose density has changed since its weight was known counts by the factor that its weight has changed by, but no more than this.
    pub correction: f64,
    /// Reduced energies more than this above that of the minimum next to the start count by their logarithm, as along the energy.
    pub threshold: f64,
}

impl FabConfig {
    /// Batches of annealed samples that so many steps of a batch take.
    pub fn batches(self, steps: u64, batch: usize) -> u64 {
        match steps {
            0 => 0,
            _ => self.first(batch) as u64 + (steps - 1) / self.updates.max(1),
        }
    }

    /// Those before the first step.
    pub fn first(self, batch: usize) -> usize {
        self.least.div_ceil(batch.max(1)).max(1)
    }

    /// Whether new samples are annealed before this step, counted from 0.
    pub fn is_due(self, step: u64) -> bool {
        step.is_multiple_of(self.updates)
    }

    pub(super) fn check(self) -> Result<(), ConfigError> {
        for (name, found, least, most, range) in [
            (
                "training.objective.fab.between",
                self.between as f64,
                1.0,
                1000.0,
                "between 1 and 1000; 8 are usual",
            ),
            (
                "training.objective.fab.leapfrog",
                self.leapfrog as f64,
                1.0,
                1000.0,
                "between 1 and 1000; 4 are usual",
            ),
            (
                "training.objective.fab.least",
                self.least as f64,
                1.0,
                1e8,
                WHOLE,
            ),
            (
                "training.objective.fab.most",
                self.most as f64,
                self.least as f64,
                1e8,
                "at least training.objective.fab.least, and not absurdly large",
            ),
            (
                "training.objective.fab.updates",
                self.updates as f64,
                1.0,
                1e6,
                WHOLE,
            ),
            (
                "training.objective.fab.correction",
                self.correction,
                1.0,
                1e6,
                "at least 1; 10 is usual",
            ),
            (
                "training.objective.fab.threshold",
                self.threshold,
                1.0,
                1e6,
                "at least 1 kT; a hundred is usual",
            ),
        ] {
            within(name, found, least, most, range)?;
        }
        Ok(())
    }
}
