//! The exact divergence of an [`Egnn`] from operations of the back end, without most of the arithmetic that is known to be zero: for what
//! [`super::trace`] does not take, and what that is held to.
//!
//! - Where the features that an edge sees do not depend on positions (the first layer; with [`Edges::Initial`] every layer but the last),
//!   its message and weight depend on its `d²` alone: **one** tangent, `∂/∂d²`, serves all directions, and the layer's Jacobian is
//!   put together from these slopes.
//! - In the last layer the divergence asks only for the motion of point `k` along its own coordinates: only edges received by `k` count,
//!   which is `dims` tangents in all instead of `dims · N`.
//! - Other layers between carry all `dims · N` tangents.
//!
//! The trace over all coordinates equals that over the mean-free subspace, because the field is translation-invariant and free of net
//! translation.

use burn::tensor::Tensor;

use super::edge::Messages;
use super::layer::{Layer, PairTerms};
use super::{Edges, Egnn};
use crate::bijection::{PerSample, Points};
use crate::context::Context;
use crate::distances::Standard;
use crate::divergence::identity_matrix;
use crate::dual::Dual;
use crate::product::product;
use crate::separation::{differences, squares};

/// Tangents by `(a, sample)`, `k` and point: `[dims · batch, N, N, ·]`.
type ByDirection = Tensor<4>;

/// Tangents by sample, point and component, with directions `(a, k)` in columns: `[batch, N, ·, dims · N]`.
type Columns = Tensor<4>;

/// `x⁽ᴸ⁾ − x⁽⁰⁾` and its divergence.
pub(super) fn exact(
    field: &Egnn,
    t: Tensor<1>,
    x: Points,
    context: &Context,
) -> (Points, PerSample) {
    let [_, points, dims] = x.dims();
    let frame = Frame::new(&x);
    let standard = field.standard(&t, &x, context);
    let standard = standard.as_ref();
    let h = field.embedding.forward(t, context);
    let (last, before) = field.layers.split_last().expect("a network has layers");
    let count = match field.edges {
        Edges::Initial => before.len(),
        Edges::Updated => before.len().min(1),
    };
    let (before, between) = before.split_at(count);
    let (mut y, mut moved) = (x.clone(), frame.start());
    let (mut features, mut messages) = (Dual::constant(h.clone()), None);
    for layer in before {
        let (end, received) = frame.static_layer(
            layer,
            (y, moved),
            &h,
            standard,
            &PairTerms::of(layer, context),
        );
        (y, moved) = end;
        let received = match messages {
            Some((value, columns)) => (received.0 + value, received.1 + columns),
            None => received,
        };
        if layer.update.is_some() {
            let (value, columns) = received.clone();
            features = layer.updated(features, Dual::new(value, frame.stacked(columns)));
        }
        messages = Some(received);
    }
    let mut y = Dual::new(y, frame.stacked(moved));
    for layer in between {
        let pairs = PairTerms::of(layer, context);
        let (moved, received) =
            layer.forward(y, features.clone(), standard, &pairs, Messages::Wanted);
        let received = received.expect("they are wanted");
        y = moved;
        features = layer.updated(features, received);
    }
    let (end, trace) = frame.last(last, y, features, standard, &PairTerms::of(last, context));
    (end - x, trace - (points * dims) as f64)
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
    /// `e_a`, `[1, 1, dims, dims, 1]`.
    axes: Tensor<5>,
}

