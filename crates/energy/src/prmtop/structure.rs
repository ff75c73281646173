//! A structure held against a topology: the same atoms in the same order, and what it knows beyond the topology.

use std::collections::HashMap;

use boltzflow_molecule::{Atom, Bond, BondOrder, Element, Molecule, geometry};

use super::{NameDifference, Prmtop, StructureError};

/// How many times its length in the force field (or the sum of covalent radii, if that is more) a bond of a starting geometry may have.
///
/// Vibrations reach 1.1 times; atoms that are not bonded, which a wrong order joins, are mostly more than 1.6 times as far.
const LONGEST: f64 = 1.5;

impl Prmtop {
    /// Compares a structure with this topology: as many atoms, of the same elements, in the same order.
    /// Names are compared too where the structure has some; `1HH3` is `HH31`. Other names are no fault, only worth a warning; but where a
    /// residue, or the whole molecule, has the same names in another order, so are its atoms.
    ///
    /// # Errors
    /// Another number of atoms, another element, or another order.
    pub fn check_structure(
        &self,
        structure: &Molecule,
    ) -> Result<Vec<NameDifference>, StructureError> {
        let (expected, found) = (self.molecule.len(), structure.len());
        if expected != found {
            return Err(StructureError::Atoms {
                path: self.path.clone(),
                expected,
                found,
            });
        }
        let both = || self.molecule.atoms.iter().zip(&structure.atoms).enumerate();
        for (atom, (ours, theirs)) in both() {
            if ours.element != theirs.element {
                return Err(StructureError::Element {
                    path: self.path.clone(),
                    atom,
                    name: ours.name.clone(),
                    expected: ours.element.symbol(),
                    found: theirs.element.symbol(),
                });
            }
        }
        if !structure.atoms.iter().any(has_name) {
            return Ok(Vec::new());
        }
        let differences = both()
            .filter(|(_, (ours, theirs))| rotated(&theirs.name) != rotated(&ours.name))
            .map(|(atom, (ours, theirs))| NameDifference {
                atom,
                structure: theirs.name.clone(),
                topology: ours.name.clone(),
            });
        let differences: Vec<_> = differences.collect();
        match self.permuted(&differences) {
            Some(first) => Err(StructureError::Order {
                path: self.path.clone(),
                first: first.clone(),
            }),
            None => Ok(differences
                .into_iter()
                .filter(|difference| has_name(&structure.atoms[difference.atom]))
                .collect()),
        }
    }

    /// The first of these differences whose residue, or else the molecule, has the same names on both sides.
    fn permuted<'a>(&self, differences: &'a [NameDifference]) -> Option<&'a NameDifference> {
        // Names that agree cannot make two lists differ.
        let same_names = |some: &[&NameDifference]| {
            let sorted = |name: fn(&NameDifference) -> &str| {
                let mut names: Vec<_> = some.iter().map(|one| rotated(name(one))).collect();
                names.sort_unstable();
                names
            };
            sorted(|one| &one.structure) == sorted(|one| &one.topology)
        };
        let mut residues: HashMap<_, Vec<_>> = HashMap::new();
        for difference in differences {
            let residue = self.molecule.atoms[difference.atom].residue;
            residues.entry(residue).or_default().push(difference);
        }
        let residues = residues.into_values().filter(|some| same_names(some));
        let first = residues.filter_map(|some| some.first().copied());
        first.min_by_key(|first| first.atom).or_else(|| {
            let all: Vec<_> = differences.iter().collect();
            differences.first().filter(|_| same_names(&all))
        })
    }

    /// Refuses positions (Å, flat) in which a bond is so long that the atoms must be in another order, or the molecule torn.
    ///
    /// # Errors
    /// The bond that exceeds its length the most.
    ///
    /// # Panics
    /// If there are fewer positions than atoms: that is a bug of the caller.
    pub fn check_bond_lengths(&self, positions: &[f64]) -> Result<(), StructureError> {
        let radius = |atom: usize| self.molecule.atoms[atom].element.covalent_radius();
        let stretched = self.bonds.iter().map(|bond| {
            let [i, j] = bond.atoms;
            let usual = bond.equilibrium.max(radius(i) + radius(j));
            let found = geometry::distance(positions, bond.atoms);
            (found / usual, bond.atoms, found)
        });
        match stretched.max_by(|one, other| one.0.total_cmp(&other.0)) {
            Some((ratio, atoms, found)) if ratio > LONGEST => Err(StructureError::LongBond {
                path: self.path.clone(),
                atoms,
                names: atoms.map(|atom| self.molecule.atoms[atom].name.clone()),
                found,
            }),
            _ => Ok(()),
        }
    }

    /// The molecule, with the bond orders, formal charges and stereo of `structure`, whose atoms are in the same order, if that knows
    /// the order of any bond; else as [`Self::molecule`] has it. Which atoms are bonded is the topology's to say.
    ///
    /// # Errors
    /// Bonds between other atoms than the topology's.
    pub fn molecule_like(&self, structure: &Molecule) -> Result<Molecule, StructureError> {
        let mut molecule = self.molecule();
        let known = |bond: &Bond| bond.order != BondOrder::Unknown;
        if !structure.bonds.iter().any(known) {
            return Ok(molecule);
        }
        let lacks = |one: &Molecule, other: &Molecule| {
            let bonds = one.bonds.iter().map(|bond| bond.atoms);
            let mut missing = bonds.filter(|&[i, j]| other.bond(i, j).is_none());
            missing.next()
        };
        let stranger = lacks(structure, &molecule).map(|atoms| (atoms, "the structure"));
        let odd =
            stranger.or_else(|| lacks(&molecule, structure).map(|atoms| (atoms, "the topology")));
        if let Some((atoms, side)) = odd {
            return Err(StructureError::Bonds {
                path: self.path.clone(),
                atoms,
                names: atoms.map(|atom| self.molecule.atoms[atom].name.clone()),
                side,
            });
        }
        for (ours, theirs) in molecule.atoms.iter_mut().zip(&structure.atoms) {
            ours.formal_charge = theirs.formal_charge;
        }
        molecule.bonds.clone_from(&structure.bonds);
        molecule.stereo.clone_from(&structure.stereo);
        Ok(molecule)
    }
}

/// Whether an atom has a name. Formats without names repeat the element.
fn has_name(atom: &Atom) -> bool {
    let is_element = |element: Element| atom.name.eq_ignore_ascii_case(element.symbol());
    !atom.name.is_empty() && !is_element(atom.element)
}

/// Old PDB files put a leading digit where newer ones have it at the end.
fn rotated(name: &str) -> String {
    let name = name.trim();
    let rest = name.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{rest}{}", &name[..name.len() - rest.len()])
}
