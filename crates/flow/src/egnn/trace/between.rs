//! The layer between the first and the last, whose edges see what the first node update has made of features.

use super::Block;
use super::edges::{Pass, ends, inputs, scale, total};
use super::last::Back;
use super::passing::State;
use super::still::Still;
use crate::egnn::edge::{add, add_scaled, dot};
use crate::egnn::maps::{Maps, UpdateMaps};
use crate::matrix::{Matrix, Old, Target, multiply};
use crate::simd::{Real, at_level};

/// Tangents of what points bring to the layer's edges: along `(a, k)` those of point `j` are `u_jk^a` times its row `k`, and for `k = j` row `N + a`.
pub(super) struct Tangents<T> {
    /// `u_jk^a` of the first layer, in the place of point `j` and direction `(a, k)`, `[nodes, directions]`.
    differences: Vec<T>,
    /// Of node features, `[nodes, rows, width]`.
    features: Vec<T>,
    /// `Ṙ` and `Ṡ`, the same.
    ends: [Vec<T>; 2],
}

impl<T: Real> Tangents<T> {
    /// From what the first layer has left, and the node update after it, which the state has just passed.
    pub fn new(first: &Still<T>, state: &State<T>, update: &UpdateMaps<T>, maps: &Maps<T>) -> Self {
        let block = state.block;
        let (points, dims, width) = (block.points, block.dims, block.width);
        let zeros = |count: usize| vec![T::of(0.0); count];
        let mut differences = zeros(block.nodes() * block.directions());
        let mut here = zeros(block.nodes() * block.rows() * width);
        let twice = T::of(2.0 / points as f64);
        let edges = first
            .slopes
            .chunks_exact(width)
            .zip(first.difference.chunks_exact(dims));
        for (edge, (slope, u)) in edges.enumerate() {
            let (j, k) = (edge / points, edge % points);
            let rows = &mut here[j * block.rows() * width..(j + 1) * block.rows() * width];
            let (others, own) = rows.split_at_mut(points * width);
            add_scaled(&mut others[k * width..(k + 1) * width], -twice, slope);
            for (axis, own) in own.chunks_exact_mut(width).enumerate() {
                add_scaled(own, twice * u[axis], slope);
                differences[j * block.directions() + block.direction(axis, k)] = u[axis];
            }
        }
        let mut next = zeros(here.len());
        update.message.linear(&here, &mut next, width);
        let nodes = next.chunks_exact_mut(block.rows() * width);
        for (rows, slopes) in nodes.zip(state.slopes.chunks_exact(width)) {
            for row in rows.chunks_exact_mut(width) {
                scale(row, slopes);
            }
        }
        update.out.linear(&next, &mut here, width);
        let ends = [&maps.receiver, &maps.sender].map(|map| {
            let mut rows = zeros(here.len());
            map.linear(&here, &mut rows, width);
            rows
        });
        Self {
            differences,
            features: here,
            ends,
        }
    }
}

/// What the layer leaves for the way back.
pub(super) struct Between<T> {
    /// `u`, `[edges, dims]`.
    difference: Vec<T>,
    /// `v = 1/(d + 1)` and `z'`, by edge.
    inverse: Vec<T>,
    standard: Vec<T>,
    /// `ω`, and its derivative by `d²` with features held, `[edges, channels]`.
    weights: Vec<T>,
    falls: Vec<T>,
    /// `φ'` of the first two stages, `[edges, width]`.
    slopes: [Vec<T>; 2],
    /// `∂c/∂f` of each channel, `[channels, edges, width]`.
    gradients: Vec<T>,
}

at_level!(
    /// Passes the layer, up to its node update. The tangents of positions stay those before it.
    pub(super) fn layer(maps: &Maps<T>, standard: Option<[&[T]; 2]>, state: &mut State<T>) -> Between<T>,
    layer_body
);

