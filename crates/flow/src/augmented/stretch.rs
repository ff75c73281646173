//! Monotone maps of an interval that keep count of how near to its ends they bring a number.

use burn::tensor::{DType, Tensor};

use crate::elementwise::{Elementwise, Way};
use crate::space::Space;

/// What becomes of `s` in 0…1, each `[batch, points]`. Radii and lines are mapped as such numbers, which are at the ends where those are at infinity
/// (or zero), so what matters is by how much the distances from the ends change.
#[derive(Debug)]
pub(super) struct Stretch {
    /// `s'`.
    pub image: Tensor<2>,
    /// `ln ds'/ds`.
    pub log_slope: Tensor<2>,
    /// `ln s'/s`.
    pub low: Tensor<2>,
    /// `ln (1 − s')/(1 − s)`.
    pub high: Tensor<2>,
}

impl Stretch {
    /// Maps `s` of every point by its numbers, `[batch, points, parameters]`.
    pub fn new(map: Elementwise, way: Way, s: &Tensor<2>, numbers: &Tensor<3>) -> Self {
        let space = Space::Product {
            lines: 0,
            intervals: s.dims()[1],
            circles: 0,
        };
        let (image, log_slope) = map.map(way, space, s.clone(), numbers);
        Self {
            low: log_ratio(image.clone(), s.clone(), &log_slope),
            high: log_ratio(rest(image.clone()), rest(s.clone()), &log_slope),
            image,
            log_slope,
        }
    }

    /// `ln (s'/(1 − s')) − ln (s/(1 − s))`.
    pub fn log_odds(&self) -> Tensor<2> {
        self.low.clone() - self.high.clone()
    }
}

fn rest(s: Tensor<2>) -> Tensor<2> {
    s.neg() + 1.0
}

/// `ln to/from` of distances from an end that stays where it is; so near to it that digits are lost, the logarithm of the slope there.
fn log_ratio(to: Tensor<2>, from: Tensor<2>, log_slope: &Tensor<2>) -> Tensor<2> {
    let near = match from.dtype() {
        DType::F64 => 1e-12,
        _ => 1e-6,
    };
    let is_near = from.clone().lower_elem(near);
    // What is not near can be brought nearer, but not to nothing, which rounding may make of it.
    let ratio = to.clamp_min(1e-4 * near) / from.clamp_min(near);
    ratio.log().mask_where(is_near, log_slope.clone())
}
