//! Groups of points that are alike and turn about a bond: a turn by a part of a circle is nothing.

#[cfg(test)]
mod tests;

use std::f64::consts::{PI, TAU};

use burn::tensor::{DType, Device, Tensor};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::bijection::{FlowError, Points};
use crate::context::Samples;
use crate::divergence::{indices, tensor};
use crate::frame::{Direction, Frame};
use crate::random::{Purpose, stream};

/// `n` points that are alike, bonded to one centre and turning against one other point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotor {
    /// Their places in the frame: first the one whose dihedral goes round, then those whose dihedrals are measured to its point.
    pub places: Vec<usize>,
    /// The direction, in radians, from which that of the rotor is at most `π/n` away, either way.
    pub middle: f64,
}

/// The map from folded internal coordinates to those of a [`Frame`], both `[batch, 3N − 6, 1]`.
///
/// Let `τ_k` be the dihedrals of a [`Rotor`]'s points about its bond, and `δ_k` in `0…2π` the angle from the first to each. Its direction
/// `ψ = τ₁ + (1/n) Σ δ_k − π (n − 1)/n` is that of the first point where all are evenly spread. Giving each point the place of the next one
/// round turns `ψ` by exactly `2π/n`. So one of the `n` labellings that are made in this way has `ψ` within `π/n` of its middle, and folded
/// coordinates are the frame's in this labelling, with `χ = n (ψ − middle)`, an angle in `−π…π`, in the place of `τ₁`.
///
/// Densities are of points that are told apart, and a folded density gives each of the `n` labellings its `n`th part: that makes up for
/// `dτ₁ = dχ/n`, so that the log-density is the same in folded coordinates as in the frame's, in any of these labellings.
#[derive(Clone, Debug, PartialEq)]
pub struct Fold {
    rotors: Vec<Rotor>,
    /// The columns of the internal coordinates of each.
    columns: Vec<Columns>,
}

/// The internal coordinates of a rotor's points, in the order of its places.
#[derive(Clone, Debug, PartialEq)]
struct Columns {
    distances: Vec<usize>,
    angles: Vec<usize>,
    dihedrals: Vec<usize>,
}

impl Fold {
    /// Finds the coordinates of rotors in a frame.
    ///
    /// # Errors
    /// For rotors whose places are not groups of the frame's points about one bond, or that have a point in common.
    pub fn new(frame: &Frame, rotors: Vec<Rotor>) -> Result<Self, FlowError> {
        let mut taken = vec![false; frame.points()];
        for rotor in &rotors {
            let is_new = |&place: &usize| {
                let old = taken.get_mut(place);
                old.is_some_and(|old| !std::mem::replace(old, true))
            };
            let are_new = rotor.places.iter().all(is_new);
            if !(are_new && rotor.middle.is_finite() && turns(frame, &rotor.places)) {
                return Err(FlowError::Unsupported {
                    what: format!("the places {:?} are no group that turns", rotor.places),
                });
            }
        }
        let [distances, angles, _] = frame.counts();
        let columns = |rotor: &Rotor| {
            let of = |start: usize| rotor.places.iter().map(|place| place + start).collect();
            // The first point has no distance, two have no angle, three no dihedral.
            Columns {
                distances: rotor.places.iter().map(|place| place - 1).collect(),
                angles: of(distances - 2),
                dihedrals: of(distances + angles - 3),
            }
        };
        Ok(Self {
            columns: rotors.iter().map(columns).collect(),
            rotors,
        })
    }

    /// The rotors.
    pub fn rotors(&self) -> &[Rotor] {
        &self.rotors
    }

    /// In how many labellings a folded configuration is counted.
    pub fn labellings(&self) -> f64 {
        let counts = self.rotors.iter().map(|rotor| rotor.places.len() as f64);
        counts.product()
    }

    /// What is to be added to an internal coordinate for the angle that it stands for: that of the dihedral `n τ₁`, for the `χ` of a rotor.
    pub fn phase(&self, coordinate: usize) -> f64 {
        let mut rotors = self.rotors.iter().zip(&self.columns);
        let rotor = rotors.find(|(_, columns)| columns.dihedrals[0] == coordinate);
        rotor.map_or(0.0, |(rotor, _)| rotor.places.len() as f64 * rotor.middle)
    }

    /// The frame's internal coordinates of folded ones, with their gradient, in the labelling of which `ψ` is near the middle.
    pub fn forward(&self, folded: &Points) -> Points {
        if self.rotors.is_empty() {
            return folded.clone();
        }
        let [batch, count, _] = folded.dims();
        let (device, dtype) = (folded.device(), folded.dtype());
        let x = folded.clone().reshape([batch, count]);
        let mut place: Vec<usize> = (0..count).collect();
        let mut parts = vec![x.clone()];
        for (new, (rotor, columns)) in self.rotors.iter().zip(&self.columns).enumerate() {
            let n = rotor.places.len() as f64;
            let (first, others) = (columns.dihedrals[0], &columns.dihedrals[1..]);
            place[first] = count + new;
            let chi = x.clone().narrow(1, first, 1);
            let deltas = x.clone().select(1, indices(others, &device));
            let around = whole_turns_off(chi, -PI) - whole_turns_off(deltas, 0.0).sum_dim(1);
            let zero = filled(rotor.middle + even(n), (&device, dtype));
            // Not `/ n`, whose gradient Burn has in single precision.
            parts.push(around * n.recip() + zero);
        }
        let all = Tensor::cat(parts, 1).select(1, indices(&place, &device));
        all.reshape([batch, count, 1])
    }

