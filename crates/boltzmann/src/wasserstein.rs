//! Wasserstein-2 distances between samples: on the line, and on the torus of two dihedral angles.

use std::f64::consts::PI;

use crate::assignment::assignment;
use crate::weights::{StatisticsError, Weights};

/// The most samples that [`torus`] assigns: time grows with the cube of their number at worst.
pub const MOST_ON_TORUS: usize = 20_000;

/// `W₂` between two weighted samples of the line, exactly: `W₂² = ∫₀¹ (F_a⁻¹(u) − F_b⁻¹(u))² du`. E-W2 is this, of reduced energies.
///
/// Its expectation between two samples of one distribution is not zero: compare with the same distance within the reference.
///
/// # Errors
/// If there is not one finite value for every weight.
pub fn line(
    a: &[f64],
    a_weights: &Weights,
    b: &[f64],
    b_weights: &Weights,
) -> Result<f64, StatisticsError> {
    a_weights.check_values("values", a)?;
    b_weights.check_values("values", b)?;
    let sorted = |values: &[f64], weights: &Weights| {
        let mut pairs: Vec<(f64, f64)> = weights
            .weighted(values)
            .map(|(w, value)| (value, w))
            .collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        pairs
    };
    let (a, b) = (sorted(a, a_weights), sorted(b, b_weights));
    let (mut i, mut j) = (0, 0);
    let (mut left_a, mut left_b) = (a[0].1, b[0].1);
    let mut sum = 0.0;
    loop {
        let mass = left_a.min(left_b);
        sum += mass * (a[i].0 - b[j].0).powi(2);
        (left_a, left_b) = (left_a - mass, left_b - mass);
        if left_a <= 0.0 {
            i += 1;
            let Some(next) = a.get(i) else { break };
            left_a = next.1;
        }
        if left_b <= 0.0 {
            j += 1;
            let Some(next) = b.get(j) else { break };
            left_b = next.1;
        }
    }
    Ok(sum.sqrt())
}

/// `W₂` between two equally large samples of pairs of angles in radians, with `d² = Δφ² + Δψ²` wrapped, by exact assignment. T-W2 is this, of φ and ψ.
///
/// # Errors
/// If the samples are empty, of unequal size, larger than [`MOST_ON_TORUS`], or not finite.
pub fn torus(a: &[[f64; 2]], b: &[[f64; 2]]) -> Result<f64, StatisticsError> {
    if a.is_empty() {
        return Err(StatisticsError::Empty);
    }
    if a.len() != b.len() {
        return Err(StatisticsError::Count {
            what: "pairs of angles",
            expected: a.len(),
            found: b.len(),
        });
    }
    if a.len() > MOST_ON_TORUS {
        let range = "at most 20000: draw fewer";
        return Err(StatisticsError::Range {
            what: "the number of pairs of angles",
            found: a.len() as f64,
            range,
        });
    }
    for (index, angle) in a.iter().chain(b).enumerate() {
        if let Some(&found) = angle.iter().find(|angle| !angle.is_finite()) {
            return Err(StatisticsError::Value {
                what: "pair of angles",
                index: index % a.len(),
                found,
            });
        }
    }
    let turned = |angles: &[[f64; 2]], axis: usize| -> Vec<f64> {
        angles
            .iter()
            .map(|angle| angle[axis].rem_euclid(2.0 * PI))
            .collect()
    };
    let [a_phi, a_psi, b_phi, b_psi] = [turned(a, 0), turned(a, 1), turned(b, 0), turned(b, 1)];
    let wrapped = |difference: f64| {
        let distance = difference.abs();
        distance.min(2.0 * PI - distance)
    };
    let cost = |i: usize, j: usize| {
        wrapped(a_phi[i] - b_phi[j]).powi(2) + wrapped(a_psi[i] - b_psi[j]).powi(2)
    };
    let columns = assignment(a.len(), cost);
    let sum: f64 = columns.iter().enumerate().map(|(i, &j)| cost(i, j)).sum();
    Ok((sum / a.len() as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn uniform(count: usize, seed: u64) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| random.random()).collect()
    }

    #[test]
    fn a_shift_is_its_own_distance() {
        let a = uniform(500, 1);
        let b: Vec<f64> = a.iter().rev().map(|x| x - 2.5).collect();
        let equal = Weights::equal(500).unwrap();
        assert!((line(&a, &equal, &b, &equal).unwrap() - 2.5).abs() < 1e-12);
        assert!(line(&a, &equal, &a, &equal).unwrap() < 1e-12);
    }

    #[test]
    fn a_weight_of_two_is_a_sample_twice() {
        let weights = Weights::from_log(vec![2_f64.ln(), 0.0, f64::NEG_INFINITY]).unwrap();
        let (three, other) = (Weights::equal(3).unwrap(), [0.5, 0.0, 4.0]);
        let weighted = line(&[1.0, 3.0, 99.0], &weights, &other, &three).unwrap();
        let twice = line(&[1.0, 1.0, 3.0], &three, &other, &three).unwrap();
        assert!((weighted - twice).abs() < 1e-12);
    }

    #[test]
    fn samples_of_unequal_number_are_compared() {
        let (a, b) = (Weights::equal(1).unwrap(), Weights::equal(2).unwrap());
        assert!((line(&[0.0], &a, &[-1.0, 1.0], &b).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_torus_wraps() {
        let a = [[PI - 0.1, 0.0]];
        assert!((torus(&a, &[[0.2 - PI, 0.0]]).unwrap() - 0.3).abs() < 1e-12);
        assert!((torus(&a, &[[PI - 0.1 + 4.0 * PI, 0.4]]).unwrap() - 0.4).abs() < 1e-12);
    }

    #[test]
    fn a_small_shift_on_the_torus_is_its_own_distance() {
        let x = uniform(400, 2);
        let a: Vec<[f64; 2]> = x.chunks(2).map(|x| [7.0 * x[0], 7.0 * x[1]]).collect();
        let b: Vec<[f64; 2]> = a
            .iter()
            .rev()
            .map(|x| [x[0] + 0.003, x[1] - 0.004])
            .collect();
        assert!((torus(&a, &b).unwrap() - 0.005).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        assert_eq!(torus(&[], &[]).unwrap_err(), StatisticsError::Empty);
        assert!(torus(&[[0.0; 2]], &[[0.0; 2]; 2]).is_err());
        assert!(torus(&[[f64::NAN, 0.0]], &[[0.0; 2]]).is_err());
    }
}
