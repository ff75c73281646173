//! The edges of one layer of a block, some at a time, and derivatives of what they make.

use super::passing::State;
use crate::egnn::edge::{Halves, Inputs, Messages, Order, Sizes, Tile, Walk, dot, evaluate};
use crate::egnn::maps::Maps;
use crate::simd::Real;

/// What each point brings to its edges, `W_r h + b` and `W_s h`, `[nodes, width]`.
pub(super) fn ends<T: Real>(maps: &Maps<T>, state: &State<T>) -> [Vec<T>; 2] {
    [&maps.receiver, &maps.sender].map(|map| map.forward(&state.h, state.block.width))
}

/// The step of a layer's edges.
pub(super) fn inputs<'a, T: Real>(
    maps: &'a Maps<T>,
    standard: Option<[&'a [T]; 2]>,
    state: &'a State<T>,
    ends: &'a [Vec<T>; 2],
) -> Inputs<'a, T> {
    let block = state.block;
    Inputs {
        sizes: Sizes {
            batch: block.samples,
            points: block.points,
            dims: block.dims,
            width: block.width,
            channels: maps.channels,
            directions: 0,
            messages: Messages::Wanted,
        },
        x: &state.x,
        ends: [&ends[0], &ends[1]],
        pairs: &maps.pairs,
        standard: standard.unwrap_or([&[], &[]]),
        moved: &[],
        moved_ends: [&[], &[]],
        weights: maps.edges(),
    }
}

/// Some edges at a time.
pub(super) struct Pass<'a, T> {
    pub inputs: Inputs<'a, T>,
    pub tile: Tile<T>,
    walk: Walk<'a, T>,
    /// Edges before those of the tile.
    next: usize,
    /// Rows of features.
    rows: [Vec<T>; 2],
}

impl<'a, T: Real> Pass<'a, T> {
    pub fn new(inputs: &Inputs<'a, T>) -> Self {
        let tile = Tile::new(inputs, Order::Slope);
        let rows = || vec![T::of(0.0); tile.most * inputs.sizes.width];
        let rows = [rows(), rows()];
        Self {
            inputs: *inputs,
            tile,
            walk: Walk::new(inputs, Halves::Left),
            next: 0,
            rows,
        }
    }

    /// Computes the next edges, and says which they are.
    pub fn advance(&mut self) -> Option<std::ops::Range<usize>> {
        self.tile.fill(&mut self.walk).then(|| {
            evaluate(&mut self.tile, &self.inputs);
            let first = self.next;
            self.next += self.tile.edges.len();
            first..self.next
        })
    }

    /// `∂m/∂d²` of these edges, and the tangents of their heads, `[rows, channels]`, features of their ends held.
    #[inline(always)]
    pub fn along_square(&mut self, maps: &Maps<T>, messages: &mut [T], heads: &mut [T]) {
        let width = self.inputs.sizes.width;
        let distance: &[T] = &maps.distance;
        let [one, two, three] = &self.tile.stages;
        let [here, next] = &mut self.rows;
        let used = messages.len();
        let rows = here
            .chunks_exact_mut(width)
            .zip(one.slope.chunks_exact(width));
        for ((row, slope), z) in rows.zip(&self.tile.geometry.standard[1]) {
            for ((row, slope), w) in row.iter_mut().zip(slope).zip(distance) {
                *row = *slope * *w * *z;
            }
        }
        maps.message.linear(&here[..used], messages, width);
        scale(messages, &two.slope);
        let next = &mut next[..used];
        maps.coordinate.linear(messages, next, width);
        scale(next, &three.slope);
        let heads = heads.chunks_exact_mut(self.inputs.sizes.channels);
        for (heads, row) in heads.zip(next.chunks_exact(width)) {
            for (head, weight) in heads.iter_mut().zip(self.tile.weight.chunks_exact(width)) {
                *head = dot(row, weight);
            }
        }
    }

    /// `∂c/∂f` of one channel for these edges, `[rows, width]`.
    #[inline(always)]
    pub fn head_gradient(&mut self, maps: &Maps<T>, channel: usize, gradient: &mut [T]) {
        let width = self.inputs.sizes.width;
        let [one, two, three] = &self.tile.stages;
        let [here, next] = &mut self.rows;
        let used = gradient.len();
        let weight = &self.tile.weight[channel * width..(channel + 1) * width];
        let rows = here[..used].chunks_exact_mut(width);
        for (row, slope) in rows.zip(three.slope.chunks_exact(width)) {
            for ((row, slope), weight) in row.iter_mut().zip(slope).zip(weight) {
                *row = *slope * *weight;
            }
        }
        let (here, next) = (&here[..used], &mut next[..used]);
        maps.coordinate.back(here, next, width);
        scale(next, &two.slope);
        maps.message.back(next, gradient, width);
        scale(gradient, &one.slope);
    }
}

/// `y ← y a`, elementwise, as far as `y` goes.
#[inline(always)]
pub(super) fn scale<T: Real>(y: &mut [T], a: &[T]) {
    for (y, a) in y.iter_mut().zip(a) {
        *y = *y * *a;
    }
}

/// `Σ y`.
#[inline(always)]
pub(super) fn total<T: Real>(y: &[T]) -> f64 {
    y.iter().map(|y| y.wide()).sum()
}
