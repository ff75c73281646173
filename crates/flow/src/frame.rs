//! Internal coordinates: distances, angles and dihedrals, and the positions that they stand for.

#[cfg(test)]
mod tests;

use std::f64::consts::{FRAC_PI_2, PI};

use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::bijection::{FlowError, PerSample, Points};
use crate::divergence::{indices, tensor};
use crate::space::Space;

/// How a point is placed: at a distance `r` from `i`, in a direction that is told by `j` and `k`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    /// The point.
    pub point: usize,
    /// `i`, `j` and `k`, all placed before: none of them for the first point, one for the second, two for the third.
    pub references: Vec<usize>,
    /// What tells the direction.
    pub direction: Direction,
}

/// What tells a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The angle `θ` to `j` at `i`, and the dihedral `φ` to `k` about the line from `i` to `j`.
    Polar,
    /// `u = sin θ cos φ` and `v = sin θ sin φ`, where the point goes on the line from `j` through `i`.
    Straight,
}

/// The map from internal coordinates to positions and back, with the global frame integrated out.
///
/// The internal coordinates of `N` points are `[batch, 3N − 6, 1]`: first the distances of all points but the first, in the order of their
/// placing, then the angles (or `u`) of all but two, then the dihedrals (or `v`) of all but three. Positions are `[batch, N, 3]`, mean-free,
/// in an orientation of no meaning. A density of internal coordinates gives one of mean-free positions, uniform over rotations, by
/// `log q(x) = log q(internal) − log_det`, where
/// `log_det = ln 8π² + Σ ln r² + Σ ln sin θ − Σ ½ ln (1 − u² − v²) − (3/2) ln N`
/// (of two points `ln 4π + ln r² − (3/2) ln 2`). The last term is the mean-free space's: its orthonormal coordinates are not
/// relative positions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Placed>", into = "Vec<Placed>")]
pub struct Frame {
    places: Vec<Placed>,
    /// Places from the fourth on, those together whose references are all there.
    levels: Vec<Vec<usize>>,
}

impl Frame {
    /// Checks the places and finds which of them can be taken at once.
    ///
    /// # Errors
    /// For fewer than two points, and where a point is not there, is placed twice, or has references that are not there yet.
    pub fn new(places: Vec<Placed>) -> Result<Self, FlowError> {
        let points = places.len();
        let unsupported = |what: String| Err(FlowError::Unsupported { what });
        if points < 2 {
            return unsupported(format!(
                "{points} points have no internal coordinates; a flow needs two or more"
            ));
        }
        // The level of each point that is placed; the first three have level 0.
        let mut level_of = vec![None; points];
        let mut levels: Vec<Vec<usize>> = Vec::new();
        for (index, place) in places.iter().enumerate() {
            let Placed {
                point, references, ..
            } = place;
            let below: Option<Vec<usize>> = references
                .iter()
                .map(|&k| level_of.get(k).copied().flatten())
                .collect();
            let mut different = references.clone();
            different.sort_unstable();
            different.dedup();
            let Some(below) = below.filter(|_| different.len() == index.min(3)) else {
                return unsupported(format!(
                    "place {index} has the references {references:?}, but needs {} points placed before it",
                    index.min(3)
                ));
            };
            if level_of.get(*point) != Some(&None) {
                return unsupported(format!(
                    "place {index} is of point {point}, which is placed already or is none of {points}"
                ));
            }
            if index < 3 && place.direction == Direction::Straight {
                return unsupported("the first three points are placed by angles".to_owned());
            }
            let level = if index < 3 {
                0
            } else {
                below.into_iter().max().unwrap_or(0) + 1
            };
            level_of[*point] = Some(level);
            if level > 0 {
                levels.resize(levels.len().max(level), Vec::new());
                levels[level - 1].push(index);
            }
        }
        Ok(Self { places, levels })
    }

    /// How many points there are.
    pub fn points(&self) -> usize {
        self.places.len()
    }

    /// In the order of placing.
    pub fn places(&self) -> &[Placed] {
        &self.places
    }

    /// Where internal coordinates are.
    pub fn internal(&self) -> Space {
        Space::Free {
            points: self.counts().iter().sum(),
            dims: 1,
        }
    }

    /// Where positions are.
    pub fn positions(&self) -> Space {
        Space::MeanFree {
            points: self.points(),
            dims: 3,
        }
    }

    /// How many distances, angles and dihedrals there are.
    pub fn counts(&self) -> [usize; 3] {
        [1, 2, 3].map(|first| self.points().saturating_sub(first))
    }

