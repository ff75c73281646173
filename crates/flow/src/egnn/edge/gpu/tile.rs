//! What both kernels do with some edges of one receiver, in memory that the units of a cube share.
//!
//! A unit computes some columns of features of some of a tile's edges, so that what it has read serves several products; where there is a number for
//! each edge, the first units take one edge each. Everything is added up by one unit in one order.

use cubecl::prelude::*;

use super::tiling::Tiling;
use crate::egnn::layer::SOFTENING;

/// What a step is made of, see [`super::super::Inputs`]; what there is not is anything.
#[derive(CubeLaunch, CubeType)]
pub(super) struct Inputs {
    pub x: Box<[f32]>,
    pub receivers: Box<[f32]>,
    pub senders: Box<[f32]>,
    pub pairs: Box<[f32]>,
    pub shift: Box<[f32]>,
    pub scale: Box<[f32]>,
    pub moved: Box<[f32]>,
    pub moved_receivers: Box<[f32]>,
    pub moved_senders: Box<[f32]>,
    pub distance: Box<[f32]>,
    pub message: Box<[f32]>,
    pub message_bias: Box<[f32]>,
    pub coordinate: Box<[f32]>,
    pub coordinate_bias: Box<[f32]>,
    pub weight: Box<[f32]>,
    pub batch: usize,
    pub points: usize,
    pub directions: usize,
}

/// The receiver that a cube works for, and the first of the senders.
#[derive(Clone, Copy, CubeType)]
pub(super) struct Place {
    pub sample: usize,
    pub receiver: usize,
    pub first: usize,
    pub batch: usize,
    pub points: usize,
    pub directions: usize,
}

#[cube]
impl Place {
    /// The receiver and the sample that this cube starts with.
    pub fn new(inputs: &Inputs) -> Place {
        Place {
            sample: CUBE_POS_Y as usize,
            receiver: CUBE_POS_X as usize,
            first: 0usize.runtime(),
            batch: inputs.batch,
            points: inputs.points,
            directions: inputs.directions,
        }
    }

    /// The receiver among all points of the batch.
    pub fn node(&self) -> usize {
        self.sample * self.points + self.receiver
    }

    /// The sender of an edge of the tile, among the points of the sample; beyond the last it is the last.
    pub fn sender(&self, edge: usize) -> usize {
        let sender = self.first + edge;
        select(sender < self.points, sender, self.points - 1)
    }

    /// Where the points of the batch start, along this direction.
    pub fn start(&self, direction: usize) -> usize {
        direction * self.batch * self.points
    }

    /// Where the displacements of a point start, counted through the directions: after all messages.
    pub fn displacements(&self, node: usize, #[comptime] tiling: Tiling) -> usize {
        self.start(self.directions + 1) * comptime!(tiling.message())
            + node * comptime!(tiling.displacement())
    }

    /// Edges of the tile that there are.
    pub fn rows(&self, #[comptime] edges: usize) -> usize {
        let left = self.points - self.first;
        select(left < edges, left, edges.runtime())
    }
}

#[cube]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + f32::exp(-x))
}

/// `φ`.
#[cube]
pub(super) fn silu(x: f32) -> f32 {
    x * sigmoid(x)
}

/// `φ'`.
#[cube]
pub(super) fn slope(x: f32) -> f32 {
    let s = sigmoid(x);
    s + x * s * (1.0 - s)
}

/// `φ''`.
#[cube]
pub(super) fn curvature(x: f32) -> f32 {
    let s = sigmoid(x);
    s * (1.0 - s) * (2.0 + x * (1.0 - 2.0 * s))
}

/// Functions of the distance of each edge, and along one direction.
#[derive(CubeType)]
pub(super) struct Geometry {
    /// `u`.
    pub difference: Shared<[f32]>,
    /// `z`, `z'` and `z''`, one after another.
    pub standard: Shared<[f32]>,
    /// `v = 1/(√(s + ε) + 1)`, `v'` and `v''`.
    pub inverse: Shared<[f32]>,
    /// `u̇`.
    pub moved: Shared<[f32]>,
    /// `ṡ`.
    pub stretch: Shared<[f32]>,
}

#[cube]
impl Geometry {
    pub fn new(#[comptime] tiling: Tiling) -> Geometry {
        Geometry {
            difference: Shared::new_slice(comptime!(tiling.edges * tiling.dims)),
            standard: Shared::new_slice(comptime!(3 * tiling.edges)),
            inverse: Shared::new_slice(comptime!(3 * tiling.edges)),
            moved: Shared::new_slice(comptime!(tiling.along(tiling.edges * tiling.dims))),
            stretch: Shared::new_slice(comptime!(tiling.along(tiling.edges))),
        }
    }

    /// Of all edges of a tile.
    pub fn fill(&mut self, inputs: &Inputs, place: &Place, #[comptime] tiling: Tiling) {
        let edge = UNIT_POS as usize;
        let edges = comptime!(tiling.edges);
        let dims = comptime!(tiling.dims);
        if edge < edges {
            let sender = place.sender(edge);
            let (to, from) = (place.node(), place.sample * place.points + sender);
            let mut square = 0.0f32;
            for axis in 0..dims {
                let u = inputs.x[to * dims + axis] - inputs.x[from * dims + axis];
                self.difference[edge * dims + axis] = u;
                square += u * u;
            }
            if comptime!(tiling.has_standard) {
                let pair = to * place.points + sender;
                let r = inputs.scale[pair];
                let v = (square - inputs.shift[pair]) * r;
                let inner = v * v + 1.0;
                let root = f32::sqrt(inner);
                // Of the magnitude, because v + √(v² + 1) cancels for negative v.
                let size = f32::ln(f32::abs(v) + root);
                self.standard[edge] = select(v < 0.0, -size, size);
                self.standard[edges + edge] = r / root;
                self.standard[2 * edges + edge] = -(r * r * v) / (inner * root);
            } else {
                self.standard[edge] = square;
                self.standard[edges + edge] = 1.0;
                self.standard[2 * edges + edge] = 0.0;
            }
            let softening = comptime!(SOFTENING as f32);
            let root = f32::sqrt(square + softening);
            let value = 1.0 / (root + 1.0);
            let over = 0.5 / root;
            let both = value * value;
            self.inverse[edge] = value;
            self.inverse[edges + edge] = -(both * over);
            self.inverse[2 * edges + edge] = 2.0 * over * over * (both * value + both * over);
        }
    }

