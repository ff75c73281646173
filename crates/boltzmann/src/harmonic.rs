//! Noise that a bond graph's springs hold together.

use boltzflow_flow::{FlowError, Mixing, Space};
use nalgebra::DMatrix;

use crate::distances::PairStatistics;

/// The map from standard normal noise to the harmonic prior `p(x) ∝ exp(−½ k Σ_bonds |x_i − x_j|²)` of a bond graph (Jing et al. 2023): `L^{−½}/√k`
/// on the mean-free space, `L` the graph's Laplacian. The prior is thereby normalised: its density is that of the noise, less the map's
/// log-determinant `−½ D (ln det* L + (N − 1) ln k)`, `det*` the product of the eigenvalues that are not zero. A bond that is listed twice counts twice.
///
/// # Errors
/// [`FlowError::Unsupported`] where bonds do not hold all points together, or are between points that there are not;
/// [`FlowError::Scale`] unless the stiffness is positive and finite.
pub fn harmonic_mixing(
    points: usize,
    dims: usize,
    bonds: &[[usize; 2]],
    stiffness: f64,
) -> Result<Mixing, FlowError> {
    check(points, bonds)?;
    if !(stiffness.is_finite() && stiffness > 0.0) {
        return Err(FlowError::Scale { scale: stiffness });
    }
    // In a basis of the mean-free space, where no eigenvalue is zero.
    let axis = Space::MeanFree { points, dims: 1 };
    let basis = DMatrix::from_vec(points, axis.dimension(), axis.basis().concat());
    let eigen = (basis.transpose() * laplacian(points, bonds) * &basis).symmetric_eigen();
    let roots: Vec<f64> = eigen
        .eigenvalues
        .iter()
        .map(|value| (stiffness * value).sqrt().recip())
        .collect();
    let vectors = basis * eigen.eigenvectors;
    Mixing::new(Space::MeanFree { points, dims }, vectors.as_slice(), &roots)
}

/// `L`: every bond adds one to both of its points' diagonal entries, and takes one from the entries between them.
fn laplacian(points: usize, bonds: &[[usize; 2]]) -> DMatrix<f64> {
    let mut matrix = DMatrix::zeros(points, points);
    for &[i, j] in bonds {
        matrix[(i, i)] += 1.0;
        matrix[(j, j)] += 1.0;
        matrix[(i, j)] -= 1.0;
        matrix[(j, i)] -= 1.0;
    }
    matrix
}

/// Refuses bonds that leave the points in pieces.
fn check(points: usize, bonds: &[[usize; 2]]) -> Result<(), FlowError> {
    if let Some([i, j]) = bonds.iter().find(|[i, j]| *i.max(j) >= points) {
        return Err(FlowError::Unsupported {
            what: format!(
                "a bond between points {i} and {j} cannot be among {points} points, counted from 0"
            ),
        });
    }
    // The least point of each one's piece.
    let mut leaders: Vec<usize> = (0..points).collect();
    for &[i, j] in bonds {
        let (kept, gone) = (leaders[i].min(leaders[j]), leaders[i].max(leaders[j]));
        for leader in &mut leaders {
            if *leader == gone {
                *leader = kept;
            }
        }
    }
    let pieces = (0..points).filter(|&point| leaders[point] == point).count();
    if pieces > 1 {
        return Err(FlowError::Unsupported {
            what: format!(
                "harmonic noise needs bonds that hold all points together, but {} bonds leave {points} points in {pieces} pieces; \
                 use noise of the data's covariance",
                bonds.len()
            ),
        });
    }
    Ok(())
}

