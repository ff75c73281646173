//! What can be wrong with a topology file.

use std::path::PathBuf;

use boltzflow_molecule::MoleculeError;

/// Why a topology file could not be read or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrmtopError {
    /// The file could not be read.
    #[error("cannot read {path:?}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not a file of this kind.
    #[error(
        "{path:?} is no AMBER topology of version 7 or later: it should begin with %VERSION or %FLAG, but {found:?} was found"
    )]
    Start {
        /// The file.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// A section without a usable format.
    #[error(
        "{path:?}: section {section} needs a line such as %FORMAT(10I8), but {found:?} was found"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// The section.
        section: String,
        /// What was found.
        found: String,
    },
    /// A section is not there.
    #[error("{path:?} has no section {section}; the file may be cut off")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The section.
        section: &'static str,
    },
    /// A value of the wrong kind.
    #[error(
        "{path:?}, line {line}: section {section} should hold {expected}, but {found:?} was found"
    )]
    Number {
        /// The file.
        path: PathBuf,
        /// The section.
        section: &'static str,
        /// Line of the file, from 1.
        line: usize,
        /// What should be there.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// Sections disagree.
    #[error(
        "{path:?}: section {section} holds {found} values where {expected} belong; the file may be cut off or edited"
    )]
    Count {
        /// The file.
        path: PathBuf,
        /// The section.
        section: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A value out of its range.
    #[error("{path:?}: value {} of section {section} must be {expected}, but is {found}", index + 1)]
    Range {
        /// The file.
        path: PathBuf,
        /// The section.
        section: &'static str,
        /// Which value, from 0.
        index: usize,
        /// Where it may lie.
        expected: String,
        /// What was found.
        found: f64,
    },
    /// The element of an atom is unknown.
    #[error("{path:?}: atom {} ({name:?}) has {what}, which is of no element; {way_out}", atom + 1)]
    Element {
        /// The file.
        path: PathBuf,
        /// The atom, from 0.
        atom: usize,
        /// Its name.
        name: String,
        /// Its mass or number.
        what: String,
        /// What to do.
        way_out: &'static str,
    },
    /// The file asks for something that is not computed here.
    #[error(
        "{path:?} has {feature} (section {section}, {found}), which this program does not compute; {way_out}"
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The section that asks for it.
        section: String,
        /// What it asks for.
        feature: &'static str,
        /// The value found.
        found: String,
        /// What to do.
        way_out: &'static str,
    },
    /// The bonds or residues make no molecule.
    #[error("{path:?}: {source}")]
    Molecule {
        /// The file.
        path: PathBuf,
        /// Why.
        source: MoleculeError,
    },
    /// Too many atoms for a sum over all pairs.
    #[error("{path:?} has {found} atoms; without a cutoff at most {limit} are evaluated")]
    Size {
        /// The file.
        path: PathBuf,
        /// How many atoms.
        found: usize,
        /// How many at most.
        limit: usize,
    },
}

/// Why a structure is not of the molecule of a topology file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StructureError {
    /// Another number of atoms.
    #[error(
        "the structure has {found} atoms, but the topology {path:?} has {expected}; give the structure of the same molecule, hydrogens included"
    )]
    Atoms {
        /// The topology file.
        path: PathBuf,
        /// Atoms of the topology.
        expected: usize,
        /// Atoms of the structure.
        found: usize,
    },
    /// Another element.
    #[error(
        "atom {} of the structure is {found}, but {expected} in the topology {path:?} (named {name:?} there); both must list their atoms in the same order",
        atom + 1
    )]
    Element {
        /// The topology file.
        path: PathBuf,
        /// The atom, from 0.
        atom: usize,
        /// Its name in the topology.
        name: String,
        /// Symbol in the topology.
        expected: &'static str,
        /// Symbol in the structure.
        found: &'static str,
    },
    /// The same names in another order.
    #[error(
        "{first} {path:?}, and the other names of its residue or molecule are the same in another order; both must list their atoms in the same order"
    )]
    Order {
        /// The topology file.
        path: PathBuf,
        /// The first atom that is named otherwise.
        first: NameDifference,
    },
    /// A bond that is none.
    #[error(
        "atoms {} ({}) and {} ({}), bonded in the topology {path:?}, lie {found:.3} Å apart in the structure; both must list their atoms in the same order",
        atoms[0] + 1, names[0], atoms[1] + 1, names[1]
    )]
    LongBond {
        /// The topology file.
        path: PathBuf,
        /// Its ends, from 0.
        atoms: [usize; 2],
        /// Their names in the topology.
        names: [String; 2],
        /// Their distance, Å.
        found: f64,
    },
    /// Other bonds.
    #[error(
        "atoms {} ({}) and {} ({}) are bonded in {side} only; the bonds of the structure, or of its template, must be those of the topology {path:?}",
        atoms[0] + 1, names[0], atoms[1] + 1, names[1]
    )]
    Bonds {
        /// The topology file.
        path: PathBuf,
        /// The ends of the first such bond, from 0.
        atoms: [usize; 2],
        /// Their names in the topology.
        names: [String; 2],
        /// Which of the two has it.
        side: &'static str,
    },
}

/// A name that differs between a structure and a topology: worth a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameDifference {
    /// The atom, from 0.
    pub atom: usize,
    /// Its name in the structure.
    pub structure: String,
    /// Its name in the topology.
    pub topology: String,
}

impl std::fmt::Display for NameDifference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            atom,
            structure,
            topology,
        } = self;
        write!(
            f,
            "atom {} is named {structure:?} in the structure, but {topology:?} in the topology",
            atom + 1
        )
    }
}
