//! Through the maps of edges, and back.

use cubecl::prelude::*;

use super::super::tile::{Inputs, column, curvature, edge, heads, product, silu, slope};
use super::super::tiling::Tiling;
use super::{Back, Bars, Tile};

/// Through all maps; what they are applied to is kept in `before`.
#[cube]
pub(super) fn value(inputs: &Inputs, tile: &mut Tile, #[comptime] tiling: Tiling) {
    let (width, own, size) = comptime!((tiling.width, tiling.own(), tiling.size()));
    for number in 0..own {
        let at = edge(number, tiling) * width + column(number, tiling);
        let p = tile.geometry.first(inputs, &tile.place, number, tiling);
        tile.before[at] = p;
        tile.here[at] = silu(p);
        if comptime!(tiling.has_directions()) {
            tile.bends[at] = 0.0;
            tile.bends[size + at] = 0.0;
            tile.bends[2 * size + at] = 0.0;
        }
    }
    sync_cube();
    product(&tile.here, &inputs.message, &mut tile.next, tiling);
    for number in 0..own {
        let column = column(number, tiling);
        let at = edge(number, tiling) * width + column;
        let p = tile.next[at] + inputs.message_bias[column];
        tile.before[size + at] = p;
        tile.next[at] = silu(p);
    }
    sync_cube();
    product(&tile.next, &inputs.coordinate, &mut tile.here, tiling);
    for number in 0..own {
        let column = column(number, tiling);
        let at = edge(number, tiling) * width + column;
        let p = tile.here[at] + inputs.coordinate_bias[column];
        tile.before[2 * size + at] = p;
        tile.here[at] = silu(p);
    }
    sync_cube();
    heads(&tile.here, &inputs.weight, &mut tile.heads, tiling);
    sync_cube();
}

/// The same along one direction: `ẏ` of the last two layers is left in `next` and `here`.
#[cube]
pub(super) fn tangent(
    inputs: &Inputs,
    tile: &mut Tile,
    direction: usize,
    #[comptime] tiling: Tiling,
) {
    let (width, own, size) = comptime!((tiling.width, tiling.own(), tiling.size()));
    for number in 0..own {
        let at = edge(number, tiling) * width + column(number, tiling);
        let p = tile
            .geometry
            .first_along(inputs, &tile.place, number, direction, tiling);
        tile.moved[at] = p;
        tile.here[at] = p * slope(tile.before[at]);
    }
    sync_cube();
    product(&tile.here, &inputs.message, &mut tile.next, tiling);
    for number in 0..own {
        let at = edge(number, tiling) * width + column(number, tiling);
        tile.moved[size + at] = tile.next[at];
        tile.next[at] *= slope(tile.before[size + at]);
    }
    sync_cube();
    product(&tile.next, &inputs.coordinate, &mut tile.here, tiling);
    for number in 0..own {
        let at = edge(number, tiling) * width + column(number, tiling);
        tile.moved[2 * size + at] = tile.here[at];
        tile.here[at] *= slope(tile.before[2 * size + at]);
    }
    sync_cube();
    heads(&tile.here, &inputs.weight, &mut tile.rates, tiling);
    sync_cube();
}

/// What the heads of the values are made of, in `here` again.
#[cube]
pub(super) fn value_again(tile: &mut Tile, #[comptime] tiling: Tiling) {
    let size = comptime!(tiling.size());
    let mut at = UNIT_POS as usize;
    while at < size {
        tile.here[at] = silu(tile.before[2 * size + at]);
        at += CUBE_DIM as usize;
    }
}

