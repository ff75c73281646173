//! The double-well system DW4.

use super::lanes::{Lanes, Pairwise};
use crate::{Energy, EnergyError, Evaluator, Units};

/// `U = Σ_{i<j} [0.9 t⁴ − 4 t²]`, `t = |x_i − x_j| − 4`, for four points in the plane (Köhler, Klein and Noé, 2020).
///
/// Reduced units. There is no confinement: the quartic holds the points together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoubleWell;

impl DoubleWell {
    const QUARTIC: f64 = 0.9;
    const QUADRATIC: f64 = -4.0;
    const OFFSET: f64 = 4.0;
}

impl Pairwise for DoubleWell {
    fn points(&self) -> usize {
        4
    }

    #[inline]
    fn pair(&self, squared: f64) -> (f64, f64) {
        // The kink at r = 0 gets no direction rather than 0/0.
        let r = squared.sqrt().max(f64::MIN_POSITIVE);
        let t = r - Self::OFFSET;
        let t2 = t * t;
        let slope = t * (4.0 * Self::QUARTIC * t2 + 2.0 * Self::QUADRATIC);
        (t2 * (Self::QUARTIC * t2 + Self::QUADRATIC), slope / r)
    }

    fn confinement(&self) -> f64 {
        0.0
    }
}

impl Energy for DoubleWell {
    fn points(&self) -> usize {
        Pairwise::points(self)
    }

    fn dims(&self) -> usize {
        2
    }

    fn units(&self) -> Units {
        Units::Reduced
    }

    fn evaluator(&self) -> Result<Box<dyn Evaluator + '_>, EnergyError> {
        Ok(Box::new(Lanes::<_, 2>::new(*self)))
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn the_wells_of_a_pair_are_where_the_slope_vanishes() {
        let well = (4.0_f64 / 1.8).sqrt();
        for r in [4.0 - well, 4.0, 4.0 + well] {
            assert_relative_eq!(DoubleWell.pair(r * r).1, 0.0, epsilon = 1e-13);
        }
        assert_relative_eq!(
            DoubleWell.pair((4.0 + well) * (4.0 + well)).0,
            -16.0 / 3.6,
            epsilon = 1e-12
        );
    }
}
