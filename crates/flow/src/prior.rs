//! Where flows start.

use std::f64::consts::{SQRT_2, TAU};

use burn::tensor::Tensor;
use rand::RngExt;
use rand_distr::StandardNormal;

use crate::context::Samples;
use crate::divergence::tensor;
use crate::normal::{cumulative, quantile};
use crate::random::{Purpose, stream};
use crate::space::Space;
use crate::{PerSample, Points};

/// `2⁻²⁵`: what is nearer to an end of an interval or to a cut, single precision may not tell from it.
const NEAR_END: f64 = 1.0 / 33_554_432.0;

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

/// Independent coordinates of a [`Space::Product`]: standard normal on lines; on an interval `0…1`, which stands for `a…b`, a standard normal
/// number `z = a + (b − a) u` cut off at both ends, `log p(u) = −½ z² − ½ ln 2π − ln (Φ(b) − Φ(a)) + ln (b − a)`; even on circles.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductPrior {
    /// The product.
    pub space: Space,
    /// `[a, b]` of each interval.
    pub bounds: Vec<[f64; 2]>,
}

impl ProductPrior {
    /// Standard normal numbers on lines alone.
    pub fn normal(lines: usize) -> Self {
        Self {
            space: Space::Product {
                lines,
                intervals: 0,
                circles: 0,
            },
            bounds: Vec::new(),
        }
    }

    /// How many coordinates are lines.
    fn lines(&self) -> usize {
        match self.space {
            Space::Product { lines, .. } => lines,
            Space::MeanFree { .. } | Space::Free { .. } => 0,
        }
    }

    /// What is added to `−½ Σ z²`, the same everywhere.
    fn log_constant(&self) -> f64 {
        let normal = 0.5 * TAU.ln();
        let intervals = self
            .bounds
            .iter()
            .map(|&[a, b]| (b - a).ln() - normal - inside([a, b]).ln());
        intervals.sum::<f64>() - normal * self.lines() as f64
    }

    /// `ln p` of one coordinate.
    pub(crate) fn log_density_at(&self, coordinate: usize, x: f64) -> f64 {
        let lines = self.lines();
        if coordinate >= lines + self.bounds.len() {
            return 0.0;
        }
        let z = self.standard(coordinate, x);
        let log_normal = -0.5 * (z * z + TAU.ln());
        match coordinate.checked_sub(lines) {
            None => log_normal,
            Some(interval) => {
                let [a, b] = self.bounds[interval];
                log_normal + (b - a).ln() - inside([a, b]).ln()
            }
        }
    }

    /// The normal score of a coordinate: the standard normal number that has as much of its distribution below it as `x` has of the
    /// coordinate's. It is finite, also at an end.
    pub fn score(&self, coordinate: usize, x: f64) -> f64 {
        let Some(interval) = coordinate.checked_sub(self.lines()) else {
            return x;
        };
        let x = x.clamp(NEAR_END, 1.0 - NEAR_END);
        let Some(&[a, b]) = self.bounds.get(interval) else {
            return quantile(x, 1.0 - x);
        };
        let z = a + (b - a) * x;
        // Differences are taken in the tail that z is in.
        if z < 0.0 {
            let below = (cumulative(z) - cumulative(a)) / inside([a, b]);
            quantile(below, 1.0 - below)
        } else {
            let above = (cumulative(-z) - cumulative(-b)) / inside([a, b]);
            quantile(1.0 - above, above)
        }
    }

    /// The coordinate that has this score; the inverse of [`ProductPrior::score`].
    pub fn at_score(&self, coordinate: usize, score: f64) -> f64 {
        let Some(interval) = coordinate.checked_sub(self.lines()) else {
            return score;
        };
        let Some(&[a, b]) = self.bounds.get(interval) else {
            return cumulative(score);
        };
        let part = inside([a, b]) * cumulative(-score.abs());
        let z = if score < 0.0 {
            let below = cumulative(a) + part;
            quantile(below, 1.0 - below)
        } else {
            let above = cumulative(-b) + part;
            quantile(1.0 - above, above)
        };
        ((z - a) / (b - a)).clamp(0.0, 1.0)
    }

    /// `z` of a number that is a line or in an interval.
    fn standard(&self, coordinate: usize, x: f64) -> f64 {
        match coordinate.checked_sub(self.lines()) {
            None => x,
            Some(interval) => {
                let [a, b] = self.bounds[interval];
                a + (b - a) * x
            }
        }
    }
}

/// `Φ(b) − Φ(a)`, with `a` below and `b` above 0.
fn inside([a, b]: [f64; 2]) -> f64 {
    0.5 * (libm::erf(b / SQRT_2) - libm::erf(a / SQRT_2))
}

impl Prior for ProductPrior {
    fn space(&self) -> Space {
        self.space
    }

    fn draw(&self, seed: u64, number: u64) -> Vec<f64> {
        let mut random = stream(seed, Purpose::Latents, number);
        let lines = self.lines();
        let mut draw = |coordinate: usize| {
            let Some(interval) = coordinate.checked_sub(lines) else {
                return random.sample(StandardNormal);
            };
            let Some([a, b]) = self.bounds.get(interval) else {
                return random.random();
            };
            loop {
                let z: f64 = random.sample(StandardNormal);
                if (*a..*b).contains(&z) {
                    return (z - a) / (b - a);
                }
            }
        };
        (0..self.space.points()).map(&mut draw).collect()
    }

