//! Normalisation constants, populations, averages and free-energy differences from weights, with errors.

use crate::bootstrap::{Bootstrap, Estimate};
use crate::weights::{StatisticsError, Weights, log_sum_exp};

/// `ln Z = ln (Σw / n)`: the log of an unbiased estimate.
///
/// The delta-method error is `√(n/(n−1) · (Σw̃² − 1/n))`, with `w̃ = w/Σw`.
pub fn log_z(weights: &Weights, bootstrap: &Bootstrap) -> Estimate {
    let (n, w) = (weights.len() as f64, weights.normalised());
    let squares: f64 = w.iter().map(|w| w * w).sum();
    let delta = (n / (n - 1.0) * (squares - 1.0 / n)).max(0.0).sqrt();
    let error = bootstrap.error(w.len(), |counts| sum(w, counts).ln());
    // One sample has no error to tell.
    let delta = if w.len() < 2 { f64::INFINITY } else { delta };
    Estimate {
        value: weights.log_mean(),
        error,
        delta,
    }
}

/// `⟨f⟩ = Σwf / Σw`; the delta-method error is `√(Σ w̃² (f − ⟨f⟩)²)`. Values of samples without weight are not looked at.
///
/// # Errors
/// If there is not one finite value for every weight.
pub fn average(
    weights: &Weights,
    values: &[f64],
    bootstrap: &Bootstrap,
) -> Result<Estimate, StatisticsError> {
    let value = weights.mean(values)?;
    let delta = weights
        .weighted(values)
        .map(|(w, f)| (w * (f - value)).powi(2))
        .sum::<f64>()
        .sqrt();
    let w = weights.normalised();
    let products: Vec<f64> = w
        .iter()
        .zip(values)
        .map(|(w, f)| if *w > 0.0 { w * f } else { 0.0 })
        .collect();
    let error = bootstrap.error(w.len(), |counts| sum(&products, counts) / sum(w, counts));
    Ok(Estimate {
        value,
        error,
        delta,
    })
}

/// The populations of states `0..count`, given each sample's state; a sample in none has a number of `count` or more.
///
/// # Errors
/// If there is not one state for every weight.
pub fn populations(
    weights: &Weights,
    states: &[usize],
    count: usize,
    bootstrap: &Bootstrap,
) -> Result<Vec<Estimate>, StatisticsError> {
    weights.check_count("states", states.len())?;
    let w = weights.normalised();
    let shares = |counts: &[u32]| {
        let (mut shares, mut total) = (vec![0.0; count], 0.0);
        for ((w, state), times) in w.iter().zip(states).zip(counts) {
            let part = w * f64::from(*times);
            total += part;
            if let Some(share) = shares.get_mut(*state) {
                *share += part;
            }
        }
        for share in &mut shares {
            *share /= total;
        }
        shares
    };
    let values = shares(&vec![1; w.len()]);
    let errors = bootstrap.errors(w.len(), shares);
    let estimate = |state: usize| {
        let value = values[state];
        let variance = w.iter().zip(states).map(|(w, found)| {
            let inside = if *found == state { 1.0 } else { 0.0 };
            (w * (inside - value)).powi(2)
        });
        let error = errors.get(state).copied().unwrap_or(f64::INFINITY);
        Estimate {
            value,
            error,
            delta: variance.sum::<f64>().sqrt(),
        }
    };
    Ok((0..count).map(estimate).collect())
}

/// `F_b − F_a = −kT ln (p_b / p_a)`, in the unit of `kT`, between two states; infinite if one of them was never seen.
///
/// The delta-method error is `kT √(Σ w̃² (1_b/p_b − 1_a/p_a)²)`.
///
/// # Errors
/// If there is not one state for every weight.
pub fn free_energy_difference(
    weights: &Weights,
    states: &[usize],
    [a, b]: [usize; 2],
    kt: f64,
    bootstrap: &Bootstrap,
) -> Result<Estimate, StatisticsError> {
    weights.check_count("states", states.len())?;
    let w = weights.normalised();
    let populated = |counts: &[u32], state: usize| -> f64 {
        let samples = w.iter().zip(states).zip(counts);
        samples
            .filter(|((_, found), _)| **found == state)
            .map(|((w, _), times)| w * f64::from(*times))
            .sum()
    };
    let ones = vec![1; w.len()];
    let (p_a, p_b) = (populated(&ones, a), populated(&ones, b));
    let error = bootstrap.error(w.len(), |counts| {
        kt * (populated(counts, b) / populated(counts, a)).ln()
    });
    let variance = w.iter().zip(states).map(|(w, state)| match *state {
        state if state == a && state == b => 0.0,
        state if state == a => (w / p_a).powi(2),
        state if state == b => (w / p_b).powi(2),
        _ => 0.0,
    });
    let delta = if p_a > 0.0 && p_b > 0.0 {
        kt * variance.sum::<f64>().sqrt()
    } else {
        f64::INFINITY
    };
    Ok(Estimate {
        value: -kt * (p_b / p_a).ln(),
        error,
        delta,
    })
}

