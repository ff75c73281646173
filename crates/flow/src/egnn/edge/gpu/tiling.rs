//! How a step is cut into cubes and tiles, which is known when a kernel is compiled.

use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

use super::super::operation::EdgeTensors;
use super::super::{Messages, Sizes};
use super::is_there;

/// Edges of a tile at most, and those of them that one unit works on where there are as many.
const MOST_EDGES: usize = 16;
const EACH: usize = 4;

/// Units of a cube that every device takes.
const MOST_UNITS: usize = 256;

/// What is known when a kernel is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tiling {
    pub dims: usize,
    pub width: usize,
    pub channels: usize,
    pub has_messages: bool,
    pub has_pairs: bool,
    pub has_standard: bool,
    pub directions: Directions,
    /// Edges at a time.
    pub edges: usize,
    /// Parts of these that different units work on.
    pub groups: usize,
    /// Columns that one unit works on.
    pub spread: usize,
}

/// What changes along the directions of derivatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Directions {
    /// There are none.
    None,
    /// Positions alone.
    Positions,
    /// Features of the points as well.
    All,
}

impl Tiling {
    /// As many edges at a time as there are, and as the memory of a cube holds with so many numbers for each.
    pub fn of(inputs: &EdgeTensors<CubeBackend>, sizes: &Sizes, pass: Pass) -> Self {
        let mut tiling = Self {
            dims: sizes.dims,
            width: sizes.width,
            channels: sizes.channels,
            has_messages: sizes.messages == Messages::Wanted,
            has_pairs: is_there(&inputs.pairs),
            has_standard: is_there(&inputs.scale),
            directions: match (sizes.directions, is_there(&inputs.moved_receiver)) {
                (0, _) => Directions::None,
                (_, false) => Directions::Positions,
                (_, true) => Directions::All,
            },
            edges: MOST_EDGES.min(sizes.points.next_power_of_two()),
            groups: 1,
            spread: 1,
        };
        let room = inputs.x.client.properties().hardware.max_shared_memory_size / size_of::<f32>();
        while tiling.edges > 1 && (tiling.numbers(pass) > room || tiling.edges > tiling.width) {
            tiling.edges /= 2;
        }
        tiling.groups = (tiling.edges / EACH).max(1);
        // The first units take an edge each, or an axis.
        let least = tiling.edges.max(tiling.dims);
        let fits = |spread: usize| {
            tiling.width.is_multiple_of(spread) && tiling.width / spread * tiling.groups >= least
        };
        // Four columns a unit would be quicker still, but take a driver in software most of a minute to compile.
        tiling.spread = if fits(2) { 2 } else { 1 };
        while tiling.lanes() * tiling.groups > MOST_UNITS {
            tiling.groups /= 2;
        }
        tiling
    }

    /// Numbers that the units of a cube share.
    fn numbers(self, pass: Pass) -> usize {
        let rows = |always: usize, along: usize| {
            self.width * (always + along * usize::from(self.has_directions()))
        };
        let (dims, channels) = (self.dims, self.channels);
        let edge = match pass {
            Pass::Forward => rows(2, 3) + 2 * dims + 2 * channels + 7,
            Pass::Reverse => rows(5, 6) + 4 * dims + 4 * channels + 9,
        };
        self.edges * edge
    }

    pub fn cube(self) -> CubeDim {
        CubeDim::new_2d(self.lanes() as u32, self.groups as u32)
    }

    /// Edges of a tile that one unit works on.
    pub fn each(self) -> usize {
        self.edges / self.groups
    }

    /// Units side by side, of which each works on every column this far apart.
    pub fn lanes(self) -> usize {
        self.width / self.spread
    }

    /// Numbers of a layer that one unit computes.
    pub fn own(self) -> usize {
        self.spread * self.each()
    }

    pub fn has_directions(self) -> bool {
        self.directions != Directions::None
    }

    pub fn has_moved_ends(self) -> bool {
        self.directions == Directions::All
    }

    /// Numbers that all edges of a tile have in a layer.
    pub fn size(self) -> usize {
        self.edges * self.width
    }

    /// The length of what there is for directions alone.
    pub fn along(self, length: usize) -> usize {
        if self.has_directions() { length } else { 1 }
    }

    /// Where the gradients of the maps of a layer lie, one after another.
    pub fn maps(self) -> Maps {
        let square = self.width * self.width;
        let message = self.width;
        let message_bias = message + square;
        let coordinate = message_bias + self.width;
        let coordinate_bias = coordinate + square;
        let weight = coordinate_bias + self.width;
        Maps {
            message,
            message_bias,
            coordinate,
            coordinate_bias,
            weight,
            count: weight + self.width * self.channels,
        }
    }

    /// Numbers of the message that a point receives.
    pub fn message(self) -> usize {
        if self.has_messages { self.width } else { 0 }
    }

    /// Numbers of its displacements.
    pub fn displacement(self) -> usize {
        self.channels * self.dims
    }
}

/// Where each map starts; `w` is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Maps {
    pub message: usize,
    pub message_bias: usize,
    pub coordinate: usize,
    pub coordinate_bias: usize,
    pub weight: usize,
    /// How many numbers these are.
    pub count: usize,
}

#[derive(Clone, Copy)]
pub(super) enum Pass {
    Forward,
    Reverse,
}

/// How the reverse pass is cut into cubes: receivers by parts, samples by stripes.
pub(super) struct Split {
    pub parts: usize,
    pub stripes: usize,
}

impl Split {
    /// Cubes at most, so that the gradients of the maps, one for each, stay small.
    const CUBES: usize = 256;
    const PARTS: usize = 8;
    /// Numbers that the gradients of senders, or of pairs, hold at most.
    const NUMBERS: usize = 1 << 24;

    pub fn of(sizes: &Sizes, tiling: Tiling) -> Self {
        let of_nodes = sizes.nodes() * (1 + sizes.directions) * (sizes.dims + sizes.width);
        let room = |size: usize| (Self::NUMBERS / size).max(1);
        let parts = sizes.points.min(Self::PARTS).min(room(of_nodes));
        let mut stripes = sizes.batch.min(Self::CUBES / parts);
        if tiling.has_pairs {
            stripes = stripes.min(room(sizes.points * sizes.points * sizes.width));
        }
        Self { parts, stripes }
    }

    pub fn cubes(&self) -> CubeCount {
        CubeCount::new_2d(self.parts as u32, self.stripes as u32)
    }
}
