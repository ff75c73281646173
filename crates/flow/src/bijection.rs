//! What every map of a flow is: invertible, with a log-determinant.

use burn::tensor::Tensor;

use crate::context::Context;
use crate::ode::SolveError;
use crate::space::Space;

/// A batch of point clouds of one size, `[batch, points, dims]`.
pub type Points = Tensor<3>;

/// One number for each sample, `[batch]`.
pub type PerSample = Tensor<1>;

/// An invertible map with a tractable log-determinant. *Forward* is latent → data; the log-determinant belongs to the direction
/// called, and is taken in orthonormal coordinates of [`Bijection::input`] and [`Bijection::output`].
///
/// What a map computes in, `F32` or `F64`, it takes from its argument's type; its parameters have to be of that type.
pub trait Bijection {
    /// Where [`Bijection::forward`] starts.
    fn input(&self) -> Space;

    /// Where [`Bijection::forward`] ends; of the same dimension as [`Bijection::input`].
    fn output(&self) -> Space;

    /// Maps latent to data, `y = f(x)`, with `log |det ∂y/∂x|`.
    fn forward(&self, x: Points, context: &Context) -> Result<(Points, PerSample), FlowError>;

    /// Maps data to latent, `x = f⁻¹(y)`, with `log |det ∂x/∂y|`.
    fn inverse(&self, y: Points, context: &Context) -> Result<(Points, PerSample), FlowError>;
}

/// Why a map could not be built or evaluated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FlowError {
    /// The differential equation was not solved.
    #[error("the flow's differential equation was not solved: {0}")]
    Solve(#[from] SolveError),
    /// Two neighbours in a chain do not fit.
    #[error("layer {position} ends in the {left}, but layer {} starts in the {right}", position + 1)]
    SpaceMismatch {
        /// Number of the first of the two, from 0.
        position: usize,
        /// Where it ends.
        left: Space,
        /// Where the next one starts.
        right: Space,
    },
    /// A batch of the wrong shape.
    #[error("{points} points in {dims} dimensions were given, but this map works on the {space}")]
    Shape {
        /// Points found.
        points: usize,
        /// Dimensions found.
        dims: usize,
        /// What was expected.
        space: Space,
    },
    /// A precision that the device has not.
    #[error(
        "points in double precision are on a GPU, which computes wrong numbers in it without saying so; use single precision there, or the CPU"
    )]
    Precision,
    /// A scale that no map can have.
    #[error("a scale must be positive and finite, but {scale} was given")]
    Scale {
        /// What was given.
        scale: f64,
    },
    /// A chain without layers.
    #[error("a chain needs at least one layer")]
    Empty,
    /// What is asked for does not exist.
    #[error("{what}")]
    Unsupported {
        /// What, why, and what to do instead.
        what: String,
    },
}

/// A tensor's numbers on the host.
pub fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}