#[inline(always)]
fn layer_body<T: Real, const FMA: bool>(
    maps: &Maps<T>,
    standard: Option<[&[T]; 2]>,
    state: &mut State<T>,
) -> Between<T> {
    let block = state.block;
    let (dims, width, channels) = (block.dims, block.width, maps.channels);
    let zeros = |count: usize| vec![T::of(0.0); count];
    let all = block.edges();
    let mut kept = Between {
        difference: zeros(all * dims),
        inverse: zeros(all),
        standard: zeros(all),
        weights: zeros(all * channels),
        falls: zeros(all * channels),
        slopes: [zeros(all * width), zeros(all * width)],
        gradients: zeros(channels * all * width),
    };
    let mut pulls = zeros(block.nodes() * channels * dims);
    let mut messages = std::mem::take(&mut state.messages);
    let ends = ends(maps, state);
    let mut pass = Pass::new(&inputs(maps, standard, state, &ends));
    while let Some(edges) = pass.advance() {
        for channel in 0..channels {
            let first = channel * all;
            let rows = (first + edges.start) * width..(first + edges.end) * width;
            pass.head_gradient(maps, channel, &mut kept.gradients[rows]);
        }
        let tile = &pass.tile;
        let copy = |to: &mut [T], from: &[T], each: usize| {
            to[edges.start * each..edges.end * each].copy_from_slice(&from[..edges.len() * each]);
        };
        let distance: &[T] = &maps.distance;
        let geometry = &tile.geometry;
        copy(&mut kept.difference, &geometry.difference, dims);
        copy(&mut kept.inverse, &geometry.inverse[0], 1);
        copy(&mut kept.standard, &geometry.standard[1], 1);
        for (to, stage) in kept.slopes.iter_mut().zip(&tile.stages) {
            copy(to, &stage.slope, width);
        }
        for (row, edge) in edges.enumerate() {
            let node = tile.edges[row].receiver;
            let message = &tile.stages[1].values[row * width..(row + 1) * width];
            add(&mut messages[node * width..(node + 1) * width], message);
            let u = &geometry.difference[row * dims..(row + 1) * dims];
            for channel in 0..channels {
                let head = tile.heads[row * channels + channel];
                let gradient = (channel * all + edge) * width;
                let along = dot(&kept.gradients[gradient..gradient + width], distance);
                let weight = head * geometry.inverse[0][row];
                let place = edge * channels + channel;
                kept.weights[place] = weight;
                kept.falls[place] = along * geometry.standard[1][row] * geometry.inverse[0][row]
                    + head * geometry.inverse[1][row];
                let pull = node * channels + channel;
                add_scaled(&mut pulls[pull * dims..(pull + 1) * dims], weight, u);
            }
        }
    }
    state.messages = messages;
    maps.spread(block.points, &pulls, &mut state.x, dims);
    kept
}

/// Adds this layer's part, and that of all before it, to each sample's trace.
pub(super) fn trace<T: Real>(
    maps: &Maps<T>,
    tangents: &Tangents<T>,
    layer: &Between<T>,
    state: &State<T>,
    back: &Back<T>,
    traces: &mut [f64],
) {
    let block = state.block;
    back.meet(&state.moved, traces);
    let own = own_factors(tangents, back, block);
    of_features(block, tangents, &own, back, traces);
    let pulls = unspread(block, maps, back);
    for channel in 0..maps.channels {
        of_heads(
            state,
            tangents,
            layer,
            &pulls,
            channel,
            maps.channels,
            traces,
        );
    }
    of_messages(maps, tangents, &own, layer, state, back, traces);
}

/// `Σ_a ρ_j^a τ_i^a` for each other point `k`, of two arrays by direction.
#[inline(always)]
fn over_axes<T: Real>(sums: &mut [T], a: &[T], b: &[T]) {
    let stride = sums.len();
    sums.fill(T::of(0.0));
    for (a, b) in a.chunks_exact(stride).zip(b.chunks_exact(stride)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += *a * *b;
        }
    }
}

/// `Σ_a ρ_j^a u_jk^a` for each point `j` and other point `k`, `[nodes, stride]`: how much of a point's own tangents its rows of cotangents meet.
fn own_factors<T: Real>(tangents: &Tangents<T>, back: &Back<T>, block: Block) -> Vec<T> {
    let mut factors = vec![T::of(0.0); block.nodes() * block.stride()];
    let nodes = factors.chunks_exact_mut(block.stride());
    let pulls = back.pulls.chunks_exact(block.directions());
    let moves = tangents.differences.chunks_exact(block.directions());
    for (sums, (pulls, moves)) in nodes.zip(pulls.zip(moves)) {
        over_axes(sums, pulls, moves);
    }
    factors
}

