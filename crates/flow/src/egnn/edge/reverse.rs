//! Gradients of everything a step is made of, also through the derivatives along directions.

use super::stage::{Order, Stage};
use super::tile::{Tile, add, add_scaled, dot, evaluate};
use super::walk::{Halves, Walk};
use super::{Inputs, Messages, Sizes, zero};
use crate::matrix::{Matrix, Old, Target, multiply};
use crate::simd::{Kernel, Real, run};

/// Gradients, each of the shape of what it is of; see [`Inputs`].
pub(super) struct Gradients<T> {
    pub x: Vec<T>,
    pub ends: [Vec<T>; 2],
    pub pairs: Vec<T>,
    pub moved: Vec<T>,
    pub moved_ends: [Vec<T>; 2],
    pub distance: Vec<T>,
    pub message: Vec<T>,
    pub message_bias: Vec<T>,
    pub coordinate: Vec<T>,
    pub coordinate_bias: Vec<T>,
    /// `[channels, width]` on the way, `[width, channels]` at the end.
    pub weight: Vec<T>,
}

/// From the gradient of the result of [`super::forward::forward`].
pub(super) fn reverse<T: Real>(inputs: &Inputs<T>, gradient: &[T]) -> Gradients<T> {
    let like = |of: &[T]| vec![zero(); of.len()];
    let weights = &inputs.weights;
    let mut found = Gradients {
        x: like(inputs.x),
        ends: inputs.ends.map(like),
        pairs: like(inputs.pairs),
        moved: like(inputs.moved),
        moved_ends: inputs.moved_ends.map(like),
        distance: like(weights.distance),
        message: like(weights.message),
        message_bias: like(weights.message_bias),
        coordinate: like(weights.coordinate),
        coordinate_bias: like(weights.coordinate_bias),
        weight: like(weights.weight),
    };
    run(Reverse {
        inputs,
        gradient,
        found: &mut found,
    });
    let (width, channels) = (inputs.sizes.width, inputs.sizes.channels);
    let by_width = |k: usize| found.weight[(k % channels) * width + k / channels];
    found.weight = (0..width * channels).map(by_width).collect();
    found
}

struct Reverse<'a, T> {
    inputs: &'a Inputs<'a, T>,
    gradient: &'a [T],
    found: &'a mut Gradients<T>,
}

/// Gradients of what a tile holds.
struct Bars<T> {
    /// Of `u` and of every `u̇`, `[1 + directions, rows, dims]`.
    difference: Vec<T>,
    /// Of `s` and of every `ṡ`, `[1 + directions, rows]`.
    square: Vec<T>,
    /// Of `c` and of every `ċ`, `[1 + directions, rows, channels]`.
    heads: Vec<T>,
    /// Of rows of features.
    here: Vec<T>,
    next: Vec<T>,
}

impl<T: Real> Kernel for Reverse<'_, T> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self {
            inputs,
            gradient,
            found,
        } = self;
        let sizes = &inputs.sizes;
        let order = match sizes.directions {
            0 => Order::Slope,
            _ => Order::Curvature,
        };
        let mut tile = Tile::new(inputs, order);
        let size = (1 + sizes.directions) * tile.most;
        let mut bars = Bars {
            difference: vec![zero(); size * sizes.dims],
            square: vec![zero(); size],
            heads: vec![zero(); size * sizes.channels],
            here: vec![zero(); size * sizes.width],
            next: vec![zero(); size * sizes.width],
        };
        let mut walk = Walk::new(inputs, Halves::Left);
        while tile.fill(&mut walk) {
            evaluate(&mut tile, inputs);
            of_displacements(&tile, sizes, gradient, &mut bars);
            through_layers(&tile, inputs, gradient, (&mut bars, found));
            of_first_layer(&tile, inputs, &mut bars, found);
            of_positions(&tile, sizes, &bars, found);
        }
    }
}

/// What a point's displacements say of one edge: the gradient of `Y_i^c`, or of `Ẏ_i^c`.
#[inline(always)]
fn of_pull<'a, T>(
    sizes: &Sizes,
    gradient: &'a [T],
    (group, receiver, channel): (usize, usize, usize),
) -> &'a [T] {
    let node = group * sizes.nodes() + receiver;
    let start = sizes.received() + (node * sizes.channels + channel) * sizes.dims;
    &gradient[start..start + sizes.dims]
}

