//! Pairing of noise and data by optimal transport.
//!
//! The target density is invariant under rotations and the relabellings of [`Symmetry`], and so is the prior: replacing a datum by a
//! rotated, relabelled copy changes no distribution, only which of its copies the noise is joined with. The nearest copy makes the
//! straightest paths (Klein, Krämer, Noé 2023; Song et al. 2023).

use std::f64::consts::PI;

use boltzflow_molecule::Reflections;
use nalgebra::{Matrix2, Matrix3, SMatrix, Vector2, Vector3};
use rayon::prelude::*;

use crate::assignment::{Assigner, assignment};

/// Which relabellings of points leave the target unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Symmetry {
    /// Any: the points of a cluster are alike.
    Any,
    /// These, a group: the automorphisms of a bond graph; entry `i` of a permutation names the point that takes place `i`.
    List(Vec<Vec<usize>>),
    /// These and all their products, too many to be listed. Only those that are listed are searched when noise and data are paired; what
    /// is pooled is pooled over all.
    Generated(Vec<Vec<usize>>),
}

/// Rounds of relabelling and rotation, each of which can only bring a pair closer.
const ROUNDS: usize = 8;
/// Pairs that are assigned to one another as a whole: the work grows with their square.
const GROUP: usize = 64;
/// Lists of relabellings up to this length are searched for the best pair of relabelling and rotation; of longer ones, as of
/// [`Symmetry::Any`], a local optimum is found.
const SEARCHED: usize = 512;

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

/// Memory that one thread reuses from pair to pair.
#[derive(Default)]
struct Scratch {
    assigner: Assigner,
    /// `−aᵢ · bⱼ` for all points: up to a constant and a factor, their squared distances.
    costs: Vec<f64>,
    /// Which point of the datum takes each place.
    order: Vec<usize>,
    /// The datum, turned.
    copy: Vec<f64>,
    moved: Vec<f64>,
}

