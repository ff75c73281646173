//! Where points are from one another.

use burn::tensor::Tensor;

use crate::distances::Standard;
use crate::divergence::tensor;
use crate::dual::Dual;

/// `x_i − x_j`, `[batch, N, N, dims]`.
pub(crate) fn differences(x: Dual<3>) -> Dual<4> {
    x.linear(|x| x.clone().unsqueeze_dim::<4>(2) - x.unsqueeze_dim(1))
}

/// `d²` of differences, whose last axis is that of the dimensions, `[batch, …, 1]`.
pub(crate) fn squares<const D: usize>(difference: &Dual<D>) -> Dual<D> {
    difference
        .clone()
        .product(difference.clone())
        .linear(|d| d.sum_dim(D - 1))
}

/// `1/√(d² + 1)` from `d²`: what makes a difference a direction where points are far from one another, and leaves it smooth where they meet.
pub(crate) fn inverse_length(square: Dual<4>) -> Dual<4> {
    let value = (square.value.clone() + 1.0).sqrt().recip();
    square.chain(value.clone(), || value.clone() * value.square() * -0.5)
}

/// What networks see of `d²`: `z` where it is known what distances are like, and `ln(1 + d²)` elsewhere, because a field whose layers multiply what they see
/// would otherwise grow with a power of the distance, and have paths that run off.
pub(crate) fn seen(square: Dual<4>, standard: Option<&Standard>) -> Dual<4> {
    if let Some(standard) = standard {
        return standard.of(square);
    }
    let above = square.value.clone() + 1.0;
    square.chain(above.clone().log(), || above.recip())
}

/// Takes the centroid's motion out: `v − mean v`.
pub(crate) fn without_mean(v: Dual<3>) -> Dual<3> {
    v.linear(|v| {
        let mean = v.clone().mean_dim(1);
        v - mean
    })
}

/// 1 for pairs of different points, 0 for a point and itself, `[1, N, N, 1]`, of the float type of `like`.
pub(crate) fn others<const D: usize>(points: usize, like: &Tensor<D>) -> Tensor<4> {
    let pairs = (0..points * points).map(|pair| f64::from(u8::from(pair % (points + 1) != 0)));
    let shape = [1, points, points, 1];
    tensor(pairs.collect(), shape, &like.device(), like.dtype())
}
