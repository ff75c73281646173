//! Where flows start.

use rand::RngExt;
use rand_distr::StandardNormal;

use crate::context::Samples;
use crate::random::{Purpose, stream};
use crate::space::Space;
use crate::{PerSample, Points};

/// A distribution of latent points, as a density over the orthonormal coordinates of its space.
pub trait Prior {
    /// Where it lives.
    fn space(&self) -> Space;

    /// Sample `number` of `seed`, points one after another: a function of these two alone.
    fn draw(&self, seed: u64, number: u64) -> Vec<f64>;

    /// The samples that these numbers stand for, one after another.
    fn sample(&self, samples: &Samples) -> Vec<f64> {
        samples
            .numbers
            .iter()
            .flat_map(|&number| self.draw(samples.seed, number))
            .collect()
    }

    /// `log p(x)` of one cloud.
    fn log_density_of(&self, x: &[f64]) -> f64;

    /// `log p(x)` of each of some clouds, one after another.
    fn log_density(&self, x: &[f64]) -> Vec<f64> {
        x.chunks_exact(self.space().coordinates().max(1))
            .map(|x| self.log_density_of(x))
            .collect()
    }

    /// `log p(x)` of a batch as a tensor that passes its gradient back.
    fn log_density_tensor(&self, x: Points) -> PerSample;
}

/// The standard normal distribution over the orthonormal coordinates of the mean-free space:
/// `log p(x) = −½ |x|² − ½ D(N−1) ln 2π`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeanFreeGaussian {
    /// `N`.
    pub points: usize,
    /// `D`.
    pub dims: usize,
}

impl MeanFreeGaussian {
    /// `½ D(N−1) ln 2π`.
    fn log_normalizer(self) -> f64 {
        0.5 * self.space().dimension() as f64 * std::f64::consts::TAU.ln()
    }
}

impl Prior for MeanFreeGaussian {
    fn space(&self) -> Space {
        Space::MeanFree {
            points: self.points,
            dims: self.dims,
        }
    }

    fn draw(&self, seed: u64, number: u64) -> Vec<f64> {
        let random = stream(seed, Purpose::Latents, number);
        let coordinates: Vec<f64> = random
            .sample_iter(StandardNormal)
            .take(self.space().dimension())
            .collect();
        self.space().embed(&coordinates)
    }

    fn log_density_of(&self, x: &[f64]) -> f64 {
        -0.5 * x.iter().map(|x| x * x).sum::<f64>() - self.log_normalizer()
    }

    fn log_density_tensor(&self, x: Points) -> PerSample {
        let [batch, points, dims] = x.dims();
        let squares = x
            .square()
            .reshape([batch, points * dims])
            .sum_dim(1)
            .reshape([batch]);
        squares * -0.5 - self.log_normalizer()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bijection::host;
    use crate::testing::{assert_gradient_is_slope, integral, points};
    use approx::assert_relative_eq;

    #[test]
    fn its_density_integrates_to_one() {
        for dims in [1, 2] {
            let prior = MeanFreeGaussian { points: 2, dims };
            let mass = integral(prior.space(), 8.0, 64, |x| prior.log_density(&host(x)));
            assert_relative_eq!(mass, 1.0, epsilon = 1e-12);
        }
        let prior = MeanFreeGaussian { points: 3, dims: 1 };
        let mass = integral(prior.space(), 8.0, 64, |x| prior.log_density(&host(x)));
        assert_relative_eq!(mass, 1.0, epsilon = 1e-12);
    }

    #[test]
    fn a_sample_does_not_depend_on_its_batch() {
        let prior = MeanFreeGaussian {
            points: 13,
            dims: 3,
        };
        let all = prior.sample(&Samples::consecutive(3, 0..10));
        let some = prior.sample(&Samples {
            seed: 3,
            numbers: vec![7, 2],
        });
        assert_eq!(some[..39], all[7 * 39..8 * 39]);
        assert_eq!(some[39..], all[2 * 39..3 * 39]);
    }

    #[test]
    fn samples_have_no_mean_and_one_unit_of_variance_a_degree_of_freedom() {
        let prior = MeanFreeGaussian { points: 5, dims: 3 };
        let draws = 20_000;
        let mut squares = 0.0;
        for number in 0..draws {
            let x = prior.draw(11, number);
            for axis in 0..3 {
                let mean: f64 = x.iter().skip(axis).step_by(3).sum();
                assert_relative_eq!(mean, 0.0, epsilon = 1e-14);
            }
            squares += x.iter().map(|x| x * x).sum::<f64>();
        }
        let freedom = prior.space().dimension() as f64;
        let found = squares / draws as f64;
        // |x|² is χ² distributed: its mean's standard error is √(2 d/n).
        assert_relative_eq!(
            found,
            freedom,
            epsilon = 5.0 * (2.0 * freedom / draws as f64).sqrt()
        );
    }

    #[test]
    fn tensors_and_slices_have_the_same_density() {
        let prior = MeanFreeGaussian { points: 4, dims: 2 };
        let x = points(prior.space(), 3, 5);
        let by_tensor = host(prior.log_density_tensor(x.clone()));
        for (by_slice, by_tensor) in prior.log_density(&host(x)).into_iter().zip(by_tensor) {
            assert_relative_eq!(by_slice, by_tensor, epsilon = 1e-13);
        }
    }

    #[test]
    fn the_gradient_of_its_density_is_its_slope() {
        let prior = MeanFreeGaussian { points: 4, dims: 2 };
        assert_gradient_is_slope(
            |x| prior.log_density_tensor(x),
            points(prior.space(), 3, 5),
            1e-10,
        );
    }
}
