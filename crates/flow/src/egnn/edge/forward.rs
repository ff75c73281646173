//! Values, and derivatives along directions.

use super::stage::Order;
use super::tile::{Tile, add, add_scaled, evaluate};
use super::walk::{Halves, Reach, Walk};
use super::{Inputs, Sizes, zero};
use crate::simd::{Kernel, Real, run};

/// `M` and `Ṁ` of every point along each direction, `[1 + directions, batch, N, width]`, where messages are wanted, then `Y` and `Ẏ`,
/// `[1 + directions, batch, N, channels, dims]`.
pub(in crate::egnn) fn forward<T: Real>(inputs: &Inputs<T>) -> Vec<T> {
    let sizes = inputs.sizes;
    let mut found = vec![zero(); sizes.received() + sizes.pulled()];
    run(Forward {
        inputs,
        found: &mut found,
    });
    found
}

struct Forward<'a, T> {
    inputs: &'a Inputs<'a, T>,
    found: &'a mut [T],
}

impl<T: Real> Kernel for Forward<'_, T> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self { inputs, found } = self;
        let sizes = &inputs.sizes;
        let order = match sizes.directions {
            0 => Order::Value,
            _ => Order::Slope,
        };
        let mut tile = Tile::new(inputs, order);
        let mut walk = Walk::new(inputs, Halves::Taken);
        while tile.fill(&mut walk) {
            evaluate(&mut tile, inputs);
            gather(&tile, sizes, found);
        }
    }
}

/// Adds what the edges of a tile send to their receivers, mutual ones to both ends.
#[inline(always)]
fn gather<T: Real>(tile: &Tile<T>, sizes: &Sizes, found: &mut [T]) {
    let (received, pulled) = found.split_at_mut(sizes.received());
    if !received.is_empty() {
        messages(tile, sizes, received);
    }
    displacements(tile, sizes, pulled);
}

/// `m` of each edge, and `ṁ`.
#[inline(always)]
fn messages<T: Real>(tile: &Tile<T>, sizes: &Sizes, received: &mut [T]) {
    let width = sizes.width;
    let groups = received.chunks_exact_mut(sizes.nodes() * width);
    let rows = tile.stages[1].values.chunks_exact(tile.edges.len() * width);
    for (received, rows) in groups.zip(rows) {
        let mut first = 0;
        for edges in tile.edges.chunk_by(|a, b| a.receiver == b.receiver) {
            let rows = &rows[first * width..(first + edges.len()) * width];
            let receiver = edges[0].receiver;
            add_rows(
                &mut received[receiver * width..(receiver + 1) * width],
                rows,
            );
            for (edge, row) in edges.iter().zip(rows.chunks_exact(width)) {
                let others = match edge.reach {
                    Reach::Own => 0..0,
                    Reach::Both => edge.sender..edge.sender + 1,
                    Reach::Every => receiver + 1..receiver + sizes.points,
                };
                for node in others {
                    add(&mut received[node * width..(node + 1) * width], row);
                }
            }
            first += edges.len();
        }
    }
}

/// Numbers that are summed side by side.
const LANES: usize = 32;

/// Adds each of some rows, in registers.
#[inline(always)]
fn add_rows<T: Real>(target: &mut [T], rows: &[T]) {
    let width = target.len();
    let (blocks, rest) = target.as_chunks_mut::<LANES>();
    let first = blocks.len() * LANES;
    for (k, block) in blocks.iter_mut().enumerate() {
        let mut sums = *block;
        for row in rows.chunks_exact(width) {
            add(&mut sums, &row[k * LANES..(k + 1) * LANES]);
        }
        *block = sums;
    }
    for row in rows.chunks_exact(width) {
        add(rest, &row[first..]);
    }
}

/// `ω u` of each edge, and `ω̇ u + ω u̇`.
#[inline(always)]
fn displacements<T: Real>(tile: &Tile<T>, sizes: &Sizes, pulled: &mut [T]) {
    let (dims, channels, rows) = (sizes.dims, sizes.channels, tile.edges.len());
    let [inverse, slope, _] = &tile.geometry.inverse;
    for (row, edge) in tile.edges.iter().enumerate() {
        let u = &tile.geometry.difference[row * dims..(row + 1) * dims];
        for channel in 0..channels {
            let place = |node: usize| (node * channels + channel) * dims;
            let head = tile.heads[row * channels + channel];
            let (weight, start) = (head * inverse[row], place(edge.receiver));
            add_scaled(&mut pulled[start..start + dims], weight, u);
            if edge.reach == Reach::Both {
                let start = place(edge.sender);
                add_scaled(&mut pulled[start..start + dims], -weight, u);
            }
            for direction in 0..sizes.directions {
                let moved = direction * rows + row;
                let tangent = tile.heads[(moved + rows) * channels + channel];
                let along = tangent * inverse[row] + head * slope[row] * tile.stretch[moved];
                let start = place((direction + 1) * sizes.nodes() + edge.receiver);
                let target = &mut pulled[start..start + dims];
                add_scaled(target, along, u);
                add_scaled(
                    target,
                    weight,
                    &tile.moved[moved * dims..(moved + 1) * dims],
                );
            }
        }
    }
}
