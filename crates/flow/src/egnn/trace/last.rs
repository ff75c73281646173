//! The last layer, whose displacements alone are asked for, and what its trace asks of those before.

use super::Block;
use super::edges::{Pass, ends, inputs, scale};
use super::passing::{State, identity};
use crate::egnn::edge::{add, add_scaled, dot};
use crate::egnn::maps::{Maps, UpdateMaps};
use crate::simd::{Real, at_level};

/// Cotangents on the way back: by how much the trace grows with each tangent `∂/∂κ` of a quantity, `κ = (a, k)`.
pub(super) struct Back<T> {
    block: Block,
    /// Of positions, `[nodes, dims, directions]`.
    pub points: Vec<T>,
    /// `ρ_kj^a` in the place of point `j` and direction `(a, k)`, `[nodes, directions]`. The cotangent of the features of point `j` along `(a, k)` is that
    /// times row `k` of the point, and for `k = j` row `N + a`.
    pub pulls: Vec<T>,
    /// Of node features, `[nodes, rows, width]`.
    pub features: Vec<T>,
    /// Of the messages that points have received before the node update, `[nodes, rows, width]`.
    pub messages: Vec<T>,
}

at_level!(
    /// The points after the layer, and the cotangents of what it is given.
    pub(super) fn layer(maps: &Maps<T>, standard: Option<[&[T]; 2]>, state: &State<T>) -> (Vec<T>, Back<T>),
    layer_body
);

#[inline(always)]
fn layer_body<T: Real, const FMA: bool>(
    maps: &Maps<T>,
    standard: Option<[&[T]; 2]>,
    state: &State<T>,
) -> (Vec<T>, Back<T>) {
    let block = state.block;
    let (points, dims, width) = (block.points, block.dims, block.width);
    let directions = block.directions();
    let zeros = |count: usize| vec![T::of(0.0); count];
    let mut end = state.x.clone();
    let mut back = Back {
        block,
        // The tangents of what is moved: of the points before.
        points: identity(block),
        pulls: zeros(block.nodes() * directions),
        features: zeros(block.nodes() * block.rows() * width),
        messages: Vec::new(),
    };
    let mut gradients = zeros(block.edges() * width);
    let mut own = zeros(block.nodes() * dims * width);
    let ends = ends(maps, state);
    let mut pass = Pass::new(&inputs(maps, standard, state, &ends));
    while let Some(edges) = pass.advance() {
        let gradients = &mut gradients[edges.start * width..edges.end * width];
        pass.head_gradient(maps, 0, gradients);
        let distance: &[T] = &maps.distance;
        let geometry = &pass.tile.geometry;
        let us = geometry.difference.chunks_exact(dims);
        let [inverse, fall, _] = &geometry.inverse;
        for (row, (gradient, u)) in gradients.chunks_exact(width).zip(us).enumerate() {
            let edge = &pass.tile.edges[row];
            let (k, j) = (edge.receiver, edge.sender);
            if k == j {
                continue;
            }
            let (head, inverse) = (pass.tile.heads[row], inverse[row]);
            let weight = head * inverse;
            let by_square = dot(gradient, distance) * geometry.standard[1][row];
            let slope = by_square * inverse + head * fall[row];
            add_scaled(&mut end[k * dims..(k + 1) * dims], weight, u);
            for a in 0..dims {
                let direction = block.direction(a, k % points);
                for b in 0..dims {
                    let turned = T::of(2.0) * slope * u[a] * u[b];
                    let change = if a == b { turned + weight } else { turned };
                    let place = |node: usize| (node * dims + b) * directions + direction;
                    back.points[place(k)] += change;
                    back.points[place(j)] += -change;
                }
                let pull = inverse * u[a];
                back.pulls[j * directions + direction] = pull;
                let own = &mut own[(k * dims + a) * width..(k * dims + a + 1) * width];
                add_scaled(own, pull, gradient);
            }
        }
    }
    back.gather(maps, &gradients, &own);
    (end, back)
}

impl<T: Real> Back<T> {
    /// The cotangents of node features from those of the first edge layer, by edge and by each receiver's own axes.
    fn gather(&mut self, maps: &Maps<T>, by_edge: &[T], own: &[T]) {
        let Block {
            points,
            dims,
            width,
            ..
        } = self.block;
        let size = self.block.rows() * width;
        let mut here = vec![T::of(0.0); by_edge.len()];
        maps.sender.back(by_edge, &mut here, width);
        for (edge, row) in here.chunks_exact(width).enumerate() {
            let (k, j) = (
                edge / points,
                edge / (points * points) * points + edge % points,
            );
            let place = j * size + k % points * width;
            self.features[place..place + width].copy_from_slice(row);
        }
        let mut here = vec![T::of(0.0); own.len()];
        maps.receiver.back(own, &mut here, width);
        let nodes = self.features.chunks_exact_mut(size);
        for (features, own) in nodes.zip(here.chunks_exact(dims * width)) {
            features[points * width..].copy_from_slice(own);
        }
    }

    /// From the features after a node update to those before it, where anything asks for these, and to the messages that came in.
    pub fn through_update(
        &mut self,
        maps: &UpdateMaps<T>,
        slopes: &[T],
        are_features_wanted: bool,
    ) {
        let width = self.block.width;
        let mut hidden = vec![T::of(0.0); self.features.len()];
        maps.out.back(&self.features, &mut hidden, width);
        let nodes = hidden.chunks_exact_mut(self.block.rows() * width);
        for (rows, slopes) in nodes.zip(slopes.chunks_exact(width)) {
            for row in rows.chunks_exact_mut(width) {
                scale(row, slopes);
            }
        }
        self.messages = vec![T::of(0.0); hidden.len()];
        let mean = T::of(1.0 / self.block.points as f64);
        maps.message.back(&hidden, &mut self.messages, width);
        for message in &mut self.messages {
            *message = mean * *message;
        }
        if are_features_wanted {
            let mut before = vec![T::of(0.0); hidden.len()];
            maps.node.back(&hidden, &mut before, width);
            add(&mut self.features, &before);
        }
    }

    /// Adds what meets the tangents of positions to each sample's trace.
    #[inline(always)]
    pub fn meet(&self, moved: &[T], traces: &mut [f64]) {
        let size = self.block.points * self.block.dims * self.block.directions();
        let samples = self.points.chunks_exact(size).zip(moved.chunks_exact(size));
        for (trace, (points, moved)) in traces.iter_mut().zip(samples) {
            *trace += dot(points, moved).wide();
        }
    }
}
