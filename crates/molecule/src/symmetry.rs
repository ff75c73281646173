//! Symmetry of the bond graph: its automorphisms, and the atoms that they exchange.

use crate::classes::{elements_and_degrees, refine};
use crate::search::{Graph, Search};
use crate::{Bond, Molecule};

/// Permutations of atoms that keep elements and bonds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Automorphisms {
    /// Each maps atom `k` to atom `permutation[k]`; the identity is always among them.
    pub permutations: Vec<Vec<usize>>,
    /// Whether these are all; if not, the search stopped at its limit.
    pub complete: bool,
}

/// The automorphisms of the bond graph, at most `limit` (at least one: the identity comes first).
///
/// Elements and bonds count; bond orders, charges and stereo do not, so that resonance forms do not break symmetry. A permutation
/// that exchanges two hydrogens of a CH₂ group is among them, although no rotation does it, and so is one that exchanges centres of
/// opposite handedness: [`crate::Stereo::is_kept_by`] tells these. The number grows exponentially with methyl groups (6 each): mind `complete`.
pub fn automorphisms(molecule: &Molecule, limit: usize) -> Automorphisms {
    let neighbours = molecule.neighbours();
    let colours = refine(&neighbours, &elements_and_degrees(molecule, &neighbours));
    enumerate(&neighbours, &colours, limit)
}

/// The automorphisms of the graph of heavy atoms that keep how many hydrogens each carries.
///
/// The permutations count heavy atoms only: entry `k` belongs to the k-th of [`Molecule::heavy_atoms`].
pub fn heavy_automorphisms(molecule: &Molecule, limit: usize) -> Automorphisms {
    let heavy = molecule.heavy_atoms();
    let mut place = vec![None; molecule.len()];
    for (k, &atom) in heavy.iter().enumerate() {
        place[atom] = Some(k);
    }
    let mut neighbours = vec![Vec::new(); heavy.len()];
    let mut hydrogens = vec![0; heavy.len()];
    for &Bond { atoms: [a, b], .. } in &molecule.bonds {
        match (place[a], place[b]) {
            (Some(a), Some(b)) => {
                neighbours[a].push(b);
                neighbours[b].push(a);
            }
            (Some(atom), None) | (None, Some(atom)) => hydrogens[atom] += 1,
            (None, None) => {}
        }
    }
    let start = heavy.iter().zip(&hydrogens);
    let start = start.map(|(&atom, &hydrogens): (_, &usize)| {
        256 * usize::from(molecule.atoms[atom].element.number()) + hydrogens.min(255)
    });
    let colours = refine(&neighbours, &start.collect::<Vec<_>>());
    enumerate(&neighbours, &colours, limit)
}

/// For each atom the first atom that an automorphism of the bond graph exchanges it with, or itself: equal entries are equivalent atoms.
pub fn orbits(molecule: &Molecule) -> Vec<usize> {
    const STEPS: usize = 1_000_000;
    let neighbours = molecule.neighbours();
    let colours = refine(&neighbours, &elements_and_degrees(molecule, &neighbours));
    let graph = Graph {
        neighbours: &neighbours,
        colours: &colours,
    };
    let mut orbits = (0..molecule.len()).collect::<Vec<_>>();
    for atom in 0..molecule.len() {
        let same = (0..atom).find(|&other| {
            let candidate = orbits[other] == other && colours[other] == colours[atom];
            candidate
                && Search::new(graph, graph, Some((other, atom)), STEPS)
                    .next()
                    .is_some()
        });
        if let Some(other) = same {
            orbits[atom] = other;
        }
    }
    orbits
}

