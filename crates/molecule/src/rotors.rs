//! Bonds that turn, and what tells one chair of a ring from the other.

use std::cmp::Reverse;

use crate::stereo::ring_size;
use crate::{Bond, BondOrder, Element, Molecule, classes};

/// Atoms of the rings that have chairs.
const CHAIR: usize = 6;

/// One proper torsion for each bond that turns, in order of the bonds: the dihedrals that are worth a histogram.
///
/// A bond turns when it is single (or of unknown order), in no ring, and both its ends are heavy, carry another atom that is heavy, or the hydrogen
/// of a hydroxyl (thiol, …), and are not linear (no triple or cumulated bonds). Amide bonds are among them. The outer atoms are the heaviest
/// neighbours; among equal elements those with the heavier neighbours themselves, then of the higher constitutional class, then of the lower number.
pub fn rotatable_torsions(molecule: &Molecule) -> Vec<[usize; 4]> {
    let around = Surroundings::new(molecule);
    let linear = linear_atoms(molecule);
    molecule
        .bonds
        .iter()
        .filter(|bond| matches!(bond.order, BondOrder::Single | BondOrder::Unknown))
        .filter(|bond| {
            let ends = &bond.atoms;
            ends.iter().all(|&end| around.heavy(end) && !linear[end])
        })
        .filter_map(|&Bond { atoms: [j, k], .. }| {
            Some([around.outer(j, k)?, j, k, around.outer(k, j)?])
        })
        .filter(|&[_, j, k, _]| ring_size(&around.neighbours, [j, k]).is_none())
        .collect()
}

/// One torsion for each atom of a saturated six-membered ring that carries a heavy atom outside of all rings, in order of the atoms: two atoms of
/// the ring, this one, and the heaviest that it carries. In a chair it is anti (180°) where the substituent is equatorial, and gauche (60°) where
/// it is axial.
///
/// A ring is saturated whose atoms have four neighbours each, or three and are nitrogen, or two and are oxygen, sulphur or alike. Of an atom in
/// several such rings one is taken.
pub fn ring_substituents(molecule: &Molecule) -> Vec<[usize; 4]> {
    let around = Surroundings::new(molecule);
    (0..molecule.len())
        .filter_map(|atom| {
            let [next, further] = around.chair(atom)?;
            let substituents = around.neighbours[atom].iter().copied();
            let outside = |&other: &usize| {
                around.heavy(other) && ring_size(&around.neighbours, [atom, other]).is_none()
            };
            let substituent = around.heaviest(substituents.filter(outside))?;
            Some([further, next, atom, substituent])
        })
        .collect()
}

/// Whether what is at either end of a bond changes sides of it in the course of a simulation: not of multiple bonds, nor of amides and their like
/// (thioamides, amidines, ureas, carbamates), whose nitrogen has three neighbours, as has the carbon, which has a double bond to an atom other than
/// carbon; where orders are not known, it carries a bare oxygen, sulphur or alike. Rings are not looked for.
pub fn turns_freely(molecule: &Molecule, bond: [usize; 2]) -> bool {
    let neighbours = molecule.neighbours();
    let order = |a: usize, b: usize| molecule.bond(a, b).map(|bond| bond.order);
    let element = |atom: usize| molecule.atoms[atom].element;
    let is_planar =
        |atom: usize, kind: Element| element(atom) == kind && neighbours[atom].len() == 3;
    let is_bound_twice = |atom: usize, other: usize| match order(atom, other) {
        Some(BondOrder::Double) => element(other) != Element::CARBON,
        Some(BondOrder::Unknown) => element(other).is_chalcogen() && neighbours[other].len() == 1,
        _ => false,
    };
    let is_amide = |n: usize, c: usize| {
        is_planar(n, Element::NITROGEN)
            && is_planar(c, Element::CARBON)
            && neighbours[c].iter().any(|&other| is_bound_twice(c, other))
    };
    let [a, b] = bond;
    matches!(order(a, b), Some(BondOrder::Single | BondOrder::Unknown))
        && !is_amide(a, b)
        && !is_amide(b, a)
}

/// A molecule's atoms with what is beside them.
struct Surroundings<'a> {
    molecule: &'a Molecule,
    neighbours: Vec<Vec<usize>>,
    classes: Vec<usize>,
}

impl<'a> Surroundings<'a> {
    fn new(molecule: &'a Molecule) -> Self {
        Self {
            molecule,
            neighbours: molecule.neighbours(),
            classes: classes(molecule),
        }
    }

    fn element(&self, atom: usize) -> Element {
        self.molecule.atoms[atom].element
    }

