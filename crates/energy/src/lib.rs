//! What a geometry costs: force fields, toy targets; minimisation and molecular dynamics on them.
//!
//! Molecules: ångström, kcal/mol, kelvin, radians, elementary charges. Toy targets have reduced units and say so.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that meets an error has failed"))]

pub mod blocks;
#[cfg(test)]
mod check;
mod dynamics;
mod energy;
mod minimise;
mod mmff;
mod random;
mod toy;

pub use dynamics::{
    DynamicsError, Frame, Guard, Masses, PairStatistics, Propagator, ReplicaExchange, ReplicaStatistics, Settings, State,
    Statistics, geometric_ladder,
};
pub use energy::{Energy, EnergyError, Evaluator, Units, energies};
pub use minimise::{Minimisation, Minimum, minimise};
pub use mmff::{Mmff, MmffError, Variant};
pub use random::{Stream, StreamState};
pub use toy::{DoubleWell, LennardJones, Target, TargetError};