impl Copies<'_> {
    /// For each datum its copy nearest to the noise of the same number. Configurations are centred, one after another.
    ///
    /// For a list of up to 512 relabellings it is the nearest of all; else relabelling and rotation alternate from the given orientation until neither
    /// brings the pair closer.
    ///
    /// # Shapes
    /// `noise`, `data` and the answer: `[batch, points, dims]`.
    pub fn aligned(&self, noise: &[f64], data: &[f64]) -> Vec<f64> {
        let size = self.points * self.dims;
        let pairs = noise.par_chunks(size).zip(data.par_chunks(size));
        pairs
            .map_init(Scratch::default, |scratch, (noise, data)| {
                self.nearest(noise, data, scratch)
            })
            .flat_map_iter(|copy| copy)
            .collect()
    }

    /// For each noise a copy of a datum: within every group of 64, data are assigned to noise so that the summed squared distance is least, then
    /// aligned as by [`Copies::aligned`].
    ///
    /// The distance that is minimised is that after one relabelling and the best rotation: an upper bound of the aligned one, and about ten
    /// times cheaper.
    ///
    /// # Shapes
    /// `noise`, `data` and the answer: `[batch, points, dims]`.
    pub fn transported(&self, noise: &[f64], data: &[f64]) -> Vec<f64> {
        let size = self.points * self.dims;
        let groups = noise.chunks(GROUP * size).zip(data.chunks(GROUP * size));
        let chosen: Vec<f64> = groups
            .flat_map(|(noise, data)| self.chosen(noise, data))
            .collect();
        self.aligned(noise, &chosen)
    }

    /// The data in the order of the noise that they are assigned to.
    fn chosen(&self, noise: &[f64], data: &[f64]) -> Vec<f64> {
        let size = self.points * self.dims;
        let count = noise.len() / size;
        let overlaps: Vec<Vec<f64>> = noise
            .par_chunks(size)
            .map_init(Scratch::default, |scratch, noise| {
                data.chunks(size)
                    .map(|data| self.approximate_overlap(noise, data, scratch))
                    .collect()
            })
            .collect();
        // |a − b|² = |a|² + |b|² − 2 a·b, and the squares sum to the same in any assignment.
        let columns = assignment(count, |row, column| -overlaps[row][column]);
        columns
            .iter()
            .flat_map(|&column| data[column * size..(column + 1) * size].iter().copied())
            .collect()
    }

    /// `a · b` after one relabelling and the best rotation.
    fn approximate_overlap(&self, noise: &[f64], data: &[f64], scratch: &mut Scratch) -> f64 {
        scratch.copy.clear();
        scratch.copy.extend_from_slice(data);
        scratch.order.clear();
        scratch.order.extend(0..self.points);
        if matches!(self.symmetry, Symmetry::List(list) | Symmetry::Generated(list) if list.len() > 1)
        {
            // Bonds hold the points of a molecule nearly in place: its orientation comes first.
            self.rotate(noise, scratch);
        }
        self.relabel(noise, scratch);
        self.overlap(noise, data, &scratch.order)
    }

    /// The copy of `data` near `noise`.
    fn nearest(&self, noise: &[f64], data: &[f64], scratch: &mut Scratch) -> Vec<f64> {
        scratch.copy.clear();
        scratch.copy.extend_from_slice(data);
        scratch.order.clear();
        match self.symmetry {
            Symmetry::List(list) | Symmetry::Generated(list) if list.len() <= SEARCHED => {
                let best = list
                    .iter()
                    .map(|order| (self.overlap(noise, data, order), order))
                    .reduce(|best, next| {
                        // The first of equals, at any order of evaluation.
                        if next.0 > best.0 { next } else { best }
                    });
                match best {
                    Some((_, order)) => scratch.order.extend_from_slice(order),
                    None => scratch.order.extend(0..self.points),
                }
                self.rotate(noise, scratch);
            }
            Symmetry::Any | Symmetry::List(_) | Symmetry::Generated(_) => {
                scratch.order.extend(0..self.points);
                for round in 0..ROUNDS {
                    let changed = self.relabel(noise, scratch);
                    if round > 0 && !changed {
                        break;
                    }
                    self.rotate(noise, scratch);
                }
            }
        }
        let dims = self.dims;
        scratch
            .order
            .iter()
            .flat_map(|&j| scratch.copy[j * dims..(j + 1) * dims].iter().copied())
            .collect()
    }

    /// Finds the relabelling that brings the turned copy nearest to `noise`; answers whether it is another one than before.
    fn relabel(&self, noise: &[f64], scratch: &mut Scratch) -> bool {
        let (points, dims) = (self.points, self.dims);
        let Scratch {
            assigner,
            costs,
            order,
            copy,
            ..
        } = scratch;
        costs.clear();
        for a in noise.chunks_exact(dims) {
            costs.extend(
                copy.chunks_exact(dims)
                    .map(|b| -a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>()),
            );
        }
        let best: &[usize] = match self.symmetry {
            Symmetry::Any => assigner.solve(points, |i, j| costs[i * points + j]),
            Symmetry::List(permutations) | Symmetry::Generated(permutations) => {
                let total = |permutation: &[usize]| -> f64 {
                    permutation
                        .iter()
                        .zip(costs.chunks_exact(points))
                        .map(|(&j, row)| row[j])
                        .sum()
                };
                let totals = permutations
                    .iter()
                    .map(|permutation| (total(permutation), permutation));
                let best = totals.reduce(|best, next| if next.0 < best.0 { next } else { best });
                let Some((_, best)) = best else { return false };
                best
            }
        };
        let changed = order != best;
        order.clear();
        order.extend_from_slice(best);
        changed
    }

    /// Turns the centred copy onto the centred `noise`, given the order of its points.
    fn rotate(&self, noise: &[f64], scratch: &mut Scratch) {
        let Scratch {
            order, copy, moved, ..
        } = scratch;
        moved.clear();
        if self.dims == 2 {
            let rotation = covariance::<2>(noise, copy, order).kabsch(self.reflections);
            for b in copy.chunks_exact(2) {
                moved.extend((rotation * Vector2::new(b[0], b[1])).iter());
            }
        } else {
            let rotation = covariance::<3>(noise, copy, order).kabsch(self.reflections);
            for b in copy.chunks_exact(3) {
                moved.extend((rotation * Vector3::new(b[0], b[1], b[2])).iter());
            }
        }
        std::mem::swap(copy, moved);
    }

    /// `max_R a · R b` for points in the given order.
    fn overlap(&self, noise: &[f64], data: &[f64], order: &[usize]) -> f64 {
        match self.dims {
            2 => covariance::<2>(noise, data, order).overlap(self.reflections),
            _ => covariance::<3>(noise, data, order).overlap(self.reflections),
        }
    }
}

/// `C = Σ aᵢ bᵢᵀ`.
fn covariance<const D: usize>(noise: &[f64], data: &[f64], order: &[usize]) -> SMatrix<f64, D, D> {
    let mut covariance = SMatrix::<f64, D, D>::zeros();
    for (a, &point) in noise.chunks_exact(D).zip(order) {
        let b = &data[point * D..(point + 1) * D];
        for i in 0..D {
            for j in 0..D {
                covariance[(i, j)] += a[i] * b[j];
            }
        }
    }
    covariance
}

