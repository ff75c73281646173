//! From the gradients of what edges see to those of the points at their ends.

use cubecl::prelude::*;

use super::super::tile::{Inputs, Place, column, edge};
use super::super::tiling::Tiling;
use super::{Bars, Tile};

/// From what is left in `here`, the gradient of `f` or of `ḟ`, and from those of differences and of squared distances.
#[cube]
pub(super) fn of_ends(
    inputs: &Inputs,
    bars: &mut Bars,
    tile: &mut Tile,
    group: usize,
    #[comptime] tiling: Tiling,
) {
    if comptime!(tiling.has_directions()) {
        if group > 0 {
            of_first_along(inputs, bars, tile, group - 1, tiling);
            of_moved(bars, tile, group - 1, tiling);
        } else {
            of_first(inputs, bars, tile, tiling);
            of_positions(bars, tile, tiling);
        }
    } else {
        of_first(inputs, bars, tile, tiling);
        of_positions(bars, tile, tiling);
    }
}

/// From `f = R_i + S_j + P_ij + w z`.
#[cube]
fn of_first(inputs: &Inputs, bars: &mut Bars, tile: &mut Tile, #[comptime] tiling: Tiling) {
    let (width, own, edges) = comptime!((tiling.width, tiling.own(), tiling.edges));
    let ends = tile.place.start(1) * comptime!(tiling.dims);
    let part = part(&tile.place, tiling);
    for number in 0..own {
        let (edge, column) = (edge(number, tiling), column(number, tiling));
        if edge < tile.place.rows(edges) {
            let sender = tile.place.sender(edge);
            let of_f = tile.here[edge * width + column];
            let node = tile.place.sample * tile.place.points + sender;
            bars.senders[part + ends + node * width + column] += of_f;
            if comptime!(tiling.has_pairs) {
                let stripe = CUBE_POS_Y as usize * tile.place.points;
                let pair = (stripe + tile.place.receiver) * tile.place.points + sender;
                bars.pairs[pair * width + column] += of_f;
            }
        }
    }
    let mut column = UNIT_POS as usize;
    while column < width {
        let mut sum = 0.0f32;
        let mut of_distance = 0.0f32;
        for edge in 0..edges {
            let of_f = tile.here[edge * width + column];
            sum += of_f;
            of_distance += of_f * tile.geometry.standard[edge];
        }
        bars.receivers[ends + tile.place.node() * width + column] += sum;
        add_distance(bars, of_distance, column, tiling);
        column += CUBE_DIM as usize;
    }
    let edge = UNIT_POS as usize;
    if edge < edges {
        let along = along_distance(inputs, &*tile, edge, tiling);
        tile.of_square[edge] += along * tile.geometry.standard[edges + edge];
    }
}

/// From `ḟ = Ṙ_i + Ṡ_j + w z' ṡ`.
#[cube]
fn of_first_along(
    inputs: &Inputs,
    bars: &mut Bars,
    tile: &mut Tile,
    direction: usize,
    #[comptime] tiling: Tiling,
) {
    let (width, own, edges) = comptime!((tiling.width, tiling.own(), tiling.edges));
    let start = tile.place.start(direction);
    let moved_ends = moved_ends(&tile.place, tiling);
    let part = part(&tile.place, tiling);
    if comptime!(tiling.has_moved_ends()) {
        for number in 0..own {
            let (edge, column) = (edge(number, tiling), column(number, tiling));
            if edge < tile.place.rows(edges) {
                let node = start + tile.place.sample * tile.place.points + tile.place.sender(edge);
                bars.senders[part + moved_ends + node * width + column] +=
                    tile.here[edge * width + column];
            }
        }
    }
    let mut column = UNIT_POS as usize;
    while column < width {
        let mut sum = 0.0f32;
        let mut of_distance = 0.0f32;
        for edge in 0..edges {
            let of_f = tile.here[edge * width + column];
            sum += of_f;
            of_distance +=
                of_f * tile.geometry.standard[edges + edge] * tile.geometry.stretch[edge];
        }
        if comptime!(tiling.has_moved_ends()) {
            let node = start + tile.place.node();
            bars.receivers[moved_ends + node * width + column] += sum;
        }
        add_distance(bars, of_distance, column, tiling);
        column += CUBE_DIM as usize;
    }
    let edge = UNIT_POS as usize;
    if edge < edges {
        let along = along_distance(inputs, &*tile, edge, tiling);
        let stretch = tile.geometry.stretch[edge];
        tile.of_square[edge] += along * tile.geometry.standard[2 * edges + edge] * stretch;
        tile.of_stretch[edge] += along * tile.geometry.standard[edges + edge];
    }
}

