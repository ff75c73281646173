//! Where a map starts and ends.

use std::fmt;

use burn::tensor::{DType, Device};
use serde::{Deserialize, Serialize};

use crate::Points;
use crate::bijection::FlowError;

/// A space of point clouds, or of numbers that are no positions. Densities on it are with respect to its orthonormal coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Space {
    /// Clouds whose centroid is the origin, of dimension `dims (points − 1)`.
    MeanFree {
        /// Points of a cloud.
        points: usize,
        /// Spatial dimensions.
        dims: usize,
    },
    /// All clouds, of dimension `dims · points`.
    Free {
        /// Points of a cloud.
        points: usize,
        /// Spatial dimensions.
        dims: usize,
    },
    /// Numbers in this order, each a point in one dimension.
    Product {
        /// Any numbers.
        lines: usize,
        /// Numbers in 0…1.
        intervals: usize,
        /// Numbers in 0…1 where 0 is 1.
        circles: usize,
    },
}

impl Space {
    /// Points of a cloud.
    pub fn points(self) -> usize {
        match self {
            Self::MeanFree { points, .. } | Self::Free { points, .. } => points,
            Self::Product {
                lines,
                intervals,
                circles,
            } => lines + intervals + circles,
        }
    }

    /// Spatial dimensions.
    pub fn dims(self) -> usize {
        match self {
            Self::MeanFree { dims, .. } | Self::Free { dims, .. } => dims,
            Self::Product { .. } => 1,
        }
    }

    /// Numbers that a cloud is written with, `points · dims`.
    pub fn coordinates(self) -> usize {
        self.points() * self.dims()
    }

    /// Degrees of freedom.
    pub fn dimension(self) -> usize {
        match self {
            Self::MeanFree { points, dims } => dims * points.saturating_sub(1),
            Self::Free { .. } | Self::Product { .. } => self.coordinates(),
        }
    }

    /// The cloud (points one after another) with these orthonormal coordinates, `x = Q z`. On the mean-free space `Q` has Helmert's
    /// columns: for `k = 1 … points − 1`, `1/√(k(k+1))` at points `0 … k−1` and `−k/√(k(k+1))` at point `k`.
    ///
    /// # Panics
    /// If there are not [`Space::dimension`] coordinates.
    pub fn embed(self, coordinates: &[f64]) -> Vec<f64> {
        assert_eq!(
            coordinates.len(),
            self.dimension(),
            "coordinates of the {self}"
        );
        let Self::MeanFree { points, dims } = self else {
            return coordinates.to_vec();
        };
        let mut x = vec![0.0; points * dims];
        for axis in 0..dims {
            // Σ over k' > k of z_k'/√(k'(k'+1)): what all later columns add to points up to k.
            let mut later = 0.0;
            for k in (1..points).rev() {
                let share = coordinates[(k - 1) * dims + axis] / helmert(k);
                x[k * dims + axis] = later - k as f64 * share;
                later += share;
            }
            if points > 0 {
                x[axis] = later;
            }
        }
        x
    }

    /// The orthonormal coordinates of the cloud's projection, `z = Qᵀ x`; the inverse of [`Space::embed`].
    ///
    /// # Panics
    /// If there are not [`Space::coordinates`] numbers.
    pub fn project(self, x: &[f64]) -> Vec<f64> {
        assert_eq!(x.len(), self.coordinates(), "a cloud of the {self}");
        let Self::MeanFree { points, dims } = self else {
            return x.to_vec();
        };
        let mut coordinates = vec![0.0; self.dimension()];
        for axis in 0..dims {
            let mut before = 0.0;
            for k in 1..points {
                before += x[(k - 1) * dims + axis];
                coordinates[(k - 1) * dims + axis] =
                    (before - k as f64 * x[k * dims + axis]) / helmert(k);
            }
        }
        coordinates
    }

    /// The columns of `Q`, each a cloud.
    pub fn basis(self) -> Vec<Vec<f64>> {
        let unit = |place| {
            let mut coordinates = vec![0.0; self.dimension()];
            coordinates[place] = 1.0;
            self.embed(&coordinates)
        };
        (0..self.dimension()).map(unit).collect()
    }

