//! The Merck molecular force field.

use std::fmt;
use std::str::FromStr;

use boltzflow_molecule::{Molecule, MoleculeError, to_cosmolkit};
use cosmolkit::{MmffForceFieldParams, MmffPropertiesParams, MmffVariant, MolecularForceField};
use serde::{Deserialize, Serialize};

use crate::{Energy, EnergyError, Evaluator, Units};

/// Which of the two published parameter sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// As fitted to conformations in the gas phase (Halgren, 1996).
    Mmff94,
    /// With planar nitrogens favoured, closer to time-averaged structures (Halgren, 1999).
    Mmff94s,
}

/// Why a molecule has no MMFF94 energy.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MmffError {
    /// The bonds make no chemical sense.
    #[error(transparent)]
    Molecule(#[from] MoleculeError),
    /// Some atoms are of no MMFF94 type.
    #[error(
        "MMFF94 has no parameters for {atoms} of {name:?}; use an AMBER prmtop with parameters for this molecule"
    )]
    NoParameters {
        /// Title of the molecule.
        name: String,
        /// The atoms, counted from 1.
        atoms: String,
    },
    /// Something else is missing.
    #[error("MMFF94 cannot be set up for {name:?}: {reason}")]
    SetUp {
        /// Title of the molecule.
        name: String,
        /// What cosmolkit says.
        reason: String,
    },
}

/// MMFF94 or MMFF94s of one molecule in vacuum (dielectric constant 1), without cutoff, in kcal/mol and Å.
///
/// The van der Waals term is the buffered 14-7 potential and the Coulomb term is buffered by 0.05 Å: both are finite where atoms coincide.
/// The parameters and the arithmetic are cosmolkit's, which follow RDKit's.
pub struct Mmff {
    molecule: cosmolkit::Molecule,
    parameters: MmffForceFieldParams,
    atoms: usize,
}

impl Mmff {
    /// Assigns atom types, charges and parameters from the bonds and formal charges of `molecule`; `positions` (Å, `3 · atoms`) are any
    /// reasonable geometry of it and do not change the energy.
    ///
    /// # Errors
    /// Bonds of unknown order, or atoms without parameters: the message names them.
    pub fn new(
        molecule: &Molecule,
        positions: &[f64],
        variant: Variant,
    ) -> Result<Self, MmffError> {
        let typed = to_cosmolkit(molecule, Some(positions))?;
        let variant = match variant {
            Variant::Mmff94 => MmffVariant::Mmff94,
            Variant::Mmff94s => MmffVariant::Mmff94s,
        };
        let set_up = |error: &dyn fmt::Display| MmffError::SetUp {
            name: molecule.name.clone(),
            reason: error.to_string(),
        };
        let properties = typed
            .mmff_properties_with_params(&MmffPropertiesParams {
                mmff_variant: variant,
            })
            .map_err(|error| set_up(&error))?;
        if !properties.is_valid() {
            let untyped = (0..molecule.atoms.len())
                .filter(|&atom| properties.atom_type(atom).map_or(true, |found| found == 0));
            let atoms = name_atoms(molecule, untyped);
            return Err(MmffError::NoParameters {
                name: molecule.name.clone(),
                atoms,
            });
        }
        let energy = Self {
            molecule: typed,
            parameters: MmffForceFieldParams::new(None, variant, NO_CUTOFF, false),
            atoms: molecule.atoms.len(),
        };
        energy.field().map_err(|error| set_up(&error))?;
        Ok(energy)
    }

    fn field(&self) -> Result<MolecularForceField, cosmolkit::MmffForceFieldError> {
        self.molecule.mmff_force_field_with_params(&self.parameters)
    }
}

/// Pairs further apart than this many Å at the set-up would be left out.
const NO_CUTOFF: f64 = 1e9;

/// Most atoms that a message lists.
const LISTED: usize = 8;

/// `atoms 3 (P), 4 (Se)`.
fn name_atoms(molecule: &Molecule, atoms: impl Iterator<Item = usize>) -> String {
    let names: Vec<_> = atoms
        .map(|atom| format!("{} ({})", atom + 1, molecule.atoms[atom].element.symbol()))
        .collect();
    let more = names.len().saturating_sub(LISTED);
    let listed = names[..names.len() - more].join(", ");
    match (names.len(), more) {
        (0, _) => "the charges".to_owned(),
        (1, _) => format!("atom {listed}"),
        (_, 0) => format!("atoms {listed}"),
        _ => format!("atoms {listed} and {more} more"),
    }
}

