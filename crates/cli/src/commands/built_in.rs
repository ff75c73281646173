//! What `generate` trains where no config is given: small enough for ten minutes on two cores, for more than forty atoms half an hour.

use boltzflow_boltzmann::{
    Alike, AugmentedConfig, Between, CartesianConfig, Config, Covariance, Dependence, FieldConfig,
    FitConfig, FittedConfig, InternalConfig, ModelConfig, Network, Objective, Pairing, Rotors,
    Scheme, Stiffness, TrainingConfig,
};
use boltzflow_flow::ode::Steps;
use boltzflow_flow::{Divergence, Edges, Elementwise, Method, Reference, Schedule, Size, Solver};

use crate::arguments::Family;

/// Steps of a flow of as many internal coordinates as butane has, or fewer.
const STEPS: u64 = 1500;
/// Its learning rate.
const LEARNING_RATE: f64 = 1e-3;
/// So many coordinates.
const COORDINATES: u64 = 36;

/// The experiment of a family, for so many points. What has more coordinates learns in as many more steps, each as much shorter: along the energy of
/// a drug-like molecule a flow falls apart at butane's rate.
pub fn config(family: Family, points: usize, seed: u64) -> Config {
    let spline = Elementwise::Spline { bins: 8 };
    let (map, scheme) = match family {
        Family::Independent => return fitted(Dependence::Independent, seed),
        Family::Copula => return fitted(Dependence::Copula, seed),
        Family::Egnn => return egnn(seed),
        Family::Augmented => return augmented(seed),
        Family::Spline => (spline, Scheme::Coupling),
        Family::Bump => (Elementwise::Bump { ramps: 8 }, Scheme::Coupling),
        Family::Realnvp | Family::Glow => (Elementwise::Affine, Scheme::Coupling),
        Family::Nice => (Elementwise::Additive, Scheme::Coupling),
        Family::Maf => (spline, Scheme::Maf),
        Family::Iaf => (spline, Scheme::Iaf),
    };
    let between = match family {
        Family::Glow => Between::Linear,
        _ => Between::Nothing,
    };
    let layers = match scheme {
        Scheme::Coupling => 8,
        Scheme::Maf | Scheme::Iaf => 3,
    };
    let coordinates = (3 * points as u64).saturating_sub(6).max(COORDINATES);
    Config {
        model: ModelConfig::Internal(InternalConfig {
            map,
            scheme,
            between,
            layers,
            network: Network::Perceptron(Size {
                width: 96,
                layers: 2,
            }),
            stiff: Stiffness::Whitened,
            rotors: Rotors::Folded,
            margin: 0.25,
            hottest: 1.0,
        }),
        training: TrainingConfig {
            objective: Objective::Energy {
                likelihood: 1.0,
                own: 1.0,
                pool: 0.0,
                threshold: 1000.0,
                steepest: 100.0,
                hottest: 1.0,
                cooling: 0,
                start: 250,
            },
            seed,
            steps: STEPS * coordinates / COORDINATES,
            batch: 256,
            learning_rate: LEARNING_RATE * COORDINATES as f64 / coordinates as f64,
            warm_up: 100,
            weight_decay: 1e-4,
            clip: 20.0,
            average: 0.995,
            dequantize: false,
            rarest: 0.02,
            hotter: 0.0,
            validation: 0.1,
            validate_every: 250,
            patience: 0,
            checkpoint_every: 250,
        },
    }
}

fn fitted(dependence: Dependence, seed: u64) -> Config {
    Config {
        model: ModelConfig::Fitted(FittedConfig {
            dependence,
            bins: 32,
            rotors: Rotors::Folded,
            margin: 0.25,
        }),
        training: FitConfig {
            pseudo_count: 10.0,
            rarest: 0.0,
            validation: 0.1,
            dequantize: false,
            seed,
        }
        .into(),
    }
}

fn egnn(seed: u64) -> Config {
    Config {
        model: ModelConfig::Cartesian(CartesianConfig {
            field: FieldConfig::Egnn {
                width: 32,
                layers: 5,
                channels: 8,
                edges: Edges::Initial,
            },
            noise: Covariance::Data,
            schedule: Schedule { rate: 2.0 },
            alike: Alike::Attached,
            solver: Solver {
                method: Method::Rk4,
                steps: Steps::Fixed { count: 15 },
                divergence: Divergence::Exact,
            },
        }),
        training: TrainingConfig {
            objective: Objective::FlowMatching {
                pairing: Pairing::Aligned,
                improvement: None,
            },
            seed,
            steps: 4500,
            batch: 128,
            learning_rate: 5e-3,
            warm_up: 200,
            weight_decay: 1e-4,
            clip: 1.0,
            average: 0.999,
            dequantize: false,
            rarest: 0.0,
            hotter: 0.0,
            validation: 0.1,
            validate_every: 500,
            patience: 0,
            checkpoint_every: 500,
        },
    }
}

fn augmented(seed: u64) -> Config {
    Config {
        model: ModelConfig::Augmented(AugmentedConfig {
            coupling: Reference::Spherical,
            map: Elementwise::Spline { bins: 8 },
            layers: 8,
            width: 32,
            rounds: 2,
            channels: 8,
            spread: 0.3,
            alike: Alike::Attached,
        }),
        training: TrainingConfig {
            objective: Objective::Likelihood,
            seed,
            steps: 4500,
            batch: 128,
            learning_rate: 2e-3,
            warm_up: 200,
            weight_decay: 1e-4,
            clip: 10.0,
            average: 0.999,
            dequantize: false,
            rarest: 0.0,
            hotter: 0.0,
            validation: 0.1,
            validate_every: 500,
            patience: 0,
            checkpoint_every: 500,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_family_has_an_experiment_of_its_own() {
        let texts = Family::value_variants().iter().map(|&family| {
            let found = config(family, 14, 1);
            assert!(found.check().is_ok(), "{family:?}");
            let ModelConfig::Internal(model) = &found.model else {
                return format!("{:?}", found.model);
            };
            let (map, scheme) = (model.map, model.scheme);
            match family {
                Family::Nice => assert_eq!(map, Elementwise::Additive),
                Family::Realnvp | Family::Glow => assert_eq!(map, Elementwise::Affine),
                Family::Bump => assert_eq!(map, Elementwise::Bump { ramps: 8 }),
                _ => assert_eq!(map, Elementwise::Spline { bins: 8 }),
            }
            match family {
                Family::Maf => assert_eq!(scheme, Scheme::Maf),
                Family::Iaf => assert_eq!(scheme, Scheme::Iaf),
                _ => assert_eq!(scheme, Scheme::Coupling),
            }
            let is_glow = model.between == Between::Linear;
            assert_eq!(is_glow, family == Family::Glow);
            format!("{model:?}")
        });
        let texts: Vec<String> = texts.collect();
        let different: HashSet<&String> = texts.iter().collect();
        assert_eq!(different.len(), texts.len(), "{texts:?}");
    }

    #[test]
    fn steps_are_more_and_shorter_for_more_coordinates_than_butane_has() {
        let training = |points| config(Family::Spline, points, 1).training;
        for (points, steps) in [(1, 1500), (3, 1500), (14, 1500), (22, 2500), (38, 4500)] {
            let found = training(points);
            assert_eq!(found.steps, steps);
            assert!((found.learning_rate * steps as f64 - 1.5).abs() < 1e-12);
        }
    }
}
