//! What distances between points are like in the data.

use boltzflow_flow::{FlowError, Mixing, Space};
use boltzflow_molecule::Conformers;
use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use crate::pairing::Symmetry;

/// Noise has at least this part of the largest variance in every direction.
const LEAST_VARIANCE: f64 = 1e-4;

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
        for x in data {
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
        let mean = symmetrised(&first, points, symmetry, count);
        let variance = symmetrised(&second, points, symmetry, count)
            .iter()
            .zip(&mean)
            .map(|(second, mean)| (second - mean * mean).max(0.0))
            .collect();
        Self { mean, variance }
    }

    /// The root of the points' covariance `E[x_i·x_j]/D`, as a map of noise whose mean squared distances are those of the data. The
    /// covariance follows from the distances (Torgerson 1952): `−½ J E[d²] J/D` with `J` the projection onto the mean-free space.
    pub fn mixing(&self, points: usize, dims: usize) -> Result<Mixing, FlowError> {
        let squares = DMatrix::from_row_slice(points, points, &self.mean);
        // In a basis of that space, so that no eigenvector leaves it, however few frames there are.
        let basis = Space::MeanFree { points, dims: 1 }.basis().concat();
        let basis = DMatrix::from_vec(points, points - 1, basis);
        let covariance = basis.transpose() * squares * &basis * (-0.5 / dims as f64);
        let eigen = covariance.symmetric_eigen();
        let least = LEAST_VARIANCE * eigen.eigenvalues.max();
        let vectors = basis * eigen.eigenvectors;
        let roots: Vec<f64> = eigen
            .eigenvalues
            .iter()
            .map(|value| value.max(least).sqrt())
            .collect();
        Mixing::new(Space::MeanFree { points, dims }, vectors.as_slice(), &roots)
    }
}

/// Averages over all pairs that the symmetry exchanges with each; the diagonal stays zero.
fn symmetrised(sums: &[f64], points: usize, symmetry: &Symmetry, count: f64) -> Vec<f64> {
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
        Symmetry::Generated(generators) => {
            let leaders = exchanged(points, generators);
            let mut totals = vec![(0.0, 0.0); points * points];
            for (&leader, sum) in leaders.iter().zip(sums) {
                let (total, pairs) = &mut totals[leader];
                (*total, *pairs) = (*total + sum, *pairs + 1.0);
            }
            let mean = |leader: &usize| totals[*leader].0 / (count * totals[*leader].1);
            leaders.iter().map(mean).collect()
        }
    }
}

