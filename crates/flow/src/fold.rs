//! Three points that are alike and turn about a bond: a third of a turn is nothing.

#[cfg(test)]
mod tests;

use std::f64::consts::{PI, TAU};

use burn::tensor::Tensor;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::bijection::{FlowError, PerSample, Points};
use crate::context::Samples;
use crate::divergence::indices;
use crate::frame::{Direction, Frame};
use crate::random::{Purpose, stream};

/// How many points of a rotor there are.
const N: usize = 3;
/// A part of a turn.
const PART: f64 = TAU / N as f64;

/// Three points that are alike, bonded to one centre and turning against one other point, as the hydrogens of a methyl group do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotor {
    /// Their places in the frame: first the one whose dihedral goes round, then those whose dihedrals are measured to its point.
    pub places: [usize; N],
    /// Which way round they are.
    pub order: Order,
}

impl Rotor {
    /// In how many labellings a configuration is counted in which these are folded.
    pub fn labellings(rotors: &[Self]) -> f64 {
        (N as f64).powi(rotors.len() as i32)
    }
}

/// Which way round three points are: no turn changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Dihedrals rise from each to the next.
    Rising,
    /// They fall.
    Falling,
}

impl Order {
    fn sign(self) -> f64 {
        match self {
            Self::Rising => 1.0,
            Self::Falling => -1.0,
        }
    }
}

/// The map from folded internal coordinates to those of a [`Frame`], both `[batch, 3N − 6, 1]`.
///
/// Let `τ_k` be the dihedrals about its bond of a [`Rotor`]'s points, `k` = 0, 1, 2, in their order, without whole turns between them. Its
/// direction is `ψ = Σ (τ_k − 2π k/3)/3` (with `+` for falling dihedrals), and the points would be at `t_k = ψ + 2π k/3` if they were evenly spread.
/// The folded coordinates in the place of the rotor's distances are the amplitudes of `r_k = R/√3 + √(2/3) (R_c cos t_k + R_s sin t_k)`; in
/// the place of its angles they are those of `θ_k`; and in that of its dihedrals they are `χ = 3 ψ`, in −π…π, and the amplitudes of
/// `τ_k = t_k + √(2/3) (E_c cos t_k + E_s sin t_k)`.
///
/// Giving each point the place of the next one turns `ψ` by `2π/3` and changes none of these: they are of the cloud, and not of its labels, and
/// smooth all the way round. Densities are of points that are told apart, and a folded density gives each of the three labellings that turns make of
/// each other a third: that makes up for `dψ = dχ/3`, and `log_det = ½ ln 3` is left for each rotor. Labellings in the other order have density zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Fold {
    rotors: Vec<Rotor>,
    /// The columns of the internal coordinates of each.
    columns: Vec<Columns>,
}

