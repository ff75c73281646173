//! The tail of importance weights: Pareto-smoothed importance sampling's `k̂` (Vehtari, Simpson, Gelman, Yao, Gabry 2024).

use serde::{Deserialize, Serialize};

/// The fewest exceedances that a shape is fitted to.
const LEAST: usize = 5;
/// Weights of the tail that differ by no more than this, relatively, are equal up to rounding.
const FLAT: f64 = 1e-9;

/// The shape of the largest weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Tail {
    /// A generalised Pareto distribution was fitted; moments of order `1/k̂` and above do not exist.
    Fitted {
        /// `k̂`.
        shape: f64,
        /// Weights above the threshold.
        count: usize,
    },
    /// All weights of the tail are equal: the tail is bounded, and `k̂` undefined.
    Flat {
        /// Weights in the tail.
        count: usize,
    },
    /// There are too few weights above the threshold for a fit.
    TooFew {
        /// Weights above the threshold.
        count: usize,
    },
}

impl Tail {
    /// The tail of `weights`, of any scale: the largest `min(n/5, 3√n)` of them, in excess of the next largest.
    pub fn of(weights: &[f64]) -> Self {
        let total = weights.len() as f64;
        let count = (total / 5.0).min(3.0 * total.sqrt()).ceil() as usize;
        if count < LEAST || count >= weights.len() {
            return Self::TooFew { count };
        }
        let mut largest = weights.to_vec();
        let (_, threshold, _) = largest.select_nth_unstable_by(count, |a, b| b.total_cmp(a));
        let threshold = *threshold;
        largest.truncate(count);
        largest.sort_by(f64::total_cmp);
        let top = largest[count - 1];
        if top - threshold <= FLAT * top {
            return Self::Flat { count };
        }
        // Excesses of zero, weights equal to the threshold, say nothing about the shape.
        let excesses: Vec<f64> = largest
            .iter()
            .map(|w| (w - threshold) / top)
            .filter(|w| *w > 0.0)
            .collect();
        let count = excesses.len();
        if count < LEAST {
            Self::TooFew { count }
        } else {
            Self::Fitted {
                shape: shape(&excesses),
                count,
            }
        }
    }

    /// `k̂`, where it is defined.
    pub fn shape(&self) -> Option<f64> {
        match self {
            Self::Fitted { shape, .. } => Some(*shape),
            Self::Flat { .. } | Self::TooFew { .. } => None,
        }
    }
}

/// The shape `k` of the generalised Pareto distribution `P(X > x) = (1 + k x/σ)^{−1/k}` from ascending positive samples.
///
/// The posterior mean of `θ = −k/σ` over a grid (Zhang and Stephens 2009), then `k = mean log(1 − θx)`, drawn towards ½ with the strength
/// of ten samples (Vehtari et al. 2024, appendix C).
pub fn shape(sorted: &[f64]) -> f64 {
    let n = sorted.len() as f64;
    let grid = 30 + n.sqrt() as usize;
    let quartile = sorted[((n / 4.0 + 0.5) as usize).saturating_sub(1)];
    let largest = sorted[sorted.len() - 1];
    let thetas: Vec<f64> = (1..=grid)
        .map(|j| 1.0 / largest + (1.0 - (grid as f64 / (j as f64 - 0.5)).sqrt()) / (3.0 * quartile))
        .collect();
    let mean = sorted.iter().sum::<f64>() / n;
    let shape_at = |theta: f64| sorted.iter().map(|x| (-theta * x).ln_1p()).sum::<f64>() / n;
    let profile: Vec<f64> = thetas
        .iter()
        .map(|&theta| {
            let k = shape_at(theta);
            // The limit of θ → 0 is the exponential distribution.
            let rate = if (theta * mean).abs() < 1e-12 {
                1.0 / mean
            } else {
                -theta / k
            };
            n * (rate.ln() - k - 1.0)
        })
        .collect();
    let best = profile.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let posterior: Vec<f64> = profile.iter().map(|l| (l - best).exp()).collect();
    let theta = thetas
        .iter()
        .zip(&posterior)
        .map(|(theta, p)| theta * p)
        .sum::<f64>()
        / posterior.iter().sum::<f64>();
    (shape_at(theta) * n + 10.0 * 0.5) / (n + 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn generalised_pareto(k: f64, count: usize, seed: u64) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = || {
            let u: f64 = 1.0 - random.random::<f64>();
            if k == 0.0 {
                -u.ln()
            } else {
                (u.powf(-k) - 1.0) / k
            }
        };
        let mut samples: Vec<f64> = (0..count).map(|_| draw()).collect();
        samples.sort_by(f64::total_cmp);
        samples
    }

    #[test]
    fn the_shape_of_exact_tails_is_found() {
        for (seed, k) in [-0.5, 0.0, 0.3, 0.7, 1.2].into_iter().enumerate() {
            let found = shape(&generalised_pareto(k, 20_000, seed as u64));
            // Standard error of the maximum-likelihood shape: (1 + k)/√n.
            assert!(
                (found - k).abs() < 4.0 * (1.0 + k.max(0.0)) / 20_000_f64.sqrt(),
                "{found} for {k}"
            );
        }
    }

    #[test]
    fn pareto_weights_show_their_exponent_at_any_scale() {
        let mut random = ChaCha8Rng::seed_from_u64(9);
        let weights: Vec<f64> = (0..100_000)
            .map(|_| (1.0 - random.random::<f64>()).powf(-0.6))
            .collect();
        let found = Tail::of(&weights).shape().unwrap();
        assert!((found - 0.6).abs() < 0.15, "{found}");
        let scaled: Vec<f64> = weights.iter().map(|w| w * 2.0_f64.powi(-80)).collect();
        assert_eq!(Tail::of(&scaled).shape().unwrap(), found);
    }

    #[test]
    fn bounded_weights_have_a_light_tail() {
        let mut random = ChaCha8Rng::seed_from_u64(10);
        let weights: Vec<f64> = (0..10_000).map(|_| random.random::<f64>()).collect();
        assert!(Tail::of(&weights).shape().unwrap() < -0.5);
    }

    #[test]
    fn a_handful_of_weights_or_a_flat_tail_has_no_shape() {
        assert_eq!(Tail::of(&[0.25; 4]), Tail::TooFew { count: 1 });
        assert!(matches!(Tail::of(&[0.01; 100]), Tail::Flat { .. }));
        let mut few = vec![0.0; 1000];
        (0..3).for_each(|i| few[i] = 0.3 + 0.01 * i as f64);
        assert_eq!(Tail::of(&few), Tail::TooFew { count: 3 });
    }
}