    /// Positions with these internal coordinates, and `log_det`, both with their gradients.
    ///
    /// # Errors
    /// [`FlowError::Shape`] of a batch of another shape.
    pub fn forward(&self, internal: &Points) -> Result<(Points, PerSample), FlowError> {
        self.internal().check(internal)?;
        let (distances, angles, dihedrals) = self.parts(internal);
        let first = self.first(&distances, angles.as_ref());
        let log_det = self.log_det(&distances, angles.as_ref(), dihedrals.as_ref());
        let Some((angles, dihedrals)) = angles.zip(dihedrals) else {
            return Ok((
                centred(self.in_order(first, &(0..self.points()).collect::<Vec<_>>())),
                log_det,
            ));
        };
        let local = self.local(angles, dihedrals);
        let mut order = vec![0, 1, 2];
        let mut placed = first;
        for level in &self.levels {
            let references = |which: usize| {
                let of = |&index: &usize| self.places[index].references[which];
                let points: Vec<usize> = level.iter().map(of).collect();
                placed
                    .clone()
                    .select(1, self.rows(&order, &points, &placed))
            };
            let [i, j, k] = [0, 1, 2].map(references);
            let of_level = |tensor: &Tensor<3>, first: usize| {
                let rows: Vec<usize> = level.iter().map(|index| index - first).collect();
                tensor.clone().select(1, indices(&rows, &placed.device()))
            };
            let r = of_level(&distances, 1);
            let [along, beside, across] =
                [0, 1, 2].map(|axis| of_level(&local, 3).narrow(2, axis, 1));
            let [x, y, z] = axes(i.clone(), j, k);
            let new = i + (x * along + y * beside + z * across) * r;
            placed = Tensor::cat(vec![placed, new], 1);
            order.extend(level);
        }
        Ok((centred(self.in_order(placed, &order)), log_det))
    }

    /// The internal coordinates of positions, dihedrals in −π…π, and `−log_det`.
    ///
    /// # Errors
    /// [`FlowError::Shape`] of a batch of another shape.
    pub fn inverse(&self, positions: &Points) -> Result<(Points, PerSample), FlowError> {
        self.positions().check(positions)?;
        let among = |from: usize, which: Option<usize>| {
            let of = |place: &Placed| which.map_or(place.point, |which| place.references[which]);
            let points: Vec<usize> = self.places[from..].iter().map(of).collect();
            positions
                .clone()
                .select(1, indices(&points, &positions.device()))
        };
        let distances = length(among(1, None) - among(1, Some(0)));
        let mut parts = vec![distances.clone()];
        let (mut angles, mut dihedrals) = (None, None);
        if self.points() > 2 {
            let (a, b) = (
                among(2, None) - among(2, Some(0)),
                among(2, Some(1)) - among(2, Some(0)),
            );
            let sine = length(a.clone().cross(b.clone(), 2));
            angles = Some(sine.atan2(dot(a, b)));
        }
        if let (Some(all), true) = (&angles, self.points() > 3) {
            let [i, j, k] = [0, 1, 2].map(|which| among(3, Some(which)));
            let [_, y, z] = axes(i.clone(), j, k);
            let to = among(3, None) - i;
            let turned = dot(to.clone(), z).atan2(dot(to, y));
            let straight = self.straight(positions);
            let (head, tail) = (
                all.clone().narrow(1, 0, 1),
                all.clone().narrow(1, 1, self.points() - 3),
            );
            let sine = tail.clone().sin();
            let bends =
                [turned.clone().cos(), turned.clone().sin()].map(|part| sine.clone() * part);
            let [u, v] = bends;
            angles = Some(Tensor::cat(vec![head, choose(&straight, tail, u)], 1));
            dihedrals = Some(choose(&straight, turned, v));
        }
        let log_det = self.log_det(&distances, angles.as_ref(), dihedrals.as_ref());
        parts.extend(angles);
        parts.extend(dihedrals);
        Ok((Tensor::cat(parts, 1), log_det.neg()))
    }

    /// Distances, angles and dihedrals, where there are any: each `[batch, some, 1]`.
    fn parts(&self, internal: &Points) -> (Tensor<3>, Option<Tensor<3>>, Option<Tensor<3>>) {
        let [distances, angles, dihedrals] = self.counts();
        let part = |from: usize, count: usize| {
            (count > 0).then(|| internal.clone().narrow(1, from, count))
        };
        (
            internal.clone().narrow(1, 0, distances),
            part(distances, angles),
            part(distances + angles, dihedrals),
        )
    }

    /// The first three points, or two, in the plane of x and z.
    fn first(&self, distances: &Tensor<3>, angles: Option<&Tensor<3>>) -> Tensor<3> {
        let origin = distances.clone().narrow(1, 0, 1).repeat_dim(2, 3) * 0.0;
        let zero = origin.clone().narrow(2, 0, 1);
        let second = Tensor::cat(
            vec![
                zero.clone(),
                zero.clone(),
                distances.clone().narrow(1, 0, 1),
            ],
            2,
        );
        let Some(angles) = angles else {
            return Tensor::cat(vec![origin, second], 1);
        };
        let (r, theta) = (
            distances.clone().narrow(1, 1, 1),
            angles.clone().narrow(1, 0, 1),
        );
        // From the first point, the angle is to the second; from the second, to the first.
        let from_first = self.places[2].references[0] == self.places[0].point;
        let (x, z) = (r.clone() * theta.clone().sin(), r * theta.cos());
        let z = if from_first {
            z
        } else {
            distances.clone().narrow(1, 0, 1) - z
        };
        let third = Tensor::cat(vec![x, zero, z], 2);
        Tensor::cat(vec![origin, second, third], 1)
    }

