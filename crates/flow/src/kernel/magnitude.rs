//! How strongly points push each other, from basis functions of their distance and of time.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};

use super::{KernelConfig, Profile};
use crate::dual::Dual;
use crate::linear::{Initializer, Linear};
use crate::simd::Function;

/// Gain of the last weights, with which a field starts near zero.
const LAST_GAIN: f64 = 1e-2;

/// Kinds of the pairs `i < j`, and of the same as `(j, i)`, each `[P]`; none where all pairs are alike.
pub(super) type Kinds = Option<[Tensor<1, Int>; 2]>;

/// `φ` of a [`super::Kernel`].
#[expect(clippy::large_enum_variant, reason = "a field has one")]
#[derive(Module, Debug)]
pub(super) enum Magnitude {
    /// See [`Profile::Mixture`].
    Mixture(Mixture),
    /// See [`Profile::Perceptron`].
    Perceptron(Perceptron),
}

/// `W^κ T` for every kind `κ`, from the features of the moment.
#[derive(Module, Debug)]
pub(super) struct Mixture {
    /// `[moments, kinds · functions]`.
    weights: Linear,
    #[module(skip)]
    kinds: usize,
}

/// `φ_ij = w^κ_ij · h`, `h` the last of some hidden layers whose first is `f(A K + B T + c^κ_ij + c^κ_ji)`, with `f` = SiLU.
#[derive(Module, Debug)]
pub(super) struct Perceptron {
    /// `A`, with bias.
    functions: Linear,
    /// `B`.
    moments: Linear,
    /// `c`, `[kinds, width]`.
    kinds: Param<Tensor<2>>,
    /// The hidden layers after the first.
    hidden: Vec<Linear>,
    /// `w`, `[kinds, width]`.
    last: Param<Tensor<2>>,
}

impl Magnitude {
    pub fn new(config: &KernelConfig, make: &mut Initializer) -> Self {
        let (functions, kinds) = (config.functions, config.pair_kinds);
        let moments = config.times + config.global_features;
        // Basis functions add up to one, so that each is as small as they are many.
        let of_basis = |count: usize| (count as f64).sqrt();
        match config.profile {
            Profile::Mixture => {
                let gain = LAST_GAIN * of_basis(moments);
                let weights = Linear::without_bias(moments, kinds * functions, gain, make);
                Self::Mixture(Mixture { weights, kinds })
            }
            Profile::Perceptron { width, layers } => Self::Perceptron(Perceptron {
                functions: Linear::new(functions, width, of_basis(functions), make),
                moments: Linear::without_bias(moments, width, of_basis(moments), make),
                kinds: make.uniform([kinds, width], 1.0),
                hidden: (1..layers)
                    .map(|_| Linear::new(width, width, 1.0, make))
                    .collect(),
                last: make.uniform([kinds, width], LAST_GAIN * (3.0 / width as f64).sqrt()),
            }),
        }
    }

    /// `φ` of all pairs, and of all as `(j, i)`.
    ///
    /// # Shapes
    /// `functions` `[batch, P, functions]`, `moments` `[batch, moments]`, the answer `[batch, 2 P, 1]`.
    pub fn of(&self, functions: Dual<3>, moments: Tensor<2>, kinds: &Kinds) -> Dual<3> {
        match self {
            Self::Mixture(Mixture {
                weights,
                kinds: count,
            }) => {
                let batch = moments.dims()[0];
                let weights = weights.forward(moments);
                let size = weights.dims()[1] / count;
                contracted(&functions, &weights.reshape([batch, *count, size]), kinds)
            }
            Self::Perceptron(perceptron) => {
                let hidden = perceptron.hidden(functions, moments, kinds);
                contracted(&hidden, &perceptron.last.val().unsqueeze_dim(0), kinds)
            }
        }
    }

    /// Numbers that one pair's widest tensor holds.
    pub fn width(&self) -> usize {
        match self {
            Self::Mixture(_) => 1,
            Self::Perceptron(perceptron) => perceptron.last.dims()[1],
        }
    }

    /// Floating-point operations of the matrix products of one evaluation with one tangent, for one sample of so many pairs.
    pub fn operations(&self, pairs: usize) -> f64 {
        let size = |linear: &Linear| linear.weight.shape().num_elements() as f64;
        match self {
            Self::Mixture(mixture) => 2.0 * size(&mixture.weights),
            Self::Perceptron(perceptron) => {
                let hidden: f64 = perceptron.hidden.iter().map(size).sum();
                let of_pairs = size(&perceptron.functions) + hidden;
                2.0 * size(&perceptron.moments) + 4.0 * pairs as f64 * of_pairs
            }
        }
    }
}

impl Perceptron {
    /// `h` of every pair, `[batch, P, width]`.
    fn hidden(&self, functions: Dual<3>, moments: Tensor<2>, kinds: &Kinds) -> Dual<3> {
        let mut first = functions.through(&self.functions);
        first.value = first.value + self.moments.forward(moments).unsqueeze_dim::<3>(1);
        first.value = first.value
            + match kinds {
                Some(both) => {
                    let [one, other] = both
                        .clone()
                        .map(|kinds| self.kinds.val().select(0, kinds).unsqueeze_dim(0));
                    one + other
                }
                None => self.kinds.val().unsqueeze_dim(0),
            };
        let first = first.map(Function::Silu);
        self.hidden
            .iter()
            .fold(first, |h, layer| h.through(layer).map(Function::Silu))
    }
}

/// `Σ_a w^κ_a h_a` of all pairs, and of all as `(j, i)`.
///
/// # Shapes
/// `h` `[batch, P, width]`, `weights` `[batch or 1, kinds, width]`, the answer `[batch, 2 P, 1]`.
fn contracted(h: &Dual<3>, weights: &Tensor<3>, kinds: &Kinds) -> Dual<3> {
    let with = |weights: Tensor<3>| {
        h.clone()
            .product(Dual::constant(weights))
            .linear(|y| y.sum_dim(2))
    };
    let both = |one: Tensor<3>, other: Tensor<3>| Tensor::cat(vec![one, other], 1);
    let Some([one, other]) = kinds else {
        return with(weights.clone()).linear(|y| both(y.clone(), y));
    };
    let one = with(weights.clone().select(1, one.clone()));
    let other = with(weights.clone().select(1, other.clone()));
    Dual {
        value: both(one.value, other.value),
        tangents: one
            .tangents
            .zip(other.tangents)
            .map(|(one, other)| both(one, other)),
    }
}
