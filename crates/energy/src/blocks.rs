//! Errors of averages over correlated samples.

/// Fewer blocks than this say nothing of their variance.
const FEWEST: usize = 16;

/// The mean of a series and its standard error, by blocking (Flyvbjerg and Petersen, 1989).
///
/// Neighbours are averaged pairwise again and again; the error of the mean estimated from the blocks grows until the blocks are
/// independent. The answer is the largest estimate among the levels of at least 16 blocks: a cautious one, some 20 % too large for
/// independent samples.
///
/// The error of fewer than two values is infinite.
pub fn mean_and_error(series: &[f64]) -> (f64, f64) {
    let mean = series.iter().sum::<f64>() / series.len() as f64;
    let best = levels(series)
        .map_while(|blocks| level_error(&blocks))
        .reduce(f64::max);
    (mean, best.unwrap_or(f64::INFINITY))
}

/// The autocorrelation time `τ = 1 + 2 Σ ρ_k` in steps of the series: the variance of its mean is `τ σ²/n`, so `n / τ` is the number of
/// independent samples.
///
/// It is `b Var(blocks) / Var(series)` with the shortest blocks (of `b = 1, 2, 4, …` steps) that, with all longer ones, show no correlation
/// between neighbours: the automated test of Jonsson (2018) at 95 %. No window over lags has to close, so the series may hold the frames of
/// several chains in turn: these are correlated at multiples of their number only, which a window such as Sokal's `M ≥ 5 τ(M)` meets with zeros
/// and takes for independence, whereas blocks longer than a turn are correlated in the ordinary way.
///
/// Correlation that hides in the noise is missed: τ comes out too small by about as much as it is uncertain, in all some 20 % where there are
/// a thousand independent samples a chain. A constant series, and one of fewer than 32 values, has τ = 1.
pub fn autocorrelation_time(series: &[f64]) -> f64 {
    let levels: Vec<Level> = levels(series).map(|blocks| Level::of(&blocks)).collect();
    let variance = levels[0].variance;
    if variance <= 0.0 {
        return 1.0;
    }
    let is_independent = |first: &usize| {
        let later = &levels[*first..];
        let statistic: f64 = later.iter().map(|level| level.correlation).sum();
        statistic < chi_squared(later.len())
    };
    let last = levels.len() - 1;
    let level = (0..last).find(is_independent).unwrap_or(last);
    let length = (1_u64 << level) as f64;
    (length * levels[level].variance / variance).max(1.0 / series.len() as f64)
}

/// The series itself, then averages of ever longer blocks, each twice as long as the one before, while there are at least [`FEWEST`].
fn levels(series: &[f64]) -> impl Iterator<Item = Vec<f64>> {
    std::iter::successors(Some(series.to_vec()), |blocks| {
        let halved = blocks.chunks_exact(2);
        let halved = halved.map(|pair| f64::midpoint(pair[0], pair[1]));
        (blocks.len() >= 2 * FEWEST).then(|| halved.collect())
    })
}

/// What blocks of one length are like.
struct Level {
    variance: f64,
    /// `n (ρ₁ + 1/n)²`: the squared correlation of neighbours less its bias, in units of its variance without any correlation.
    correlation: f64,
}

impl Level {
    fn of(blocks: &[f64]) -> Self {
        let n = blocks.len() as f64;
        let mean = blocks.iter().sum::<f64>() / n;
        let product = |a: &f64, b: &f64| (a - mean) * (b - mean);
        let squares: f64 = blocks.iter().map(|value| product(value, value)).sum();
        let neighbours = blocks.iter().zip(blocks.iter().skip(1));
        let products: f64 = neighbours.map(|(a, b)| product(a, b)).sum();
        let correlation = if squares > 0.0 {
            n * (products / squares + (n - 1.0) / (n * n)).powi(2)
        } else {
            0.0
        };
        Self {
            variance: squares / (n - 1.0).max(1.0),
            correlation,
        }
    }
}

/// What a χ² variable stays below with 95 % (Wilson and Hilferty, 1931).
fn chi_squared(degrees: usize) -> f64 {
    const NORMAL: f64 = 1.6449;
    let k = degrees as f64;
    let variance = 2.0 / (9.0 * k);
    k * (1.0 - variance + NORMAL * variance.sqrt()).powi(3)
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
        chain(a, n, 3)
    }

    fn chain(a: f64, n: usize, seed: u64) -> Vec<f64> {
        let mut stream = Stream::new(seed, 0);
        let mut x = stream.normal();
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
        assert_relative_eq!(autocorrelation_time(&series), time, max_relative = 0.2);
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
    fn chains_written_in_turn_have_the_time_of_each() {
        let (a, n) = (0.9, 1 << 13);
        let time = (1.0 + a) / (1.0 - a);
        for count in [1, 3, 4, 16] {
            let found = (0..10).map(|run| {
                let chains: Vec<Vec<f64>> = (0..count)
                    .map(|index| chain(a, n, 1 + count * run + index))
                    .collect();
                let frame = |k: usize| chains.iter().map(move |chain| chain[k]);
                autocorrelation_time(&(0..n).flat_map(frame).collect::<Vec<_>>())
            });
            let mean = found.sum::<f64>() / 10.0;
            assert_relative_eq!(mean, time, max_relative = 0.25);
        }
    }

    #[test]
    fn a_constant_or_short_series_has_a_time_of_one() {
        assert_eq!(autocorrelation_time(&[2.0; 100]), 1.0);
        assert_eq!(autocorrelation_time(&[2.0]), 1.0);
        assert_eq!(autocorrelation_time(&[0.0, 1.0, 2.0]), 1.0);
    }

    #[test]
    fn one_value_has_no_error_bar() {
        assert_eq!(mean_and_error(&[2.0]), (2.0, f64::INFINITY));
    }
}
