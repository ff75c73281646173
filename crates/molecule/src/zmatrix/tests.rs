use std::f64::consts::PI;

use approx::assert_relative_eq;
use nalgebra::Vector3;

use super::*;
use crate::geometry::{angle, dihedral, distance, point};
use crate::{Reflections, embed, superpose};

/// Chains, rings of all sizes, bridges, spiro and fused rings, linear groups, few atoms.
const MOLECULES: &[&str] = &[
    "O",
    "C",
    "CCCC",
    "CC(=O)N[C@@H](C)C(=O)NC",
    "C1CC1",
    "C1CCC1",
    "c1ccccc1",
    "OC1CCCCC1",
    "C1CCCCCCCCCCC1",
    "C1CC2CCC1C2",
    "C1CC2(C1)CCCC2",
    "c1ccc2ccccc2c1",
    "CC#N",
    "CC#CC",
    "CC#CC#CC",
    "C=C=C",
    "CC(C)(C)C#CC1CC1",
    "OS(=O)(=O)N",
    "FS(F)(F)(F)(F)F",
];

fn embedded(smiles: &str) -> (Molecule, Vec<f64>) {
    let molecule = Molecule::from_smiles(smiles).unwrap();
    let positions = embed(&molecule, 1, 1).unwrap().get(0).to_vec();
    (molecule, positions)
}

fn matrix(smiles: &str) -> (Molecule, Vec<f64>, ZMatrix) {
    let (molecule, positions) = embedded(smiles);
    let matrix = ZMatrix::new(&molecule, &positions).unwrap();
    (molecule, positions, matrix)
}

/// Distance, angle and dihedral of each place, or two bends in their stead, as far as it has them.
fn measured(matrix: &ZMatrix, x: &[f64]) -> Vec<[f64; 3]> {
    let measure = |place: &Place| {
        let Place {
            atom,
            references,
            direction,
        } = place;
        let mut found = [0.0; 3];
        if let [i, ..] = references[..] {
            found[0] = distance(x, [*atom, i]);
        }
        if let [i, j, ..] = references[..] {
            found[1] = angle(x, [*atom, i, j]);
        }
        if let [i, j, k] = references[..] {
            found[2] = dihedral(x, [*atom, i, j, k]);
        }
        if *direction == Direction::Straight {
            let [r, theta, phi] = found;
            found = [r, theta.sin() * phi.cos(), theta.sin() * phi.sin()];
        }
        found
    };
    matrix.places().iter().map(measure).collect()
}

/// Positions with these distances, angles and dihedrals.
fn placed(matrix: &ZMatrix, numbers: &[[f64; 3]]) -> Vec<f64> {
    let mut x = vec![0.0; 3 * numbers.len()];
    for (place, &[r, mut theta, mut phi]) in matrix.places().iter().zip(numbers) {
        if place.direction == Direction::Straight {
            (theta, phi) = (PI - theta.hypot(phi).asin(), phi.atan2(theta));
        }
        let at = match place.references[..] {
            [] => Vector3::zeros(),
            [i] => point(&x, i) + Vector3::new(0.0, 0.0, r),
            [i, j] => {
                let axis = (point(&x, j) - point(&x, i)).normalize();
                point(&x, i) + r * (theta.cos() * axis + theta.sin() * Vector3::x())
            }
            [i, j, k] => {
                let axis = (point(&x, j) - point(&x, i)).normalize();
                let beside = point(&x, k) - point(&x, j);
                let beside = (beside - axis * beside.dot(&axis)).normalize();
                let normal = beside.cross(&axis);
                let across = phi.cos() * beside + phi.sin() * normal;
                point(&x, i) + r * (theta.cos() * axis + theta.sin() * across)
            }
            _ => unreachable!("three references at most"),
        };
        x[3 * place.atom..3 * place.atom + 3].copy_from_slice(at.as_slice());
    }
    x
}

fn farthest(x: &[f64], y: &[f64]) -> f64 {
    let mut moved = x.to_vec();
    superpose(x, y, None, Reflections::Excluded).apply(&mut moved);
    moved
        .iter()
        .zip(y)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max)
}

