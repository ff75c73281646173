//! What each point weighs.

use boltzflow_molecule::Molecule;

use crate::random::Stream;

/// The mass of each point: u for molecules, arbitrary for toys. They set the pace of the dynamics, not its distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Masses {
    dims: usize,
    total: f64,
    /// One for each coordinate.
    by_coordinate: Vec<f64>,
}

impl Masses {
    /// One mass for each point.
    ///
    /// # Panics
    /// If a mass is not positive: that is a bug of the caller.
    pub fn new(masses: &[f64], dims: usize) -> Self {
        assert!(
            masses.iter().all(|mass| *mass > 0.0 && mass.is_finite()),
            "masses are positive"
        );
        Self {
            dims,
            total: masses.iter().sum(),
            by_coordinate: masses
                .iter()
                .flat_map(|&mass| std::iter::repeat_n(mass, dims))
                .collect(),
        }
    }

    /// The standard atomic weights of a molecule, in u.
    pub fn of(molecule: &Molecule) -> Self {
        Self::new(
            &molecule
                .atoms
                .iter()
                .map(|atom| atom.element.mass())
                .collect::<Vec<_>>(),
            3,
        )
    }

    /// Mass 1 for each point: the toy targets.
    pub fn unit(points: usize, dims: usize) -> Self {
        Self::new(&vec![1.0; points], dims)
    }

    /// How many points there are.
    pub fn points(&self) -> usize {
        self.by_coordinate.len() / self.dims
    }

    /// The mass that moves each coordinate.
    pub(super) fn by_coordinate(&self) -> &[f64] {
        &self.by_coordinate
    }

    /// Draws momenta of total zero at temperature `kt`: `N(0, m kT)` projected with the kinetic metric.
    pub(super) fn draw(&self, kt: f64, stream: &mut Stream, momenta: &mut [f64]) {
        for (momentum, mass) in momenta.iter_mut().zip(&self.by_coordinate) {
            *momentum = (mass * kt).sqrt() * stream.normal();
        }
        self.project(momenta);
    }

    /// Removes the total momentum, a share proportional to the mass from each point.
    fn project(&self, momenta: &mut [f64]) {
        for axis in 0..self.dims {
            let drift = momenta.iter().skip(axis).step_by(self.dims).sum::<f64>() / self.total;
            for (momentum, mass) in momenta
                .iter_mut()
                .zip(&self.by_coordinate)
                .skip(axis)
                .step_by(self.dims)
            {
                *momentum -= mass * drift;
            }
        }
    }

    /// `Σ p² / 2m`.
    pub(super) fn kinetic(&self, momenta: &[f64]) -> f64 {
        momenta
            .iter()
            .zip(&self.by_coordinate)
            .map(|(p, m)| 0.5 * p * p / m)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn drawn_momenta_add_up_to_zero_and_hold_half_kt_in_each_free_direction() {
        let masses = Masses::new(&[1.0, 12.0, 16.0, 1.0], 3);
        let mut stream = Stream::new(1, 0);
        let mut momenta = [0.0; 12];
        let (mut kinetic, draws) = (0.0, 20_000);
        for _ in 0..draws {
            masses.draw(0.6, &mut stream, &mut momenta);
            assert_relative_eq!(momenta.iter().step_by(3).sum::<f64>(), 0.0, epsilon = 1e-12);
            kinetic += masses.kinetic(&momenta);
        }
        // Nine directions; the variance of the kinetic energy is 9 (kT)² / 2.
        let error = (4.5_f64 / f64::from(draws)).sqrt() * 0.6;
        assert!((kinetic / f64::from(draws) - 4.5 * 0.6).abs() < 4.0 * error);
    }
}