    fn heavy(&self, atom: usize) -> bool {
        self.element(atom) != Element::HYDROGEN
    }

    /// The atom that a torsion about the bond from `end` to `other` begins with.
    fn outer(&self, end: usize, other: usize) -> Option<usize> {
        let around = &self.neighbours[end];
        let is_hydroxyl = self.element(end).is_chalcogen() && around.len() == 2;
        let candidates = around.iter().copied();
        self.heaviest(candidates.filter(|&atom| atom != other && (self.heavy(atom) || is_hydroxyl)))
    }

    fn heaviest(&self, atoms: impl Iterator<Item = usize>) -> Option<usize> {
        atoms.max_by_key(|&atom| {
            let further = self.neighbours[atom].iter();
            let mut further: Vec<Element> = further.map(|&next| self.element(next)).collect();
            further.sort_unstable_by(|a, b| b.cmp(a));
            (
                self.element(atom),
                further,
                self.classes[atom],
                Reverse(atom),
            )
        })
    }

    fn is_saturated(&self, atom: usize) -> bool {
        let element = self.element(atom);
        match self.neighbours[atom].len() {
            4 => true,
            3 => element == Element::NITROGEN,
            2 => element.is_chalcogen(),
            _ => false,
        }
    }

    /// The atom's neighbour and the one after it in a saturated six-membered ring, those of the lowest numbers.
    fn chair(&self, atom: usize) -> Option<[usize; 2]> {
        let mut path = vec![atom];
        self.closes(&mut path).then(|| [path[1], path[2]])
    }

    /// Goes on from a path of saturated atoms until it is a ring without a bond across.
    fn closes(&self, path: &mut Vec<usize>) -> bool {
        let last = path[path.len() - 1];
        if !self.is_saturated(last) {
            return false;
        }
        let bonded = |a: usize, b: usize| self.neighbours[a].contains(&b);
        if path.len() == CHAIR {
            let across = (0..CHAIR)
                .any(|i| (i + 2..CHAIR).any(|j| j - i < CHAIR - 1 && bonded(path[i], path[j])));
            return bonded(last, path[0]) && !across;
        }
        let mut next = self.neighbours[last].clone();
        next.sort_unstable();
        for atom in next {
            if path.contains(&atom) {
                continue;
            }
            path.push(atom);
            if self.closes(path) {
                return true;
            }
            path.pop();
        }
        false
    }
}