/// Superposition of centred points from their covariance `C`.
trait Kabsch: Sized {
    /// The orthogonal `R` that maximises `tr(Rᵀ C)` (Kabsch 1976).
    fn kabsch(&self, reflections: Reflections) -> Self;
    /// That maximum: the sum of the singular values, the smallest negated if that is what it takes to be a rotation.
    fn overlap(&self, reflections: Reflections) -> f64;
}

/// `Kabsch::kabsch` for one size: nalgebra's decompositions are not generic over it.
macro_rules! kabsch {
    () => {
        fn kabsch(&self, reflections: Reflections) -> Self {
            let svd = self.svd(true, true);
            let (Some(mut u), Some(v_t)) = (svd.u, svd.v_t) else {
                return Self::identity();
            };
            if reflections == Reflections::Excluded && (u * v_t).determinant() < 0.0 {
                let smallest = svd.singular_values.imin();
                u.column_mut(smallest).neg_mut();
            }
            u * v_t
        }
    };
}

impl Kabsch for Matrix2<f64> {
    kabsch!();

    fn overlap(&self, reflections: Reflections) -> f64 {
        let proper = (self.m11 + self.m22).hypot(self.m21 - self.m12);
        match reflections {
            Reflections::Excluded => proper,
            Reflections::Allowed => proper.max((self.m11 - self.m22).hypot(self.m12 + self.m21)),
        }
    }
}

impl Kabsch for Matrix3<f64> {
    kabsch!();