impl Frame {
    fn new(x: &Points) -> Self {
        let [batch, points, dims] = x.dims();
        let identity = identity_matrix(points, x).reshape([1, points, points, 1]);
        let axes = identity_matrix(dims, x);
        let units = axes.clone().reshape([dims, 1, dims]).repeat_dim(1, batch);
        Self {
            batch,
            points,
            dims,
            identity,
            units: units.reshape([dims * batch, 1, 1, dims]),
            axes: axes.reshape([1, 1, dims, dims, 1]),
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

    /// Columns to `(a, k, sample)` by point.
    fn stacked(&self, tangents: Columns) -> Tensor<3> {
        let [_, _, last, directions] = tangents.dims();
        tangents
            .reshape([self.batch, self.points * last, directions])
            .permute([2, 0, 1])
            .reshape([directions * self.batch, self.points, last])
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

    /// The tangents of the identity map.
    fn start(&self) -> Columns {
        let (points, dims) = (self.points, self.dims);
        let own = self.identity.clone().reshape([1, points, 1, 1, points]);
        (own * self.axes.clone())
            .reshape([1, points, dims, dims * points])
            .repeat_dim(0, self.batch)
    }

    /// A layer whose edges see features `h` that do not depend on positions: its points and messages, with tangents.
    ///
    /// Along every direction `ẋ`, with `ṡ_ij = 2 (x_i − x_j)·(ẋ_i − ẋ_j)`, messages change by `Σ_j ∂m_ij/∂d² ṡ_ij`, and points by
    /// `Σ_j w_ij (ẋ_i − ẋ_j) + ∂w_ij/∂d² (x_i − x_j) ṡ_ij`.
    fn static_layer(
        &self,
        layer: &Layer,
        (x, moved): (Points, Columns),
        h: &Tensor<3>,
        standard: Option<&Standard>,
        pairs: &PairTerms,
    ) -> ((Points, Columns), (Tensor<3>, Columns)) {
        let (batch, points, dims) = (self.batch, self.points, self.dims);
        let directions = dims * points;
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

        // Half of ṡ_ij is B_ij + B_ji with B_ij = (x_i − x_j)·ẋ_i, so no tensor has both an axis and a pair.
        let half = product(
            difference.clone().reshape([batch * points, points, dims]),
            moved.clone().reshape([batch * points, dims, directions]),
        )
        .reshape([batch, points, points, directions]);
        let stretch = (half.clone() + half.swap_dims(1, 2)) * 2.0;
        let stretch = stretch.reshape([batch * points, points, directions]);

        // Sums over senders are products of matrices, one for each receiver.
        let by_receiver = |slope: Tensor<4>| {
            let last = slope.dims()[3];
            let slope = slope.reshape([batch * points, points, last]);
            product(slope.swap_dims(1, 2), stretch.clone())
                .reshape([batch, points, last, directions])
        };
        let messages = by_receiver(message_slope);
        // Of each channel: (x_i − x_j) ∂w_ij/∂d² ṡ_ij, summed; then w_ij (ẋ_i − ẋ_j), whose matrix is spread before it meets the tangents.
        let channels = weight.dims()[3];
        let slope = weight_slope.reshape([batch, points, points, channels, 1]);
        let slope = slope * difference.clone().unsqueeze_dim::<5>(3);
        let pulled = by_receiver(slope.reshape([batch, points, points, channels * dims]))
            .reshape([batch, points * channels, dims * directions]);
        let total = weight.clone().sum_dim(2) * self.identity.clone();
        let laplacian =
            (total - weight.clone())
                .swap_dims(2, 3)
                .reshape([batch, points * channels, points]);
        let held = product(
            pairs.spread(laplacian),
            moved.clone().reshape([batch, points, dims * directions]),
        );
        let end = moved + (held + pairs.spread(pulled)).reshape([batch, points, dims, directions]);
        let shift = pairs.displacement(Dual::constant(difference), Dual::constant(weight));
        let y = x + shift.value;
        let received = message.sum_dim(2).squeeze_dim(2);
        ((y, end), (received, messages))
    }

    /// The last layer's points, and the trace of `∂x_ka/∂x⁽⁰⁾_ka` through all layers.
    fn last(
        &self,
        layer: &Layer,
        x: Dual<3>,
        h: Dual<3>,
        standard: Option<&Standard>,
        pairs: &PairTerms,
    ) -> (Points, PerSample) {
        let carried = "the layers before carry tangents";
        let moved = self.by_direction(x.tangents.expect(carried));
        let own = self.own(moved.clone());
        let difference = Dual::new(
            differences(Dual::constant(x.value.clone())).value,
            own.clone() - moved,
        );
        let square = squares(&difference);

        let mut first = layer.distance_term(square.clone(), standard);
        // The features of the only layer do not depend on positions.
        if let Some(features) = h.tangents {
            let features = self.by_direction(features);
            let nodes =
                layer.receiver.matmul(self.own(features.clone())) + layer.sender.matmul(features);
            first.tangents = first.tangents.map(|t| t + nodes);
        }
        first.value = first.value + layer.node_terms(Dual::constant(h.value)).value;
        let (_, weight) = layer.head(first, square, pairs);
        let shift = difference.product(weight).linear(|u| u.sum_dim(2));
        let trace = self.trace(own + shift.tangents.expect(carried));
        (x.value + shift.value.squeeze_dim(2), trace)
    }
}
