#![expect(clippy::float_cmp, reason = "lanes are compared bit for bit")]

use std::path::Path;

use approx::assert_relative_eq;

use super::*;
use crate::check::cloud;
use crate::prmtop::tests::{five_atoms, text};

const ALL: [Implicit; 4] = [
    Implicit::Vacuum,
    Implicit::Hct,
    Implicit::Obc1,
    Implicit::Obc2,
];

fn energy(implicit: Implicit) -> AmberEnergy {
    let prmtop = Prmtop::parse(&text(&five_atoms()), Path::new("five.prmtop")).unwrap();
    AmberEnergy::new(&prmtop, implicit).unwrap()
}

/// A geometry near the minimum, disturbed.
fn geometry(seed: u64) -> Vec<f64> {
    let mut x = vec![
        -0.9, 0.3, 0.1, 0.0, 0.0, 0.0, 1.4, 0.1, 0.0, 1.8, 1.0, 0.4, 1.8, -0.5, 0.9,
    ];
    x.iter_mut()
        .zip(cloud(5, 3, 0.08, seed))
        .for_each(|(x, d)| *x += d);
    x
}

fn levels() -> Vec<Level> {
    let mut levels = vec![Level::Portable];
    #[cfg(target_arch = "x86_64")]
    {
        let best = Level::detect();
        if best != Level::Portable {
            levels.push(Level::Avx2);
        }
        if best == Level::Avx512 {
            levels.push(Level::Avx512);
        }
    }
    levels
}

/// Central differences with Richardson's extrapolation, of one term.
fn slope(energy: &AmberEnergy, x: &[f64], k: usize, term: usize) -> f64 {
    let at = |offset: f64| {
        let mut moved = x.to_vec();
        moved[k] += offset;
        energy.terms(&moved).unwrap()[term].1
    };
    let central = |h: f64| (at(h) - at(-h)) / (2.0 * h);
    (4.0 * central(5e-4) - central(1e-3)) / 3.0
}

#[test]
fn the_gradient_is_the_slope_of_the_sum_of_the_terms() {
    for implicit in ALL {
        let energy = energy(implicit);
        for seed in 0..4 {
            let x = geometry(seed);
            let mut gradient = vec![0.0; x.len()];
            energy
                .evaluator()
                .unwrap()
                .evaluate(&x, &mut gradient)
                .unwrap();
            let scale = gradient.iter().fold(1.0_f64, |scale, g| scale.max(g.abs()));
            let terms = energy.terms(&x).unwrap().len();
            for k in 0..x.len() {
                let expected: f64 = (0..terms).map(|term| slope(&energy, &x, k, term)).sum();
                assert!(
                    (gradient[k] - expected).abs() < 1e-7 * scale,
                    "{implicit:?}, {k}: {} for {expected}",
                    gradient[k]
                );
            }
        }
    }
}

/// Energies of which only one kind of term is left.
#[test]
fn the_gradient_of_each_term_alone_is_its_slope() {
    let full = || Prmtop::parse(&text(&five_atoms()), Path::new("five.prmtop")).unwrap();
    for term in 0..7 {
        let prmtop = full();
        let mut tables = Tables::new(&prmtop, &prmtop.spheres().unwrap(), Implicit::Obc2);
        let keep = |index: usize| index == term;
        if !keep(kernel::BOND) {
            tables.bonds.clear();
        }
        if !keep(kernel::ANGLE) {
            tables.angles.clear();
        }
        if !keep(kernel::TORSION) {
            tables.torsions.clear();
        }
        for pair in &mut tables.pairs {
            if !keep(kernel::LENNARD_JONES) {
                (pair.repulsion, pair.dispersion) = (0.0, 0.0);
            }
            if !keep(kernel::COULOMB) {
                pair.coulomb = 0.0;
            }
            if !keep(kernel::BORN) {
                pair.born = 0.0;
            }
        }
        for sphere in &mut tables.spheres {
            if !keep(kernel::BORN) {
                sphere.own = 0.0;
            }
            if !keep(kernel::SURFACE) {
                sphere.surface = 0.0;
            }
        }
        let energy = AmberEnergy {
            tables,
            implicit: Implicit::Obc2,
        };
        let x = geometry(5);
        let terms = energy.terms(&x).unwrap();
        assert!(
            terms
                .iter()
                .enumerate()
                .all(|(index, (_, value))| (*value != 0.0) == keep(index)),
            "{terms:?}"
        );
        let mut gradient = vec![0.0; x.len()];
        energy
            .evaluator()
            .unwrap()
            .evaluate(&x, &mut gradient)
            .unwrap();
        let scale = gradient.iter().fold(0.0_f64, |scale, g| scale.max(g.abs()));
        for k in 0..x.len() {
            let expected = slope(&energy, &x, k, term);
            assert!(
                (gradient[k] - expected).abs() < 1e-7 * scale,
                "{}, {k}: {} for {expected}",
                terms[term].0,
                gradient[k]
            );
        }
    }
}

