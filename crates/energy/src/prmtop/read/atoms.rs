//! The molecule of a topology file: its atoms, residues and bonds.

use boltzflow_molecule::{Atom, Bond, BondOrder, Element, Molecule, Residue};

use super::super::{Harmonic, PrmtopError};
use super::Reader;

impl Reader<'_> {
    /// Masses (u).
    pub(super) fn masses(&self) -> Result<Vec<f64>, PrmtopError> {
        let masses = self.sections.reals("MASS", self.pointers.atoms)?;
        if let Some((index, &found)) = masses.iter().enumerate().find(|(_, mass)| **mass <= 0.0) {
            return Err(self.range("MASS", index, "above 0", found));
        }
        Ok(masses)
    }

    /// Names, elements and residues; bonds where the force field has them.
    pub(super) fn molecule(
        &self,
        masses: &[f64],
        bonds: &[Harmonic<2>],
    ) -> Result<Molecule, PrmtopError> {
        let count = self.pointers.atoms;
        let names = self.sections.names("ATOM_NAME", count)?;
        let residues = self.residues()?;
        let elements = self.elements(&names, masses)?;
        let mut atoms = Vec::with_capacity(count);
        let mut residue = 0;
        for (index, (name, element)) in names.into_iter().zip(elements).enumerate() {
            while residue + 1 < residues.len() && residues[residue + 1].0 <= index {
                residue += 1;
            }
            atoms.push(Atom {
                name,
                residue: Some(residue),
                ..Atom::new(element)
            });
        }
        let residues = residues.into_iter().map(|(_, residue)| residue).collect();
        let bonds = bonds
            .iter()
            .map(|bond| Bond::new(bond.atoms[0], bond.atoms[1], BondOrder::Unknown))
            .collect();
        let title = self.sections.line("TITLE");
        Molecule::new(title, atoms, bonds, residues).map_err(|source| PrmtopError::Molecule {
            path: self.path.clone(),
            source,
        })
    }

    /// The residues and their first atoms.
    fn residues(&self) -> Result<Vec<(usize, Residue)>, PrmtopError> {
        const SECTION: &str = "RESIDUE_POINTER";
        let count = self.pointers.residues;
        let labels = self.sections.names("RESIDUE_LABEL", count)?;
        let starts = self.sections.integers(SECTION, count)?;
        let mut residues: Vec<(usize, Residue)> = Vec::with_capacity(count);
        for (index, (name, start)) in labels.into_iter().zip(starts).enumerate() {
            let first = self.index(SECTION, index, start, self.pointers.atoms)?;
            let after = residues.last().map_or(0, |(last, _)| last + 1);
            if (index == 0 && first != 0) || first < after {
                let expected = if index == 0 {
                    "1".to_owned()
                } else {
                    format!("at least {}", after + 1)
                };
                return Err(self.range(SECTION, index, expected, start as f64));
            }
            residues.push((
                first,
                Residue {
                    name,
                    number: index as i64 + 1,
                    chain: String::new(),
                },
            ));
        }
        Ok(residues)
    }

    /// From the atomic numbers where the file has them, else from the masses.
    fn elements(&self, names: &[String], masses: &[f64]) -> Result<Vec<Element>, PrmtopError> {
        const SECTION: &str = "ATOMIC_NUMBER";
        let numbers = self
            .sections
            .has(SECTION)
            .then(|| self.sections.integers(SECTION, self.pointers.atoms))
            .transpose()?;
        let element = |atom: usize| {
            let (element, what, way_out) = if let Some(numbers) = &numbers {
                let element = u8::try_from(numbers[atom])
                    .ok()
                    .and_then(Element::from_number);
                (
                    element,
                    format!("atomic number {}", numbers[atom]),
                    "remove extra points",
                )
            } else {
                let way_out = "add a section ATOMIC_NUMBER where masses were changed";
                (
                    Element::from_mass(masses[atom]),
                    format!("mass {}", masses[atom]),
                    way_out,
                )
            };
            let unknown = || PrmtopError::Element {
                path: self.path.clone(),
                atom,
                name: names[atom].clone(),
                what,
                way_out,
            };
            element.ok_or_else(unknown)
        };
        (0..self.pointers.atoms).map(element).collect()
    }
}
