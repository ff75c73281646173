//! What weights say of torsions.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bootstrap::{Bootstrap, Estimate};
use crate::free_energy::{free_energy_difference, populations};
use crate::histogram::{BINS, Histogram};
use crate::system::Ensemble;
use crate::torsion::{Torsion, Well};
use crate::weights::StatisticsError;

/// A well of a torsion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WellSummary {
    /// Its name.
    pub name: String,
    /// How many samples of some weight are in it. Where there is none, because the flow makes none or has not yet made one, the probability is
    /// not known, and the 0 told is no estimate.
    pub samples: usize,
    /// Its probability.
    pub population: Estimate,
    /// Its free energy over that of the torsion's first well in kT; none for the first itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_energy: Option<Estimate>,
}

/// What the weights say of a torsion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TorsionSummary {
    /// Its name.
    pub name: String,
    /// Its atoms, from 0.
    pub atoms: [usize; 4],
    /// Its wells.
    pub wells: Vec<WellSummary>,
    /// Its histogram.
    pub histogram: Histogram,
}

impl TorsionSummary {
    pub(super) fn new(
        torsion: &Torsion,
        ensemble: &Ensemble,
        bootstrap: &Bootstrap,
    ) -> Result<Self, StatisticsError> {
        let weights = &ensemble.weights;
        let angles: Vec<f64> = ensemble
            .conformers
            .iter()
            .map(|x| torsion.angle(x))
            .collect();
        let wells = torsion.kind.wells();
        let summary = |(index, well): (usize, &Well)| {
            let state = |&angle: &f64| match (well.contains(angle), wells[0].contains(angle)) {
                (true, _) => 1,
                (false, true) => 0,
                (false, false) => 2,
            };
            let states: Vec<usize> = angles.iter().map(state).collect();
            let here = states.iter().zip(weights.normalised());
            let here = here.filter(|(state, weight)| **state == 1 && **weight > 0.0);
            let free_energy = (index > 0)
                .then(|| free_energy_difference(weights, &states, [0, 1], 1.0, bootstrap));
            Ok(WellSummary {
                name: well.name.to_owned(),
                samples: here.count(),
                population: populations(weights, &states, 2, bootstrap)?[1],
                free_energy: free_energy.transpose()?,
            })
        };
        Ok(Self {
            name: torsion.name.clone(),
            atoms: torsion.atoms,
            wells: wells
                .iter()
                .enumerate()
                .map(summary)
                .collect::<Result<_, StatisticsError>>()?,
            histogram: Histogram::of_dihedral(&angles, weights, BINS, bootstrap)?,
        })
    }
}

impl fmt::Display for TorsionSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_torsion(f, &self.name, self.atoms)?;
        let first = &self.wells[0];
        for well in &self.wells {
            write!(f, "  {:<22}  ", well.name)?;
            if well.samples == 0 {
                writeln!(f, "no sample is here")?;
                continue;
            }
            write!(f, "{}", well.population)?;
            if let Some(free_energy) = well.free_energy.filter(|_| first.samples > 0) {
                write!(f, ", {free_energy} kT over {}", first.name)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The line before a torsion's wells.
pub fn write_torsion(f: &mut fmt::Formatter<'_>, name: &str, atoms: [usize; 4]) -> fmt::Result {
    let [i, j, k, l] = atoms;
    writeln!(f, "torsion           {name} (atoms {i} {j} {k} {l})")
}
