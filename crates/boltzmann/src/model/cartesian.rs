//! Continuous flows of positions.

use boltzflow_flow::ode::Steps;
use boltzflow_flow::parameters::unflatten;
use boltzflow_flow::random::{Purpose, stream};
use boltzflow_flow::{
    Affine, Bijection, Chain, Context, Continuous, Divergence, Field, FlowError, Initializer,
    Layer, MeanFreeGaussian, Points, Prior, Regularization, Samples, Schedule, Solver, Space,
    VectorField, host,
};
use boltzflow_molecule::Conformers;
use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Drawn, batch};
use crate::config::{CartesianConfig, Covariance, check_solver};
use crate::distances::PairStatistics;
use crate::features::Features;
use crate::harmonic::harmonic_mixing;
use crate::system::System;

/// What a flow of positions is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cartesian {
    /// The network and how its ODE is solved.
    pub model: CartesianConfig,
    /// Data units in one latent unit.
    pub scale: f64,
    /// What distances are like in the data.
    pub distances: PairStatistics,
}

impl Cartesian {
    pub(super) fn new(model: CartesianConfig, system: &System, data: &Conformers) -> Self {
        let scale = natural_scale(data);
        let symmetry = system.symmetry(model.alike);
        Self {
            model,
            scale,
            distances: PairStatistics::of(data, scale, &symmetry),
        }
    }

    pub(super) fn flaw(&self, points: usize) -> Option<&'static str> {
        let pairs = points.checked_mul(points);
        let is_complete = |values: &[f64]| {
            let in_range = |value: &f64| value.is_finite() && *value >= 0.0;
            Some(values.len()) == pairs && values.iter().all(in_range)
        };
        if !is_complete(&self.distances.mean) || !is_complete(&self.distances.variance) {
            Some("its distances are not one for each pair, finite and at least 0")
        } else if check_solver(&self.model.solver).is_err() {
            Some("its solver cannot solve")
        } else {
            None
        }
    }
}

/// Normal noise, mixed to a covariance, carried along a field, and scaled.
#[derive(Clone, Debug)]
pub struct CartesianFlow {
    prior: MeanFreeGaussian,
    schedule: Schedule,
    chain: Chain<Layer>,
    context: Context,
    device: Device,
}

impl CartesianFlow {
    pub(super) fn new(
        parts: &Cartesian,
        features: &Features,
        seed: u64,
        device: &Device,
    ) -> Result<Self, FlowError> {
        let model = &parts.model;
        let (points, dims) = (features.points, features.dims);
        let space = Space::MeanFree { points, dims };
        let mut random = stream(seed, Purpose::Parameters, 0);
        let mut make = Initializer {
            random: &mut random,
            device,
            dtype: DType::F32,
        };
        let field = model.field.field(features, model.schedule, &mut make)?;
        let continuous = Continuous {
            field,
            space,
            solver: model.solver,
        };
        let scale = Affine::new(space, parts.scale)?;
        let mixing = match model.noise {
            Covariance::Data => parts.distances.mixing(points, dims)?,
            Covariance::Harmonic => {
                let stiffness = parts.distances.stiffness(points, dims, &features.bonds);
                harmonic_mixing(points, dims, &features.bonds, stiffness)?
            }
        };
        let chain = Chain::new(vec![
            Layer::Mixing(mixing),
            Layer::Continuous(continuous),
            Layer::Affine(scale),
        ])?;
        Ok(Self {
            prior: MeanFreeGaussian { points, dims },
            schedule: model.schedule,
            chain,
            context: features.context(Some(&parts.distances), device),
            device: device.clone(),
        })
    }

    pub(super) fn chain(&self) -> &Chain<Layer> {
        &self.chain
    }

    pub(super) fn with_parameters(mut self, parameters: &[f32]) -> Self {
        self.chain = unflatten(self.chain, parameters);
        self
    }

    /// The same flow, solved otherwise.
    pub(super) fn with_solver(mut self, solver: Solver) -> Self {
        let solved = |layer: &Layer| match layer {
            Layer::Continuous(continuous) => Layer::Continuous(Continuous {
                solver,
                ..continuous.clone()
            }),
            other => other.clone(),
        };
        let layers = self.chain.layers().iter().map(solved).collect();
        self.chain = Chain::new(layers).expect("maps of the same spaces");
        self
    }

    /// What the maps are conditioned on.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// How fast noise turns into data.
    pub fn schedule(&self) -> Schedule {
        self.schedule
    }

