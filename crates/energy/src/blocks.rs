//! Errors of averages over correlated samples.

/// The mean of a series and its standard error, by blocking (Flyvbjerg and Petersen, 1989).
///
/// Neighbours are averaged pairwise again and again; the error of the mean estimated from the blocks grows until the blocks are
/// independent. The answer is the largest estimate among the levels of at least 16 blocks: a cautious one, some 20 % too large for
/// independent samples.
///
/// The error of fewer than two values is infinite.
pub fn mean_and_error(series: &[f64]) -> (f64, f64) {
    let mean = series.iter().sum::<f64>() / series.len() as f64;
    let mut blocks = series.to_vec();
    let mut best = level_error(&blocks).unwrap_or(f64::INFINITY);
    while blocks.len() >= 32 {
        blocks = blocks
            .chunks_exact(2)
            .map(|pair| f64::midpoint(pair[0], pair[1]))
            .collect();
        let Some(error) = level_error(&blocks) else {
            break;
        };
        best = best.max(error);
    }
    (mean, best)
}

/// The integrated autocorrelation time `τ = 1 + 2 Σ ρ_k` in steps of the series, summed up to the first window `M ≥ 5 τ(M)` (Sokal, 1997).
/// `n / τ` is the number of independent samples.
///
/// A constant series has τ = 1.
pub fn autocorrelation_time(series: &[f64]) -> f64 {
    let n = series.len();
    let mean = series.iter().sum::<f64>() / n as f64;
    let centred: Vec<f64> = series.iter().map(|value| value - mean).collect();
    let variance = centred.iter().map(|value| value * value).sum::<f64>();
    if variance <= 0.0 {
        return 1.0;
    }
    let mut time = 1.0;
    for lag in 1..n {
        let covariance: f64 = centred
            .iter()
            .zip(&centred[lag..])
            .map(|(a, b)| a * b)
            .sum();
        time += 2.0 * covariance / variance;
        if lag as f64 >= 5.0 * time {
            break;
        }
    }
    time.max(1.0 / n as f64)
}

/// The standard error of the mean if the blocks were independent.
fn level_error(blocks: &[f64]) -> Option<f64> {
    let n = blocks.len() as f64;
    let mean = blocks.iter().sum::<f64>() / n;
    let variance = blocks
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / (n - 1.0);
    (n > 1.0).then(|| (variance / n).sqrt())
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;
    use crate::random::Stream;

    /// `x' = a x + √(1 − a²) ξ`, whose autocorrelation time is `(1 + a) / (1 − a)`.
    fn autoregressive(a: f64, n: usize) -> Vec<f64> {
        let mut stream = Stream::new(3, 0);
        let mut x = 0.0;
        (0..n)
            .map(|_| {
                x = a * x + (1.0 - a * a).sqrt() * stream.normal();
                x
            })
            .collect()
    }

    #[test]
    fn the_error_of_correlated_samples_follows_from_their_autocorrelation_time() {
        let (a, n) = (0.9, 1 << 17);
        let series = autoregressive(a, n);
        let time = (1.0 + a) / (1.0 - a);
        assert_relative_eq!(autocorrelation_time(&series), time, max_relative = 0.1);
        let (mean, error) = mean_and_error(&series);
        let expected = (time / n as f64).sqrt();
        assert!(
            error > 0.85 * expected && error < 2.0 * expected,
            "{error} for {expected}"
        );
        assert!(mean.abs() < 4.0 * expected);
    }

    #[test]
    fn independent_samples_have_the_textbook_error() {
        let series = autoregressive(0.0, 1 << 14);
        assert_relative_eq!(autocorrelation_time(&series), 1.0, epsilon = 0.15);
        let (_, error) = mean_and_error(&series);
        assert!(error > 0.0077 && error < 0.0125, "{error}");
    }

    #[test]
    fn one_value_has_no_error_bar() {
        assert_eq!(mean_and_error(&[2.0]), (2.0, f64::INFINITY));
    }
}
