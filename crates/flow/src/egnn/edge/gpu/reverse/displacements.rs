//! From the gradients of displacements to those of differences, of heads and of squared distances.

use cubecl::prelude::*;

use super::super::tiling::Tiling;
use super::{Back, Tile};

/// From `Y = ω u` with `ω = c v(s)`; zero for edges that there are not.
#[cube]
pub(super) fn of_displacements(given: &Back, tile: &mut Tile, #[comptime] tiling: Tiling) {
    let (edges, dims, channels) = comptime!((tiling.edges, tiling.dims, tiling.channels));
    let edge = UNIT_POS as usize;
    if edge < edges {
        let start = tile.place.displacements(tile.place.node(), tiling);
        let is_real = select(edge < tile.place.rows(edges), 1.0f32, 0.0f32);
        let (value, slope) = (
            tile.geometry.inverse[edge],
            tile.geometry.inverse[edges + edge],
        );
        let mut of_square = 0.0f32;
        for axis in 0..dims {
            tile.of_difference[edge * dims + axis] = 0.0;
        }
        for channel in 0..channels {
            let head = tile.heads[edge * channels + channel];
            let mut of_weight = 0.0f32;
            for axis in 0..dims {
                let pull = given.gradient[start + channel * dims + axis] * is_real;
                of_weight += pull * tile.geometry.difference[edge * dims + axis];
                tile.of_difference[edge * dims + axis] += head * value * pull;
            }
            tile.of_heads[edge * channels + channel] = of_weight * value;
            of_square += of_weight * head * slope;
        }
        tile.of_square[edge] = of_square;
    }
}

/// From `Ẏ = ω̇ u + ω u̇` with `ω̇ = ċ v + c v' ṡ`.
#[cube]
pub(super) fn of_changes(given: &Back, tile: &mut Tile, group: usize, #[comptime] tiling: Tiling) {
    let (edges, dims, channels) = comptime!((tiling.edges, tiling.dims, tiling.channels));
    let edge = UNIT_POS as usize;
    if edge < edges {
        let node = tile.place.start(group) + tile.place.node();
        let start = tile.place.displacements(node, tiling);
        let is_real = select(edge < tile.place.rows(edges), 1.0f32, 0.0f32);
        let (value, slope) = (
            tile.geometry.inverse[edge],
            tile.geometry.inverse[edges + edge],
        );
        let bend = tile.geometry.inverse[2 * edges + edge];
        let stretch = tile.geometry.stretch[edge];
        let mut of_square = 0.0f32;
        let mut of_stretch = 0.0f32;
        for axis in 0..dims {
            tile.of_moved[edge * dims + axis] = 0.0;
        }
        for channel in 0..channels {
            let at = edge * channels + channel;
            let (head, rate) = (tile.heads[at], tile.rates[at]);
            let change = rate * value + head * slope * stretch;
            let mut of_change = 0.0f32;
            let mut of_weight = 0.0f32;
            for axis in 0..dims {
                let pull = given.gradient[start + channel * dims + axis] * is_real;
                let end = edge * dims + axis;
                of_change += pull * tile.geometry.difference[end];
                of_weight += pull * tile.geometry.moved[end];
                tile.of_difference[end] += change * pull;
                tile.of_moved[end] += head * value * pull;
            }
            tile.of_rates[at] = of_change * value;
            tile.of_heads[at] += of_weight * value + of_change * slope * stretch;
            of_square +=
                of_weight * head * slope + of_change * (rate * slope + head * bend * stretch);
            of_stretch += of_change * head * slope;
        }
        tile.of_square[edge] += of_square;
        tile.of_stretch[edge] = of_stretch;
    }
}
