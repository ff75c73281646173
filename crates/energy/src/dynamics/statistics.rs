//! What a simulation counts.

use serde::{Deserialize, Serialize};

/// Exchanges between two neighbouring temperatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairStatistics {
    /// Exchanges proposed.
    pub attempts: u64,
    /// Exchanges made.
    pub accepted: u64,
}

/// What one temperature counts, over all ladders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaStatistics {
    /// Trajectories of Hamiltonian Monte Carlo.
    pub trajectories: u64,
    /// Those accepted.
    pub accepted: u64,
    /// Rounds undone because the guard refused where they ended.
    pub refused: u64,
}

/// What a simulation counts after its burn-in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    /// Between temperatures `i` and `i + 1`.
    pub pairs: Vec<PairStatistics>,
    /// At each temperature.
    pub replicas: Vec<ReplicaStatistics>,
    /// How often a replica went from the lowest temperature to the highest and came back.
    pub round_trips: u64,
}

impl PairStatistics {
    /// The fraction accepted; 0 before the first attempt.
    pub fn acceptance(&self) -> f64 {
        fraction(self.accepted, self.attempts)
    }
}

impl ReplicaStatistics {
    /// The fraction of trajectories accepted; 0 before the first.
    pub fn acceptance(&self) -> f64 {
        fraction(self.accepted, self.trajectories)
    }

    /// The other's counts on top of these.
    pub(super) fn add(&mut self, other: &Self) {
        self.trajectories += other.trajectories;
        self.accepted += other.accepted;
        self.refused += other.refused;
    }
}

fn fraction(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
