//! How `∇·v` is evaluated along a path.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use rand::RngExt;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use crate::bijection::{PerSample, Points};
use crate::context::{Context, Samples};
use crate::dual::Dual;
use crate::field::VectorField;
use crate::random::{Purpose, stream};

/// How `∇·v` is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Divergence {
    /// The trace of the Jacobian. Unbiased weights need this.
    Exact,
    /// `E[εᵀ (∂v/∂x) ε]` over random `ε` (Hutchinson 1990; in flows Grathwohl et al. 2019). The noise in `log q` biases
    /// `exp(log q)`, so it is for training and monitoring, not for reweighting.
    Hutchinson {
        /// Probes averaged over.
        probes: usize,
        /// Their distribution.
        noise: Noise,
    },
}

/// Distribution of Hutchinson's probes; both have unit covariance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// ±1 with equal chances: the least variance of all (Hutchinson 1990).
    Rademacher,
    /// Standard normal.
    Gaussian,
}

/// Values that one pass over some samples with all their tangents should hold at most, so that they stay in cache.
const PASS_VALUES: usize = 1 << 20;

/// The directions in which one batch is differentiated, fixed for a whole path.
#[expect(clippy::large_enum_variant, reason = "one lives for a whole solve")]
#[derive(Clone, Debug)]
pub enum Probes {
    /// All coordinates.
    Coordinates,
    /// `[probes · batch, points, dims]`, and how many.
    Random(Tensor<3>, usize),
}

impl Divergence {
    /// The probes of these samples: a function of the seed and each sample's number, not of the batch.
    pub fn probes(self, x: &Points, samples: &Samples) -> Probes {
        match self {
            Self::Exact => Probes::Coordinates,
            Self::Hutchinson { probes, noise } => {
                let [batch, points, dims] = x.dims();
                let mut values = vec![0.0; probes * batch * points * dims];
                for (row, &number) in samples.numbers.iter().enumerate() {
                    let mut random = stream(samples.seed, Purpose::Probes, number);
                    for probe in 0..probes {
                        let start = (probe * batch + row) * points * dims;
                        for value in &mut values[start..start + points * dims] {
                            *value = match noise {
                                Noise::Rademacher => {
                                    if random.random::<bool>() {
                                        1.0
                                    } else {
                                        -1.0
                                    }
                                }
                                Noise::Gaussian => random.sample(StandardNormal),
                            };
                        }
                    }
                }
                Probes::Random(
                    tensor(
                        values,
                        [probes * batch, points, dims],
                        &x.device(),
                        x.dtype(),
                    ),
                    probes,
                )
            }
        }
    }
}

impl Probes {
    /// `v` and `∇·v`, or its estimate.
    pub fn evaluate(
        &self,
        field: &dyn VectorField,
        t: f64,
        x: &Points,
        context: &Context,
    ) -> (Points, PerSample) {
        match self {
            Self::Random(directions, probes) => {
                let (velocity, tangents) =
                    along(field, times_of(t, x), x, directions.clone(), context);
                let trace = per_direction(directions.clone() * tangents, *probes).mean_dim(0);
                (velocity, trace.reshape([x.dims()[0]]))
            }
            Self::Coordinates => {
                let [batch, points, dims] = x.dims();
                let rows =
                    (PASS_VALUES / field.divergence_size(points, dims).max(1)).clamp(1, batch);
                let parts = (0..batch).step_by(rows).map(|start| {
                    let end = (start + rows).min(batch);
                    let x = x.clone().slice(start..end);
                    let context = context.rows(start..end);
                    let t = times_of(t, &x);
                    field
                        .structured_divergence(t.clone(), x.clone(), &context)
                        .unwrap_or_else(|| by_coordinates(field, t, &x, &context))
                });
                let (velocities, traces): (Vec<_>, Vec<_>) = parts.unzip();
                (Tensor::cat(velocities, 0), Tensor::cat(traces, 0))
            }
        }
    }

    /// The same and the square of the Jacobian's Frobenius norm, `‖∂v/∂x‖²`, or its estimate `|(∂v/∂x) ε|²` by the same probes.
    pub fn evaluate_with_norm(
        &self,
        field: &dyn VectorField,
        t: f64,
        x: &Points,
        context: &Context,
    ) -> (Points, PerSample, PerSample) {
        let [batch, points, dims] = x.dims();
        let (directions, count, share) = match self {
            Self::Random(directions, probes) => (directions.clone(), *probes, 1.0 / *probes as f64),
            Self::Coordinates => (all_directions(x), points * dims, 1.0),
        };
        let (velocity, tangents) = along(field, times_of(t, x), x, directions.clone(), context);
        let sum = |products: Tensor<3>| {
            let sum = per_direction(products, count).sum_dim(0).reshape([batch]);
            sum * share
        };
        let trace = sum(directions * tangents.clone());
        (velocity, trace, sum(tangents.square()))
    }
}

/// `v` and `(∂v/∂x) ε` of every direction.
fn along(
    field: &dyn VectorField,
    t: Tensor<1>,
    x: &Points,
    directions: Tensor<3>,
    context: &Context,
) -> (Points, Tensor<3>) {
    let found = field.velocity(t, Dual::new(x.clone(), directions), context);
    (found.value, found.tangents.expect("x carries tangents"))
}

/// The unit vectors of all coordinates, for every sample.
fn all_directions(x: &Points) -> Tensor<3> {
    let [batch, points, dims] = x.dims();
    let count = points * dims;
    identity_matrix(count, x)
        .reshape([count, 1, count])
        .repeat_dim(1, batch)
        .reshape([count * batch, points, dims])
}

/// `v` and its divergence by a tangent for every coordinate, whatever the field.
pub fn by_coordinates(
    field: &dyn VectorField,
    t: Tensor<1>,
    x: &Points,
    context: &Context,
) -> (Points, PerSample) {
    let [batch, points, dims] = x.dims();
    let count = points * dims;
    let directions = all_directions(x);
    let (velocity, tangents) = along(field, t, x, directions.clone(), context);
    // Along the last axis, where the order of a sample's sum does not depend on how many samples there are.
    let trace = (directions * tangents)
        .reshape([count, batch, count])
        .swap_dims(0, 1)
        .reshape([batch, count * count])
        .sum_dim(1)
        .reshape([batch]);
    (velocity, trace)
}

/// Sums each direction's product over the coordinates, `[directions, batch]`.
fn per_direction(products: Tensor<3>, directions: usize) -> Tensor<2> {
    let [rows, points, dims] = products.dims();
    products
        .reshape([directions, rows / directions, points * dims])
        .sum_dim(2)
        .squeeze_dim(2)
}

/// The same time for every sample.
pub(crate) fn times_of(t: f64, x: &Points) -> Tensor<1> {
    Tensor::full([x.dims()[0]], t, (&x.device(), x.dtype()))
}

/// The identity matrix, of the float type of `like`.
pub(crate) fn identity_matrix(size: usize, like: &Points) -> Tensor<2> {
    let values = (0..size * size)
        .map(|i| f64::from(u8::from(i % (size + 1) == 0)))
        .collect();
    tensor(values, [size, size], &like.device(), like.dtype())
}

/// Host numbers as a tensor of the type asked for.
pub(crate) fn tensor<const D: usize>(
    values: Vec<f64>,
    shape: [usize; D],
    device: &Device,
    dtype: DType,
) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (device, dtype))
}

/// Places along an axis, to select by.
pub(crate) fn indices(places: &[usize], device: &Device) -> Tensor<1, Int> {
    let places: Vec<i64> = places.iter().map(|&place| place as i64).collect();
    Tensor::from_data(places.as_slice(), device)
}
