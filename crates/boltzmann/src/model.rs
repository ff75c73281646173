//! A flow of molecules or toy clusters: prior, maps and what they are conditioned on.

mod augmented;
mod cartesian;
mod internal;
mod reverse;

use boltzflow_energy::EnergyError;
use boltzflow_flow::{Divergence, FlowError, Marginal, Samples, Solver, Symmetry};
use boltzflow_molecule::{Conformers, MoleculeError};
use burn::tensor::{DType, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

pub use augmented::{Augmented, AugmentedFlow};
pub use cartesian::{Cartesian, CartesianFlow, natural_scale};
pub use internal::{Fitted, Internal, InternalFlow, Located};
pub(crate) use reverse::log_density_and_slope;
pub use reverse::{Paths, Potential, Reverse, Terms};

use crate::config::{Config, ModelConfig};
use crate::features::Features;
use crate::relabelling::Labels;
use crate::system::System;
use crate::temperatures::{TemperatureError, Temperatures};

/// What a model is made from: with the parameters, all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// The molecule or toy.
    pub features: Features,
    /// The flow.
    pub flow: FlowArchitecture,
}

/// What a flow is made from, by what it moves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FlowArchitecture {
    /// Positions.
    Cartesian(Cartesian),
    /// Positions and auxiliary points.
    Augmented(Augmented),
    /// Internal coordinates.
    Internal(Internal),
    /// The same, by distributions that are fitted.
    Fitted(Fitted),
}

