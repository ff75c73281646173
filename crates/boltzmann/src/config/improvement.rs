//! What a flow that learns from its own samples is told.

use serde::{Deserialize, Serialize};

use super::{ConfigError, WHOLE, within};

/// Flow matching on samples of the flow itself, each as often as it weighs: the target is the Boltzmann distribution whatever drew them
/// (iterated energy-weighted flow matching, Dern et al. 2025).
///
/// In a round samples are drawn with the averaged parameters and their exact densities, and weighted by `e^{−u}/q`. A round whose weights are
/// not to be trusted is not learnt from, unless there is nothing else: then weights above `√n` times their mean count as much as that
/// (Ionides 2008), and the log says so.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Improvement {
    /// Steps before the first round: 0 where training goes on from a trained flow.
    pub start: u64,
    /// Steps from one round to the next.
    pub every: u64,
    /// Samples of a round, each with its energy.
    pub samples: usize,
    /// How many of the last rounds are learnt from; each counts by its effective samples.
    pub rounds: usize,
    /// The part of each minibatch that they make up, the rest being configurations of the data; 1 needs no data.
    pub share: f64,
}

impl Improvement {
    /// Rounds that have begun before so many steps are done.
    pub fn begun(self, steps: u64) -> u64 {
        (steps.saturating_sub(self.start)).div_ceil(self.every.max(1))
    }

    /// Whether a round comes before this step, counted from 0.
    pub fn is_due(self, step: u64) -> bool {
        step >= self.start && (step - self.start).is_multiple_of(self.every)
    }

    pub(super) fn check(self) -> Result<(), ConfigError> {
        for (name, found, least, most, range) in [
            (
                "training.objective.flow_matching.improvement.every",
                self.every as f64,
                1.0,
                1e12,
                WHOLE,
            ),
            (
                "training.objective.flow_matching.improvement.samples",
                self.samples as f64,
                100.0,
                1e7,
                "between a hundred, below which no weights are trusted, and ten million",
            ),
            (
                "training.objective.flow_matching.improvement.rounds",
                self.rounds as f64,
                1.0,
                1000.0,
                "between 1 and 1000",
            ),
            (
                "training.objective.flow_matching.improvement.share",
                self.share,
                f64::MIN_POSITIVE,
                1.0,
                "above 0 and at most 1",
            ),
        ] {
            within(name, found, least, most, range)?;
        }
        if self.share < 1.0 {
            return Ok(());
        }
        within(
            "training.objective.flow_matching.improvement.start",
            self.start as f64,
            0.0,
            0.0,
            "0 where the share is 1: before the first round there is nothing to learn from",
        )
    }
}