/// The internal coordinates of a rotor's points, in the order of its places.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Columns {
    distances: [usize; N],
    angles: [usize; N],
    dihedrals: [usize; N],
    sign: f64,
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
            if !(rotor.places.iter().all(is_new) && turn_together(frame, rotor.places)) {
                return Err(FlowError::Unsupported {
                    what: format!("the places {:?} are no group that turns", rotor.places),
                });
            }
        }
        Ok(Self {
            columns: rotors
                .iter()
                .map(|rotor| Columns::of(frame, rotor))
                .collect(),
            rotors,
        })
    }

    /// The order that these places have in all configurations of the frame, if there is one.
    ///
    /// # Errors
    /// As [`Fold::new`].
    pub fn order(
        frame: &Frame,
        places: [usize; N],
        internal: &[f64],
    ) -> Result<Option<Order>, FlowError> {
        let orders = [Order::Rising, Order::Falling].into_iter();
        for order in orders {
            let fold = Self::new(frame, vec![Rotor { places, order }])?;
            let count = frame.counts().iter().sum();
            let mut rows = internal.chunks(count);
            if rows.all(|x| fold.columns[0].unwound(x).is_some()) {
                return Ok(Some(order));
            }
        }
        Ok(None)
    }

    /// The rotors.
    pub fn rotors(&self) -> &[Rotor] {
        &self.rotors
    }

    /// Whether a folded coordinate is the amplitude of a cosine, of a sine, or neither.
    pub fn amplitude(&self, coordinate: usize) -> [bool; 2] {
        [1, 2].map(|which| {
            self.columns.iter().any(|c| {
                [c.distances, c.angles, c.dihedrals]
                    .iter()
                    .any(|c| c[which] == coordinate)
            })
        })
    }

    /// Whether a folded coordinate is an amplitude in the place of a dihedral, so that `2π` is not nothing to it.
    pub fn is_amplitude_of_dihedrals(&self, coordinate: usize) -> bool {
        let mut columns = self.columns.iter();
        columns.any(|columns| columns.dihedrals[1..].contains(&coordinate))
    }

    /// The frame's internal coordinates of folded ones, with their gradient, in the labelling of which `ψ` is in −π/3…π/3; and `log_det`, which is no
    /// number where amplitudes are so large that points have passed each other.
    pub fn forward(&self, folded: &Points) -> (Points, PerSample) {
        let [batch, count, _] = folded.dims();
        let (device, dtype) = (folded.device(), folded.dtype());
        let mut log_det = Tensor::full([batch], self.constant(), (&device, dtype));
        if self.rotors.is_empty() {
            return (folded.clone(), log_det);
        }
        let x = folded.clone().reshape([batch, count]);
        let mut place: Vec<usize> = (0..count).collect();
        let mut parts = vec![x.clone()];
        for (new, columns) in self.columns.iter().enumerate() {
            let column = |index: usize| x.clone().narrow(1, index, 1);
            let chi = column(columns.dihedrals[0]);
            let turns = ((chi.clone().detach() + PI) / TAU).floor() * TAU;
            // Not `/ 3`, whose gradient Burn has in single precision.
            let psi = (chi - turns) * (N as f64).recip();
            let waves = [0, 1, 2].map(|k| {
                let t = psi.clone() + columns.sign * PART * f64::from(k);
                let scale = wave();
                [t.clone().cos() * scale, t.sin() * scale]
            });
            let sum = |mean: Tensor<2>, [c, s]: [usize; 2]| {
                waves
                    .clone()
                    .map(|[cosine, sine]| mean.clone() + cosine * column(c) + sine * column(s))
            };
            for [mean, c, s] in [columns.distances, columns.angles] {
                parts.extend(sum(column(mean) * (N as f64).sqrt().recip(), [c, s]));
            }
            let [_, c, s] = columns.dihedrals;
            let [first, second, third] = sum(psi.zeros_like(), [c, s]);
            let around = [second, third].map(|off| off - first.clone());
            let [one, two] = around.clone().map(|off| off.detach() * columns.sign);
            // Each is between its neighbours: 0, 1, 2, and 0 after a turn.
            let gaps = [one.clone() + PART, two.clone() - one + PART, -two + PART];
            let least = Tensor::cat(gaps.to_vec(), 1).min_dim(1).reshape([batch]);
            log_det = log_det.mask_fill(least.lower_equal_elem(0.0), f64::NAN);
            let [one, two] = around;
            parts.push(psi + first);
            parts.push(one + columns.sign * PART);
            parts.push(two + 2.0 * columns.sign * PART);
            let all = [columns.distances, columns.angles, columns.dihedrals].concat();
            for (k, column) in all.into_iter().enumerate() {
                place[column] = count + 3 * N * new + k;
            }
        }
        let all = Tensor::cat(parts, 1).select(1, indices(&place, &device));
        (all.reshape([batch, count, 1]), log_det)
    }

    /// Folded coordinates of the frame's, `count` of each configuration, in place, and `−log_det`, `−∞` of another order.
    pub fn inverse(&self, internal: &mut [f64], count: usize) -> Vec<f64> {
        let rows = internal.chunks_mut(count);
        rows.map(|x| {
            let inside: Vec<bool> = self.columns.iter().map(|c| c.fold(x)).collect();
            if inside.contains(&false) {
                f64::NEG_INFINITY
            } else {
                -self.constant()
            }
        })
        .collect()
    }

    /// The frame's coordinates in another of the labellings, each as likely as any other: a function of seed and number of the sample.
    pub fn shuffle(&self, internal: &mut [f64], count: usize, samples: &Samples) {
        if self.rotors.is_empty() {
            return;
        }
        for (x, &number) in internal.chunks_mut(count).zip(&samples.numbers) {
            let mut random = stream(samples.seed, Purpose::Labels, number);
            for columns in &self.columns {
                columns.turn(x, random.random_range(0..N));
            }
        }
    }

    /// `log_det`.
    fn constant(&self) -> f64 {
        0.5 * (N as f64).ln() * self.rotors.len() as f64
    }
}

