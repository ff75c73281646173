//! The maps that a checkpoint can hold.

use burn::module::Module;

use crate::actnorm::Actnorm;
use crate::affine::Affine;
use crate::augmented::AugmentedCoupling;
use crate::autoregressive::Autoregressive;
use crate::bijection::{Bijection, FlowError};
use crate::context::Context;
use crate::continuous::Continuous;
use crate::coupling::Coupling;
use crate::lower_upper::LowerUpper;
use crate::marginals::Marginals;
use crate::mixing::Mixing;
use crate::scores::Scores;
use crate::space::Space;
use crate::{PerSample, Points};

/// A link of a [`crate::Chain`].
#[expect(
    clippy::large_enum_variant,
    reason = "a flow has a few of them, on the heap"
)]
#[derive(Module, Debug)]
pub enum Layer {
    /// See [`Affine`].
    Affine(Affine),
    /// See [`Mixing`].
    Mixing(Mixing),
    /// See [`Continuous`].
    Continuous(Continuous),
    /// See [`Coupling`].
    Coupling(Coupling),
    /// See [`AugmentedCoupling`].
    Augmented(AugmentedCoupling),
    /// See [`Autoregressive`].
    Autoregressive(Autoregressive),
    /// See [`Actnorm`].
    Actnorm(Actnorm),
    /// See [`LowerUpper`].
    LowerUpper(LowerUpper),
    /// See [`Marginals`].
    Marginals(Marginals),
    /// See [`Scores`].
    Scores(Scores),
}

/// Calls a method of the variant's map.
macro_rules! each {
    ($layer:expr, $map:ident => $call:expr) => {
        match $layer {
            Layer::Affine($map) => $call,
            Layer::Mixing($map) => $call,
            Layer::Continuous($map) => $call,
            Layer::Coupling($map) => $call,
            Layer::Augmented($map) => $call,
            Layer::Autoregressive($map) => $call,
            Layer::Actnorm($map) => $call,
            Layer::LowerUpper($map) => $call,
            Layer::Marginals($map) => $call,
            Layer::Scores($map) => $call,
        }
    };
}

impl Bijection for Layer {
    fn input(&self) -> Space {
        each!(self, map => map.input())
    }

    fn output(&self) -> Space {
        each!(self, map => map.output())
    }

    fn forward(&self, x: Points, context: &Context) -> Result<(Points, PerSample), FlowError> {
        each!(self, map => map.forward(x, context))
    }

    fn inverse(&self, y: Points, context: &Context) -> Result<(Points, PerSample), FlowError> {
        each!(self, map => map.inverse(y, context))
    }
}
