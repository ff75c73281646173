//! Where augmented flows start.

use crate::bijection::FlowError;
use crate::prior::Prior;
use crate::random::{Purpose, stream};
use crate::space::Space;
use crate::{PerSample, Points};

use super::{Auxiliary, Half};

/// Positions from a prior of their own, and auxiliary points around them: `p(x, a) = p(x) π(a | x)`, as a density of mean-free clouds of `2N` points.
/// With the [`Auxiliary`] of the target, in latent units, a flow near the identity has nothing to learn of auxiliary points but how they depend on
/// what positions it makes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AugmentedPrior<P> {
    positions: P,
    auxiliary: Auxiliary,
}

impl<P: Prior> AugmentedPrior<P> {
    /// # Errors
    /// [`FlowError::Unsupported`] where the two are not of as many atoms.
    pub fn new(positions: P, auxiliary: Auxiliary) -> Result<Self, FlowError> {
        let (found, wanted) = (positions.space(), auxiliary.positions());
        if found != wanted {
            return Err(FlowError::Unsupported {
                what: format!(
                    "auxiliary points of the {wanted} were given for positions of the {found}"
                ),
            });
        }
        Ok(Self {
            positions,
            auxiliary,
        })
    }

    /// How auxiliary points are distributed around positions.
    pub fn auxiliary(&self) -> &Auxiliary {
        &self.auxiliary
    }
}

impl<P: Prior> Prior for AugmentedPrior<P> {
    fn space(&self) -> Space {
        self.auxiliary.space()
    }

    fn draw(&self, seed: u64, number: u64) -> Vec<f64> {
        let x = self.positions.draw(seed, number);
        let mut random = stream(seed, Purpose::Augmentation, number);
        self.auxiliary.join(&x, &mut random)
    }

    fn log_density_of(&self, cloud: &[f64]) -> f64 {
        let log_p = self.positions.log_density_of(&self.auxiliary.part(cloud));
        log_p + self.auxiliary.log_density(cloud) + self.auxiliary.log_volume()
    }

    fn log_density_tensor(&self, clouds: Points) -> PerSample {
        let x = Half::Positions.of(&clouds);
        let log_p = self.positions.log_density_tensor(x.clone() - x.mean_dim(1));
        log_p + self.auxiliary.log_density_tensor(&clouds) + self.auxiliary.log_volume()
    }
}
