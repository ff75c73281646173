//! Samples of the target itself.

use boltzflow_energy::energies;
use boltzflow_molecule::Conformers;

use super::distance::{select, spread};
use crate::relabelling::Labels;
use crate::system::{System, SystemError};

/// Configurations that were drawn from the target itself, in the order of their run.
pub struct TargetSamples {
    pub(super) conformers: Conformers,
    /// `U/kT` of each.
    pub(super) reduced: Vec<f64>,
    /// The relabellings that any flow of the target counts, where that is known.
    pub(super) labels: Option<Labels>,
}

impl TargetSamples {
    /// Evaluates their energies.
    ///
    /// # Errors
    /// If one has no finite energy: then it is no sample of the target.
    pub fn new(system: &System, conformers: Conformers) -> Result<Self, SystemError> {
        let kt = system.kt();
        let reduced = energies(&*system.energy, &conformers)?
            .into_iter()
            .map(|energy| Ok(energy? / kt))
            .collect::<Result<_, SystemError>>()?;
        Ok(Self {
            conformers,
            reduced,
            labels: system.labels_of_any_flow(),
        })
    }

    /// As many of them as are asked for or as there are, evenly spread.
    pub fn spread(&self, count: usize) -> Self {
        let all = self.conformers.len();
        let indices = spread(all, count.min(all));
        Self {
            conformers: self.conformers.select(&indices),
            reduced: select(&self.reduced, &indices),
            labels: self.labels,
        }
    }

    /// The configurations.
    pub fn conformers(&self) -> &Conformers {
        &self.conformers
    }

    /// `log w = −U/kT − log q` of each, from the flow's (folded) log-densities of them.
    pub fn log_weights(&self, log_q: &[f64]) -> Vec<f64> {
        let reduced = self.reduced.iter().zip(log_q);
        reduced.map(|(u, log_q)| -u - log_q).collect()
    }
}
