//! From a flow and an energy to weighted conformers: train, sample, reweight, evaluate, checkpoint, shard.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::float_cmp))]

mod agreement;
mod assignment;
mod block_means;
mod bootstrap;
mod checkpoint;
mod chi_squared;
mod config;
mod distances;
mod evaluation;
mod features;
mod free_energy;
mod harmonic;
mod histogram;
mod model;
mod optimizer;
pub mod pairing;
mod pareto;
mod populations;
mod profile;
mod relabelling;
mod report;
mod rotamers;
pub mod sampling;
mod starts;
mod store;
mod system;
mod temperatures;
#[cfg(test)]
mod testing;
mod torsion;
mod training;
mod unreached;
pub mod wasserstein;
mod weights;

pub use agreement::Agreement;
pub use bootstrap::{Bootstrap, Estimate};
pub use checkpoint::{Checkpoint, CheckpointError, Description, FORMAT, digest};
pub use chi_squared::ChiSquared;
pub use config::{
    Alike, AugmentedConfig, Between, CartesianConfig, Config, ConfigError, Covariance, Dependence,
    FabConfig, FieldConfig, FitConfig, FittedConfig, Improvement, InternalConfig, ModelConfig,
    Network, Objective, Pairing, Rotors, Scheme, Stiffness, TrainingConfig,
};
pub use distances::PairStatistics;
pub use evaluation::{
    Averaged, Comparison, Distance, EqualCost, Evaluation, Likelihood, RamachandranDistance,
    TargetSamples, spread,
};
pub use features::Features;
pub use free_energy::{
    average, efficiency, forward_efficiency, free_energy_difference, log_z, populations,
};
pub use harmonic::harmonic_mixing;
pub use histogram::Histogram;
pub use model::{
    Architecture, ArchitectureError, Augmented, AugmentedFlow, Cartesian, CartesianFlow, Density,
    Drawn, Fitted, Flow, FlowArchitecture, Internal, InternalFlow, Located, Mirror, Model, Paths,
    natural_scale,
};
pub use optimizer::{AdamW, learning_rate};
pub use pareto::Tail;
pub use populations::Populations;
pub use profile::{Deviation, ProfileComparison};
pub use relabelling::Labels;
pub use report::{
    Cost, Counts, Part, Spent, Summary, TorsionSummary, WellSummary, write_mean_energy,
    write_torsion,
};
pub use rotamers::{RotamerComparison, StateComparison};
pub use starts::starts;
pub use store::{
    Fingerprint, SampleFile, StoreError, identity, positions_of, temperatures_of, weights_of,
};
pub use system::{Ensemble, Reference, System, SystemError};
pub use temperatures::{TemperatureError, Temperatures, TrainingData, is_even, is_same};
pub use torsion::{Kind, Torsion, Well, ramachandran, torsions};
pub use training::{
    AnnealedBatch, Effort, Pool, Progress, Round, Step, Training, TrainingError, dequantize,
    held_out, piece,
};
pub use unreached::Unreached;
pub use weights::{Clipped, Reason, StatisticsError, Verdict, Weights};

/// Tells the allocator to keep its pages: fresh ones cost as much as the arithmetic done in them. Without effect where the C library is
/// not GNU's.
pub fn keep_pages() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const LARGE: libc::c_int = 1 << 30;
        // SAFETY: mallopt only sets parameters of the allocator; it is called before threads start.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
            libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
            libc::mallopt(libc::M_TOP_PAD, 64 << 20);
        }
    }
}