    /// Folded coordinates of the frame's, `count` of each configuration, in place.
    pub fn inverse(&self, internal: &mut [f64], count: usize) {
        if self.rotors.is_empty() {
            return;
        }
        for x in internal.chunks_mut(count) {
            for (rotor, columns) in self.rotors.iter().zip(&self.columns) {
                let n = rotor.places.len();
                let part = TAU / n as f64;
                let above = (columns.direction(x) - rotor.middle + 0.5 * part).rem_euclid(TAU);
                let parts = (above / part).floor() as usize % n;
                columns.turn(x, (n - parts) % n);
                let off = columns.direction(x) - rotor.middle;
                x[columns.dihedrals[0]] = wrapped(n as f64 * off);
            }
        }
    }

    /// The frame's coordinates in another of the labellings, each as likely as any other: a function of seed and number of the sample.
    pub fn shuffle(&self, internal: &mut [f64], count: usize, samples: &Samples) {
        if self.rotors.is_empty() {
            return;
        }
        for (x, &number) in internal.chunks_mut(count).zip(&samples.numbers) {
            let mut random = stream(samples.seed, Purpose::Labels, number);
            for columns in &self.columns {
                columns.turn(x, random.random_range(0..columns.dihedrals.len()));
            }
        }
    }

    /// Directions of a rotor of these places in configurations of the frame, `count` numbers each, times the number of its points.
    ///
    /// # Errors
    /// As [`Fold::new`].
    pub fn directions(
        frame: &Frame,
        places: &[usize],
        internal: &[f64],
    ) -> Result<Vec<f64>, FlowError> {
        let rotor = Rotor {
            places: places.to_vec(),
            middle: 0.0,
        };
        let fold = Self::new(frame, vec![rotor])?;
        let count = frame.counts().iter().sum();
        let rows = internal.chunks(count);
        Ok(rows
            .map(|x| places.len() as f64 * fold.columns[0].direction(x))
            .collect())
    }
}

impl Columns {
    /// The angle from the first point to each.
    fn deltas(&self, x: &[f64]) -> Vec<f64> {
        let others = self.dihedrals[1..].iter();
        let others = others.map(|&column| x[column].rem_euclid(TAU));
        std::iter::once(0.0).chain(others).collect()
    }

    /// `ψ`.
    fn direction(&self, x: &[f64]) -> f64 {
        let deltas = self.deltas(x);
        let n = deltas.len() as f64;
        x[self.dihedrals[0]] + deltas.iter().sum::<f64>() / n - even(n)
    }

    /// Gives every point the place of the one that is so many places on, round the bond.
    fn turn(&self, x: &mut [f64], by: usize) {
        let n = self.dihedrals.len();
        let deltas = self.deltas(x);
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| deltas[a].total_cmp(&deltas[b]));
        let mut from = vec![0; n];
        for (rank, &point) in order.iter().enumerate() {
            from[point] = order[(rank + by) % n];
        }
        for columns in [&self.distances, &self.angles] {
            let old: Vec<f64> = columns.iter().map(|&column| x[column]).collect();
            for (&column, &from) in columns.iter().zip(&from) {
                x[column] = old[from];
            }
        }
        let turned = deltas[from[0]];
        x[self.dihedrals[0]] = wrapped(x[self.dihedrals[0]] + turned);
        for (&column, &from) in self.dihedrals.iter().zip(&from).skip(1) {
            x[column] = wrapped(deltas[from] - turned);
        }
    }
}

/// Whether these places are of points about one bond whose dihedrals are measured to the first of them.
fn turns(frame: &Frame, places: &[usize]) -> bool {
    let of = |place: usize| {
        let place = frame.places().get(place)?;
        let is_polar = place.direction == Direction::Polar;
        (is_polar && place.references.len() == 3).then_some(place)
    };
    let [first, others @ ..] = places else {
        return false;
    };
    let Some(leader) = of(*first) else {
        return false;
    };
    let measured = [leader.references[0], leader.references[1], leader.point];
    let are_measured = |&place: &usize| of(place).is_some_and(|p| p.references == measured);
    !others.is_empty() && others.iter().all(are_measured)
}

/// The mean of the angles from the first to each of `n` points evenly spread.
fn even(n: f64) -> f64 {
    PI * (n - 1.0) / n
}

/// An angle in `−π…π`.
fn wrapped(angle: f64) -> f64 {
    (angle + PI).rem_euclid(TAU) - PI
}

/// Angles with whole turns taken off, so that they are in one from `least` on.
fn whole_turns_off(angles: Tensor<2>, least: f64) -> Tensor<2> {
    let turns = ((angles.clone().detach() - least) / TAU).floor() * TAU;
    angles - turns
}

fn filled(value: f64, (device, dtype): (&Device, DType)) -> Tensor<2> {
    tensor(vec![value], [1, 1], device, dtype)
}
