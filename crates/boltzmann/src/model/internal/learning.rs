//! What the internal coordinates of a molecule are like: found in data, or from its energy about a minimum.

use std::f64::consts::{PI, TAU};

use boltzflow_energy::{EnergyError, Minimisation, minimise};
use boltzflow_flow::{Chart, Elementwise, FlowError, Stiff, Turning, host, principal_angle};
use boltzflow_molecule::Conformers;
use nalgebra::{DMatrix, SymmetricEigen};

use super::geometry::{Coordinates, Geometry, double};
use super::shape;
use crate::config::Stiffness;
use crate::model::ArchitectureError;
use crate::system::System;

/// The least variance of a principal component of coordinates of unit variance: what is smaller is taken for a lack of data.
const LEAST_VARIANCE: f64 = 1e-4;
/// The least spread of a coordinate, in Å or radians.
const LEAST_SPREAD: f64 = 1e-4;
/// Where a gap between dihedrals is no wider than this, in radians, the circle is cut where they are fewest.
const GAP: f64 = 0.3;
/// Parts of the circle in which dihedrals are counted to find where they are fewest.
const SECTORS: usize = 72;
/// The least distance of a bound from the middle of the data, in standard deviations.
const LEAST_BOUND: f64 = 3.0;
/// The distance of a bound from a minimum, in standard deviations of the harmonic approximation there: at other torsions others are.
const HARMONIC_BOUND: f64 = 8.0;
/// The largest harmonic spread of a stiff coordinate, in Å or radians, which is a weak one's.
const LARGEST_SPREAD: f64 = 0.3;
/// Configurations on the other side of an amide that are too few to be learnt from, as a part of all.
const RARE: f64 = 0.01;
/// Steps of internal coordinates for differences of forces, in Å or radians.
const STEP: f64 = 1e-3;

/// How standard coordinates are chosen: see [`crate::InternalConfig`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Standard {
    /// What is to act on them.
    pub map: Elementwise,
    /// Whether they are mixed.
    pub stiff: Stiffness,
    /// How far their bounds are from the data.
    pub margin: f64,
    /// The hottest temperature, as a multiple of the system's.
    pub hottest: f64,
}

/// What internal coordinates are like in configurations. Where nearly all of them have an amide, or its like, on one side, a flow is of that side
/// alone: no map of a whole circle is as good at a narrow distribution's tails as one of a stiff coordinate. The others are outside its bounds.
pub(super) fn of_data(
    model: Standard,
    coordinates: &Coordinates,
    data: &Conformers,
) -> Result<(Geometry, Chart), FlowError> {
    let (geometry, mut internal) = coordinates.as_in(data)?;
    let count = geometry.frame.counts().iter().sum();
    leave_rare_sides(&coordinates.sided, &mut internal, count);
    let chart = chart_of(model, &geometry, &internal)?;
    Ok((geometry, chart))
}

/// One of `count` coordinates in each configuration.
fn column(internal: &[f64], coordinate: usize, count: usize) -> Vec<f64> {
    let values = internal.iter().skip(coordinate).step_by(count);
    values.copied().collect()
}

/// Leaves configurations out that have one of some dihedrals on a side where fewer than [`RARE`] of all are.
fn leave_rare_sides(sided: &[usize], internal: &mut Vec<f64>, count: usize) {
    let total = internal.len() / count;
    let mut stays = vec![true; total];
    for &coordinate in sided {
        let angles = column(internal, coordinate, count);
        let sum = |of: fn(f64) -> f64| angles.iter().map(|&angle| of(angle)).sum::<f64>();
        let middle = sum(f64::sin).atan2(sum(f64::cos));
        let is_other = |angle: &f64| (angle - middle).cos() < 0.0;
        let others = angles.iter().filter(|angle| is_other(angle)).count();
        if (others as f64) < RARE * total as f64 {
            let all = stays.iter_mut().zip(&angles);
            all.for_each(|(stays, angle)| *stays &= !is_other(angle));
        }
    }
    let mut stays = stays
        .into_iter()
        .flat_map(|stays| std::iter::repeat_n(stays, count));
    internal.retain(|_| stays.next().unwrap_or(true));
}

