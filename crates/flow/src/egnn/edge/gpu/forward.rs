//! Values, and derivatives along directions: a cube for every receiver.

use cubecl::prelude::*;

use super::tile::{Geometry, Inputs, Place, column, edge, heads, product, silu, slope};
use super::tiling::Tiling;

/// What a cube keeps of a tile.
#[derive(CubeType)]
struct Tile {
    place: Place,
    geometry: Geometry,
    /// Rows of a layer, and of the next.
    here: Shared<[f32]>,
    next: Shared<[f32]>,
    /// `φ'` of the three layers.
    slopes: Shared<[f32]>,
    /// `c`, and `ċ` along one direction.
    heads: Shared<[f32]>,
    rates: Shared<[f32]>,
}

#[cube]
impl Tile {
    fn new(inputs: &Inputs, #[comptime] tiling: Tiling) -> Tile {
        let (size, all) = comptime!((tiling.size(), tiling.edges * tiling.channels));
        Tile {
            place: Place::new(inputs),
            geometry: Geometry::new(tiling),
            here: Shared::new_slice(size),
            next: Shared::new_slice(size),
            slopes: Shared::new_slice(comptime!(tiling.along(3 * size))),
            heads: Shared::new_slice(all),
            rates: Shared::new_slice(comptime!(tiling.along(all))),
        }
    }
}

/// `M` and `Y` of every point, then `Ṁ` and `Ẏ` along each direction, `[1 + directions, batch, N, columns]`.
#[cube(launch_unchecked)]
pub(super) fn forward(inputs: &Inputs, found: &mut [f32], #[comptime] tiling: Tiling) {
    let mut tile = Tile::new(inputs, tiling);
    while tile.place.first < inputs.points {
        tile.geometry.fill(inputs, &tile.place, tiling);
        sync_cube();
        value(inputs, &mut tile, tiling);
        gather(&tile, found, tiling);
        sync_cube();
        if comptime!(tiling.has_directions()) {
            for direction in 0..inputs.directions {
                tile.geometry
                    .move_along(inputs, &tile.place, direction, tiling);
                sync_cube();
                tangent(inputs, &mut tile, direction, tiling);
                gather_along(&tile, found, direction, tiling);
                sync_cube();
            }
        }
        tile.place.first += comptime!(tiling.edges);
    }
}

/// Through all maps: `m` is left in `next`.
#[cube]
fn value(inputs: &Inputs, tile: &mut Tile, #[comptime] tiling: Tiling) {
    let (width, own, size) = comptime!((tiling.width, tiling.own(), tiling.size()));
    for number in 0..own {
        let at = edge(number, tiling) * width + column(number, tiling);
        let p = tile.geometry.first(inputs, &tile.place, number, tiling);
        tile.here[at] = silu(p);
        if comptime!(tiling.has_directions()) {
            tile.slopes[at] = slope(p);
        }
    }
    sync_cube();
    product(&tile.here, &inputs.message, &mut tile.next, tiling);
    for number in 0..own {
        let column = column(number, tiling);
        let at = edge(number, tiling) * width + column;
        let p = tile.next[at] + inputs.message_bias[column];
        tile.next[at] = silu(p);
        if comptime!(tiling.has_directions()) {
            tile.slopes[size + at] = slope(p);
        }
    }
    sync_cube();
    product(&tile.next, &inputs.coordinate, &mut tile.here, tiling);
    for number in 0..own {
        let column = column(number, tiling);
        let at = edge(number, tiling) * width + column;
        let p = tile.here[at] + inputs.coordinate_bias[column];
        tile.here[at] = silu(p);
        if comptime!(tiling.has_directions()) {
            tile.slopes[2 * size + at] = slope(p);
        }
    }
    sync_cube();
    heads(&tile.here, &inputs.weight, &mut tile.heads, tiling);
    sync_cube();
}

