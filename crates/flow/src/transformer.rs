//! An equivariant transformer as a vector field (Thölke and De Fabritiis 2022; as a flow's field Hassan et al. 2024).

mod attention;
mod operations;
mod pairs;
mod sums;
#[cfg(test)]
mod tests;
mod update;

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::bijection::FlowError;
use crate::context::Context;
use crate::dual::Dual;
use crate::edge::Edge;
use crate::embedding::Embedding;
use crate::field::VectorField;
use crate::linear::{Initializer, Linear};
use crate::schedule::Schedule;
use crate::separation::{seen, without_mean};
use crate::simd::Function;
use attention::Attention;
use pairs::Pairs;
use update::Update;

/// The size of a [`Transformer`], and of the features it is given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerConfig {
    /// Scalar features of a point, and as many vectors; a multiple of the heads.
    pub width: usize,
    /// Heads of each layer.
    pub heads: usize,
    /// Layers, at least one.
    pub layers: usize,
    /// Functions of distance that all layers see.
    pub radial: usize,
    /// What it commutes with.
    pub symmetry: Symmetry,
    /// Invariant features of each point.
    pub node_features: usize,
    /// Invariant features of each pair of points; 0 for none.
    pub pair_features: usize,
    /// Features of the whole (temperature, …).
    pub global_features: usize,
    /// How noise turns into data along the paths that it is trained on.
    pub schedule: Schedule,
}

/// Which orthogonal maps a field commutes with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Symmetry {
    /// Rotations and reflections, O(n): mirror images are as likely as each other.
    #[default]
    Full,
    /// Rotations alone, SO(3), in three dimensions: cross products of vectors tell mirror images apart.
    Rotations,
}

/// The field `v_i(t, x) = α'(t) Σ_f c_f G(h_i)_f V_if` less its mean, `α` the [`Schedule`], from scalars `h_i` and vectors `V_if` of every point, which start
/// as what the point is, and as nothing. In each layer points attend to each other,
///
/// `A_ij = φ(q_i·(k_j ⊙ d_ij)/√F)` for each head of `F` channels, `y_i = Σ_j A_ij v_j ⊙ d'_ij/N`,
/// `w_i = Σ_j [(v'_j ⊙ d''_ij) u_ij + (v''_j ⊙ d'''_ij) ⊙ V_j]/N`,
///
/// with `φ` = SiLU, `q`, `k` and all `v` affine maps of `h`, all `d` affine maps of `φ(W_r g_i + W_s g_j + w z_ij + W_p p_ij)`, where `g` is what points
/// are and what time it is, and `u_ij = (x_i − x_j)/√(d²_ij + 1)`: a unit vector between distant points, and smooth where they meet. Then each goes on by
/// itself, `V ← V + w` first,
///
/// `s = φ(W_h h + W_y y + W_n (n − 1))`, `h ← h + W s`, `V ← V + (W' s) ⊙ U'V`, where `n = √(|U V|² + 1)` channel by channel,
///
/// with [`Symmetry::Rotations`] also `V ← V + (W'' s) ⊙ (U V × U''V)/n`: a cross product of two vectors, which keeps its sign where a reflection turns theirs
/// round. (Hassan et al. take it of vectors and differences, pair by pair.) Softened norms instead of inner products let the field grow with distance no faster
/// than vectors do. `z_ij` is as in [`Egnn`](crate::Egnn), and `ln(1 + d²_ij)` where the context has no [`Distances`](crate::Distances).
///
/// **Divergence.** Points do not move between layers, so one tangent `∂/∂d²` of what distances make serves all directions; and along each direction, what a
/// pair changes by is a product of a matrix that all directions share with what its two ends change by. So no tensor has an axis of
/// directions, one of pairs, and one of channels, and in the first layer, where `h` does not depend on positions, nothing else is carried.
#[derive(Module, Debug)]
pub struct Transformer {
    embedding: Embedding,
    /// What pairs see, to functions of distance.
    radial: Edge,
    attentions: Vec<Attention>,
    updates: Vec<Update>,
    /// `G`, before its activation.
    gate: Linear,
    /// `c`, `[width]`.
    weight: Param<Tensor<1>>,
    #[module(skip)]
    schedule: Schedule,
}

