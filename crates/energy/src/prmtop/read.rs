//! From the sections of a topology file to its molecule and parameters.

mod atoms;
mod bonded;
mod nonbonded;
mod pointers;
mod unsupported;

use std::path::{Path, PathBuf};

use self::pointers::Pointers;
use super::sections::Sections;
use super::{Prmtop, PrmtopError};

/// A charge of one in the file's units, √(332.0522 kcal·Å/mol/e²) as AMBER has it.
const CHARGE: f64 = 18.2223;

/// A file whose counts are known.
struct Reader<'a> {
    path: PathBuf,
    sections: Sections<'a>,
    pointers: Pointers,
}

/// Reads the text of a file.
pub(super) fn read(text: &str, path: &Path) -> Result<Prmtop, PrmtopError> {
    let sections = Sections::new(text, path)?;
    unsupported::refuse_foreign_sections(&sections, path)?;
    let pointers = pointers::pointers(&sections, path)?;
    let reader = Reader {
        path: path.to_owned(),
        sections,
        pointers,
    };
    reader.refuse_other_terms()?;
    reader.prmtop()
}

impl Reader<'_> {
    /// Everything together.
    fn prmtop(&self) -> Result<Prmtop, PrmtopError> {
        let atoms = self.pointers.atoms;
        let charges = self
            .sections
            .reals("CHARGE", atoms)?
            .into_iter()
            .map(|charge| charge / CHARGE)
            .collect();
        let masses = self.masses()?;
        let bonds = self.harmonics(
            ["BONDS_INC_HYDROGEN", "BONDS_WITHOUT_HYDROGEN"],
            self.pointers.bonds,
            ["BOND_FORCE_CONSTANT", "BOND_EQUIL_VALUE"],
            self.pointers.bond_types,
        )?;
        let angles = self.harmonics(
            ["ANGLES_INC_HYDROGEN", "ANGLES_WITHOUT_HYDROGEN"],
            self.pointers.angles,
            ["ANGLE_FORCE_CONSTANT", "ANGLE_EQUIL_VALUE"],
            self.pointers.angle_types,
        )?;
        let (torsions, one_four) = self.torsions()?;
        let molecule = self.molecule(&masses, &bonds)?;
        let (types, lennard_jones) = self.lennard_jones()?;
        let optional = |section| {
            self.sections
                .has(section)
                .then(|| self.sections.reals(section, atoms))
                .transpose()
        };
        Ok(Prmtop {
            path: self.path.clone(),
            molecule,
            charges,
            masses,
            bonds,
            angles,
            torsions,
            one_four,
            excluded: self.exclusions()?,
            types,
            lennard_jones,
            type_count: self.pointers.types,
            radius_set: self.sections.line("RADIUS_SET").to_owned(),
            radii: optional("RADII")?,
            screens: optional("SCREEN")?,
        })
    }

    /// The error of a value of `section` that is not what was `expected`.
    fn range(
        &self,
        section: &'static str,
        index: usize,
        expected: impl Into<String>,
        found: f64,
    ) -> PrmtopError {
        PrmtopError::Range {
            path: self.path.clone(),
            section,
            index,
            expected: expected.into(),
            found,
        }
    }

    /// A number from 1 to `count`, as an index from 0.
    fn index(
        &self,
        section: &'static str,
        index: usize,
        value: i64,
        count: usize,
    ) -> Result<usize, PrmtopError> {
        let found = usize::try_from(value)
            .ok()
            .filter(|found| (1..=count).contains(found));
        found
            .map(|found| found - 1)
            .ok_or_else(|| self.range(section, index, format!("from 1 to {count}"), value as f64))
    }

    /// An offset into coordinates, three for each atom, as an atom.
    fn atom(&self, section: &'static str, index: usize, offset: i64) -> Result<usize, PrmtopError> {
        let largest = 3 * (self.pointers.atoms - 1);
        let found = usize::try_from(offset)
            .ok()
            .filter(|offset| offset % 3 == 0 && *offset <= largest);
        found.map(|offset| offset / 3).ok_or_else(|| {
            self.range(
                section,
                index,
                format!("a multiple of 3 from 0 to {largest}"),
                offset as f64,
            )
        })
    }
}