#[test]
fn rigid_motions_leave_the_energy() {
    for implicit in ALL {
        let energy = energy(implicit);
        let mut evaluator = energy.evaluator().unwrap();
        let x = geometry(1);
        let mut gradient = vec![0.0; x.len()];
        let before = evaluator.evaluate(&x, &mut gradient).unwrap();
        for axis in 0..3 {
            let force: f64 = gradient.iter().skip(axis).step_by(3).sum();
            assert!(force.abs() < 1e-10, "{force}");
        }
        let (sin, cos) = 1.1_f64.sin_cos();
        let moved: Vec<f64> = x
            .chunks_exact(3)
            .flat_map(|p| {
                [
                    cos * p[0] - sin * p[2] + 4.0,
                    p[1] - 2.0,
                    sin * p[0] + cos * p[2],
                ]
            })
            .collect();
        assert_relative_eq!(
            evaluator.evaluate(&moved, &mut gradient).unwrap(),
            before,
            epsilon = 1e-10
        );
    }
}

#[test]
fn a_conformer_has_the_same_bits_alone_and_in_any_batch() {
    for implicit in ALL {
        let energy = energy(implicit);
        for level in levels() {
            let mut evaluator = energy.evaluator_at(level);
            let all: Vec<f64> = (0..21).flat_map(geometry).collect();
            for count in [1, 2, 3, 8, 9, 21] {
                let x = &all[..count * 15];
                let mut together = vec![0.0; x.len()];
                let energies = evaluator.evaluate_batch(x, &mut together, 15);
                assert_eq!(energies.len(), count);
                for (index, (x, together)) in x
                    .chunks_exact(15)
                    .zip(together.chunks_exact(15))
                    .enumerate()
                {
                    let mut alone = [0.0; 15];
                    let energy = evaluator.evaluate(x, &mut alone).unwrap();
                    assert_eq!(
                        energy.to_bits(),
                        energies[index].clone().unwrap().to_bits(),
                        "{level:?} {implicit:?}"
                    );
                    assert_eq!(alone, together, "{level:?} {implicit:?}");
                }
            }
        }
    }
}

#[test]
fn all_instruction_sets_agree() {
    for implicit in ALL {
        let energy = energy(implicit);
        let x: Vec<f64> = (0..8).flat_map(geometry).collect();
        let results: Vec<_> = levels()
            .into_iter()
            .map(|level| {
                let mut gradients = vec![0.0; x.len()];
                (
                    energy
                        .evaluator_at(level)
                        .evaluate_batch(&x, &mut gradients, 15),
                    gradients,
                )
            })
            .collect();
        for (energies, gradients) in &results[1..] {
            for (a, b) in energies.iter().zip(&results[0].0) {
                assert_relative_eq!(a.clone().unwrap(), b.clone().unwrap(), max_relative = 1e-12);
            }
            for (a, b) in gradients.iter().zip(&results[0].1) {
                assert_relative_eq!(*a, *b, epsilon = 1e-9);
            }
        }
    }
}

#[test]
fn one_impossible_conformer_spares_its_neighbours() {
    let energy = energy(Implicit::Obc2);
    let mut x: Vec<f64> = (0..8).flat_map(geometry).collect();
    let apart = x[3 * 15..3 * 15 + 3].to_vec();
    x[3 * 15 + 9..3 * 15 + 12].copy_from_slice(&apart);
    let mut gradients = vec![0.0; x.len()];
    let energies = energy
        .evaluator()
        .unwrap()
        .evaluate_batch(&x, &mut gradients, 15);
    for (index, energy) in energies.iter().enumerate() {
        assert_eq!(energy.is_err(), index == 3, "{energy:?}");
    }
    assert!(
        gradients[..45]
            .iter()
            .chain(&gradients[60..])
            .all(|g| g.is_finite())
    );
}

#[test]
fn an_atom_far_away_has_the_born_energy_of_its_own_sphere() {
    let energy = energy(Implicit::Obc1);
    let near = geometry(0);
    let mut x = near.clone();
    x.chunks_exact_mut(3)
        .enumerate()
        .for_each(|(atom, point)| point[0] += 1e6 * atom as f64);
    let terms = energy.terms(&x).unwrap();
    let expected: f64 = energy
        .tables
        .spheres
        .iter()
        .map(|s| s.own / s.reduced)
        .sum();
    let born = terms.iter().find(|(name, _)| *name == "born").unwrap().1;
    assert_relative_eq!(born, expected, max_relative = 1e-4);
}

#[test]
fn coordinates_of_another_molecule_are_refused() {
    let energy = energy(Implicit::Vacuum);
    let expected = EnergyError::Size {
        expected: 15,
        found: 12,
    };
    assert_eq!(
        energy
            .evaluator()
            .unwrap()
            .evaluate(&[0.0; 12], &mut [0.0; 12]),
        Err(expected.clone())
    );
    assert_eq!(energy.terms(&[0.0; 12]), Err(expected));
}
