//! The traits that every target implements.

use boltzflow_molecule::Conformers;
use rayon::prelude::*;

/// What an energy's numbers are measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Units {
    /// Å and kcal/mol; the temperature is in kelvin, `kT = R·T`.
    Molecular,
    /// Reduced units; `kT` is given as a number.
    Reduced,
}

/// Why an energy could not be set up or evaluated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EnergyError {
    /// The energy of a configuration is not a finite number.
    #[error("the energy is {value} at these positions; two atoms may coincide")]
    NotFinite {
        /// What came out.
        value: f64,
    },
    /// What evaluates the energy cannot be made or has failed.
    #[error("the force field failed: {reason}")]
    SetUp {
        /// What it says.
        reason: String,
    },
    /// The positions do not belong to this energy.
    #[error("{found} coordinates were given where the energy has {expected}")]
    Size {
        /// Coordinates of the energy.
        expected: usize,
        /// Coordinates given.
        found: usize,
    },
}

impl EnergyError {
    /// [`Self::Size`] for every configuration of a batch of `numbers` coordinates, `found` in each.
    pub(crate) fn size_of_each(
        expected: usize,
        found: usize,
        numbers: usize,
    ) -> Vec<Result<f64, Self>> {
        vec![Err(Self::Size { expected, found }); numbers / found.max(1)]
    }
}

/// A potential energy `U(x)` of a cloud of points.
pub trait Energy: Sync {
    /// Points of a configuration.
    fn points(&self) -> usize;
    /// Spatial dimensions of each point.
    fn dims(&self) -> usize;
    /// What its numbers are measured in.
    fn units(&self) -> Units;
    /// One thread's way to evaluate it.
    fn evaluator(&self) -> Result<Box<dyn Evaluator + '_>, EnergyError>;

    /// `U(x)` term by term: names and values that sum to it. Empty where the energy cannot be taken apart.
    ///
    /// # Errors
    /// Another number of coordinates than `points · dims`.
    fn terms(&self, x: &[f64]) -> Result<Vec<(&'static str, f64)>, EnergyError> {
        let (expected, found) = (self.points() * self.dims(), x.len());
        if found == expected {
            Ok(Vec::new())
        } else {
            Err(EnergyError::Size { expected, found })
        }
    }
}

/// One thread's way to evaluate an energy: it owns the scratch memory.
pub trait Evaluator: Send {
    /// Returns `U(x)` and writes `∂U/∂x`.
    ///
    /// # Shapes
    /// `x` and `gradient`: `points · dims`, point by point.
    fn evaluate(&mut self, x: &[f64], gradient: &mut [f64]) -> Result<f64, EnergyError>;

    /// The same for many configurations, one after another in `x` and `gradients`; one outcome each.
    /// Energies that vectorise over configurations override it; the answers equal those of [`Self::evaluate`]
    /// to rounding.
    fn evaluate_batch(
        &mut self,
        x: &[f64],
        gradients: &mut [f64],
        size: usize,
    ) -> Vec<Result<f64, EnergyError>> {
        x.chunks_exact(size)
            .zip(gradients.chunks_exact_mut(size))
            .map(|(x, gradient)| self.evaluate(x, gradient))
            .collect()
    }
}

/// How many configurations one task of [`energies`] evaluates: the unit of parallel work, fixed so that results do not depend on threads.
const BATCH: usize = 64;

/// `U` of every configuration, in order, evaluated on all threads of the pool.
///
/// # Errors
/// The outer error is that of setting up an evaluator; a configuration that cannot be evaluated has its own.
pub fn energies(
    energy: &dyn Energy,
    conformers: &Conformers,
) -> Result<Vec<Result<f64, EnergyError>>, EnergyError> {
    let size = energy.points() * energy.dims();
    if conformers.size() != size {
        return Err(EnergyError::Size {
            expected: size,
            found: conformers.size(),
        });
    }
    let batches: Vec<_> = conformers
        .positions()
        .par_chunks(BATCH * size)
        .map(|x| {
            let mut gradients = vec![0.0; x.len()];
            Ok(energy.evaluator()?.evaluate_batch(x, &mut gradients, size))
        })
        .collect::<Result<_, EnergyError>>()?;
    Ok(batches.into_iter().flatten().collect())
}
