//! Pairs of noise and where a flow carries it (rectified flow, Liu, Gong, Liu 2023).

use boltzflow_flow::random::{Purpose, stream};
use boltzflow_flow::{FlowError, Samples};
use rand::RngExt;
use rayon::prelude::*;

use crate::model::CartesianFlow;

/// Pairs that are solved together.
const CHUNK: usize = 64;

/// Ends of some of a flow's own paths, in latent units.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pairs {
    /// Where they begin, one after another.
    pub noise: Vec<f64>,
    /// Where they end.
    pub ends: Vec<f64>,
}

impl Pairs {
    /// So many pairs of a flow, a function of the seed, of configurations of `size` numbers. Paths that run off are left out, and warned of.
    pub fn new(
        flow: &CartesianFlow,
        size: usize,
        count: usize,
        seed: u64,
    ) -> Result<Self, FlowError> {
        let seed = stream(seed, Purpose::Own, 0).random();
        let starts: Vec<usize> = (0..count).step_by(CHUNK).collect();
        let chunks = starts.into_par_iter().map(|start| {
            let end = (start + CHUNK).min(count);
            let samples = Samples::consecutive(seed, start as u64..end as u64);
            let noise = flow.noise(&samples)?;
            let ends = flow.carried(&noise)?;
            Ok((noise, ends))
        });
        let chunks: Vec<(Vec<f64>, Vec<f64>)> = chunks.collect::<Result<_, FlowError>>()?;
        let mut pairs = Self::default();
        for (noise, ends) in &chunks {
            for (noise, end) in noise.chunks(size).zip(ends.chunks(size)) {
                if end.iter().all(|x| x.is_finite()) {
                    pairs.noise.extend_from_slice(noise);
                    pairs.ends.extend_from_slice(end);
                }
            }
        }
        let found = pairs.ends.len() / size;
        if found < count {
            log::warn!(
                "{} of {count} paths of the flow to start from run off and are not learnt from",
                count - found
            );
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use boltzflow_flow::ode::Steps;
    use boltzflow_flow::{Divergence, Edges, Method, Schedule, Solver};
    use boltzflow_molecule::Conformers;
    use burn::tensor::Device;

    use super::*;
    use crate::config::{
        Alike, CartesianConfig, Config, Covariance, FieldConfig, ModelConfig, Objective, Pairing,
        TrainingConfig,
    };
    use crate::model::{Architecture, Model};
    use crate::system::System;
    use crate::temperatures::TrainingData;
    use crate::testing::{assert_same_bits, normal, state, training};
    use crate::training::{Training, TrainingError};

    fn experiment(pairs: usize) -> Config {
        let objective = Objective::FlowMatching {
            pairing: Pairing::Reflow { pairs },
            improvement: None,
        };
        Config {
            model: ModelConfig::Cartesian(CartesianConfig {
                field: FieldConfig::Egnn {
                    width: 16,
                    layers: 2,
                    channels: 1,
                    edges: Edges::Initial,
                },
                noise: Covariance::Data,
                schedule: Schedule { rate: 0.5 },
                alike: Alike::Symmetric,
                solver: solver(16),
            }),
            training: TrainingConfig {
                steps: 200,
                batch: 64,
                learning_rate: 5e-3,
                warm_up: 5,
                average: 0.97,
                validation: 0.25,
                ..training(objective)
            },
        }
    }

    fn solver(count: usize) -> Solver {
        Solver {
            method: Method::Rk4,
            steps: Steps::Fixed { count },
            divergence: Divergence::Exact,
        }
    }

    fn dw4() -> System {
        System::toy("dw4".parse().unwrap(), 1.0).unwrap()
    }

    /// A flow whose paths are bent.
    fn model(config: &Config, system: &System) -> Model {
        let start = system.start.positions().repeat(50);
        let noise = normal(start.len(), 5);
        let positions = start.iter().zip(noise).map(|(x, noise)| x + noise);
        let data = Conformers::new(4, 2, positions.collect());
        let architecture = Architecture::new(config, system, &data).unwrap();
        let model = Model::new(architecture, 1, &Device::flex()).unwrap();
        let parameters = model.parameters();
        let noise = normal(parameters.len(), 3);
        let moved = parameters.iter().zip(noise);
        let moved: Vec<f32> = moved.map(|(p, noise)| p + 0.1 * noise as f32).collect();
        model.with_parameters(&moved)
    }

    fn no_data() -> TrainingData {
        TrainingData::at(Conformers::empty(4, 2), 1.0)
    }

    #[test]
    fn pairs_are_noise_and_the_samples_that_come_of_it() {
        let (system, config) = (dw4(), experiment(100));
        let model = model(&config, &system);
        let flow = model.flow().cartesian().unwrap();
        let pairs = Pairs::new(flow, 8, 100, 7).unwrap();
        let seed: u64 = stream(7, Purpose::Own, 0).random();
        let samples = Samples::consecutive(seed, 0..100);
        let drawn = model.sample(&samples).unwrap();
        assert_eq!(pairs.noise, flow.noise(&samples).unwrap());
        let scale = drawn.positions[0] / pairs.ends[0];
        for (x, end) in drawn.positions.iter().zip(&pairs.ends) {
            assert!((x - scale * end).abs() < 1e-4 * scale, "{x} {end}");
        }
        assert!(pairs.ends != pairs.noise);
    }

    /// How far samples of a few steps are from those of many, root mean square.
    fn error(model: &Model, steps: usize) -> f64 {
        let samples = Samples::consecutive(3, 0..200);
        let [few, many] = [steps, 32].map(|count| {
            let solved = model.clone().with_solver(solver(count));
            solved.sample(&samples).unwrap().positions
        });
        let squares = few.iter().zip(&many).map(|(a, b)| (a - b).powi(2));
        (squares.sum::<f64>() / many.len() as f64).sqrt()
    }

    #[test]
    fn paths_become_straighter_and_lead_to_where_they_led() {
        let (system, config) = (dw4(), experiment(2000));
        let model = model(&config, &system);
        let before = error(&model, 1);
        let nothing = no_data();
        let mut training =
            Training::new(model.clone(), &config.training, &nothing, &system).unwrap();
        let steps: Vec<_> = (0..200).map(|_| training.advance()).collect();
        let straighter = training.averaged();
        let after = error(&straighter, 1);
        assert!(after < 0.5 * before, "{before} before, {after} after");
        assert!(steps[199].validation.is_some());
        let samples = Samples::consecutive(4, 0..200);
        let [old, new] =
            [&model, &straighter].map(|model| model.sample(&samples).unwrap().positions);
        let off = old.iter().zip(&new).map(|(a, b)| (a - b).powi(2));
        let off = (off.sum::<f64>() / old.len() as f64).sqrt();
        assert!(off < 0.3, "{off} away");
    }

    #[test]
    fn the_same_bits_come_from_one_thread_and_two_and_from_a_training_that_was_resumed() {
        let (system, config) = (dw4(), experiment(100));
        let (model, nothing) = (model(&config, &system), no_data());
        let start = || Training::new(model.clone(), &config.training, &nothing, &system).unwrap();
        assert_same_bits(start, 4, &[1], state);
    }

    #[test]
    fn a_flow_whose_paths_run_off_is_refused() {
        let (system, config) = (dw4(), experiment(20));
        let model = model(&config, &system);
        let wild = vec![1e20; model.parameters().len()];
        let nothing = no_data();
        let wild = model.with_parameters(&wild);
        let found = Training::new(wild, &config.training, &nothing, &system);
        assert!(matches!(found, Err(TrainingError::NoPairs { count: 20 })));
    }
}
