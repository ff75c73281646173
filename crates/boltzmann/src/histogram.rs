//! Weighted histograms of dihedral angles, and free-energy profiles.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::block_means::populations_in_order;
use crate::bootstrap::{Bootstrap, Estimate};
use crate::free_energy::populations;
use crate::weights::{StatisticsError, Weights};

/// Bins of the histograms that are reported: 10° each.
pub const BINS: usize = 36;

/// Probabilities of the bins of a circle that is cut at ±π.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// One probability a bin, from −π up; they sum to one.
    pub bins: Vec<Estimate>,
}

impl Histogram {
    /// The weighted histogram of dihedral angles in radians, of any period, with a bootstrap error for each bin.
    ///
    /// # Errors
    /// If there are no bins, or there is not one finite angle for every weight.
    pub fn of_dihedral(
        angles: &[f64],
        weights: &Weights,
        bins: usize,
        bootstrap: &Bootstrap,
    ) -> Result<Self, StatisticsError> {
        let states = binned(angles, weights, bins)?;
        Ok(Self {
            bins: populations(weights, &states, bins, bootstrap)?,
        })
    }

    /// The histogram of dihedral angles of correlated samples in the order of their run, with an error by blocks for each bin.
    ///
    /// # Errors
    /// If there are no bins or no angles, or one is not finite.
    pub fn in_order(angles: &[f64], bins: usize) -> Result<Self, StatisticsError> {
        let states = binned(angles, &Weights::equal(angles.len())?, bins)?;
        Ok(Self {
            bins: populations_in_order(&states, bins),
        })
    }

    /// The probability of the likeliest bin.
    pub fn likeliest(&self) -> f64 {
        self.bins.iter().map(|bin| bin.value).fold(0.0, f64::max)
    }

    /// The middle of a bin in radians.
    pub fn center(&self, bin: usize) -> f64 {
        -PI + (bin as f64 + 0.5) * self.width()
    }

    /// The width of every bin in radians.
    pub fn width(&self) -> f64 {
        2.0 * PI / self.bins.len() as f64
    }

    /// `−kT ln p` of each bin over that of the likeliest bin, in the unit of `kT`; infinite for an empty bin. Errors are to first order, `kT σ_p / p`.
    pub fn profile(&self, kt: f64) -> Vec<Estimate> {
        self.profile_over(self.likeliest(), kt)
    }

    /// The same over the free energy of a bin of probability `most`, as of another histogram of the same bins.
    pub fn profile_over(&self, most: f64, kt: f64) -> Vec<Estimate> {
        let level = |bin: &Estimate| {
            if bin.value > 0.0 {
                let slope = kt / bin.value;
                Estimate {
                    value: kt * (most / bin.value).ln(),
                    error: slope * bin.error,
                    delta: slope * bin.delta,
                }
            } else {
                Estimate {
                    value: f64::INFINITY,
                    error: f64::INFINITY,
                    delta: f64::INFINITY,
                }
            }
        };
        self.bins.iter().map(level).collect()
    }
}

/// The bin of each angle.
fn binned(angles: &[f64], weights: &Weights, bins: usize) -> Result<Vec<usize>, StatisticsError> {
    if bins == 0 {
        return Err(StatisticsError::Range {
            what: "the number of bins",
            found: 0.0,
            range: "at least 1",
        });
    }
    weights.check_values("angles", angles)?;
    let bin = |angle: &f64| {
        let turn = (angle + PI).rem_euclid(2.0 * PI) / (2.0 * PI);
        ((turn * bins as f64) as usize).min(bins - 1)
    };
    Ok(angles.iter().map(bin).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_wrap_and_sum_to_one() {
        let angles = [-PI, PI, 3.0 * PI - 1e-9, 0.1, 0.1 + 2.0 * PI, -0.1];
        let weights = Weights::equal(6).unwrap();
        let histogram =
            Histogram::of_dihedral(&angles, &weights, 4, &Bootstrap::default()).unwrap();
        let found: Vec<f64> = histogram.bins.iter().map(|bin| 6.0 * bin.value).collect();
        for (found, expected) in found.iter().zip([2.0, 1.0, 2.0, 1.0]) {
            assert!((found - expected).abs() < 1e-12);
        }
        assert!((histogram.center(0) + 0.75 * PI).abs() < 1e-12);
    }

    #[test]
    fn errors_of_equal_weights_are_binomial() {
        let angles: Vec<f64> = (0..4000)
            .map(|i| if i % 5 == 0 { 1.0 } else { -1.0 })
            .collect();
        let weights = Weights::equal(4000).unwrap();
        let bootstrap = Bootstrap {
            replicates: 400,
            seed: 3,
        };
        let histogram = Histogram::of_dihedral(&angles, &weights, 2, &bootstrap).unwrap();
        let exact = (0.2_f64 * 0.8 / 4000.0).sqrt();
        assert!((histogram.bins[1].error / exact - 1.0).abs() < 0.12);
        assert!((histogram.bins[1].delta / exact - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_profile_inverts_the_boltzmann_factor() {
        let angles: Vec<f64> = (0..1000)
            .map(|i| if i % 5 == 0 { 1.0 } else { -1.0 })
            .collect();
        let histogram = Histogram::of_dihedral(
            &angles,
            &Weights::equal(1000).unwrap(),
            2,
            &Bootstrap::default(),
        )
        .unwrap();
        let profile = histogram.profile(0.6);
        assert_eq!(profile[0].value, 0.0);
        assert!((profile[1].value - 0.6 * 4.0_f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn no_bins_are_refused() {
        assert!(
            Histogram::of_dihedral(
                &[0.0],
                &Weights::equal(1).unwrap(),
                0,
                &Bootstrap::default()
            )
            .is_err()
        );
    }
}
