//! The reverse divergence of a flow, and its gradient along the paths of samples.

use boltzflow_flow::{Bijection, Chain, Context, FlowError, Layer, Points, Prior, Samples, host};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::batch;
use super::internal::double;

/// Reduced energies of some configurations, and what pushes their points.
#[derive(Clone, Debug, PartialEq)]
pub struct Potential {
    /// `u`, not a number for one that has none.
    pub energies: Vec<f64>,
    /// `−∂u/∂x`.
    pub forces: Vec<f64>,
}

/// What counts in [`Paths::reverse`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// The longest slope of a sample.
    pub steepest: f64,
    /// What the likelihood of the weighted samples is multiplied with.
    pub own: f64,
}

/// Points under the target: where their atoms are, `−ln p`, and its slope.
pub struct Target {
    /// Positions of all atoms.
    pub positions: Vec<f64>,
    /// `−ln p` of each point.
    pub minus_log_p: Vec<f64>,
    /// `−∂ ln p/∂y`.
    pub slope: Vec<f64>,
}

/// See [`Paths::reverse`].
#[derive(Clone, Debug)]
pub struct Reverse {
    /// A number without meaning whose gradient is that of the divergence.
    pub surrogate: Tensor<1>,
    /// `Σ ln q − ln p`.
    pub value: f64,
    /// Samples whose slope was cut.
    pub cut: usize,
    /// Samples without a finite energy or density, which count neither here nor there.
    pub lost: usize,
    /// Positions of all, in the unit of the data.
    pub positions: Vec<f64>,
    /// `ln p − ln q` of each, `−∞` of those that are lost.
    pub log_weights: Vec<f64>,
}

/// A flow whose samples have paths that can be differentiated: latents, carried along maps to points `y`, of which the target knows the density.
pub trait Paths {
    /// The maps.
    fn maps(&self) -> &Chain<Layer>;

    /// What they are conditioned on.
    fn context(&self) -> &Context;

    /// How latents are distributed.
    fn prior(&self) -> &dyn Prior;

    /// Points and dimensions of one point of the maps' space.
    fn shape(&self) -> [usize; 2];

    /// By how much a standard coordinate moves where a number of a point moves by one.
    fn widths(&self) -> Vec<f64>;

    /// Where the maps are.
    fn device(&self) -> &Device;

    /// `−ln p` of points where the maps end, and its slope, from the reduced energies and forces that `energies` answers of their positions.
    fn target_and_slope(
        &self,
        points: &[f64],
        energies: impl FnOnce(&[f64]) -> Potential,
    ) -> Result<Target, FlowError>;

    /// Points of the maps' space: on the CPU in double precision, which the maps' networks do not have, so that the two ways along a map agree
    /// however steep it is.
    fn batch(&self, values: &[f64]) -> Points {
        if *self.device() == Device::flex() {
            double(values, self.shape())
        } else {
            batch(values, self.shape(), self.device())
        }
    }

    /// A copy of the maps whose parameters carry gradients, with leaves of its own.
    fn trainable(&self) -> Chain<Layer> {
        self.maps().clone().train()
    }

    /// Latents of samples.
    fn latents(&self, samples: &Samples) -> Vec<f64> {
        self.prior().sample(samples)
    }

    /// `log q` of points where the maps end, under maps that may be those of [`Paths::trainable`].
    fn log_likelihoods(
        &self,
        maps: &Chain<Layer>,
        points: &[f64],
        context: &Context,
    ) -> Result<Tensor<1>, FlowError> {
        let y = self.batch(points);
        let (z, log_det) = maps.inverse(y, context)?;
        Ok(self.prior().log_density_tensor(z) + log_det)
    }

