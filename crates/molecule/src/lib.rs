//! What a molecule is and where its atoms are: topology, stereo, symmetry, geometry.
//!
//! Lengths are in ångström, angles in radians, charges in elementary charges. Nothing here knows a tensor,
//! a file or an energy.

mod conformers;
mod element;
mod topology;

pub use conformers::Conformers;
pub use element::Element;
pub use topology::{Atom, Bond, BondOrder, Molecule, Residue};
