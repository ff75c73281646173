//! Confined Lennard-Jones clusters.

use super::TargetError;
use super::lanes::{Lanes, Pairwise};
use crate::{Energy, EnergyError, Evaluator, Units};

/// `U = Σ_{i<j} ε [(1/r)¹² − 2 (1/r)⁶] + ½ k Σ_i |x_i − x̄|²` in three dimensions, in reduced units.
///
/// Published work uses ε = 2 (Klein, Krämer and Noé, 2023, and the data that follow it) and ε = 1 (Midgley et al., 2023) with k = 1:
/// two targets that cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LennardJones {
    points: usize,
    epsilon: f64,
    confinement: f64,
}

impl LennardJones {
    /// A cluster of `points`, each pair `epsilon` deep at its minimum `r = 1`, held together by springs of stiffness `confinement`
    /// to the centroid (0: none; such a cluster can be minimised, but evaporates when sampled).
    ///
    /// # Errors
    /// Fewer than two points; a depth that is not positive; a confinement that is negative; or numbers that are not finite.
    pub fn new(points: usize, epsilon: f64, confinement: f64) -> Result<Self, TargetError> {
        let range = |quantity, range, found| TargetError::Range {
            quantity,
            range,
            found,
        };
        if !(2..=100_000).contains(&points) {
            return Err(range("number of points", "from 2 to 100000", points as f64));
        }
        if !(epsilon.is_finite() && epsilon > 0.0) {
            return Err(range("well depth", "above 0 and finite", epsilon));
        }
        if !(confinement.is_finite() && confinement >= 0.0) {
            return Err(range("confinement", "at least 0 and finite", confinement));
        }
        Ok(Self {
            points,
            epsilon,
            confinement,
        })
    }

    /// Depth ε of each pair.
    pub fn epsilon(&self) -> f64 {
        self.epsilon
    }

    /// Stiffness of the springs to the centroid.
    pub fn confinement(&self) -> f64 {
        self.confinement
    }
}

impl Pairwise for LennardJones {
    fn points(&self) -> usize {
        self.points
    }

    #[inline]
    fn pair(&self, squared: f64) -> (f64, f64) {
        let inverse = 1.0 / squared;
        let sixth = inverse * inverse * inverse;
        let scaled = self.epsilon * sixth;
        (
            scaled * (sixth - 2.0),
            12.0 * scaled * (1.0 - sixth) * inverse,
        )
    }

    fn confinement(&self) -> f64 {
        self.confinement
    }
}

impl Energy for LennardJones {
    fn points(&self) -> usize {
        self.points
    }

    fn dims(&self) -> usize {
        3
    }

    fn units(&self) -> Units {
        Units::Reduced
    }

    fn evaluator(&self) -> Result<Box<dyn Evaluator + '_>, EnergyError> {
        Ok(Box::new(Lanes::<_, 3>::new(*self)))
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn a_pair_at_unit_distance_has_the_depth_of_the_well_and_the_springs_half_their_stretch() {
        let pair = LennardJones::new(2, 2.0, 3.0).unwrap();
        let mut gradient = [0.0; 6];
        let energy = pair
            .evaluator()
            .unwrap()
            .evaluate(&[0.0, 0.0, 0.0, 1.0, 0.0, 0.0], &mut gradient)
            .unwrap();
        assert_relative_eq!(energy, -2.0 + 0.5 * 3.0 * 0.5, epsilon = 1e-14);
        assert_relative_eq!(gradient[3], 3.0 * 0.5, epsilon = 1e-13);
    }
}