/// What numbers are like, configuration by configuration.
fn chart_of(model: Standard, geometry: &Geometry, internal: &[f64]) -> Result<Chart, FlowError> {
    let count = geometry.frame.counts().iter().sum();
    if let Some(index) = internal.iter().position(|value| !value.is_finite()) {
        return Err(FlowError::Unsupported {
            what: format!(
                "configuration {} of the data has no internal coordinates: atoms lie on one another or on a line",
                index / count
            ),
        });
    }
    let (mut stiff, mut torsions) = (Vec::new(), Vec::new());
    for k in 0..count {
        let values = column(internal, k, count);
        if !geometry.is_dihedral(k) {
            stiff.push(Stiff {
                coordinate: k,
                center: values.iter().sum::<f64>() / values.len() as f64,
                is_angle_of_turn: false,
            });
            continue;
        }
        let arc = Arc::around(&values);
        if arc.length < PI {
            stiff.push(Stiff {
                coordinate: k,
                center: arc.mean(&values),
                is_angle_of_turn: true,
            });
        } else {
            torsions.push(Turning {
                coordinate: k,
                cut: arc.cut(&values),
            });
        }
    }
    let offsets = offsets(&stiff, internal, count);
    let (spread, whiten) = spread(model.stiff, &offsets, stiff.len());
    let (bounded, rounds) = shape(model.map);
    let bounds = if bounded {
        bounds(&whiten, &offsets, stiff.len(), model.margin)
    } else {
        Vec::new()
    };
    let log_det = DMatrix::from_row_slice(stiff.len(), stiff.len(), &spread)
        .singular_values()
        .iter()
        .map(|value| value.ln())
        .sum();
    Ok(Chart {
        stiff,
        spread,
        whiten,
        log_det,
        bounds,
        torsions,
        rounds,
    })
}

/// The shortest arc of the circle that holds some angles.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Arc {
    start: f64,
    length: f64,
}

impl Arc {
    fn around(angles: &[f64]) -> Self {
        let mut sorted: Vec<f64> = angles.iter().map(|angle| angle.rem_euclid(TAU)).collect();
        sorted.sort_by(f64::total_cmp);
        // The widest gap between an angle and the next one round the circle; what follows it is the start.
        let after = (0..sorted.len()).map(|k| {
            let next = sorted.get(k + 1).copied();
            let next = next.unwrap_or(sorted[0] + TAU);
            (next - sorted[k], next)
        });
        let (gap, start) = after
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .unwrap_or((TAU, 0.0));
        Self {
            start: start.rem_euclid(TAU),
            length: TAU - gap,
        }
    }

    /// The mean of the angles along the arc.
    fn mean(self, angles: &[f64]) -> f64 {
        let along = angles
            .iter()
            .map(|angle| (angle - self.start).rem_euclid(TAU));
        let mean = self.start + along.sum::<f64>() / angles.len() as f64;
        principal_angle(mean)
    }

    /// The middle of the gap, or where fewest angles are if there is hardly one.
    fn cut(self, angles: &[f64]) -> f64 {
        let gap = TAU - self.length;
        if gap > GAP {
            return self.start - 0.5 * gap;
        }
        let mut counts = [0_usize; SECTORS];
        for angle in angles {
            let sector = angle.rem_euclid(TAU) / TAU * SECTORS as f64;
            counts[(sector as usize).min(SECTORS - 1)] += 1;
        }
        let around = |k: usize| -> usize {
            (0..5)
                .map(|j| counts[(k + SECTORS + j - 2) % SECTORS])
                .sum()
        };
        let fewest = (0..SECTORS).min_by_key(|&k| around(k)).unwrap_or(0);
        (fewest as f64 + 0.5) / SECTORS as f64 * TAU
    }
}

/// The stiff coordinates less their centres, the shorter way round, configuration by configuration.
fn offsets(stiff: &[Stiff], internal: &[f64], count: usize) -> Vec<f64> {
    let of = |x: &[f64], stiff: &Stiff| {
        let off = x[stiff.coordinate] - stiff.center;
        if stiff.is_angle_of_turn {
            principal_angle(off)
        } else {
            off
        }
    };
    internal
        .chunks(count)
        .flat_map(|x| stiff.iter().map(move |stiff| of(x, stiff)))
        .collect()
}

