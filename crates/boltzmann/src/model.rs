//! A flow of molecules or toy clusters: prior, maps and what they are conditioned on.

use boltzflow_flow::ode::Steps;
use boltzflow_flow::random::{Purpose, stream};
use boltzflow_flow::{
    Affine, Bijection, Chain, Context, Continuous, Divergence, Egnn, EgnnConfig, Field, FlowError,
    Initializer, Layer, MeanFreeGaussian, Points, Prior, Samples, Solver, Space, VectorField, host,
};
use boltzflow_molecule::Conformers;
use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::config::{Config, ModelConfig, check_solver};
use crate::distances::PairStatistics;
use crate::features::Features;
use crate::system::System;
use crate::training::natural_scale;

/// What a model is made from: with the parameters, all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// The network.
    pub model: ModelConfig,
    /// How its ODE is solved.
    pub solver: Solver,
    /// Data units in one latent unit.
    pub scale: f64,
    /// What it is conditioned on.
    pub features: Features,
    /// What distances are like in the data.
    pub distances: PairStatistics,
}

impl Architecture {
    /// What is made of a config, a system and data to learn from.
    pub fn new(config: &Config, system: &System, data: &Conformers) -> Self {
        let scale = natural_scale(data);
        let symmetry = system.symmetry(config.model.alike);
        Self {
            model: config.model,
            solver: config.solver,
            scale,
            features: system.features(config.model.alike),
            distances: PairStatistics::of(data, scale, &symmetry),
        }
    }

    /// What does not fit together in it, as in a file that is damaged or forged.
    pub(crate) fn flaw(&self) -> Option<&'static str> {
        let Features {
            points,
            dims,
            elements,
            bonds,
            classes,
        } = &self.features;
        let one_each = |count: usize| count == *points || (elements.is_empty() && count == 0);
        let pairs = points.checked_mul(*points);
        let is_complete = |values: &[f64]| {
            let in_range = |value: &f64| value.is_finite() && *value >= 0.0;
            Some(values.len()) == pairs && values.iter().all(in_range)
        };
        if *points < 2 || !(1..=3).contains(dims) {
            Some("it is of fewer than two points, or not of one to three dimensions")
        } else if !one_each(elements.len()) || !one_each(classes.len()) {
            Some("its elements or classes are not one for each atom")
        } else if bonds
            .iter()
            .flatten()
            .chain(classes)
            .any(|index| index >= points)
        {
            Some("a bond or class names an atom that it does not have")
        } else if !is_complete(&self.distances.mean) || !is_complete(&self.distances.variance) {
            Some("its distances are not one for each pair, finite and at least 0")
        } else if check_solver(&self.solver).is_err() {
            Some("its solver cannot solve")
        } else {
            None
        }
    }

    /// Whether it is of this system, atom by atom.
    pub fn is_of(&self, system: &System) -> bool {
        self.features == system.features(self.model.alike)
    }
}

/// A normalizing flow with its prior and its molecule.
#[derive(Clone, Debug)]
pub struct Model {
    architecture: Architecture,
    prior: MeanFreeGaussian,
    chain: Chain<Layer>,
    context: Context,
    device: Device,
}

/// Samples with the parts of their log-densities; `log_q = log_prior − log_det`.
///
/// A sample for which the flow does not come to finite numbers keeps its place, with a `log_det`, and so a `log_q`, that is not a number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawn {
    /// Positions in the unit of the data, sample by sample.
    pub positions: Vec<f64>,
    /// Latents, sample by sample.
    pub latents: Vec<f64>,
    /// `log p` of the latents.
    pub log_prior: Vec<f64>,
    /// `log |det ∂x/∂z|`.
    pub log_det: Vec<f64>,
}

impl Drawn {
    /// `log q` of every sample.
    pub fn log_q(&self) -> Vec<f64> {
        self.log_prior
            .iter()
            .zip(&self.log_det)
            .map(|(prior, det)| prior - det)
            .collect()
    }
}

impl Drawn {
    /// Adds samples after these.
    pub fn append(&mut self, other: Self) {
        self.positions.extend(other.positions);
        self.latents.extend(other.latents);
        self.log_prior.extend(other.log_prior);
        self.log_det.extend(other.log_det);
    }

    /// Takes the density of samples of which any other number is not finite, so that nobody uses it.
    fn without_lost(mut self, size: usize) -> Self {
        let clouds = self.positions.chunks(size).zip(self.latents.chunks(size));
        let numbers = clouds.zip(&self.log_prior).zip(&mut self.log_det);
        for (((x, z), log_prior), log_det) in numbers {
            let mut others = x.iter().chain(z).chain([log_prior]);
            if !(log_det.is_finite() && others.all(|value| value.is_finite())) {
                *log_det = f64::NAN;
            }
        }
        self
    }
}