impl Transformer {
    /// A network that starts near the zero field, for points in `dims` dimensions.
    ///
    /// # Errors
    /// [`FlowError::Unsupported`] where the width is no multiple of the heads, something that there must be some of is missing, or cross products are asked for
    /// in other than three dimensions.
    pub fn new(
        config: &TransformerConfig,
        dims: usize,
        make: &mut Initializer,
    ) -> Result<Self, FlowError> {
        let TransformerConfig {
            width,
            heads,
            layers,
            radial,
            ..
        } = *config;
        if [width, heads, layers, radial].contains(&0) || !width.is_multiple_of(heads) {
            return Err(FlowError::Unsupported {
                what: format!(
                    "a transformer of {layers} layers, {heads} heads and {radial} radial functions cannot be {width} wide; there must be some of each, and the \
                     width must be a multiple of the heads"
                ),
            });
        }
        if config.symmetry == Symmetry::Rotations && dims != 3 {
            return Err(FlowError::Unsupported {
                what: format!(
                    "cross products, which tell mirror images apart, need 3 dimensions, but points have {dims}; use the full symmetry"
                ),
            });
        }
        let attention = |index, make: &mut Initializer| {
            if index == 0 {
                Attention::of_scalars(config, make)
            } else {
                Attention::new(config, make)
            }
        };
        Ok(Self {
            embedding: Embedding::new(config.node_features, config.global_features, width, make),
            radial: Edge::new(width, radial, config.pair_features, make),
            attentions: (0..layers).map(|index| attention(index, make)).collect(),
            updates: (0..layers).map(|_| Update::new(config, make)).collect(),
            gate: Linear::new(width, width, 1.0, make),
            weight: make.uniform([width], 1e-2 * (3.0 / width as f64).sqrt()),
            schedule: config.schedule,
        })
    }

    /// `Σ_f c_f G(h_i)_f V_if`.
    fn read(&self, h: Dual<3>, vectors: Dual<4>) -> Dual<3> {
        let gate = h.through(&self.gate).map(Function::Silu);
        vectors
            .product(gate.linear(|g| g.unsqueeze_dim(2)))
            // Not as a product of one column, whose rounding depends on how its rows lie in memory, and so on how many samples there are.
            .linear(|v| {
                let weighted = v * self.weight.val().unsqueeze::<4>();
                weighted.sum_dim(3).squeeze_dim(3)
            })
    }
}

impl VectorField for Transformer {
    fn velocity(&self, t: Tensor<1>, x: Dual<3>, context: &Context) -> Dual<3> {
        let distances = context.distances.as_ref();
        let standard = distances.map(|distances| distances.at(&t, self.schedule, &x.value));
        let g = self.embedding.forward(t.clone(), context);
        let pairs = Pairs::new(x, |square| {
            let z = seen(square, standard.as_ref());
            self.radial.between(&g, z, context).map(Function::Silu)
        });
        let (mut h, mut vectors) = (Dual::constant(g.clone()), None);
        for (attention, update) in self.attentions.iter().zip(&self.updates) {
            let (received, pulls) = attention.forward(&h, vectors.as_ref(), &pairs);
            let pulled = match vectors {
                Some(vectors) => pulls.plus(vectors),
                None => pulls,
            };
            let (scalars, moved) = update.forward(h, received, &pulled);
            (h, vectors) = (scalars, Some(moved));
        }
        let vectors = vectors.expect("a network has layers");
        let speed = self.schedule.speeds(t).reshape([-1, 1, 1]);
        without_mean(self.read(h, vectors)).product(Dual::constant(speed))
    }

    fn divergence_size(&self, points: usize, dims: usize) -> usize {
        let width = self.gate.weight.dims()[0];
        let directions = points * dims;
        // Tangents of vectors, tangents of attention, and what pairs make of vectors.
        let vectors = directions * points * dims * width;
        let weights = directions * points * points * self.attentions[0].heads();
        vectors.max(weights).max(points * points * dims * width)
    }

    fn divergence_operations(&self, points: usize, dims: usize) -> f64 {
        operations::of_divergence(self, points, dims)
    }
}
