//! Pairing of noise and data by optimal transport.
//!
//! The target density is invariant under rotations and the relabellings of [`Symmetry`], and so is the prior: replacing a datum by a
//! rotated, relabelled copy changes no distribution, only which of its copies the noise is joined with. The nearest copy makes the
//! straightest paths (Klein, Krämer, Noé 2023; Song et al. 2023).

use boltzflow_molecule::Reflections;
use nalgebra::{Matrix2, Matrix3, SMatrix};
use rayon::prelude::*;

use crate::assignment::assignment;

/// Which relabellings of points leave the target unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Symmetry {
    /// Any: the points of a cluster are alike.
    Any,
    /// These: the automorphisms of a bond graph; entry `i` of a permutation names the point that takes place `i`.
    List(Vec<Vec<usize>>),
}

/// Rounds of relabelling and rotation, each of which can only bring a pair closer.
const ROUNDS: usize = 3;
/// Pairs that are assigned to one another as a whole: the cost of an assignment grows with their square.
const GROUP: usize = 16;

/// The shape of a configuration, and what leaves the target unchanged.
#[derive(Clone, Copy, Debug)]
pub struct Copies<'a> {
    /// Points of a configuration.
    pub points: usize,
    /// Spatial dimensions: 2 or 3.
    pub dims: usize,
    /// Relabellings.
    pub symmetry: &'a Symmetry,
    /// Whether reflections are symmetries too.
    pub reflections: Reflections,
}

impl Copies<'_> {
    /// For each datum its copy nearest to the noise of the same number. Configurations are centred, one after another.
    pub fn aligned(&self, noise: &[f64], data: &[f64]) -> Vec<f64> {
        let size = self.points * self.dims;
        let pairs = noise.par_chunks(size).zip(data.par_chunks(size));
        pairs.flat_map_iter(|(noise, data)| self.nearest(noise, data).1).collect()
    }

    /// For each noise a copy of a datum, such that within every group of 16 the summed squared distance is the least over all
    /// assignments of (aligned) data to noise.
    pub fn transported(&self, noise: &[f64], data: &[f64]) -> Vec<f64> {
        let size = self.points * self.dims;
        let groups = noise.par_chunks(GROUP * size).zip(data.par_chunks(GROUP * size));
        groups
            .flat_map_iter(|(noise, data)| {
                let count = noise.len() / size;
                let candidates: Vec<(f64, Vec<f64>)> = noise
                    .chunks(size)
                    .flat_map(|noise| data.chunks(size).map(|data| self.nearest(noise, data)))
                    .collect();
                let chosen = assignment(count, |row, column| candidates[row * count + column].0);
                let copies = chosen.into_iter().enumerate();
                copies.flat_map(|(row, column)| candidates[row * count + column].1.clone()).collect::<Vec<_>>()
            })
            .collect()
    }

    /// The squared distance and the copy of `data` near `noise`: relabelling and rotation in turn, from the given orientation.
    fn nearest(&self, noise: &[f64], data: &[f64]) -> (f64, Vec<f64>) {
        let mut copy = data.to_vec();
        for round in 0..ROUNDS {
            let changed = self.relabel(noise, &mut copy);
            if round > 0 && !changed {
                break;
            }
            match self.dims {
                2 => rotate::<2>(noise, &mut copy, |covariance: &Matrix2<f64>| best_rotation(covariance, self.reflections)),
                _ => rotate::<3>(noise, &mut copy, |covariance: &Matrix3<f64>| best_rotation(covariance, self.reflections)),
            }
        }
        (noise.iter().zip(&copy).map(|(a, b)| (a - b).powi(2)).sum(), copy)
    }

    /// Permutes the points of `copy` to lie nearest to those of `noise`; answers whether any moved.
    fn relabel(&self, noise: &[f64], copy: &mut [f64]) -> bool {
        let (points, dims) = (self.points, self.dims);
        let cost = |i: usize, j: usize| -> f64 {
            (0..dims).map(|axis| (noise[i * dims + axis] - copy[j * dims + axis]).powi(2)).sum()
        };
        let order = match self.symmetry {
            Symmetry::Any => assignment(points, cost),
            Symmetry::List(permutations) => {
                let costs: Vec<f64> = (0..points * points).map(|pair| cost(pair / points, pair % points)).collect();
                let total = |permutation: &Vec<usize>| -> f64 {
                    permutation.iter().enumerate().map(|(i, &j)| costs[i * points + j]).sum()
                };
                let best = permutations.iter().min_by(|a, b| total(a).total_cmp(&total(b)));
                best.cloned().unwrap_or_else(|| (0..points).collect())
            }
        };
        if order.iter().enumerate().all(|(i, &j)| i == j) {
            return false;
        }
        let moved: Vec<f64> = order.iter().flat_map(|&j| copy[j * dims..(j + 1) * dims].to_vec()).collect();
        copy.copy_from_slice(&moved);
        true
    }
}

