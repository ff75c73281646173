//! A flow of molecules or toy clusters: prior, maps and what they are conditioned on.

mod architecture;
mod augmented;
mod cartesian;
mod drawn;
mod internal;
mod reverse;

use boltzflow_flow::{Divergence, FlowError, Marginal, Samples, Solver};
use boltzflow_molecule::Conformers;
use burn::tensor::{DType, Device, Tensor, TensorData};

pub use architecture::{Architecture, ArchitectureError, Density, FlowArchitecture, Mirror};
pub use augmented::{Augmented, AugmentedFlow};
pub use cartesian::{Cartesian, CartesianFlow, natural_scale};
pub use drawn::Drawn;
pub use internal::{Fitted, Internal, InternalFlow, Located};
pub(crate) use reverse::log_density_and_slope;
pub use reverse::{Paths, Potential, Reverse, Terms};

use crate::temperatures::{TemperatureError, Temperatures};

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
    use crate::features::Features;
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