/// Kish's effective sample size over `n`, `(Σw)² / (n Σw²)`, with its errors.
///
/// The delta-method error is `e √(Σ (2w̃ − w̃²/Σw̃² − 1/n)²)`. Both are errors of the figure for this `n`; where the weights have no second
/// moment, no such figure exists, and they mean little: look at `k̂` first.
pub fn efficiency(weights: &Weights, bootstrap: &Bootstrap) -> Estimate {
    let (n, w) = (weights.len() as f64, weights.normalised());
    let squares: Vec<f64> = w.iter().map(|w| w * w).collect();
    let total: f64 = squares.iter().sum();
    let value = weights.efficiency();
    let variance = w
        .iter()
        .map(|w| (2.0 * w - w * w / total - 1.0 / n).powi(2));
    let error = bootstrap.error(w.len(), |counts| {
        sum(w, counts).powi(2) / sum(&squares, counts) / n
    });
    Estimate {
        value,
        error,
        delta: value * variance.sum::<f64>().sqrt(),
    }
}

/// `1 / (E_p[w] · E_p[1/w])`, from the log-weights `log (e^{−βU}/q)` at samples of the target `p`, up to a constant: the effective sample
/// size as the target sees it. A mode that the flow misses lowers it, while the reverse one, over samples of `q`, stays blind.
///
/// A log-weight of +∞ (`q = 0`) makes it 0. The delta-method error is `e/n √(Σ (w/E[w] + w⁻¹/E[w⁻¹] − 2)²)`; both errors take the samples as
/// independent.
///
/// # Errors
/// If there are none, or one is NaN or −∞, which no sample of the target can have.
pub fn forward_efficiency(
    log_weights: &[f64],
    bootstrap: &Bootstrap,
) -> Result<Estimate, StatisticsError> {
    if log_weights.is_empty() {
        return Err(StatisticsError::Empty);
    }
    let bad = log_weights
        .iter()
        .position(|value| value.is_nan() || *value == f64::NEG_INFINITY);
    if let Some(index) = bad {
        return Err(StatisticsError::LogWeight {
            index,
            found: log_weights[index],
        });
    }
    if log_weights.contains(&f64::INFINITY) {
        return Ok(Estimate {
            value: 0.0,
            error: f64::INFINITY,
            delta: f64::INFINITY,
        });
    }
    let n = log_weights.len() as f64;
    // Shares `w/Σw` and `w⁻¹/Σw⁻¹`: their sums over a replicate are ratios of means.
    let shares = |sign: f64| -> (f64, Vec<f64>) {
        let log_sum = log_sum_exp(log_weights.iter().map(|value| sign * value));
        let each = log_weights
            .iter()
            .map(|value| (sign * value - log_sum).exp());
        (log_sum, each.collect())
    };
    let ((log_sum, weights), (log_inverse, inverses)) = (shares(1.0), shares(-1.0));
    let value = (2.0 * n.ln() - log_sum - log_inverse).exp();
    let error = bootstrap.error(log_weights.len(), |counts| {
        value / sum(&weights, counts) / sum(&inverses, counts)
    });
    let variance = weights
        .iter()
        .zip(&inverses)
        .map(|(w, inverse)| (w + inverse - 2.0 / n).powi(2));
    Ok(Estimate {
        value,
        error,
        delta: value * variance.sum::<f64>().sqrt(),
    })
}

