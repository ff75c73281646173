//! Internal coordinates in units of their own spread, on the product of spaces that flows work on.

#[cfg(test)]
mod tests;

use std::f64::consts::{PI, TAU};

use burn::tensor::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::bijection::{FlowError, PerSample, Points};
use crate::divergence::{indices, tensor};
use crate::prior::ProductPrior;
use crate::space::Space;
use crate::spline::wrapped;

/// What a logistic variable is divided by to have nearly the spread of a normal one.
const LOGIT_UNIT: f64 = 1.7;
/// What lies as little outside an interval, in parts of it, is inside but for the rounding of single precision.
const ROUNDING: f64 = 1e-6;
/// The least width of an interval in standard units.
const LEAST_WIDTH: f64 = 0.1;

/// The map between points of a [`Space::Product`] and internal coordinates `[batch, coordinates, 1]`.
///
/// - Stiff coordinates `s` vibrate about one place: `s = c + M z` with the standard coordinates `z`, which are lines, or each an interval
///   between two bounds, `z = a + (b − a) u`. A dihedral among them is measured from its centre, the shorter way round.
/// - Torsions go round: `φ = φ₀ + 2π u` on a circle, or, for maps of lines alone, on a line with `u = 1/(1 + e^{−1.7 z})`, which cuts the circle
///   at `φ₀`.
///
/// A stiff dihedral more than half a turn from its centre is another place's already: its `log_det` is no number.
///
/// `log_det = ln |det M| + Σ ln (b − a) + n ln 2π` (`+ Σ ln 1.7 u(1−u)` on lines). What lies outside the bounds has the density zero: its
/// `log_det` of the inverse is `−∞`, and its point is moved to the nearest end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chart {
    /// The stiff coordinates.
    pub stiff: Vec<Stiff>,
    /// `M`, row by row.
    pub spread: Vec<f64>,
    /// `M⁻¹`, row by row.
    pub whiten: Vec<f64>,
    /// `ln |det M|`.
    pub log_det: f64,
    /// `[a, b]` of each standard coordinate; none for lines.
    pub bounds: Vec<[f64; 2]>,
    /// The torsions.
    pub torsions: Vec<Turning>,
    /// What torsions are.
    pub rounds: Rounds,
}

/// A coordinate that vibrates about one place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stiff {
    /// Which of the internal coordinates.
    pub coordinate: usize,
    /// `c`.
    pub center: f64,
    /// Whether `2π` is nothing to it.
    pub is_angle_of_turn: bool,
}

/// A coordinate that goes round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turning {
    /// Which of the internal coordinates.
    pub coordinate: usize,
    /// `φ₀`, where few configurations are.
    pub cut: f64,
}

/// What torsions are to a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounds {
    /// Circles.
    Circles,
    /// Lines, cut where few configurations are.
    Lines,
}

impl Chart {
    /// How many coordinates there are.
    pub fn len(&self) -> usize {
        self.stiff.len() + self.torsions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where flows work.
    pub fn space(&self) -> Space {
        let (stiff, torsions) = (self.stiff.len(), self.torsions.len());
        let intervals = if self.bounds.is_empty() { 0 } else { stiff };
        let circles = match self.rounds {
            Rounds::Circles => torsions,
            Rounds::Lines => 0,
        };
        Space::Product {
            lines: stiff + torsions - intervals - circles,
            intervals,
            circles,
        }
    }

    /// Standard normal numbers in the standard coordinates, cut off at the bounds, and even turns.
    pub fn prior(&self) -> ProductPrior {
        ProductPrior {
            space: self.space(),
            bounds: self.bounds.clone(),
        }
    }

    /// What does not fit together in it, as in a file that is damaged or forged.
    pub fn flaw(&self, coordinates: usize) -> Option<&'static str> {
        let m = self.stiff.len();
        let mut all = self.coordinates();
        all.sort_unstable();
        let numbers = self.spread.iter().chain(&self.whiten);
        let centers = self.stiff.iter().map(|stiff| &stiff.center);
        let cuts = self.torsions.iter().map(|torsion| &torsion.cut);
        let mut numbers = numbers.chain(centers).chain(cuts).chain([&self.log_det]);
        let is_interval = |&[a, b]: &[f64; 2]| {
            a.is_finite() && b.is_finite() && a < 0.0 && b > 0.0 && b - a >= LEAST_WIDTH
        };
        if !all.into_iter().eq(0..coordinates) {
            Some("its coordinates are not those of the molecule, each once")
        } else if self.spread.len() != m * m || self.whiten.len() != m * m {
            Some("its spread is no square matrix of the stiff coordinates")
        } else if numbers.any(|value| !value.is_finite()) {
            Some("a centre, cut or spread is not finite")
        } else if !(self.bounds.is_empty() || self.bounds.len() == m) {
            Some("its bounds are not one pair for each stiff coordinate")
        } else if !self.bounds.is_empty() && self.rounds == Rounds::Lines {
            Some("its torsions are lines, but its stiff coordinates are not")
        } else if !self.bounds.iter().all(is_interval) {
            Some("a pair of bounds is no interval about 0")
        } else {
            None
        }
    }

