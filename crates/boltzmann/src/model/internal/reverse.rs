//! The reverse divergence of a flow of internal coordinates, and its gradient along the paths of samples.

use boltzflow_flow::{Bijection, Chain, FlowError, Layer, Prior, host};
use burn::tensor::{Tensor, TensorData};

use super::{InternalFlow, double};

/// Reduced energies of some configurations, and what pushes their points.
#[derive(Clone, Debug, PartialEq)]
pub struct Potential {
    /// `u`, not a number for one that has none.
    pub energies: Vec<f64>,
    /// `−∂u/∂x`.
    pub forces: Vec<f64>,
}

/// What counts in [`InternalFlow::reverse`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// The longest slope of a sample.
    pub steepest: f64,
    /// What the likelihood of the weighted samples is multiplied with.
    pub own: f64,
}

/// Points under the target: where their atoms are, `−ln p`, and its slope.
struct Target {
    positions: Vec<f64>,
    minus_log_p: Vec<f64>,
    slope: Vec<f64>,
}

/// See [`InternalFlow::reverse`].
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
    /// Positions of all, in Å.
    pub positions: Vec<f64>,
    /// `ln p − ln q` of each, `−∞` of those that are lost.
    pub log_weights: Vec<f64>,
}

impl InternalFlow {
    /// The reverse divergence of samples with these latents, `Σ ln q − ln p`, at the flow's temperature, from
    /// `ln p = −u(x) + log |det ∂x/∂y|` with the reduced energies that `energies` answers; under maps as in
    /// [`InternalFlow::negative_log_likelihood`], whose gradient is that along the paths of the samples: `Σ ∂/∂y (ln q − ln p) · ∂y/∂θ`, with
    /// `ln q` as a function of the point alone. Its noise vanishes where `q` is `p`. The slope of a sample in its standard coordinates is cut to
    /// the length [`Terms::steepest`]; and the negative log-likelihood of the points as they are, weighted among themselves, is added with the
    /// factor [`Terms::own`].
    pub fn reverse(
        &self,
        maps: &Chain<Layer>,
        latents: &[f64],
        terms: Terms,
        energies: impl FnOnce(&[f64]) -> Potential,
    ) -> Result<Reverse, FlowError> {
        let size = self.coordinates();
        let z = self.batch(latents);
        let (y, _) = maps.forward(z, &self.context)?;
        let points = host(y.clone());
        let (log_q, slope_q) = self.log_density_and_slope(&points)?;
        let Target {
            positions,
            minus_log_p,
            slope: slope_p,
        } = self.target_and_slope(&points, energies)?;
        let mut slopes: Vec<f64> = slope_q.iter().zip(&slope_p).map(|(a, b)| a + b).collect();
        let (mut value, mut cut, mut lost) = (0.0, 0, 0);
        let mut log_weights = Vec::with_capacity(log_q.len());
        let widths = self.chart.widths();
        let divergences = log_q.iter().zip(minus_log_p).map(|(q, p)| q + p);
        for (slope, divergence) in slopes.chunks_mut(size).zip(divergences) {
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
            surrogate = surrogate + self.own(maps, &points, &log_weights)? * terms.own;
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

    /// `ln q` of points where the maps end, and its slope.
    fn log_density_and_slope(&self, points: &[f64]) -> Result<(Vec<f64>, Vec<f64>), FlowError> {
        let leaf = self.batch(points);
        let leaf = leaf.autodiff().require_grad();
        let (z, log_det) = self.chain.inverse(leaf.clone(), &self.context)?;
        let log_q = self.prior.log_density_tensor(z) + log_det;
        let gradients = log_q.clone().sum().backward();
        let slope = leaf.grad(&gradients);
        let slope = slope.map_or_else(|| vec![0.0; points.len()], host);
        Ok((host(log_q), slope))
    }

    /// `−ln p = u(x) − log |det ∂x/∂y|` of points where the maps end, and its slope.
    fn target_and_slope(
        &self,
        points: &[f64],
        energies: impl FnOnce(&[f64]) -> Potential,
    ) -> Result<Target, FlowError> {
        let leaf = double(points, [self.coordinates(), 1]);
        let leaf = leaf.autodiff().require_grad();
        let (internal, chart) = self.chart.forward(&leaf)?;
        let (positions, frame) = self.geometry.forward(&internal)?;
        let log_det = chart + frame;
        let log_dets = host(log_det.clone());
        let x = host(positions.clone());
        let Potential { energies, forces } = energies(&x);
        let forces = double(&forces, [self.points(), 3]);
        let gradients = ((positions * forces).sum().neg() - log_det.sum()).backward();
        let slope = leaf.grad(&gradients);
        let slope = slope.map_or_else(|| vec![0.0; points.len()], host);
        let values = energies
            .into_iter()
            .zip(log_dets)
            .map(|(u, log_det)| u - log_det);
        Ok(Target {
            positions: x,
            minus_log_p: values.collect(),
            slope,
        })
    }

    /// `Σ −log q` of points where the maps end, each weighted among them, so that all weights are as many as there are points.
    fn own(
        &self,
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
        let log_q = self.log_likelihoods(maps, points, &self.context)?;
        let data = TensorData::new(scaled, [weights.len()]);
        let weights = Tensor::<1>::from_data(data, (&self.device, log_q.dtype()));
        Ok((log_q * weights).sum().neg())
    }
}