    /// The continuous map, which is what training changes.
    pub fn continuous(&self) -> &Continuous {
        self.chain
            .layers()
            .iter()
            .find_map(|layer| match layer {
                Layer::Continuous(continuous) => Some(continuous),
                _ => None,
            })
            .expect("every flow of positions has a continuous map")
    }

    /// A copy of the field whose parameters carry gradients, with leaves of its own.
    pub fn trainable_field(&self) -> Field {
        self.continuous().field.clone().train()
    }

    /// As many evaluations as fixed steps need, times the operations of [`VectorField::divergence_operations`]. None with adaptive steps,
    /// whose number depends on the samples, or with an estimated divergence.
    pub(super) fn operations_per_sample(&self) -> Option<f64> {
        let Continuous { field, solver, .. } = self.continuous();
        match (solver.steps, solver.divergence) {
            (Steps::Fixed { count }, Divergence::Exact) => {
                let evaluations = count * solver.method.tableau().working_stages();
                let each = field.divergence_operations(self.prior.points, self.prior.dims);
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

    /// Where the continuous map carries such noise, in latent units.
    pub fn carried(&self, noise: &[f64]) -> Result<Vec<f64>, FlowError> {
        let x = self.batch(noise);
        Ok(host(self.continuous().transport(x, &self.context)?))
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

    /// `log q` of each of some configurations whose centroids are the origin, and the gradient of the sum of `log q − r` in the field's
    /// parameters, through the solve; see [`Continuous::log_density_gradient`].
    pub fn log_density_gradient(
        &self,
        positions: &[f64],
        samples: &Samples,
        regularization: Regularization,
    ) -> Result<(Vec<f64>, Vec<f32>), FlowError> {
        let context = self.context.with_samples(samples.clone());
        let is_continuous = |layer: &Layer| matches!(layer, Layer::Continuous(_));
        let mut parts = self.chain.layers().splitn(2, is_continuous);
        let [before, after] = [(); 2].map(|()| parts.next().unwrap_or_default());
        let (y, constant) = back(after, self.batch(positions), &context)?;
        let latent_density = |x: Points| {
            let (z, log_det) = back(before, x, &context)?;
            Ok(self.prior.log_density_tensor(z) + log_det)
        };
        let continuous = self.continuous();
        let found =
            continuous.log_density_gradient(&y, &context, regularization, latent_density)?;
        let log_q = found.log_density.iter().zip(host(constant));
        let log_q = log_q.map(|(log_q, constant)| log_q + constant);
        Ok((log_q.collect(), found.parameters))
    }

    pub(super) fn sample(&self, samples: &Samples) -> Result<Drawn, FlowError> {
        let latents = self.prior.sample(samples);
        let context = self.context.with_samples(samples.clone());
        let (y, log_det) = self.chain.forward(self.batch(&latents), &context)?;
        Ok(Drawn {
            positions: host(y),
            log_prior: self.prior.log_density(&latents),
            latents,
            log_det: host(log_det),
        })
    }

    pub(super) fn density(&self, positions: &[f64], samples: &Samples) -> Result<Drawn, FlowError> {
        let context = self.context.with_samples(samples.clone());
        let (z, log_det) = self.chain.inverse(self.batch(positions), &context)?;
        let latents = host(z);
        Ok(Drawn {
            positions: positions.to_vec(),
            log_prior: self.prior.log_density(&latents),
            latents,
            log_det: host(log_det).into_iter().map(|log_det| -log_det).collect(),
        })
    }

    fn batch(&self, positions: &[f64]) -> Tensor<3> {
        batch(
            positions,
            [self.prior.points, self.prior.dims],
            &self.device,
        )
    }
}

/// Back through some of a chain's maps, with the log-determinant of that.
fn back(maps: &[Layer], y: Points, context: &Context) -> Result<(Points, Tensor<1>), FlowError> {
    let none = Tensor::zeros([y.dims()[0]], (&y.device(), y.dtype()));
    maps.iter().rev().try_fold((y, none), |(y, total), map| {
        let (x, log_det) = map.inverse(y, context)?;
        Ok((x, total + log_det))
    })
}

/// The scale that gives the data unit variance in each degree of freedom of the mean-free space.
pub fn natural_scale(data: &Conformers) -> f64 {
    let mut centred = data.clone();
    centred.center();
    let degrees = (data.dims() * (data.points() - 1) * data.len()) as f64;
    (centred.positions().iter().map(|x| x * x).sum::<f64>() / degrees).sqrt()
}

#[cfg(test)]
mod tests;