fn sum(values: &[f64], counts: &[u32]) -> f64 {
    values
        .iter()
        .zip(counts)
        .map(|(value, count)| value * f64::from(*count))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::normal;

    /// Target `e^{−x²/2}`, proposal a normal distribution of deviation 1.3: bounded weights.
    fn gaussian(count: usize, seed: u64) -> (Vec<f64>, Weights) {
        let sigma: f64 = 1.3;
        let x: Vec<f64> = normal(count, seed).into_iter().map(|x| sigma * x).collect();
        let log_q = |x: f64| {
            -0.5 * (x / sigma).powi(2) - sigma.ln() - 0.5 * (2.0 * std::f64::consts::PI).ln()
        };
        let weights =
            Weights::from_log(x.iter().map(|&x| -0.5 * x * x - log_q(x)).collect()).unwrap();
        (x, weights)
    }

    #[test]
    fn the_normalisation_of_a_gaussian_is_unbiased_and_its_error_right() {
        let exact = 0.5 * (2.0 * std::f64::consts::PI).ln();
        let runs: Vec<Estimate> = (0..200)
            .map(|seed| {
                log_z(
                    &gaussian(1000, seed).1,
                    &Bootstrap {
                        replicates: 50,
                        seed,
                    },
                )
            })
            .collect();
        let mean = runs.iter().map(|run| run.value.exp()).sum::<f64>() / 200.0;
        let spread = (runs
            .iter()
            .map(|run| (run.value - exact).powi(2))
            .sum::<f64>()
            / 200.0)
            .sqrt();
        assert!((mean / exact.exp() - 1.0).abs() < 4.0 * spread / 200_f64.sqrt());
        for error in [|run: &Estimate| run.error, |run: &Estimate| run.delta] {
            let typical = runs.iter().map(error).sum::<f64>() / 200.0;
            assert!(
                (typical / spread - 1.0).abs() < 0.2,
                "{typical} for {spread}"
            );
        }
    }

    #[test]
    fn both_errors_agree_for_averages_populations_and_differences() {
        let (x, weights) = gaussian(4000, 11);
        let bootstrap = Bootstrap {
            replicates: 400,
            seed: 12,
        };
        let squares: Vec<f64> = x.iter().map(|x| x * x).collect();
        let states: Vec<usize> = x
            .iter()
            .map(|&x| {
                if x < -0.5 {
                    0
                } else {
                    usize::from(x > 1.0) + 1
                }
            })
            .collect();
        let mut found = vec![average(&weights, &squares, &bootstrap).unwrap()];
        assert!((found[0].value - 1.0).abs() < 4.0 * found[0].error);
        found.extend(populations(&weights, &states, 3, &bootstrap).unwrap());
        assert!((found[1].value - 0.308538).abs() < 4.0 * found[1].error);
        assert!((found[1..].iter().map(|p| p.value).sum::<f64>() - 1.0).abs() < 1e-12);
        let difference =
            free_energy_difference(&weights, &states, [0, 2], 0.6, &bootstrap).unwrap();
        assert!(
            (difference.value + 0.6 * (0.158655_f64 / 0.308538).ln()).abs()
                < 4.0 * difference.error
        );
        found.push(difference);
        found.push(efficiency(&weights, &bootstrap));
        let reference: Vec<f64> = normal(4000, 14).iter().map(|x| -0.2 * x * x).collect();
        found.push(forward_efficiency(&reference, &bootstrap).unwrap());
        for estimate in found {
            assert!(
                (estimate.error / estimate.delta - 1.0).abs() < 0.15,
                "{estimate:?}"
            );
        }
    }

    #[test]
    fn a_state_that_was_never_seen_has_an_infinite_free_energy() {
        let weights = Weights::equal(100).unwrap();
        let found = free_energy_difference(&weights, &[0; 100], [0, 1], 1.0, &Bootstrap::default())
            .unwrap();
        assert_eq!(
            (found.value, found.error, found.delta),
            (f64::INFINITY, f64::INFINITY, f64::INFINITY)
        );
    }

    #[test]
    fn values_of_samples_without_weight_do_not_matter() {
        let weights = Weights::from_log(vec![0.0, f64::NEG_INFINITY, 0.0]).unwrap();
        assert_eq!(
            average(&weights, &[1.0, f64::NAN, 3.0], &Bootstrap::default())
                .unwrap()
                .value,
            2.0
        );
        assert!(average(&weights, &[1.0, 2.0, f64::NAN], &Bootstrap::default()).is_err());
        assert!(average(&weights, &[1.0], &Bootstrap::default()).is_err());
    }

    #[test]
    fn forward_efficiency_sees_the_mode_that_the_samples_miss() {
        let found = |log: &[f64]| forward_efficiency(log, &Bootstrap::default());
        assert!((found(&[3.0; 10]).unwrap().value - 1.0).abs() < 1e-12);
        // Half of the target has a thousandth of the flow's density.
        let log: Vec<f64> = (0..1000)
            .map(|i| if i % 2 == 0 { 0.0 } else { 1000_f64.ln() })
            .collect();
        assert!(found(&log).unwrap().value < 0.005);
        assert_eq!(found(&[0.0, f64::INFINITY]).unwrap().value, 0.0);
        assert!(found(&[f64::NEG_INFINITY]).is_err());
    }

    #[test]
    fn forward_and_reverse_efficiency_of_log_normal_weights_agree() {
        let sigma: f64 = 0.6;
        // Under the target, log-weights are shifted by their variance.
        let log: Vec<f64> = normal(200_000, 13)
            .into_iter()
            .map(|x| sigma * x + sigma * sigma)
            .collect();
        let few = Bootstrap {
            replicates: 50,
            seed: 1,
        };
        let found = forward_efficiency(&log, &few).unwrap();
        assert!((found.value - (-sigma * sigma).exp()).abs() < 0.01);
        assert!((found.error / found.delta - 1.0).abs() < 0.4, "{found:?}");
    }
}
