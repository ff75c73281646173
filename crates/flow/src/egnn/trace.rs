//! The exact divergence of an [`Egnn`] on the CPU, from slices that stay in the cache.
//!
//! A direction `κ = (a, k)` moves point `k` along axis `a`, and the divergence is `Σ_κ ∂x⁽ᴸ⁾_ka/∂x⁽⁰⁾_ka`. What makes it cheap is that few of the
//! tangents, and fewer of the cotangents, are full vectors for every direction:
//!
//! - Edges of a layer whose features do not depend on positions know these by `d²` alone, so **one** tangent `m'_ij = ∂m_ij/∂d²` serves all directions.
//!   After the first layer node features move by `ḣ_j = u_jk^a E_jk` along `(a, k)`, `k ≠ j`: one vector for all axes of a pair.
//! - The last layer asks only how point `k` moves along its own axes, so its cotangents of features are `ρ_kj^a A_kj` with `ρ_kj = v_kj u_kj`: again one
//!   vector for all axes, which goes back through the node update as one row for each pair.
//! - In a layer between, with `F = ∂/∂f` of the first edge layer, every edge therefore takes `N + D` rows through `W₂` instead of `D N`, and meets
//!   the tangents that come from the first layer as sums of products. Its coordinate head takes one cotangent for all directions.
//!
//! Two layers or more between would carry full tangents from one to the next: those networks, other devices, and what reverse mode is to pass through, go by
//! [`super::divergence`].

mod between;
mod edges;
mod last;
mod passing;
mod still;
#[cfg(test)]
pub(super) mod tests;

use burn::tensor::{DType, Tensor, TensorData};

use super::maps::{Given, Maps, Ways};
use super::{Edges, Egnn, values};
use crate::bijection::{PerSample, Points};
use crate::context::Context;
use crate::simd::Real;

/// Whether there is a way through slices for this network.
pub(super) fn is_known(field: &Egnn) -> bool {
    field.layers.len() - still_layers(field) <= 2
}

/// Layers whose edges see features that do not depend on positions.
pub(super) fn still_layers(field: &Egnn) -> usize {
    let before = field.layers.len() - 1;
    match field.edges {
        Edges::Initial => before,
        Edges::Updated => before.min(1),
    }
}

/// Whether [`exact`] takes this network at these points.
pub(super) fn is_taken(field: &Egnn, x: &Points) -> bool {
    is_known(field) && values::is_taken(field, x)
}

/// The sums of all layers' displacements, `x⁽ᴸ⁾ − x⁽⁰⁾`, and `Σ_κ ∂x⁽ᴸ⁾_ka/∂x⁽⁰⁾_ka − D N`.
pub(super) fn exact(
    field: &Egnn,
    t: Tensor<1>,
    x: Points,
    context: &Context,
) -> (Points, PerSample) {
    match x.dtype() {
        DType::F32 => of_type::<f32>(field, t, x, context),
        _ => of_type::<f64>(field, t, x, context),
    }
}

fn of_type<T: Real>(
    field: &Egnn,
    t: Tensor<1>,
    x: Points,
    context: &Context,
) -> (Points, PerSample) {
    let [batch, points, dims] = x.dims();
    let like = (&x.device(), x.dtype());
    let Given {
        x,
        h,
        width,
        standard,
    } = Given::of(field, t, x, context);
    let maps: Vec<Maps<T>> = field
        .layers
        .iter()
        .map(|layer| Maps::of(layer, context, Ways::Both))
        .collect();
    let mut found = Found {
        shift: vec![T::of(0.0); batch * points * dims],
        trace: vec![T::of(0.0); batch],
    };
    Blocks {
        maps: &maps,
        still: still_layers(field),
        sizes: Block {
            samples: batch,
            points,
            dims,
            width,
        },
        x: &x,
        h: &h,
        standard: standard.as_ref().map(|[shift, scale]| [&shift[..], scale]),
        found: &mut found,
    }
    .run();
    let shape = [batch, points, dims];
    (
        Tensor::from_data(TensorData::new(found.shift, shape), like),
        Tensor::from_data(TensorData::new(found.trace, [batch]), like),
    )
}

/// Samples that are computed together, and how many of what they have.
#[derive(Clone, Copy, Debug)]
struct Block {
    samples: usize,
    points: usize,
    dims: usize,
    width: usize,
}

/// Edges that a block has at least, where there are as many: products of few rows are slow.
const EDGES: usize = 96;

