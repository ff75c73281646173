//! The exact divergence of an [`Egnn`], without the arithmetic that is known to be zero.
//!
//! Along coordinate `a` of point `k`, written `(k, a)`:
//! - In the first layer features do not depend on positions, so an edge's message and weight depend on its `d²` alone: **one**
//!   tangent, `∂/∂d²`, serves all directions, and only edges at `k` change.
//! - In the last layer the divergence asks only for the motion of `k` itself along `(k, a)`: only edges received by `k` count, which
//!   is `dims` tangents in all instead of `dims · N`.
//! - Layers between carry all `dims · N` tangents.
//!
//! So a network of two layers has its exact divergence at about the price of `2 · dims` forward passes. The trace over all coordinates
//! equals that over the mean-free subspace, because the field is translation-invariant and free of net translation.

use burn::tensor::Tensor;

use super::layer::{Layer, differences, squares};
use super::{Egnn, pair_terms, without_mean};
use crate::bijection::{PerSample, Points};
use crate::context::Context;
use crate::distances::Standard;
use crate::divergence::identity_matrix;
use crate::dual::Dual;

/// Tangents by `(a, sample)`, `k` and point: `[dims · batch, N, N, ·]`.
type ByDirection = Tensor<4>;

/// `v` and `∇·v`.
pub(super) fn exact(
    field: &Egnn,
    t: Tensor<1>,
    x: Points,
    context: &Context,
) -> (Points, PerSample) {
    let [batch, points, dims] = x.dims();
    let frame = Frame::new(&x);
    let standard = field.standard(&t, &x, context);
    let standard = standard.as_ref();
    let speed = field.schedule.speeds(t.clone());
    let scaled = |shift: Points, trace: PerSample| {
        let velocity = without_mean(Dual::constant(shift)).value;
        (
            velocity * speed.clone().reshape([batch, 1, 1]),
            (trace - (points * dims) as f64) * speed.clone(),
        )
    };
    let h = field.embed(t, context);
    let (first, rest) = field.layers.split_first().expect("a network has layers");
    let (mut y, mut h) = frame.first(first, x.clone(), h, standard, pair_terms(first, context));
    let Some((last, middle)) = rest.split_last() else {
        let own = frame.own(frame.by_direction(y.tangents.expect("tangents of the first layer")));
        return scaled(y.value - x, frame.trace(own));
    };
    for layer in middle {
        (y, h) = layer.forward(y, h, standard, pair_terms(layer, context));
    }
    let (end, trace) = frame.last(last, y, h, standard, pair_terms(last, context));
    scaled(end - x, trace)
}

/// The directions of one batch.
struct Frame {
    batch: usize,
    points: usize,
    dims: usize,
    /// `δ_ki`, `[1, N, N, 1]`.
    identity: Tensor<4>,
    /// `e_a` for each `(a, sample)`, `[dims · batch, 1, 1, dims]`.
    units: Tensor<4>,
}

impl Frame {
    fn new(x: &Points) -> Self {
        let [batch, points, dims] = x.dims();
        let identity = identity_matrix(points, x).reshape([1, points, points, 1]);
        let units = identity_matrix(dims, x)
            .reshape([dims, 1, dims])
            .repeat_dim(1, batch);
        Self {
            batch,
            points,
            dims,
            identity,
            units: units.reshape([dims * batch, 1, 1, dims]),
        }
    }

    /// `(a, k, sample)` by point to `(a, sample)`, `k`, point.
    fn by_direction(&self, tangents: Tensor<3>) -> ByDirection {
        let last = tangents.dims()[2];
        tangents
            .reshape([self.dims, self.points, self.batch, self.points * last])
            .swap_dims(1, 2)
            .reshape([self.dims * self.batch, self.points, self.points, last])
    }

    /// The inverse of [`Self::by_direction`].
    fn stacked(&self, tangents: ByDirection) -> Tensor<3> {
        let last = tangents.dims()[3];
        tangents
            .reshape([self.dims, self.batch, self.points, self.points * last])
            .swap_dims(1, 2)
            .reshape([self.dims * self.points * self.batch, self.points, last])
    }

    /// Of each direction the entry of its own point `k`, `[dims · batch, N, 1, ·]`.
    fn own(&self, tangents: ByDirection) -> ByDirection {
        (tangents * self.identity.clone()).sum_dim(2)
    }