impl Columns {
    fn of(frame: &Frame, rotor: &Rotor) -> Self {
        let [distances, angles, _] = frame.counts();
        // The first point has no distance, two have no angle, three no dihedral.
        Self {
            distances: rotor.places.map(|place| place - 1),
            angles: rotor.places.map(|place| distances + place - 2),
            dihedrals: rotor.places.map(|place| distances + angles + place - 3),
            sign: rotor.order.sign(),
        }
    }

    /// The dihedrals of all points without whole turns between them, if these are in order.
    fn unwound(&self, x: &[f64]) -> Option<[f64; N]> {
        let [first, second, third] = self.dihedrals.map(|column| x[column]);
        let [one, two] = [second, third].map(|delta| (self.sign * delta).rem_euclid(TAU));
        (0.0 < one && one < two).then_some([
            first,
            first + self.sign * one,
            first + self.sign * two,
        ])
    }

    /// Puts the folded coordinates of the rotor in the place of the frame's; whether its points are in order. If not, they are left as they are.
    fn fold(&self, x: &mut [f64]) -> bool {
        let Some(tau) = self.unwound(x) else {
            return false;
        };
        let ideal = [0.0, 1.0, 2.0].map(|k| self.sign * PART * k);
        let psi = tau.iter().zip(ideal).map(|(tau, t)| tau - t).sum::<f64>() / N as f64;
        let t = ideal.map(|ideal| psi + ideal);
        let amplitudes = |values: [f64; N]| {
            let of = |wave: fn(f64) -> f64| {
                let products = values.iter().zip(t).map(|(value, t)| value * wave(t));
                self::wave() * products.sum::<f64>()
            };
            [of(f64::cos), of(f64::sin)]
        };
        for columns in [self.distances, self.angles] {
            let values = columns.map(|column| x[column]);
            let [c, s] = amplitudes(values);
            let mean = values.iter().sum::<f64>() / (N as f64).sqrt();
            for (column, value) in columns.into_iter().zip([mean, c, s]) {
                x[column] = value;
            }
        }
        let [c, s] = amplitudes([0, 1, 2].map(|k| tau[k] - t[k]));
        let chi = principal_angle(N as f64 * psi);
        for (column, value) in self.dihedrals.into_iter().zip([chi, c, s]) {
            x[column] = value;
        }
        true
    }

    /// Gives every point the place of the one that is so many places on; points are in order.
    fn turn(&self, x: &mut [f64], by: usize) {
        let from = [0, 1, 2].map(|k| (k + by) % N);
        let [first, second, third] = self.dihedrals.map(|column| x[column]);
        let tau = [first, first + second, first + third];
        for columns in [self.distances, self.angles] {
            let old = columns.map(|column| x[column]);
            for (column, from) in columns.into_iter().zip(from) {
                x[column] = old[from];
            }
        }
        let [one, two, three] = from.map(|from| tau[from]);
        for (column, angle) in self
            .dihedrals
            .into_iter()
            .zip([one, two - one, three - one])
        {
            x[column] = principal_angle(angle);
        }
    }
}

/// Whether these places are of points about one bond, the dihedrals of all but the first measured to it.
fn turn_together(frame: &Frame, places: [usize; N]) -> bool {
    let of = |place: usize| {
        let place = frame.places().get(place)?;
        let is_polar = place.direction == Direction::Polar;
        (is_polar && place.references.len() == 3).then_some(place)
    };
    let [first, others @ ..] = places;
    let Some(leader) = of(first) else {
        return false;
    };
    let measured = [leader.references[0], leader.references[1], leader.point];
    others
        .iter()
        .all(|&place| of(place).is_some_and(|place| place.references == measured))
}

/// What makes cosines and sines at three even angles orthonormal: `√(2/3)`.
fn wave() -> f64 {
    (2.0 / N as f64).sqrt()
}

/// An angle in `−π…π`.
pub fn principal_angle(angle: f64) -> f64 {
    (angle + PI).rem_euclid(TAU) - PI
}
