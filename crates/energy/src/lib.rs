//! What a geometry costs: force fields, toy targets; minimisation and molecular dynamics on them.
//!
//! Molecules: ångström, kcal/mol, kelvin, radians, elementary charges. Toy targets have reduced units and say so.

mod energy;

pub use energy::{Energy, EnergyError, Evaluator, Units, energies};
