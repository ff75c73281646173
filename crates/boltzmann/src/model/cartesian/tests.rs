use boltzflow_flow::{
    Divergence, Edges, Method, Noise, Profile, Regularization, Schedule, Solver, Symmetry as Handed,
};
use burn::tensor::Device;

use super::*;
use crate::config::{Alike, FieldConfig, Objective, Pairing, TrainingConfig};
use crate::model::{Architecture, FlowArchitecture, Mirror, Model};
use crate::pairing::Symmetry;
use crate::temperatures::TrainingData;
use crate::testing::training;
use crate::training::Training;

const FIELDS: [FieldConfig; 6] = [
    FieldConfig::Egnn {
        width: 8,
        layers: 2,
        channels: 2,
        edges: Edges::Initial,
    },
    FieldConfig::Kernel {
        profile: Profile::Mixture,
        functions: 6,
        span: [-3.0, 3.0],
        times: 3,
    },
    FieldConfig::Kernel {
        profile: Profile::Perceptron {
            width: 8,
            layers: 1,
        },
        functions: 6,
        span: [-3.0, 3.0],
        times: 3,
    },
    FieldConfig::Hollow {
        width: 8,
        layers: 2,
    },
    FieldConfig::Transformer {
        width: 8,
        heads: 2,
        layers: 2,
        radial: 8,
        symmetry: Handed::Full,
    },
    FieldConfig::Transformer {
        width: 8,
        heads: 2,
        layers: 2,
        radial: 8,
        symmetry: Handed::Rotations,
    },
];

/// A bent chain of four atoms of two kinds.
fn features() -> Features {
    Features {
        points: 4,
        dims: 3,
        elements: vec![6, 6, 8, 1],
        bonds: vec![[0, 1], [1, 2], [2, 3]],
        classes: vec![0, 1, 2, 3],
    }
}

fn data() -> Conformers {
    let shapes = (0..40).map(|k| {
        let bend = 0.1 * f64::from(k % 7);
        [
            0.0,
            0.0,
            0.0,
            1.5,
            0.0,
            bend,
            2.0,
            1.3,
            0.0,
            2.9,
            1.3 + bend,
            0.4,
        ]
    });
    Conformers::new(4, 3, shapes.flatten().collect())
}

fn model(field: FieldConfig, noise: Covariance) -> Model {
    let data = data();
    let symmetry = Symmetry::List(vec![vec![0, 1, 2, 3]]);
    let architecture = Architecture {
        features: features(),
        flow: FlowArchitecture::Cartesian(Cartesian {
            model: CartesianConfig {
                field,
                noise,
                schedule: Schedule { rate: 1.0 },
                alike: Alike::None,
                solver: Solver {
                    method: Method::Rk4,
                    steps: Steps::Fixed { count: 12 },
                    divergence: Divergence::Exact,
                },
            },
            scale: natural_scale(&data),
            distances: PairStatistics::of(&data, natural_scale(&data), &symmetry),
        }),
    };
    Model::new(architecture, 1, &Device::flex()).unwrap()
}

/// The same with parameters that are not those of the start near zero.
fn moved(model: Model) -> Model {
    let parameters = model.parameters();
    let moved = parameters.iter().enumerate();
    let moved: Vec<f32> = moved.map(|(k, w)| w + 0.1 * (k as f32).sin()).collect();
    model.with_parameters(&moved)
}

#[test]
fn samples_of_every_field_have_the_density_that_they_are_given() {
    for field in FIELDS {
        for noise in [Covariance::Data, Covariance::Harmonic] {
            let model = moved(model(field, noise));
            let samples = Samples::consecutive(3, 0..5);
            let drawn = model.sample(&samples).unwrap();
            let found = model.density(&drawn.positions, &samples).unwrap();
            for (drawn, found) in drawn.log_q().into_iter().zip(found.log_q()) {
                assert!(drawn.is_finite());
                assert!(
                    (drawn - found).abs() < 2e-3,
                    "{field:?}: {drawn} and {found}"
                );
            }
        }
    }
}

#[test]
fn a_field_that_tells_mirror_images_apart_makes_one_of_them() {
    for field in FIELDS {
        let expected = match field.symmetry() {
            Handed::Full => Mirror::Both,
            Handed::Rotations => Mirror::One,
        };
        let model = moved(model(field, Covariance::Data));
        assert_eq!(model.architecture().mirror(), expected);
        let samples = Samples::consecutive(3, 0..5);
        let drawn = model.sample(&samples).unwrap();
        let reflected: Vec<f64> = drawn.positions.iter().map(|x| -x).collect();
        let found = model.density(&reflected, &samples).unwrap();
        let pairs = drawn.log_q().into_iter().zip(found.log_q());
        let apart = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert_eq!(apart < 2e-3, expected == Mirror::Both, "{field:?}: {apart}");
    }
}

#[test]
fn every_field_learns_by_both_objectives() {
    let through_solve = Objective::LikelihoodThroughSolve {
        steps: 3,
        divergence: Divergence::Hutchinson {
            probes: 1,
            noise: Noise::Rademacher,
        },
        // Without it one of the fields learns what three steps add up wrongly.
        regularization: Regularization {
            kinetic: 0.01,
            jacobian: 0.01,
        },
    };
    let matching = Objective::FlowMatching {
        pairing: Pairing::Aligned,
        improvement: None,
    };
    let system = System::toy("lj:4,1,1".parse().unwrap(), 1.0).unwrap();
    let data = TrainingData::at(data(), 1.0);
    for field in FIELDS {
        for objective in [matching, through_solve] {
            let config = TrainingConfig {
                steps: 30,
                batch: 16,
                learning_rate: 5e-3,
                warm_up: 2,
                average: 0.5,
                validation: 0.25,
                validate_every: 1,
                ..training(objective)
            };
            let model = model(field, Covariance::Data);
            let mut training = Training::new(model, &config, &data, &system).unwrap();
            let losses = (0..30).filter_map(|_| training.advance().validation);
            let losses: Vec<f64> = losses.collect();
            let (first, last) = (losses[0], losses[29]);
            assert!(
                last < first,
                "{field:?} by {objective:?}: {first}, then {last}"
            );
        }
    }
}

#[test]
fn harmonic_noise_needs_bonds() {
    let mut architecture = model(FIELDS[0], Covariance::Harmonic)
        .architecture()
        .clone();
    architecture.features.bonds.pop();
    let found = Model::new(architecture, 1, &Device::flex()).unwrap_err();
    assert!(found.to_string().contains("2 pieces"), "{found}");
}
