//! How points attend to one another.

use burn::module::Module;
use burn::tensor::Tensor;

use super::TransformerConfig;
use super::pairs::Pairs;
use super::sums::{dotted, mixed, pulled, weighted};
use crate::activation::apply;
use crate::dual::{Dual, times, total};
use crate::linear::{Initializer, Linear};
use crate::product::product;
use crate::simd::Function;

/// The maps of one layer; see [`super::Transformer`] for the formula.
#[derive(Module, Debug)]
pub(super) struct Attention {
    /// `q`.
    query: Linear,
    /// `k` and `d`.
    key: Message,
    /// `v` and `d'`.
    scalar: Message,
    /// `v'` and `d''`.
    direction: Message,
    /// `v''` and `d'''`, where points have vectors.
    vector: Option<Message>,
    #[module(skip)]
    heads: usize,
}

/// What a point sends, `v_j`, and what the distance makes of it, `d_ij`.
#[derive(Module, Debug)]
struct Message {
    value: Linear,
    filter: Linear,
}

impl Message {
    fn new(config: &TransformerConfig, make: &mut Initializer) -> Self {
        Self {
            value: Linear::new(config.width, config.width, 1.0, make),
            filter: Linear::new(config.radial, config.width, 1.0, make),
        }
    }

    /// `v` with a tangent for each direction, and `d` with its slope by `d²`.
    fn parts(&self, h: &Dual<3>, pairs: &Pairs) -> (Dual<3>, Dual<4>) {
        let value = h.clone().through(&self.value);
        (value, pairs.radial.clone().through(&self.filter))
    }
}

/// `A`: how it depends on distances, with its slope by `d²`, and what it changes by along each direction because its two ends do.
struct Weights {
    by_distance: Dual<4>,
    by_ends: Option<Tensor<4>>,
}

impl Attention {
    pub fn new(config: &TransformerConfig, make: &mut Initializer) -> Self {
        Self {
            vector: Some(Message::new(config, make)),
            ..Self::of_scalars(config, make)
        }
    }

    /// The first layer, before which there are no vectors.
    pub fn of_scalars(config: &TransformerConfig, make: &mut Initializer) -> Self {
        Self {
            query: Linear::new(config.width, config.width, 1.0, make),
            key: Message::new(config, make),
            scalar: Message::new(config, make),
            direction: Message::new(config, make),
            vector: None,
            heads: config.heads,
        }
    }

    pub fn heads(&self) -> usize {
        self.heads
    }

    /// `y` and `w`.
    ///
    /// # Shapes
    /// `h` and `y` `[batch, N, width]`, `vectors` and `w` `[batch, N, dims, width]`.
    pub fn forward(
        &self,
        h: &Dual<3>,
        vectors: Option<&Dual<4>>,
        pairs: &Pairs,
    ) -> (Dual<3>, Dual<4>) {
        let points = h.value.dims()[1] as f64;
        let weights = self.weights(h, pairs);
        let (value, filter) = self.scalar.parts(h, pairs);
        let received = attended(weights, value, filter, pairs);
        let (value, filter) = self.direction.parts(h, pairs);
        let mut pulls = directed(value, filter, pairs);
        if let (Some(message), Some(vectors)) = (&self.vector, vectors) {
            let (value, filter) = message.parts(h, pairs);
            let sent = value
                .linear(|v| v.unsqueeze_dim(2))
                .product(vectors.clone());
            pulls = pulls.plus(passed_on(sent, filter, pairs));
        }
        (
            received.linear(|y| y / points),
            pulls.linear(|w| w / points),
        )
    }

    fn weights(&self, h: &Dual<3>, pairs: &Pairs) -> Weights {
        let heads = self.heads;
        let query = h.clone().through(&self.query);
        let (key, filter) = self.key.parts(h, pairs);
        let [batch, points, width] = key.value.dims();
        let scale = (heads as f64 / width as f64).sqrt();
        let by_head = |products: Tensor<4>| {
            let shape = [batch, points, points, heads, width / heads];
            products.reshape(shape).sum_dim(4).squeeze_dim::<4>(4) * scale
        };
        let (q, k) = (receivers(query.value), senders(key.value));
        let both = q.clone() * k.clone();
        let logits = filter.clone().linear(|d| by_head(both.clone() * d));
        let of_queries = query
            .tangents
            .map(|t| dotted(t, k * filter.value.clone(), heads));
        let of_keys = key.tangents.map(|t| {
            let sent = (q * filter.value.clone()).swap_dims(1, 2);
            dotted(t, sent, heads).swap_dims(1, 2)
        });
        let slope = || apply(Function::SiluSlope, logits.value.clone()) * scale;
        Weights {
            by_ends: total(of_queries, of_keys).map(|t| times(t, slope())),
            by_distance: logits.clone().map(Function::Silu),
        }
    }
}