    /// Squared singular values are the eigenvalues of `CᵀC`, in closed form (Smith 1961).
    fn overlap(&self, reflections: Reflections) -> f64 {
        let square = self.transpose() * self;
        let mean = square.trace() / 3.0;
        let shifted = square - Self::identity() * mean;
        let scale = (shifted.norm_squared() / 6.0).sqrt();
        if scale <= f64::MIN_POSITIVE {
            let each = mean.max(0.0).sqrt();
            let mirrored = reflections == Reflections::Excluded && self.determinant() < 0.0;
            return if mirrored { each } else { 3.0 * each };
        }
        let angle = (0.5 * (shifted / scale).determinant())
            .clamp(-1.0, 1.0)
            .acos()
            / 3.0;
        let largest = mean + 2.0 * scale * angle.cos();
        let smallest = mean + 2.0 * scale * (angle + 2.0 * PI / 3.0).cos();
        let [s1, s2, s3] = [largest, 3.0 * mean - largest - smallest, smallest]
            .map(|square| square.max(0.0).sqrt());
        if reflections == Reflections::Excluded && self.determinant() < 0.0 {
            s1 + s2 - s3
        } else {
            s1 + s2 + s3
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(points: usize, dims: usize, seed: f64) -> Vec<f64> {
        let mut x: Vec<f64> = (0..points * dims)
            .map(|i| (seed + 1.7 * i as f64 + 0.31 * (i * i) as f64).sin() * 2.0)
            .collect();
        for axis in 0..dims {
            let mean = x.iter().skip(axis).step_by(dims).sum::<f64>() / points as f64;
            x.iter_mut()
                .skip(axis)
                .step_by(dims)
                .for_each(|x| *x -= mean);
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
            let mut y: Vec<f64> = [3, 1, 5, 0, 4, 2]
                .iter()
                .flat_map(|&i| x[i * dims..(i + 1) * dims].to_vec())
                .collect();
            y.chunks_exact_mut(dims)
                .for_each(|p| (p[0], p[1]) = (c * p[0] - s * p[1], s * p[0] + c * p[1]));
            let copies = Copies {
                points: 6,
                dims,
                symmetry: &Symmetry::Any,
                reflections: Reflections::Excluded,
            };
            assert!(distance(&copies.aligned(&x, &y), &x) < 1e-20);
        }
    }

    #[test]
    fn a_mirror_image_is_reached_only_by_reflection() {
        let x = cloud(5, 3, 0.9);
        let y: Vec<f64> = x
            .iter()
            .enumerate()
            .map(|(i, x)| if i % 3 == 0 { -x } else { *x })
            .collect();
        let only = Symmetry::List(vec![(0..5).collect()]);
        let of = |reflections| {
            let copies = Copies {
                points: 5,
                dims: 3,
                symmetry: &only,
                reflections,
            };
            distance(&copies.aligned(&x, &y), &x)
        };
        assert!(of(Reflections::Allowed) < 1e-20);
        assert!(of(Reflections::Excluded) > 1e-2);
    }

    #[test]
    fn transport_is_no_longer_than_alignment() {
        let noise: Vec<f64> = (0..20).flat_map(|k| cloud(4, 2, f64::from(k))).collect();
        let data: Vec<f64> = (0..20)
            .flat_map(|k| cloud(4, 2, 100.0 + f64::from(k)))
            .collect();
        let copies = Copies {
            points: 4,
            dims: 2,
            symmetry: &Symmetry::Any,
            reflections: Reflections::Allowed,
        };
        let aligned = distance(&copies.aligned(&noise, &data), &noise);
        let transported = distance(&copies.transported(&noise, &data), &noise);
        assert!(transported < aligned);
    }

    /// A turn by no small angle, about no special axis.
    fn turned(x: &[f64]) -> Vec<f64> {
        let rotation = nalgebra::Rotation3::new(Vector3::new(1.1, -2.0, 0.7));
        x.chunks_exact(3)
            .flat_map(|x| (rotation * Vector3::new(x[0], x[1], x[2])).data.0[0])
            .collect()
    }

    #[test]
    fn a_listed_copy_is_found_from_any_orientation() {
        let x = cloud(5, 3, 0.4);
        let list = Symmetry::List(vec![
            vec![0, 1, 2, 3, 4],
            vec![1, 2, 0, 3, 4],
            vec![2, 0, 1, 3, 4],
        ]);
        let copies = Copies {
            points: 5,
            dims: 3,
            symmetry: &list,
            reflections: Reflections::Excluded,
        };
        let relabelled: Vec<f64> = [2, 0, 1, 3, 4]
            .iter()
            .flat_map(|&i| x[i * 3..(i + 1) * 3].to_vec())
            .collect();
        assert!(distance(&copies.aligned(&x, &turned(&relabelled)), &x) < 1e-20);
        // A relabelling that is not listed is no symmetry.
        let other: Vec<f64> = [0, 1, 2, 4, 3]
            .iter()
            .flat_map(|&i| x[i * 3..(i + 1) * 3].to_vec())
            .collect();
        assert!(distance(&copies.aligned(&x, &other), &x) > 1e-2);
    }

    #[test]
    fn a_copy_has_the_distances_of_its_datum() {
        for (dims, symmetry) in [
            (2, Symmetry::Any),
            (3, Symmetry::Any),
            (3, Symmetry::List(vec![vec![1, 0, 2, 3]])),
        ] {
            let (x, y) = (cloud(4, dims, 0.2), cloud(4, dims, 5.0));
            let copies = Copies {
                points: 4,
                dims,
                symmetry: &symmetry,
                reflections: Reflections::Excluded,
            };
            let pairs = |x: &[f64]| -> Vec<f64> {
                let mut found: Vec<f64> = (0..16)
                    .map(|k| {
                        distance(
                            &x[k / 4 * dims..(k / 4 + 1) * dims],
                            &x[k % 4 * dims..(k % 4 + 1) * dims],
                        )
                    })
                    .collect();
                found.sort_by(f64::total_cmp);
                found
            };
            let copy = copies.aligned(&x, &y);
            pairs(&copy)
                .iter()
                .zip(pairs(&y))
                .for_each(|(a, b)| assert!((a - b).abs() < 1e-12));
            assert!(distance(&copy, &x) <= distance(&y, &x) + 1e-12 || symmetry != Symmetry::Any);
        }
    }

    #[test]
    fn the_overlap_is_what_the_best_rotation_reaches() {
        for seed in 0..20 {
            let numbers: Vec<f64> = cloud(3, 3, f64::from(seed));
            let (three, two) = (
                Matrix3::from_row_slice(&numbers),
                Matrix2::from_row_slice(&numbers[..4]),
            );
            for reflections in [Reflections::Excluded, Reflections::Allowed] {
                let reached = (three.kabsch(reflections).transpose() * three).trace();
                assert!((three.overlap(reflections) - reached).abs() < 1e-7);
                let reached = (two.kabsch(reflections).transpose() * two).trace();
                assert!((two.overlap(reflections) - reached).abs() < 1e-12);
            }
        }
        assert_eq!(
            (-Matrix3::<f64>::identity()).overlap(Reflections::Excluded),
            1.0
        );
        assert_eq!(Matrix3::<f64>::zeros().overlap(Reflections::Allowed), 0.0);
    }

    #[test]
    fn relabelled_copies_of_the_noise_are_assigned_to_their_own() {
        let noise: Vec<f64> = (0..10).flat_map(|k| cloud(5, 3, f64::from(k))).collect();
        let data: Vec<f64> = noise.chunks(15).rev().flat_map(turned).collect();
        let only = Symmetry::List(vec![(0..5).collect()]);
        let copies = Copies {
            points: 5,
            dims: 3,
            symmetry: &only,
            reflections: Reflections::Excluded,
        };
        assert!(distance(&copies.transported(&noise, &data), &noise) < 1e-18);
    }
}
