//! Monotone rational-quadratic splines of an interval or a circle onto itself.

mod kernel;
mod knots;
#[cfg(test)]
mod tests;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::elementwise::Way;
use crate::elementwise::operation::{self, Maps};
pub use knots::Knots;

/// The least width and height of a bin, in parts of an even one's, and the least slope at a knot.
const LEAST: f64 = 1e-3;
/// `ln(e^(1 − LEAST) − 1)`, where softplus is `1 − LEAST`.
const AT_ONE: f64 = 0.539_742_417_236_952_1;

/// What a coordinate in `0…1` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// An interval: its ends stay where they are.
    Interval,
    /// A circle, cut at 0 = 1: the map is as smooth there as elsewhere, and may turn it.
    Circle,
}

/// How many numbers make a spline, and what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spline {
    /// Bins between knots, at least one.
    pub bins: usize,
    /// Of what.
    pub domain: Domain,
}

impl Spline {
    /// Numbers that make one spline: widths, heights, slopes; and the turn of a circle, whose first slope is its last.
    pub fn parameters(self) -> usize {
        3 * self.bins + 1
    }
}

/// The splines of all coordinates: first those of intervals, then those of circles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Splines {
    /// Bins of each.
    pub(crate) bins: usize,
    /// How many of the coordinates are intervals.
    pub(crate) intervals: usize,
}

impl Splines {
    fn parameters(self) -> usize {
        let domain = Domain::Interval;
        let bins = self.bins;
        Spline { bins, domain }.parameters()
    }
}

/// What coordinates in 0…1 are mapped to, and the logarithm of the slope; see [`Knots`] for the formula.
///
/// # Shapes
/// `x` and the results `[batch, coordinates]`, `numbers` `[batch, coordinates, parameters]`, of no more digits than `x`.
///
/// # Panics
/// If there are not [`Spline::parameters`] numbers for each coordinate.
pub(crate) fn map(
    splines: Splines,
    way: Way,
    x: &Tensor<2>,
    numbers: &Tensor<3>,
) -> (Tensor<2>, Tensor<2>) {
    assert_eq!(
        numbers.dims()[2],
        splines.parameters(),
        "numbers of a spline of {} bins",
        splines.bins
    );
    operation::map(Maps::Splines(splines), way, x, numbers)
        .unwrap_or_else(|| composed(splines, way, x, numbers))
}

/// [`map`] by [`Knots`].
fn composed(
    splines: Splines,
    way: Way,
    x: &Tensor<2>,
    numbers: &Tensor<3>,
) -> (Tensor<2>, Tensor<2>) {
    let Splines { bins, intervals } = splines;
    let circles = x.dims()[1] - intervals;
    let parts = [
        (Domain::Interval, 0, intervals),
        (Domain::Circle, intervals, circles),
    ];
    let (mut y, mut log_slope) = (Vec::new(), Vec::new());
    for (domain, from, count) in parts.into_iter().filter(|part| part.2 > 0) {
        let numbers = numbers.clone().narrow(1, from, count).cast(x.dtype());
        let knots = Spline { bins, domain }.knots(&numbers);
        let x = x.clone().narrow(1, from, count);
        let (part, slope) = match way {
            Way::Forward => knots.forward(x),
            Way::Inverse => knots.inverse(x),
        };
        y.push(part);
        log_slope.push(slope);
    }
    (Tensor::cat(y, 1), Tensor::cat(log_slope, 1))
}

/// The part of a number above the next integer below.
pub(crate) fn wrapped(x: Tensor<2>) -> Tensor<2> {
    x.clone() - x.floor()
}
