//! What distances between points are like in the data.

use boltzflow_molecule::Conformers;
use serde::{Deserialize, Serialize};

use crate::pairing::Symmetry;

/// Mean and variance of the squared distance of each pair, in latent units, alike for pairs that a symmetry exchanges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairStatistics {
    /// `E d²`, row by row.
    pub mean: Vec<f64>,
    /// `Var d²`, row by row.
    pub variance: Vec<f64>,
}

impl PairStatistics {
    /// Those of configurations whose unit is `scale` data units.
    pub fn of(data: &Conformers, scale: f64, symmetry: &Symmetry) -> Self {
        let (points, dims) = (data.points(), data.dims());
        let mut first = vec![0.0; points * points];
        let mut second = first.clone();
        for x in data.iter() {
            for (pair, (first, second)) in first.iter_mut().zip(&mut second).enumerate() {
                let (i, j) = (pair / points, pair % points);
                let square = (0..dims)
                    .map(|axis| ((x[i * dims + axis] - x[j * dims + axis]) / scale).powi(2))
                    .sum::<f64>();
                *first += square;
                *second += square * square;
            }
        }
        let count = data.len() as f64;
        let mean = symmetrised(first, points, symmetry, count);
        let variance = symmetrised(second, points, symmetry, count)
            .iter()
            .zip(&mean)
            .map(|(second, mean)| (second - mean * mean).max(0.0))
            .collect();
        Self { mean, variance }
    }
}

/// Averages over all pairs that the symmetry exchanges with each; the diagonal stays zero.
fn symmetrised(sums: Vec<f64>, points: usize, symmetry: &Symmetry, count: f64) -> Vec<f64> {
    match symmetry {
        Symmetry::Any => {
            let mean = sums.iter().sum::<f64>() / count / (points * (points - 1)) as f64;
            (0..points * points)
                .map(|pair| if pair % (points + 1) == 0 { 0.0 } else { mean })
                .collect()
        }
        Symmetry::List(permutations) => {
            let scale = 1.0 / (count * permutations.len().max(1) as f64);
            let mut means = vec![0.0; points * points];
            for (pair, mean) in means.iter_mut().enumerate() {
                let (i, j) = (pair / points, pair % points);
                let total: f64 = permutations
                    .iter()
                    .map(|p| sums[p[i] * points + p[j]])
                    .sum();
                *mean = scale * total;
            }
            means
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    /// Three points on a line: distances 1, 2 and 3, then 1, 4 and 5.
    fn data() -> Conformers {
        Conformers::new(3, 1, vec![0.0, 1.0, 3.0, 0.0, 1.0, 5.0])
    }

    #[test]
    fn without_symmetry_every_pair_has_its_own() {
        let found = PairStatistics::of(&data(), 1.0, &Symmetry::List(vec![vec![0, 1, 2]]));
        assert_eq!(
            found.mean,
            [0.0, 1.0, 17.0, 1.0, 0.0, 10.0, 17.0, 10.0, 0.0]
        );
        assert_eq!(found.variance[..3], [0.0, 0.0, 64.0]);
    }

    #[test]
    fn pairs_that_are_exchanged_are_pooled() {
        let swap = Symmetry::List(vec![vec![0, 1, 2], vec![2, 1, 0]]);
        let found = PairStatistics::of(&data(), 1.0, &swap);
        assert_eq!(found.mean[1], 5.5);
        assert_eq!(found.mean[5], 5.5);
        assert_eq!(found.mean[2], 17.0);
        let any = PairStatistics::of(&data(), 2.0, &Symmetry::Any);
        assert_relative_eq!(any.mean[1], (1.0 + 17.0 + 10.0) / 3.0 / 4.0);
        assert_eq!(any.mean[4], 0.0);
    }
}