at_level!(
    /// What passes the layer by: features that its node update keeps.
    fn of_features(block: Block, tangents: &Tangents<T>, own: &[T], back: &Back<T>, traces: &mut [f64]),
    of_features_body
);

#[inline(always)]
fn of_features_body<T: Real, const FMA: bool>(
    block: Block,
    tangents: &Tangents<T>,
    own: &[T],
    back: &Back<T>,
    traces: &mut [f64],
) {
    let (points, width) = (block.points, block.width);
    let size = block.rows() * width;
    for (node, own) in own.chunks_exact(block.stride()).enumerate() {
        let rows = node * size..(node + 1) * size;
        let both = back.features[rows.clone()]
            .chunks_exact(width)
            .zip(tangents.features[rows].chunks_exact(width));
        for (row, (back, tangent)) in both.enumerate() {
            let factor = if row < points { own[row] } else { T::of(1.0) };
            traces[node / points] += (factor * dot(back, tangent)).wide();
        }
    }
}

/// Cotangents of points before they are spread, `[nodes, channels, dims, directions]`.
fn unspread<T: Real>(block: Block, maps: &Maps<T>, back: &Back<T>) -> Vec<T> {
    if maps.spread.is_empty() {
        return back.points.clone();
    }
    let (points, inner) = (block.points, block.points * maps.channels);
    let columns = block.dims * block.directions();
    let mut pulls = vec![T::of(0.0); block.samples * inner * columns];
    let samples = pulls.chunks_exact_mut(inner * columns);
    for (pulls, ends) in samples.zip(back.points.chunks_exact(points * columns)) {
        multiply(
            Target::new(pulls, columns),
            Old::Replaced,
            T::of(1.0),
            Matrix::new(&maps.spread, [points, inner], inner).transposed(),
            Matrix::new(ends, [points, columns], columns),
        );
    }
    pulls
}

at_level!(
    /// The displacements of one channel, `ω̇ u + ω u̇` with `ω̇ = ω' ṡ + v ċ` and `ċ = ∂c/∂f·(Ṙ_j + Ṡ_i)`.
    fn of_heads(state: &State<T>, tangents: &Tangents<T>, layer: &Between<T>, pulls: &[T], channel: usize, channels: usize, traces: &mut [f64]),
    of_heads_body
);

#[inline(always)]
fn of_heads_body<T: Real, const FMA: bool>(
    state: &State<T>,
    tangents: &Tangents<T>,
    layer: &Between<T>,
    pulls: &[T],
    channel: usize,
    channels: usize,
    traces: &mut [f64],
) {
    let block = state.block;
    let (points, dims, width) = (block.points, block.dims, block.width);
    let (stride, directions, rows) = (block.stride(), block.directions(), block.rows());
    let all = block.edges();
    let gradients = &layer.gradients[channel * all * width..(channel + 1) * all * width];
    let [by_receiver, by_sender] = met(block, gradients, &tangents.ends);
    let zeros = || vec![T::of(0.0); directions];
    let (mut along, mut stretch, mut sums) = (zeros(), zeros(), zeros());
    for node in 0..block.nodes() {
        let (sample, j) = (node / points, node % points);
        let size = dims * directions;
        let start = (node * channels + channel) * size;
        let pulls = &pulls[start..start + size];
        sums.fill(T::of(0.0));
        for i in 0..points {
            let (edge, sender) = (node * points + i, sample * points + i);
            if node == sender {
                // A point with itself pulls at nothing, in whatever way features move.
                continue;
            }
            let u = &layer.difference[edge * dims..(edge + 1) * dims];
            along.fill(T::of(0.0));
            for (pull, u) in pulls.chunks_exact(directions).zip(u) {
                add_scaled(&mut along, *u, pull);
            }
            State::stretch(&block, &state.moved, [node, sender], u, &mut stretch);
            let place = edge * channels + channel;
            let (weight, fall) = (layer.weights[place], layer.falls[place]);
            let of =
                |node: usize| state.moved[node * size..(node + 1) * size].chunks_exact(directions);
            for (pull, (own, other)) in pulls.chunks_exact(directions).zip(of(node).zip(of(sender)))
            {
                for ((sum, pull), (own, other)) in
                    sums.iter_mut().zip(pull).zip(own.iter().zip(other))
                {
                    *sum += weight * *pull * (*own - *other);
                }
            }
            let inverse = layer.inverse[edge];
            let receivers = &by_receiver[edge * rows..(edge + 1) * rows];
            let senders = &by_sender[edge * rows..(edge + 1) * rows];
            for axis in 0..dims {
                let places = axis * stride..axis * stride + points;
                let of = |node: usize| &tangents.differences[node * directions..][places.clone()];
                let ends = receivers
                    .iter()
                    .zip(of(node))
                    .zip(senders.iter().zip(of(sender)));
                let others = sums[places.clone()].iter_mut().zip(&along[places.clone()]);
                for (((sum, along), stretch), ((r, own), (s, other))) in
                    others.zip(&stretch[places.clone()]).zip(ends)
                {
                    *sum += *along * (fall * *stretch + inverse * (*r * *own + *s * *other));
                }
                let first = axis * stride;
                sums[first + j] += inverse * along[first + j] * receivers[points + axis];
                sums[first + i] += inverse * along[first + i] * senders[points + axis];
            }
        }
        traces[sample] += total(&sums);
    }
}

