//! What a molecule is and where its atoms are: topology, stereo, symmetry, geometry.
//!
//! Lengths are in ångström, angles in radians, charges in elementary charges. Nothing here knows a tensor,
//! a file or an energy.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod classes;
mod conformers;
mod element;
mod error;
pub mod geometry;
mod matching;
mod rotors;
mod search;
mod smiles;
mod stereo;
mod superposition;
mod symmetry;
mod toolkit;
mod topology;

pub use classes::classes;
pub use conformers::Conformers;
pub use element::Element;
pub use error::MoleculeError;
pub use matching::assign_bonds;
pub use rotors::rotatable_torsions;
pub use smiles::embed;
pub use stereo::{
    Arrangement, Chirality, Stereo, StereoBond, StereoCenter, StereoMatch, compare, measure,
    signed_chirality, stereo_of, stereogenic,
};
pub use superposition::{Reflections, Superposition, SymmetricRmsd, rmsd, superpose};
pub use symmetry::{Automorphisms, automorphisms, heavy_automorphisms, orbits};
pub use toolkit::to_cosmolkit;
pub use topology::{Atom, Bond, BondOrder, Molecule, Residue};
