//! Conformers that simulations start from, other than the one that is given.

use boltzflow_energy::{Minimisation, minimise};
use boltzflow_molecule::geometry::{angle, dihedral};
use boltzflow_molecule::{
    Conformers, LEAST_SINE, Molecule, MoleculeError, classes, embed, signed_chirality, turns_freely,
};

use crate::relabelling::{carried, exchanges};
use crate::system::System;

/// The system's own start, and next to it up to `count − 1` embedded conformers at minima of the energy: rings, and torsions that hardly turn, are
/// then in more than one of their states. Each is in the labelling of the start: like atoms, and branches that symmetry exchanges, are on the same
/// sides of their centre, or of a bond that does not turn, as there. What cannot be brought to it, or has no energy, is left out. They are
/// no Boltzmann sample, and depend on nothing but the system, `count` and `seed`.
///
/// # Errors
/// That of [`embed`], bonds of unknown order for example, if no conformer can be embedded.
pub fn starts(system: &System, count: usize, seed: u64) -> Result<Conformers, MoleculeError> {
    let given = system.start.get(0);
    let mut starts = system.start.select(&[0]);
    // Where it has no evaluator the simulation says why.
    let (Some(reference), Ok(mut evaluator)) = (&system.molecule, system.energy.evaluator()) else {
        return Ok(starts);
    };
    let mut molecule = reference.molecule.clone();
    molecule.stereo = reference.stereo.clone();
    let exchanges = all_exchanges(&molecule);
    let sides = sides(&molecule, given);
    let mut failure = None;
    for k in 1..count as u64 {
        let seed = seed.wrapping_mul(count as u64).wrapping_add(k);
        let mut x = match embed(&molecule, seed, 1) {
            Ok(found) => found.into_positions(),
            Err(error) => {
                failure = Some(error);
                continue;
            }
        };
        if minimise(&mut *evaluator, &mut x, &Minimisation::default()).is_err() {
            continue;
        }
        let labelled = exchanges.iter().find_map(|exchange| {
            let exchanged = exchange.iter().flat_map(|&atom| &x[3 * atom..3 * atom + 3]);
            let x = brought(&sides, given, exchanged.copied().collect())?;
            system.has_right_stereo(&x).then_some(x)
        });
        if let Some(x) = labelled {
            starts.push(&x);
        }
    }
    match failure {
        Some(error) if starts.len() == 1 => Err(error),
        _ => Ok(starts),
    }
}

/// The [`exchanges`] of a molecule, none but the identity where a hydrogen is on no heavy atom.
fn all_exchanges(molecule: &Molecule) -> Vec<Vec<usize>> {
    carried(molecule).map_or_else(
        || vec![(0..molecule.len()).collect()],
        |carried| exchanges(molecule, &carried).permutations,
    )
}

/// Where labels tell one side from another.
struct Side {
    kind: Kind,
    /// Like atoms with one neighbour whose exchange changes sides.
    pair: Option<[usize; 2]>,
}

/// What is on one side or on the other.
enum Kind {
    /// The last of these, of the plane of the others: about a centre, or with it.
    Handed([usize; 4]),
    /// The first of these, of the last across a bond that does not turn.
    Across([usize; 4]),
}

impl Side {
    fn of(&self, x: &[f64]) -> bool {
        match self.kind {
            Kind::Handed(atoms) => signed_chirality(x, atoms) > 0.0,
            Kind::Across(atoms) => dihedral(x, atoms).cos() > 0.0,
        }
    }
}

/// All places where like atoms or branches can be on other sides; `x` tells what is on a line.
fn sides(molecule: &Molecule, x: &[f64]) -> Vec<Side> {
    let neighbours = molecule.neighbours();
    let classes = classes(molecule);
    let mut sides = Vec::new();
    for (center, around) in neighbours.iter().enumerate() {
        let kind = |atom: usize| {
            let order = molecule.bond(center, atom).map(|bond| bond.order);
            (classes[atom], molecule.atoms[atom].formal_charge, order)
        };
        let is_leaf = |atom: usize| neighbours[atom].len() == 1;
        let leaves: Vec<usize> = around.iter().copied().filter(|&k| is_leaf(k)).collect();
        let pairs = leaves.iter().enumerate();
        let mut pairs = pairs.flat_map(|(k, &a)| leaves[k + 1..].iter().map(move |&b| [a, b]));
        let pair = pairs.find(|&[a, b]| kind(a) == kind(b));
        match around[..] {
            [a, b, c, d] => sides.push(Side {
                kind: Kind::Handed([a, b, c, d]),
                pair,
            }),
            [a, b, c] if molecule.atoms[center].element.inverts_slowly() => sides.push(Side {
                kind: Kind::Handed([center, a, b, c]),
                pair,
            }),
            [a, b, c] => {
                let across = [[a, b, c], [b, c, a], [c, a, b]]
                    .into_iter()
                    .filter(|&[a, b, other]| {
                        classes[a] == classes[b] && !turns_freely(molecule, [center, other])
                    })
                    .filter_map(|[a, _, other]| {
                        let beyond = beyond(&neighbours, x, [center, other])?;
                        Some(Kind::Across([a, center, other, beyond]))
                    });
                sides.extend(across.map(|kind| Side { kind, pair }));
            }
            _ => {}
        }
    }
    sides
}