/// From `Y = ω u` and `Ẏ = ω̇ u + ω u̇`, with `ω = c v(s)` and `ω̇ = ċ v + c v' ṡ`.
#[inline(always)]
fn of_displacements<T: Real>(tile: &Tile<T>, sizes: &Sizes, gradient: &[T], bars: &mut Bars<T>) {
    let (dims, channels) = (sizes.dims, sizes.channels);
    let [value, slope, curvature] = &tile.geometry.inverse;
    let rows = tile.edges.len();
    let used = (1 + sizes.directions) * rows;
    bars.difference[..used * dims].fill(zero());
    bars.square[..used].fill(zero());
    for (row, edge) in tile.edges.iter().enumerate() {
        let u = &tile.geometry.difference[row * dims..(row + 1) * dims];
        let mut of_square = zero::<T>();
        for channel in 0..channels {
            let head = tile.heads[row * channels + channel];
            let weight = head * value[row];
            let pull = of_pull(sizes, gradient, (0, edge.receiver, channel));
            let mut of_weight = dot(pull, u);
            let mut of_head = zero::<T>();
            add_scaled(
                &mut bars.difference[row * dims..(row + 1) * dims],
                weight,
                pull,
            );
            for direction in 0..sizes.directions {
                let (group, place) = (direction + 1, direction * rows + row);
                let pull = of_pull(sizes, gradient, (group, edge.receiver, channel));
                let moved = &tile.moved[place * dims..(place + 1) * dims];
                let tangent = tile.heads[(place + rows) * channels + channel];
                let stretch = tile.stretch[place];
                let of_change = dot(pull, u);
                of_weight += dot(pull, moved);
                of_head += of_change * slope[row] * stretch;
                of_square += of_change * (tangent * slope[row] + head * curvature[row] * stretch);
                bars.square[place + rows] += of_change * head * slope[row];
                bars.heads[(place + rows) * channels + channel] = of_change * value[row];
                let change = tangent * value[row] + head * slope[row] * stretch;
                add_scaled(
                    &mut bars.difference[row * dims..(row + 1) * dims],
                    change,
                    pull,
                );
                let own = (place + rows) * dims;
                add_scaled(&mut bars.difference[own..own + dims], weight, pull);
            }
            bars.heads[row * channels + channel] = of_weight * value[row] + of_head;
            of_square += of_weight * head * slope[row];
        }
        bars.square[row] = of_square;
    }
}

/// From the heads back to `f` and `ḟ`, whose gradients are left in `bars.here`.
#[inline(always)]
fn through_layers<T: Real>(
    tile: &Tile<T>,
    inputs: &Inputs<T>,
    gradient: &[T],
    (bars, found): (&mut Bars<T>, &mut Gradients<T>),
) {
    let sizes = &inputs.sizes;
    let (width, rows) = (sizes.width, tile.edges.len());
    let used = (1 + sizes.directions) * rows;
    let [one, two, three] = &tile.stages;
    let rows_of = |place: usize| place * width..(place + 1) * width;
    for place in 0..used {
        let heads = &bars.heads[place * sizes.channels..(place + 1) * sizes.channels];
        let here = &mut bars.here[place * width..(place + 1) * width];
        here.fill(zero());
        let hidden = &three.values[rows_of(place)];
        let weights = tile.weight.chunks_exact(width);
        let targets = found.weight.chunks_exact_mut(width);
        for ((head, weight), target) in heads.iter().zip(weights).zip(targets) {
            add_scaled(here, *head, weight);
            add_scaled(target, *head, hidden);
        }
    }
    let back = |stage: &Stage<T>, before: &Stage<T>, bars: &mut Bars<T>, maps: Maps<T>| {
        let here = &mut bars.here[..used * width];
        stage.pull(here, rows);
        for row in here.chunks_exact(width).take(rows) {
            add(maps.bias, row);
        }
        let here = Matrix::new(&bars.here, [used, width], width);
        let before = Matrix::new(&before.values, [used, width], width);
        let one = T::of(1.0);
        let target = Target::new(&mut *maps.target, width);
        multiply(target, Old::Kept, one, before.transposed(), here);
        let target = Target::new(&mut bars.next, width);
        let map = Matrix::square(maps.map, width).transposed();
        multiply(target, Old::Replaced, one, here, map);
        std::mem::swap(&mut bars.here, &mut bars.next);
    };
    let weights = &inputs.weights;
    let maps = Maps {
        map: weights.coordinate,
        target: &mut found.coordinate,
        bias: &mut found.coordinate_bias,
    };
    back(three, two, bars, maps);
    if sizes.messages == Messages::Wanted {
        for (place, here) in bars.here.chunks_exact_mut(width).enumerate().take(used) {
            let edge = &tile.edges[place % rows];
            let node = place / rows * sizes.nodes() + edge.receiver;
            add(here, &gradient[node * width..(node + 1) * width]);
        }
    }
    let maps = Maps {
        map: weights.message,
        target: &mut found.message,
        bias: &mut found.message_bias,
    };
    back(two, one, bars, maps);
    one.pull(&mut bars.here[..used * width], rows);
}

