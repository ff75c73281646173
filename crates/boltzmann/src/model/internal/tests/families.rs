//! What holds of the flows of all families.

use std::f64::consts::FRAC_1_SQRT_2;

use boltzflow_flow::simd::Level;

use super::*;
use crate::checkpoint::{Checkpoint, Description, FORMAT};
use crate::optimizer::AdamW;
use crate::sampling;
use crate::training::{Pool, Progress};

/// An experiment of each family.
fn families() -> Vec<Config> {
    let bump = Elementwise::Bump { ramps: 2 };
    let all = [
        (Elementwise::Additive, Scheme::Coupling),
        (Elementwise::Affine, Scheme::Coupling),
        (Elementwise::Affine, Scheme::Maf),
        (Elementwise::Affine, Scheme::Iaf),
        (SPLINE, Scheme::Coupling),
        (SPLINE, Scheme::Maf),
        (SPLINE, Scheme::Iaf),
        (bump, Scheme::Coupling),
        (bump, Scheme::Maf),
        (bump, Scheme::Iaf),
    ];
    let all = all.map(|(map, scheme)| experiment(map, scheme, Stiffness::Whitened));
    // The affine coupling among them has linear maps between.
    let mut plain = experiment(Elementwise::Affine, Scheme::Coupling, Stiffness::Scaled);
    internal_config(&mut plain).between = Between::Nothing;
    let attentive = [Elementwise::Additive, Elementwise::Affine, SPLINE, bump].map(attentive);
    all.into_iter().chain([plain]).chain(attentive).collect()
}

fn internal_config(config: &mut Config) -> &mut InternalConfig {
    let ModelConfig::Internal(model) = &mut config.model else {
        panic!("an experiment with a flow of internal coordinates was made")
    };
    model
}

/// A flow of each family that is not the identity, those that are fitted among them, with a name.
fn flows(system: &System, data: &Conformers) -> Vec<(String, Model)> {
    let learnt = families().into_iter().map(|mut config| {
        let made = model(&config, system, data);
        let InternalConfig {
            map,
            scheme,
            between,
            network,
            ..
        } = internal_config(&mut config);
        (format!("{map:?} {scheme:?} {between:?} {network:?}"), made)
    });
    let fitted = [Dependence::Independent, Dependence::Copula].map(|dependence| {
        let (made, _) = fitted(dependence, system, data);
        (format!("{dependence:?}"), made)
    });
    learnt.chain(fitted).collect()
}

fn log_q(model: &Model, conformers: &Conformers) -> Vec<f64> {
    let drawn = sampling::density(model, conformers, 0, sampling::CHUNK, |_| ());
    drawn.unwrap().log_q()
}

fn drawn(model: &Model, seed: u64, count: u64) -> Conformers {
    let drawn = model.sample(&Samples::consecutive(seed, 0..count)).unwrap();
    Conformers::new(model.points(), 3, drawn.positions)
}

/// With a chain, with a ring that is closed, and with atoms on a line.
#[test]
fn samples_have_the_log_density_that_they_were_drawn_with() {
    for smiles in ["CC(O)CC", "OC1CCCC1", "CC#CC"] {
        let (system, data) = vibrating(smiles, 100);
        for (name, model) in flows(&system, &data) {
            let samples = Samples::consecutive(7, 0..20);
            let drawn = model.sample(&samples).unwrap();
            let found = model.density(&drawn.positions, &samples).unwrap();
            // A flow that has learnt nothing may turn a stiff dihedral too far: such a sample has no density.
            let (log_q, again) = (drawn.log_q(), found.log_q());
            let pairs = log_q.iter().zip(&again).filter(|(a, _)| a.is_finite());
            assert!(pairs.clone().count() > 12, "{smiles} {name}: {log_q:?}");
            // Attention, and what is fitted, are in single precision.
            let single = name.contains("Attention") || !name.contains(' ');
            let most = if single { 2e-2 } else { 1e-6 };
            for (a, b) in pairs {
                assert!((a - b).abs() < most, "{smiles} {name}: {a} and {b}");
            }
            for x in drawn.positions.chunks(model.points() * 3) {
                for axis in 0..3 {
                    let mean: f64 = x.iter().skip(axis).step_by(3).sum();
                    assert!(mean.abs() < 1e-9);
                }
            }
        }
    }
}

#[test]
fn the_density_is_that_of_positions_in_any_frame() {
    let (system, data) = vibrating("CCO", 60);
    for (name, model) in flows(&system, &data) {
        let here = drawn(&model, 7, 10);
        let mut turned = here.clone();
        for x in turned.positions_mut().chunks_mut(3) {
            // About z by an eighth of a turn, about x by another, and away.
            let (a, b) = (FRAC_1_SQRT_2 * (x[0] - x[1]), FRAC_1_SQRT_2 * (x[0] + x[1]));
            let (b, c) = (FRAC_1_SQRT_2 * (b - x[2]), FRAC_1_SQRT_2 * (b + x[2]));
            x.copy_from_slice(&[a + 1.5, b - 2.5, c + 0.5]);
        }
        let pairs = log_q(&model, &here).into_iter().zip(log_q(&model, &turned));
        let pairs = pairs.filter(|(a, _)| a.is_finite());
        assert!(pairs.clone().count() > 5, "{name}");
        for (a, b) in pairs {
            assert!((a - b).abs() < 1e-4, "{name}: {a} and {b}");
        }
    }
}