    /// `Σ_k Σ_a` of component `a` of `tangents` `[dims · batch, N, 1, dims]`.
    fn trace(&self, tangents: ByDirection) -> PerSample {
        (tangents * self.units.clone())
            .reshape([self.dims, self.batch, self.points * self.dims])
            .sum_dim(2)
            .sum_dim(0)
            .reshape([self.batch])
    }

    /// The first layer, with the tangents of its results along all directions, `(a, k, sample)`.
    fn first(
        &self,
        layer: &Layer,
        x: Points,
        h: Tensor<3>,
        standard: Option<&Standard>,
        pairs: Option<Tensor<4>>,
    ) -> (Dual<3>, Dual<3>) {
        let difference = differences(Dual::constant(x.clone()));
        let square = squares(&difference);
        let square = Dual::new(square.value.clone(), square.value.ones_like());
        let difference = difference.value;
        let mut first = layer.distance_term(square.clone(), standard);
        first.value = first.value + layer.node_terms(Dual::constant(h.clone())).value;
        let (message, weight) = layer.head(first, square, pairs);
        let by_square = "the square's tangent reaches every result";
        let (message, message_slope) = (message.value, message.tangents.expect(by_square));
        let (weight, weight_slope) = (weight.value, weight.tangents.expect(by_square));

        // ∂d²_kj/∂x_ka = 2 d_kj,a, by (a, sample).
        let twice = difference.clone().permute([3, 0, 1, 2]).reshape([
            self.dims * self.batch,
            self.points,
            self.points,
            1,
        ]) * 2.0;
        // Edges received by k, summed over senders; edges sent by k, one for each receiver i (transposed: row k, column i).
        let received = twice.clone() * self.repeat(&message_slope);
        let sent = twice.clone() * self.repeat(&message_slope.swap_dims(1, 2));
        let messages = sent + received.sum_dim(2) * self.identity.clone();

        let pull = |weight: &Tensor<4>, slope: &Tensor<4>| {
            self.units.clone() * self.repeat(weight)
                + twice.clone() * self.repeat(&(difference.clone() * slope.clone()))
        };
        let received = pull(&weight, &weight_slope).sum_dim(2);
        let sent = pull(
            &weight.clone().swap_dims(1, 2),
            &weight_slope.swap_dims(1, 2),
        );
        let positions = (received + self.units.clone()) * self.identity.clone() - sent;

        let y = x + (difference * weight).sum_dim(2).squeeze_dim(2);
        let y = Dual::new(y, self.stacked(positions));
        let messages = Dual::new(message.sum_dim(2).squeeze_dim(2), self.stacked(messages));
        (y, layer.updated(Dual::constant(h), messages))
    }

    /// The last layer's points, and the trace of `∂x_ka/∂x⁽⁰⁾_ka` through all layers.
    fn last(
        &self,
        layer: &Layer,
        x: Dual<3>,
        h: Dual<3>,
        standard: Option<&Standard>,
        pairs: Option<Tensor<4>>,
    ) -> (Points, PerSample) {
        let carried = "the layers before carry tangents";
        let moved = self.by_direction(x.tangents.expect(carried));
        let own = self.own(moved.clone());
        let difference = Dual::new(
            differences(Dual::constant(x.value.clone())).value,
            own.clone() - moved,
        );
        let square = squares(&difference);

        let features = self.by_direction(h.tangents.expect(carried));
        let nodes =
            layer.receiver.matmul(self.own(features.clone())) + layer.sender.matmul(features);
        let mut first = layer.distance_term(square.clone(), standard);
        first.tangents = first.tangents.map(|t| t + nodes);
        first.value = first.value + layer.node_terms(Dual::constant(h.value)).value;
        let (_, weight) = layer.head(first, square, pairs);
        let shift = difference.product(weight).linear(|u| u.sum_dim(2));
        let trace = self.trace(own + shift.tangents.expect(carried));
        (x.value + shift.value.squeeze_dim(2), trace)
    }

    /// `[batch, …]` once for every axis, `[dims · batch, …]`.
    fn repeat(&self, values: &Tensor<4>) -> Tensor<4> {
        values.clone().repeat_dim(0, self.dims)
    }
}
