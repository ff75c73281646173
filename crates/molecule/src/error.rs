//! What can be wrong with a molecule.

use crate::Element;

/// Why a molecule, its bonds or its stereochemistry could not be made sense of. Atoms are counted from 1 in messages, as files do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoleculeError {
    /// A bond with one end.
    #[error("atom {} is bonded to itself; remove that bond", atom + 1)]
    SelfBond {
        /// The atom, from 0.
        atom: usize,
    },
    /// A bond to an atom that is not there.
    #[error("a bond names atom {}, but there are only {atoms} atoms", atom + 1)]
    BondOutOfRange {
        /// The atom, from 0.
        atom: usize,
        /// How many there are.
        atoms: usize,
    },
    /// The same bond twice.
    #[error("atoms {} and {} are bonded twice; list each bond once", atoms[0] + 1, atoms[1] + 1)]
    DuplicateBond {
        /// The two ends, from 0.
        atoms: [usize; 2],
    },
    /// An atom of a residue that is not there.
    #[error("atom {} is of residue {}, but there are only {residues} residues", atom + 1, residue + 1)]
    ResidueOutOfRange {
        /// The atom, from 0.
        atom: usize,
        /// Its residue, from 0.
        residue: usize,
        /// How many there are.
        residues: usize,
    },
    /// Positions of another molecule.
    #[error("{found} coordinates do not place {atoms} atoms, which need {}", 3 * atoms)]
    Coordinates {
        /// Numbers given.
        found: usize,
        /// Atoms to place.
        atoms: usize,
    },
    /// A coordinate that is no number.
    #[error("a coordinate of atom {} is not a finite number", atom + 1)]
    NotFinite {
        /// The atom, from 0.
        atom: usize,
    },
    /// Chemistry was asked for where bond orders are unknown.
    #[error(
        "the order of the bond between atoms {} and {} is unknown; give an SDF file, --template or --smiles", atoms[0] + 1, atoms[1] + 1
    )]
    UnknownOrder {
        /// The two ends, from 0.
        atoms: [usize; 2],
    },
    /// A formal charge no chemistry knows.
    #[error("atom {} ({element}) has the formal charge {charge}, which is beyond ±127", atom + 1)]
    Charge {
        /// The atom, from 0.
        atom: usize,
        /// Its element.
        element: Element,
        /// The charge.
        charge: i32,
    },
    /// A SMILES text that is none.
    #[error("cannot read the SMILES {text:?}: {reason}")]
    Smiles {
        /// The text.
        text: String,
        /// What the parser says.
        reason: String,
    },
    /// Valences, aromaticity: the bonds do not make a molecule.
    #[error("the bonds, charges and hydrogens of {name:?} make no chemical sense: {reason}")]
    Chemistry {
        /// Title of the molecule.
        name: String,
        /// What was found.
        reason: String,
    },
    /// Distance geometry did not find start coordinates.
    #[error(
        "found only {found} of {wanted} start geometries of {name:?}: {reason}; give a file with coordinates"
    )]
    Embedding {
        /// Title of the molecule.
        name: String,
        /// Geometries found.
        found: usize,
        /// Geometries wanted.
        wanted: usize,
        /// What went wrong.
        reason: String,
    },
    /// Internal coordinates were asked for where there are several molecules.
    #[error(
        "the atoms are in {parts} pieces without bonds between them; internal coordinates are of one connected molecule"
    )]
    Pieces {
        /// How many.
        parts: usize,
    },
    /// All atoms that an atom could be placed by are on a line with it.
    #[error("{} is on a line, which internal coordinates do not describe", match atom { None => "the whole molecule".to_owned(), Some(atom) => format!("all that atom {} could be placed by", atom + 1) })]
    Linear {
        /// The atom, from 0; none where that is the whole molecule.
        atom: Option<usize>,
    },
    /// Structure and template consist of different atoms.
    #[error(
        "the structure is {structure}, but the template is {template}; give the template of this molecule, with its hydrogens"
    )]
    Formula {
        /// Formula of the structure.
        structure: String,
        /// Formula of the template.
        template: String,
    },
    /// The atoms touch where the template has no bond, or the reverse.
    #[error("the distances in the structure give other bonds than the template has: {difference}")]
    Connectivity {
        /// The difference.
        difference: String,
    },
    /// The search for a matching order of the atoms was given up.
    #[error(
        "no matching of structure and template was found in {steps} steps; the molecule is too symmetric: give an SDF file instead"
    )]
    Unfinished {
        /// Steps done.
        steps: usize,
    },
    /// Every stereo centre is the wrong way round.
    #[error(
        "the coordinates show the other enantiomer of the template: all {centers} of its stereo centres are mirrored"
    )]
    Enantiomer {
        /// Stereo centres that the template defines.
        centers: usize,
    },
    /// Some stereo centre or double bond differs.
    #[error("the coordinates show another stereoisomer than the template: {difference}")]
    Stereo {
        /// The difference.
        difference: String,
    },
}