    /// Internal coordinates of points of the product, and `log_det`.
    ///
    /// # Errors
    /// [`FlowError::Shape`] of a batch of another shape.
    pub fn forward(&self, y: &Points) -> Result<(Points, PerSample), FlowError> {
        self.space().check(y)?;
        let [batch, count, _] = y.dims();
        let y = y.clone().reshape([batch, count]);
        let (device, dtype) = (y.device(), y.dtype());
        let m = self.stiff.len();
        let mut log_det = Tensor::full([batch], self.constant(), (&device, dtype));
        let mut parts = Vec::new();
        if m > 0 {
            let u = y.clone().narrow(1, 0, m);
            let z = if self.bounds.is_empty() {
                u
            } else {
                let [low, width] = self.ends(&device, dtype);
                u * width + low
            };
            let off = z.matmul(self.matrix(&self.spread, &device, dtype));
            let turns = off.clone().abs() * self.turns(&device, dtype);
            let farthest = turns.max_dim(1).reshape([batch]);
            log_det = log_det.mask_fill(farthest.greater_elem(PI), f64::NAN);
            let centers = self.stiff.iter().map(|stiff| stiff.center);
            parts.push(off + row(centers, &device, dtype));
        }
        if !self.torsions.is_empty() {
            let z = y.narrow(1, m, self.torsions.len());
            let u = match self.rounds {
                Rounds::Circles => z,
                Rounds::Lines => {
                    let z = z * LOGIT_UNIT;
                    // ln u(1 − u) = −|z| − 2 ln (1 + e^{−|z|}).
                    let far = z.clone().abs().neg();
                    let slope = far.clone() - (far.exp() + 1.0).log() * 2.0;
                    log_det = log_det + slope.sum_dim(1).reshape([batch]);
                    (z.neg().exp() + 1.0).recip()
                }
            };
            let cuts = row(
                self.torsions.iter().map(|torsion| torsion.cut),
                &device,
                dtype,
            );
            parts.push(u * TAU + cuts);
        }
        let mut place = vec![0; count];
        for (k, column) in self.coordinates().into_iter().enumerate() {
            place[column] = k;
        }
        let all = Tensor::cat(parts, 1).select(1, indices(&place, &device));
        Ok((all.reshape([batch, count, 1]), log_det))
    }