/// Rotates the centred `copy` onto the centred `noise`.
fn rotate<const D: usize>(noise: &[f64], copy: &mut [f64], best: impl Fn(&SMatrix<f64, D, D>) -> SMatrix<f64, D, D>) {
    let mut covariance = SMatrix::<f64, D, D>::zeros();
    for (a, b) in noise.chunks_exact(D).zip(copy.chunks_exact(D)) {
        for i in 0..D {
            for j in 0..D {
                covariance[(i, j)] += a[i] * b[j];
            }
        }
    }
    let rotation = best(&covariance);
    for b in copy.chunks_exact_mut(D) {
        let old: [f64; D] = std::array::from_fn(|i| b[i]);
        for i in 0..D {
            b[i] = (0..D).map(|j| rotation[(i, j)] * old[j]).sum();
        }
    }
}

/// The orthogonal `R` that maximises `tr(Rᵀ C)` (Kabsch 1976).
trait Kabsch: Sized {
    fn kabsch(&self, reflections: Reflections) -> Self;
}

fn best_rotation<M: Kabsch>(covariance: &M, reflections: Reflections) -> M {
    covariance.kabsch(reflections)
}

/// `Kabsch` for one size: nalgebra's decompositions are not generic over it.
macro_rules! kabsch {
    ($matrix:ty) => {
        impl Kabsch for $matrix {
            fn kabsch(&self, reflections: Reflections) -> Self {
                let svd = self.svd(true, true);
                let (Some(mut u), Some(v_t)) = (svd.u, svd.v_t) else { return Self::identity() };
                if reflections == Reflections::Excluded && (u * v_t).determinant() < 0.0 {
                    let smallest = svd.singular_values.imin();
                    u.column_mut(smallest).neg_mut();
                }
                u * v_t
            }
        }
    };
}
kabsch!(Matrix2<f64>);
kabsch!(Matrix3<f64>);

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(points: usize, dims: usize, seed: f64) -> Vec<f64> {
        let mut x: Vec<f64> = (0..points * dims).map(|i| (seed + 1.7 * i as f64 + 0.31 * (i * i) as f64).sin() * 2.0).collect();
        for axis in 0..dims {
            let mean = x.iter().skip(axis).step_by(dims).sum::<f64>() / points as f64;
            x.iter_mut().skip(axis).step_by(dims).for_each(|x| *x -= mean);
        }
        x
    }

    fn distance(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
    }

    #[test]
    fn a_slightly_turned_and_relabelled_copy_is_brought_back() {
        for dims in [2, 3] {
            let x = cloud(6, dims, 0.3);
            let (s, c) = 0.2_f64.sin_cos();
            let mut y: Vec<f64> = [3, 1, 5, 0, 4, 2].iter().flat_map(|&i| x[i * dims..(i + 1) * dims].to_vec()).collect();
            y.chunks_exact_mut(dims).for_each(|p| (p[0], p[1]) = (c * p[0] - s * p[1], s * p[0] + c * p[1]));
            let copies =
                Copies { points: 6, dims, symmetry: &Symmetry::Any, reflections: Reflections::Excluded };
            assert!(distance(&copies.aligned(&x, &y), &x) < 1e-20);
        }
    }

    #[test]
    fn a_mirror_image_is_reached_only_by_reflection() {
        let x = cloud(5, 3, 0.9);
        let y: Vec<f64> = x.iter().enumerate().map(|(i, x)| if i % 3 == 0 { -x } else { *x }).collect();
        let only = Symmetry::List(vec![(0..5).collect()]);
        let of = |reflections| {
            let copies = Copies { points: 5, dims: 3, symmetry: &only, reflections };
            distance(&copies.aligned(&x, &y), &x)
        };
        assert!(of(Reflections::Allowed) < 1e-20);
        assert!(of(Reflections::Excluded) > 1e-2);
    }

    #[test]
    fn transport_is_no_longer_than_alignment() {
        let noise: Vec<f64> = (0..20).flat_map(|k| cloud(4, 2, f64::from(k))).collect();
        let data: Vec<f64> = (0..20).flat_map(|k| cloud(4, 2, 100.0 + f64::from(k))).collect();
        let copies =
            Copies { points: 4, dims: 2, symmetry: &Symmetry::Any, reflections: Reflections::Allowed };
        let aligned = distance(&copies.aligned(&noise, &data), &noise);
        let transported = distance(&copies.transported(&noise, &data), &noise);
        assert!(transported < aligned);
    }
}
