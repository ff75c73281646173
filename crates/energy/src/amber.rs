//! The AMBER force field of one molecule, in vacuum or in implicit water, from its topology file.

#![expect(
    clippy::inline_always,
    reason = "only what is inlined into a function with an instruction set enabled is compiled to it"
)]

mod bonded;
mod elementary;
mod evaluator;
mod kernel;
mod nonbonded;
mod point;
mod tables;
#[cfg(test)]
mod tests;
mod vector;

use self::evaluator::{Lanes, terms};
use self::kernel::Level;
use self::tables::Tables;
use self::vector::Scalar;
use crate::prmtop::{Prmtop, PrmtopError};
use crate::{Energy, EnergyError, Evaluator, Units};

/// kJ in a kcal.
pub(crate) const KILOCALORIE: f64 = 4.184;

/// The water around a molecule. A prmtop does not say which model its radii are for: `RADIUS_SET` of the file tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Implicit {
    /// None.
    #[default]
    Vacuum,
    /// Hawkins, Cramer and Truhlar (1996); `igb = 1`.
    Hct,
    /// Onufriev, Bashford and Case (2004), model I; `igb = 2`.
    Obc1,
    /// Onufriev, Bashford and Case (2004), model II; `igb = 5`.
    Obc2,
}

/// `U(x) = Σ k (r − r₀)² + Σ k (θ − θ₀)² + Σ k [1 + cos(nφ − δ)] + Σ (A/r¹² − B/r⁶) + Σ K q q′/r` and, in water (ε = 78.5, no salt),
/// the generalised Born energy and `γ Σ (R + 1.4)² (R/B)⁶` (kcal/mol, Å).
///
/// Nothing is cut off and nothing is constrained. Several conformers are evaluated at a time; the energy of one has the same bits alone and
/// in any batch on one machine.
pub struct AmberEnergy {
    tables: Tables,
    implicit: Implicit,
}

impl AmberEnergy {
    /// The energy of the molecule of this file.
    ///
    /// # Errors
    /// Implicit water where the file has no radii; more than 4096 atoms.
    pub fn new(prmtop: &Prmtop, implicit: Implicit) -> Result<Self, PrmtopError> {
        prmtop.check_size()?;
        let spheres = if implicit == Implicit::Vacuum {
            Vec::new()
        } else {
            prmtop.spheres()?
        };
        Ok(Self {
            tables: Tables::new(prmtop, &spheres, implicit),
            implicit,
        })
    }

    /// The water around the molecule.
    pub fn implicit(&self) -> Implicit {
        self.implicit
    }

    fn evaluator_at(&self, level: Level) -> Box<dyn Evaluator + '_> {
        let tables = &self.tables;
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Box::new(Lanes::<vector::Avx512, Scalar<true>>::new(tables)),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Box::new(Lanes::<kernel::x86::Wide, Scalar<true>>::new(tables)),
            #[cfg(target_arch = "aarch64")]
            Level::Fused => Box::new(Lanes::<kernel::Fused, Scalar<true>>::new(tables)),
            Level::Portable => Box::new(Lanes::<kernel::Portable, Scalar<false>>::new(tables)),
        }
    }
}

impl Energy for AmberEnergy {
    fn points(&self) -> usize {
        self.tables.atoms
    }

    fn dims(&self) -> usize {
        3
    }

    fn units(&self) -> Units {
        Units::Molecular
    }

    fn evaluator(&self) -> Result<Box<dyn Evaluator + '_>, EnergyError> {
        Ok(self.evaluator_at(Level::detect()))
    }

    /// The energy term by term (kcal/mol): `bond`, `angle`, `torsion`, `lennard_jones` and `coulomb` (both with the scaled 1-4 pairs),
    /// `born`, `surface`.
    ///
    /// # Errors
    /// Another number of coordinates than three for each atom.
    fn terms(&self, x: &[f64]) -> Result<Vec<(&'static str, f64)>, EnergyError> {
        let expected = 3 * self.tables.atoms;
        if x.len() != expected {
            return Err(EnergyError::Size {
                expected,
                found: x.len(),
            });
        }
        let count = if self.implicit == Implicit::Vacuum {
            5
        } else {
            7
        };
        Ok(terms(&self.tables, x).into_iter().take(count).collect())
    }
}
