//! One layer of message passing.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::EgnnConfig;
use crate::distances::Standard;
use crate::dual::Dual;
use crate::linear::{Initializer, Linear};
use crate::simd::Function;

/// Added to `d²` under the root, so that gradients stay finite where points coincide.
pub(super) const SOFTENING: f64 = 1e-8;

/// The maps of one layer; see [`super::Egnn`] for the formula.
#[derive(Module, Debug)]
pub(super) struct Layer {
    /// `W_r`, with the first edge layer's bias.
    pub receiver: Linear,
    /// `W_s`.
    pub sender: Linear,
    /// `W_p`.
    pub pairs: Option<Linear>,
    /// `w`, `[width]`.
    pub distance: Param<Tensor<1>>,
    /// `W₂`.
    pub message: Linear,
    /// First map of the coordinate head `c`.
    pub coordinate: Linear,
    /// Last map of the coordinate head, `width → 1`.
    pub weight: Linear,
    /// The node update, where the layer has one.
    pub update: Option<NodeUpdate>,
}

/// `h ← h + W φ(W_h h + W_m m)`.
#[derive(Module, Debug)]
pub(super) struct NodeUpdate {
    /// `W_h`, with bias.
    pub node: Linear,
    /// `W_m`.
    pub message: Linear,
    /// `W`, with bias.
    pub out: Linear,
}

impl NodeUpdate {
    pub fn forward(&self, h: Dual<3>, messages: Dual<3>) -> Dual<3> {
        let hidden = h
            .clone()
            .through(&self.node)
            .plus(messages.through(&self.message));
        h.plus(hidden.map(Function::Silu).through(&self.out))
    }
}

impl Layer {
    pub fn new(config: &EgnnConfig, updates: bool, make: &mut Initializer) -> Self {
        let width = config.width;
        // Three terms share the first edge layer, so each gets a third of its variance.
        let gain = (1.0_f64 / 3.0).sqrt();
        Self {
            receiver: Linear::new(width, width, gain, make),
            sender: Linear::without_bias(width, width, gain, make),
            pairs: (config.pair_features > 0)
                .then(|| Linear::without_bias(config.pair_features, width, 1.0, make)),
            distance: make.uniform([width], gain),
            message: Linear::new(width, width, 1.0, make),
            coordinate: Linear::new(width, width, 1.0, make),
            weight: Linear::without_bias(width, 1, 1e-2, make),
            update: updates.then(|| NodeUpdate {
                node: Linear::new(width, width, 1.0, make),
                message: Linear::without_bias(width, width, 1.0, make),
                out: Linear::new(width, width, 0.5, make),
            }),
        }
    }

    /// The layer's new points, and the messages that each has received.
    pub fn forward(
        &self,
        x: Dual<3>,
        h: Dual<3>,
        standard: Option<&Standard>,
        pairs: Option<Tensor<4>>,
    ) -> (Dual<3>, Dual<3>) {
        let difference = differences(x.clone());
        let square = squares(&difference);
        let first = self
            .node_terms(h)
            .plus(self.distance_term(square.clone(), standard));
        let (message, weight) = self.head(first, square, pairs);
        let shift = difference
            .product(weight)
            .linear(|u| u.sum_dim(2).squeeze_dim(2));
        let messages = message.linear(|m| m.sum_dim(2).squeeze_dim(2));
        (x.plus(shift), messages)
    }

    /// What the two ends add to the first edge layer, `W_r h_i + W_s h_j`.
    pub fn node_terms(&self, h: Dual<3>) -> Dual<4> {
        let receiver = h.clone().through(&self.receiver);
        let sender = h.through(&self.sender);
        receiver
            .linear(|h| h.unsqueeze_dim::<4>(2))
            .plus(sender.linear(|h| h.unsqueeze_dim::<4>(1)))
    }

    /// What distances add to the first edge layer, `w z`.
    pub fn distance_term(&self, square: Dual<4>, standard: Option<&Standard>) -> Dual<4> {
        let z = match standard {
            Some(standard) => standard.of(square),
            None => square,
        };
        z.linear(|s| s * self.distance.val().unsqueeze::<4>())
    }

    /// The message `m` and the weight `c(m)/(d + 1)` of every edge, from the first edge layer before its pair term and activation.
    ///
    /// # Shapes
    /// `first` and the message `[batch, N, N, width]`, `square` and the weight `[batch, N, N, 1]`.
    pub fn head(
        &self,
        mut first: Dual<4>,
        square: Dual<4>,
        pairs: Option<Tensor<4>>,
    ) -> (Dual<4>, Dual<4>) {
        if let Some(pairs) = pairs {
            first.value = first.value + pairs;
        }
        let message = first
            .map(Function::Silu)
            .through(&self.message)
            .map(Function::Silu);
        let head = message
            .clone()
            .through(&self.coordinate)
            .map(Function::Silu);
        let head = head.linear(|c| self.weight.matmul(c));
        (message, head.product(inverse_distance(square)))
    }

    /// Node features after the messages, summed over senders, have come in.
    pub fn updated(&self, h: Dual<3>, messages: Dual<3>) -> Dual<3> {
        let Some(update) = &self.update else { return h };
        let points = h.value.dims()[1] as f64;
        update.forward(h, messages.linear(|m| m / points))
    }
}

/// `x_i − x_j`, `[batch, N, N, dims]`.
pub(super) fn differences(x: Dual<3>) -> Dual<4> {
    x.linear(|x| x.clone().unsqueeze_dim::<4>(2) - x.unsqueeze_dim(1))
}

/// `d²_ij`, `[batch, N, N, 1]`.
pub(super) fn squares(difference: &Dual<4>) -> Dual<4> {
    difference
        .clone()
        .product(difference.clone())
        .linear(|d| d.sum_dim(3))
}

/// `1/(√(d² + ε) + 1)` from `d²`.
fn inverse_distance(square: Dual<4>) -> Dual<4> {
    let root = (square.value.clone() + SOFTENING).sqrt();
    let value = (root.clone() + 1.0).recip();
    square.chain(value.clone(), || {
        value.clone().square().neg() / (root * 2.0)
    })
}