/// `M` and `M⁻¹`, row by row: offsets are `M z` with uncorrelated `z` of unit variance where they are whitened, else `z` of unit variance.
fn spread(stiffness: Stiffness, offsets: &[f64], m: usize) -> (Vec<f64>, Vec<f64>) {
    let rows = offsets.chunks(m.max(1));
    let n = rows.len() as f64;
    let mut covariance = DMatrix::<f64>::zeros(m, m);
    for x in rows {
        for i in 0..m {
            for j in 0..=i {
                covariance[(i, j)] += x[i] * x[j] / n;
            }
        }
    }
    let scale: Vec<f64> = (0..m)
        .map(|i| covariance[(i, i)].sqrt().max(LEAST_SPREAD))
        .collect();
    let correlation = match stiffness {
        Stiffness::Scaled => DMatrix::identity(m, m),
        Stiffness::Whitened => DMatrix::from_fn(m, m, |i, j| {
            let (i, j) = (i.max(j), i.min(j));
            covariance[(i, j)] / (scale[i] * scale[j])
        }),
    };
    let eigen = SymmetricEigen::new(correlation);
    let root = |k: usize| eigen.eigenvalues[k].max(LEAST_VARIANCE).sqrt();
    let entry = |i: usize, k: usize| eigen.eigenvectors[(i, k)];
    let mut forward = Vec::with_capacity(m * m);
    let mut backward = Vec::with_capacity(m * m);
    for i in 0..m {
        for k in 0..m {
            forward.push(scale[i] * entry(i, k) * root(k));
            backward.push(entry(k, i) / (root(i) * scale[k]));
        }
    }
    (forward, backward)
}

/// Bounds of each standard coordinate.
fn bounds(whiten: &[f64], offsets: &[f64], m: usize, margin: f64) -> Vec<[f64; 2]> {
    let mut ends = vec![[-LEAST_BOUND, LEAST_BOUND]; m];
    for x in offsets.chunks(m.max(1)) {
        for (row, [low, high]) in whiten.chunks(m.max(1)).zip(&mut ends) {
            let z: f64 = row.iter().zip(x).map(|(w, x)| w * x).sum();
            *low = low.min(z);
            *high = high.max(z);
        }
    }
    let wider = |[low, high]: [f64; 2]| {
        let more = margin * (high - low);
        [low - more, high + more]
    };
    ends.into_iter().map(wider).collect()
}

/// What internal coordinates are like about the minimum next to the system's start, without any other configuration: torsions, those that
/// turn freely, go round; all others, among them those of amides and their like, which stay on the side they are on, are as in the harmonic
/// approximation at the system's temperature, `⟨(s − s₀)²⟩ = (∂²u/∂s²)⁻¹`; of a range at its geometric mean, with bounds as far apart as the hottest
/// needs them.
pub(super) fn of_minimum(
    model: Standard,
    coordinates: &Coordinates,
    system: &System,
) -> Result<(Geometry, Chart), ArchitectureError> {
    let mut x = system.start.get(0).to_vec();
    let mut evaluator = system.energy.evaluator()?;
    minimise(&mut *evaluator, &mut x, &Minimisation::default())?;
    drop(evaluator);
    let minimum = Conformers::new(x.len() / 3, 3, x);
    let (geometry, center) = coordinates.as_in(&minimum)?;
    let (mut stiff, mut torsions) = (Vec::new(), Vec::new());
    for (k, &center) in center.iter().enumerate() {
        if coordinates.turning.contains(&k) {
            torsions.push(Turning {
                coordinate: k,
                cut: center + PI,
            });
        } else {
            stiff.push(Stiff {
                coordinate: k,
                center,
                is_angle_of_turn: geometry.is_dihedral(k),
            });
        }
    }
    // The middle of the range of ln T, as a multiple of the system's temperature.
    let middle = model.hottest.sqrt();
    let hessian = hessian(&geometry, system, &center, &stiff)? / middle;
    let m = stiff.len();
    let eigen = SymmetricEigen::new(hessian.clone());
    // A direction that is soft, or leads off, gets the largest spread.
    let least = LARGEST_SPREAD.powi(-2);
    let root = |k: usize| eigen.eigenvalues[k].max(least).sqrt();
    let entry = |i: usize, k: usize| eigen.eigenvectors[(i, k)];
    let (mut spread, mut whiten) = (vec![0.0; m * m], vec![0.0; m * m]);
    let mut log_det = 0.0;
    for k in 0..m {
        match model.stiff {
            Stiffness::Whitened => {
                for i in 0..m {
                    spread[i * m + k] = entry(i, k) / root(k);
                    whiten[k * m + i] = entry(i, k) * root(k);
                }
                log_det -= root(k).ln();
            }
            Stiffness::Scaled => {
                let variance: f64 = (0..m).map(|j| (entry(k, j) / root(j)).powi(2)).sum();
                spread[k * m + k] = variance.sqrt();
                whiten[k * m + k] = 1.0 / variance.sqrt();
                log_det += 0.5 * variance.ln();
            }
        }
    }
    let (bounded, rounds) = shape(model.map);
    let bounds = if bounded {
        let bound = HARMONIC_BOUND * middle.sqrt();
        vec![[-bound, bound]; m]
    } else {
        Vec::new()
    };
    let chart = Chart {
        stiff,
        spread,
        whiten,
        log_det,
        bounds,
        torsions,
        rounds,
    };
    Ok((geometry, chart))
}

