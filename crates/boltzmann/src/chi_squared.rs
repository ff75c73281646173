//! Whether two sets of populations are those of one distribution.

use nalgebra::{Cholesky, DMatrix};
use serde::{Deserialize, Serialize};

use crate::populations::Populations;

/// Pivots of a correlation matrix that are smaller are zero but for rounding.
const LEAST_PIVOT: f64 = 1e-10;

/// The difference of two population vectors in units of its covariance.
///
/// `χ² = δᵀ (C₁ + C₂)⁻¹ δ` over all states but one, since populations add to one; which one does not matter. With covariances that are known exactly
/// it would be a χ² variable of `degrees` where both are of the same distribution. They are estimates, so `p` is that of Hotelling's `T²`:
/// `χ² (ν − d + 1)/(ν d)` is an `F` variable of `d` and `ν − d + 1` degrees, with `ν` from both covariances by Krishnamoorthy and Yu (2004), which for one
/// degree is Welch's. For large `ν` that is the χ² distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChiSquared {
    /// `χ²`.
    pub value: f64,
    /// `d`, the number of states less one.
    pub degrees: usize,
    /// `ν`, the degrees of freedom of the covariance.
    pub error_degrees: f64,
    /// The probability of a `χ²` as large or larger where both are of one distribution.
    pub p: f64,
}

impl ChiSquared {
    /// Compares two that have the same states; `None` where there are fewer than two states, or the covariance is singular or known from too
    /// little to be inverted.
    ///
    /// # Panics
    /// If they have not equally many states: that is a bug of the caller.
    pub fn between(a: &Populations, b: &Populations) -> Option<Self> {
        assert_eq!(
            a.len(),
            b.len(),
            "two sets of populations of the same states"
        );
        let degrees = a.len().checked_sub(1).filter(|degrees| *degrees > 0)?;
        let part = |all: &DMatrix<f64>| all.view((0, 0), (degrees, degrees)).into_owned();
        let both = [a, b].map(|side| (part(&side.covariance), side.degrees));
        let sum = &both[0].0 + &both[1].0;
        // In units of the standard errors, so that a pivot tells whether the rest is singular.
        let unit = sum.map_diagonal(|variance| 1.0 / variance.sqrt());
        let scaled = |all: &DMatrix<f64>| all.component_mul(&(&unit * unit.transpose()));
        let factor = Cholesky::new(scaled(&sum))?.l();
        if factor
            .diagonal()
            .iter()
            .any(|pivot| pivot * pivot < LEAST_PIVOT)
        {
            return None;
        }
        let delta = (&a.values - &b.values)
            .rows(0, degrees)
            .component_mul(&unit);
        let whitened = factor.solve_lower_triangular(&delta)?;
        let value = whitened.norm_squared();
        let d = degrees as f64;
        let mut spread = 0.0;
        for (covariance, known) in both {
            let half = factor.solve_lower_triangular(&scaled(&covariance))?;
            let share = factor.solve_lower_triangular(&half.transpose())?;
            spread += (share.norm_squared() + share.trace().powi(2)) / known;
        }
        let error_degrees = (d + d * d) / spread;
        let rest = error_degrees - d + 1.0;
        let is_told = value.is_finite() && rest > 0.0;
        is_told.then(|| Self {
            value,
            degrees,
            error_degrees,
            p: incomplete_beta(0.5 * rest, 0.5 * d, 1.0 / (1.0 + value / error_degrees)),
        })
    }
}

/// The regularised incomplete beta function `I_x(a, b)` for `0 ≤ x ≤ 1` and positive `a`, `b`, by its continued fraction (DLMF 8.17.22, evaluated by
/// Lentz's method) on the side of its mean where that converges fast.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let log_beta = libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
    let front = (a * x.ln() + b * (-x).ln_1p() - log_beta).exp() / a;
    front * continued_fraction(a, b, x)
}

