use super::states::MOST_STATES;
use super::*;
use crate::testing::{Markov, weighted_states};
use crate::torsion::Kind;

fn torsion() -> Torsion {
    Torsion {
        name: "a torsion".to_owned(),
        atoms: [0, 1, 2, 3],
        kind: Kind::Staggered,
    }
}

/// Two staggered torsions, whose 9 joint states have the populations `p`; the flow's samples are weighted, of `flow`, and the reference is four
/// chains in turn.
fn pentane(flow: &[f64; 9], p: &[f64; 9], seed: u64) -> (Weights, [Vec<usize>; 2]) {
    let (weights, states) = weighted_states(flow, 4000, seed);
    let run = Markov {
        p,
        stay: 0.8,
        chains: 4,
    };
    (weights, [states, run.run(80_000, 1000 + seed)])
}

const PENTANE: [f64; 9] = [0.4, 0.13, 0.13, 0.13, 0.04, 0.0, 0.13, 0.0, 0.04];

/// The middle of the joint state's well, of each torsion.
fn angle(state: usize, torsion: usize) -> f64 {
    let well = if torsion == 0 { state / 3 } else { state % 3 };
    [180.0_f64, 60.0, -60.0][well].to_radians()
}

fn compared(
    (weights, [flow, reference]): &(Weights, [Vec<usize>; 2]),
    torsions: usize,
) -> RotamerComparison {
    let torsion = torsion();
    let angles = |states: &[usize], torsion: usize| {
        states.iter().map(|state| angle(*state, torsion)).collect()
    };
    let all: Vec<Angles> = (0..torsions)
        .map(|number| Angles {
            torsion: &torsion,
            flow: angles(flow, number),
            reference: angles(reference, number),
        })
        .collect();
    let all: Vec<&Angles> = all.iter().collect();
    RotamerComparison::new(&all, weights, &Bootstrap::default(), f64::INFINITY).unwrap()
}

#[test]
fn p_is_uniform_over_joint_states() {
    let n = 100;
    let found = (0..n).map(|seed| compared(&pentane(&PENTANE, &PENTANE, seed), 2));
    let found: Vec<RotamerComparison> = found.collect();
    let p = found.iter().map(|found| found.chi_squared.unwrap().p);
    let mean = p.clone().sum::<f64>() / n as f64;
    // The mean of n uniform numbers is .5 ± .29/√n.
    assert!((mean - 0.5).abs() < 3.0 * 0.29 / 10.0, "{mean}");
    assert!(p.filter(|p| *p < 0.05).count() <= 12);
    assert!(
        found
            .iter()
            .all(|found| (found.possible, found.seen) == (9, 7))
    );
    assert!(
        found
            .iter()
            .all(|found| found.chi_squared.unwrap().degrees == 6)
    );
    // Every well is covered in 95 of 100.
    let states = found.iter().flat_map(|found| &found.states);
    let covered = states.clone().filter(|state| state.covered).count() as f64;
    let share = covered / states.count() as f64;
    assert!((share - 0.95).abs() < 0.03, "{share}");
}

#[test]
fn states_have_their_populations_and_names() {
    let found = compared(&pentane(&PENTANE, &PENTANE, 1), 2);
    let names: Vec<&str> = found.states.iter().map(|state| &state.name[..]).collect();
    assert_eq!(names[0], "trans, trans");
    assert_eq!(names[6], "gauche−, gauche−");
    for (state, p) in found
        .states
        .iter()
        .zip(PENTANE.iter().filter(|p| **p > 0.0))
    {
        assert!((state.flow.value - p).abs() < 4.0 * state.flow.error);
        assert!((state.reference.value - p).abs() < 4.0 * state.reference.error);
        let expected = (state.flow.value - state.reference.value)
            / state.flow.error.hypot(state.reference.error);
        assert!((state.z - expected).abs() < 1e-9);
        assert!(!state.rare && (state.covered == (state.z.abs() <= 1.96)));
    }
    let alone = compared(&pentane(&PENTANE, &PENTANE, 1), 1);
    let sum: f64 = alone.states.iter().map(|state| state.flow.value).sum();
    assert!((alone.states.len() == 3) && (sum - 1.0).abs() < 1e-12);
}