impl Energy for Mmff {
    fn points(&self) -> usize {
        self.atoms
    }

    fn dims(&self) -> usize {
        3
    }

    fn units(&self) -> Units {
        Units::Molecular
    }

    fn evaluator(&self) -> Result<Box<dyn Evaluator + '_>, EnergyError> {
        let field = self.field().map_err(|error| EnergyError::SetUp {
            reason: error.to_string(),
        })?;
        Ok(Box::new(MmffEvaluator {
            field,
            positions: vec![[0.0; 3]; self.atoms],
        }))
    }
}

/// One thread's force field: its positions are part of it.
struct MmffEvaluator {
    field: MolecularForceField,
    positions: Vec<[f64; 3]>,
}

impl Evaluator for MmffEvaluator {
    fn evaluate(&mut self, x: &[f64], gradient: &mut [f64]) -> Result<f64, EnergyError> {
        let expected = 3 * self.positions.len();
        if x.len() != expected || gradient.len() != expected {
            return Err(EnergyError::Size {
                expected,
                found: x.len(),
            });
        }
        if let Some(&value) = x.iter().find(|value| !value.is_finite()) {
            return Err(EnergyError::NotFinite { value });
        }
        for (position, x) in self.positions.iter_mut().zip(x.chunks_exact(3)) {
            position.copy_from_slice(x);
        }
        let failed = |error: cosmolkit::ForceFieldError| EnergyError::SetUp {
            reason: error.to_string(),
        };
        self.field.set_positions_(&self.positions).map_err(failed)?;
        let found = self.field.energy_gradient().map_err(failed)?;
        for (gradient, row) in gradient.chunks_exact_mut(3).zip(found.gradient()) {
            gradient.copy_from_slice(row);
        }
        let finite = found.energy().is_finite() && gradient.iter().all(|g| g.is_finite());
        if finite {
            Ok(found.energy())
        } else {
            Err(EnergyError::NotFinite {
                value: found.energy(),
            })
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mmff94 => "mmff94",
            Self::Mmff94s => "mmff94s",
        })
    }
}

impl FromStr for Variant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mmff94" => Ok(Self::Mmff94),
            "mmff94s" => Ok(Self::Mmff94s),
            _ => Err(format!(
                "{text:?} is no force field; there are mmff94, mmff94s and AMBER topologies (FILE.prmtop)"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{assert_gradient_is_slope, cloud};

    fn embedded(smiles: &str) -> (Molecule, Vec<f64>) {
        let molecule = Molecule::from_smiles(smiles).unwrap();
        let positions = boltzflow_molecule::embed(&molecule, 1, 1)
            .unwrap()
            .get(0)
            .to_vec();
        (molecule, positions)
    }

    #[test]
    fn gradients_are_slopes() {
        for smiles in ["CCCC", "CC(=O)NC(C)C(=O)NC", "c1ccccc1S(=O)(=O)N"] {
            let (molecule, mut x) = embedded(smiles);
            let force_field = Mmff::new(&molecule, &x, Variant::Mmff94s).unwrap();
            let disturbance = cloud(molecule.atoms.len(), 3, 0.03, 4);
            x.iter_mut().zip(disturbance).for_each(|(x, d)| *x += d);
            assert_gradient_is_slope(&force_field, &x, 1e-5);
        }
    }

    #[test]
    fn an_element_without_parameters_is_named() {
        let (mut molecule, positions) = embedded("CCCC");
        molecule.atoms[1].element = boltzflow_molecule::Element::from_number(32).unwrap();
        let error = Mmff::new(&molecule, &positions, Variant::Mmff94)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("atoms 2 (Ge), 8 (H), 9 (H)"), "{error}");
    }

    #[test]
    fn positions_that_are_no_numbers_have_no_energy() {
        let (molecule, positions) = embedded("CC");
        let force_field = Mmff::new(&molecule, &positions, Variant::Mmff94).unwrap();
        let found = force_field
            .evaluator()
            .unwrap()
            .evaluate(&[f64::NAN; 24], &mut [0.0; 24]);
        assert!(matches!(found, Err(EnergyError::NotFinite { .. })));
    }
}