/// A map of features, and where its gradient goes.
struct Maps<'a, T> {
    map: &'a [T],
    target: &'a mut [T],
    bias: &'a mut [T],
}

/// From `f = R_i + S_j + P_ij + w z` and `ḟ = Ṙ_i + Ṡ_j + w z' ṡ`.
#[inline(always)]
fn of_first_layer<T: Real>(
    tile: &Tile<T>,
    inputs: &Inputs<T>,
    bars: &mut Bars<T>,
    found: &mut Gradients<T>,
) {
    let sizes = &inputs.sizes;
    let (width, rows) = (sizes.width, tile.edges.len());
    let [z, slope, curvature] = &tile.geometry.standard;
    let distance = inputs.weights.distance;
    let used = (1 + sizes.directions) * rows;
    let row_of = |index: usize| index * width..(index + 1) * width;
    for (place, here) in bars.here.chunks_exact(width).enumerate().take(used) {
        let (group, row) = (place / rows, place % rows);
        let edge = &tile.edges[row];
        let along = dot(here, distance);
        if group == 0 {
            add_scaled(&mut found.distance, z[row], here);
            bars.square[row] += along * slope[row];
            let [receivers, senders] = &mut found.ends;
            add(&mut receivers[row_of(edge.receiver)], here);
            add(&mut senders[row_of(edge.sender)], here);
            if !found.pairs.is_empty() {
                add(&mut found.pairs[row_of(edge.pair)], here);
            }
            continue;
        }
        let stretch = tile.stretch[place - rows];
        add_scaled(&mut found.distance, slope[row] * stretch, here);
        bars.square[row] += along * curvature[row] * stretch;
        bars.square[place] += along * slope[row];
        let [receivers, senders] = &mut found.moved_ends;
        if !receivers.is_empty() {
            let nodes = (group - 1) * sizes.nodes();
            add(&mut receivers[row_of(nodes + edge.receiver)], here);
            add(&mut senders[row_of(nodes + edge.sender)], here);
        }
    }
}

/// From `s = |u|²`, `ṡ = 2 u·u̇`, `u = x_i − x_j` and `u̇ = ẋ_i − ẋ_j`.
#[inline(always)]
fn of_positions<T: Real>(tile: &Tile<T>, sizes: &Sizes, bars: &Bars<T>, found: &mut Gradients<T>) {
    let (dims, rows) = (sizes.dims, tile.edges.len());
    let twice = |x: T| x + x;
    for (row, edge) in tile.edges.iter().enumerate() {
        for axis in 0..dims {
            let u = tile.geometry.difference[row * dims + axis];
            let mut of_u = bars.difference[row * dims + axis] + twice(bars.square[row] * u);
            for direction in 0..sizes.directions {
                let place = direction * rows + row;
                let of_stretch = bars.square[place + rows];
                of_u += twice(of_stretch * tile.moved[place * dims + axis]);
                let of_moved =
                    bars.difference[(place + rows) * dims + axis] + twice(of_stretch * u);
                let nodes = direction * sizes.nodes();
                found.moved[(nodes + edge.receiver) * dims + axis] += of_moved;
                let sender = &mut found.moved[(nodes + edge.sender) * dims + axis];
                *sender = *sender - of_moved;
            }
            found.x[edge.receiver * dims + axis] += of_u;
            let sender = &mut found.x[edge.sender * dims + axis];
            *sender = *sender - of_u;
        }
    }
}