impl Model {
    /// A new model; its parameters are a function of the seed.
    pub fn new(architecture: Architecture, seed: u64, device: &Device) -> Result<Self, FlowError> {
        let features = &architecture.features;
        let (points, dims) = (features.points, features.dims);
        let space = Space::MeanFree { points, dims };
        let mut random = stream(seed, Purpose::Parameters, 0);
        let mut make = Initializer {
            random: &mut random,
            device,
            dtype: DType::F32,
        };
        let config = EgnnConfig {
            width: architecture.model.width,
            layers: architecture.model.layers,
            node_features: features.node_features(),
            pair_features: features.pair_features(),
            pair_kinds: features.pair_kinds(),
            global_features: 0,
            channels: architecture.model.channels,
            edges: architecture.model.edges,
            schedule: architecture.model.schedule,
        };
        let field = Field::Egnn(Egnn::new(&config, &mut make));
        let continuous = Continuous {
            field,
            space,
            solver: architecture.solver,
        };
        let scale = Affine::new(space, architecture.scale)?;
        let mixing = architecture.distances.mixing(points, dims)?;
        let chain = Chain::new(vec![
            Layer::Mixing(mixing),
            Layer::Continuous(continuous),
            Layer::Affine(scale),
        ])?;
        let context = features.context(&architecture.distances, device);
        let prior = MeanFreeGaussian { points, dims };
        Ok(Self {
            architecture,
            prior,
            chain,
            context,
            device: device.clone(),
        })
    }

    /// What it is made from.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Points of a configuration.
    pub fn points(&self) -> usize {
        self.prior.points
    }

    /// Spatial dimensions.
    pub fn dims(&self) -> usize {
        self.prior.dims
    }

    /// The prior.
    pub fn prior(&self) -> &MeanFreeGaussian {
        &self.prior
    }

    /// What the maps are conditioned on.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// All parameters, flat.
    pub fn parameters(&self) -> Vec<f32> {
        boltzflow_flow::parameters::flatten(&self.chain)
    }

    /// The same model with other parameters.
    ///
    /// # Panics
    /// If they are not exactly as many as the model has.
    pub fn with_parameters(mut self, parameters: &[f32]) -> Self {
        self.chain = boltzflow_flow::parameters::unflatten(self.chain, parameters);
        self
    }

    /// The same model, solved otherwise.
    pub fn with_solver(mut self, solver: Solver) -> Result<Self, FlowError> {
        let parameters = self.parameters();
        self.architecture.solver = solver;
        Ok(Self::new(self.architecture, 0, &self.device)?.with_parameters(&parameters))
    }

    /// The continuous map, which is what training changes.
    pub fn continuous(&self) -> &Continuous {
        self.chain
            .layers()
            .iter()
            .find_map(|layer| match layer {
                Layer::Continuous(continuous) => Some(continuous),
                Layer::Mixing(_) | Layer::Affine(_) => None,
            })
            .expect("every model has a continuous map")
    }

    /// Floating-point operations of the matrix products that one sample with its exact log-density takes, two a multiply-add: as many
    /// evaluations as fixed steps need, times those of [`VectorField::divergence_operations`]. None with adaptive steps, whose number
    /// depends on the samples, or with an estimated divergence.
    pub fn operations_per_sample(&self) -> Option<f64> {
        let Continuous { field, solver, .. } = self.continuous();
        match (solver.steps, solver.divergence) {
            (Steps::Fixed { count }, Divergence::Exact) => {
                let evaluations = count * solver.method.tableau().working_stages();
                let each = field.divergence_operations(self.points(), self.dims());
                Some(evaluations as f64 * each)
            }
            (Steps::Adaptive { .. }, _) | (_, Divergence::Hutchinson { .. }) => None,
        }
    }

    /// Noise as the continuous map meets it: latents of these samples after the maps before it.
    pub fn noise(&self, samples: &Samples) -> Result<Vec<f64>, FlowError> {
        let latents = self.batch(&self.prior.sample(samples));
        let before = self.chain.layers().iter();
        let before = before.take_while(|layer| !matches!(layer, Layer::Continuous(_)));
        let (x, context) = (latents, &self.context);
        before
            .into_iter()
            .try_fold(x, |x, layer| Ok(layer.forward(x, context)?.0))
            .map(host)
    }

    /// Displacements of the continuous map's points in units of its noise: the maps before it, which are linear, undone. Every degree of
    /// freedom of the noise then has the same variance, however stiff it is.
    pub fn in_noise_units(&self, displacement: Points) -> Result<Points, FlowError> {
        let layers = self.chain.layers().iter();
        let before: Vec<_> = layers
            .take_while(|layer| !matches!(layer, Layer::Continuous(_)))
            .collect();
        before.into_iter().rev().try_fold(displacement, |x, layer| {
            Ok(layer.inverse(x, &self.context)?.0)
        })
    }

    /// A copy of the field whose parameters carry gradients, with leaves of its own.
    pub fn trainable_field(&self) -> Field {
        self.continuous().field.clone().train()
    }

