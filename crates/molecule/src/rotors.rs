//! Bonds that turn.

use std::cmp::Reverse;

use crate::stereo::ring_size;
use crate::{Bond, BondOrder, Element, Molecule, classes};

/// One proper torsion for each bond that turns, in order of the bonds: the dihedrals that are worth a histogram.
///
/// A bond turns when it is single (or of unknown order), in no ring, and both its ends are heavy, carry another heavy atom and are not linear (no
/// triple or cumulated bonds). Amide bonds are among them. The outer atoms are the heaviest neighbours; among equal elements those with the
/// heavier neighbours themselves, then of the higher constitutional class, then of the lower number.
pub fn rotatable_torsions(molecule: &Molecule) -> Vec<[usize; 4]> {
    let neighbours = molecule.neighbours();
    let classes = classes(molecule);
    let element = |atom: usize| molecule.atoms[atom].element;
    let heavy = |atom: usize| element(atom) != Element::HYDROGEN;
    let outer = |end: usize, other: usize| {
        let around = neighbours[end].iter().copied();
        let candidates = around.filter(|&atom| atom != other && heavy(atom));
        candidates.max_by_key(|&atom| {
            let mut further = neighbours[atom]
                .iter()
                .map(|&next| element(next))
                .collect::<Vec<_>>();
            further.sort_unstable_by(|a, b| b.cmp(a));
            (element(atom), further, classes[atom], Reverse(atom))
        })
    };
    let linear = linear_atoms(molecule);
    molecule
        .bonds
        .iter()
        .filter(|bond| matches!(bond.order, BondOrder::Single | BondOrder::Unknown))
        .filter(|bond| bond.atoms.iter().all(|&atom| heavy(atom) && !linear[atom]))
        .filter_map(|&Bond { atoms: [j, k], .. }| Some([outer(j, k)?, j, k, outer(k, j)?]))
        .filter(|&[_, j, k, _]| ring_size(&neighbours, [j, k]).is_none())
        .collect()
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
    fn a_topology_without_orders_gives_the_torsions_that_it_can() {
        let mut butane = Molecule::from_smiles("CCCC").unwrap();
        butane
            .bonds
            .iter_mut()
            .for_each(|bond| bond.order = BondOrder::Unknown);
        assert_eq!(rotatable_torsions(&butane), [[0, 1, 2, 3]]);
    }
}
