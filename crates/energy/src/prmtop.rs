//! AMBER topology files (prmtop, parm7).

mod error;
mod read;
mod sections;
mod structure;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use boltzflow_molecule::Molecule;

pub use error::{NameDifference, PrmtopError, StructureError};

/// `k (q − q₀)²` of a bond (Å) or an angle (radians).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Harmonic<const N: usize> {
    pub atoms: [usize; N],
    pub stiffness: f64,
    pub equilibrium: f64,
}

/// `k [1 + cos(nφ − δ)]`, proper or improper.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cosine {
    pub atoms: [usize; 4],
    pub barrier: f64,
    pub periodicity: usize,
    pub phase: f64,
}

/// The ends of a torsion, which feel each other only in part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OneFour {
    pub atoms: [usize; 2],
    pub coulomb_divisor: f64,
    pub lennard_jones_divisor: f64,
}

/// A molecule and its force field: kcal/mol, Å, radians, elementary charges.
///
/// ```no_run
/// use boltzflow_energy::{AmberEnergy, Implicit, Prmtop};
///
/// let prmtop = Prmtop::open("molecule.prmtop")?;
/// let energy = AmberEnergy::new(&prmtop, Implicit::Obc2)?;
/// # Ok::<(), boltzflow_energy::PrmtopError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Prmtop {
    path: PathBuf,
    molecule: Molecule,
    charges: Vec<f64>,
    masses: Vec<f64>,
    bonds: Vec<Harmonic<2>>,
    angles: Vec<Harmonic<3>>,
    torsions: Vec<Cosine>,
    one_four: Vec<OneFour>,
    /// `[i, j]`, `i < j`.
    excluded: HashSet<[usize; 2]>,
    /// Lennard-Jones type of each atom.
    types: Vec<usize>,
    /// `[A, B]` of each pair of types: type `a` beside `b` at `a · type_count + b`.
    lennard_jones: Vec<[f64; 2]>,
    type_count: usize,
    radius_set: String,
    radii: Option<Vec<f64>>,
    screens: Option<Vec<f64>>,
}

impl Prmtop {
    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read, is cut off, contradicts itself, or asks for what is not computed here: a periodic box, a solvent cap,
    /// CHARMM's terms, CMAP, 12-6-4 or 10-12 potentials, polarisabilities, extra points.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, PrmtopError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| PrmtopError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&String::from_utf8_lossy(&bytes), path)
    }

    /// Reads the text of a file; `path` is for messages.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, PrmtopError> {
        read::read(text, path)
    }

    /// The molecule: names, residues, and bonds of unknown order.
    pub fn molecule(&self) -> Molecule {
        self.molecule.clone()
    }

    /// Partial charges (e).
    pub fn charges(&self) -> &[f64] {
        &self.charges
    }

    /// Masses as the file has them (u).
    pub fn masses(&self) -> &[f64] {
        &self.masses
    }

    /// What the file calls its set of intrinsic radii, or nothing.
    pub fn radius_set(&self) -> &str {
        &self.radius_set
    }

    pub(crate) fn bond_terms(&self) -> &[Harmonic<2>] {
        &self.bonds
    }

    pub(crate) fn angle_terms(&self) -> &[Harmonic<3>] {
        &self.angles
    }

    pub(crate) fn torsion_terms(&self) -> &[Cosine] {
        &self.torsions
    }

    pub(crate) fn one_four_pairs(&self) -> &[OneFour] {
        &self.one_four
    }

    /// Whether the full interaction of two atoms is left out.
    pub(crate) fn excluded(&self, i: usize, j: usize) -> bool {
        self.excluded.contains(&[i.min(j), i.max(j)])
    }

    /// `[A, B]` of `A/r¹² − B/r⁶`.
    pub(crate) fn lennard_jones(&self, i: usize, j: usize) -> [f64; 2] {
        self.lennard_jones[self.types[i] * self.type_count + self.types[j]]
    }

    /// Intrinsic radius (Å) and screening factor of each atom.
    pub(crate) fn spheres(&self) -> Result<Vec<[f64; 2]>, PrmtopError> {
        let missing = |section| PrmtopError::Missing {
            path: self.path.clone(),
            section,
        };
        let radii = self.radii.as_ref().ok_or_else(|| missing("RADII"))?;
        let screens = self.screens.as_ref().ok_or_else(|| missing("SCREEN"))?;
        for (section, values, least) in [("RADII", radii, 0.1), ("SCREEN", screens, 0.0)] {
            if let Some((index, &found)) = values
                .iter()
                .enumerate()
                .find(|(_, value)| !(least..=10.0).contains(*value))
            {
                let expected = format!("from {least} to 10");
                return Err(PrmtopError::Range {
                    path: self.path.clone(),
                    section,
                    index,
                    expected,
                    found,
                });
            }
        }
        Ok(radii
            .iter()
            .zip(screens)
            .map(|(&radius, &screen)| [radius, screen])
            .collect())
    }

    /// Refuses molecules too large for sums over all pairs.
    pub(crate) fn check_size(&self) -> Result<(), PrmtopError> {
        const LIMIT: usize = 4096;
        let found = self.molecule.len();
        if found > LIMIT {
            return Err(PrmtopError::Size {
                path: self.path.clone(),
                found,
                limit: LIMIT,
            });
        }
        Ok(())
    }
}
