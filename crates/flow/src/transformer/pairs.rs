//! What networks see of where points are from one another.

use burn::tensor::Tensor;

use crate::dual::Dual;
use crate::separation::{differences, inverse_length, squares};

/// Pairs of points, and how they change along each direction. What depends on the distance alone carries **one** tangent, its slope by `d²`; along a
/// direction it changes by that times `stretch`.
///
/// # Shapes
/// For `K` directions; tangents are missing where there are none.
pub(super) struct Pairs {
    /// `x_i − x_j`, `[batch, N, N, dims]`.
    pub difference: Tensor<4>,
    /// The tangents of `x`, `[K · batch, N, dims]`.
    pub moved: Option<Tensor<3>>,
    /// Those of `d²`, `[K · batch, N, N, 1]`.
    pub stretch: Option<Tensor<4>>,
    /// `1/√(d² + 1)`, `[batch, N, N, 1]`.
    pub shortening: Dual<4>,
    /// Functions of the distance, `[batch, N, N, radial]`.
    pub radial: Dual<4>,
}

impl Pairs {
    /// Those of `x`, with functions of `d²`.
    pub fn new(x: Dual<3>, radial: impl FnOnce(Dual<4>) -> Dual<4>) -> Self {
        let moved = x.tangents.clone();
        let difference = differences(x);
        let square = squares(&difference);
        let by_square = Dual {
            tangents: moved.is_some().then(|| square.value.ones_like()),
            value: square.value,
        };
        Self {
            difference: difference.value,
            moved,
            stretch: square.tangents,
            shortening: inverse_length(by_square.clone()),
            radial: radial(by_square),
        }
    }
}