/// Why a flow cannot be made for a system.
#[derive(Debug, thiserror::Error)]
pub enum ArchitectureError {
    /// A toy has no bonds.
    #[error(
        "a flow of internal coordinates needs the bonds of a molecule, which {name} has not; use model.cartesian or model.augmented"
    )]
    Toy {
        /// Its name.
        name: String,
    },
    /// A flow of positions learns what distances are like, one that is fitted everything.
    #[error("a flow of model.cartesian or model.fitted needs configurations to learn from")]
    NoData,
    /// The energy about the start.
    #[error(transparent)]
    Energy(#[from] EnergyError),
    /// The molecule has no internal coordinates.
    #[error(transparent)]
    Molecule(#[from] MoleculeError),
    /// The maps.
    #[error(transparent)]
    Flow(#[from] FlowError),
}

impl Architecture {
    /// What is made of a config, a system and data to learn from; a flow of internal coordinates, or with auxiliary points, needs none.
    pub fn new(
        config: &Config,
        system: &System,
        data: &Conformers,
    ) -> Result<Self, ArchitectureError> {
        let flow = match &config.model {
            ModelConfig::Cartesian(_) | ModelConfig::Fitted(_) if data.is_empty() => {
                return Err(ArchitectureError::NoData);
            }
            ModelConfig::Cartesian(model) => {
                FlowArchitecture::Cartesian(Cartesian::new(*model, system, data))
            }
            ModelConfig::Augmented(model) => {
                FlowArchitecture::Augmented(Augmented::new(*model, system, data))
            }
            ModelConfig::Internal(model) => {
                FlowArchitecture::Internal(Internal::new(*model, system, data)?)
            }
            ModelConfig::Fitted(model) => {
                FlowArchitecture::Fitted(Fitted::new(*model, system, data)?)
            }
        };
        Ok(Self {
            features: system.features(config.model.alike()),
            flow,
        })
    }

    /// The part of the config that it is made of.
    pub fn model(&self) -> ModelConfig {
        match &self.flow {
            FlowArchitecture::Cartesian(flow) => ModelConfig::Cartesian(flow.model),
            FlowArchitecture::Augmented(flow) => ModelConfig::Augmented(flow.model),
            FlowArchitecture::Internal(flow) => ModelConfig::Internal(flow.model),
            FlowArchitecture::Fitted(flow) => ModelConfig::Fitted(flow.model),
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
        } else {
            match &self.flow {
                FlowArchitecture::Cartesian(flow) => flow.flaw(*points),
                // Its unit is checked where its maps are made.
                FlowArchitecture::Augmented(_) => None,
                FlowArchitecture::Internal(flow) => flow.flaw(&self.features),
                FlowArchitecture::Fitted(flow) => flow.flaw(&self.features),
            }
        }
    }

    /// Whether it is of this system, atom by atom.
    pub fn is_of(&self, system: &System) -> bool {
        self.features == system.features(self.model().alike())
    }

    /// The same for the system at another temperature, where it knows its own: what a training that goes on from another flow is of.
    pub fn for_temperature(mut self, temperature: f64) -> Self {
        if let FlowArchitecture::Internal(flow) = &mut self.flow {
            flow.temperature = temperature;
        }
        self
    }

    /// How many relabellings of its atoms its density counts; `None` where there are too many of them.
    pub fn labels(&self, system: &System) -> Option<Labels> {
        let rotors = match &self.flow {
            FlowArchitecture::Cartesian(_) | FlowArchitecture::Augmented(_) => &[][..],
            FlowArchitecture::Internal(flow) => &flow.rotors,
            FlowArchitecture::Fitted(flow) => &flow.rotors,
        };
        let labels = system.labels(self.model().alike());
        labels.map(|labels| labels.with_rotors(rotors))
    }

    /// Which mirror images of a molecule its flow makes.
    pub fn mirror(&self) -> Mirror {
        let symmetry = match &self.flow {
            FlowArchitecture::Cartesian(flow) => flow.model.field.symmetry(),
            FlowArchitecture::Augmented(flow) => flow.model.symmetry(self.features.dims),
            FlowArchitecture::Internal(_) | FlowArchitecture::Fitted(_) => Symmetry::Rotations,
        };
        match symmetry {
            Symmetry::Full => Mirror::Both,
            Symmetry::Rotations => Mirror::One,
        }
    }

    /// What its log-densities are of.
    pub fn density(&self) -> Density {
        match &self.flow {
            FlowArchitecture::Augmented(_) => Density::Joint,
            FlowArchitecture::Cartesian(_)
            | FlowArchitecture::Internal(_)
            | FlowArchitecture::Fitted(_) => Density::Positions,
        }
    }
}

/// Which mirror images of a chiral molecule a flow makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mirror {
    /// Both, with equal densities, so that they can be folded into one.
    Both,
    /// Those that its data have.
    One,
}

/// What the `log_q` of samples is, of which `e^{−U/kT}/q` are the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Density {
    /// `log q(x)`, a function of the positions.
    #[default]
    Positions,
    /// `log q(x, a) − log π(a | x)` with auxiliary points `a` that were drawn with the positions: weights are those of both together, of the target
    /// `e^{−U(x)/kT} π(a | x)`, and as unbiased as others. It is no function of the positions; `log q(x)` is near [`Model::log_marginal`].
    Joint,
}

impl Density {
    /// Whether it is that of positions.
    pub fn is_of_positions(&self) -> bool {
        *self == Self::Positions
    }
}

/// A normalizing flow with its prior and its molecule.
#[derive(Clone, Debug)]
pub struct Model {
    architecture: Architecture,
    flow: Flow,
    device: Device,
}

/// A flow, by what it moves.
#[expect(clippy::large_enum_variant, reason = "a model has one")]
#[derive(Clone, Debug)]
pub enum Flow {
    /// Positions.
    Cartesian(CartesianFlow),
    /// Positions and auxiliary points.
    Augmented(AugmentedFlow),
    /// Internal coordinates.
    Internal(InternalFlow),
}

