//! What the edges of one layer do, tile by tile in memory that stays in the cache: no tensor of all pairs is ever written.
//!
//! For each ordered pair `(i, j)`, with `u = x_i − x_j`, `s = |u|²` and its standardised `z(s)`:
//!
//! `f = R_i + S_j + P_ij + w z`, `m = φ(W₂ φ(f) + b₂)`, `c = W_x φ(W_c m + b_c)`, `ω = c/(√(s + ε) + 1)`,
//!
//! and of each point `M_i = Σ_j m_ij` and `Y_i^c = Σ_j ω_ij^c u_ij`; along each of `K` directions their derivatives. Reverse mode computes
//! a tile again instead of keeping it. Maps of features are those of [`crate::dense`], other products those of [`crate::matrix`]; all else is loops that LLVM vectorises.

mod forward;
#[cfg(feature = "gpu")]
mod gpu;
mod operation;
mod reverse;
mod stage;
#[cfg(test)]
mod tests;
mod tile;
mod walk;

use burn::tensor::Tensor;

use super::layer::{Layer, PairTerms};
use crate::Points;
use crate::distances::Standard;
use crate::dual::Dual;
use crate::flex::is_ours;
use crate::simd::Real;
pub(super) use forward::forward as values;
#[cfg(feature = "gpu")]
use gpu::takes as on_gpu;
pub(super) use stage::{Order, silu_and_slope};
pub(super) use tile::{Tile, add, add_scaled, dot, evaluate};
pub(super) use walk::{Halves, Walk};

/// How many of what there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub batch: usize,
    pub points: usize,
    pub dims: usize,
    pub width: usize,
    pub channels: usize,
    /// Directions along which derivatives are taken.
    pub directions: usize,
    pub messages: Messages,
}

/// Whether anything asks for the messages that points receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Messages {
    Wanted,
    Unwanted,
}

impl Sizes {
    /// Points of the batch.
    pub fn nodes(&self) -> usize {
        self.batch * self.points
    }

    /// Numbers of messages that all points receive, if they are wanted, and along every direction.
    pub fn received(&self) -> usize {
        match self.messages {
            Messages::Wanted => (1 + self.directions) * self.nodes() * self.width,
            Messages::Unwanted => 0,
        }
    }

    /// Numbers of their displacements.
    pub fn pulled(&self) -> usize {
        (1 + self.directions) * self.nodes() * self.channels * self.dims
    }
}

/// The maps of a layer's edges, see [`super::layer::Layer`].
#[derive(Clone, Copy)]
pub(super) struct Weights<'a, T> {
    /// `w`.
    pub distance: &'a [T],
    /// `W₂`, `[width, width]`.
    pub message: &'a [T],
    pub message_bias: &'a [T],
    /// `W_c`, `[width, width]`.
    pub coordinate: &'a [T],
    pub coordinate_bias: &'a [T],
    /// `W_x`, `[width, channels]`.
    pub weight: &'a [T],
}

/// What a step is made of.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a, T> {
    pub sizes: Sizes,
    /// `[batch, N, dims]`.
    pub x: &'a [T],
    /// `R` and `S`, `[batch, N, width]` each.
    pub ends: [&'a [T]; 2],
    /// `P`, `[N, N, width]`, or nothing.
    pub pairs: &'a [T],
    /// Shift and scale of each square, `[batch, N, N]` each, or nothing.
    pub standard: [&'a [T]; 2],
    /// `[directions, batch, N, dims]`.
    pub moved: &'a [T],
    /// `Ṙ` and `Ṡ`, `[directions, batch, N, width]` each, or nothing.
    pub moved_ends: [&'a [T]; 2],
    pub weights: Weights<'a, T>,
}

/// Whether there is a step of ours for these points.
pub(super) fn takes(layer: &Layer, x: &Points) -> bool {
    is_ours(x) || on_gpu(layer, x)
}

#[cfg(not(feature = "gpu"))]
fn on_gpu(_: &Layer, _: &Points) -> bool {
    false
}

/// Every point's displacements before they are spread, `[rows, N · channels, dims]`, and the messages it has received, where the layer has a node
/// update, `[rows, N, width]`.
pub(super) fn step(
    layer: &Layer,
    x: &Dual<3>,
    h: Dual<3>,
    standard: Option<&Standard>,
    pairs: &PairTerms,
    messages: Messages,
) -> (Dual<3>, Option<Dual<3>>) {
    let [batch, points, dims] = x.value.dims();
    let (receiver, sender) = (h.clone().through(&layer.receiver), h.through(&layer.sender));
    let directions = x.tangents.as_ref().map_or(0, |t| t.dims()[0] / batch);
    let sizes = Sizes {
        batch,
        points,
        dims,
        width: layer.distance.dims()[0],
        channels: layer.weight.weight.dims()[1],
        directions,
        messages,
    };
    let found = operation::apply(sizes, layer, x, [receiver, sender], standard, pairs);
    let first = sizes.received();
    let dual = |rows: Tensor<3>| Dual {
        value: rows.clone().narrow(0, 0, batch),
        tangents: (directions > 0).then(|| rows.narrow(0, batch, directions * batch)),
    };
    let groups = (1 + directions) * batch;
    let pulled = found.clone().narrow(0, first, sizes.pulled());
    let pulled = dual(pulled.reshape([groups, points * sizes.channels, dims]));
    let received = (first > 0).then(|| {
        let received = found.narrow(0, 0, first);
        dual(received.reshape([groups, points, sizes.width]))
    });
    (pulled, received)
}

/// Numbers of one tile's widest buffer: with all of a tile's buffers they stay in a core's second cache.
const TILE: usize = 192 * 64;

/// Edges that are computed at a time, each with `groups` rows: a value and its derivatives.
pub(super) fn tile_rows(sizes: &Sizes, groups: usize) -> usize {
    (TILE / (sizes.width * groups).max(1)).clamp(4, 384)
}

/// `0`, spelt so that the type follows.
pub(super) fn zero<T: Real>() -> T {
    T::of(0.0)
}
