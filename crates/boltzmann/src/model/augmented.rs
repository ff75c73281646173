//! Flows of positions and auxiliary points.

use boltzflow_flow::parameters::unflatten;
use boltzflow_flow::random::{Purpose, stream};
use boltzflow_flow::{
    Affine, AugmentedCoupling, AugmentedPrior, Auxiliary, Bijection, Chain, Context, FlowError,
    Initializer, Layer, Marginal, MeanFreeGaussian, Prior, Samples, host,
};
use boltzflow_molecule::Conformers;
use burn::tensor::{DType, Device, Tensor};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::Drawn;
use super::cartesian::natural_scale;
use super::reverse::{Paths, Potential, Target};
use crate::config::AugmentedConfig;
use crate::features::Features;
use crate::system::System;

/// What a flow of positions and auxiliary points is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augmented {
    /// Its couplings, and where auxiliary points are.
    pub model: AugmentedConfig,
    /// Data units in one latent unit.
    pub scale: f64,
}

impl Augmented {
    /// In the unit of the data, or where there are none, of the configuration that simulations start from.
    pub(super) fn new(model: AugmentedConfig, system: &System, data: &Conformers) -> Self {
        let known = if data.is_empty() { &system.start } else { data };
        Self {
            model,
            scale: natural_scale(known),
        }
    }

    /// `π(a | x)` where one latent unit is so many of the unit wanted.
    fn auxiliary(&self, features: &Features, unit: f64) -> Result<Auxiliary, FlowError> {
        Auxiliary::new(features.points, features.dims, self.model.spread * unit)
    }
}

/// Normal positions with normal auxiliary points about them, carried through couplings of the two halves in turn, and scaled.
///
/// Its density is one of whole clouds `(x, a)`. What it says of positions is taken on the joint space, where `w = e^{−u(x)} π(a | x)/q(x, a)`
/// is a weight, see [`super::Density::Joint`].
#[derive(Clone, Debug)]
pub struct AugmentedFlow {
    prior: AugmentedPrior<MeanFreeGaussian>,
    /// In the unit of the data.
    auxiliary: Auxiliary,
    chain: Chain<Layer>,
    context: Context,
    scale: f64,
    device: Device,
}

impl AugmentedFlow {
    pub(super) fn new(
        parts: &Augmented,
        features: &Features,
        seed: u64,
        device: &Device,
    ) -> Result<Self, FlowError> {
        let model = &parts.model;
        let (points, dims) = (features.points, features.dims);
        let auxiliary = parts.auxiliary(features, parts.scale)?;
        let gaussian = MeanFreeGaussian { points, dims };
        let prior = AugmentedPrior::new(gaussian, parts.auxiliary(features, 1.0)?)?;
        let config = boltzflow_flow::AugmentedConfig {
            width: model.width,
            rounds: model.rounds,
            channels: model.channels,
            node_features: features.node_features(),
            pair_features: features.pair_features(),
            global_features: 0,
            reference: model.coupling,
            map: model.map,
        };
        let mut random = stream(seed, Purpose::Parameters, 0);
        let mut make = Initializer {
            random: &mut random,
            device,
            dtype: DType::F32,
        };
        let space = auxiliary.space();
        let couplings = AugmentedCoupling::alternating(model.layers, space, &config, &mut make)?;
        let unit = Layer::Affine(Affine::new(space, parts.scale)?);
        let layers = couplings.into_iter().map(Layer::Augmented).chain([unit]);
        Ok(Self {
            prior,
            auxiliary,
            chain: Chain::new(layers.collect())?,
            context: features.context(None, device),
            scale: parts.scale,
            device: device.clone(),
        })
    }

    pub(super) fn with_parameters(mut self, parameters: &[f32]) -> Self {
        self.chain = unflatten(self.chain, parameters);
        self
    }

    pub(super) fn operations_per_sample(&self) -> f64 {
        let each = self.chain.layers().iter().map(|layer| match layer {
            Layer::Augmented(coupling) => coupling.operations(),
            _ => 0.0,
        });
        each.sum()
    }

    /// How auxiliary points are distributed about positions.
    pub fn auxiliary(&self) -> &Auxiliary {
        &self.auxiliary
    }

    /// Numbers of a configuration.
    fn size(&self) -> usize {
        self.auxiliary.positions().coordinates()
    }

    /// The clouds of some configurations, with auxiliary points drawn for each, one after another.
    pub fn join(&self, positions: &[f64], random: &mut impl Rng) -> Vec<f64> {
        let each = positions.chunks_exact(self.size());
        each.flat_map(|x| self.auxiliary.join(x, random)).collect()
    }

