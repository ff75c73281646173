//! What distances are expected between points, so that a network sees how far each is from what it should be.

use burn::tensor::{Int, Tensor};

use crate::bijection::Points;
use crate::dual::Dual;
use crate::schedule::Schedule;

/// Mean and variance of the squared distance of every pair in the data, in latent units. Noise is expected to have the same mean, which
/// [`Mixing`](crate::Mixing) by the root of the data's covariance gives it.
///
/// # Shapes
/// Both `[batch or 1, points, points, 1]`; the diagonal is not read.
#[derive(Clone, Debug)]
pub struct Distances {
    /// `E d²`.
    pub mean: Tensor<4>,
    /// `Var d²`.
    pub variance: Tensor<4>,
}

/// `z = arsinh((d² − m) r)`: the squared distance less its mean at some time, over its standard deviation; 0 on the diagonal. It grows
/// like a logarithm where a distance is far from what it should be: a field that grew like `d²` would have paths that run off.
///
/// # Shapes
/// Both `[batch, points, points, 1]`.
#[derive(Clone, Debug)]
pub(crate) struct Standard {
    pub(crate) shift: Tensor<4>,
    pub(crate) scale: Tensor<4>,
}

/// Part of the largest variance that is added to each, where a pair's distance never changes.
const LEAST_VARIANCE: f64 = 1e-8;

impl Distances {
    /// Mean and standard deviation along `x_t = (1 − α) x₀ + α x₁` of normal `x₀` and independent data `x₁`. With `u = x_i − x_j` and
    /// `m = E|u₁|² = E|u₀|²` the mean is `((1 − α)² + α²) m`, the variance `(2/D) (1 − α)⁴ m² + (4/D) α² (1 − α)² m² + α⁴ Var|u₁|²`.
    pub(crate) fn at(&self, t: &Tensor<1>, schedule: Schedule, x: &Points) -> Standard {
        let [batch, points, dims] = x.dims();
        let per_axis = self.mean.clone().square() * (2.0 / dims as f64);
        let data = schedule.fractions(t.clone()).reshape([batch, 1, 1, 1]);
        let noise = data.clone().neg() + 1.0;
        let (data, noise) = (data.square(), noise.square());
        let mean = (noise.clone() + data.clone()) * self.mean.clone();
        let normal = noise.clone() * (noise + data.clone() * 2.0);
        let variance = normal * per_axis + data.square() * (self.variance.clone() + LEAST_VARIANCE);
        let diagonal = crate::divergence::identity_matrix(points, x);
        let others = diagonal.ones_like() - diagonal.clone();
        let shape = [1, points, points, 1];
        Standard {
            shift: mean,
            scale: others.reshape(shape) / (variance + diagonal.reshape(shape)).sqrt(),
        }
    }
}

impl Standard {
    /// That of some pairs, by their places in the square matrix: `[batch or 1, places, 1, 1]`.
    pub(crate) fn selected(&self, places: &Tensor<1, Int>) -> Self {
        let of = |all: &Tensor<4>| {
            let [rows, points, _, _] = all.dims();
            let flat = all.clone().reshape([rows, points * points]);
            let some = flat.select(1, places.clone());
            some.reshape([rows, places.dims()[0], 1, 1])
        };
        Self {
            shift: of(&self.shift),
            scale: of(&self.scale),
        }
    }

    /// `z` of these squared distances.
    pub(crate) fn of(&self, square: Dual<4>) -> Dual<4> {
        let standard = (square.value.clone() - self.shift.clone()) * self.scale.clone();
        let root = (standard.clone().square() + 1.0).sqrt();
        // Of the magnitude, because z + √(z² + 1) cancels for negative z.
        let value = (standard.clone().abs() + root.clone()).log() * standard.sign();
        square.chain(value, || self.scale.clone() / root)
    }
}