/// The second derivatives of the reduced energy in the stiff coordinates, by central differences of its gradient.
fn hessian(
    geometry: &Geometry,
    system: &System,
    center: &[f64],
    stiff: &[Stiff],
) -> Result<DMatrix<f64>, ArchitectureError> {
    let (m, n) = (stiff.len(), center.len());
    let moved = stiff.iter().flat_map(|stiff| {
        [STEP, -STEP].map(|step| {
            let mut internal = center.to_vec();
            internal[stiff.coordinate] += step;
            internal
        })
    });
    let moved: Vec<f64> = moved.flatten().collect();
    let leaf = double(&moved, [n, 1]).autodiff().require_grad();
    let (positions, _) = geometry.forward(&leaf)?;
    let x = host(positions.clone());
    let points = geometry.frame.points();
    let size = 3 * points;
    let mut gradients = vec![0.0; x.len()];
    let outcomes = system
        .energy
        .evaluator()?
        .evaluate_batch(&x, &mut gradients, size);
    outcomes
        .into_iter()
        .collect::<Result<Vec<f64>, EnergyError>>()?;
    let work = (positions * double(&gradients, [points, 3])).sum() / system.kt();
    let slopes = leaf
        .grad(&work.backward())
        .map_or_else(|| vec![0.0; moved.len()], host);
    let second = |i: usize, j: usize| {
        let at = |row: usize| slopes[row * n + stiff[j].coordinate];
        (at(2 * i) - at(2 * i + 1)) / (2.0 * STEP)
    };
    Ok(DMatrix::from_fn(m, m, |i, j| {
        0.5 * (second(i, j) + second(j, i))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_side_of_an_amide_is_left_out_where_it_is_rare() {
        // Two dihedrals beside another number; the side of the first is rare, that of the second is not, and 180° is no end.
        let of = |k: usize| {
            let first = if k == 7 {
                0.2
            } else {
                PI - 0.1 * (k % 3) as f64
            };
            let second = if k % 20 == 3 { 3.1 } else { 0.1 };
            [k as f64, principal_angle(first + 0.1), second]
        };
        let all: Vec<f64> = (0..200).flat_map(of).collect();
        let mut left = all.clone();
        leave_rare_sides(&[1, 2], &mut left, 3);
        let expected = all.chunks(3).filter(|row| row[0] != 7.0).flatten();
        assert!(left.iter().eq(expected));
    }

    #[test]
    fn an_arc_is_the_shortest_that_holds_all_angles() {
        let arc = Arc::around(&[3.0, -3.0, 2.5]);
        assert!((arc.start - 2.5).abs() < 1e-12);
        assert!((arc.length - (TAU - 5.5)).abs() < 1e-12);
        let mean = arc.mean(&[3.0, -3.0, 2.5]);
        assert!(
            (mean - (2.5 + 3.0 + TAU - 3.0) / 3.0).abs() < 1e-12,
            "{mean}"
        );
        // The cut is in the middle of the gap, or where angles are fewest.
        let cut = arc.cut(&[3.0, -3.0, 2.5]).rem_euclid(TAU);
        assert!((cut - (TAU - 3.0 + 5.5 / 2.0).rem_euclid(TAU)).abs() < 1e-12);
        let mut all: Vec<f64> = (0..720).map(|k| f64::from(k) / 720.0 * TAU).collect();
        all.retain(|angle| !(1.0..1.2).contains(angle));
        let cut = Arc::around(&all).cut(&all);
        assert!((1.0..1.2).contains(&cut), "{cut}");
    }
}
