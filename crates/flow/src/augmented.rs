//! Equivariant couplings of positions and auxiliary points (Midgley, Stimper, Antorán, Mathieu, Schölkopf, Hernández-Lobato 2023, "SE(3) Equivariant
//! Augmented Coupling Flows").
//!
//! A coupling moves some coordinates given the others, but no part of a cloud of like atoms can be singled out without breaking the symmetry of
//! permutations. So every atom `x_i` gets an auxiliary point `a_i`, and positions move given the auxiliary points, then these given the
//! positions. Clouds are `[batch, 2N, dims]`, positions above auxiliary points, with the centroid of all at the origin
//! ([`Space::MeanFree`] of `2N` points); features in a [`Context`] are those of the `N` atoms. [`Auxiliary`] is how auxiliary points are distributed
//! in the target, and holds what connects densities of clouds with those of positions.

mod auxiliary;
mod basis;
mod displacement;
mod prior;
mod stretch;
#[cfg(test)]
mod tests;
mod torso;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::bijection::{Bijection, FlowError};
use crate::context::Context;
use crate::elementwise::{Elementwise, Way};
use crate::linear::Initializer;
use crate::space::Space;
use crate::{PerSample, Points};
pub use auxiliary::{Auxiliary, Marginal};
use displacement::Displacement;
pub use displacement::Reference;
pub use prior::AugmentedPrior;
use torso::{Outputs, Torso};

/// One of the two halves of a cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Half {
    /// The positions `x`.
    Positions,
    /// The auxiliary points `a`.
    Auxiliaries,
}

impl Half {
    fn other(self) -> Self {
        match self {
            Self::Positions => Self::Auxiliaries,
            Self::Auxiliaries => Self::Positions,
        }
    }

    fn of(self, cloud: &Points) -> Points {
        let points = cloud.dims()[1] / 2;
        let start = match self {
            Self::Positions => 0,
            Self::Auxiliaries => points,
        };
        cloud.clone().narrow(1, start, points)
    }
}

/// The size of an [`AugmentedCoupling`], what it does, and the features it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AugmentedConfig {
    /// Width of every hidden layer.
    pub width: usize,
    /// Rounds of message passing in each coupling.
    pub rounds: usize,
    /// Vectors that each point gathers from its neighbours.
    pub channels: usize,
    /// Invariant features of each atom.
    pub node_features: usize,
    /// Invariant features of each pair of atoms; 0 for none.
    pub pair_features: usize,
    /// Features of the whole (temperature, …).
    pub global_features: usize,
    /// How displacements are told.
    pub reference: Reference,
    /// What is done to what they are told by.
    pub map: Elementwise,
}

impl AugmentedConfig {
    fn check(&self) -> Result<(), FlowError> {
        let sizes = [self.width, self.rounds, self.channels, self.node_features];
        if sizes.contains(&0) {
            let [width, rounds, channels, features] = sizes;
            return Err(FlowError::Unsupported {
                what: format!(
                    "an augmented coupling needs a width, rounds, channels and features of atoms, but {width}, {rounds}, {channels} and \
                     {features} were given"
                ),
            });
        }
        Ok(())
    }
}

/// `y_i = c_i + p_i + τ(x_i − c_i − o_i)`, and the cloud less its centroid: the points `x_i` of one half move given those of the other half, `c_i`.
/// The displacements `o_i` and `p_i`, the numbers of the map `τ` and the vectors of the basis that it works in are made by a network of the `c_i` that
/// knows of rotations and permutations; see [`Reference`] for what `τ` is.
///
/// All of it commutes with translations, so on clouds told up to a translation its Jacobian is triangular, and taking the centroid out changes
/// none: `log |det| = Σ_i log |det ∂τ_i|`.
///
/// Couplings start near the identity. Their positions may be of more digits than their parameters.
#[derive(Module, Debug)]
pub struct AugmentedCoupling {
    torso: Torso,
    #[module(skip)]
    displacement: Displacement,
    #[module(skip)]
    space: Space,
    #[module(skip)]
    active: Half,
}

impl AugmentedCoupling {
    /// A coupling that moves the active half.
    ///
    /// # Errors
    /// [`FlowError::Unsupported`] for a space that is not that of mean-free clouds of two points for each atom, a size that is none, and a map that
    /// cannot do what the reference asks.
    pub fn new(
        space: Space,
        active: Half,
        config: &AugmentedConfig,
        make: &mut Initializer,
    ) -> Result<Self, FlowError> {
        let Space::MeanFree { points, dims } = space else {
            return Err(FlowError::Unsupported {
                what: format!("augmented couplings are for mean-free clouds, not for the {space}"),
            });
        };
        if points % 2 != 0 || points == 0 || dims == 0 {
            return Err(FlowError::Unsupported {
                what: format!(
                    "augmented couplings need two points for each atom, which the {space} has not"
                ),
            });
        }
        config.check()?;
        let displacement = Displacement::new(config.reference, config.map, dims)?;
        let outputs = Outputs {
            numbers: displacement.numbers(),
            axes: displacement.axes(),
        };
        Ok(Self {
            torso: Torso::new(config, outputs, make),
            displacement,
            space,
            active,
        })
    }

    /// So many couplings that move the two halves in turn, the last of them the positions.
    ///
    /// # Errors
    /// See [`AugmentedCoupling::new`].
    pub fn alternating(
        count: usize,
        space: Space,
        config: &AugmentedConfig,
        make: &mut Initializer,
    ) -> Result<Vec<Self>, FlowError> {
        let half = |index: usize| {
            if (count - index) % 2 == 1 {
                Half::Positions
            } else {
                Half::Auxiliaries
            }
        };
        (0..count)
            .map(|index| Self::new(space, half(index), config, make))
            .collect()
    }

    /// Which half it moves.
    pub fn active(&self) -> Half {
        self.active
    }

    /// Floating-point operations of the matrix products that one sample takes, two a multiply-add.
    pub fn operations(&self) -> f64 {
        self.torso
            .operations(self.space.points() / 2, self.space.dims())
    }

    fn apply(
        &self,
        way: Way,
        cloud: &Points,
        context: &Context,
    ) -> Result<(Points, PerSample), FlowError> {
        self.space.check(cloud)?;
        let (given, moved) = (self.active.other().of(cloud), self.active.of(cloud));
        let told = self.torso.forward(&given, context)?;
        let [latent, data] = told.displacements;
        let (from, to) = match way {
            Way::Forward => (latent, data),
            Way::Inverse => (data, latent),
        };
        let v = moved - given.clone() - from;
        let (v, log_det) = self.displacement.apply(way, v, &told.numbers, &told.axes);
        let moved = given.clone() + to + v;
        let halves = match self.active {
            Half::Positions => vec![moved, given],
            Half::Auxiliaries => vec![given, moved],
        };
        let cloud = Tensor::cat(halves, 1);
        Ok((cloud.clone() - cloud.mean_dim(1), log_det))
    }
}

impl Bijection for AugmentedCoupling {
    fn input(&self) -> Space {
        self.space
    }

    fn output(&self) -> Space {
        self.space
    }

    fn forward(&self, x: Points, context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.apply(Way::Forward, &x, context)
    }

    fn inverse(&self, y: Points, context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.apply(Way::Inverse, &y, context)
    }
}
