//! How well the torsions of a flow's weighted samples agree with those of a reference.

use std::fmt;

use boltzflow_molecule::Conformers;
use serde::{Deserialize, Serialize};

use crate::bootstrap::Bootstrap;
use crate::profile::{HIGHEST, ProfileComparison};
use crate::rotamers::{Angles, LEAST_COUNTS, RotamerComparison};
use crate::system::{Ensemble, System};
use crate::weights::StatisticsError;

/// Neighbouring blocks that are more correlated are said to be too short.
const CORRELATED: f64 = 0.25;

/// Free-energy profiles and populations of a flow beside those of a reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Frames of the reference.
    pub frames: usize,
    /// The profile of each torsion.
    pub profiles: Vec<ProfileComparison>,
    /// The wells of each torsion alone.
    pub rotamers: Vec<RotamerComparison>,
    /// The joint states of all torsions.
    pub joint: RotamerComparison,
}

impl Agreement {
    /// Compares the weighted samples of a flow with frames of the target in the order of their run; `None` where the system has no torsions.
    ///
    /// # Errors
    /// If there are no frames, or a frame or a sample of some weight has no angle.
    pub fn new(
        system: &System,
        frames: &Conformers,
        ensemble: &Ensemble,
        bootstrap: &Bootstrap,
    ) -> Result<Option<Self>, StatisticsError> {
        let weights = &ensemble.weights;
        let torsions = system.torsions();
        let angles: Vec<Angles> = torsions
            .iter()
            .map(|torsion| Angles {
                torsion,
                flow: ensemble
                    .conformers
                    .iter()
                    .map(|x| torsion.angle(x))
                    .collect(),
                reference: frames.iter().map(|x| torsion.angle(x)).collect(),
            })
            .collect();
        if angles.is_empty() {
            return Ok(None);
        }
        let profiles = angles
            .iter()
            .map(|angles| ProfileComparison::new(angles, weights, bootstrap));
        let rotamers = angles
            .iter()
            .map(|angles| RotamerComparison::new(&[angles], weights, bootstrap));
        let all: Vec<&Angles> = angles.iter().collect();
        Ok(Some(Self {
            frames: frames.len(),
            profiles: profiles.collect::<Result<_, _>>()?,
            rotamers: rotamers.collect::<Result<_, _>>()?,
            joint: RotamerComparison::new(&all, weights, bootstrap)?,
        }))
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "torsions          against all {} frames of the reference; errors of these by blocks",
            self.frames
        )?;
        for (profile, rotamers) in self.profiles.iter().zip(&self.rotamers) {
            write_profile(f, profile)?;
            write_rotamers(f, rotamers)?;
        }
        // Of one torsion it is the same once more.
        if self.rotamers.len() > 1 {
            write_rotamers(f, &self.joint)?;
        }
        Ok(())
    }
}

fn write_profile(f: &mut fmt::Formatter<'_>, profile: &ProfileComparison) -> fmt::Result {
    let found = &profile.deviation;
    write!(f, "F along {:<9} ", profile.name)?;
    if found.empty > 0 {
        write!(
            f,
            "infinitely far apart: {} of {} bins below {HIGHEST} kT have no sample of the flow; over the others ",
            found.empty, found.bins
        )?;
    }
    write!(
        f,
        "{:.3} kT RMS ({:.3} of the errors alone), |z| up to {:.1}",
        found.sampled, found.expected, found.largest_z
    )?;
    match found.empty {
        0 => writeln!(f, ", over the {} bins below {HIGHEST} kT", found.bins),
        _ => writeln!(f),
    }
}

fn write_rotamers(f: &mut fmt::Formatter<'_>, rotamers: &RotamerComparison) -> fmt::Result {
    let RotamerComparison {
        name,
        possible,
        seen,
        pooled,
        ..
    } = rotamers;
    write!(f, "χ² of {name:<11} ")?;
    match &rotamers.chi_squared {
        Some(found) => write!(
            f,
            "{:.2} of {} degrees of freedom, p = {:.3}",
            found.value, found.degrees, found.p
        )?,
        None => write!(f, "cannot be told")?,
    }
    write!(f, "; {seen} of {possible} states seen")?;
    if *pooled > 0 {
        write!(
            f,
            ", {pooled} of fewer than {LEAST_COUNTS} effective counts pooled"
        )?;
    }
    writeln!(f)?;
    if rotamers.block_correlation > CORRELATED {
        writeln!(
            f,
            "                  neighbouring blocks of {} frames are correlated by {:.2}: the reference's errors are too small",
            rotamers.block_length, rotamers.block_correlation
        )?;
    }
    for state in &rotamers.states {
        let mark = if state.rare { " (rare)" } else { "" };
        writeln!(
            f,
            "  {:<22}  {} flow, {} reference, z = {:.2}{mark}",
            state.name, state.flow, state.reference, state.z
        )?;
    }
    Ok(())
}