    /// The direction of each further point along the axes of its references, `[batch, N − 3, 3]`.
    fn local(&self, angles: Tensor<3>, dihedrals: Tensor<3>) -> Tensor<3> {
        let angles = angles.narrow(1, 1, self.points() - 3);
        let sine = angles.clone().sin();
        let polar = [
            angles.clone().cos(),
            sine.clone() * dihedrals.clone().cos(),
            sine * dihedrals.clone().sin(),
        ];
        let straight = self.straight(&angles);
        let (u, v) = (angles * straight.clone(), dihedrals * straight.clone());
        let along = (u.clone().square() + v.clone().square()).neg() + 1.0;
        let bent = [along.sqrt().neg(), u, v];
        let chosen = polar.into_iter().zip(bent);
        let chosen = chosen.map(|(polar, bent)| choose(&straight, polar, bent));
        Tensor::cat(chosen.collect(), 2)
    }

    /// 1 for points from the fourth on that go straight, 0 for the others: `[1, N − 3, 1]`.
    fn straight(&self, like: &Tensor<3>) -> Tensor<3> {
        let straight = |place: &Placed| f64::from(u8::from(place.direction == Direction::Straight));
        let values: Vec<f64> = self.places[3..].iter().map(straight).collect();
        let shape = [1, values.len(), 1];
        tensor(values, shape, &like.device(), like.dtype())
    }

    /// See [`Frame`].
    fn log_det(
        &self,
        distances: &Tensor<3>,
        angles: Option<&Tensor<3>>,
        dihedrals: Option<&Tensor<3>>,
    ) -> PerSample {
        let batch = distances.dims()[0];
        let total = |x: Tensor<3>| x.reshape([batch as i32, -1]).sum_dim(1).reshape([batch]);
        let n = self.points() as f64;
        let turns = if self.points() > 2 {
            8.0 * PI * PI
        } else {
            4.0 * PI
        };
        let mut log_det = total(distances.clone().log()) * 2.0 + (turns.ln() - 1.5 * n.ln());
        let Some(angles) = angles else {
            return log_det;
        };
        log_det = log_det + total(angles.clone().narrow(1, 0, 1).sin().log());
        let Some(dihedrals) = dihedrals else {
            return log_det;
        };
        let angles = angles.clone().narrow(1, 1, self.points() - 3);
        let straight = self.straight(&angles);
        let (u, v) = (
            angles.clone() * straight.clone(),
            dihedrals.clone() * straight.clone(),
        );
        let bent = ((u.square() + v.square()).neg() + 1.0).log() * -0.5;
        // A right angle stands where there is none, so that both are finite.
        let bends = straight.ones_like() * FRAC_PI_2;
        let polar = choose(&straight, angles, bends).sin().log();
        log_det + total(choose(&straight, polar, bent))
    }

    /// The rows of points in what was placed in this order of places.
    fn rows(&self, order: &[usize], points: &[usize], like: &Tensor<3>) -> Tensor<1, Int> {
        let mut row = vec![0; self.points()];
        for (k, &index) in order.iter().enumerate() {
            row[self.places[index].point] = k;
        }
        let rows: Vec<usize> = points.iter().map(|&point| row[point]).collect();
        indices(&rows, &like.device())
    }

    /// Points by their numbers, from the order in which they were placed.
    fn in_order(&self, placed: Tensor<3>, order: &[usize]) -> Tensor<3> {
        let all: Vec<usize> = (0..self.points()).collect();
        let rows = self.rows(order, &all, &placed);
        placed.select(1, rows)
    }
}

impl TryFrom<Vec<Placed>> for Frame {
    type Error = FlowError;

    fn try_from(places: Vec<Placed>) -> Result<Self, FlowError> {
        Self::new(places)
    }
}

impl From<Frame> for Vec<Placed> {
    fn from(frame: Frame) -> Self {
        frame.places
    }
}

/// Unit vectors along the line from `i` to `j`, towards `k` across it, and along what is left: a direction with the dihedral `φ` has the
/// parts `cos φ` and `sin φ` of the latter two.
fn axes(i: Tensor<3>, j: Tensor<3>, k: Tensor<3>) -> [Tensor<3>; 3] {
    let along = unit(j.clone() - i);
    let to = k - j;
    let beside = unit(to.clone() - along.clone() * dot(along.clone(), to));
    let across = beside.clone().cross(along.clone(), 2);
    [along, beside, across]
}

fn dot(a: Tensor<3>, b: Tensor<3>) -> Tensor<3> {
    (a * b).sum_dim(2)
}

fn length(a: Tensor<3>) -> Tensor<3> {
    a.square().sum_dim(2).sqrt()
}

fn unit(a: Tensor<3>) -> Tensor<3> {
    a.clone() / length(a)
}

/// The second where `is_second` is 1. Both have to be finite.
fn choose(is_second: &Tensor<3>, first: Tensor<3>, second: Tensor<3>) -> Tensor<3> {
    let is_first = is_second.clone().neg() + 1.0;
    first * is_first + second * is_second.clone()
}

fn centred(x: Points) -> Points {
    let mean = x.clone().mean_dim(1);
    x - mean
}