#[test]
fn every_atom_is_placed_once_by_atoms_placed_before_it() {
    for text in MOLECULES {
        let (molecule, _, matrix) = matrix(text);
        let mut seen = vec![false; molecule.len()];
        for (index, place) in matrix.places().iter().enumerate() {
            let Place {
                atom, references, ..
            } = place;
            assert_eq!(references.len(), index.min(3), "{text}: place {index}");
            assert!(
                references.iter().all(|&k| seen[k]),
                "{text}: {references:?}"
            );
            let mut different = references.clone();
            different.sort_unstable();
            different.dedup();
            assert_eq!(different.len(), references.len(), "{text}: {references:?}");
            if let Some(&bonded) = references.first() {
                assert!(molecule.bond(*atom, bonded).is_some(), "{text}");
            }
            assert!(
                !std::mem::replace(&mut seen[*atom], true),
                "{text}: {atom} again"
            );
        }
        assert!(seen.into_iter().all(|seen| seen), "{text}");
    }
}

#[test]
fn the_numbers_give_the_positions_back_with_their_handedness() {
    for text in MOLECULES {
        let (_, x, matrix) = matrix(text);
        let again = placed(&matrix, &measured(&matrix, &x));
        assert!(farthest(&again, &x) < 1e-9, "{text}");
    }
}

#[test]
fn no_dihedral_is_measured_over_a_straight_angle() {
    let mut straight = Vec::new();
    for text in MOLECULES {
        let (_, x, matrix) = matrix(text);
        for Place {
            atom,
            references,
            direction,
        } in matrix.places()
        {
            let bent = |atoms| angle(&x, atoms).sin() >= LEAST_SINE;
            if let [i, j, ..] = references[..] {
                assert_eq!(
                    bent([*atom, i, j]),
                    *direction == Direction::Polar,
                    "{text}"
                );
            }
            if let [i, j, k] = references[..] {
                assert!(bent([i, j, k]), "{text}: {i} {j} {k}");
            }
            if *direction == Direction::Straight {
                straight.push(*text);
            }
        }
    }
    straight.dedup();
    let linear = |text: &&&str| text.contains('#') || text.contains("=C=");
    assert_eq!(
        straight,
        MOLECULES.iter().filter(linear).copied().collect::<Vec<_>>()
    );
}

#[test]
fn a_methyl_group_turns_by_one_number() {
    let (molecule, x, matrix) = matrix("CC(=O)N[C@@H](C)C(=O)NC");
    let mut numbers = measured(&matrix, &x);
    let neighbours = molecule.neighbours();
    // The hydrogens of atom 0, and the one of them whose third reference is not another.
    let hydrogens: Vec<usize> = neighbours[0].iter().copied().filter(|&k| k != 1).collect();
    let turns = |place: &Place| {
        hydrogens.contains(&place.atom) && !hydrogens.contains(&place.references[2])
    };
    let turning: Vec<usize> = (0..numbers.len())
        .filter(|&k| turns(&matrix.places()[k]))
        .collect();
    assert_eq!(turning.len(), 1);
    numbers[turning[0]][2] += 2.0 * PI / 3.0;
    let turned = placed(&matrix, &numbers);
    // All three have gone to another's place and nothing else has moved.
    for (index, &h) in hydrogens.iter().enumerate() {
        for other in 0..molecule.len() {
            let here = distance(&turned, [h, other]);
            let there = (0..3).map(|k| distance(&x, [hydrogens[k], other]));
            if !hydrogens.contains(&other) {
                let nearest = there.map(|there| (here - there).abs());
                let nearest = nearest.fold(f64::INFINITY, f64::min);
                assert!(nearest < 0.2, "hydrogen {index} is {nearest} Å off");
            }
        }
        let [a, b, c, d] = [h, 0, 1, 2];
        let by = dihedral(&turned, [a, b, c, d]) - dihedral(&x, [a, b, c, d]);
        assert_relative_eq!(by.rem_euclid(2.0 * PI), 2.0 * PI / 3.0, epsilon = 1e-9);
    }
    let rest = (0..molecule.len()).filter(|k| !hydrogens.contains(k));
    for i in rest.clone() {
        for j in rest.clone() {
            assert_relative_eq!(
                distance(&turned, [i, j]),
                distance(&x, [i, j]),
                epsilon = 1e-9
            );
        }
    }
}

#[test]
fn the_sign_of_one_dihedral_is_the_handedness_of_a_centre() {
    let [(molecule, left, matrix), (_, right, same)] =
        ["C[C@H](F)Cl", "C[C@@H](F)Cl"].map(self::matrix);
    assert_eq!(matrix, same);
    let [left, right] = [left, right].map(|x| measured(&matrix, &x));
    // Atom 1 is the centre: the dihedral of one of its neighbours to another, over itself.
    let flips = |k: &usize| {
        let Place {
            atom, references, ..
        } = &matrix.places()[*k];
        let around = |k: usize| molecule.bond(1, k).is_some();
        references.len() == 3 && references[0] == 1 && around(*atom) && around(references[2])
    };
    let impropers: Vec<usize> = (0..left.len()).filter(flips).collect();
    assert!(!impropers.is_empty());
    for k in impropers {
        assert!(left[k][2] * right[k][2] < 0.0, "{:?}", matrix.places()[k]);
    }
}