/// `g_ji·Ṙ_j` and `g_ji·Ṡ_i` for every edge and row of its end, `[edges, rows]` each.
fn met<T: Real>(block: Block, gradients: &[T], ends: &[Vec<T>; 2]) -> [Vec<T>; 2] {
    let (points, width, rows) = (block.points, block.width, block.rows());
    let mut products = [
        vec![T::of(0.0); block.edges() * rows],
        vec![T::of(0.0); block.edges() * rows],
    ];
    for node in 0..block.nodes() {
        // Edges of this receiver follow each other; those of this sender are a row of pairs apart.
        let by_sender = node / points * points * points + node % points;
        for (side, (first, apart)) in [(node * points, 1), (by_sender, points)]
            .into_iter()
            .enumerate()
        {
            let tangents = &ends[side][node * rows * width..(node + 1) * rows * width];
            multiply(
                Target::new(&mut products[side][first * rows..], apart * rows),
                Old::Replaced,
                T::of(1.0),
                Matrix::new(&gradients[first * width..], [points, width], apart * width),
                Matrix::new(tangents, [rows, width], width).transposed(),
            );
        }
    }
    products
}

/// Rows of features that go through a map at a time.
const ROWS: usize = 192;

at_level!(
    /// The messages: their cotangents by edge, `N + D` rows each, back to the first edge layer, where they meet `ḟ = Ṙ_j + Ṡ_i + w z' ṡ`.
    fn of_messages(maps: &Maps<T>, tangents: &Tangents<T>, own: &[T], layer: &Between<T>, state: &State<T>, back: &Back<T>, traces: &mut [f64]),
    of_messages_body
);

#[inline(always)]
fn of_messages_body<T: Real, const FMA: bool>(
    maps: &Maps<T>,
    tangents: &Tangents<T>,
    own: &[T],
    layer: &Between<T>,
    state: &State<T>,
    back: &Back<T>,
    traces: &mut [f64],
) {
    let block = state.block;
    let (points, width, rows) = (block.points, block.width, block.rows());
    let size = rows * width;
    let most = ROWS.div_ceil(rows);
    let zeros = |count: usize| vec![T::of(0.0); count];
    let (mut here, mut next) = (zeros(most * size), zeros(most * size));
    let mut meeting = Meeting::new(block);
    let distance: &[T] = &maps.distance;
    for first in (0..block.edges()).step_by(most) {
        let edges = first..(first + most).min(block.edges());
        for (target, edge) in here.chunks_exact_mut(size).zip(edges.clone()) {
            let node = edge / points;
            let slopes = &layer.slopes[1][edge * width..(edge + 1) * width];
            let messages = back.messages[node * size..(node + 1) * size].chunks_exact(width);
            for (target, message) in target.chunks_exact_mut(width).zip(messages) {
                for ((target, message), slope) in target.iter_mut().zip(message).zip(slopes) {
                    *target = *message * *slope;
                }
            }
        }
        let used = edges.len() * size;
        let (here, next) = (&here[..used], &mut next[..used]);
        maps.message.back(here, next, width);
        for (rows, edge) in next.chunks_exact(size).zip(edges) {
            let own = &own[edge / points * block.stride()..][..points];
            let given = (tangents, own, layer, state, back);
            let found = meeting.of(edge, rows, distance, given);
            traces[edge / points / points] += found.wide();
        }
    }
}

