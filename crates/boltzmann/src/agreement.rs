//! How well the torsions of a flow's weighted samples agree with those of a reference.

use std::fmt;

use boltzflow_molecule::Conformers;
use serde::{Deserialize, Serialize};

use crate::bootstrap::Bootstrap;
use crate::profile::{HIGHEST, ProfileComparison};
use crate::rotamers::{Angles, LEAST_COUNTS, RotamerComparison, StateComparison};
use crate::system::{Ensemble, System};
use crate::weights::StatisticsError;

/// Free-energy profiles and populations of a flow beside those of a reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Frames of the reference that are compared: those that the flow can make.
    pub frames: usize,
    /// The others, outside the flow's bounds: the ensembles that are compared are without them.
    pub outside: usize,
    /// The profile of each torsion.
    pub profiles: Vec<ProfileComparison>,
    /// The wells of each torsion alone.
    pub rotamers: Vec<RotamerComparison>,
    /// The joint states of all torsions.
    pub joint: RotamerComparison,
}

impl Agreement {
    /// Compares the weighted samples of a flow with frames of the target in the order of their run, those that the flow can make and how many more
    /// there are; `None` where the system has no torsions.
    ///
    /// # Errors
    /// If there are no frames, or a frame or a sample of some weight has no angle.
    pub fn new(
        system: &System,
        (frames, outside): (&Conformers, usize),
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
        let all: Vec<&Angles> = angles.iter().collect();
        let joint = RotamerComparison::new(&all, weights, bootstrap, f64::INFINITY)?;
        let [_, most] = joint.effective;
        let profiles = angles
            .iter()
            .map(|angles| ProfileComparison::new(angles, weights, bootstrap));
        let rotamers = angles
            .iter()
            .map(|angles| RotamerComparison::new(&[angles], weights, bootstrap, most));
        Ok(Some(Self {
            frames: frames.len(),
            outside,
            profiles: profiles.collect::<Result<_, _>>()?,
            rotamers: rotamers.collect::<Result<_, _>>()?,
            joint,
        }))
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [flow, reference] = self.joint.effective;
        let all = self.frames + self.outside;
        if self.outside == 0 {
            write!(f, "torsions          of all {all} frames of the reference")?;
        } else {
            write!(
                f,
                "torsions          of the {} of {all} frames of the reference that the flow can make ({:.2} % are outside its bounds)",
                self.frames,
                100.0 * self.outside as f64 / all as f64
            )?;
        }
        writeln!(
            f,
            ", worth {reference:.0} independent ones; the samples are worth {flow:.0}"
        )?;
        for (profile, rotamers) in self.profiles.iter().zip(&self.rotamers) {
            write_profile(f, profile)?;
            write_test(f, rotamers)?;
            write_states(f, rotamers.states.iter().collect())?;
        }
        // Of one torsion it is the same once more.
        if self.rotamers.len() > 1 {
            write_test(f, &self.joint)?;
            let common = self.joint.states.iter().filter(|state| !state.rare);
            write_states(f, common.collect())?;
        }
        Ok(())
    }
}

fn write_profile(f: &mut fmt::Formatter<'_>, profile: &ProfileComparison) -> fmt::Result {
    let found = &profile.deviation;
    write!(f, "F along {}: ", profile.name)?;
    if found.empty > 0 {
        write!(
            f,
            "infinitely far apart, for {} of the {} bins below {HIGHEST} kT have no sample; without these ",
            found.empty, found.bins
        )?;
    }
    writeln!(
        f,
        "{:.3} kT RMS over {} bins below {HIGHEST} kT ({:.3} of the errors alone), |z| up to {:.1}",
        found.sampled,
        found.bins - found.empty,
        found.expected,
        found.largest_z
    )
}

fn write_test(f: &mut fmt::Formatter<'_>, rotamers: &RotamerComparison) -> fmt::Result {
    write!(f, "χ² of {}: ", rotamers.name)?;
    match &rotamers.chi_squared {
        Some(found) => {
            let p = if found.p < 1e-3 {
                format!("{:.0e}", found.p)
            } else {
                format!("{:.3}", found.p)
            };
            let (value, degrees) = (found.value, found.degrees);
            write!(f, "{value:.2}, degrees of freedom {degrees}, p = {p}")?;
        }
        None => write!(f, "not known")?,
    }
    write!(
        f,
        " ({} of {} states seen",
        rotamers.seen, rotamers.possible
    )?;
    if rotamers.pooled > 0 {
        write!(
            f,
            ", {} of fewer than {LEAST_COUNTS} effective counts pooled",
            rotamers.pooled
        )?;
    }
    writeln!(f, ")")?;
    if rotamers.blocks_are_correlated {
        writeln!(
            f,
            "  even {} blocks of {} frames are correlated by {:.2}: the errors of the reference are too small",
            rotamers.blocks, rotamers.block_length, rotamers.block_correlation
        )?;
    }
    Ok(())
}

fn write_states(f: &mut fmt::Formatter<'_>, states: Vec<&StateComparison>) -> fmt::Result {
    let width = states.iter().map(|state| state.name.chars().count());
    let width = width.max().unwrap_or(0).max(22);
    for state in states {
        let mark = if state.rare { " (rare)" } else { "" };
        writeln!(
            f,
            "  {:<width$}  {}, reference {}, z = {:.2}{mark}",
            state.name, state.flow, state.reference, state.z
        )?;
    }
    Ok(())
}