    /// Points of the product for internal coordinates, and `−log_det`, `−∞` for what is outside the bounds.
    ///
    /// # Errors
    /// [`FlowError::Shape`] of a batch of another shape.
    pub fn inverse(&self, internal: &Points) -> Result<(Points, PerSample), FlowError> {
        let [batch, count, _] = internal.dims();
        Space::Free {
            points: self.len(),
            dims: 1,
        }
        .check(internal)?;
        let (device, dtype) = (internal.device(), internal.dtype());
        let x = internal.clone().reshape([batch, count]);
        let x = x.select(1, indices(&self.coordinates(), &device));
        let m = self.stiff.len();
        let mut log_det = Tensor::full([batch], -self.constant(), (&device, dtype));
        let mut parts = Vec::new();
        if m > 0 {
            let centers = self.stiff.iter().map(|stiff| stiff.center);
            let off = x.clone().narrow(1, 0, m) - row(centers, &device, dtype);
            // The shorter way round, for those that turn.
            let turns = (off.clone() / TAU + 0.5).floor() * TAU;
            let off = off - turns * self.turns(&device, dtype);
            let z = off.matmul(self.matrix(&self.whiten, &device, dtype));
            parts.push(if self.bounds.is_empty() {
                z
            } else {
                let [low, width] = self.ends(&device, dtype);
                let u = (z - low) / width;
                let inside = u.clone().clamp(0.0, 1.0);
                let outside = (u - inside.clone()).abs().sum_dim(1).reshape([batch]);
                log_det = log_det.mask_fill(outside.greater_elem(ROUNDING), f64::NEG_INFINITY);
                inside
            });
        }
        if !self.torsions.is_empty() {
            let cuts = row(
                self.torsions.iter().map(|torsion| torsion.cut),
                &device,
                dtype,
            );
            let u = wrapped((x.narrow(1, m, self.torsions.len()) - cuts) / TAU);
            parts.push(match self.rounds {
                Rounds::Circles => u,
                Rounds::Lines => {
                    let (up, down) = (u.clone().log(), (u.neg() + 1.0).log());
                    let slope = up.clone() + down.clone();
                    log_det = log_det - slope.sum_dim(1).reshape([batch]);
                    (up - down) / LOGIT_UNIT
                }
            });
        }
        let y = Tensor::cat(parts, 1).reshape([batch, count, 1]);
        Ok((y, log_det))
    }

    /// By how much a standard coordinate, or a torsion, moves where a coordinate of the product moves by one.
    pub fn widths(&self) -> Vec<f64> {
        let mut widths = vec![1.0; self.stiff.len()];
        let bounds = widths.iter_mut().zip(&self.bounds);
        bounds.for_each(|(width, [a, b])| *width = b - a);
        let turn = match self.rounds {
            Rounds::Circles => TAU,
            Rounds::Lines => 1.0,
        };
        widths.resize(self.len(), turn);
        widths
    }

    /// The part of `log_det` that is the same everywhere.
    fn constant(&self) -> f64 {
        let widths: f64 = self.bounds.iter().map(|[a, b]| (b - a).ln()).sum();
        let turn = match self.rounds {
            Rounds::Circles => TAU.ln(),
            Rounds::Lines => TAU.ln() + LOGIT_UNIT.ln(),
        };
        self.log_det + widths + turn * self.torsions.len() as f64
    }

    /// Internal coordinates in the order of the product.
    pub fn coordinates(&self) -> Vec<usize> {
        let stiff = self.stiff.iter().map(|stiff| stiff.coordinate);
        let torsions = self.torsions.iter().map(|torsion| torsion.coordinate);
        stiff.chain(torsions).collect()
    }

    /// 1 for stiff coordinates to which `2π` is nothing, 0 for the others.
    fn turns(&self, device: &Device, dtype: DType) -> Tensor<2> {
        let turns = |stiff: &Stiff| f64::from(u8::from(stiff.is_angle_of_turn));
        row(self.stiff.iter().map(turns), device, dtype)
    }

    /// Lower ends and widths of the intervals.
    fn ends(&self, device: &Device, dtype: DType) -> [Tensor<2>; 2] {
        let of = |value: fn(&[f64; 2]) -> f64| row(self.bounds.iter().map(value), device, dtype);
        [of(|[a, _]| *a), of(|[a, b]| b - a)]
    }

    /// A matrix that rows are multiplied with from the right.
    fn matrix(&self, entries: &[f64], device: &Device, dtype: DType) -> Tensor<2> {
        let m = self.stiff.len();
        let entries: Tensor<2> = tensor(entries.to_vec(), [m, m], device, dtype);
        entries.transpose()
    }
}

fn row(values: impl Iterator<Item = f64>, device: &Device, dtype: DType) -> Tensor<2> {
    let values: Vec<f64> = values.collect();
    let shape = [1, values.len()];
    tensor(values, shape, device, dtype)
}
