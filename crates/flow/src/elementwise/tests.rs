//! What tests of elementwise maps share.

use burn::tensor::{Tensor, TensorData};

use crate::bijection::host;

/// A value of each sample that depends on all that a map gives; of what is the same on both sides of a circle's cut.
pub(crate) fn value((y, log_slope): (Tensor<2>, Tensor<2>)) -> Tensor<1> {
    let [batch, coordinates] = y.dims();
    let weights: Vec<f64> = (0..coordinates).map(|k| 1.0 + (k as f64).sin()).collect();
    let weights: Tensor<2> = Tensor::from_data(
        TensorData::new(weights, [1, coordinates]),
        (&y.device(), y.dtype()),
    );
    let total = ((y * std::f64::consts::TAU).cos() + log_slope * 0.3) * weights;
    total.sum_dim(1).reshape([batch])
}

/// What comes out of a map, and the gradients of [`value`] in `x` and in the numbers.
pub(crate) fn found(
    of: impl Fn(Tensor<2>, Tensor<3>) -> (Tensor<2>, Tensor<2>),
    x: &Tensor<2>,
    raw: &Tensor<3>,
) -> [Vec<f64>; 4] {
    let (y, log_slope) = of(x.clone(), raw.clone());
    let x = x.clone().autodiff().require_grad();
    let raw = raw.clone().autodiff().require_grad();
    let gradients = value(of(x.clone(), raw.clone())).sum().backward();
    [
        host(y),
        host(log_slope),
        host(x.grad(&gradients).unwrap()),
        host(raw.grad(&gradients).unwrap()),
    ]
}

pub(crate) fn assert_alike(found: &[Vec<f64>; 4], expected: &[Vec<f64>; 4], tolerance: f64) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            let off = (found - expected).abs() / expected.abs().max(1.0);
            assert!(off < tolerance, "{found} instead of {expected}");
        }
    }
}
