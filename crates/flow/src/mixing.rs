//! Invertible linear maps of points.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::bijection::{Bijection, FlowError};
use crate::context::Context;
use crate::divergence::tensor;
use crate::space::Space;
use crate::{PerSample, Points};

/// `y_i = Σ_j S_ij x_j`: a linear map that mixes points and treats all axes alike, so it commutes with rotations, and with those
/// permutations that leave `S` unchanged; `log |det| = D Σ ln λ` over the eigenvalues `λ` of `S` in its space. It has no parameters to
/// learn: with the square root of a covariance it turns standard normal noise into noise of that covariance.
#[derive(Module, Debug)]
pub struct Mixing {
    #[module(skip)]
    space: Space,
    /// `S`, row by row.
    #[module(skip)]
    matrix: Vec<f64>,
    /// Its inverse in the space.
    #[module(skip)]
    inverse: Vec<f64>,
    #[module(skip)]
    log_det: f64,
}

impl Mixing {
    /// The symmetric map with these orthonormal eigenvectors, one after another, and eigenvalues. Together they span the points' part of
    /// the space: all but the centroid's direction of a mean-free one.
    ///
    /// # Errors
    /// [`FlowError::Scale`] unless the eigenvalues are positive and finite.
    ///
    /// # Panics
    /// If there are not as many eigenvectors as that part has dimensions.
    pub fn new(space: Space, eigenvectors: &[f64], eigenvalues: &[f64]) -> Result<Self, FlowError> {
        let points = space.points();
        let count = space.dimension() / space.dims();
        assert_eq!(
            (eigenvalues.len(), eigenvectors.len()),
            (count, count * points)
        );
        if let Some(&scale) = eigenvalues.iter().find(|&&l| !(l.is_finite() && l > 0.0)) {
            return Err(FlowError::Scale { scale });
        }
        let compose = |power: &dyn Fn(f64) -> f64| {
            let mut matrix = vec![0.0; points * points];
            for (vector, &value) in eigenvectors.chunks(points).zip(eigenvalues) {
                for (entry, out) in matrix.iter_mut().enumerate() {
                    *out += power(value) * vector[entry / points] * vector[entry % points];
                }
            }
            matrix
        };
        Ok(Self {
            space,
            matrix: compose(&|value| value),
            inverse: compose(&|value| 1.0 / value),
            log_det: space.dims() as f64 * eigenvalues.iter().map(|value| value.ln()).sum::<f64>(),
        })
    }

    fn apply(
        &self,
        matrix: &[f64],
        x: &Points,
        log_det: f64,
    ) -> Result<(Points, PerSample), FlowError> {
        self.space.check(x)?;
        let points = self.space.points();
        let device: Device = x.device();
        let matrix = tensor(matrix.to_vec(), [1, points, points], &device, x.dtype());
        let log_det = Tensor::full([x.dims()[0]], log_det, (&device, x.dtype()));
        Ok((matrix.matmul(x.clone()), log_det))
    }
}

impl Bijection for Mixing {
    fn input(&self) -> Space {
        self.space
    }

    fn output(&self) -> Space {
        self.space
    }

    fn forward(&self, x: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.apply(&self.matrix, &x, self.log_det)
    }

    fn inverse(&self, y: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.apply(&self.inverse, &y, -self.log_det)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{alike, assert_lawful, points};

    #[test]
    fn it_is_a_lawful_map() {
        let space = Space::MeanFree { points: 3, dims: 3 };
        let (a, b) = (0.5_f64.sqrt(), (1.0 / 6.0_f64).sqrt());
        let mixing = Mixing::new(space, &[a, -a, 0.0, b, b, -2.0 * b], &[0.4, 1.9]).unwrap();
        assert_lawful(&mixing, points(space, 2, 1), &alike(space, 2), 1e-9).unwrap();
        let free = Space::Free { points: 2, dims: 2 };
        let mixing = Mixing::new(free, &[0.6, 0.8, -0.8, 0.6], &[3.0, 0.2]).unwrap();
        assert_lawful(&mixing, points(free, 2, 1), &alike(free, 2), 1e-9).unwrap();
    }

    #[test]
    fn an_eigenvalue_that_is_not_positive_and_finite_is_refused() {
        let free = Space::Free { points: 1, dims: 2 };
        for value in [0.0, -1.0, f64::INFINITY] {
            assert!(Mixing::new(free, &[1.0], &[value]).is_err());
        }
    }
}