    /// `log q(x, a) − log π(a | x)` of some clouds, a number for each, under maps as in [`Paths::log_likelihoods`].
    pub fn log_ratios(&self, maps: &Chain<Layer>, clouds: &[f64]) -> Result<Tensor<1>, FlowError> {
        let log_q = self.log_likelihoods(maps, clouds, &self.context)?;
        let log_pi = self.auxiliary.log_density_tensor(&self.batch(clouds));
        Ok(log_q - log_pi - self.auxiliary.log_volume())
    }

    /// Clouds that the flow has made of these latents, or would have.
    fn drawn(&self, clouds: &[f64], latents: Vec<f64>, log_det: Vec<f64>) -> Drawn {
        let clouds = clouds.chunks_exact(2 * self.size());
        let volume = self.auxiliary.log_volume();
        let joint = clouds.clone().zip(log_det);
        let joint = joint
            .map(|(cloud, log_det)| log_det + volume + self.auxiliary.log_density(cloud))
            .collect();
        Drawn {
            positions: clouds
                .flat_map(|cloud| self.auxiliary.part(cloud))
                .collect(),
            log_prior: self.prior.log_density(&latents),
            latents,
            log_det: joint,
        }
    }

    pub(super) fn sample(&self, samples: &Samples) -> Result<Drawn, FlowError> {
        let latents = self.latents(samples);
        let (y, log_det) = self.chain.forward(self.batch(&latents), &self.context)?;
        Ok(self.drawn(&host(y), latents, host(log_det)))
    }

    /// With the first auxiliary points that [`AugmentedFlow::log_marginal`] draws for each configuration.
    pub(super) fn density(&self, positions: &[f64], samples: &Samples) -> Result<Drawn, FlowError> {
        let each = positions.chunks_exact(self.size()).zip(&samples.numbers);
        let clouds: Vec<f64> = each
            .flat_map(|(x, &number)| {
                let mut random = stream(samples.seed, Purpose::Marginal, number);
                self.auxiliary.join(x, &mut random)
            })
            .collect();
        let (z, log_det) = self.chain.inverse(self.batch(&clouds), &self.context)?;
        let log_det = host(log_det).into_iter().map(|log_det| -log_det);
        let drawn = self.drawn(&clouds, host(z), log_det.collect());
        Ok(Drawn {
            positions: positions.to_vec(),
            ..drawn
        })
    }

    /// `log q(x)` of some configurations, the auxiliary points averaged out by so many draws, see [`Auxiliary::log_marginal`].
    ///
    /// # Panics
    /// Without draws.
    pub fn log_marginal(
        &self,
        positions: &[f64],
        samples: &Samples,
        draws: usize,
    ) -> Result<Vec<Marginal>, FlowError> {
        let log_q = |clouds: &[f64]| {
            let log_q = self.log_likelihoods(&self.chain, clouds, &self.context)?;
            Ok(host(log_q))
        };
        self.auxiliary
            .log_marginal(positions, samples, draws, log_q)
    }
}

impl Paths for AugmentedFlow {
    fn maps(&self) -> &Chain<Layer> {
        &self.chain
    }

    fn context(&self) -> &Context {
        &self.context
    }

    fn prior(&self) -> &dyn Prior {
        &self.prior
    }

    fn shape(&self) -> [usize; 2] {
        let space = self.auxiliary.space();
        [space.points(), space.dims()]
    }

    fn widths(&self) -> Vec<f64> {
        vec![self.scale.recip(); 2 * self.size()]
    }

    fn device(&self) -> &Device {
        &self.device
    }

    /// With `−ln p = u(x) − log π(a | x)`, as a density of clouds. Forces add up to nothing, so where the centroid is does not count.
    fn target_and_slope(
        &self,
        clouds: &[f64],
        energies: impl FnOnce(&[f64]) -> Potential,
    ) -> Result<Target, FlowError> {
        let size = self.size();
        let each = clouds.chunks_exact(2 * size);
        let positions: Vec<f64> = each.clone().flat_map(|y| self.auxiliary.part(y)).collect();
        let Potential { energies, forces } = energies(&positions);
        let volume = self.auxiliary.log_volume();
        let minus_log_p = each.clone().zip(energies);
        let minus_log_p =
            minus_log_p.map(|(cloud, u)| u - self.auxiliary.log_density(cloud) - volume);
        let minus_log_p = minus_log_p.collect();
        let variance = self.auxiliary.scale().powi(2);
        let slope = each
            .zip(forces.chunks_exact(size))
            .flat_map(|(cloud, forces)| {
                let (x, a) = cloud.split_at(size);
                let pull: Vec<f64> = x.iter().zip(a).map(|(x, a)| (x - a) / variance).collect();
                let of_positions = pull.iter().zip(forces).map(|(pull, force)| pull - force);
                let of_auxiliaries = pull.iter().map(|pull| -pull);
                of_positions.chain(of_auxiliaries).collect::<Vec<f64>>()
            });
        Ok(Target {
            slope: slope.collect(),
            positions,
            minus_log_p,
        })
    }
}

#[cfg(test)]
mod tests;
