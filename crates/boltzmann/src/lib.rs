//! From a flow and an energy to weighted conformers: train, sample, reweight, evaluate, checkpoint, shard.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::float_cmp))]

mod checkpoint;
mod config;
mod features;
mod model;
mod optimizer;
pub mod pairing;
pub mod sampling;
mod pareto;
mod store;
mod system;
mod training;
mod weights;

pub use checkpoint::{Checkpoint, CheckpointError, Description, FORMAT, digest};
pub use config::{Config, ConfigError, ModelConfig, Pairing, TrainingConfig};
pub use features::Features;
pub use model::{Architecture, Drawn, Model};
pub use optimizer::{AdamW, learning_rate};
pub use weights::{Doubt, Estimate, WeightError, Weights, forward_effective_fraction, wasserstein2};
pub use store::{Fingerprint, SampleFile, StoreError, read_positions};
pub use system::{Ensemble, Reference, System, SystemError};
pub use training::{Progress, Step, Training, natural_scale, parameter_count};