/// An atom beyond the second of two, where the bond goes on if that is on a line, that a dihedral about it can be measured to.
fn beyond(neighbours: &[Vec<usize>], x: &[f64], [near, far]: [usize; 2]) -> Option<usize> {
    let (mut before, mut at) = (near, far);
    for _ in 0..neighbours.len() {
        let next = *neighbours[at].iter().find(|&&atom| atom != before)?;
        if angle(x, [before, at, next]).sin() >= LEAST_SINE {
            return Some(next);
        }
        (before, at) = (at, next);
    }
    None
}

/// A conformer with like atoms exchanged so that all sides are as in another, if that can be.
fn brought(sides: &[Side], to: &[f64], mut x: Vec<f64>) -> Option<Vec<f64>> {
    for side in sides {
        if side.of(&x) != side.of(to) {
            let [a, b] = side.pair?;
            (0..3).for_each(|axis| x.swap(3 * a + axis, 3 * b + axis));
        }
    }
    let are_same = sides.iter().all(|side| side.of(&x) == side.of(to));
    are_same.then_some(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use boltzflow_energy::Variant;
    use boltzflow_molecule::ring_substituents;
    use nalgebra::Vector3;

    fn system(smiles: &str) -> System {
        let molecule = Molecule::from_smiles(smiles).unwrap();
        let start = embed(&molecule, 7, 1).unwrap();
        System::mmff(molecule, start, Variant::Mmff94s, 300.0).unwrap()
    }

    #[test]
    fn all_are_in_the_labelling_of_the_first() {
        let none: &[[usize; 4]] = &[];
        for (smiles, fixed) in [
            ("CCCC", none),
            ("CC(C)C(O)C(C)C", none),
            ("C=CC(=O)NC", &[[7, 0, 1, 2]]),
            ("C[C@H](Cl)CC(F)(F)F", none),
            ("C=C", &[[2, 0, 1, 4]]),
            ("C=C=CC", none),
            ("CC(C)=CC", &[[0, 1, 3, 4]]),
            ("CN(C)C(C)=O", &[[0, 1, 3, 5]]),
            ("CS(C)=O", none),
            ("CP(C)C", none),
        ] {
            let system = system(smiles);
            let found = starts(&system, 20, 3).unwrap();
            assert_eq!(found.get(0), system.start.get(0));
            assert_eq!(found.len(), 20, "{smiles}");
            let molecule = &system.molecule.as_ref().unwrap().molecule;
            let neighbours = molecule.neighbours();
            // Every atom with four neighbours, by a formula of its own, and every bond.
            let point = |x: &[f64], k: usize| Vector3::from_column_slice(&x[3 * k..3 * k + 3]);
            let handed = |x: &[f64]| -> Vec<bool> {
                let four = neighbours.iter().filter(|around| around.len() == 4);
                four.map(|around| {
                    let [p, q, r] = [0, 1, 2].map(|k| point(x, around[k]) - point(x, around[3]));
                    p.dot(&q.cross(&r)) > 0.0
                })
                .collect()
            };
            for x in &found {
                assert_eq!(handed(x), handed(found.get(0)), "{smiles}");
                let dihedrals = |x: &[f64]| -> Vec<f64> {
                    let turns = fixed.iter().map(|&atoms| dihedral(x, atoms).cos());
                    turns.map(f64::signum).collect()
                };
                assert_eq!(dihedrals(x), dihedrals(found.get(0)), "{smiles}");
                for bond in &molecule.bonds {
                    let [a, b] = bond.atoms;
                    let length = (point(x, a) - point(x, b)).norm();
                    assert!(length < 2.0, "{smiles}: {a}–{b} is {length} Å long");
                }
            }
        }
    }

    #[test]
    fn both_chairs_of_a_ring_are_among_them_and_a_toy_has_its_own_start_only() {
        let system = system("OC1CCCCC1");
        let found = starts(&system, 30, 3).unwrap();
        let torsion = ring_substituents(&system.molecule.as_ref().unwrap().molecule)[0];
        let is_axial = |x: &[f64]| dihedral(x, torsion).abs() < 1.7;
        let axial = found.iter().filter(|x| is_axial(x)).count();
        assert!((3..27).contains(&axial), "{axial} of {}", found.len());
        let same = starts(&system, 30, 3).unwrap();
        assert_eq!(found.positions(), same.positions());
        assert_eq!(starts(&system, 1, 3).unwrap().len(), 1);
    }

    #[test]
    fn branches_that_are_alike_are_exchanged_whole() {
        // Both methyl groups of an isopropyl group, and the halves of the chain.
        let system = system("CC(C)C(O)C(C)C");
        let molecule = &system.molecule.as_ref().unwrap().molecule;
        let all = all_exchanges(molecule);
        assert_eq!(all.len(), 8);
        let mixed = all.iter().map(|exchange| {
            let x = system.start.get(0);
            let x: Vec<f64> = exchange
                .iter()
                .flat_map(|&k| x[3 * k..3 * k + 3].to_vec())
                .collect();
            let start = system.start.get(0);
            brought(&sides(molecule, start), start, x).is_some()
        });
        // All others change the handedness of labels at one centre or more.
        assert_eq!(mixed.filter(|found| *found).count(), 1);
    }
}
