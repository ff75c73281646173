//! What a molecule is and where its atoms are: topology, stereo, symmetry, geometry.
//!
//! Lengths are in ångström, angles in radians, charges in elementary charges. Nothing here knows a tensor,
//! a file or an energy.
//!
//! ```
//! use boltzflow_molecule::{Molecule, StereoMatch, compare, embed, geometry, rotatable_torsions, stereo_of};
//!
//! # fn main() -> Result<(), boltzflow_molecule::MoleculeError> {
//! let molecule = Molecule::from_smiles("CC(=O)N[C@@H](C)C(=O)NC")?;
//! let conformers = embed(&molecule, 1, 10)?;
//! for x in &conformers {
//!     assert_eq!(compare(&molecule.stereo, &stereo_of(&molecule, x)?), StereoMatch::Same);
//!     let _phi = geometry::dihedral(x, rotatable_torsions(&molecule)[1]);
//! }
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod classes;
mod conformers;
mod element;
mod error;
pub mod geometry;
mod labels;
mod matching;
mod rotors;
mod search;
mod smiles;
mod stereo;
mod superposition;
mod symmetry;
mod toolkit;
mod topology;
mod zmatrix;

pub use classes::classes;
pub use conformers::Conformers;
pub use element::Element;
pub use error::MoleculeError;
pub use labels::{Labels, labels};
pub use matching::assign_bonds;
pub use rotors::{ring_substituents, rotatable_torsions, turns_freely};
pub use smiles::embed;
pub use stereo::{
    Arrangement, Chirality, Stereo, StereoBond, StereoCenter, StereoMatch, compare, measure,
    signed_chirality, stereo_of, stereogenic,
};
pub use superposition::{Reflections, Superposition, SymmetricRmsd, rmsd, superpose};
pub use symmetry::{Automorphisms, automorphisms, heavy_automorphisms, orbits};
pub use toolkit::to_cosmolkit;
pub use topology::{Atom, Bond, BondOrder, Molecule, Residue};
pub use zmatrix::{Direction, LEAST_SINE, Place, ZMatrix};
