//! A tensor and, where they are wanted, its directional derivatives (forward-mode differentiation).

use burn::tensor::Tensor;

use crate::activation::apply;
use crate::linear::Linear;
use crate::simd::Function;

/// A value and `K` tangents of it. Networks are written once, on `Dual`; without tangents they cost what a plain tensor costs,
/// and reverse-mode differentiation passes through both.
///
/// # Shapes
/// `value` `[batch, …]`, `tangents` `[K · batch, …]`, direction by direction.
#[derive(Clone, Debug)]
pub struct Dual<const D: usize> {
    /// `y`.
    pub value: Tensor<D>,
    /// `∂y/∂ε` for each direction.
    pub tangents: Option<Tensor<D>>,
}

impl<const D: usize> Dual<D> {
    /// A value whose derivatives nobody asks for, or are zero.
    pub fn constant(value: Tensor<D>) -> Self {
        Self {
            value,
            tangents: None,
        }
    }

    /// A value with its tangents.
    pub fn new(value: Tensor<D>, tangents: Tensor<D>) -> Self {
        Self {
            value,
            tangents: Some(tangents),
        }
    }

    /// Applies a map that is linear in the tensor, and acts on each sample alone.
    pub fn linear<const E: usize>(self, map: impl Fn(Tensor<D>) -> Tensor<E>) -> Dual<E> {
        Dual {
            tangents: self.tangents.map(&map),
            value: map(self.value),
        }
    }

    /// `x W + b`.
    pub fn through(self, layer: &Linear) -> Self {
        Self {
            tangents: self.tangents.map(|t| layer.matmul(t)),
            value: layer.forward(self.value),
        }
    }

    /// `f(x)`, elementwise; tangents by `f'(x) ẋ`.
    pub fn map(self, function: Function) -> Self {
        let tangents = self.tangents.map(|t| {
            let slope = function
                .derivative()
                .expect("networks use functions with a derivative");
            times(t, apply(slope, self.value.clone()))
        });
        Self {
            value: apply(function, self.value),
            tangents,
        }
    }

    /// A sum; a missing tangent counts as zero.
    pub fn plus(self, other: Self) -> Self {
        Self {
            value: self.value + other.value,
            tangents: total(self.tangents, other.tangents),
        }
    }

    /// A product, elementwise with broadcasting of size-1 axes: `ẋ y + x ẏ`.
    pub fn product(self, other: Self) -> Self {
        let left = self.tangents.map(|t| times(t, other.value.clone()));
        let right = other.tangents.map(|t| times(t, self.value.clone()));
        Self {
            value: self.value * other.value,
            tangents: total(left, right),
        }
    }

    /// `y = f(x)`, elementwise, with `slope = f'(x)`.
    pub fn chain(self, value: Tensor<D>, slope: impl FnOnce() -> Tensor<D>) -> Self {
        Self {
            value,
            tangents: self.tangents.map(|t| times(t, slope())),
        }
    }
}

/// The sum of two contributions to tangents; a missing one counts as zero.
pub(crate) fn total<const D: usize>(
    left: Option<Tensor<D>>,
    right: Option<Tensor<D>>,
) -> Option<Tensor<D>> {
    match (left, right) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

/// `ẋ · s`: every direction of `ẋ` (`[K · batch, …]`) times `s` (`[batch or 1, …]`), other axes broadcast.
pub(crate) fn times<const D: usize>(tangents: Tensor<D>, scale: Tensor<D>) -> Tensor<D> {
    let rows = tangents.dims()[0];
    let batch = scale.dims()[0];
    if rows == batch || batch == 1 {
        return tangents * scale;
    }
    if tangents.dims()[1..] == scale.dims()[1..] {
        // Flat, so that the directions are the rows of one broadcast.
        let shape = tangents.dims();
        let size = scale.shape().num_elements();
        let flat = tangents.reshape([rows / batch, size]) * scale.reshape([1, size]);
        return flat.reshape(shape);
    }
    tangents * scale.repeat_dim(0, rows / batch)
}
