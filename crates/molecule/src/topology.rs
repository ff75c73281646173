//! Atoms and what binds them.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Element, MoleculeError, Stereo};

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

impl Bond {
    /// A bond whose ends may come in any order.
    pub fn new(a: usize, b: usize, order: BondOrder) -> Self {
        Self {
            atoms: [a.min(b), a.max(b)],
            order,
        }
    }
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

impl Atom {
    /// An uncharged atom named after its element.
    pub fn new(element: Element) -> Self {
        Self {
            element,
            formal_charge: 0,
            name: element.symbol().to_owned(),
            residue: None,
        }
    }
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
    /// The stereo centres and double bonds whose arrangement the source states (a SMILES text, or a template by
    /// [`Molecule::stating_stereo_of`]); see [`crate::stereo_of`] for those that coordinates show.
    #[serde(default)]
    pub stereo: Stereo,
}

impl Molecule {
    /// Builds a molecule from its parts; bonds may come in any order, with their ends in any order.
    ///
    /// # Errors
    /// A bond of an atom with itself, to an atom that is not there, or listed twice; an atom of a residue that is not there.
    pub fn new(
        name: impl Into<String>,
        atoms: Vec<Atom>,
        bonds: Vec<Bond>,
        residues: Vec<Residue>,
    ) -> Result<Self, MoleculeError> {
        for (atom, residue) in atoms.iter().enumerate() {
            if let Some(residue) = residue.residue.filter(|&residue| residue >= residues.len()) {
                let residues = residues.len();
                return Err(MoleculeError::ResidueOutOfRange {
                    atom,
                    residue,
                    residues,
                });
            }
        }
        let mut molecule = Self {
            name: name.into(),
            atoms,
            residues,
            ..Self::default()
        };
        molecule.set_bonds(bonds)?;
        Ok(molecule)
    }

    /// Uncharged atoms of these elements, named after them, without bonds.
    pub fn from_elements(elements: impl IntoIterator<Item = Element>) -> Self {
        Self {
            atoms: elements.into_iter().map(Atom::new).collect(),
            ..Self::default()
        }
    }

    /// Replaces the bonds, and forgets the stereo that referred to them.
    ///
    /// # Errors
    /// As [`Self::new`]; the molecule is then unchanged.
    pub fn set_bonds(&mut self, bonds: Vec<Bond>) -> Result<(), MoleculeError> {
        let mut sorted = BTreeMap::new();
        for bond in bonds {
            let Bond {
                atoms: [a, b],
                order,
            } = Bond::new(bond.atoms[0], bond.atoms[1], bond.order);
            if b >= self.len() {
                return Err(MoleculeError::BondOutOfRange {
                    atom: b,
                    atoms: self.len(),
                });
            }
            if a == b {
                return Err(MoleculeError::SelfBond { atom: a });
            }
            if sorted.insert([a, b], order).is_some() {
                return Err(MoleculeError::DuplicateBond { atoms: [a, b] });
            }
        }
        self.bonds = sorted
            .into_iter()
            .map(|(atoms, order)| Bond { atoms, order })
            .collect();
        self.stereo = Stereo::default();
        Ok(())
    }

    /// How many atoms there are.
    pub fn len(&self) -> usize {
        self.atoms.len()
    }

    /// Whether there are no atoms.
    pub fn is_empty(&self) -> bool {
        self.atoms.is_empty()
    }

    /// The element of each atom.
    pub fn elements(&self) -> impl ExactSizeIterator<Item = Element> + '_ {
        self.atoms.iter().map(|atom| atom.element)
    }

    /// The mass of each atom in u.
    pub fn masses(&self) -> Vec<f64> {
        self.elements().map(Element::mass).collect()
    }

    /// For each atom the atoms bonded to it, ascending.
    pub fn neighbours(&self) -> Vec<Vec<usize>> {
        let mut neighbours = vec![Vec::new(); self.len()];
        for &Bond { atoms: [a, b], .. } in &self.bonds {
            neighbours[a].push(b);
            neighbours[b].push(a);
        }
        for list in &mut neighbours {
            list.sort_unstable();
        }
        neighbours
    }

    /// The bond between two atoms, if there is one.
    pub fn bond(&self, a: usize, b: usize) -> Option<&Bond> {
        let atoms = [a.min(b), a.max(b)];
        self.bonds.iter().find(|bond| bond.atoms == atoms)
    }