/// `a_i` for every pair.
fn receivers(a: Tensor<3>) -> Tensor<4> {
    a.unsqueeze_dim(2)
}

/// `a_j` for every pair.
fn senders(a: Tensor<3>) -> Tensor<4> {
    a.unsqueeze_dim(1)
}

/// The same number for every channel of a head.
fn spread_over_channels(weights: Tensor<4>, width: usize) -> Tensor<4> {
    let [rows, points, _, heads] = weights.dims();
    weights
        .unsqueeze_dim::<5>(4)
        .repeat_dim(4, width / heads)
        .reshape([rows, points, points, width])
}

/// `Σ_j A_ij v_j ⊙ d_ij`.
fn attended(weights: Weights, value: Dual<3>, filter: Dual<4>, pairs: &Pairs) -> Dual<3> {
    let width = value.value.dims()[2];
    let sent = senders(value.value);
    let shares = weights
        .by_distance
        .linear(|a| spread_over_channels(a, width));
    let coefficients = shares.product(filter.clone());
    let of_values = value.tangents.map(|t| {
        let mixed = mixed(coefficients.value.clone(), t.unsqueeze_dim(2));
        mixed.squeeze_dim(2)
    });
    let of_weights = weights
        .by_ends
        .map(|t| weighted(t, filter.value * sent.clone()));
    let of_distances = stretched(pairs, coefficients.tangents, |slope| slope * sent.clone());
    Dual {
        value: (coefficients.value * sent).sum_dim(2).squeeze_dim(2),
        tangents: total(total(of_values, of_weights), of_distances),
    }
}

/// `Σ_j (v_j ⊙ d_ij) u_ij`.
fn directed(value: Dual<3>, filter: Dual<4>, pairs: &Pairs) -> Dual<4> {
    let [batch, points, _, dims] = pairs.difference.dims();
    let width = value.value.dims()[2];
    let sent = senders(value.value);
    let coefficients = filter.product(pairs.shortening.clone());
    let with_difference = |coefficients: Tensor<4>| {
        let difference = pairs.difference.clone().unsqueeze_dim::<5>(4);
        coefficients.unsqueeze_dim::<5>(3) * difference
    };
    let of_values = value.tangents.map(|t| {
        let matrix = with_difference(coefficients.value.clone())
            .permute([0, 1, 3, 2, 4])
            .reshape([batch, points * dims, points, width]);
        let rows = t.dims()[0];
        mixed(matrix, t.unsqueeze_dim(2)).reshape([rows, points, dims, width])
    });
    let pull = coefficients.value * sent.clone();
    let of_differences = pairs.moved.clone().map(|moved| pulled(pull.clone(), moved));
    let of_distances = stretched(pairs, coefficients.tangents, |slope| {
        with_difference(slope * sent).reshape([batch, points, points, dims * width])
    });
    let along = pairs.difference.clone().swap_dims(2, 3);
    let value = product(
        along.reshape([batch * points, dims, points]),
        pull.reshape([batch * points, points, width]),
    );
    Dual {
        value: value.reshape([batch, points, dims, width]),
        tangents: total(
            total(of_values, of_differences),
            of_distances.map(|t| by_axis(t, dims)),
        ),
    }
}

/// `Σ_j d_ij ⊙ y_j` of vectors `y`.
fn passed_on(sent: Dual<4>, filter: Dual<4>, pairs: &Pairs) -> Dual<4> {
    let [batch, points, dims, width] = sent.value.dims();
    let of_vectors = sent.tangents.map(|t| mixed(filter.value.clone(), t));
    let of_distances = stretched(pairs, filter.tangents, |slope| {
        let matrix = slope.unsqueeze_dim::<5>(3) * sent.value.clone().unsqueeze_dim::<5>(1);
        matrix.reshape([batch, points, points, dims * width])
    });
    Dual {
        value: mixed(filter.value, sent.value),
        tangents: total(of_vectors, of_distances.map(|t| by_axis(t, dims))),
    }
}

/// `Σ_j ṡ_ij m_ij` with what `m` makes of the slope by `d²`.
fn stretched(
    pairs: &Pairs,
    slope: Option<Tensor<4>>,
    matrix: impl FnOnce(Tensor<4>) -> Tensor<4>,
) -> Option<Tensor<3>> {
    let stretch = pairs.stretch.clone()?;
    Some(weighted(stretch, matrix(slope?)))
}

/// `[rows, N, dims · width]` to `[rows, N, dims, width]`.
fn by_axis(tangents: Tensor<3>, dims: usize) -> Tensor<4> {
    let [rows, points, last] = tangents.dims();
    tangents.reshape([rows, points, dims, last / dims])
}