/// For each pair, row by row, one of those that products of the permutations and the exchange of its two points make of it: always the same.
fn exchanged(points: usize, permutations: &[Vec<usize>]) -> Vec<usize> {
    fn root(leaders: &[usize], mut pair: usize) -> usize {
        while leaders[pair] != pair {
            pair = leaders[pair];
        }
        pair
    }
    let mut leaders: Vec<usize> = (0..points * points).collect();
    for permutation in permutations {
        for pair in 0..points * points {
            let (i, j) = (pair / points, pair % points);
            let images = [permutation[i] * points + permutation[j], j * points + i];
            for image in images {
                let (a, b) = (root(&leaders, pair), root(&leaders, image));
                leaders[a.max(b)] = a.min(b);
                leaders[pair] = a.min(b);
            }
        }
    }
    (0..points * points)
        .map(|pair| root(&leaders, pair))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use boltzflow_flow::{Bijection, Context, Samples, host};
    use burn::tensor::{DType, Device, Tensor, TensorData};

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
    fn noise_gets_the_mean_squared_distances_of_the_data() {
        let data = Conformers::new(
            3,
            2,
            vec![0.0, 0.0, 1.0, 0.2, 0.3, 2.0, 0.0, 0.1, -1.0, 0.0, 0.3, 1.0],
        );
        let found = PairStatistics::of(&data, 0.7, &Symmetry::List(vec![vec![0, 1, 2]]));
        let mixing = found.mixing(3, 2).unwrap();
        // S Sᵀ from the images of an orthonormal basis; an axis of a pair's difference has the variance |S_i − S_j|².
        let (images, _) = images(&mixing);
        for (i, j) in [(0, 1), (1, 2), (0, 2)] {
            let square: f64 = images
                .iter()
                .map(|y| {
                    (0..2)
                        .map(|axis| (y[2 * i + axis] - y[2 * j + axis]).powi(2))
                        .sum::<f64>()
                })
                .sum();
            assert_relative_eq!(square, found.mean[3 * i + j], max_relative = 1e-9);
        }
    }

    /// What the map makes of each vector of the basis of its space, and its log-determinant.
    fn images(mixing: &Mixing) -> (Vec<Vec<f64>>, f64) {
        let space = mixing.input();
        let (points, dims) = (space.points(), space.dims());
        let device = Device::flex();
        let samples = Samples::consecutive(0, 0..space.dimension() as u64);
        let context = Context::alike(points, samples, &device, DType::F64);
        let x = TensorData::new(space.basis().concat(), [space.dimension(), points, dims]);
        let x = Tensor::from_data(x, (&device, DType::F64));
        let (y, log_det) = mixing.forward(x, &context).unwrap();
        let y = host(y);
        let images = y.chunks(points * dims).map(<[f64]>::to_vec);
        (images.collect(), host(log_det)[0])
    }

    fn cloud(frames: usize, points: usize) -> PairStatistics {
        let positions = (0..frames * points * 3).map(|k| (1.0 + (k * k) as f64 * 0.37).sin());
        let data = Conformers::new(points, 3, positions.collect());
        PairStatistics::of(&data, 1.3, &Symmetry::List(vec![(0..points).collect()]))
    }

    /// The map by deflation of the centroid's direction, which is right where no other eigenvalue is zero.
    fn deflated(statistics: &PairStatistics, points: usize, dims: usize) -> Mixing {
        let squares = DMatrix::from_row_slice(points, points, &statistics.mean);
        let projection = DMatrix::identity(points, points).add_scalar(-1.0 / points as f64);
        let covariance = &projection * squares * &projection * (-0.5 / dims as f64);
        let eigen = covariance.symmetric_eigen();
        let uniform = |k: &usize| eigen.eigenvectors.column(*k).sum().abs();
        let centroid = (0..points).max_by(|a, b| uniform(a).total_cmp(&uniform(b)));
        let kept: Vec<usize> = (0..points).filter(|k| Some(*k) != centroid).collect();
        let least = LEAST_VARIANCE * eigen.eigenvalues.max();
        let vectors = eigen.eigenvectors.select_columns(&kept);
        let root = |&k: &usize| eigen.eigenvalues[k].max(least).sqrt();
        let roots: Vec<f64> = kept.iter().map(root).collect();
        Mixing::new(Space::MeanFree { points, dims }, vectors.as_slice(), &roots).unwrap()
    }

    #[test]
    fn where_there_are_many_frames_the_basis_makes_no_difference() {
        let statistics = cloud(200, 8);
        let (found, log_det) = images(&statistics.mixing(8, 3).unwrap());
        let (expected, expected_log_det) = images(&deflated(&statistics, 8, 3));
        assert_relative_eq!(log_det, expected_log_det, epsilon = 1e-11);
        for (found, expected) in found.concat().iter().zip(expected.concat()) {
            assert_relative_eq!(*found, expected, epsilon = 1e-11);
        }
    }

    #[test]
    fn fewer_frames_than_atoms_give_a_lawful_map() {
        for frames in [1, 2] {
            let (points, dims) = (12, 3);
            let mixing = cloud(frames, points).mixing(points, dims).unwrap();
            let (images, log_det) = images(&mixing);
            for image in &images {
                for axis in 0..dims {
                    let sum: f64 = image.iter().skip(axis).step_by(dims).sum();
                    assert!(sum.abs() < 1e-12, "{sum:e}");
                }
            }
            let space = mixing.input();
            let columns = images.iter().flat_map(|image| space.project(image));
            let size = space.dimension();
            let matrix = DMatrix::from_iterator(size, size, columns);
            let found = matrix.determinant().abs().ln();
            assert_relative_eq!(found, log_det, epsilon = 1e-8);
        }
    }

    #[test]
    fn a_group_and_its_generators_pool_alike() {
        let turns = [vec![0, 1, 2, 3], vec![1, 2, 0, 3], vec![2, 0, 1, 3]];
        let positions = (0..60).map(|k| f64::from(k * k % 17)).collect();
        let data = Conformers::new(4, 3, positions);
        let listed = PairStatistics::of(&data, 1.0, &Symmetry::List(turns.to_vec()));
        let generated = Symmetry::Generated(vec![turns[1].clone()]);
        let generated = PairStatistics::of(&data, 1.0, &generated);
        for (a, b) in listed.mean.iter().zip(&generated.mean) {
            assert_relative_eq!(a, b, epsilon = 1e-12);
        }
        for (a, b) in listed.variance.iter().zip(&generated.variance) {
            assert_relative_eq!(a, b, max_relative = 1e-12);
        }
    }

    #[test]
    fn they_are_read_back_to_the_last_bit() {
        let values: Vec<f64> = (1..5000)
            .map(|k| (0.7 * f64::from(k)).sin().powi(2))
            .collect();
        let written = PairStatistics {
            mean: values.clone(),
            variance: values,
        };
        let text = serde_json::to_string(&written).unwrap();
        assert_eq!(
            serde_json::from_str::<PairStatistics>(&text).unwrap(),
            written
        );
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