/// Adds to the gradient of `w`.
#[cube]
fn add_distance(bars: &mut Bars, of_distance: f32, column: usize, #[comptime] tiling: Tiling) {
    let cube = CUBE_POS_Y as usize * CUBE_COUNT_X as usize + CUBE_POS_X as usize;
    bars.weights[cube * comptime!(tiling.maps().count) + column] += of_distance;
}

/// `w · f̄` of one edge.
#[cube]
fn along_distance(inputs: &Inputs, tile: &Tile, edge: usize, #[comptime] tiling: Tiling) -> f32 {
    let mut sum = 0.0f32;
    for k in 0..comptime!(tiling.width) {
        sum += tile.here[edge * comptime!(tiling.width) + k] * inputs.distance[k];
    }
    sum
}

/// Numbers before the gradients of `Ṙ` and `Ṡ`, see [`Bars`].
#[cube]
fn moved_ends(place: &Place, #[comptime] tiling: Tiling) -> usize {
    place.start(1) * comptime!(tiling.dims + tiling.width)
        + place.start(place.directions) * comptime!(tiling.dims)
}

/// Where this cube's part of the senders starts.
#[cube]
fn part(place: &Place, #[comptime] tiling: Tiling) -> usize {
    let mut size = moved_ends(place, tiling);
    if comptime!(tiling.has_moved_ends()) {
        size += place.start(place.directions) * comptime!(tiling.width);
    }
    CUBE_POS_X as usize * size
}

/// From `ṡ = 2 u·u̇` and `u̇ = ẋ_i − ẋ_j`.
#[cube]
fn of_moved(bars: &mut Bars, tile: &mut Tile, direction: usize, #[comptime] tiling: Tiling) {
    let (edges, dims, width) = comptime!((tiling.edges, tiling.dims, tiling.width));
    let start = tile.place.start(1) * comptime!(dims + width) + tile.place.start(direction) * dims;
    let part = part(&tile.place, tiling);
    let edge = UNIT_POS as usize;
    let rows = tile.place.rows(edges);
    if edge < rows {
        let twice = 2.0 * tile.of_stretch[edge];
        let sender = tile.place.sample * tile.place.points + tile.place.sender(edge);
        for axis in 0..dims {
            let end = edge * dims + axis;
            tile.of_difference[end] += twice * tile.geometry.moved[end];
            let of_moved = tile.of_moved[end] + twice * tile.geometry.difference[end];
            tile.of_moved[end] = of_moved;
            bars.senders[part + start + sender * dims + axis] -= of_moved;
        }
    }
    sync_cube();
    add_to_receiver(&tile.of_moved, bars, start, &tile.place, tiling);
}

/// From `s = |u|²` and `u = x_i − x_j`.
#[cube]
fn of_positions(bars: &mut Bars, tile: &mut Tile, #[comptime] tiling: Tiling) {
    let (edges, dims) = comptime!((tiling.edges, tiling.dims));
    let part = part(&tile.place, tiling);
    let edge = UNIT_POS as usize;
    let rows = tile.place.rows(edges);
    if edge < rows {
        let twice = 2.0 * tile.of_square[edge];
        let sender = tile.place.sample * tile.place.points + tile.place.sender(edge);
        for axis in 0..dims {
            let end = edge * dims + axis;
            let of_u = tile.of_difference[end] + twice * tile.geometry.difference[end];
            tile.of_difference[end] = of_u;
            bars.senders[part + sender * dims + axis] -= of_u;
        }
    }
    sync_cube();
    add_to_receiver(
        &tile.of_difference,
        bars,
        0usize.runtime(),
        &tile.place,
        tiling,
    );
}

/// Adds what all edges of the tile say to the gradient of a difference of the receiver, along each axis.
#[cube]
fn add_to_receiver(
    of_difference: &Shared<[f32]>,
    bars: &mut Bars,
    start: usize,
    place: &Place,
    #[comptime] tiling: Tiling,
) {
    let dims = comptime!(tiling.dims);
    let axis = UNIT_POS as usize;
    if axis < dims {
        let mut sum = 0.0f32;
        for edge in 0..place.rows(tiling.edges) {
            sum += of_difference[edge * dims + axis];
        }
        bars.receivers[start + place.node() * dims + axis] += sum;
    }
}
