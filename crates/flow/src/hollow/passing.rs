//! A layer of message passing among all points but one, for every point that may be left out.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::context::Context;
use crate::dual::{Dual, total};
use crate::edge::Edge;
use crate::linear::{Initializer, Linear};
use crate::product::product;
use crate::separation::others;
use crate::simd::Function;

/// `h_{j∖i} ← h_{j∖i} + W φ(W_h h_{j∖i} + W_m Σ_{k≠i} q_jk ⊙ V h_{k∖i}/N)`; see [`super::Hollow`].
#[derive(Module, Debug)]
pub(super) struct Passing {
    /// What filters see, their hidden layer.
    edge: Edge,
    /// From there to `q`.
    filter: Linear,
    /// `V`.
    value: Linear,
    /// `W_h`, with bias.
    node: Linear,
    /// `W_m`.
    message: Linear,
    /// `W`, with bias.
    out: Linear,
}

impl Passing {
    pub fn new(width: usize, pair_features: usize, make: &mut Initializer) -> Self {
        Self {
            edge: Edge::new(width, width, pair_features, make),
            filter: Linear::new(width, width, 1.0, make),
            value: Linear::without_bias(width, width, 1.0, make),
            node: Linear::new(width, width, 1.0, make),
            message: Linear::without_bias(width, width, 1.0, make),
            out: Linear::new(width, width, 0.5, make),
        }
    }

    /// The states after the layer, `[batch, j, i, width]`.
    ///
    /// # Shapes
    /// `states` `[batch, j, i, width]`, or `[batch, j, 1, width]` where they know of no other point; `g` `[batch, N, width]`; `z` `[batch, N, N, 1]`.
    pub fn forward(
        &self,
        states: Dual<4>,
        g: &Tensor<3>,
        z: &Dual<4>,
        context: &Context,
    ) -> Dual<4> {
        let [_, points, left_out, _] = states.value.dims();
        let filter = self.edge.between(g, z.clone(), context);
        let filter = filter.map(Function::Silu).through(&self.filter);
        let value = states.clone().through(&self.value);
        let received = if left_out == 1 {
            totals_less_own(filter, value)
        } else {
            let others = others(points, g);
            received(filter, value.linear(|h| h * others.clone()))
        };
        let messages = received
            .linear(|m| m / points as f64)
            .through(&self.message);
        let hidden = states.clone().through(&self.node).plus(messages);
        states.plus(hidden.map(Function::Silu).through(&self.out))
    }
}

/// `Σ_{k≠i} q_jk ⊙ y_k` of `y_k` that do not depend on `i`.
///
/// # Shapes
/// `filter` and the answer `[batch, N, N, width]`, `y` `[batch, N, 1, width]`.
fn totals_less_own(filter: Dual<4>, y: Dual<4>) -> Dual<4> {
    let messages = filter.product(y.linear(|y| y.swap_dims(1, 2)));
    messages.linear(|m| m.clone().sum_dim(2) - m)
}

/// `Σ_k q_jk ⊙ y_ki`, a product of matrices for every channel.
///
/// # Shapes
/// All `[batch, N, N, width]`.
fn received(filter: Dual<4>, y: Dual<4>) -> Dual<4> {
    let [batch, points, _, width] = y.value.dims();
    let copies = |tensor: &Tensor<4>| tensor.dims()[0] / batch;
    let by_channel = |tensor: Tensor<4>| {
        let matrices = copies(&tensor) * batch * width;
        tensor
            .permute([0, 3, 1, 2])
            .reshape([matrices, points, points])
    };
    let repeated = |value: &Tensor<3>, like: &Tensor<4>| value.clone().repeat_dim(0, copies(like));
    let (q, h) = (by_channel(filter.value), by_channel(y.value));
    let left = filter
        .tangents
        .map(|t| product(by_channel(t.clone()), repeated(&h, &t)));
    let right = y.tangents.map(|t| product(repeated(&q, &t), by_channel(t)));
    let sums = Dual {
        value: product(q, h),
        tangents: total(left, right),
    };
    sums.linear(|m| {
        let rows = m.dims()[0] / width;
        m.reshape([rows, width, points, points])
            .permute([0, 2, 3, 1])
    })
}