/// The same along one direction: `ṁ` is left in `next`.
#[cube]
fn tangent(inputs: &Inputs, tile: &mut Tile, direction: usize, #[comptime] tiling: Tiling) {
    let (width, own, size) = comptime!((tiling.width, tiling.own(), tiling.size()));
    for number in 0..own {
        let at = edge(number, tiling) * width + column(number, tiling);
        let p = tile
            .geometry
            .first_along(inputs, &tile.place, number, direction, tiling);
        tile.here[at] = p * tile.slopes[at];
    }
    sync_cube();
    product(&tile.here, &inputs.message, &mut tile.next, tiling);
    for number in 0..own {
        let at = edge(number, tiling) * width + column(number, tiling);
        tile.next[at] *= tile.slopes[size + at];
    }
    sync_cube();
    product(&tile.next, &inputs.coordinate, &mut tile.here, tiling);
    for number in 0..own {
        let at = edge(number, tiling) * width + column(number, tiling);
        tile.here[at] *= tile.slopes[2 * size + at];
    }
    sync_cube();
    heads(&tile.here, &inputs.weight, &mut tile.rates, tiling);
    sync_cube();
}

/// Adds a tile's messages and displacements to those of the receiver; the first tile's are the first.
#[cube]
fn gather(tile: &Tile, found: &mut [f32], #[comptime] tiling: Tiling) {
    let (dims, channels) = comptime!((tiling.dims, tiling.channels));
    let (rows, node) = (tile.place.rows(tiling.edges), tile.place.node());
    gather_messages(tile, found, node, tiling);
    let start = tile.place.displacements(node, tiling);
    let mut column = UNIT_POS as usize;
    while column < comptime!(tiling.displacement()) {
        let (channel, axis) = (column / dims, column % dims);
        let mut sum = before(tile, &*found, start + column);
        for edge in 0..rows {
            sum += tile.heads[edge * channels + channel]
                * tile.geometry.inverse[edge]
                * tile.geometry.difference[edge * dims + axis];
        }
        found[start + column] = sum;
        column += CUBE_DIM as usize;
    }
}

/// The same along one direction.
#[cube]
fn gather_along(tile: &Tile, found: &mut [f32], direction: usize, #[comptime] tiling: Tiling) {
    let (dims, channels) = comptime!((tiling.dims, tiling.channels));
    let rows = tile.place.rows(tiling.edges);
    let node = tile.place.start(direction + 1) + tile.place.node();
    gather_messages(tile, found, node, tiling);
    let start = tile.place.displacements(node, tiling);
    let mut column = UNIT_POS as usize;
    while column < comptime!(tiling.displacement()) {
        let (channel, axis) = (column / dims, column % dims);
        let mut sum = before(tile, &*found, start + column);
        for edge in 0..rows {
            let head = tile.heads[edge * channels + channel];
            let value = tile.geometry.inverse[edge];
            let change = tile.rates[edge * channels + channel] * value
                + head
                    * tile.geometry.inverse[comptime!(tiling.edges) + edge]
                    * tile.geometry.stretch[edge];
            sum += change * tile.geometry.difference[edge * dims + axis]
                + head * value * tile.geometry.moved[edge * dims + axis];
        }
        found[start + column] = sum;
        column += CUBE_DIM as usize;
    }
}

/// Adds `Σ_e m_e` of a tile, or `Σ_e ṁ_e`, to the message that a point receives, where it is wanted.
#[cube]
fn gather_messages(tile: &Tile, found: &mut [f32], node: usize, #[comptime] tiling: Tiling) {
    let messages = comptime!(tiling.message());
    let rows = tile.place.rows(tiling.edges);
    let mut column = UNIT_POS as usize;
    while column < messages {
        let mut sum = before(tile, &*found, node * messages + column);
        for edge in 0..rows {
            sum += tile.next[edge * comptime!(tiling.width) + column];
        }
        found[node * messages + column] = sum;
        column += CUBE_DIM as usize;
    }
}

/// What the tiles before have added up.
#[cube]
fn before(tile: &Tile, found: &[f32], target: usize) -> f32 {
    let mut sum = 0.0f32;
    if tile.place.first > 0 {
        sum = found[target];
    }
    sum
}
