//! Free-energy profiles of torsions, of a flow and of a reference.

use serde::{Deserialize, Serialize};

use crate::bootstrap::{Bootstrap, Estimate, number_or_null};
use crate::histogram::{BINS, Histogram};
use crate::rotamers::Angles;
use crate::weights::{StatisticsError, Weights};

/// Bins count whose free energy in the reference is less than so many kT above its lowest.
pub const HIGHEST: f64 = 6.0;

/// How far two profiles are apart where the reference is below [`HIGHEST`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deviation {
    /// Bins there.
    pub bins: usize,
    /// Those of them in which the flow has no sample.
    pub empty: usize,
    /// The root mean square difference over all of them in kT; infinite where one is empty.
    #[serde(deserialize_with = "number_or_null")]
    pub all: f64,
    /// That over the others.
    #[serde(deserialize_with = "number_or_null")]
    pub sampled: f64,
    /// What that would be of the errors alone, had both sides the same profile.
    #[serde(deserialize_with = "number_or_null")]
    pub expected: f64,
    /// The largest difference over its standard error, of either sign, of the bins that are not empty.
    #[serde(deserialize_with = "number_or_null")]
    pub largest_z: f64,
}

/// The free energy of a torsion, `F(θ) = −ln p(θ)` in kT, by the flow's weights and in the reference.
///
/// Both are from probabilities that add to one over the circle, and no constant is fitted between them: a well that the flow gives too little weight is off by the
/// whole of that, instead of dragging all other bins with it, and the difference in a bin is that of two logarithms, whose errors are `σ_p/p`. A constant
/// fitted by least squares could only make the deviation smaller. For drawing, both are told over the likeliest bin of the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileComparison {
    /// The torsion's name.
    pub name: String,
    /// Its atoms, from 0.
    pub atoms: [usize; 4],
    /// How far they are apart.
    pub deviation: Deviation,
    /// The flow's histogram.
    pub flow: Histogram,
    /// The reference's, with errors by blocks.
    pub reference: Histogram,
    /// The flow's `F` of each bin; infinite where it has no sample.
    pub flow_profile: Vec<Estimate>,
    /// The reference's.
    pub reference_profile: Vec<Estimate>,
}

impl ProfileComparison {
    /// Compares the profiles of a torsion.
    ///
    /// # Errors
    /// If there is not one finite angle for every weight and every frame, or there are no frames.
    pub fn new(
        angles: &Angles,
        weights: &Weights,
        bootstrap: &Bootstrap,
    ) -> Result<Self, StatisticsError> {
        let flow = Histogram::of_dihedral(&angles.flow, weights, BINS, bootstrap)?;
        let reference = Histogram::in_order(&angles.reference, BINS)?;
        let likeliest = reference.likeliest();
        let profiles = [&flow, &reference].map(|side| side.profile_over(likeliest, 1.0));
        let deviation = Deviation::between(&profiles[0], &profiles[1]);
        let [flow_profile, reference_profile] = profiles;
        Ok(Self {
            name: angles.torsion.name.clone(),
            atoms: angles.torsion.atoms,
            deviation,
            flow,
            reference,
            flow_profile,
            reference_profile,
        })
    }
}