impl PairStatistics {
    /// The stiffness with which the harmonic prior of these bonds makes the data likeliest, `k = D (N − 1)/Σ_bonds E d²`. In a graph without rings
    /// it gives bonds the mean square of their lengths in the data, on average.
    pub fn stiffness(&self, points: usize, dims: usize, bonds: &[[usize; 2]]) -> f64 {
        let squares = bonds.iter().map(|[i, j]| self.mean[i * points + j]);
        Space::MeanFree { points, dims }.dimension() as f64 / squares.sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairing::Symmetry;
    use approx::assert_relative_eq;
    use boltzflow_flow::{Bijection, Context, MeanFreeGaussian, Points, Prior, Samples, host};
    use boltzflow_molecule::Conformers;
    use burn::tensor::{DType, Device, Tensor, TensorData};

    /// A ring of three with a tail of two.
    const BONDS: [[usize; 2]; 5] = [[0, 1], [1, 2], [2, 0], [2, 3], [3, 4]];

    fn cloud(values: Vec<f64>, points: usize, dims: usize) -> Points {
        let batch = values.len() / (points * dims);
        let data = TensorData::new(values, [batch, points, dims]);
        Tensor::from_data(data, (&Device::flex(), DType::F64))
    }

    fn context(points: usize, samples: Samples) -> Context {
        Context::alike(points, samples, &Device::flex(), DType::F64)
    }

    /// Log-densities of standard normal noise that the map has been applied to.
    fn log_density(mixing: &Mixing, y: &[f64]) -> Vec<f64> {
        let space = mixing.input();
        let (points, dims) = (space.points(), space.dims());
        let context = context(points, Samples::consecutive(0, 0..1));
        let y = cloud(y.to_vec(), points, dims);
        let (x, log_det) = mixing.inverse(y, &context).unwrap();
        let noise = MeanFreeGaussian { points, dims }.log_density(&host(x));
        let both = noise.iter().zip(host(log_det));
        both.map(|(noise, log_det)| noise + log_det).collect()
    }

    /// `−½ k Σ |x_i − x_j|²` of one cloud.
    fn springs(x: &[f64], dims: usize, bonds: &[[usize; 2]], stiffness: f64) -> f64 {
        let square = |i: usize, j: usize| {
            let axes = (0..dims).map(|axis| (x[i * dims + axis] - x[j * dims + axis]).powi(2));
            axes.sum::<f64>()
        };
        let squares = bonds.iter().map(|&[i, j]| square(i, j));
        -0.5 * stiffness * squares.sum::<f64>()
    }

    #[test]
    fn densities_integrate_to_one() {
        // Midpoints of cells over orthonormal coordinates; noise of these stiffnesses is well inside.
        let cells = 200;
        let place = |k: usize| (k as f64 + 0.5) / f64::from(cells) * 20.0 - 10.0;
        let step = 20.0 / f64::from(cells);
        let two = harmonic_mixing(2, 1, &[[0, 1]], 0.8).unwrap();
        let axis = two.input();
        let clouds: Vec<f64> = (0..cells as usize)
            .flat_map(|k| axis.embed(&[place(k)]))
            .collect();
        let mass: f64 = log_density(&two, &clouds).iter().map(|p| p.exp()).sum();
        assert_relative_eq!(mass * step, 1.0, epsilon = 1e-12);

        let three = harmonic_mixing(3, 1, &[[0, 1], [1, 2]], 1.7).unwrap();
        let plane = three.input();
        let clouds: Vec<f64> = (0..(cells * cells) as usize)
            .map(|k| [place(k / cells as usize), place(k % cells as usize)])
            .flat_map(|z| plane.embed(&z))
            .collect();
        let mass: f64 = log_density(&three, &clouds).iter().map(|p| p.exp()).sum();
        assert_relative_eq!(mass * step * step, 1.0, epsilon = 1e-12);
    }

    #[test]
    fn densities_differ_as_the_springs_energies_do() {
        let (points, dims, stiffness) = (5, 3, 2.3);
        let mixing = harmonic_mixing(points, dims, &BONDS, stiffness).unwrap();
        let prior = MeanFreeGaussian { points, dims };
        let clouds = prior.sample(&Samples::consecutive(4, 0..6));
        let found = log_density(&mixing, &clouds);
        let expected: Vec<f64> = clouds
            .chunks(points * dims)
            .map(|x| springs(x, dims, &BONDS, stiffness))
            .collect();
        for (found_one, expected_one) in found.iter().zip(&expected) {
            assert_relative_eq!(
                found_one - found[0],
                expected_one - expected[0],
                epsilon = 1e-10
            );
        }
    }

    #[test]
    fn its_log_determinant_counts_the_spanning_trees() {
        // det* L = N times the number of spanning trees (Kirchhoff 1847), of which the ring of three has 3.
        let (dims, stiffness) = (3, 2.3_f64);
        let mixing = harmonic_mixing(5, dims, &BONDS, stiffness).unwrap();
        let x = cloud(vec![0.0; 15], 5, dims);
        let samples = Samples::consecutive(0, 0..1);
        let (_, log_det) = mixing.forward(x, &context(5, samples)).unwrap();
        let expected = -0.5 * dims as f64 * ((5.0 * 3.0_f64).ln() + 4.0 * stiffness.ln());
        assert_relative_eq!(host(log_det)[0], expected, epsilon = 1e-12);
    }

    #[test]
    fn the_covariance_of_its_samples_is_the_inverse_of_the_laplacian() {
        let (points, dims, stiffness) = (5, 3, 2.3);
        let mixing = harmonic_mixing(points, dims, &BONDS, stiffness).unwrap();
        // From the images of an orthonormal basis the covariance is exact: C = S Sᵀ, and L C/k⁻¹ the projection onto the mean-free space.
        let space = mixing.input();
        let count = space.dimension();
        let basis = cloud(space.basis().concat(), points, dims);
        let context = context(points, Samples::consecutive(0, 0..count as u64));
        let images = host(mixing.forward(basis, &context).unwrap().0);
        for axis in 0..dims {
            let mut covariance = DMatrix::zeros(points, points);
            for image in images.chunks(points * dims) {
                for i in 0..points {
                    for j in 0..points {
                        covariance[(i, j)] += image[i * dims + axis] * image[j * dims + axis];
                    }
                }
            }
            let found = laplacian(points, &BONDS) * covariance * stiffness;
            let expected = DMatrix::identity(points, points).add_scalar(-1.0 / points as f64);
            assert_relative_eq!(found, expected, epsilon = 1e-12);
        }
    }

    #[test]
    fn samples_stretch_bridges_as_their_stiffness_says() {
        let (points, dims, stiffness, draws) = (5, 3, 2.3, 20_000);
        let mixing = harmonic_mixing(points, dims, &BONDS, stiffness).unwrap();
        let prior = MeanFreeGaussian { points, dims };
        let samples = Samples::consecutive(7, 0..draws);
        let x = cloud(prior.sample(&samples), points, dims);
        let y = host(mixing.forward(x, &context(points, samples)).unwrap().0);
        let square = |y: &[f64]| -2.0 * springs(y, dims, &[[3, 4]], 1.0);
        let mean = y.chunks(points * dims).map(square).sum::<f64>() / draws as f64;
        // A squared length is χ² distributed with D degrees of freedom, in units of 1/k.
        let error = (2.0 * dims as f64 / draws as f64).sqrt() / stiffness;
        assert_relative_eq!(mean, dims as f64 / stiffness, epsilon = 5.0 * error);
    }

    #[test]
    fn automorphisms_of_the_graph_leave_it_unchanged() {
        let (points, dims) = (5, 2);
        let mixing = harmonic_mixing(points, dims, &BONDS, 1.3).unwrap();
        let prior = MeanFreeGaussian { points, dims };
        let x = prior.draw(3, 0);
        let exchanged = |x: &[f64], order: [usize; 5]| {
            let points = order.iter().flat_map(|&i| x[i * dims..][..dims].to_vec());
            points.collect::<Vec<f64>>()
        };
        let image = |x: Vec<f64>| {
            let context = context(points, Samples::consecutive(0, 0..1));
            host(mixing.forward(cloud(x, points, dims), &context).unwrap().0)
        };
        let off = |order| {
            let found = image(exchanged(&x, order));
            let expected = exchanged(&image(x.clone()), order);
            let pairs = found.iter().zip(expected);
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        assert!(off([1, 0, 2, 3, 4]) < 1e-13);
        assert!(off([0, 1, 2, 4, 3]) > 1e-3);
    }

    #[test]
    fn no_stiffness_makes_the_data_likelier_than_its_own() {
        let (points, dims) = (5, 3);
        let positions = (0..30 * points * dims).map(|k| (1.0 + (k * k) as f64 * 0.37).sin());
        let data = Conformers::new(points, dims, positions.collect());
        let everyone = Symmetry::List(vec![(0..points).collect()]);
        let statistics = PairStatistics::of(&data, 1.0, &everyone);
        let best = statistics.stiffness(points, dims, &BONDS);
        let space = Space::MeanFree { points, dims };
        let centred: Vec<f64> = (&data)
            .into_iter()
            .flat_map(|x| space.embed(&space.project(x)))
            .collect();
        let likelihood = |stiffness: f64| -> f64 {
            let mixing = harmonic_mixing(points, dims, &BONDS, stiffness).unwrap();
            log_density(&mixing, &centred).iter().sum()
        };
        assert!(likelihood(best) > likelihood(best * 1.01));
        assert!(likelihood(best) > likelihood(best * 0.99));
    }

    #[test]
    fn bonds_that_leave_pieces_are_refused_with_their_number() {
        let refused = |bonds: &[[usize; 2]], stiffness: f64| {
            let error = harmonic_mixing(5, 3, bonds, stiffness).unwrap_err();
            error.to_string()
        };
        assert!(refused(&[[0, 1], [3, 4]], 1.0).contains("5 points in 3 pieces"));
        assert!(refused(&[], 1.0).contains("in 5 pieces"));
        assert!(refused(&[[0, 5]], 1.0).contains("points 0 and 5"));
        for stiffness in [0.0, -1.0, f64::INFINITY, f64::NAN] {
            assert!(refused(&BONDS, stiffness).contains("positive and finite"));
        }
    }
}
