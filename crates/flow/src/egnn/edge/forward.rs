//! Values, and derivatives along directions.

use super::stage::Order;
use super::tile::{Tile, add, add_scaled, evaluate};
use super::{Inputs, Sizes, tile_rows, zero};
use crate::simd::{Kernel, Real, run};

/// `M` and `Y` of every point, then `Ṁ` and `Ẏ` along each direction, `[1 + directions, batch, N, columns]`.
pub(super) fn forward<T: Real>(inputs: &Inputs<T>) -> Vec<T> {
    let sizes = inputs.sizes;
    let count = (1 + sizes.directions) * sizes.nodes() * sizes.columns();
    let mut found = vec![zero(); count];
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
        let most = tile_rows(sizes, 1 + sizes.directions);
        let mut tile = Tile::new(inputs, most, order);
        let edges = sizes.edges();
        for first in (0..edges).step_by(most) {
            let rows = most.min(edges - first);
            evaluate(&mut tile, inputs, first, rows);
            gather(&tile, sizes, (first, rows), found);
        }
    }
}

/// Adds what the edges of a tile send to their receivers.
#[inline(always)]
fn gather<T: Real>(tile: &Tile<T>, sizes: &Sizes, (first, rows): (usize, usize), found: &mut [T]) {
    let (dims, width, channels) = (sizes.dims, sizes.width, sizes.channels);
    let (columns, messages) = (sizes.columns(), sizes.message_columns());
    let [inverse, slope, _] = &tile.geometry.inverse;
    for group in 0..=sizes.directions {
        for row in 0..rows {
            let (edge, place) = (sizes.edge(first + row), group * rows + row);
            let node = group * sizes.nodes() + edge.receiver;
            let target = &mut found[node * columns..(node + 1) * columns];
            let (received, pulled) = target.split_at_mut(messages);
            if messages > 0 {
                let message = &tile.stages[1].values[place * width..(place + 1) * width];
                add(received, message);
            }
            let u = &tile.geometry.difference[row * dims..(row + 1) * dims];
            for (channel, pulled) in pulled.chunks_exact_mut(dims).enumerate() {
                let head = tile.heads[row * channels + channel];
                if group == 0 {
                    add_scaled(pulled, head * inverse[row], u);
                    continue;
                }
                let moved = place - rows;
                let along = tile.heads[place * channels + channel] * inverse[row]
                    + head * slope[row] * tile.stretch[moved];
                add_scaled(pulled, along, u);
                let moved = &tile.moved[moved * dims..(moved + 1) * dims];
                add_scaled(pulled, head * inverse[row], moved);
            }
        }
    }
}
