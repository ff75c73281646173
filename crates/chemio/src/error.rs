//! What can be wrong with a file, said to the person who has it.

use std::{io, path::PathBuf};

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system would not let it be read.
    #[error("cannot read {path:?}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The operating system would not let it be written.
    #[error("cannot write {path:?}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The extension says nothing.
    #[error(
        "{path:?} has no extension that names a format that is read here; known are xyz, extxyz, sdf, mol, pdb, ent, inpcrd, rst7, crd, gro \
         (each also with .gz), and the trajectories xtc, trr, dcd, nc"
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// The format holds coordinates without elements.
    #[error(
        "{path:?} holds coordinates only; say what its atoms are by their AMBER topology (--force-field FILE.prmtop), \
         or, for a verb that takes coordinates beside a --molecule, by its PDB or SDF file"
    )]
    NeedsMolecule {
        /// The file.
        path: PathBuf,
    },
    /// Bytes that are no text.
    #[error("{path:?} is not text: byte {byte} is not valid UTF-8; is it really a {format} file?")]
    NotText {
        /// The file.
        path: PathBuf,
        /// Offset of the first such byte.
        byte: usize,
        /// The format that its name claims.
        format: &'static str,
    },
    /// No frame at all.
    #[error("{path:?} holds no molecule")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A line says something impossible.
    #[error("{path:?}, line {line} (frame {frame}): {fault}")]
    Text {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// Frame, counted from 1.
        frame: usize,
        /// What is wrong there.
        fault: Fault,
    },
    /// A binary file says something impossible.
    #[error("{path:?}, frame {frame}: {fault}")]
    Binary {
        /// The file.
        path: PathBuf,
        /// Frame, counted from 1.
        frame: usize,
        /// What is wrong there.
        fault: Fault,
    },
    /// Chemfiles refused a file.
    #[error("cannot read {path:?}: {message}")]
    Chemfiles {
        /// The file.
        path: PathBuf,
        /// What chemfiles says.
        message: String,
    },
    /// One molecule was wanted, and the file has several.
    #[error(
        "{path:?} holds different molecules: frame {frame} differs from frame 1: {difference}; give one molecule per file"
    )]
    SeveralMolecules {
        /// The file.
        path: PathBuf,
        /// The first frame that differs, counted from 1.
        frame: usize,
        /// How it differs.
        difference: String,
    },
    /// A structure of another size than its molecule.
    #[error(
        "{path:?} has {found} atoms, but the molecule has {expected}; give the coordinates of this molecule"
    )]
    AtomCount {
        /// The file.
        path: PathBuf,
        /// Atoms in the file.
        found: usize,
        /// Atoms of the molecule.
        expected: usize,
    },
    /// A record that its format cannot express.
    #[error("record {record} cannot be written to {path:?}: {fault}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Record, counted from 1.
        record: usize,
        /// Why not.
        fault: Fault,
    },
    /// An array file that is none.
    #[error("{path:?} is no usable {format} file: {problem}")]
    Array {
        /// The file.
        path: PathBuf,
        /// `npz` or `npy`.
        format: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// What is wrong with one place of a file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The number of atoms is no count.
    #[error("expected a number of atoms, found {found:?}")]
    Count {
        /// What stands there.
        found: String,
    },
    /// A frame without atoms.
    #[error("0 atoms; a molecule has at least one")]
    NoAtoms,
    /// The file ends too early.
    #[error("{announced} {what} are announced, but only {found} follow; is the file truncated?")]
    Missing {
        /// What there should be.
        what: &'static str,
        /// How many.
        announced: usize,
        /// How many there are.
        found: usize,
    },
    /// More than its count says.
    #[error("{announced} {what} are announced, but {found} follow; correct the count")]
    Surplus {
        /// What there is too much of.
        what: &'static str,
        /// How many there should be.
        announced: usize,
        /// How many there are.
        found: usize,
    },
    /// A line after the bonds that is no property.
    #[error(
        "{bonds} bonds are announced, and after them comes {found:?}, which is no property (a line of M, A, V, G or S); correct the counts"
    )]
    UncountedLine {
        /// The number of bonds on the counts line.
        bonds: usize,
        /// What stands there.
        found: String,
    },
    /// A closing line is absent.
    #[error("{what:?} is missing; is the file truncated?")]
    Unclosed {
        /// The line that should be there.
        what: &'static str,
    },
    /// A binary frame is cut.
    #[error("the file ends in the middle of this frame, at byte {bytes}; it is truncated")]
    CutFrame {
        /// Size of the file.
        bytes: u64,
    },
    /// A binary frame does not begin as it should.
    #[error("no frame begins at byte {byte}; the file is damaged")]
    NoFrame {
        /// Offset.
        byte: u64,
    },
    /// Fewer frames were decoded than are there.
    #[error("{announced} frames lie in the file, but only {found} can be read")]
    LostFrames {
        /// Frames in the file.
        announced: usize,
        /// Frames decoded.
        found: usize,
    },
    /// Not a number.
    #[error("{what} is {found:?}, which is not a number")]
    Number {
        /// What the number means.
        what: &'static str,
        /// What stands there.
        found: String,
    },
    /// Not an integer.
    #[error("{what} is {found:?}, which is not an integer")]
    Integer {
        /// What the number means.
        what: &'static str,
        /// What stands there.
        found: String,
    },
    /// A number that is no finite number.
    #[error("{what} is {found}; only finite numbers are accepted")]
    NotFinite {
        /// What the number means.
        what: String,
        /// What stands there.
        found: String,
    },
    /// No such element.
    #[error("atom {atom} is of no known element: {name:?}")]
    UnknownElement {
        /// Atom, counted from 1.
        atom: usize,
        /// What stands for its element.
        name: String,
    },
    /// A line is shorter than its fields.
    #[error("{what} ends after {found} of {expected} columns")]
    ShortLine {
        /// Which line.
        what: &'static str,
        /// Its columns.
        found: usize,
        /// Columns needed.
        expected: usize,
    },
    /// A line with too few or too many values.
    #[error("{what} has {found} values where {expected} belong")]
    Fields {
        /// Which line.
        what: &'static str,
        /// Its values.
        found: usize,
        /// Values needed.
        expected: usize,
    },
    /// A fixed-column line with letters that take more than one byte.
    #[error("a line of fixed columns holds the character {found:?}, which is not ASCII")]
    NotAscii {
        /// The character.
        found: char,
    },
    /// A bond to an atom that is not there.
    #[error("bond {bond} joins atoms {atoms:?}, but the atoms are 1 to {count}")]
    BondAtoms {
        /// Bond, counted from 1.
        bond: usize,
        /// Its ends as written.
        atoms: [i64; 2],
        /// Number of atoms.
        count: usize,
    },
    /// A bond of an atom with itself, or written twice.
    #[error("bond {bond} joins atoms {atoms:?}, {problem}")]
    Bond {
        /// Bond, counted from 1.
        bond: usize,
        /// Its ends, counted from 1.
        atoms: [usize; 2],
        /// What is wrong.
        problem: &'static str,
    },
    /// An unknown kind of bond.
    #[error("bond {bond} is of type {found:?}; known are 1, 2, 3, 4 (aromatic) and 5 to 10")]
    BondType {
        /// Bond, counted from 1.
        bond: usize,
        /// What stands there.
        found: String,
    },
    /// A charge for an atom that is not there.
    #[error("a charge is given to atom {atom}, but the atoms are 1 to {count}")]
    ChargedAtom {
        /// The atom as written.
        atom: i64,
        /// Number of atoms.
        count: usize,
    },
    /// A formal charge that cannot be.
    #[error("atom {atom} has the formal charge {found:?}; expected one like 2+ or 1- within ±15")]
    Charge {
        /// Atom, counted from 1.
        atom: usize,
        /// What stands there.
        found: String,
    },
    /// A counts line whose columns do not hold its numbers.
    #[error(
        "the counts line {found:?} does not hold its numbers in columns of three; more than 999 atoms or bonds need V3000"
    )]
    CountsColumns {
        /// The line.
        found: String,
    },
    /// A version of the format that is not read.
    #[error("version {found:?} of the format is not read; V2000 and V3000 are")]
    Version {
        /// What stands there.
        found: String,
    },
    /// A line that does not belong there.
    #[error("expected {expected}, found {found:?}")]
    Expected {
        /// What belongs there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// An extended XYZ `Properties` that makes no sense.
    #[error("Properties={found} {problem}")]
    Properties {
        /// What stands there.
        found: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Two atoms of one file with one serial number, and a bond that needs it.
    #[error("CONECT names serial number {serial:?}, which several atoms have")]
    AmbiguousSerial {
        /// The serial number as written.
        serial: String,
    },
    /// Frames that a trajectory may not mix.
    #[error("it has {found} atoms, but the molecule has {expected}")]
    FrameAtoms {
        /// Atoms in the frame.
        found: usize,
        /// Atoms of the molecule.
        expected: usize,
    },
    /// A name or text that would break the file.
    #[error("the tag {name:?} holds {problem}, which the format cannot express")]
    Tag {
        /// The tag's name.
        name: String,
        /// What is in the way.
        problem: &'static str,
    },
    /// Positions that do not fit.
    #[error("{found} coordinates for {atoms} atoms")]
    Coordinates {
        /// Numbers given.
        found: usize,
        /// Atoms of the molecule.
        atoms: usize,
    },
    /// A size that fixed columns cannot hold.
    #[error("{count} {what} do not fit the columns of V2000; write V3000")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
    },
}