    fn log_density_of(&self, x: &[f64]) -> f64 {
        let normal = x.iter().take(self.lines() + self.bounds.len());
        let squares = normal
            .enumerate()
            .map(|(k, &x)| self.standard(k, x).powi(2));
        self.log_constant() - 0.5 * squares.sum::<f64>()
    }

    fn log_density_tensor(&self, x: Points) -> PerSample {
        let [batch, count, _] = x.dims();
        let normal = self.lines() + self.bounds.len();
        let (device, dtype) = (x.device(), x.dtype());
        if normal == 0 {
            return Tensor::full([batch], self.log_constant(), (&device, dtype));
        }
        let x = x.reshape([batch, count]).narrow(1, 0, normal);
        let of = |value: &dyn Fn(usize) -> f64| -> Tensor<2> {
            tensor(
                (0..normal).map(value).collect(),
                [1, normal],
                &device,
                dtype,
            )
        };
        let start = of(&|k| self.standard(k, 0.0));
        let width = of(&|k| self.standard(k, 1.0) - self.standard(k, 0.0));
        let squares = (x * width + start).square().sum_dim(1).reshape([batch]);
        squares * -0.5 + self.log_constant()
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

    fn product(lines: usize, circles: usize, bounds: Vec<[f64; 2]>) -> ProductPrior {
        let space = Space::Product {
            lines,
            intervals: bounds.len(),
            circles,
        };
        ProductPrior { space, bounds }
    }

    #[test]
    fn a_density_on_a_product_integrates_to_one() {
        // Midpoints of 2000 cells on 0…1, where a line's 0…1 is no more than a part of it.
        let cells = 2000;
        let middle = |k: usize| (k as f64 + 0.5) / f64::from(cells);
        let interval = product(0, 0, vec![[-1.0, 2.5]]);
        let mass = |prior: &ProductPrior| {
            let densities = (0..cells as usize).map(|k| prior.log_density_of(&[middle(k)]).exp());
            densities.sum::<f64>() / f64::from(cells)
        };
        assert_relative_eq!(mass(&interval), 1.0, epsilon = 1e-6);
        assert_relative_eq!(mass(&product(0, 1, Vec::new())), 1.0, epsilon = 1e-12);
        let part = 0.5 * libm::erf(1.0 / SQRT_2);
        assert_relative_eq!(mass(&product(1, 0, Vec::new())), part, epsilon = 1e-6);
    }

    #[test]
    fn samples_of_a_product_have_its_density() {
        // E[1/p] over 0…1 is the length of it.
        let prior = product(0, 1, vec![[-1.0, 2.5], [-0.3, 0.2]]);
        let draws = 20_000;
        let mut mean = 0.0;
        for number in 0..draws {
            let x = prior.draw(3, number);
            assert!(x.iter().all(|u| (0.0..=1.0).contains(u)));
            mean += (-prior.log_density_of(&x)).exp() / draws as f64;
        }
        assert_relative_eq!(mean, 1.0, epsilon = 0.05);
    }

    #[test]
    fn scores_of_its_samples_are_standard_normal_numbers_and_go_back() {
        let prior = product(1, 1, vec![[-1.0, 2.5], [-0.3, 0.2], [-6.0, 9.0]]);
        let draws = 20_000_u32;
        let mut squares = [0.0; 5];
        for number in 0..draws {
            for (k, x) in prior.draw(4, number.into()).into_iter().enumerate() {
                let score = prior.score(k, x);
                assert_relative_eq!(prior.at_score(k, score), x, epsilon = 1e-12);
                squares[k] += score * score / f64::from(draws);
            }
        }
        for square in squares {
            assert_relative_eq!(square, 1.0, epsilon = 5.0 * (2.0 / f64::from(draws)).sqrt());
        }
        // At an end they are finite.
        for k in 1..5 {
            assert!([0.0, 1.0].iter().all(|&x| prior.score(k, x).is_finite()));
        }
    }

    #[test]
    fn a_density_is_the_product_of_those_of_its_coordinates() {
        let prior = product(1, 1, vec![[-1.0, 2.5], [-0.3, 0.2]]);
        let x = prior.draw(3, 8);
        let each = x
            .iter()
            .enumerate()
            .map(|(k, &x)| prior.log_density_at(k, x));
        assert_relative_eq!(each.sum::<f64>(), prior.log_density_of(&x), epsilon = 1e-13);
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
        let gaussian = MeanFreeGaussian { points: 4, dims: 2 };
        let bounded = product(0, 2, vec![[-1.0, 2.5], [-0.3, 4.0]]);
        let unbounded = product(3, 1, Vec::new());
        let priors: [&dyn Prior; 3] = [&gaussian, &bounded, &unbounded];
        for prior in priors {
            let x = points(prior.space(), 3, 5);
            let by_tensor = host(prior.log_density_tensor(x.clone()));
            for (by_slice, by_tensor) in prior.log_density(&host(x)).into_iter().zip(by_tensor) {
                assert_relative_eq!(by_slice, by_tensor, epsilon = 1e-13);
            }
        }
    }

    #[test]
    fn the_gradient_of_its_density_is_its_slope() {
        let gaussian = MeanFreeGaussian { points: 4, dims: 2 };
        let bounded = product(0, 1, vec![[-1.0, 2.5], [-0.3, 4.0]]);
        let priors: [&dyn Prior; 2] = [&gaussian, &bounded];
        for prior in priors {
            let x = points(prior.space(), 3, 5);
            assert_gradient_is_slope(|x| prior.log_density_tensor(x), x, 1e-9);
        }
    }
}
