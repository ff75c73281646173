//! A flow of internal coordinates, as a config names it.

use boltzflow_flow::Elementwise;
use serde::{Deserialize, Serialize};

use super::{ConfigError, Network, WHOLE, within};

/// A flow of internal coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InternalConfig {
    /// What is done to a coordinate: `additive` (NICE), `affine` (RealNVP; Glow with linear maps between), `spline` or `bump`.
    pub map: Elementwise,
    /// Which coordinates its numbers are made of.
    pub scheme: Scheme,
    /// What is between couplings.
    pub between: Between,
    /// Maps one after another.
    pub layers: usize,
    /// The network of each.
    pub network: Network,
    /// Whether stiff coordinates are made uncorrelated by the principal axes of the data, or only brought to one scale.
    pub stiff: Stiffness,
    /// Whether methyl groups, and their like, are folded.
    pub rotors: Rotors,
    /// Splines act between bounds: the least and greatest value in the data, moved apart by this part of their distance on each side.
    pub margin: f64,
    /// The hottest temperature that the flow is for, as a multiple of the system's. Above 1 its networks see where in the range of `ln T` a
    /// sample is, so that samples can be drawn at any temperature of it; 1 for a flow of one temperature. Data count at their own temperatures,
    /// and the energy, in training as in validation, at temperatures drawn evenly from the range of `ln T`, one for each 64 samples.
    pub hottest: f64,
}

/// What is between the couplings of a flow, whose halves are fixed shuffles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Between {
    /// Nothing more.
    Nothing,
    /// Glow's actnorm and invertible linear map of all lines (Kingma and Dhariwal 2018), before each pair of couplings.
    Linear,
}

/// Which coordinates the numbers of an elementwise map are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// One half is mapped with numbers that a network makes of the other; halves change.
    Coupling,
    /// Each with numbers made of the data's coordinates before it: fast densities.
    Maf,
    /// Each with numbers made of the latents' coordinates before it: fast samples.
    Iaf,
}

/// What is made of the stiff coordinates before a flow sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stiffness {
    /// Each is measured in its own standard deviations.
    Scaled,
    /// Principal components, each in its own standard deviations.
    Whitened,
}

/// What three like atoms are to a flow that turn about a bond together, as the hydrogens of a methyl group do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotors {
    /// A turn by a third of a circle is nothing: the flow is of the group, not of labels, and each of the three labellings has the same density,
    /// exactly. Groups whose atoms are in either order in the data are told apart nevertheless.
    Folded,
    /// Told apart: what the data have of each labelling is learnt.
    Labelled,
}

impl InternalConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        within(
            "model.internal.layers",
            self.layers as f64,
            1.0,
            64.0,
            WHOLE,
        )?;
        self.check_network()?;
        let has_lines = matches!(self.map, Elementwise::Additive | Elementwise::Affine);
        if self.between == Between::Linear && !(has_lines && self.scheme == Scheme::Coupling) {
            return Err(ConfigError::Linear);
        }
        if let Elementwise::Bump { ramps } = self.map {
            within(
                "model.internal.map.bump.ramps",
                ramps as f64,
                1.0,
                64.0,
                WHOLE,
            )?;
        }
        if let Elementwise::Spline { bins } = self.map {
            within(
                "model.internal.map.spline.bins",
                bins as f64,
                1.0,
                128.0,
                WHOLE,
            )?;
        }
        within(
            "model.internal.margin",
            self.margin,
            0.0,
            10.0,
            "between 0 and 10; half a range on each side is .5",
        )?;
        within(
            "model.internal.hottest",
            self.hottest,
            1.0,
            1000.0,
            "between 1, for one temperature, and 1000",
        )
    }

    fn check_network(&self) -> Result<(), ConfigError> {
        let size = match self.network {
            Network::Perceptron(size) => {
                let (width, layers) = (size.width as f64, size.layers as f64);
                within("model.internal.network.width", width, 1.0, 4096.0, WHOLE)?;
                let most = "a whole number of at most 16";
                return within("model.internal.network.layers", layers, 0.0, 16.0, most);
            }
            Network::Attention(size) => size,
        };
        for (name, found, most) in [
            ("model.internal.network.attention.width", size.width, 4096.0),
            ("model.internal.network.attention.heads", size.heads, 256.0),
            ("model.internal.network.attention.layers", size.layers, 16.0),
        ] {
            within(name, found as f64, 1.0, most, WHOLE)?;
        }
        if !size.width.is_multiple_of(size.heads) {
            let (width, heads) = (size.width, size.heads);
            let name = "model.internal.network.attention";
            return Err(ConfigError::Heads { name, width, heads });
        }
        let mixed = "it labels single coordinates, and has no labels for mixtures of them";
        let (name, value, reason) = if self.scheme != Scheme::Coupling {
            ("scheme", "\"coupling\"", "it sees coordinates in no order")
        } else if self.stiff != Stiffness::Scaled {
            ("stiff", "\"scaled\"", mixed)
        } else if self.between != Between::Nothing {
            ("between", "\"nothing\"", mixed)
        } else {
            return Ok(());
        };
        Err(ConfigError::Attention {
            name,
            value,
            reason,
        })
    }
}