#[test]
fn handedness_is_kept_by_construction() {
    let (system, data) = vibrating("C[C@H](O)CC", 60);
    for (name, model) in flows(&system, &data) {
        assert_eq!(model.architecture().mirror(), Mirror::One, "{name}");
        let samples = Samples::consecutive(2, 0..20);
        let drawn = model.sample(&samples).unwrap();
        let here = Conformers::new(model.points(), 3, drawn.positions.clone());
        assert!(here.iter().all(|x| system.has_right_stereo(x)), "{name}");
        // Mirror images are outside, and are not folded in.
        let mut mirrored = here.clone();
        let size = here.size();
        let images = mirrored.positions_mut().chunks_mut(size);
        images.for_each(geometry::mirror);
        let none = log_q(&model, &mirrored);
        assert!(none.iter().all(|x| *x == f64::NEG_INFINITY), "{name}");
        assert!(model.reachable(&mirrored).unwrap().is_empty(), "{name}");
        let ensemble = system.reweight(&drawn, Mirror::One).unwrap();
        assert_eq!(ensemble.reflected, 0);
        for (a, b) in ensemble.log_q.iter().zip(drawn.log_q()) {
            assert!(*a == b || b.is_nan());
        }
    }
}

/// Labels are told apart: as in a simulation the two hydrogens of a methylene group do not change places.
#[test]
fn exchanged_hydrogens_of_a_methylene_group_have_as_good_as_no_density() {
    let (system, data) = vibrating_in_one_labelling("CCO", 60);
    let molecule = &system.molecule.as_ref().unwrap().molecule;
    let on = molecule.neighbours();
    let oxygen = molecule.elements().position(|e| e.symbol() == "O").unwrap();
    let carbon = *on[oxygen].iter().find(|&&k| on[k].len() == 4).unwrap();
    let pair = on[carbon].iter().filter(|&&k| on[k].len() == 1);
    let pair: Vec<usize> = pair.copied().collect();
    for (name, model) in flows(&system, &data) {
        let here = drawn(&model, 3, 10);
        let mut exchanged = here.clone();
        for k in 0..exchanged.len() {
            let x = exchanged.get_mut(k);
            (0..3).for_each(|axis| x.swap(3 * pair[0] + axis, 3 * pair[1] + axis));
        }
        let finite = |x: &f64| x.is_finite();
        let found: Vec<f64> = log_q(&model, &here).into_iter().filter(finite).collect();
        assert!(found.len() > 5, "{name}");
        // Affine maps have no bounds to be outside of, but far tails.
        let least = found.into_iter().fold(f64::INFINITY, f64::min);
        let none = log_q(&model, &exchanged);
        assert!(none.iter().all(|x| *x < least - 100.0), "{name}: {none:?}");
    }
}

#[test]
fn written_and_read_back_a_flow_gives_the_same_samples_to_the_bit() {
    let (system, data) = vibrating("CCO", 60);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flow.safetensors");
    for config in families() {
        let model = model(&config, &system, &data);
        let checkpoint = Checkpoint {
            description: Description {
                format: FORMAT,
                version: "0".to_owned(),
                simd: Level::current(),
                processor: Level::detected(),
                device: "cpu".to_owned(),
                data: String::new(),
                from: None,
                target: system.name.clone(),
                atoms: Vec::new(),
                config,
                architecture: model.architecture().clone(),
            },
            optimizer: AdamW::new(model.parameters()),
            progress: Progress {
                best: f64::INFINITY,
                waited: 0,
                prepared: 0,
            },
            pool: Pool::default(),
        };
        checkpoint.write(&path).unwrap();
        let read = Checkpoint::read(&path).unwrap();
        let again = read.model(&Device::flex()).unwrap();
        let samples = Samples::consecutive(9, 0..20);
        let (here, there) = (model.sample(&samples), again.sample(&samples));
        let (here, there) = (here.unwrap(), there.unwrap());
        let bits = |values: &[f64]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&here.positions), bits(&there.positions));
        assert_eq!(bits(&here.log_q()), bits(&there.log_q()));
    }
}

/// Their halves alternate.
#[test]
fn two_couplings_change_every_coordinate() {
    let (system, data) = vibrating("CC(O)CC", 60);
    for map in [Elementwise::Additive, Elementwise::Affine] {
        let mut config = experiment(map, Scheme::Coupling, Stiffness::Scaled);
        internal_config(&mut config).between = Between::Nothing;
        let model = model(&config, &system, &data);
        let flow = internal(&model);
        let latents = flow.latents(&Samples::consecutive(7, 0..1));
        let (y, _) = flow
            .chain
            .forward(flow.batch(&latents), &flow.context)
            .unwrap();
        let same = host(y)
            .into_iter()
            .zip(latents)
            .filter(|(y, z)| y == z)
            .count();
        assert_eq!(same, 0, "{map:?}");
    }
}