/// Samples with the parts of their log-densities; `log_q = log_prior − log_det`.
///
/// A sample for which the flow does not come to finite numbers keeps its place, with a `log_det`, and so a `log_q`, that is not a number; a
/// configuration that the flow cannot make has the `log_q` `−∞`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawn {
    /// Positions in the unit of the data, sample by sample.
    pub positions: Vec<f64>,
    /// Latents, sample by sample.
    pub latents: Vec<f64>,
    /// `log p` of the latents.
    pub log_prior: Vec<f64>,
    /// `log |det ∂x/∂z|`; of a flow with auxiliary points that of whole clouds, and `log π(a | x)` with it, so that `log_q` is that of
    /// [`Density::Joint`].
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

    /// Some of them.
    pub fn select(&self, which: &[usize]) -> Self {
        let count = self.log_prior.len().max(1);
        let rows = |values: &[f64]| {
            let size = values.len() / count;
            let row = |&k: &usize| values[k * size..(k + 1) * size].iter().copied();
            which.iter().flat_map(row).collect()
        };
        Self {
            positions: rows(&self.positions),
            latents: rows(&self.latents),
            log_prior: rows(&self.log_prior),
            log_det: rows(&self.log_det),
        }
    }

    /// Takes the density of samples of which any other number is not finite, so that nobody uses it.
    fn without_lost(mut self, [size, latent]: [usize; 2]) -> Self {
        let clouds = self.positions.chunks(size).zip(self.latents.chunks(latent));
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

impl Flow {
    /// The flow of positions, if it is one.
    pub fn cartesian(&self) -> Option<&CartesianFlow> {
        match self {
            Self::Cartesian(flow) => Some(flow),
            Self::Augmented(_) | Self::Internal(_) => None,
        }
    }

    /// The flow of positions and auxiliary points, if it is one.
    pub fn augmented(&self) -> Option<&AugmentedFlow> {
        match self {
            Self::Augmented(flow) => Some(flow),
            Self::Cartesian(_) | Self::Internal(_) => None,
        }
    }
}

impl Model {
    /// A new model; its parameters are a function of the seed.
    pub fn new(architecture: Architecture, seed: u64, device: &Device) -> Result<Self, FlowError> {
        let features = &architecture.features;
        let flow = match &architecture.flow {
            FlowArchitecture::Cartesian(parts) => {
                Flow::Cartesian(CartesianFlow::new(parts, features, seed, device)?)
            }
            FlowArchitecture::Augmented(parts) => {
                Flow::Augmented(AugmentedFlow::new(parts, features, seed, device)?)
            }
            FlowArchitecture::Internal(parts) => {
                Flow::Internal(InternalFlow::new(parts, features, seed, device)?)
            }
            FlowArchitecture::Fitted(parts) => Flow::Internal(parts.flow(device)?),
        };
        Ok(Self {
            architecture,
            flow,
            device: device.clone(),
        })
    }

    /// What it is made from.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Prior and maps.
    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    /// Points of a configuration.
    pub fn points(&self) -> usize {
        self.architecture.features.points
    }

    /// Spatial dimensions.
    pub fn dims(&self) -> usize {
        self.architecture.features.dims
    }

    /// Points and dimensions of a latent.
    pub fn latent_shape(&self) -> [usize; 2] {
        match &self.flow {
            Flow::Cartesian(_) => [self.points(), self.dims()],
            Flow::Augmented(flow) => flow.shape(),
            Flow::Internal(flow) => flow.shape(),
        }
    }

    /// All parameters, flat.
    pub fn parameters(&self) -> Vec<f32> {
        use boltzflow_flow::parameters::flatten;
        match &self.flow {
            Flow::Cartesian(flow) => flatten(flow.chain()),
            Flow::Augmented(flow) => flatten(flow.maps()),
            Flow::Internal(flow) => flatten(flow.maps()),
        }
    }

    /// The same model with other parameters.
    ///
    /// # Panics
    /// If they are not exactly as many as the model has.
    pub fn with_parameters(self, parameters: &[f32]) -> Self {
        let flow = match self.flow {
            Flow::Cartesian(flow) => Flow::Cartesian(flow.with_parameters(parameters)),
            Flow::Augmented(flow) => Flow::Augmented(flow.with_parameters(parameters)),
            Flow::Internal(flow) => Flow::Internal(flow.with_parameters(parameters)),
        };
        Self { flow, ..self }
    }

    /// How its ODE is solved, where it has one.
    pub fn solver(&self) -> Option<Solver> {
        self.architecture.model().solver()
    }

    /// Whether its log-densities are exact but for rounding and the steps of a solver: no divergence is estimated by probes.
    pub fn has_exact_densities(&self) -> bool {
        self.solver()
            .is_none_or(|solver| solver.divergence == Divergence::Exact)
    }

    /// The same model, solved otherwise; one without an ODE as it is.
    pub fn with_solver(mut self, solver: Solver) -> Self {
        if let FlowArchitecture::Cartesian(parts) = &mut self.architecture.flow {
            parts.model.solver = solver;
        }
        self.flow = match self.flow {
            Flow::Cartesian(flow) => Flow::Cartesian(flow.with_solver(solver)),
            flow @ (Flow::Augmented(_) | Flow::Internal(_)) => flow,
        };
        self
    }

    /// The temperatures that it is for, where it knows them.
    pub fn temperatures(&self) -> Option<Temperatures> {
        match &self.flow {
            Flow::Cartesian(_) | Flow::Augmented(_) => None,
            Flow::Internal(flow) => Some(flow.temperatures()),
        }
    }

    /// The temperature that it is at, in K, where it knows it: the system's in training, until it is asked for [`Model::at`] another.
    pub fn temperature(&self) -> Option<f64> {
        match &self.flow {
            Flow::Cartesian(_) | Flow::Augmented(_) => None,
            Flow::Internal(flow) => Some(flow.temperature()),
        }
    }

    /// The same where it is for others too.
    pub fn temperature_of_many(&self) -> Option<f64> {
        let are_many = self.temperatures().is_some_and(Temperatures::are_many);
        self.temperature().filter(|_| are_many)
    }

    /// The same model at one of its temperatures, in K.
    ///
    /// # Errors
    /// If it is not one of those that the flow is for.
    pub fn at(self, temperature: f64) -> Result<Self, TemperatureError> {
        let Flow::Internal(flow) = self.flow else {
            return Err(TemperatureError::Unknown);
        };
        let range = flow.temperatures();
        if !range.contain(temperature) {
            return Err(TemperatureError::Outside {
                found: temperature,
                range,
            });
        }
        let flow = Flow::Internal(flow.at(temperature));
        Ok(Self { flow, ..self })
    }

    /// The same model as a proposal for this temperature: at it if it is of a range, as it is if it is of one temperature.
    ///
    /// # Errors
    /// If it is none of a range.
    pub fn proposing_at(self, temperature: f64) -> Result<Self, TemperatureError> {
        if self.temperature_of_many().is_some() {
            self.at(temperature)
        } else {
            Ok(self)
        }
    }

    /// Floating-point operations of the matrix products that one sample with its exact log-density takes, two a multiply-add; none where that
    /// depends on the sample, or the density is estimated.
    pub fn operations_per_sample(&self) -> Option<f64> {
        match &self.flow {
            Flow::Cartesian(flow) => flow.operations_per_sample(),
            Flow::Augmented(flow) => Some(flow.operations_per_sample()),
            Flow::Internal(flow) => Some(flow.operations_per_sample()),
        }
    }

    /// Host numbers, `points · dims` a configuration, as a batch.
    pub fn batch(&self, positions: &[f64]) -> Tensor<3> {
        batch(positions, [self.points(), self.dims()], &self.device)
    }

    /// Draws these samples.
    pub fn sample(&self, samples: &Samples) -> Result<Drawn, FlowError> {
        let drawn = match &self.flow {
            Flow::Cartesian(flow) => flow.sample(samples),
            Flow::Augmented(flow) => flow.sample(samples),
            Flow::Internal(flow) => flow.sample(samples),
        };
        Ok(drawn?.without_lost(self.sizes()))
    }

    /// The latents and log-densities of given configurations, whose centroids are the origin; of a flow with auxiliary points, of the configurations
    /// with such points drawn for them, see [`Density::Joint`].
    pub fn density(&self, positions: &[f64], samples: &Samples) -> Result<Drawn, FlowError> {
        let drawn = match &self.flow {
            Flow::Cartesian(flow) => flow.density(positions, samples)?,
            Flow::Augmented(flow) => flow.density(positions, samples)?,
            Flow::Internal(flow) => flow.density(positions)?,
        };
        // A flow of positions reaches all, one of internal coordinates what is between its bounds: elsewhere its density is zero.
        let has_bounds = matches!(self.flow, Flow::Internal(_));
        let is_outside = |&row: &usize| has_bounds && drawn.log_det[row] == f64::INFINITY;
        let outside: Vec<usize> = (0..drawn.log_det.len()).filter(is_outside).collect();
        let mut drawn = drawn.without_lost(self.sizes());
        for row in outside {
            drawn.log_det[row] = f64::INFINITY;
        }
        Ok(drawn)
    }

    /// `log q(x)` of given configurations, whose centroids are the origin, where it has to be estimated: of a flow with auxiliary points, which are
    /// averaged out by so many draws; none of others. It is biased low, and for reports alone: weights are those of [`Density::Joint`].
    ///
    /// # Panics
    /// Without draws.
    pub fn log_marginal(
        &self,
        positions: &[f64],
        samples: &Samples,
        draws: usize,
    ) -> Result<Option<Vec<Marginal>>, FlowError> {
        let flow = self.flow.augmented();
        flow.map(|flow| flow.log_marginal(positions, samples, draws))
            .transpose()
    }

    /// Which of these configurations it can make: all of a flow of positions, of internal coordinates those between its bounds.
    pub fn reachable(&self, data: &Conformers) -> Result<Vec<usize>, FlowError> {
        match &self.flow {
            Flow::Cartesian(_) | Flow::Augmented(_) => Ok((0..data.len()).collect()),
            Flow::Internal(flow) => flow.reachable(data),
        }
    }

    /// Numbers of a configuration and of a latent.
    fn sizes(&self) -> [usize; 2] {
        let [points, dims] = self.latent_shape();
        [self.points() * self.dims(), points * dims]
    }
}

/// Host numbers in single precision, `shape` a configuration.
fn batch(values: &[f64], [points, dims]: [usize; 2], device: &Device) -> Tensor<3> {
    let single: Vec<f32> = values.iter().map(|x| *x as f32).collect();
    let data = TensorData::new(single, [values.len() / (points * dims), points, dims]);
    Tensor::from_data(data, (device, DType::F32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Alike, CartesianConfig, Covariance, FieldConfig};
    use crate::distances::PairStatistics;
    use boltzflow_flow::ode::{Steps, Tolerance};
    use boltzflow_flow::{Edges, Method, Prior, Schedule, VectorField, host};

    /// A flow of three points in the plane.
    fn model(steps: Steps, divergence: Divergence) -> Model {
        let architecture = Architecture {
            features: Features::cluster(3, 2),
            flow: FlowArchitecture::Cartesian(Cartesian {
                model: CartesianConfig {
                    field: FieldConfig::Egnn {
                        width: 4,
                        layers: 2,
                        channels: 1,
                        edges: Edges::Initial,
                    },
                    noise: Covariance::Data,
                    schedule: Schedule { rate: 1.0 },
                    alike: Alike::Symmetric,
                    solver: Solver {
                        method: Method::Bosh3,
                        steps,
                        divergence,
                    },
                },
                scale: 2.0,
                distances: PairStatistics {
                    mean: vec![0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0],
                    variance: vec![0.1; 9],
                },
            }),
        };
        Model::new(architecture, 1, &Device::flex()).unwrap()
    }

    fn cartesian(model: &Model) -> &CartesianFlow {
        model.flow().cartesian().unwrap()
    }

    #[test]
    fn the_operations_of_a_sample_are_those_of_its_evaluations() {
        let found = model(Steps::Fixed { count: 5 }, Divergence::Exact);
        let each = cartesian(&found)
            .continuous()
            .field
            .divergence_operations(3, 2);
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
        let flow = cartesian(&model);
        let noise = model.batch(&flow.noise(&samples).unwrap());
        let found = host(flow.in_noise_units(noise).unwrap());
        let prior = boltzflow_flow::MeanFreeGaussian { points: 3, dims: 2 };
        let expected = prior.sample(&samples);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{found}, not {expected}");
        }
    }
}