/// Which atoms have a triple bond, or two double bonds and nothing else.
fn linear_atoms(molecule: &Molecule) -> Vec<bool> {
    let mut electrons = vec![0; molecule.len()];
    let mut degree = vec![0; molecule.len()];
    for bond in &molecule.bonds {
        for &atom in &bond.atoms {
            degree[atom] += 1;
            electrons[atom] += match bond.order {
                BondOrder::Double => 1,
                BondOrder::Triple => 2,
                _ => 0,
            };
        }
    }
    degree
        .into_iter()
        .zip(electrons)
        .map(|(degree, electrons)| degree <= 2 && electrons >= 2)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn torsions(smiles: &str) -> Vec<[usize; 4]> {
        rotatable_torsions(&Molecule::from_smiles(smiles).unwrap())
    }

    #[test]
    fn butane_turns_about_its_middle_bond() {
        assert_eq!(torsions("CCCC"), [[0, 1, 2, 3]]);
    }

    #[test]
    fn capped_alanine_turns_about_omega_phi_psi_and_omega() {
        //                               0 1  2 3 4    5 6  7 8 9
        assert_eq!(
            torsions("CC(=O)N[C@@H](C)C(=O)NC"),
            [[2, 1, 3, 4], [1, 3, 4, 6], [3, 4, 6, 7], [7, 6, 8, 9]]
        );
    }

    #[test]
    fn amides_and_multiple_bonds_do_not_turn_freely_whether_or_not_orders_are_known() {
        for (text, bond, free) in [
            ("CC(=O)NC", [1, 3], false),
            ("CC(=O)NC", [3, 1], false),
            ("CC(=O)NC", [3, 4], true),
            ("CC(=O)NC", [0, 1], true),
            ("CC(=S)NC", [1, 3], false),
            ("CNC(=O)OC", [1, 2], false),
            ("CNC(=O)OC", [2, 4], true),
            ("CC(=O)OC", [1, 3], true),
            ("CS(=O)(=O)NC", [1, 4], true),
            ("CNc1ccccc1", [1, 2], true),
        ] {
            let mut molecule = Molecule::from_smiles(text).unwrap();
            assert_eq!(turns_freely(&molecule, bond), free, "{text} {bond:?}");
            molecule
                .bonds
                .iter_mut()
                .for_each(|bond| bond.order = BondOrder::Unknown);
            assert_eq!(turns_freely(&molecule, bond), free, "{text} {bond:?}");
        }
        // An enamine and an amidine, which have no bare oxygen.
        for (text, bond, free) in [
            ("C=CNC", [1, 2], true),
            ("CC(=N)NC", [1, 3], false),
            ("C=CC", [0, 1], false),
        ] {
            let molecule = Molecule::from_smiles(text).unwrap();
            assert_eq!(turns_freely(&molecule, bond), free, "{text} {bond:?}");
        }
    }

    #[test]
    fn rings_multiple_bonds_and_ends_do_not_turn() {
        for text in [
            "CC",
            "CC=CC",
            "C1CCCCC1",
            "CC#CC",
            "CC#N",
            "[Na+].[Cl-]",
            "c1ccc2ccccc2c1",
            "C",
        ] {
            assert!(torsions(text).is_empty(), "{text}");
        }
        assert_eq!(torsions("c1ccccc1-c1ccccc1").len(), 1);
        assert!(rotatable_torsions(&Molecule::default()).is_empty());
    }

    #[test]
    fn hydroxyls_turn_and_other_ends_do_not() {
        // 1,2-ethanediol: the hydrogens of its hydroxyls are atoms 4 and 9.
        let found = torsions("OCCO");
        assert_eq!(found, [[4, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 9]]);
        assert_eq!(torsions("CCS").len(), 1);
        assert!(torsions("CO").is_empty() && torsions("CCN").is_empty());
        assert!(torsions("O").is_empty() && torsions("CC=O").is_empty());
    }

    #[test]
    fn each_substituent_of_a_saturated_six_membered_ring_has_a_torsion() {
        let of = |smiles: &str| ring_substituents(&Molecule::from_smiles(smiles).unwrap());
        assert_eq!(of("OC1CCCCC1"), [[3, 2, 1, 0]]);
        assert_eq!(of("CC1CCCC(O)C1").len(), 2);
        assert_eq!(of("CN1CCOCC1"), [[3, 2, 1, 0]]);
        // The heavier of two on one atom.
        assert_eq!(of("CC1(O)CCCCC1"), [[4, 3, 1, 2]]);
        for none in [
            "C1CCCCC1",
            "Oc1ccccc1",
            "OC1CCC=CC1",
            "OC1CCCC1",
            "OC1CCCCCC1",
            "CCCCCCO",
            "C1CCC2(CC1)CCCCC2",
            "OC1CC2CCC12",
        ] {
            assert!(of(none).is_empty(), "{none}: {:?}", of(none));
        }
    }

    #[test]
    fn anti_is_equatorial_and_gauche_axial() {
        use crate::geometry::dihedral;
        let molecule = Molecule::from_smiles("OC1CCCCC1").unwrap();
        let torsion = ring_substituents(&molecule)[0];
        let conformers = crate::embed(&molecule, 3, 40).unwrap();
        let mut seen = [false; 2];
        for x in &conformers {
            // The ring's own torsions on either side have one sign each, opposite ones, in a chair.
            let ring = [
                [1, 2, 3, 4],
                [2, 3, 4, 5],
                [3, 4, 5, 6],
                [4, 5, 6, 1],
                [5, 6, 1, 2],
                [6, 1, 2, 3],
            ];
            let turns = ring.map(|atoms| dihedral(x, atoms).to_degrees());
            let is_chair =
                (0..6).all(|k| turns[k] * turns[(k + 1) % 6] < 0.0 && turns[k].abs() > 35.0);
            if !is_chair {
                continue;
            }
            // Axial: nearly normal to the mean plane of the ring, which three alternate atoms span.
            let at = |atom: usize| nalgebra::Vector3::from_column_slice(&x[3 * atom..3 * atom + 3]);
            let normal = (at(3) - at(1)).cross(&(at(5) - at(1))).normalize();
            let lift = (at(0) - at(1)).normalize().dot(&normal).abs();
            let angle = dihedral(x, torsion).to_degrees().abs();
            assert_eq!(lift > 0.7, angle < 120.0, "{lift} {angle}");
            seen[usize::from(lift > 0.7)] = true;
        }
        assert_eq!(seen, [true, true]);
    }

    #[test]
    fn a_topology_without_orders_gives_the_torsions_that_it_can() {
        let mut butane = Molecule::from_smiles("CCCC").unwrap();
        butane
            .bonds
            .iter_mut()
            .for_each(|bond| bond.order = BondOrder::Unknown);
        assert_eq!(rotatable_torsions(&butane), [[0, 1, 2, 3]]);
    }
}