impl Block {
    fn nodes(&self) -> usize {
        self.samples * self.points
    }

    fn edges(&self) -> usize {
        self.nodes() * self.points
    }

    /// Numbers from one axis of the directions to the next: points, and zeros up to a whole number of vectors.
    fn stride(&self) -> usize {
        self.points.next_multiple_of(8)
    }

    /// Numbers of one quantity along all directions, axis by axis.
    fn directions(&self) -> usize {
        self.dims * self.stride()
    }

    /// Vectors that stand for a point's tangents or cotangents of features: one for each other point's axes together, the point's own place among them
    /// empty, then one for each axis of its own.
    fn rows(&self) -> usize {
        self.points + self.dims
    }

    /// Where the direction of a point's axis stands.
    fn direction(&self, axis: usize, point: usize) -> usize {
        axis * self.stride() + point
    }
}

/// What comes out.
struct Found<T> {
    /// `[batch, N, dims]`.
    shift: Vec<T>,
    /// `[batch]`.
    trace: Vec<T>,
}

/// All samples, block by block.
struct Blocks<'a, T> {
    maps: &'a [Maps<T>],
    /// Layers whose edges see features that do not depend on positions.
    still: usize,
    /// Of all samples.
    sizes: Block,
    /// `[batch, N, dims]`.
    x: &'a [T],
    /// `[batch, N, width]`.
    h: &'a [T],
    /// Shift and scale of each square, `[batch, N, N]`.
    standard: Option<[&'a [T]; 2]>,
    found: &'a mut Found<T>,
}

impl<T: Real> Blocks<'_, T> {
    fn run(self) {
        let all = self.sizes;
        let pairs = all.points * all.points;
        let most = EDGES.div_ceil(pairs);
        for first in (0..all.samples).step_by(most) {
            let samples = most.min(all.samples - first);
            let block = Block { samples, ..all };
            let nodes = first * all.points..(first + samples) * all.points;
            let part = |numbers: &'_ [T], each: usize| {
                numbers[nodes.start * each..nodes.end * each].to_vec()
            };
            let standard = self
                .standard
                .map(|of| of.map(|numbers| &numbers[first * pairs..(first + samples) * pairs]));
            let start = passing::State::new(block, part(self.x, all.dims), part(self.h, all.width));
            let (end, traces) = through(self.maps, self.still, standard, start);
            let axes = nodes.start * all.dims..nodes.end * all.dims;
            let places = self.found.shift[axes.clone()].iter_mut();
            for ((shift, end), x) in places.zip(&end).zip(&self.x[axes]) {
                *shift = *end - *x;
            }
            for (sample, trace) in traces.into_iter().enumerate() {
                self.found.trace[first + sample] = T::of(trace - (all.points * all.dims) as f64);
            }
        }
    }
}

/// The points after all layers, and the trace of each sample.
fn through<T: Real>(
    maps: &[Maps<T>],
    still: usize,
    standard: Option<[&[T]; 2]>,
    mut state: passing::State<T>,
) -> (Vec<T>, Vec<f64>) {
    let block = state.block;
    let (before, between) = maps[..maps.len() - 1].split_at(still);
    let mut passed = Vec::new();
    for maps in before {
        passed.push(still::layer(maps, standard, &mut state));
        if let Some(update) = &maps.update {
            state.update(update);
        }
    }
    let middle = between.first().map(|maps| {
        let update = maps.update.as_ref().expect("it is not the last layer");
        let first = before[0]
            .update
            .as_ref()
            .expect("its edges see what is updated");
        let tangents = between::Tangents::new(&passed[0], &state, first, maps);
        let layer = between::layer(maps, standard, &mut state);
        state.update(update);
        (maps, tangents, layer)
    });
    let last = &maps[maps.len() - 1];
    let (points, mut back) = last::layer(last, standard, &state);
    if let Some(update) = maps[..maps.len() - 1]
        .last()
        .and_then(|maps| maps.update.as_ref())
    {
        back.through_update(update, &state.slopes, middle.is_some());
    }
    let mut traces = vec![0.0; block.samples];
    if let Some((maps, tangents, layer)) = &middle {
        between::trace(maps, tangents, layer, &state, &back, &mut traces);
    } else {
        back.meet(&state.moved, &mut traces);
        for layer in &passed {
            still::trace(block, layer, &back, &mut traces);
        }
    }
    (points, traces)
}
