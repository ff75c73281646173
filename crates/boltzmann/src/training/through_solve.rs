//! Maximum likelihood through the solve of a continuous flow: `min E −log q` over the data (Grathwohl et al. 2019; of equivariant flows
//! Satorras et al. 2021).
//!
//! A step draws configurations and, where divergences are estimated, new probes, which stay the same along each path: the loss and its gradient
//! are then unbiased, of the steps that are taken.

use boltzflow_flow::{Regularization, Samples, Solver};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::draws::Draws;
use super::{Losses, Split, piece};
use crate::evaluation::spread;
use crate::model::Model;
use crate::temperatures::TrainingData;

/// Held-out configurations that a validation looks at, at most: evenly spread over all of them.
const VALIDATED: usize = 2048;

/// What is learnt from, and how.
pub struct ThroughSolve {
    data: Split<TrainingData>,
    /// How those for training are drawn.
    draws: Draws,
    paths: Paths,
}

/// How paths are solved.
#[derive(Clone, Copy)]
pub struct Paths {
    /// In training, instead of by the model's solver.
    pub learnt: Solver,
    /// In validation: a loss that only the steps of training find small is none.
    pub validated: Solver,
    /// What is taken off log-densities in training.
    pub regularization: Regularization,
}

impl ThroughSolve {
    /// `data` in the model's data units, any centroid, those before `held_out` to be drawn as often as they are told to.
    pub fn new(data: &TrainingData, often: &[f64], held_out: usize, paths: Paths) -> Self {
        let mut data = data.clone();
        data.conformers.center();
        Self {
            draws: Draws::new(often[..held_out].iter().copied()),
            data: Split::new(data.len(), held_out, |rows| data.select(rows)),
            paths,
        }
    }

    /// Configurations for training and held out.
    pub fn counts(&self) -> [usize; 2] {
        [self.data.train.len(), self.data.held_out.len()]
    }

    /// The negative log-likelihood of new configurations, with the gradient of what it is with its regularization.
    pub fn losses(&self, model: &Model, count: usize, random: &mut ChaCha8Rng) -> Losses {
        let model = model.clone().with_solver(self.paths.learnt);
        let flow = model.flow().cartesian();
        let flow = flow.expect("a checked objective has the flow that it is for");
        let chosen: Vec<usize> = (0..count).map(|_| self.draws.one(random)).collect();
        let conformers = self.data.train.conformers.select(&chosen);
        let samples = Samples::consecutive(random.random(), 0..count as u64);
        let size = piece(model.points());
        let pieces = conformers.positions().par_chunks(size * conformers.size());
        let pieces = pieces.enumerate().map(|(index, positions)| {
            let first = index * size;
            let samples = samples.rows(first..(first + size).min(count));
            let (log_q, mut gradient) = flow
                .log_density_gradient(positions, &samples, self.paths.regularization)
                .expect("a checked objective has fixed steps, and data are of the model's shape");
            gradient.iter_mut().for_each(|slope| *slope = -*slope);
            (-log_q.iter().sum::<f64>(), gradient)
        });
        Losses {
            pieces: pieces.collect(),
            count: count as f64,
        }
    }

    /// The loss of what is held out: the sum, each as often as it weighs, and of the weights.
    pub fn held_out(&self, model: &Model, random: &mut ChaCha8Rng) -> (f64, f64) {
        let model = model.clone().with_solver(self.paths.validated);
        let held_out = &self.data.held_out;
        let data = held_out.select(&spread(held_out.len(), held_out.len().min(VALIDATED)));
        let samples = Samples::consecutive(random.random(), 0..data.len() as u64);
        let positions = data.conformers.positions();
        let size = piece(model.points());
        let pieces = positions.par_chunks(size * data.conformers.size());
        let log_q = pieces.enumerate().map(|(index, positions)| {
            let first = index * size;
            let samples = samples.rows(first..(first + size).min(data.len()));
            let found = model.density(positions, &samples);
            found.expect("data are of the model's shape").log_q()
        });
        let log_q: Vec<Vec<f64>> = log_q.collect();
        let losses = log_q.iter().flatten().zip(&data.weights);
        let losses = losses.map(|(log_q, weight)| -weight * log_q);
        (losses.sum(), data.weights.iter().sum())
    }
}

#[cfg(test)]
mod tests {
    use boltzflow_flow::ode::Steps;
    use boltzflow_flow::random::{Purpose, stream};
    use boltzflow_flow::{Divergence, Edges, Method, Noise, Schedule};
    use boltzflow_molecule::Conformers;
    use burn::tensor::Device;

