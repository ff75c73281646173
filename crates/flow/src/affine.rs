//! The unit that latents are measured in.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::bijection::{Bijection, FlowError};
use crate::context::Context;
use crate::space::Space;
use crate::{PerSample, Points};

/// `y = s x`, with `log |det ∂y/∂x| = d ln s`, `d` the dimension of the space: the one place where latent units become those of the
/// data (Å, or a toy's reduced unit). It has no parameters to learn.
#[derive(Module, Debug, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Affine {
    #[module(skip)]
    space: Space,
    #[module(skip)]
    scale: f64,
}

/// As read from a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    space: Space,
    scale: f64,
}

impl TryFrom<Unchecked> for Affine {
    type Error = FlowError;

    fn try_from(read: Unchecked) -> Result<Self, FlowError> {
        Self::new(read.space, read.scale)
    }
}

impl Affine {
    /// Data units in one latent unit.
    ///
    /// # Errors
    /// [`FlowError::Scale`] unless the scale is positive and finite.
    pub fn new(space: Space, scale: f64) -> Result<Self, FlowError> {
        if scale.is_finite() && scale > 0.0 {
            Ok(Self { space, scale })
        } else {
            Err(FlowError::Scale { scale })
        }
    }

    /// `s`.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// `log |det|`, the same for all samples.
    pub fn log_det(&self) -> f64 {
        self.space.dimension() as f64 * self.scale.ln()
    }

    fn times(
        &self,
        x: Points,
        factor: f64,
        log_det: f64,
    ) -> Result<(Points, PerSample), FlowError> {
        self.space.check(&x)?;
        let log_det = Tensor::full([x.dims()[0]], log_det, (&x.device(), x.dtype()));
        Ok((x * factor, log_det))
    }
}

impl Bijection for Affine {
    fn input(&self) -> Space {
        self.space
    }

    fn output(&self) -> Space {
        self.space
    }

    fn forward(&self, x: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.times(x, self.scale, self.log_det())
    }

    fn inverse(&self, y: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.times(y, 1.0 / self.scale, -self.log_det())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{alike, assert_equivariant, assert_lawful, points};

    #[test]
    fn it_is_a_lawful_equivariant_map() {
        for space in [
            Space::MeanFree { points: 4, dims: 3 },
            Space::Free { points: 2, dims: 2 },
        ] {
            let affine = Affine::new(space, 1.846).unwrap();
            let (x, context) = (points(space, 3, 1), alike(space, 3));
            assert_lawful(&affine, x.clone(), &context, 1e-9).unwrap();
            assert_equivariant(&affine, x, &context, 1e-12).unwrap();
        }
    }

    #[test]
    fn a_scale_that_is_not_positive_and_finite_is_refused() {
        let space = Space::Free { points: 2, dims: 2 };
        for scale in [0.0, -1.0, f64::INFINITY] {
            assert_eq!(
                Affine::new(space, scale).unwrap_err(),
                FlowError::Scale { scale }
            );
        }
        assert!(Affine::new(space, f64::NAN).is_err());
    }

    #[test]
    fn it_is_read_back_as_written_and_checked_again() {
        let affine = Affine::new(Space::MeanFree { points: 4, dims: 3 }, 0.682).unwrap();
        let text = serde_json::to_string(&affine).unwrap();
        assert_eq!(
            text,
            r#"{"space":{"mean_free":{"points":4,"dims":3}},"scale":0.682}"#
        );
        let back: Affine = serde_json::from_str(&text).unwrap();
        assert_eq!((back.space, back.scale), (affine.space, affine.scale));
        let refused = serde_json::from_str::<Affine>(&text.replace("0.682", "-1.0")).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "a scale must be positive and finite, but -1 was given"
        );
    }

    #[test]
    fn a_cloud_of_another_size_is_refused() {
        let (here, there) = (
            Space::MeanFree { points: 4, dims: 3 },
            Space::MeanFree { points: 5, dims: 3 },
        );
        let affine = Affine::new(here, 2.0).unwrap();
        let found = affine
            .forward(points(there, 1, 1), &alike(there, 1))
            .unwrap_err();
        assert_eq!(
            found,
            FlowError::Shape {
                points: 5,
                dims: 3,
                space: here
            }
        );
    }
}