fn continued_fraction(a: f64, b: f64, x: f64) -> f64 {
    /// `O(√max(a, b))` terms are needed.
    const MOST: usize = 100_000;
    const TINY: f64 = 1e-300;
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut c, mut d) = (1.0, 1.0 / away(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in 1..MOST {
        let m = m as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = fraction;
        for term in [even, odd] {
            d = 1.0 / away(1.0 + term * d);
            c = away(1.0 + term / c);
            fraction *= c * d;
        }
        if (fraction - before).abs() < 1e-15 * fraction.abs() {
            break;
        }
    }
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block_means::{BlockMeans, Cuts};
    use crate::testing::{Markov, weighted_states};

    const P: [f64; 4] = [0.5, 0.3, 0.15, 0.05];

    fn in_order(states: &[usize]) -> Populations {
        BlockMeans::independent(states, 4, Cuts::of_covariance(4)).populations()
    }

    /// Weighted samples of `P`, and a run of four chains in turn of another distribution.
    fn sides(of_run: &[f64], seed: u64) -> [Populations; 2] {
        let (weights, states) = weighted_states(&P, 3000, seed);
        let run = Markov {
            p: of_run,
            stay: 0.8,
            chains: 4,
        };
        [
            Populations::weighted(&weights, &states, 4).unwrap(),
            in_order(&run.run(60_000, 1000 + seed)),
        ]
    }

    fn compared(of_run: &[f64], seed: u64) -> ChiSquared {
        let [a, b] = sides(of_run, seed);
        ChiSquared::between(&a, &b).unwrap()
    }

    #[test]
    fn p_is_uniform_for_samples_of_one_distribution() {
        let n = 400;
        let mut p: Vec<f64> = (0..n).map(|seed| compared(&P, seed).p).collect();
        p.sort_by(f64::total_cmp);
        let n = n as f64;
        // The largest distance from the uniform distribution function is below 1.63/√n with 99 % (Kolmogorov).
        let distance = p.iter().enumerate().map(|(index, p)| {
            let index = index as f64;
            (p - index / n).abs().max((p - (index + 1.0) / n).abs())
        });
        let distance = distance.fold(0.0, f64::max);
        assert!(distance < 1.63 / n.sqrt(), "{distance}");
        let rare = p.iter().filter(|p| **p < 0.05).count();
        assert!((8..=36).contains(&rare), "{rare} of 400 below .05");
    }

    #[test]
    fn a_shifted_population_is_found() {
        // 3000 weighted and 6667 independent samples of the run know .5 to .013 together.
        let found = (0..20).filter(|seed| compared(&[0.42, 0.38, 0.15, 0.05], *seed).p < 0.01);
        assert!(found.count() >= 18);
    }

    #[test]
    fn it_does_not_matter_which_state_is_left_out() {
        let [a, b] = sides(&P, 7);
        let found = ChiSquared::between(&a, &b).unwrap();
        for group in [[3, 0, 1, 2], [1, 0, 3, 2]] {
            let turned = [&a, &b].map(|side| side.grouped(&group, 4));
            let other = ChiSquared::between(&turned[0], &turned[1]).unwrap();
            assert!((found.value / other.value - 1.0).abs() < 1e-9);
            assert!((found.error_degrees / other.error_degrees - 1.0).abs() < 1e-9);
            assert!((found.p - other.p).abs() < 1e-9);
        }
    }

    #[test]
    fn of_two_states_it_is_the_square_of_their_z_with_welchs_degrees() {
        let [a, b] = sides(&P, 8).map(|side| side.grouped(&[0, 1, 1, 1], 2));
        let found = ChiSquared::between(&a, &b).unwrap();
        let [va, vb] = [&a, &b].map(|side| side.error(0).powi(2));
        let z = (a.values[0] - b.values[0]) / (va + vb).sqrt();
        assert!((found.value - z * z).abs() < 1e-9);
        let welch = (va + vb).powi(2) / (va * va / a.degrees + vb * vb / b.degrees);
        assert!((found.error_degrees / welch - 1.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_told_of_one_state_or_of_too_few_blocks() {
        let [a, b] = sides(&P, 9);
        let one = [&a, &b].map(|side| side.grouped(&[0; 4], 1));
        assert_eq!(ChiSquared::between(&one[0], &one[1]), None);
        // Three blocks do not span three dimensions about their mean.
        let few = |seed: u64| {
            let chain = Markov {
                p: &P,
                stay: 0.0,
                chains: 1,
            };
            BlockMeans::new(&chain.run(300, seed), 4, 3).populations()
        };
        assert_eq!(ChiSquared::between(&few(1), &few(1)), None);
        let single = in_order(&[0]);
        assert_eq!(ChiSquared::between(&a, &single), None);
    }

    #[test]
    fn the_incomplete_beta_function_has_its_known_values() {
        let near = |found: f64, expected: f64| {
            assert!(
                (found - expected).abs() < 1e-12 + 1e-9 * expected,
                "{found} for {expected}"
            );
        };
        for x in [0.0, 1e-6, 0.1, 0.5, 0.83, 1.0] {
            near(incomplete_beta(3.5, 1.0, x), x.powf(3.5));
            near(incomplete_beta(1.0, 2.5, x), 1.0 - (1.0 - x).powf(2.5));
            near(incomplete_beta(2.0, 3.0, x), binomial_tail(2, 4, x));
            near(incomplete_beta(7.0, 5.0, x), binomial_tail(7, 11, x));
            near(
                incomplete_beta(2.7, 9.1, x) + incomplete_beta(9.1, 2.7, 1.0 - x),
                1.0,
            );
        }
        near(incomplete_beta(40.0, 40.0, 0.5), 0.5);
        // Student's t of 10 degrees is beyond 2.228139 with 5 %.
        let t: f64 = 2.228138852;
        near(incomplete_beta(5.0, 0.5, 10.0 / (10.0 + t * t)), 0.05);
    }

    /// The probability of `least` successes or more of `n`.
    fn binomial_tail(least: i32, n: i32, x: f64) -> f64 {
        let choose = |j: i32| (0..j).fold(1.0, |c, i| c * f64::from(n - i) / f64::from(i + 1));
        let term = |j: i32| choose(j) * x.powi(j) * (1.0 - x).powi(n - j);
        (least..=n).map(term).sum()
    }

    #[test]
    fn with_many_degrees_of_the_errors_p_is_that_of_chi_squared() {
        for (half, value) in [(1, 3.0), (2, 9.49), (4, 1.0), (13, 50.0_f64)] {
            let mut term = (-0.5 * value).exp();
            let mut exact = 0.0;
            for k in 0..half {
                exact += term;
                term *= 0.5 * value / f64::from(k + 1);
            }
            let nu = 1e7;
            let found = incomplete_beta(0.5 * nu, f64::from(half), 1.0 / (1.0 + value / nu));
            assert!((found / exact - 1.0).abs() < 1e-4, "{found} for {exact}");
        }
    }
}