    use super::*;
    use crate::config::{
        Alike, CartesianConfig, Config, Covariance, FieldConfig, ModelConfig, Objective,
        TrainingConfig,
    };
    use crate::model::Architecture;
    use crate::system::System;
    use crate::testing::{assert_same_bits, normal, state, training};
    use crate::training::Training;

    const HUTCHINSON: Divergence = Divergence::Hutchinson {
        probes: 1,
        noise: Noise::Rademacher,
    };

    fn dw4() -> System {
        System::toy("dw4".parse().unwrap(), 1.0).unwrap()
    }

    /// Noise about the four points of the start, a third of which is stretched.
    fn data(system: &System, count: usize) -> TrainingData {
        let start = system.start.positions();
        let noise = normal(count * start.len(), 5);
        let clouds = noise.chunks(start.len()).enumerate();
        let positions = clouds.flat_map(|(number, noise)| {
            let stretch = if number % 3 == 0 { 1.4 } else { 1.0 };
            let points = start.iter().zip(noise);
            points.map(move |(x, noise)| stretch * x + 0.3 * noise)
        });
        TrainingData::at(Conformers::new(4, 2, positions.collect()), 1.0)
    }

    fn experiment(objective: Objective) -> Config {
        Config {
            model: ModelConfig::Cartesian(CartesianConfig {
                field: FieldConfig::Egnn {
                    width: 16,
                    layers: 2,
                    channels: 1,
                    edges: Edges::Updated,
                },
                noise: Covariance::Data,
                schedule: Schedule { rate: 0.5 },
                alike: Alike::Symmetric,
                solver: Solver {
                    method: Method::Midpoint,
                    steps: Steps::Fixed { count: 5 },
                    divergence: Divergence::Exact,
                },
            }),
            training: TrainingConfig {
                steps: 40,
                batch: 40,
                learning_rate: 5e-3,
                warm_up: 4,
                validation: 0.25,
                validate_every: 20,
                ..training(objective)
            },
        }
    }

    fn through_solve(divergence: Divergence) -> Config {
        experiment(Objective::LikelihoodThroughSolve {
            steps: 3,
            divergence,
            regularization: Regularization::default(),
        })
    }

    /// A flow that is not the identity.
    fn model(config: &Config, system: &System, data: &TrainingData) -> Model {
        let architecture = Architecture::new(config, system, &data.conformers).unwrap();
        let model = Model::new(architecture, 1, &Device::flex()).unwrap();
        let parameters = model.parameters();
        let noise = normal(parameters.len(), 3);
        let moved = parameters.iter().zip(noise);
        let moved: Vec<f32> = moved.map(|(p, noise)| p + 0.05 * noise as f32).collect();
        model.with_parameters(&moved)
    }

    fn solver(divergence: Divergence) -> Solver {
        Solver {
            method: Method::Midpoint,
            steps: Steps::Fixed { count: 3 },
            divergence,
        }
    }

    /// In training as in validation.
    fn paths(divergence: Divergence) -> Paths {
        Paths {
            learnt: solver(divergence),
            validated: solver(divergence),
            regularization: Regularization::default(),
        }
    }

    #[test]
    fn with_exact_divergences_the_loss_is_that_of_the_density() {
        let system = dw4();
        let mut data = data(&system, 4);
        data.conformers.center();
        let (config, exact) = (through_solve(Divergence::Exact), solver(Divergence::Exact));
        let model = model(&config, &system, &data);
        let samples = Samples::consecutive(1, 0..4);
        let solved = model.clone().with_solver(exact);
        let density = solved.density(data.conformers.positions(), &samples);
        let expected = density.unwrap().log_q();
        assert!(expected[0] != expected[1]);
        let near = |found: f64, expected: f64| {
            let off = (found - expected).abs();
            assert!(off < 1e-5 * expected.abs(), "{found}, not {expected}");
        };
        // Pieces of 32 and 8.
        for (number, expected) in expected.iter().enumerate() {
            let one = data.select(&[number, number]);
            let learnt = ThroughSolve::new(&one, &one.weights, 1, paths(Divergence::Exact));
            let mut random = stream(1, Purpose::Training, 0);
            let Losses { pieces, count } = learnt.losses(&model, 40, &mut random);
            assert_eq!(pieces.len(), 2);
            near(
                pieces.iter().map(|(loss, _)| loss).sum::<f64>() / count,
                -expected,
            );
            let (loss, weight) = learnt.held_out(&model, &mut random);
            near(loss / weight, -expected);
        }
        // Off the origin it is the same configuration.
        let mut moved = data.select(&[2]);
        moved
            .conformers
            .positions_mut()
            .iter_mut()
            .for_each(|x| *x += 3.0);
        let learnt = ThroughSolve::new(&moved, &moved.weights, 0, paths(Divergence::Exact));
        let (loss, _) = learnt.held_out(&model, &mut stream(1, Purpose::Training, 0));
        near(loss, -expected[2]);
    }

