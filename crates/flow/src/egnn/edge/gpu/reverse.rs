//! Gradients of everything a step is made of, also through the derivatives along directions: each tile is computed again.
//!
//! A cube works for some receivers of some samples. What several cubes add to (senders, pairs, maps) each of them adds up in a part of its own;
//! see [`super::Split`].

mod displacements;
mod ends;
mod layers;

use cubecl::prelude::*;

use super::tile::{Geometry, Inputs, Place};
use super::tiling::Tiling;
use displacements::{of_changes, of_displacements};
use ends::of_ends;
use layers::{back, tangent, value, value_again};

/// Where gradients go.
#[derive(CubeLaunch, CubeType)]
pub(super) struct Bars {
    /// Of the receivers: of `x_i`, `R_i`, `ẋ_i` and `Ṙ_i`, one after another, each of all points.
    pub receivers: Box<[f32]>,
    /// The same of the senders, for each part of the receivers.
    pub senders: Box<[f32]>,
    /// Of `P`, for each stripe of samples.
    pub pairs: Box<[f32]>,
    /// Of the maps, for each cube.
    pub weights: Box<[f32]>,
}

/// `W₂ᵀ` and `W_cᵀ`, and the gradient of the result.
#[derive(CubeLaunch, CubeType)]
pub(super) struct Back {
    pub message: Box<[f32]>,
    pub coordinate: Box<[f32]>,
    pub gradient: Box<[f32]>,
}

/// What a cube keeps of a tile.
#[derive(CubeType)]
struct Tile {
    place: Place,
    geometry: Geometry,
    /// Rows of a layer, and of the next, and their gradients.
    here: Shared<[f32]>,
    next: Shared<[f32]>,
    /// `p` of the three layers, before `φ`.
    before: Shared<[f32]>,
    /// `ṗ` along one direction.
    moved: Shared<[f32]>,
    /// What directions add to the gradient of `p`.
    bends: Shared<[f32]>,
    /// `c` and `ċ`, and their gradients.
    heads: Shared<[f32]>,
    rates: Shared<[f32]>,
    of_heads: Shared<[f32]>,
    of_rates: Shared<[f32]>,
    /// Gradients of `u`, `s`, `u̇` and `ṡ`.
    of_difference: Shared<[f32]>,
    of_square: Shared<[f32]>,
    of_moved: Shared<[f32]>,
    of_stretch: Shared<[f32]>,
}

#[cube]
impl Tile {
    fn new(inputs: &Inputs, #[comptime] tiling: Tiling) -> Tile {
        let (edges, size) = comptime!((tiling.edges, tiling.size()));
        let (ends, all) = comptime!((edges * tiling.dims, edges * tiling.channels));
        Tile {
            place: Place::new(inputs),
            geometry: Geometry::new(tiling),
            here: Shared::new_slice(size),
            next: Shared::new_slice(size),
            before: Shared::new_slice(comptime!(3 * size)),
            moved: Shared::new_slice(comptime!(tiling.along(3 * size))),
            bends: Shared::new_slice(comptime!(tiling.along(3 * size))),
            heads: Shared::new_slice(all),
            rates: Shared::new_slice(comptime!(tiling.along(all))),
            of_heads: Shared::new_slice(all),
            of_rates: Shared::new_slice(comptime!(tiling.along(all))),
            of_difference: Shared::new_slice(ends),
            of_square: Shared::new_slice(edges),
            of_moved: Shared::new_slice(comptime!(tiling.along(ends))),
            of_stretch: Shared::new_slice(comptime!(tiling.along(edges))),
        }
    }
}

/// From the gradient of the result of [`super::forward::forward`].
#[cube(launch_unchecked)]
pub(super) fn reverse(inputs: &Inputs, given: &Back, bars: &mut Bars, #[comptime] tiling: Tiling) {
    let mut tile = Tile::new(inputs, tiling);
    while tile.place.sample < inputs.batch {
        tile.place.receiver = CUBE_POS_X as usize;
        while tile.place.receiver < inputs.points {
            tile.place.first = 0usize.runtime();
            while tile.place.first < inputs.points {
                of_edges(inputs, given, bars, &mut tile, tiling);
                tile.place.first += comptime!(tiling.edges);
            }
            tile.place.receiver += CUBE_COUNT_X as usize;
        }
        tile.place.sample += CUBE_COUNT_Y as usize;
    }
}

/// Adds what the edges of one tile say: along each direction, then of the values, whose gradients each direction has added to. Group 0 is the
/// values, group `k` direction `k − 1`; all go one way back, because a kernel takes the longer to compile the longer it is.
#[cube]
fn of_edges(
    inputs: &Inputs,
    given: &Back,
    bars: &mut Bars,
    tile: &mut Tile,
    #[comptime] tiling: Tiling,
) {
    tile.geometry.fill(inputs, &tile.place, tiling);
    sync_cube();
    value(inputs, tile, tiling);
    of_displacements(given, tile, tiling);
    sync_cube();
    let mut left = inputs.directions + 1;
    while left > 0 {
        left -= 1;
        let group = left;
        if comptime!(tiling.has_directions()) {
            if group > 0 {
                tile.geometry
                    .move_along(inputs, &tile.place, group - 1, tiling);
                sync_cube();
                tangent(inputs, tile, group - 1, tiling);
                of_changes(given, tile, group, tiling);
            } else {
                value_again(tile, tiling);
            }
            sync_cube();
        }
        back(inputs, given, bars, tile, group, tiling);
        of_ends(inputs, bars, tile, group, tiling);
        sync_cube();
    }
}