    /// The reverse divergence of samples with these latents, `Σ ln q − ln p`, with the target's density `p` at the points where the maps end; under
    /// maps as in [`Paths::log_likelihoods`], whose gradient is that along the paths of the samples: `Σ ∂/∂y (ln q − ln p) · ∂y/∂θ`, with
    /// `ln q` as a function of the point alone. Its noise vanishes where `q` is `p`. The slope of a sample in its standard coordinates is cut to
    /// the length [`Terms::steepest`]; and the negative log-likelihood of the points as they are, weighted among themselves, is added with the
    /// factor [`Terms::own`].
    fn reverse(
        &self,
        maps: &Chain<Layer>,
        latents: &[f64],
        terms: Terms,
        energies: impl FnOnce(&[f64]) -> Potential,
    ) -> Result<Reverse, FlowError> {
        let widths = self.widths();
        let z = self.batch(latents);
        let (y, _) = maps.forward(z, self.context())?;
        let points = host(y.clone());
        let (log_q, slope_q) = log_density_and_slope(self, &points)?;
        let Target {
            positions,
            minus_log_p,
            slope: slope_p,
        } = self.target_and_slope(&points, energies)?;
        let mut slopes: Vec<f64> = slope_q.iter().zip(&slope_p).map(|(a, b)| a + b).collect();
        let (mut value, mut cut, mut lost) = (0.0, 0, 0);
        let mut log_weights = Vec::with_capacity(log_q.len());
        let divergences = log_q.iter().zip(minus_log_p).map(|(q, p)| q + p);
        for (slope, divergence) in slopes.chunks_mut(widths.len()).zip(divergences) {
            if !(divergence.is_finite() && slope.iter().all(|slope| slope.is_finite())) {
                lost += 1;
                log_weights.push(f64::NEG_INFINITY);
                slope.fill(0.0);
                continue;
            }
            value += divergence;
            log_weights.push(-divergence);
            let standard = slope
                .iter()
                .zip(&widths)
                .map(|(slope, width)| slope / width);
            let length = standard.map(|slope| slope * slope).sum::<f64>().sqrt();
            if length > terms.steepest {
                cut += 1;
                let part = terms.steepest / length;
                slope.iter_mut().for_each(|slope| *slope *= part);
            }
        }
        let slopes = self.batch(&slopes);
        let mut surrogate = (y * slopes).sum();
        if terms.own > 0.0 && lost < log_weights.len() {
            surrogate = surrogate + own(self, maps, &points, &log_weights)? * terms.own;
        }
        Ok(Reverse {
            surrogate,
            value,
            cut,
            lost,
            positions,
            log_weights,
        })
    }
}

/// `ln q` of points where the maps end, and its slope.
pub fn log_density_and_slope(
    flow: &(impl Paths + ?Sized),
    points: &[f64],
) -> Result<(Vec<f64>, Vec<f64>), FlowError> {
    let leaf = flow.batch(points);
    let leaf = leaf.autodiff().require_grad();
    let (z, log_det) = flow.maps().inverse(leaf.clone(), flow.context())?;
    let log_q = flow.prior().log_density_tensor(z) + log_det;
    let gradients = log_q.clone().sum().backward();
    let slope = leaf.grad(&gradients);
    let slope = slope.map_or_else(|| vec![0.0; points.len()], host);
    Ok((host(log_q), slope))
}

/// `Σ −log q` of points where the maps end, each weighted among them, so that all weights are as many as there are points.
fn own(
    flow: &(impl Paths + ?Sized),
    maps: &Chain<Layer>,
    points: &[f64],
    log_weights: &[f64],
) -> Result<Tensor<1>, FlowError> {
    let highest = log_weights
        .iter()
        .copied()
        .fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = log_weights
        .iter()
        .map(|log| (log - highest).exp())
        .collect();
    let scale = weights.len() as f64 / weights.iter().sum::<f64>();
    let scaled: Vec<f64> = weights.iter().map(|weight| scale * weight).collect();
    let log_q = flow.log_likelihoods(maps, points, flow.context())?;
    let data = TensorData::new(scaled, [weights.len()]);
    let weights = Tensor::<1>::from_data(data, (flow.device(), log_q.dtype()));
    Ok((log_q * weights).sum().neg())
}
