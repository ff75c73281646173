//! Molecular dynamics and Monte Carlo that sample `exp(−U(x)/kT)`: the reference that flows are held against.
//!
//! All energies here are invariant under translation, and all sampling takes place in the mean-free subspace: momenta add up to zero,
//! the centre of mass rests. Masses do not enter the distribution of configurations.

mod exchange;
mod group;
mod hmc;
mod langevin;
mod masses;
mod settings;
mod state;
mod statistics;
#[cfg(test)]
mod tests;

pub use exchange::{Frame, Guard, ReplicaExchange};
pub use masses::Masses;
pub use settings::{Propagator, Settings, geometric_ladder};
pub use state::State;
pub use statistics::{PairStatistics, ReplicaStatistics, Statistics};

use crate::EnergyError;

/// Why a simulation could not be set up or carried on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DynamicsError {
    /// The energy failed.
    #[error(transparent)]
    Energy(#[from] EnergyError),
    /// A setting is out of its range.
    #[error("the {name} of a simulation must be {range}, but {found} was given")]
    Setting {
        /// Which setting.
        name: &'static str,
        /// Where it may lie.
        range: &'static str,
        /// What was given.
        found: f64,
    },
    /// There are no masses for these points, or another number of them.
    #[error("{found} masses were given where the energy has {expected} points")]
    Masses {
        /// Points of the energy.
        expected: usize,
        /// Masses given.
        found: usize,
    },
    /// There is nothing to start from.
    #[error("a simulation needs at least one configuration to start from")]
    NoStart,
    /// The guard refuses where the simulation would start.
    #[error(
        "start configuration {index} is refused by the check of this simulation after its minimisation (wrong stereochemistry?)"
    )]
    RefusedStart {
        /// Which of the start configurations.
        index: usize,
    },
    /// The integrator blew up.
    #[error(
        "the dynamics at temperature {temperature} became unstable in round {round}; shorten the time step of {time_step}"
    )]
    Unstable {
        /// Temperature (or kT) of the replica.
        temperature: f64,
        /// Round of the simulation.
        round: u64,
        /// The time step in use, as it was set.
        time_step: f64,
    },
    /// A saved state belongs to another simulation.
    #[error("the saved state is of another simulation: its {what} differ from those of this one")]
    ForeignState {
        /// What differs.
        what: &'static str,
    },
}

/// Moves the centroid of one configuration to the origin.
pub(crate) fn center(x: &mut [f64], dims: usize) {
    let points = (x.len() / dims) as f64;
    for axis in 0..dims {
        let mean = x.iter().skip(axis).step_by(dims).sum::<f64>() / points;
        x.iter_mut()
            .skip(axis)
            .step_by(dims)
            .for_each(|coordinate| *coordinate -= mean);
    }
}