fn enumerate(neighbours: &[Vec<usize>], colours: &[usize], limit: usize) -> Automorphisms {
    let graph = Graph {
        neighbours,
        colours,
    };
    let steps = limit
        .saturating_add(1)
        .saturating_mul(100 * (neighbours.len() + 1));
    let mut search = Search::new(graph, graph, None, steps);
    let mut permutations = vec![(0..neighbours.len()).collect::<Vec<_>>()];
    let mut complete = true;
    for permutation in &mut search {
        if permutation == permutations[0] {
            continue;
        }
        if permutations.len() >= limit.max(1) {
            complete = false;
            break;
        }
        permutations.push(permutation);
    }
    Automorphisms {
        complete: complete && !search.gave_up(),
        permutations,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn count(smiles: &str) -> (usize, usize) {
        let molecule = Molecule::from_smiles(smiles).unwrap();
        let all = automorphisms(&molecule, 100_000);
        let heavy = heavy_automorphisms(&molecule, 100_000);
        assert!(all.complete && heavy.complete);
        let different = all.permutations.iter().collect::<HashSet<_>>();
        assert_eq!(different.len(), all.permutations.len());
        (all.permutations.len(), heavy.permutations.len())
    }

    #[test]
    fn automorphisms_are_as_many_as_group_theory_says() {
        assert_eq!(count("C"), (24, 1));
        assert_eq!(count("CC"), (72, 2)); // 2 · 3!²
        assert_eq!(count("CCCC"), (288, 2)); // 2 · 3!² · 2!²
        assert_eq!(count("c1ccccc1"), (12, 12));
        assert_eq!(count("CC(C)(C)C"), (31_104, 24)); // 4! · 3!⁴
        assert_eq!(count("C12C3C4C1C5C2C3C45"), (48, 48)); // cubane
        assert_eq!(count("CC(=O)N[C@@H](C)C(=O)NC"), (216, 1)); // 3!³
        assert_eq!(count("CC(=O)[O-]"), (12, 2)); // resonance does not break the symmetry
        assert_eq!(count("O.O"), (8, 2)); // 2 · 2!²
    }

    #[test]
    fn every_automorphism_maps_bonds_to_bonds() {
        let molecule = Molecule::from_smiles("CC(C)c1ccc(C(F)(F)F)cc1").unwrap();
        for permutation in automorphisms(&molecule, 1000).permutations {
            for bond in &molecule.bonds {
                assert!(
                    molecule
                        .bond(permutation[bond.atoms[0]], permutation[bond.atoms[1]])
                        .is_some()
                );
            }
        }
    }

    #[test]
    fn a_limit_is_kept_and_admitted() {
        let molecule = Molecule::from_smiles("CC(C)(C)C").unwrap();
        for limit in [0, 1, 100] {
            let some = automorphisms(&molecule, limit);
            assert_eq!(some.permutations.len(), limit.max(1));
            assert!(!some.complete);
        }
        assert!(automorphisms(&molecule, 31_104).complete);
        // 12 water molecules: 12! · 2¹² permutations.
        let waters = Molecule::from_smiles(&["O"; 12].join(".")).unwrap();
        assert!(!automorphisms(&waters, 1000).complete);
    }

    #[test]
    fn no_atoms_have_one_automorphism() {
        let none = automorphisms(&Molecule::default(), 10);
        assert_eq!(none.permutations, [Vec::<usize>::new()]);
        assert!(none.complete);
    }

    #[test]
    fn stereo_is_kept_by_some_automorphisms_only() {
        for (text, kept) in [
            ("C[C@H](Cl)[C@H](Cl)C", 36),  // meso: exchanging the halves mirrors it
            ("C[C@H](Cl)[C@@H](Cl)C", 72), // C₂ symmetry
            ("C/C=C/C", 72),
        ] {
            let molecule = Molecule::from_smiles(text).unwrap();
            let all = automorphisms(&molecule, 1000).permutations;
            assert_eq!(all.len(), 72);
            let found = all
                .iter()
                .filter(|permutation| molecule.stereo.is_kept_by(permutation));
            assert_eq!(found.count(), kept, "{text}");
        }
    }

    #[test]
    fn orbits_tell_apart_what_refinement_does_not() {
        let butane = Molecule::from_smiles("CCCC").unwrap();
        assert_eq!(orbits(&butane)[..5], [0, 1, 1, 0, 4]);
        // Two three-rings and one six-ring: all carbons have one class, but are of two orbits.
        let rings = Molecule::from_smiles("C1CC1.C1CC1.C1CCCCC1").unwrap();
        let classes = crate::classes(&rings);
        assert_eq!(classes[0], classes[6]);
        let orbits = orbits(&rings);
        assert_eq!(orbits[..12], [0, 0, 0, 0, 0, 0, 6, 6, 6, 6, 6, 6]);
    }
}