    /// Checks that a batch is of clouds of this size, and where it can be computed with: Burn has no dependable double precision on GPUs.
    pub fn check(self, x: &Points) -> Result<(), FlowError> {
        if x.dtype() == DType::F64 && x.device() != Device::flex() {
            return Err(FlowError::Precision);
        }
        let [_, points, dims] = x.dims();
        if points == self.points() && dims == self.dims() {
            Ok(())
        } else {
            Err(FlowError::Shape {
                points,
                dims,
                space: self,
            })
        }
    }
}

/// `√(k(k+1))`.
fn helmert(k: usize) -> f64 {
    (k as f64 * (k as f64 + 1.0)).sqrt()
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, points, dims) = match self {
            Self::MeanFree { points, dims } => ("mean-free", points, dims),
            Self::Free { points, dims } => ("free", points, dims),
            Self::Product {
                lines,
                intervals,
                circles,
            } => {
                return write!(
                    f,
                    "product of {lines} lines, {intervals} intervals and {circles} circles"
                );
            }
        };
        write!(f, "{kind} space of {points} points in {dims} dimensions")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    const SPACES: [Space; 4] = [
        Space::MeanFree { points: 5, dims: 3 },
        Space::MeanFree { points: 2, dims: 1 },
        Space::MeanFree { points: 1, dims: 3 },
        Space::Free { points: 4, dims: 2 },
    ];

    #[test]
    fn the_basis_is_orthonormal() {
        for space in SPACES {
            let basis = space.basis();
            for (i, a) in basis.iter().enumerate() {
                for (j, b) in basis.iter().enumerate() {
                    let product: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                    assert_relative_eq!(product, f64::from(u8::from(i == j)), epsilon = 1e-14);
                }
            }
        }
    }

    #[test]
    fn a_cloud_with_as_many_auxiliary_points_is_its_positions_and_their_offsets_times_a_power_of_two()
     {
        // Mean-free clouds (x, a) of 2N points, told by mean-free x and by a less the mean of x: their volumes differ by 2^(D/2).
        for (points, dims) in [(1, 1), (2, 3), (4, 2)] {
            let whole = Space::MeanFree {
                points: 2 * points,
                dims,
            };
            let positions = Space::MeanFree { points, dims }.basis();
            let offsets = Space::Free { points, dims }.basis();
            let none = vec![0.0; points * dims];
            let clouds = positions.into_iter().map(|x| [x, none.clone()].concat());
            let clouds = clouds.chain(offsets.into_iter().map(|a| [none.clone(), a].concat()));
            let rows: Vec<Vec<f64>> = clouds.map(|cloud| whole.project(&cloud)).collect();
            let expected = -0.5 * dims as f64 * 2_f64.ln();
            let found = crate::testing::log_abs_det(rows);
            assert_relative_eq!(found, expected, epsilon = 1e-12);
        }
    }

    #[test]
    fn the_mean_free_basis_has_no_mean() {
        let space = Space::MeanFree { points: 5, dims: 3 };
        for column in space.basis() {
            for axis in 0..3 {
                let mean: f64 = column.iter().skip(axis).step_by(3).sum();
                assert_relative_eq!(mean, 0.0, epsilon = 1e-15);
            }
        }
    }

    #[test]
    fn projecting_an_embedding_gives_the_coordinates_back() {
        for space in SPACES {
            let coordinates: Vec<f64> = (0..space.dimension())
                .map(|i| (1.0 + i as f64).sin())
                .collect();
            let back = space.project(&space.embed(&coordinates));
            assert_eq!(back.len(), coordinates.len());
            for (a, b) in back.iter().zip(&coordinates) {
                assert_relative_eq!(a, b, epsilon = 1e-14);
            }
        }
    }

    #[test]
    fn an_empty_cloud_has_no_dimension() {
        assert_eq!(Space::MeanFree { points: 0, dims: 3 }.dimension(), 0);
        assert!(Space::MeanFree { points: 0, dims: 3 }.embed(&[]).is_empty());
    }
}
