//! An augmented equivariant flow, as a config names it.

use boltzflow_flow::{Elementwise, Reference, Symmetry};
use serde::{Deserialize, Serialize};

use super::{Alike, ConfigError, WHOLE, within};

/// A flow of positions and auxiliary points by equivariant couplings (Midgley et al. 2023): densities of both together without an ODE.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AugmentedConfig {
    /// How couplings tell displacements: `vector` commutes with rotations and reflections, `spherical` and `projected` with rotations alone.
    pub coupling: Reference,
    /// What they do to them: `spline` or `bump`, a `vector` or `projected` one also `affine`, a `projected` one also `additive`.
    pub map: Elementwise,
    /// Couplings, which move auxiliary points and positions in turn, the last of them positions.
    pub layers: usize,
    /// Width of the network of each.
    pub width: usize,
    /// Its rounds of message passing.
    pub rounds: usize,
    /// Vectors that each point gathers from its neighbours.
    pub channels: usize,
    /// The standard deviation of auxiliary points about their atoms, in each direction, as a multiple of that of the data: of little, positions are
    /// all but known from auxiliary points, of much, these say nothing of them.
    pub spread: f64,
    /// Which atoms of a molecule it cannot tell apart; the points of a toy are all alike.
    pub alike: Alike,
}

impl AugmentedConfig {
    /// What its flow commutes with, in so many dimensions.
    pub fn symmetry(&self, dims: usize) -> Symmetry {
        self.coupling.symmetry(dims)
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (name, found, most) in [
            ("model.augmented.layers", self.layers, 64.0),
            ("model.augmented.width", self.width, 4096.0),
            ("model.augmented.rounds", self.rounds, 64.0),
            ("model.augmented.channels", self.channels, 256.0),
        ] {
            within(name, found as f64, 1.0, most, WHOLE)?;
        }
        match self.map {
            Elementwise::Spline { bins } => {
                let name = "model.augmented.map.spline.bins";
                within(name, bins as f64, 1.0, 128.0, WHOLE)?;
            }
            Elementwise::Bump { ramps } => {
                let name = "model.augmented.map.bump.ramps";
                within(name, ramps as f64, 1.0, 64.0, WHOLE)?;
            }
            Elementwise::Additive | Elementwise::Affine => {}
        }
        let (coupling, maps) = match (self.coupling, self.map) {
            (Reference::Vector, Elementwise::Additive) => {
                ("vector", "\"affine\" or { spline = { bins = 8 } }")
            }
            (Reference::Spherical, Elementwise::Additive | Elementwise::Affine) => {
                ("spherical", "{ spline = { bins = 8 } }")
            }
            _ => {
                let range = "between 0.001 and 1000, such as 0.5";
                return within("model.augmented.spread", self.spread, 1e-3, 1e3, range);
            }
        };
        Err(ConfigError::Coupling { coupling, maps })
    }
}