/// What one edge's cotangents meet.
struct Meeting<T> {
    block: Block,
    stretch: Vec<T>,
    /// How much of `w z'` and `Ṡ_i` the row of each other point meets.
    factors: [Vec<T>; 2],
    /// The sum over rows, before the first activation.
    sums: Vec<T>,
}

impl<T: Real> Meeting<T> {
    fn new(block: Block) -> Self {
        let factors = || vec![T::of(0.0); block.stride()];
        Self {
            block,
            stretch: vec![T::of(0.0); block.directions()],
            factors: [factors(), factors()],
            sums: vec![T::of(0.0); block.width],
        }
    }

    #[inline(always)]
    fn of(
        &mut self,
        edge: usize,
        rows: &[T],
        distance: &[T],
        (tangents, by_receiver, layer, state, back): Given<T>,
    ) -> T {
        let block = self.block;
        let (points, dims, width) = (block.points, block.dims, block.width);
        let (stride, directions) = (block.stride(), block.directions());
        let node = edge / points;
        let (i, j) = (edge % points, node % points);
        let sender = node - j + i;
        let u = &layer.difference[edge * dims..(edge + 1) * dims];
        State::stretch(&block, &state.moved, [node, sender], u, &mut self.stretch);
        let of = |node: usize| node * directions..(node + 1) * directions;
        let (pulls, moves) = (&back.pulls[of(node)], &tangents.differences[of(sender)]);
        let [by_square, by_sender] = &mut self.factors;
        over_axes(by_square, pulls, &self.stretch);
        over_axes(by_sender, pulls, moves);
        let row = |side: usize, node: usize, row: usize| {
            let place = (node * block.rows() + row) * width;
            &tangents.ends[side][place..place + width]
        };
        let standard = layer.standard[edge];
        self.sums.fill(T::of(0.0));
        for (k, cotangent) in rows.chunks_exact(width).take(points).enumerate() {
            let factors = [by_square[k] * standard, by_sender[k], by_receiver[k]];
            let vectors = [distance, row(1, sender, k), row(0, node, k)];
            meet(&mut self.sums, cotangent, factors, vectors);
        }
        // The sender's own axes, along which the receiver's features move as well.
        for axis in 0..dims {
            let cotangent = &rows[i * width..(i + 1) * width];
            let own = row(1, sender, points + axis);
            meet_one(&mut self.sums, cotangent, pulls[axis * stride + i], own);
        }
        // The receiver's own.
        for (axis, cotangent) in rows[points * width..].chunks_exact(width).enumerate() {
            let place = axis * stride + j;
            let factors = [self.stretch[place] * standard, moves[place], T::of(1.0)];
            let vectors = [distance, row(1, sender, j), row(0, node, points + axis)];
            meet(&mut self.sums, cotangent, factors, vectors);
            if i == j {
                let own = row(1, sender, points + axis);
                meet_one(&mut self.sums, cotangent, T::of(1.0), own);
            }
        }
        let slopes = &layer.slopes[0][edge * width..(edge + 1) * width];
        dot(&self.sums, slopes)
    }
}

/// What an edge is given: tangents, how much of the receiver's own its rows meet, the layer, positions and cotangents.
type Given<'a, T> = (
    &'a Tangents<T>,
    &'a [T],
    &'a Between<T>,
    &'a State<T>,
    &'a Back<T>,
);

/// `y += α q a`, elementwise.
#[inline(always)]
fn meet_one<T: Real>(sums: &mut [T], q: &[T], alpha: T, a: &[T]) {
    for ((sum, q), a) in sums.iter_mut().zip(q).zip(a) {
        *sum += *q * (alpha * *a);
    }
}

/// `y += q (α a + β b + γ c)`, elementwise.
#[inline(always)]
fn meet<T: Real>(sums: &mut [T], q: &[T], [alpha, beta, gamma]: [T; 3], [a, b, c]: [&[T]; 3]) {
    let vectors = a.iter().zip(b).zip(c);
    for ((sum, q), ((a, b), c)) in sums.iter_mut().zip(q).zip(vectors) {
        *sum += *q * (alpha * *a + beta * *b + gamma * *c);
    }
}
