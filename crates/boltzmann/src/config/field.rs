//! The vector field of a continuous flow of positions.

use boltzflow_flow::{
    Edges, Egnn, EgnnConfig, Field, FlowError, Hollow, HollowConfig, Initializer, Kernel,
    KernelConfig, Profile, Schedule, Symmetry, Transformer, TransformerConfig,
};
use serde::{Deserialize, Serialize};

use super::{ConfigError, WHOLE, within};
use crate::features::Features;

/// A field by its kind, with what there is to choose.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FieldConfig {
    /// An E(n)-equivariant graph network, see [`Egnn`].
    Egnn {
        /// Width of the network's hidden layers.
        width: usize,
        /// Layers of message passing.
        layers: usize,
        /// Displacements that each layer before the last makes, every one spread over the molecule in a way of its own, so that what pushes an
        /// atom takes along what hangs on it; 1 for one that is not spread.
        channels: usize,
        /// Which node features the edges of its layers see: those that the layer before has updated, or the initial ones, for which exact
        /// divergences of deep networks are far cheaper.
        edges: Edges,
    },
    /// Kernel dynamics, whose divergence has a closed form, see [`Kernel`].
    Kernel {
        /// How pushes depend on basis functions.
        profile: Profile,
        /// Basis functions of distance.
        functions: usize,
        /// Where the centres of the first and the last of them are at the start, in standard deviations of squared distances.
        span: [f64; 2],
        /// Basis functions of time.
        times: usize,
    },
    /// Hollow message passing, whose divergence takes as many tangents as there are axes, see [`Hollow`].
    Hollow {
        /// Width of the network's hidden layers.
        width: usize,
        /// Layers of message passing before points see themselves.
        layers: usize,
    },
    /// Equivariant attention, see [`Transformer`].
    Transformer {
        /// Scalar features of a point, and as many vectors; a multiple of the heads.
        width: usize,
        /// Heads of each layer.
        heads: usize,
        /// Layers of attention.
        layers: usize,
        /// Functions of distance that all layers see.
        radial: usize,
        /// Whether it tells mirror images apart.
        symmetry: Symmetry,
    },
}

impl FieldConfig {
    /// A field of this kind for a molecule; its parameters are the generator's.
    pub fn field(
        self,
        features: &Features,
        schedule: Schedule,
        make: &mut Initializer,
    ) -> Result<Field, FlowError> {
        let (node_features, pair_features) = (features.node_features(), features.pair_features());
        let (pair_kinds, global_features) = (features.pair_kinds(), 0);
        Ok(match self {
            Self::Egnn {
                width,
                layers,
                channels,
                edges,
            } => {
                let config = EgnnConfig {
                    width,
                    layers,
                    node_features,
                    pair_features,
                    pair_kinds,
                    global_features,
                    channels,
                    edges,
                    schedule,
                };
                Field::Egnn(Egnn::new(&config, make))
            }
            Self::Kernel {
                profile,
                functions,
                span,
                times,
            } => {
                let config = KernelConfig {
                    profile,
                    functions,
                    span,
                    times,
                    pair_kinds,
                    global_features,
                    schedule,
                };
                Field::Kernel(Kernel::new(&config, make)?)
            }
            Self::Hollow { width, layers } => {
                let config = HollowConfig {
                    width,
                    layers,
                    node_features,
                    pair_features,
                    global_features,
                    schedule,
                };
                Field::Hollow(Hollow::new(&config, make)?)
            }
            Self::Transformer {
                width,
                heads,
                layers,
                radial,
                symmetry,
            } => {
                let config = TransformerConfig {
                    width,
                    heads,
                    layers,
                    radial,
                    symmetry,
                    node_features,
                    pair_features,
                    global_features,
                    schedule,
                };
                Field::Transformer(Transformer::new(&config, features.dims, make)?)
            }
        })
    }

    /// What its flow commutes with.
    pub fn symmetry(self) -> Symmetry {
        match self {
            Self::Transformer { symmetry, .. } => symmetry,
            Self::Egnn { .. } | Self::Kernel { .. } | Self::Hollow { .. } => Symmetry::Full,
        }
    }

    /// Checks every range.
    pub(super) fn check(self) -> Result<(), ConfigError> {
        match self {
            Self::Egnn {
                width,
                layers,
                channels,
                edges: _,
            } => sizes(&[
                ("model.cartesian.field.egnn.width", width, WIDEST),
                ("model.cartesian.field.egnn.layers", layers, DEEPEST),
                ("model.cartesian.field.egnn.channels", channels, DEEPEST),
            ]),
            Self::Kernel {
                profile,
                functions,
                span: [first, last],
                times,
            } => {
                sizes(&[
                    ("model.cartesian.field.kernel.functions", functions, WIDEST),
                    ("model.cartesian.field.kernel.times", times, WIDEST),
                ])?;
                if let Profile::Perceptron { width, layers } = profile {
                    let (wide, deep) = (
                        "model.cartesian.field.kernel.profile.perceptron.width",
                        "model.cartesian.field.kernel.profile.perceptron.layers",
                    );
                    sizes(&[(wide, width, WIDEST), (deep, layers, DEEPEST)])?;
                }
                let name = "model.cartesian.field.kernel.span";
                within(name, first, -1e3, 1e3, "between -1000 and 1000")?;
                let above = "above its first number and at most 1000, such as [-3.0, 3.0]";
                within(name, last, first + 1e-3, 1e3, above)
            }
            Self::Hollow { width, layers } => sizes(&[
                ("model.cartesian.field.hollow.width", width, WIDEST),
                ("model.cartesian.field.hollow.layers", layers, DEEPEST),
            ]),
            Self::Transformer {
                width,
                heads,
                layers,
                radial,
                symmetry: _,
            } => {
                sizes(&[
                    ("model.cartesian.field.transformer.width", width, WIDEST),
                    ("model.cartesian.field.transformer.heads", heads, WIDEST),
                    ("model.cartesian.field.transformer.layers", layers, DEEPEST),
                    ("model.cartesian.field.transformer.radial", radial, WIDEST),
                ])?;
                if width.is_multiple_of(heads) {
                    return Ok(());
                }
                let name = "model.cartesian.field.transformer";
                Err(ConfigError::Heads { name, width, heads })
            }
        }
    }
}

const WIDEST: f64 = 4096.0;
const DEEPEST: f64 = 64.0;

/// Checks that there is something of everything.
fn sizes(all: &[(&'static str, usize, f64)]) -> Result<(), ConfigError> {
    all.iter()
        .try_for_each(|&(name, found, most)| within(name, found as f64, 1.0, most, WHOLE))
}
