//! What a geometry costs: force fields, toy targets; minimisation and molecular dynamics on them.
//!
//! Molecules: ångström, kcal/mol, kelvin, radians, elementary charges. Toy targets have reduced units and say so.
//!
//! ```
//! use boltzflow_energy::{Energy, Minimisation, Mmff, Variant, minimise};
//! use boltzflow_molecule::{Molecule, embed};
//!
//! let butane = Molecule::from_smiles("CCCC")?;
//! let mut x = embed(&butane, 1, 1)?.get(0).to_vec();
//! let force_field = Mmff::new(&butane, &x, Variant::Mmff94s)?;
//! let minimum = minimise(&mut *force_field.evaluator()?, &mut x, &Minimisation::default())?;
//! assert!(minimum.converged && minimum.energy < 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`ReplicaExchange`] samples the Boltzmann distribution of any [`Energy`].

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that meets an error has failed")
)]

mod amber;
pub mod blocks;
#[cfg(test)]
mod check;
mod dynamics;
mod energy;
mod minimise;
mod mmff;
mod prmtop;
mod random;
pub mod simd;
mod toy;

pub use amber::{AmberEnergy, Implicit};
pub use dynamics::{
    DynamicsError, Frame, Guard, Masses, PairStatistics, Propagator, ReplicaExchange,
    ReplicaStatistics, Settings, State, Statistics, geometric_ladder,
};
pub use energy::{Energy, EnergyError, Evaluator, Units, energies};
pub use minimise::{Minimisation, Minimum, minimise};
pub use mmff::{Mmff, MmffError, Variant};
pub use prmtop::{NameDifference, Prmtop, PrmtopError, StructureError};
pub use random::{Stream, StreamState};
pub use toy::{DoubleWell, LennardJones, Target, TargetError};
