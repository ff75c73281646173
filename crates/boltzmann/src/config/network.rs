//! The network of each map, as a config names it.

use boltzflow_flow::{AttentionSize, Size};
use serde::{Deserialize, Serialize};

/// The network of each map of internal coordinates: `{ width, layers }` in a config, or `{ attention = { width, heads, layers } }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Network {
    /// A multilayer perceptron of all coordinates, made for one molecule.
    Perceptron(Size),
    /// A transformer of coordinates that are labelled by what they are of: as many parameters for every molecule.
    Attention(AttentionSize),
}

/// What stands in a config.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    width: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layers: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attention: Option<AttentionSize>,
}

impl TryFrom<Written> for Network {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        match (written.width, written.layers, written.attention) {
            (Some(width), Some(layers), None) => Ok(Self::Perceptron(Size { width, layers })),
            (None, None, Some(size)) => Ok(Self::Attention(size)),
            _ => Err(
                "a network is either { width = 96, layers = 2 } or { attention = { width = 64, heads = 4, layers = 2 } }",
            ),
        }
    }
}

impl From<Network> for Written {
    fn from(network: Network) -> Self {
        match network {
            Network::Perceptron(Size { width, layers }) => Self {
                width: Some(width),
                layers: Some(layers),
                attention: None,
            },
            Network::Attention(size) => Self {
                width: None,
                layers: None,
                attention: Some(size),
            },
        }
    }
}

impl From<Size> for Network {
    fn from(size: Size) -> Self {
        Self::Perceptron(size)
    }
}
