//! What a simulation needs to go on exactly where it stopped.

use serde::{Deserialize, Serialize};

use super::{ReplicaStatistics, Settings, Statistics};
use crate::random::StreamState;

/// Where a simulation stands: serialised and read back, it continues bit for bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub(super) settings: Settings,
    pub(super) round: u64,
    pub(super) replicas: Vec<ReplicaState>,
    pub(super) ladders: Vec<LadderState>,
    pub(super) statistics: Statistics,
}

/// One replica, ladder after ladder, by temperature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplicaState {
    #[serde(with = "bits")]
    pub x: Vec<f64>,
    #[serde(with = "bits")]
    pub momenta: Vec<f64>,
    #[serde(with = "bits")]
    pub gradient: Vec<f64>,
    /// Energy and time step.
    #[serde(with = "bits")]
    pub scalars: Vec<f64>,
    pub stream: StreamState,
    pub counts: ReplicaStatistics,
}

/// The exchanges of one ladder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LadderState {
    pub stream: StreamState,
    pub walkers: Vec<Walker>,
}

/// A configuration on its way through the temperatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Walker {
    /// Has been at neither end yet.
    New,
    /// Was at the lowest temperature last.
    Up,
    /// Was at the highest temperature last, after the lowest.
    Down,
}

impl State {
    /// Rounds done, burn-in included.
    pub fn round(&self) -> u64 {
        self.round
    }

    /// The settings of the simulation.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What has been counted so far.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }
}

/// Floats as the integers of their bits, so that no text format rounds them.
mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|value| value.to_bits()))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        Ok(Vec::<u64>::deserialize(deserializer)?
            .into_iter()
            .map(f64::from_bits)
            .collect())
    }
}