#[test]
fn a_missing_state_is_no_rare_one() {
    let mut without = PENTANE;
    without[4] = 0.0;
    without[0] += 0.04;
    let found = compared(&pentane(&without, &PENTANE, 3), 2);
    let state = &found.states[4];
    assert_eq!((state.flow.value, state.rare), (0.0, false));
    assert!(state.z < -6.0 && !state.covered);
    assert!(found.chi_squared.unwrap().p < 1e-6);
    // Nor one that the reference lacks and should have seen.
    let found = compared(&pentane(&PENTANE, &without, 3), 2);
    assert!(found.states[4].z > 6.0 && found.chi_squared.unwrap().p < 1e-6);
}

#[test]
fn what_either_side_may_miss_by_chance_is_pooled() {
    let mut p = PENTANE;
    (p[5], p[7], p[0]) = (2e-4, 3e-4, 0.3995);
    let found = (0..10).map(|seed| compared(&pentane(&p, &p, seed), 2));
    for found in found {
        assert!(found.pooled == found.seen - 7, "{}", found.pooled);
        let test = found.chi_squared.unwrap();
        assert!(test.degrees == 6 && test.p > 1e-3, "{test:?}");
    }
}

#[test]
fn a_torsion_of_one_state_has_no_test() {
    let weights = Weights::equal(500).unwrap();
    let found = compared(&(weights, [vec![0; 500], vec![0; 800]]), 1);
    assert_eq!((found.chi_squared, found.seen, found.pooled), (None, 1, 0));
    assert!(
        found
            .states
            .iter()
            .all(|state| state.z == 0.0 && state.covered)
    );
}

#[test]
fn a_run_that_has_hardly_left_a_state_may_have_missed_another() {
    let (weights, flow) = weighted_states(&[0.996, 0.002, 0.002], 20_000, 1);
    // Two visits of one frame each, of a slow torsion that should be elsewhere 320 times.
    let mut reference = vec![0; 80_000];
    (reference[30_000], reference[50_000]) = (1, 2);
    let of_size = |most: f64| {
        let torsion = torsion();
        let angles = Angles {
            torsion: &torsion,
            flow: flow.iter().map(|state| angle(*state, 1)).collect(),
            reference: reference.iter().map(|state| angle(*state, 1)).collect(),
        };
        RotamerComparison::new(&[&angles], &weights, &Bootstrap::default(), most).unwrap()
    };
    assert!(of_size(f64::INFINITY).chi_squared.unwrap().p < 1e-3);
    let known = of_size(500.0);
    assert_eq!((known.chi_squared, known.pooled), (None, 2));
    assert!(known.states.iter().all(|state| state.covered));
}

#[test]
fn more_states_than_can_be_told_apart_are_pooled() {
    let torsion = torsion();
    let side = |count: usize, seed: u64| -> Vec<Vec<f64>> {
        let states = |k: u64| {
            Markov {
                p: &[0.6, 0.2, 0.2],
                stay: 0.0,
                chains: 1,
            }
            .run(count, 100 * seed + k)
        };
        (0..7)
            .map(|k| states(k).into_iter().map(|state| angle(state, 1)).collect())
            .collect()
    };
    let (flow, reference) = (side(5000, 1), side(9000, 2));
    let angles: Vec<Angles> = flow
        .into_iter()
        .zip(reference)
        .map(|(flow, reference)| Angles {
            torsion: &torsion,
            flow,
            reference,
        })
        .collect();
    let all: Vec<&Angles> = angles.iter().collect();
    let found = RotamerComparison::new(
        &all,
        &Weights::equal(5000).unwrap(),
        &Bootstrap::default(),
        f64::INFINITY,
    )
    .unwrap();
    assert_eq!((found.possible, found.states.len()), (2187, MOST_STATES));
    assert!(found.seen > 1000 && found.pooled > 1000);
    let test = found.chi_squared.unwrap();
    assert_eq!(test.degrees, found.seen - found.pooled);
    assert!(test.p > 1e-3 && test.p < 0.999, "{test:?}");
}