    /// Host numbers, `points · dims` a configuration, as a batch.
    pub fn batch(&self, positions: &[f64]) -> Tensor<3> {
        let (points, dims) = (self.points(), self.dims());
        let values: Vec<f32> = positions.iter().map(|x| *x as f32).collect();
        let data = TensorData::new(values, [positions.len() / (points * dims), points, dims]);
        Tensor::from_data(data, (&self.device, DType::F32))
    }

    /// Draws these samples.
    pub fn sample(&self, samples: &Samples) -> Result<Drawn, FlowError> {
        let latents = self.prior.sample(samples);
        let context = self.context.with_samples(samples.clone());
        let (y, log_det) = self.chain.forward(self.batch(&latents), &context)?;
        let drawn = Drawn {
            positions: host(y),
            log_prior: self.prior.log_density(&latents),
            latents,
            log_det: host(log_det),
        };
        Ok(drawn.without_lost(self.points() * self.dims()))
    }

    /// The latents and log-densities of given configurations, whose centroids are the origin.
    pub fn density(&self, positions: &[f64], samples: &Samples) -> Result<Drawn, FlowError> {
        let context = self.context.with_samples(samples.clone());
        let (z, log_det) = self.chain.inverse(self.batch(positions), &context)?;
        let latents = host(z);
        let drawn = Drawn {
            positions: positions.to_vec(),
            log_prior: self.prior.log_density(&latents),
            latents,
            log_det: host(log_det).into_iter().map(|log_det| -log_det).collect(),
        };
        Ok(drawn.without_lost(self.points() * self.dims()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Alike;
    use boltzflow_flow::ode::Tolerance;
    use boltzflow_flow::{Edges, Method, Schedule};

    /// A flow of three points in the plane.
    fn model(steps: Steps, divergence: Divergence) -> Model {
        let architecture = Architecture {
            model: ModelConfig {
                width: 4,
                layers: 2,
                channels: 1,
                edges: Edges::Initial,
                schedule: Schedule { rate: 1.0 },
                alike: Alike::Symmetric,
            },
            solver: Solver {
                method: Method::Bosh3,
                steps,
                divergence,
            },
            scale: 2.0,
            features: Features::cluster(3, 2),
            distances: PairStatistics {
                mean: vec![0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0],
                variance: vec![0.1; 9],
            },
        };
        Model::new(architecture, 1, &Device::flex()).unwrap()
    }

    #[test]
    fn the_operations_of_a_sample_are_those_of_its_evaluations() {
        let found = model(Steps::Fixed { count: 5 }, Divergence::Exact);
        let each = found.continuous().field.divergence_operations(3, 2);
        // The last stage of Bosh3 serves the error estimate alone.
        assert_eq!(found.operations_per_sample(), Some(15.0 * each));
        let adaptive = Steps::Adaptive {
            tolerance: Tolerance {
                absolute: 1e-5,
                relative: 1e-5,
            },
            limit: 100,
        };
        let found = model(adaptive, Divergence::Exact).operations_per_sample();
        assert_eq!(found, None);
        let probed = Divergence::Hutchinson {
            probes: 1,
            noise: boltzflow_flow::Noise::Rademacher,
        };
        let found = model(Steps::Fixed { count: 5 }, probed).operations_per_sample();
        assert_eq!(found, None);
    }

    #[test]
    fn a_configuration_that_runs_off_has_no_density_and_leaves_the_others_theirs() {
        let model = model(Steps::Fixed { count: 2 }, Divergence::Exact);
        let samples = Samples::consecutive(4, 0..3);
        let drawn = model.sample(&samples).unwrap();
        let mut positions = drawn.positions.clone();
        let sound = model.density(&positions, &samples).unwrap();
        positions[7] = f64::INFINITY;
        let found = model.density(&positions, &samples).unwrap();
        assert!(found.log_q()[1].is_nan());
        for sample in [0, 2] {
            assert_eq!(found.log_q()[sample], sound.log_q()[sample]);
        }
    }

    #[test]
    fn a_flow_that_has_diverged_draws_samples_without_densities() {
        let model = model(Steps::Fixed { count: 2 }, Divergence::Exact);
        let parameters = vec![f32::NAN; model.parameters().len()];
        let model = model.with_parameters(&parameters);
        let drawn = model.sample(&Samples::consecutive(4, 0..3)).unwrap();
        assert_eq!(drawn.log_q().len(), 3);
        assert!(drawn.log_q().iter().all(|log_q| log_q.is_nan()));
    }

    #[test]
    fn noise_in_units_of_itself_is_the_latents() {
        let model = model(Steps::Fixed { count: 2 }, Divergence::Exact);
        let samples = Samples::consecutive(3, 0..5);
        let noise = model.batch(&model.noise(&samples).unwrap());
        let found = host(model.in_noise_units(noise).unwrap());
        let expected = model.prior.sample(&samples);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{found}, not {expected}");
        }
    }
}