/// From the heads back to `f` or `ḟ`, whose gradient is left in `here`. Before, `here` is what the heads are made of, and of tangents `next` is
/// what that is made of.
#[cube]
pub(super) fn back(
    inputs: &Inputs,
    given: &Back,
    bars: &mut Bars,
    tile: &mut Tile,
    group: usize,
    #[comptime] tiling: Tiling,
) {
    let (width, own, size) = comptime!((tiling.width, tiling.own(), tiling.size()));
    let (edges, channels) = comptime!((tiling.edges, tiling.channels));
    let maps = comptime!(tiling.maps());
    let cube = CUBE_POS_Y as usize * CUBE_COUNT_X as usize + CUBE_POS_X as usize;
    let start = cube * comptime!(maps.count);
    // The last map.
    let mut at = UNIT_POS as usize;
    while at < comptime!(width * channels) {
        let (k, channel) = (at / channels, at % channels);
        let mut sum = 0.0f32;
        for edge in 0..edges {
            sum += tile.here[edge * width + k]
                * of_head(&*tile, edge * channels + channel, group, tiling);
        }
        bars.weights[start + comptime!(maps.weight) + at] += sum;
        at += CUBE_DIM as usize;
    }
    sync_cube();
    for number in 0..own {
        let (edge, column) = (edge(number, tiling), column(number, tiling));
        let mut sum = 0.0f32;
        for channel in 0..channels {
            let weight = inputs.weight[column * channels + channel];
            sum += weight * of_head(&*tile, edge * channels + channel, group, tiling);
        }
        let at = edge * width + column;
        let pulled = pull(tile, sum, 2 * size + at, group, tiling);
        tile.here[at] = pulled;
        if group == 0 {
            tile.next[at] = silu(tile.before[size + at]);
        }
    }
    sync_cube();
    if group == 0 {
        add_bias(
            &tile.here,
            bars,
            start + comptime!(maps.coordinate_bias),
            tiling,
        );
    }
    add_outer(
        &tile.next,
        &tile.here,
        bars,
        start + comptime!(maps.coordinate),
        tiling,
    );
    sync_cube();
    product(&tile.here, &given.coordinate, &mut tile.next, tiling);
    sync_cube();
    for number in 0..own {
        let (row, column) = (edge(number, tiling), column(number, tiling));
        let at = row * width + column;
        let mut sum = tile.next[at];
        if comptime!(tiling.has_messages) {
            let node = tile.place.start(group) + tile.place.node();
            let message = given.gradient[node * width + column];
            sum += select(row < tile.place.rows(edges), message, 0.0f32);
        }
        let pulled = pull(tile, sum, size + at, group, tiling);
        tile.next[at] = pulled;
        tile.here[at] = before_first(&*tile, at, group, tiling);
    }
    sync_cube();
    if group == 0 {
        add_bias(
            &tile.next,
            bars,
            start + comptime!(maps.message_bias),
            tiling,
        );
    }
    add_outer(
        &tile.here,
        &tile.next,
        bars,
        start + comptime!(maps.message),
        tiling,
    );
    sync_cube();
    product(&tile.next, &given.message, &mut tile.here, tiling);
    for number in 0..own {
        let at = edge(number, tiling) * width + column(number, tiling);
        let of_y = tile.here[at];
        let pulled = pull(tile, of_y, at, group, tiling);
        tile.here[at] = pulled;
    }
    sync_cube();
}

/// The gradient of a head, or of its derivative.
#[cube]
fn of_head(tile: &Tile, at: usize, group: usize, #[comptime] tiling: Tiling) -> f32 {
    if comptime!(tiling.has_directions()) {
        // Both are there, so that no branch is needed.
        select(group > 0, tile.of_rates[at], tile.of_heads[at])
    } else {
        tile.of_heads[at]
    }
}

/// What the second map is applied to: `φ(f)`, or its derivative.
#[cube]
fn before_first(tile: &Tile, at: usize, group: usize, #[comptime] tiling: Tiling) -> f32 {
    let f = tile.before[at];
    if comptime!(tiling.has_directions()) {
        select(group > 0, slope(f) * tile.moved[at], silu(f))
    } else {
        silu(f)
    }
}

/// From the gradient of `y` or `ẏ` that of `p` or `ṗ`: `p̄ = ȳ φ' + Σ ẏ̄ ṗ φ''`, `ṗ̄ = ẏ̄ φ'`.
#[cube]
fn pull(tile: &mut Tile, of_y: f32, at: usize, group: usize, #[comptime] tiling: Tiling) -> f32 {
    let p = tile.before[at];
    let mut of_p = of_y * slope(p);
    if comptime!(tiling.has_directions()) {
        if group > 0 {
            tile.bends[at] += of_y * tile.moved[at] * curvature(p);
        } else {
            of_p += tile.bends[at];
        }
    }
    of_p
}

/// Adds `Σ_e p̄_e` to the gradient of a bias.
#[cube]
fn add_bias(of_p: &Shared<[f32]>, bars: &mut Bars, start: usize, #[comptime] tiling: Tiling) {
    let mut column = UNIT_POS as usize;
    while column < comptime!(tiling.width) {
        let mut sum = 0.0f32;
        for edge in 0..comptime!(tiling.edges) {
            sum += of_p[edge * comptime!(tiling.width) + column];
        }
        bars.weights[start + column] += sum;
        column += CUBE_DIM as usize;
    }
}

/// Adds `Σ_e y_e p̄_eᵀ` to the gradient of a map.
#[cube]
fn add_outer(
    y: &Shared<[f32]>,
    of_p: &Shared<[f32]>,
    bars: &mut Bars,
    start: usize,
    #[comptime] tiling: Tiling,
) {
    let (width, edges) = comptime!((tiling.width, tiling.edges));
    let mut at = UNIT_POS as usize;
    while at < comptime!(width * width) {
        let (k, column) = (at / width, at % width);
        let mut sum = 0.0f32;
        for edge in 0..edges {
            sum += y[edge * width + k] * of_p[edge * width + column];
        }
        bars.weights[start + at] += sum;
        at += CUBE_DIM as usize;
    }
}
