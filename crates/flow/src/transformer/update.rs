//! What a point does by itself between two attentions.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{Symmetry, TransformerConfig};
use crate::dual::Dual;
use crate::linear::{Initializer, Linear};
use crate::simd::Function;

/// The maps of one layer; see [`super::Transformer`] for the formula.
#[derive(Module, Debug)]
pub(super) struct Update {
    /// `W_h`, with bias.
    node: Linear,
    /// `W_y`.
    received: Linear,
    /// `W_n`.
    norm: Linear,
    /// `W`, with bias.
    out: Linear,
    /// `U`.
    seen: Linear,
    /// `W'` and `U'`.
    vector: Gated,
    /// `W''` and `U''`, where mirror images are told apart.
    cross: Option<Gated>,
}

/// Vectors and what they are multiplied by.
#[derive(Module, Debug)]
struct Gated {
    gate: Linear,
    vector: Linear,
}

impl Gated {
    fn new(width: usize, make: &mut Initializer) -> Self {
        Self {
            gate: Linear::new(width, width, 0.5, make),
            vector: Linear::without_bias(width, width, 1.0, make),
        }
    }

    /// The gate, `[batch, N, 1, width]`, and the vectors, `[batch, N, dims, width]`.
    fn parts(&self, hidden: &Dual<3>, vectors: &Dual<4>) -> (Dual<4>, Dual<4>) {
        let gate = hidden.clone().through(&self.gate);
        (
            gate.linear(|g| g.unsqueeze_dim(2)),
            vectors.clone().through(&self.vector),
        )
    }
}

impl Update {
    pub fn new(config: &TransformerConfig, make: &mut Initializer) -> Self {
        let width = config.width;
        let rotations = config.symmetry == Symmetry::Rotations;
        Self {
            node: Linear::new(width, width, 1.0, make),
            received: Linear::without_bias(width, width, 1.0, make),
            norm: Linear::without_bias(width, width, 1.0, make),
            out: Linear::new(width, width, 0.5, make),
            seen: Linear::without_bias(width, width, 1.0, make),
            vector: Gated::new(width, make),
            cross: rotations.then(|| Gated::new(width, make)),
        }
    }

    pub fn tells_mirror_images_apart(&self) -> bool {
        self.cross.is_some()
    }

    /// The new scalars and vectors.
    ///
    /// # Shapes
    /// `h` and `received` `[batch, N, width]`, `vectors` `[batch, N, dims, width]`.
    pub fn forward(&self, h: Dual<3>, received: Dual<3>, vectors: &Dual<4>) -> (Dual<3>, Dual<4>) {
        let seen = vectors.clone().through(&self.seen);
        let length = lengths(&seen);
        let norm = length.clone().linear(|n| n.squeeze_dim::<3>(2));
        let norm = Dual {
            value: norm.value - 1.0,
            ..norm
        };
        let hidden = h
            .clone()
            .through(&self.node)
            .plus(received.through(&self.received))
            .plus(norm.through(&self.norm))
            .map(Function::Silu);
        let (gate, turned) = self.vector.parts(&hidden, vectors);
        let mut moved = vectors.clone().plus(gate.product(turned));
        if let Some(cross) = &self.cross {
            let (gate, other) = cross.parts(&hidden, vectors);
            let gate = gate.product(inverse(length));
            moved = moved.plus(cross_product(&seen, &other).product(gate));
        }
        (h.plus(hidden.through(&self.out)), moved)
    }
}

/// `√(|a|² + 1)` of vectors, channel by channel, `[batch, N, 1, width]`.
fn lengths(a: &Dual<4>) -> Dual<4> {
    let square = a.clone().product(a.clone()).linear(|s| s.sum_dim(2));
    let root = (square.value.clone() + 1.0).sqrt();
    square.chain(root.clone(), || root.recip() * 0.5)
}

/// `1/n`.
fn inverse(n: Dual<4>) -> Dual<4> {
    let value = n.value.clone().recip();
    n.chain(value.clone(), || value.square().neg())
}

/// `a × b`, channel by channel, `[batch, N, 3, width]`.
fn cross_product(a: &Dual<4>, b: &Dual<4>) -> Dual<4> {
    let ahead = |vectors: &Dual<4>, by| vectors.clone().linear(|v| axes_ahead(v, by));
    let right = ahead(a, 1).product(ahead(b, 2));
    let left = ahead(a, 2).product(ahead(b, 1));
    right.plus(left.linear(Tensor::neg))
}

/// Component `c + by` in the place of component `c`, round the three axes.
fn axes_ahead(vectors: Tensor<4>, by: usize) -> Tensor<4> {
    let dims = vectors.dims()[2];
    assert_eq!(dims, 3, "cross products are of vectors in space");
    let tail = vectors.clone().narrow(2, by, dims - by);
    Tensor::cat(vec![tail, vectors.narrow(2, 0, by)], 2)
}