    /// The atoms in groups that bonds hold together: each ascending, in order of their first atoms.
    pub fn components(&self) -> Vec<Vec<usize>> {
        let neighbours = self.neighbours();
        let mut seen = vec![false; self.len()];
        let mut components = Vec::new();
        for start in 0..self.len() {
            if std::mem::replace(&mut seen[start], true) {
                continue;
            }
            let mut component = vec![start];
            let mut next = 0;
            while let Some(&atom) = component.get(next) {
                next += 1;
                for &neighbour in &neighbours[atom] {
                    if !std::mem::replace(&mut seen[neighbour], true) {
                        component.push(neighbour);
                    }
                }
            }
            component.sort_unstable();
            components.push(component);
        }
        components
    }

    /// Whether bonds hold all atoms together; no atoms are held together by none.
    pub fn is_connected(&self) -> bool {
        self.components().len() <= 1
    }

    /// The sum of the formal charges, in elementary charges.
    pub fn formal_charge(&self) -> i32 {
        self.atoms.iter().map(|atom| atom.formal_charge).sum()
    }

    /// The atoms that are no hydrogens, ascending.
    pub fn heavy_atoms(&self) -> Vec<usize> {
        self.atoms_where(|element| element != Element::HYDROGEN)
    }

    /// The hydrogens, ascending.
    pub fn hydrogens(&self) -> Vec<usize> {
        self.atoms_where(|element| element == Element::HYDROGEN)
    }

    fn atoms_where(&self, wanted: impl Fn(Element) -> bool) -> Vec<usize> {
        (0..self.len())
            .filter(|&atom| wanted(self.atoms[atom].element))
            .collect()
    }

    /// The molecular formula in Hill's order, with the charge if there is one: `C2H5NO2`, `CH3O2-`, `Ca+2`.
    pub fn formula(&self) -> String {
        let mut counts = BTreeMap::new();
        for element in self.elements() {
            *counts.entry(element.symbol()).or_insert(0_usize) += 1;
        }
        let mut formula = String::new();
        let first: &[&str] = if counts.contains_key("C") {
            &["C", "H"]
        } else {
            &[]
        };
        let first = first
            .iter()
            .filter_map(|&symbol| counts.remove_entry(symbol))
            .collect::<Vec<_>>();
        for (symbol, count) in first.into_iter().chain(counts) {
            formula += symbol;
            if count > 1 {
                formula += &count.to_string();
            }
        }
        match self.formal_charge() {
            0 => {}
            1 => formula.push('+'),
            -1 => formula.push('-'),
            charge => return format!("{formula}{charge:+}"),
        }
        formula
    }

    /// The same molecule with its atoms in another order: new atom `k` is the old atom `order[k]`.
    ///
    /// # Panics
    /// If `order` is no permutation of the atoms: that is a bug of the caller.
    pub fn reordered(&self, order: &[usize]) -> Self {
        let mut place = vec![usize::MAX; self.len()];
        assert_eq!(
            order.len(),
            self.len(),
            "an order of another number of atoms"
        );
        for (new, &old) in order.iter().enumerate() {
            assert_eq!(place[old], usize::MAX, "atom {old} comes twice");
            place[old] = new;
        }
        let mut bonds = self
            .bonds
            .iter()
            .map(|bond| Bond::new(place[bond.atoms[0]], place[bond.atoms[1]], bond.order))
            .collect::<Vec<_>>();
        bonds.sort_unstable_by_key(|bond| bond.atoms);
        Self {
            name: self.name.clone(),
            atoms: order.iter().map(|&old| self.atoms[old].clone()).collect(),
            bonds,
            residues: self.residues.clone(),
            stereo: self.stereo.relabelled(|old| place[old]),
        }
    }

    /// Refuses positions that do not place the atoms of this molecule.
    ///
    /// # Errors
    /// Another number of coordinates than three per atom, or one that is not finite.
    pub fn check_positions(&self, positions: &[f64]) -> Result<(), MoleculeError> {
        if positions.len() != 3 * self.len() {
            return Err(MoleculeError::Coordinates {
                found: positions.len(),
                atoms: self.len(),
            });
        }
        match positions
            .iter()
            .position(|coordinate| !coordinate.is_finite())
        {
            Some(index) => Err(MoleculeError::NotFinite { atom: index / 3 }),
            None => Ok(()),
        }
    }
}
