//! Kernel dynamics: points push each other along their differences, and the divergence is as cheap as the velocity.

mod basis;
mod magnitude;
mod pairs;
#[cfg(test)]
mod tests;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::bijection::{FlowError, PerSample, Points};
use crate::context::Context;
use crate::dual::{Dual, times};
use crate::field::VectorField;
use crate::linear::Initializer;
use crate::schedule::Schedule;
use crate::separation::{squares, without_mean};
use basis::Basis;
use magnitude::{Kinds, Magnitude};
use pairs::{Pairs, radius};

/// The size of a [`Kernel`], and of the features it is given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelConfig {
    /// How pushes depend on basis functions.
    pub profile: Profile,
    /// Basis functions of distance.
    pub functions: usize,
    /// Where the centres of the first and the last of them are at the start, in what they see: distances, or where the context has
    /// [`Distances`](crate::Distances) what these make of them, of which nearly all are within ±3.
    pub span: [f64; 2],
    /// Basis functions of time.
    pub times: usize,
    /// Kinds of ordered pairs, each with weights of its own; 1 where all are alike, and then the context needs none.
    pub pair_kinds: usize,
    /// Features of the whole (temperature, …).
    pub global_features: usize,
    /// How noise turns into data along the paths that it is trained on.
    pub schedule: Schedule,
}

/// How the push `φ` of a pair of kind `κ` depends on basis functions `K` of its distance, and on those of time and the features of the whole,
/// together `T`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Profile {
    /// `φ = Kᵀ W^κ T`, as published.
    #[default]
    Mixture,
    /// A multilayer perceptron of both, whose first hidden layer also sees the kind, and whose last weights are the kind's own.
    Perceptron {
        /// Width of every hidden layer.
        width: usize,
        /// Hidden layers.
        layers: usize,
    },
}

/// The field `v_i(t, x) = α'(t) Σ_j φ_ij(t, d_ij) (x_i − x_j)` less its mean, `α` the [`Schedule`] (Köhler, Klein, Noé 2020), whose divergence
/// has a closed form:
///
/// `∇·v = α'(t) Σ_i Σ_{j≠i} (D φ_ij + d_ij ∂φ_ij/∂d_ij)`.
///
/// See [`Profile`] for `φ`. What depends on a distance is computed once for both of its points; where kinds of ordered pairs are told apart, the
/// two push each other by different amounts. Taking out the mean does not change the trace, because translations do not change the field.
#[derive(Module, Debug)]
pub struct Kernel {
    /// `K`.
    functions: Basis,
    /// `T`, but for the features of the whole.
    times: Basis,
    /// `φ`.
    magnitude: Magnitude,
    #[module(skip)]
    config: KernelConfig,
}

impl Kernel {
    /// A field near zero.
    ///
    /// # Errors
    /// [`FlowError::Unsupported`] of a size that is none.
    pub fn new(config: &KernelConfig, make: &mut Initializer) -> Result<Self, FlowError> {
        let KernelConfig {
            functions,
            times,
            pair_kinds,
            span: [first, last],
            ..
        } = *config;
        let mut least = functions.min(times).min(pair_kinds);
        if let Profile::Perceptron { width, layers } = config.profile {
            least = least.min(width).min(layers);
        }
        if least == 0 {
            return Err(FlowError::Unsupported {
                what: format!(
                    "a kernel field of {functions} functions of distance, {times} of time, {pair_kinds} kinds of pairs and a {:?} does not exist; \
                     each number must be at least 1",
                    config.profile
                ),
            });
        }
        if !(first.is_finite() && last.is_finite() && first < last) {
            return Err(FlowError::Unsupported {
                what: format!(
                    "the centres of a kernel field cannot span {first}…{last}; the first must be below the last, and both finite"
                ),
            });
        }
        Ok(Self {
            functions: Basis::new(functions, config.span, make),
            times: Basis::new(times, [0.0, 1.0], make),
            magnitude: Magnitude::new(config, make),
            config: *config,
        })
    }