    #[test]
    fn with_estimated_divergences_the_loss_is_right_on_average() {
        let system = dw4();
        let data = data(&system, 1);
        let model = model(&through_solve(HUTCHINSON), &system, &data);
        let loss = |divergence, number| {
            let learnt = ThroughSolve::new(&data, &data.weights, 1, paths(divergence));
            let mut random = stream(2, Purpose::Training, number);
            let Losses { pieces, count } = learnt.losses(&model, 64, &mut random);
            pieces.iter().map(|(loss, _)| loss).sum::<f64>() / count
        };
        let exact = loss(Divergence::Exact, 0);
        let found: Vec<f64> = (0..20).map(|number| loss(HUTCHINSON, number)).collect();
        let mean = found.iter().sum::<f64>() / 20.0;
        let variance = found.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / 19.0;
        assert!(variance > 0.0, "every step has probes of its own");
        let error = (variance / 20.0).sqrt();
        assert!(
            (mean - exact).abs() < 4.0 * error,
            "{mean} ± {error}, not {exact}"
        );
    }

    #[test]
    fn the_likelihood_rises() {
        let system = dw4();
        let data = data(&system, 400);
        for divergence in [HUTCHINSON, Divergence::Exact] {
            let config = through_solve(divergence);
            let model = model(&config, &system, &data);
            // As a validation does: by the model's own steps, which are others than those of training.
            let by_model = Paths {
                validated: config.model.solver().expect("a flow with an ODE"),
                ..paths(Divergence::Exact)
            };
            let learnt = ThroughSolve::new(&data, &data.weights, 300, by_model);
            let loss = |model: &Model| {
                let (loss, weight) = learnt.held_out(model, &mut stream(1, Purpose::Training, 0));
                loss / weight
            };
            let before = loss(&model);
            let mut training = Training::new(model, &config.training, &data, &system).unwrap();
            let steps: Vec<_> = (0..40).map(|_| training.advance()).collect();
            let after = loss(&training.averaged());
            assert!(after < before - 0.5, "{before} before, {after} after");
            let last = steps[39].validation.unwrap();
            // A hundred estimates, or the very same number.
            let allowed = if divergence == HUTCHINSON { 1.0 } else { 1e-9 };
            let off = (last - after).abs();
            assert!(off < allowed, "{last} by the objective, {after} exact");
            // What is trained keeps the solver of its model.
            assert_eq!(training.averaged().solver(), config.model.solver());
        }
    }

    #[test]
    fn the_same_bits_come_from_one_thread_and_two_and_from_a_training_that_was_resumed() {
        let system = dw4();
        let data = data(&system, 100);
        let config = through_solve(HUTCHINSON);
        let model = model(&config, &system, &data);
        let start = || Training::new(model.clone(), &config.training, &data, &system).unwrap();
        assert_same_bits(start, 6, &[3], state);
    }

    #[test]
    fn configurations_are_drawn_as_often_as_they_weigh() {
        let system = dw4();
        let mut data = data(&system, 3);
        data.weights = vec![0.0, 3.0, 0.0];
        let model = model(&through_solve(HUTCHINSON), &system, &data);
        let loss = |often: &[f64]| {
            let learnt = ThroughSolve::new(&data, often, 3, paths(Divergence::Exact));
            let Losses { pieces, count } =
                learnt.losses(&model, 4, &mut stream(1, Purpose::Training, 0));
            pieces[0].0 / count
        };
        let only = data.select(&[1]);
        let learnt = ThroughSolve::new(&only, &[1.0], 1, paths(Divergence::Exact));
        let Losses { pieces, count } =
            learnt.losses(&model, 4, &mut stream(1, Purpose::Training, 0));
        assert_eq!(loss(&data.weights), pieces[0].0 / count);
        // Of what is held out, each counts as it weighs.
        let held_out = ThroughSolve::new(&data, &[], 0, paths(Divergence::Exact));
        let (sum, weights) = held_out.held_out(&model, &mut stream(1, Purpose::Training, 0));
        assert_eq!(weights, 3.0);
        let off = (sum / weights - pieces[0].0 / count).abs();
        assert!(off < 1e-4, "{off}");
    }
}
