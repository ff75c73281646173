//! Atoms and what binds them.

use serde::{Deserialize, Serialize};

use crate::Element;

/// The order of a bond as a file states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BondOrder {
    /// Two electrons.
    Single,
    /// Four electrons.
    Double,
    /// Six electrons.
    Triple,
    /// A bond of an aromatic ring, not assigned to a Kekulé structure.
    Aromatic,
    /// Bonded, but the source does not say how (a prmtop, PDB's CONECT).
    Unknown,
}

/// A bond between two atoms, counted from 0; `atoms[0] < atoms[1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bond {
    /// The two ends.
    pub atoms: [usize; 2],
    /// Its order.
    pub order: BondOrder,
}

/// One atom and what its file calls it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Atom {
    /// The chemical element.
    pub element: Element,
    /// Formal charge in elementary charges.
    pub formal_charge: i32,
    /// The atom's name (`CA`), or its element's symbol where the source has none.
    pub name: String,
    /// Index into [`Molecule::residues`], where the source has residues.
    pub residue: Option<usize>,
}

/// A residue as PDB and AMBER know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Residue {
    /// Three-letter name (`ALA`).
    pub name: String,
    /// Number in its chain.
    pub number: i64,
    /// Chain, or empty.
    pub chain: String,
}

/// A molecule without positions: what all its conformers share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Molecule {
    /// Title of the record, or empty.
    pub name: String,
    /// The atoms, in the order of every conformer.
    pub atoms: Vec<Atom>,
    /// The bonds, sorted by their atoms. Empty where the source lists none (XYZ).
    pub bonds: Vec<Bond>,
    /// The residues.
    pub residues: Vec<Residue>,
}