    /// `u̇` and `ṡ = 2 u·u̇` along one direction.
    pub fn move_along(
        &mut self,
        inputs: &Inputs,
        place: &Place,
        direction: usize,
        #[comptime] tiling: Tiling,
    ) {
        let edge = UNIT_POS as usize;
        let dims = comptime!(tiling.dims);
        if edge < comptime!(tiling.edges) {
            let start = place.start(direction);
            let to = start + place.node();
            let from = start + place.sample * place.points + place.sender(edge);
            let mut along = 0.0f32;
            for axis in 0..dims {
                let u = inputs.moved[to * dims + axis] - inputs.moved[from * dims + axis];
                self.moved[edge * dims + axis] = u;
                along += u * self.difference[edge * dims + axis];
            }
            self.stretch[edge] = along + along;
        }
    }

    /// `f = R_i + S_j + P_ij + w z` of a number of this unit.
    pub fn first(
        &self,
        inputs: &Inputs,
        place: &Place,
        number: usize,
        #[comptime] tiling: Tiling,
    ) -> f32 {
        let (edge, column) = (edge(number, tiling), column(number, tiling));
        let width = comptime!(tiling.width);
        let sender = place.sender(edge);
        let from = place.sample * place.points + sender;
        let mut f = inputs.receivers[place.node() * width + column]
            + inputs.senders[from * width + column]
            + self.standard[edge] * inputs.distance[column];
        if comptime!(tiling.has_pairs) {
            let pair = place.receiver * place.points + sender;
            f += inputs.pairs[pair * width + column];
        }
        f
    }

    /// `ḟ = Ṙ_i + Ṡ_j + w z' ṡ` of a number of this unit.
    pub fn first_along(
        &self,
        inputs: &Inputs,
        place: &Place,
        number: usize,
        direction: usize,
        #[comptime] tiling: Tiling,
    ) -> f32 {
        let (edge, column) = (edge(number, tiling), column(number, tiling));
        let width = comptime!(tiling.width);
        let along = self.standard[comptime!(tiling.edges) + edge] * self.stretch[edge];
        let mut f = along * inputs.distance[column];
        if comptime!(tiling.has_moved_ends()) {
            let start = place.start(direction);
            let from = start + place.sample * place.points + place.sender(edge);
            f += inputs.moved_receivers[(start + place.node()) * width + column]
                + inputs.moved_senders[from * width + column];
        }
        f
    }
}

/// The edge of a tile that a number of this unit is of.
#[cube]
pub(super) fn edge(number: usize, #[comptime] tiling: Tiling) -> usize {
    let each = comptime!(tiling.each());
    UNIT_POS_Y as usize * each + number % each
}

/// Its column.
#[cube]
pub(super) fn column(number: usize, #[comptime] tiling: Tiling) -> usize {
    let each = comptime!(tiling.each());
    UNIT_POS_X as usize + number / each * comptime!(tiling.lanes())
}

/// `Σ_k a_k W_kc` for the numbers of this unit.
#[cube]
pub(super) fn product(
    from: &Shared<[f32]>,
    map: &[f32],
    target: &mut Shared<[f32]>,
    #[comptime] tiling: Tiling,
) {
    let (width, each) = comptime!((tiling.width, tiling.each()));
    let (spread, lanes) = comptime!((tiling.spread, tiling.lanes()));
    let first = UNIT_POS_X as usize;
    let row = UNIT_POS_Y as usize * each * width;
    let mut sums = Array::<f32>::new(comptime!(tiling.own()));
    for k in 0..width {
        let mut weights = Array::<f32>::new(spread);
        #[unroll]
        for part in 0..spread {
            weights[part] = map[k * width + first + part * lanes];
        }
        #[unroll]
        for edge in 0..each {
            let y = from[row + edge * width + k];
            #[unroll]
            for part in 0..spread {
                sums[part * each + edge] += y * weights[part];
            }
        }
    }
    #[unroll]
    for edge in 0..each {
        #[unroll]
        for part in 0..spread {
            target[row + edge * width + first + part * lanes] = sums[part * each + edge];
        }
    }
}

/// `W_xᵀ y` of every edge.
#[cube]
pub(super) fn heads(
    from: &Shared<[f32]>,
    map: &[f32],
    target: &mut Shared<[f32]>,
    #[comptime] tiling: Tiling,
) {
    let (width, channels) = comptime!((tiling.width, tiling.channels));
    let mut place = UNIT_POS as usize;
    while place < comptime!(tiling.edges * tiling.channels) {
        let (edge, channel) = (place / channels, place % channels);
        let mut sum = 0.0f32;
        for k in 0..width {
            sum += from[edge * width + k] * map[k * channels + channel];
        }
        target[place] = sum;
        place += CUBE_DIM as usize;
    }
}