#[test]
fn a_ring_is_closed_by_the_angle_to_the_atom_that_closes_it() {
    for (text, rings) in [
        ("OC1CCCCC1", 1),
        ("C1CCCCCCCCCCC1", 1),
        ("c1ccc2ccccc2c1", 2),
        ("C1CC2(C1)CCCC2", 2),
        ("C1CC2CCC1C2", 2),
        ("CCCC", 0),
    ] {
        let (molecule, _, matrix) = matrix(text);
        // An atom that closes two rings at once is placed by three bonded atoms.
        let closes = |place: &Place| {
            let bonded = |k: &&usize| molecule.bond(place.atom, **k).is_some();
            place
                .references
                .iter()
                .filter(bonded)
                .count()
                .saturating_sub(1)
        };
        let closed: usize = matrix.places().iter().map(closes).sum();
        assert_eq!(closed, rings, "{text}");
    }
}

#[test]
fn few_atoms_have_few_numbers() {
    let count = |text: &str| {
        let (_, _, matrix) = matrix(text);
        matrix
            .places()
            .iter()
            .map(|p| p.references.len())
            .sum::<usize>()
    };
    assert_eq!(
        [count("[He]"), count("[H][H]"), count("O"), count("N")],
        [0, 1, 3, 6]
    );
    assert!(
        ZMatrix::new(&Molecule::default(), &[])
            .unwrap()
            .places()
            .is_empty()
    );
}

#[test]
fn what_is_on_a_line_or_in_pieces_is_refused() {
    for text in ["O=C=O", "C#C", "C#N"] {
        let (molecule, x) = embedded(text);
        let found = ZMatrix::new(&molecule, &x).unwrap_err();
        assert_eq!(found, MoleculeError::Linear { atom: None }, "{text}");
    }
    let salt = Molecule::from_smiles("[Na+].[Cl-]").unwrap();
    let found = ZMatrix::new(&salt, &[0.0, 0.0, 0.0, 2.0, 0.0, 0.0]);
    assert_eq!(found, Err(MoleculeError::Pieces { parts: 2 }));
}

#[test]
fn one_dihedral_goes_round_for_each_bond_that_turns() {
    for (text, bonds) in [
        ("CC", 1),
        ("CCCC", 3),
        ("OC1CCCCC1", 1),
        ("C=CC", 1),
        ("c1ccccc1", 0),
        ("CC#CC", 1),
        ("CC(C)(C)O", 4),
        ("CC(=O)NC", 3),
    ] {
        let (molecule, _, matrix) = matrix(text);
        let turning = matrix.turning(&molecule);
        assert_eq!(turning.len(), bonds, "{text}: {turning:?}");
    }
}

#[test]
fn like_atoms_that_turn_about_one_bond_are_a_rotor() {
    for (smiles, expected) in [
        // Both ends of a chain, and no methylene group, whose centre carries other atoms too.
        ("CCCC", 2),
        ("CC(=O)N[C@@H](C)C(=O)NC", 3),
        ("FC(F)(F)CC", 2),
        ("CC[NH3+]", 2),
        // Two are none.
        ("CC(N)=O", 1),
        // What all else is placed from has no first atom whose dihedral goes round.
        ("CC", 1),
        ("CO", 0),
        ("CCO", 1),
        // Single and double bonds are not alike, nor are charges.
        ("CCS(=O)(=O)[O-]", 1),
        ("CCP(=O)([O-])[O-]", 1),
        // Nothing turns.
        ("c1ccccc1", 0),
        ("O", 0),
    ] {
        let (molecule, positions, matrix) = matrix(smiles);
        let rotors = matrix.rotors(&molecule, &positions).unwrap();
        assert_eq!(rotors.len(), expected, "{smiles}");
        let turning = matrix.turning(&molecule);
        for rotor in rotors {
            assert!(turning.contains(&rotor[0]));
            let atoms = rotor.iter().map(|&place| matrix.places()[place].atom);
            let elements: Vec<Element> = atoms.map(|k| molecule.atoms[k].element).collect();
            assert!(elements.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }
}
