//! Time-dependent vector fields: the right-hand sides of continuous flows.

#[cfg(test)]
pub(crate) mod laws;

use burn::module::Module;
use burn::tensor::Tensor;

use crate::bijection::{PerSample, Points};
use crate::context::Context;
use crate::dual::Dual;
use crate::egnn::Egnn;
use crate::hollow::Hollow;
use crate::kernel::Kernel;
use crate::transformer::Transformer;

/// `v(t, x)`, equivariant under rotations, permutations of like points and, but for those that are meant to tell mirror images apart, reflections, and
/// free of net translation.
pub trait VectorField {
    /// `v(t, x)` and, for every tangent of `x`, `(∂v/∂x) ẋ`.
    ///
    /// # Shapes
    /// `t` `[batch]`; `x` and the result `[batch, points, dims]`.
    fn velocity(&self, t: Tensor<1>, x: Dual<3>, context: &Context) -> Dual<3>;

    /// Numbers that one sample's widest tensor holds when its exact divergence is taken, which decides how many samples go through
    /// the field at a time.
    fn divergence_size(&self, points: usize, dims: usize) -> usize;

    /// Floating-point operations of the matrix products of one evaluation of `v` and its exact divergence for one sample, two a
    /// multiply-add. What all samples of a molecule share, and what is done element by element, is not counted.
    fn divergence_operations(&self, points: usize, dims: usize) -> f64;

    /// `v` and its exact divergence where the field knows a cheaper way than a tangent for every coordinate through all of its
    /// layers; `None` otherwise.
    fn structured_divergence(
        &self,
        _t: Tensor<1>,
        _x: Points,
        _context: &Context,
    ) -> Option<(Points, PerSample)> {
        None
    }
}

/// The fields that a checkpoint can hold.
#[expect(clippy::large_enum_variant, reason = "a flow has one")]
#[derive(Module, Debug)]
pub enum Field {
    /// See [`Egnn`].
    Egnn(Egnn),
    /// See [`Kernel`].
    Kernel(Kernel),
    /// See [`Hollow`].
    Hollow(Hollow),
    /// See [`Transformer`].
    Transformer(Transformer),
}

/// Calls a method of the variant's field.
macro_rules! each {
    ($any:expr, $field:ident => $call:expr) => {
        match $any {
            Field::Egnn($field) => $call,
            Field::Kernel($field) => $call,
            Field::Hollow($field) => $call,
            Field::Transformer($field) => $call,
        }
    };
}

impl VectorField for Field {
    fn velocity(&self, t: Tensor<1>, x: Dual<3>, context: &Context) -> Dual<3> {
        each!(self, field => field.velocity(t, x, context))
    }

    fn divergence_size(&self, points: usize, dims: usize) -> usize {
        each!(self, field => field.divergence_size(points, dims))
    }

    fn divergence_operations(&self, points: usize, dims: usize) -> f64 {
        each!(self, field => field.divergence_operations(points, dims))
    }

    fn structured_divergence(
        &self,
        t: Tensor<1>,
        x: Points,
        context: &Context,
    ) -> Option<(Points, PerSample)> {
        each!(self, field => field.structured_divergence(t, x, context))
    }
}
