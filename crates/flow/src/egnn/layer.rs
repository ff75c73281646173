//! One layer of message passing.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::EgnnConfig;
use super::edge::{self, Messages};
use crate::context::Context;
use crate::distances::Standard;
use crate::divergence;
use crate::dual::{Dual, total};
use crate::linear::{Initializer, Linear};
use crate::product::product;
use crate::separation::{differences, squares};
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
    /// Last map of the coordinate head, `width → channels`.
    pub weight: Linear,
    /// `S − 1` of each channel for every kind of pair, `[kinds, channels]`, where displacements are spread.
    pub spread: Option<Param<Tensor<2>>>,
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
    pub fn new(
        config: &EgnnConfig,
        channels: usize,
        updates: bool,
        make: &mut Initializer,
    ) -> Self {
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
            weight: Linear::without_bias(width, channels, 1e-2, make),
            spread: (channels > 1).then(|| make.zeros([config.pair_kinds, channels])),
            update: updates.then(|| NodeUpdate {
                node: Linear::new(width, width, 1.0, make),
                message: Linear::without_bias(width, width, 1.0, make),
                out: Linear::new(width, width, 0.5, make),
            }),
        }
    }

    /// The layer's new points, and the messages that each has received, where anything asks for them.
    pub fn forward(
        &self,
        x: Dual<3>,
        h: Dual<3>,
        standard: Option<&Standard>,
        pairs: &PairTerms,
        messages: Messages,
    ) -> (Dual<3>, Option<Dual<3>>) {
        if !edge::takes(self, &x.value) {
            let (moved, received) = self.composed(x, h, standard, pairs);
            return (moved, Some(received));
        }
        let (pulled, received) = edge::step(self, &x, h, standard, pairs, messages);
        (x.plus(pulled.linear(|y| pairs.spread(y))), received)
    }

    /// The same from operations of the back end: where there is no step of ours, and what it is held to.
    pub fn composed(
        &self,
        x: Dual<3>,
        h: Dual<3>,
        standard: Option<&Standard>,
        pairs: &PairTerms,
    ) -> (Dual<3>, Dual<3>) {
        let difference = differences(x.clone());
        let square = squares(&difference);
        let first = self
            .node_terms(h)
            .plus(self.distance_term(square.clone(), standard));
        let (message, weight) = self.head(first, square, pairs);
        let shift = pairs.displacement(difference, weight);
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

    /// The message `m` and the weights `c(m)/(d + 1)` of every edge, from the first edge layer before its pair term and activation.
    ///
    /// # Shapes
    /// `first` and the message `[batch, N, N, width]`, `square` `[batch, N, N, 1]`, the weights `[batch, N, N, channels]`.
    pub fn head(
        &self,
        mut first: Dual<4>,
        square: Dual<4>,
        pairs: &PairTerms,
    ) -> (Dual<4>, Dual<4>) {
        if let Some(pairs) = &pairs.first {
            first.value = first.value + pairs.clone();
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

/// What a layer makes of pair features, the same for all samples of a molecule.
#[derive(Debug)]
pub(super) struct PairTerms {
    /// What they add to the first edge layer, `[1, N, N, width]`.
    pub first: Option<Tensor<4>>,
    /// `S_ij` of every channel, `[1, N, N · channels]`.
    pub spread: Option<Tensor<3>>,
}

impl PairTerms {
    /// # Panics
    /// If the layer spreads displacements and the context has no kinds of pairs.
    pub fn of(layer: &Layer, context: &Context) -> Self {
        let first = match (&layer.pairs, &context.pairs) {
            (Some(linear), Some(pairs)) => Some(linear.matmul(pairs.clone())),
            _ => None,
        };
        let spread = layer.spread.as_ref().map(|spread| {
            let kinds = context.kinds.as_ref();
            let kinds = kinds.expect("displacements are spread by kinds of pairs");
            let [_, points, _] = context.nodes.dims();
            let channels = spread.dims()[1];
            let identity = divergence::identity_matrix(points, &context.nodes);
            let by_pair = spread.val().select(0, kinds.clone());
            let by_pair = by_pair + identity.reshape([points * points, 1]);
            by_pair.reshape([1, points, points * channels])
        });
        Self { first, spread }
    }

    /// `Σ_j Σ_c S_ij^c y_j^c`; without spreading, `y` of the only channel.
    ///
    /// # Shapes
    /// `y` `[rows, N · channels, columns]`, the answer `[rows, N, columns]`.
    pub fn spread(&self, y: Tensor<3>) -> Tensor<3> {
        match &self.spread {
            Some(spread) => {
                let [_, points, inner] = spread.dims();
                product(spread.clone().expand([y.dims()[0], points, inner]), y)
            }
            None => y,
        }
    }

    /// How every point moves: `Σ_j Σ_c S_ij^c Σ_k w_jk^c (x_j − x_k)`.
    ///
    /// # Shapes
    /// `difference` `[batch, N, N, dims]`, `weight` `[batch, N, N, channels]`, the answer `[batch, N, dims]`.
    pub fn displacement(&self, difference: Dual<4>, weight: Dual<4>) -> Dual<3> {
        let left = weight.tangents.map(|weight| {
            let copies = weight.dims()[0] / difference.value.dims()[0];
            pulls(weight, difference.value.clone().repeat_dim(0, copies))
        });
        let right = difference.tangents.map(|difference| {
            let copies = difference.dims()[0] / weight.value.dims()[0];
            pulls(weight.value.clone().repeat_dim(0, copies), difference)
        });
        let pulled = Dual {
            value: pulls(weight.value, difference.value),
            tangents: total(left, right),
        };
        pulled.linear(|y| self.spread(y))
    }
}

/// `Σ_k w_jk^c u_jk` for every point `j` and channel `c`.
///
/// # Shapes
/// `weight` `[rows, N, N, channels]`, `difference` `[rows, N, N, dims]`, the answer `[rows, N · channels, dims]`.
fn pulls(weight: Tensor<4>, difference: Tensor<4>) -> Tensor<3> {
    let [rows, points, _, channels] = weight.dims();
    let dims = difference.dims()[3];
    if channels == 1 {
        // One sum of products; as matrices of one row they would cost more than they save.
        return (difference * weight).sum_dim(2).squeeze_dim(2);
    }
    let weight = weight.reshape([rows * points, points, channels]);
    let difference = difference.reshape([rows * points, points, dims]);
    product(weight.swap_dims(1, 2), difference).reshape([rows, points * channels, dims])
}

/// `1/(√(d² + ε) + 1)` from `d²`.
fn inverse_distance(square: Dual<4>) -> Dual<4> {
    let root = (square.value.clone() + SOFTENING).sqrt();
    let value = (root.clone() + 1.0).recip();
    square.chain(value.clone(), || {
        value.clone().square().neg() / (root * 2.0)
    })
}