impl Deviation {
    /// Between profiles over the likeliest bin of the reference.
    fn between(flow: &[Estimate], reference: &[Estimate]) -> Self {
        let low = flow.iter().zip(reference);
        let low: Vec<_> = low
            .filter(|(_, reference)| reference.value < HIGHEST)
            .collect();
        let sampled: Vec<(f64, f64)> = low
            .iter()
            .filter(|(flow, _)| flow.value.is_finite())
            .map(|(a, b)| (a.value - b.value, a.error.hypot(b.error)))
            .collect();
        let root_mean_square = |values: &dyn Fn(&(f64, f64)) -> f64| {
            let squares: f64 = sampled.iter().map(|bin| values(bin).powi(2)).sum();
            (squares / sampled.len() as f64).sqrt()
        };
        let empty = low.len() - sampled.len();
        let found = root_mean_square(&|bin| bin.0);
        let z = |&(difference, error): &(f64, f64)| (difference / error).abs();
        Self {
            bins: low.len(),
            empty,
            all: if empty > 0 { f64::INFINITY } else { found },
            sampled: found,
            expected: root_mean_square(&|bin| bin.1),
            largest_z: sampled.iter().map(z).fold(0.0, f64::max),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::torsion::{Kind, Torsion};

    /// `U/kT`, from 0 to 10: bins from 6 up do not count.
    fn potential(angle: f64) -> f64 {
        5.0 * (1.0 - angle.cos())
    }

    /// The angles of a chain that stays with probability one half, and else goes to another sample of the target: its correlation time is 3.
    fn run(count: usize, seed: u64) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut sample = move || loop {
            let angle = PI * (2.0 * random.random::<f64>() - 1.0);
            if random.random::<f64>() < (-potential(angle)).exp() {
                return (angle, random.random::<f64>());
            }
        };
        let mut now = sample().0;
        let frame = |_| {
            let (angle, uniform) = sample();
            if uniform > 0.5 {
                now = angle;
            }
            now
        };
        (0..count).map(frame).collect()
    }

    /// Evenly spread angles with their Boltzmann weights, and what else is told to weigh.
    fn compared(seed: u64, extra: impl Fn(f64) -> f64) -> ProfileComparison {
        let mut random = ChaCha8Rng::seed_from_u64(1000 + seed);
        let flow: Vec<f64> = (0..20_000)
            .map(|_| PI * (2.0 * random.random::<f64>() - 1.0))
            .collect();
        let log_weights = flow.iter().map(|&angle| extra(angle) - potential(angle));
        let weights = Weights::from_log(log_weights.collect()).unwrap();
        let torsion = Torsion {
            name: "a torsion".to_owned(),
            atoms: [0, 1, 2, 3],
            kind: Kind::Other,
        };
        let angles = Angles {
            torsion: &torsion,
            flow,
            reference: run(120_000, seed),
        };
        let bootstrap = Bootstrap {
            replicates: 50,
            seed,
        };
        ProfileComparison::new(&angles, &weights, &bootstrap).unwrap()
    }

    #[test]
    fn profiles_of_one_density_differ_by_their_errors() {
        let runs: Vec<ProfileComparison> = (0..20).map(|seed| compared(seed, |_| 0.0)).collect();
        let mean_square = |of: fn(&Deviation) -> f64| {
            let squares = runs.iter().map(|run| of(&run.deviation).powi(2));
            squares.sum::<f64>() / runs.len() as f64
        };
        // 20 runs of some 20 bins; the rarest have 15 independent counts, whose logarithm has no Gaussian error.
        let ratio = mean_square(|run| run.all) / mean_square(|run| run.expected);
        assert!((ratio - 1.0).abs() < 0.3, "{ratio}");
        for run in &runs {
            let Deviation {
                bins,
                empty,
                all,
                largest_z,
                ..
            } = run.deviation;
            assert!(
                (19..=23).contains(&bins) && empty == 0 && all < 0.25,
                "{bins} {all}"
            );
            assert!(largest_z < 5.0, "{largest_z}");
        }
    }

    #[test]
    fn each_profile_is_that_of_the_density_within_its_errors() {
        // The integral of the density over each bin, by Simpson's rule.
        let width = 2.0 * PI / BINS as f64;
        let exact = |bin: usize| {
            let left = -PI + bin as f64 * width;
            let p = |part: f64| (-potential(left + part * width)).exp();
            (p(0.0) + 4.0 * p(0.25) + 2.0 * p(0.5) + 4.0 * p(0.75) + p(1.0)) / 12.0
        };
        let total: f64 = (0..BINS).map(exact).sum();
        let (mut squares, mut count) = ([0.0; 2], 0.0);
        for seed in 0..20 {
            let found = compared(seed, |_| 0.0);
            let likeliest = found.reference.likeliest();
            for bin in (0..BINS).filter(|bin| exact(*bin) / total > 2e-3) {
                let level = (likeliest * total / exact(bin)).ln();
                count += 1.0;
                for (side, profile) in [&found.flow_profile, &found.reference_profile]
                    .into_iter()
                    .enumerate()
                {
                    squares[side] += ((profile[bin].value - level) / profile[bin].error).powi(2);
                }
            }
        }
        for squares in squares {
            assert!((squares / count - 1.0).abs() < 0.25, "{}", squares / count);
        }
    }

    #[test]
    fn a_well_of_too_little_weight_is_off_by_all_of_that() {
        let found = compared(3, |angle| if angle > 0.0 { -0.7 } else { 0.0 });
        let bin = |bins: &[Estimate]| bins[BINS / 2 + 2].value - bins[BINS / 2 - 3].value;
        assert!((bin(&found.flow_profile) - bin(&found.reference_profile) - 0.7).abs() < 0.15);
        let Deviation {
            all,
            expected,
            largest_z,
            ..
        } = found.deviation;
        assert!(all > 0.3 && all > 2.0 * expected && largest_z > 6.0);
    }

    #[test]
    fn a_bin_without_a_sample_is_infinitely_far_away() {
        let found = compared(4, |angle| if angle > 1.0 { f64::NEG_INFINITY } else { 0.0 });
        let Deviation {
            bins,
            empty,
            all,
            sampled,
            ..
        } = found.deviation;
        assert!(all.is_infinite() && sampled < 0.3);
        assert!(empty == 4 && bins > 18);
        let json = serde_json::to_string(&found).unwrap();
        assert!(json.contains("\"all\":null"));
        let back: ProfileComparison = serde_json::from_str(&json).unwrap();
        assert!(back.deviation.all.is_nan() && back.deviation.empty == empty);
    }
}
