//! The networks that couplings take their numbers from.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::attention::{Attention, AttentionConfig};
use crate::bijection::FlowError;
use crate::conditioner::{Conditioner, Size};
use crate::context::Context;
use crate::coupling::{others, some};
use crate::linear::Initializer;
use crate::space::Space;

/// Which network, and how large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkConfig {
    /// A multilayer perceptron, whose first and last layer are as large as there are coordinates; see [`Conditioner`].
    Perceptron(Size),
    /// One network for any number of labelled coordinates; see [`Attention`].
    Attention(AttentionConfig),
}

impl From<Size> for NetworkConfig {
    fn from(size: Size) -> Self {
        Self::Perceptron(size)
    }
}

/// The network of a coupling.
#[expect(clippy::large_enum_variant, reason = "a coupling has one")]
#[derive(Module, Debug)]
pub(crate) enum Network {
    Perceptron(Conditioner),
    Attention(Attention),
}

impl Network {
    /// A network that sees all coordinates that are not active, and `globals` features of the whole, and gives `numbers` numbers for each active one.
    ///
    /// # Errors
    /// [`FlowError::Unsupported`] of a size that is none.
    pub(crate) fn new(
        space: Space,
        active: &[usize],
        [globals, numbers]: [usize; 2],
        config: NetworkConfig,
        make: &mut Initializer,
    ) -> Result<Self, FlowError> {
        Ok(match config {
            NetworkConfig::Perceptron(size) => {
                let inputs = some(space, &others(space, active));
                let outputs = [active.len(), numbers];
                Self::Perceptron(Conditioner::new(inputs, globals, outputs, size, make))
            }
            NetworkConfig::Attention(config) => {
                let counts = [globals, numbers];
                Self::Attention(Attention::new(space, active, counts, config, make)?)
            }
        })
    }

    /// The numbers of the active coordinates, `[batch, active, numbers]`, from the passive ones, `[batch, passive]`.
    ///
    /// # Errors
    /// [`FlowError::Unsupported`] of a context without the labels that the network needs.
    pub(crate) fn forward(&self, x: &Tensor<2>, context: &Context) -> Result<Tensor<3>, FlowError> {
        match self {
            Self::Perceptron(network) => Ok(network.forward(x, context.global.as_ref())),
            Self::Attention(network) => network.forward(x, context),
        }
    }
}
