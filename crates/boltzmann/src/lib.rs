//! From a flow and an energy to weighted conformers: train, sample, reweight, evaluate, checkpoint, shard.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::float_cmp))]

mod checkpoint;
mod config;
mod features;
mod model;
mod optimizer;
pub mod pairing;
pub mod sampling;
mod training;

pub use checkpoint::{Checkpoint, CheckpointError, Description, FORMAT, digest};
pub use config::{Config, ConfigError, ModelConfig, Pairing, TrainingConfig};
pub use features::Features;
pub use model::{Architecture, Drawn, Model};
pub use optimizer::{AdamW, learning_rate};
pub use training::{Progress, Step, Training, natural_scale, parameter_count};
