//! What a model is made from.

use boltzflow_energy::EnergyError;
use boltzflow_flow::{FlowError, Symmetry};
use boltzflow_molecule::{Conformers, MoleculeError};
use serde::{Deserialize, Serialize};

use super::{Augmented, Cartesian, Fitted, Internal};
use crate::config::{Config, ModelConfig};
use crate::features::Features;
use crate::relabelling::Labels;
use crate::system::System;

/// What a model is made from: with the parameters, all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// The molecule or toy.
    pub features: Features,
    /// The flow.
    pub flow: FlowArchitecture,
}

/// What a flow is made from, by what it moves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FlowArchitecture {
    /// Positions.
    Cartesian(Cartesian),
    /// Positions and auxiliary points.
    Augmented(Augmented),
    /// Internal coordinates.
    Internal(Internal),
    /// The same, by distributions that are fitted.
    Fitted(Fitted),
}

/// Why a flow cannot be made for a system.
#[derive(Debug, thiserror::Error)]
pub enum ArchitectureError {
    /// A toy has no bonds.
    #[error(
        "a flow of internal coordinates needs the bonds of a molecule, which {name} has not; use model.cartesian or model.augmented"
    )]
    Toy {
        /// Its name.
        name: String,
    },
    /// A flow of positions learns what distances are like, one that is fitted everything.
    #[error("a flow of model.cartesian or model.fitted needs configurations to learn from")]
    NoData,
    /// The energy about the start.
    #[error(transparent)]
    Energy(#[from] EnergyError),
    /// The molecule has no internal coordinates.
    #[error(transparent)]
    Molecule(#[from] MoleculeError),
    /// The maps.
    #[error(transparent)]
    Flow(#[from] FlowError),
}

impl Architecture {
    /// What is made of a config, a system and data to learn from; a flow of internal coordinates, or with auxiliary points, needs none.
    pub fn new(
        config: &Config,
        system: &System,
        data: &Conformers,
    ) -> Result<Self, ArchitectureError> {
        let flow = match &config.model {
            ModelConfig::Cartesian(_) | ModelConfig::Fitted(_) if data.is_empty() => {
                return Err(ArchitectureError::NoData);
            }
            ModelConfig::Cartesian(model) => {
                FlowArchitecture::Cartesian(Cartesian::new(*model, system, data))
            }
            ModelConfig::Augmented(model) => {
                FlowArchitecture::Augmented(Augmented::new(*model, system, data))
            }
            ModelConfig::Internal(model) => {
                FlowArchitecture::Internal(Internal::new(*model, system, data)?)
            }
            ModelConfig::Fitted(model) => {
                FlowArchitecture::Fitted(Fitted::new(*model, system, data)?)
            }
        };
        Ok(Self {
            features: system.features(config.model.alike()),
            flow,
        })
    }

    /// The part of the config that it is made of.
    pub fn model(&self) -> ModelConfig {
        match &self.flow {
            FlowArchitecture::Cartesian(flow) => ModelConfig::Cartesian(flow.model),
            FlowArchitecture::Augmented(flow) => ModelConfig::Augmented(flow.model),
            FlowArchitecture::Internal(flow) => ModelConfig::Internal(flow.model),
            FlowArchitecture::Fitted(flow) => ModelConfig::Fitted(flow.model),
        }
    }

    /// What does not fit together in it, as in a file that is damaged or forged.
    pub(crate) fn flaw(&self) -> Option<&'static str> {
        let Features {
            points,
            dims,
            elements,
            bonds,
            classes,
        } = &self.features;
        let one_each = |count: usize| count == *points || (elements.is_empty() && count == 0);
        if *points < 2 || !(1..=3).contains(dims) {
            Some("it is of fewer than two points, or not of one to three dimensions")
        } else if !one_each(elements.len()) || !one_each(classes.len()) {
            Some("its elements or classes are not one for each atom")
        } else if bonds
            .iter()
            .flatten()
            .chain(classes)
            .any(|index| index >= points)
        {
            Some("a bond or class names an atom that it does not have")
        } else {
            match &self.flow {
                FlowArchitecture::Cartesian(flow) => flow.flaw(*points),
                // Its unit is checked where its maps are made.
                FlowArchitecture::Augmented(_) => None,
                FlowArchitecture::Internal(flow) => flow.flaw(&self.features),
                FlowArchitecture::Fitted(flow) => flow.flaw(&self.features),
            }
        }
    }

    /// Whether it is of this system, atom by atom.
    pub fn is_of(&self, system: &System) -> bool {
        self.features == system.features(self.model().alike())
    }

    /// The same for the system at another temperature, where it knows its own: what a training that goes on from another flow is of.
    pub fn for_temperature(mut self, temperature: f64) -> Self {
        if let FlowArchitecture::Internal(flow) = &mut self.flow {
            flow.temperature = temperature;
        }
        self
    }

    /// How many relabellings of its atoms its density counts; `None` where there are too many of them.
    pub fn labels(&self, system: &System) -> Option<Labels> {
        let rotors = match &self.flow {
            FlowArchitecture::Cartesian(_) | FlowArchitecture::Augmented(_) => &[][..],
            FlowArchitecture::Internal(flow) => &flow.rotors,
            FlowArchitecture::Fitted(flow) => &flow.rotors,
        };
        let labels = system.labels(self.model().alike());
        labels.map(|labels| labels.with_rotors(rotors))
    }

    /// Which mirror images of a molecule its flow makes.
    pub fn mirror(&self) -> Mirror {
        let symmetry = match &self.flow {
            FlowArchitecture::Cartesian(flow) => flow.model.field.symmetry(),
            FlowArchitecture::Augmented(flow) => flow.model.symmetry(self.features.dims),
            FlowArchitecture::Internal(_) | FlowArchitecture::Fitted(_) => Symmetry::Rotations,
        };
        match symmetry {
            Symmetry::Full => Mirror::Both,
            Symmetry::Rotations => Mirror::One,
        }
    }

    /// What its log-densities are of.
    pub fn density(&self) -> Density {
        match &self.flow {
            FlowArchitecture::Augmented(_) => Density::Joint,
            FlowArchitecture::Cartesian(_)
            | FlowArchitecture::Internal(_)
            | FlowArchitecture::Fitted(_) => Density::Positions,
        }
    }
}

/// Which mirror images of a chiral molecule a flow makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mirror {
    /// Both, with equal densities, so that they can be folded into one.
    Both,
    /// Those that its data have.
    One,
}

/// What the `log_q` of samples is, of which `e^{−U/kT}/q` are the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Density {
    /// `log q(x)`, a function of the positions.
    #[default]
    Positions,
    /// `log q(x, a) − log π(a | x)` with auxiliary points `a` that were drawn with the positions: weights are those of both together, of the target
    /// `e^{−U(x)/kT} π(a | x)`, and as unbiased as others. It is no function of the positions; `log q(x)` is near [`Model::log_marginal`].
    Joint,
}

impl Density {
    /// Whether it is that of positions.
    pub fn is_of_positions(&self) -> bool {
        *self == Self::Positions
    }
}
