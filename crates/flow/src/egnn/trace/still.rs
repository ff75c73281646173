//! A layer whose edges see features that do not depend on positions.

use super::Block;
use super::edges::{Pass, ends, inputs, total};
use super::last::Back;
use super::passing::State;
use crate::egnn::edge::{add, add_scaled};
use crate::egnn::maps::Maps;
use crate::matrix::{Matrix, Old, Target, multiply};
use crate::simd::{Real, at_level};

/// What such a layer leaves for the way back.
pub(super) struct Still<T> {
    /// `u`, `[edges, dims]`.
    pub difference: Vec<T>,
    /// `∂m/∂d²`, `[edges, width]`.
    pub slopes: Vec<T>,
    /// `∂x/∂x⁽⁰⁾` before it, `[nodes, dims, directions]`.
    moved: Vec<T>,
}

at_level!(
    /// Passes the layer, up to its node update.
    pub(super) fn layer(maps: &Maps<T>, standard: Option<[&[T]; 2]>, state: &mut State<T>) -> Still<T>,
    layer_body
);

#[inline(always)]
fn layer_body<T: Real, const FMA: bool>(
    maps: &Maps<T>,
    standard: Option<[&[T]; 2]>,
    state: &mut State<T>,
) -> Still<T> {
    let block = state.block;
    let (dims, width, channels) = (block.dims, block.width, maps.channels);
    let directions = block.directions();
    let zeros = |count: usize| vec![T::of(0.0); count];
    let mut difference = zeros(block.edges() * dims);
    let mut slopes = zeros(block.edges() * width);
    let mut pulls = zeros(block.nodes() * channels * dims);
    let mut moved = zeros(block.nodes() * channels * dims * directions);
    let mut stretch = zeros(directions);
    let mut messages = std::mem::take(&mut state.messages);
    let ends = ends(maps, state);
    let mut pass = Pass::new(&inputs(maps, standard, state, &ends));
    let mut heads = zeros(block.edges() * channels);
    while let Some(edges) = pass.advance() {
        let slopes = &mut slopes[edges.start * width..edges.end * width];
        let tangents = &mut heads[edges.start * channels..edges.end * channels];
        pass.along_square(maps, slopes, tangents);
        let tile = &pass.tile;
        let us = &tile.geometry.difference[..edges.len() * dims];
        difference[edges.start * dims..edges.end * dims].copy_from_slice(us);
        let [inverse, fall, _] = &tile.geometry.inverse;
        for (row, u) in us.chunks_exact(dims).enumerate() {
            let edge = &tile.edges[row];
            let (i, j) = (edge.receiver, edge.sender);
            let message = &tile.stages[1].values[row * width..(row + 1) * width];
            add(&mut messages[i * width..(i + 1) * width], message);
            if i == j {
                continue;
            }
            State::stretch(&block, &state.moved, [i, j], u, &mut stretch);
            for channel in 0..channels {
                let (place, node) = (row * channels + channel, i * channels + channel);
                let weight = tile.heads[place] * inverse[row];
                let slope = tangents[place] * inverse[row] + tile.heads[place] * fall[row];
                add_scaled(&mut pulls[node * dims..(node + 1) * dims], weight, u);
                let size = dims * directions;
                let target = &mut moved[node * size..(node + 1) * size];
                state.pull([i, j], (u, &stretch), [weight, slope], target);
            }
        }
    }
    state.messages = messages;
    maps.spread(block.points, &pulls, &mut state.x, dims);
    let before = state.moved.clone();
    maps.spread(block.points, &moved, &mut state.moved, dims * directions);
    Still {
        difference,
        slopes,
        moved: before,
    }
}

at_level!(
    /// Adds `Σ_κ M̄_j^κ·Ṁ_j^κ` of this layer's messages, `Ṁ_j = Σ_i m'_ji ṡ_ji`, to each sample's trace.
    pub(super) fn trace(block: Block, layer: &Still<T>, back: &Back<T>, traces: &mut [f64]),
    trace_body
);

#[inline(always)]
fn trace_body<T: Real, const FMA: bool>(
    block: Block,
    layer: &Still<T>,
    back: &Back<T>,
    traces: &mut [f64],
) {
    let (points, dims, width, rows) = (block.points, block.dims, block.width, block.rows());
    let (stride, directions) = (block.stride(), block.directions());
    let mut products = vec![T::of(0.0); points * rows];
    let mut stretch = vec![T::of(0.0); directions];
    let mut sums = vec![T::of(0.0); stride];
    for node in 0..block.nodes() {
        let (sample, own) = (node / points, node % points);
        let slopes = &layer.slopes[node * points * width..(node + 1) * points * width];
        let messages = &back.messages[node * rows * width..(node + 1) * rows * width];
        // Rows by sender, so that what meets the directions of one edge lies side by side.
        multiply(
            Target::new(&mut products, rows),
            Old::Replaced,
            T::of(1.0),
            Matrix::new(slopes, [points, width], width),
            Matrix::new(messages, [rows, width], width).transposed(),
        );
        let pulls = &back.pulls[node * directions..(node + 1) * directions];
        sums.fill(T::of(0.0));
        for (sender, products) in products.chunks_exact(rows).enumerate() {
            let edge = node * points + sender;
            let u = &layer.difference[edge * dims..(edge + 1) * dims];
            let ends = [node, sample * points + sender];
            State::stretch(&block, &layer.moved, ends, u, &mut stretch);
            let axes = stretch.chunks_exact(stride).zip(pulls.chunks_exact(stride));
            for (axis, (stretch, pulls)) in axes.enumerate() {
                let meeting = products[..points].iter().zip(stretch).zip(pulls);
                for (sum, ((product, stretch), pull)) in sums.iter_mut().zip(meeting) {
                    *sum += *product * *stretch * *pull;
                }
                sums[own] += products[points + axis] * stretch[own];
            }
        }
        traces[sample] += total(&sums);
    }
}