    /// `T`, `[batch, times + global features]`.
    fn moments(&self, t: &Tensor<1>, context: &Context) -> Tensor<2> {
        let batch = t.dims()[0];
        let times = self
            .times
            .of(Dual::constant(t.clone().unsqueeze_dim::<2>(1)));
        match &context.global {
            Some(global) => {
                let global = global.clone().expand([batch, global.dims()[1]]);
                Tensor::cat(vec![times.value, global], 1)
            }
            None => times.value,
        }
    }

    /// `φ` of all pairs, and of all as `(j, i)`, `[batch, 2 P, 1]`, from their `d²`.
    ///
    /// # Panics
    /// If kinds of pairs are told apart and the context has none.
    fn magnitudes(
        &self,
        t: &Tensor<1>,
        x: &Points,
        square: Dual<3>,
        pairs: &Pairs,
        context: &Context,
    ) -> Dual<3> {
        let standard = context
            .distances
            .as_ref()
            .map(|distances| pairs.standard(&distances.at(t, self.config.schedule, x)));
        let kinds: Kinds = (self.config.pair_kinds > 1).then(|| {
            let kinds = context.kinds.as_ref();
            pairs.kinds(kinds.expect("pairs are told apart by their kinds"))
        });
        let functions = self.functions.of(radius(square, standard.as_ref()));
        self.magnitude
            .of(functions, self.moments(t, context), &kinds)
    }

    /// `α'(t)`, `[batch, 1, 1]`.
    fn speeds(&self, t: Tensor<1>) -> Tensor<3> {
        self.config.schedule.speeds(t).reshape([-1, 1, 1])
    }
}

impl VectorField for Kernel {
    fn velocity(&self, t: Tensor<1>, x: Dual<3>, context: &Context) -> Dual<3> {
        if x.value.dims()[1] < 2 {
            return x.linear(|x| x.zeros_like());
        }
        let pairs = Pairs::of(x.value.dims()[1], &x.value.device());
        let difference = pairs.differences(x.clone());
        let square = squares(&difference);
        // A push depends on positions by its distance alone: one slope serves all directions.
        let seeded = Dual {
            value: square.value.clone(),
            tangents: square.tangents.as_ref().map(|_| square.value.ones_like()),
        };
        let push = self.magnitudes(&t, &x.value, seeded, &pairs, context);
        let tangents = square
            .tangents
            .zip(push.tangents)
            .map(|(square, slope)| times(Tensor::cat(vec![square.clone(), square], 1), slope));
        let push = Dual {
            value: push.value,
            tangents,
        };
        let speed = self.speeds(t);
        without_mean(pairs.pulls(push, difference)).product(Dual::constant(speed))
    }

    fn divergence_size(&self, points: usize, _dims: usize) -> usize {
        points * points.saturating_sub(1) * self.config.functions.max(self.magnitude.width())
    }

    /// Of a perceptron of width `W` with `L` hidden layers, for `P = N (N − 1)/2` pairs, `M` features of the moment and `K` basis functions
    /// of distance: `2 M W + 4 P (K W + (L − 1) W²)`, value and slope. Of a mixture for `κ` kinds of pairs: `2 M κ K`.
    fn divergence_operations(&self, points: usize, _dims: usize) -> f64 {
        let pairs = points * points.saturating_sub(1) / 2;
        self.magnitude.operations(pairs)
    }

    fn structured_divergence(
        &self,
        t: Tensor<1>,
        x: Points,
        context: &Context,
    ) -> Option<(Points, PerSample)> {
        let [batch, points, dims] = x.dims();
        if points < 2 {
            let still = x.zeros_like();
            return Some((still.clone(), still.sum_dim(2).reshape([batch])));
        }
        let pairs = Pairs::of(points, &x.device());
        let difference = pairs.differences(Dual::constant(x.clone()));
        let square = squares(&difference).value;
        // Along the stretch of every distance by itself, in which d² grows by 2 d², φ grows by d ∂φ/∂d.
        let stretched = Dual::new(square.clone(), square * 2.0);
        let push = self.magnitudes(&t, &x, stretched, &pairs, context);
        let growth = push.tangents.expect("the stretch reaches every push");
        let speed = self.speeds(t);
        let trace = (push.value.clone() * dims as f64 + growth).sum_dim(1) * speed.clone();
        let velocity = without_mean(pairs.pulls(Dual::constant(push.value), difference));
        Some((velocity.value * speed, trace.reshape([batch])))
    }
}
