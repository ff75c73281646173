//! What each verb does.

mod built_in;
mod compare;
mod configurations;
mod data;
mod energy;
mod estimate;
mod evaluation;
mod generate;
mod held_out;
mod marginal;
mod plan;
mod sampling;
mod simulation;
mod training;
mod weighting;

use std::path::Path;

use anyhow::{Result, bail};
use boltzflow_boltzmann::{Checkpoint, System};
use boltzflow_chemio::AtomicFile;

use crate::report;
pub use compare::compare;
use configurations::{Configurations, configurations, to_learn_from};
use data::{check_fit, has_extension};
pub use data::{density, info};
pub use energy::energy;
pub use evaluation::evaluate;
pub use generate::generate;
pub use sampling::{merge, sample};
pub use simulation::simulate;
pub use training::train;
pub use weighting::reweight;
use weighting::{Weighted, check_structures, read_samples};

/// What to do with an output of another run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Leave it and say so.
    Refuse,
    /// Put the new one in its place.
    Replace,
}

impl Existing {
    /// As `--overwrite` says.
    pub fn from_flag(overwrite: bool) -> Self {
        if overwrite {
            Self::Replace
        } else {
            Self::Refuse
        }
    }

    /// Refuses an output that is there already and is not to be replaced.
    fn check(self, path: &Path) -> Result<()> {
        if self == Self::Refuse && path.exists() {
            bail!("{} exists; give --overwrite to replace it", path.display());
        }
        Ok(())
    }
}

/// Refuses an output that cannot be written, before any work is done for it, and removes what a killed run has left of it half written.
fn prepare(path: &Path) -> Result<()> {
    // It is dropped, so nothing stays.
    AtomicFile::create(path)?;
    Ok(AtomicFile::sweep(path)?)
}

/// The same for histograms and profiles of a system's torsions.
fn prepare_histograms(path: &Path, system: &System, existing: Existing) -> Result<()> {
    existing.check(path)?;
    report::check_histograms(path)?;
    if system.torsions().is_empty() {
        bail!(
            "{} has no torsions, so there are no histograms to write to {}",
            system.name,
            path.display()
        );
    }
    prepare(path)
}

/// A trained flow, if it is of this molecule.
fn flow_of(path: &Path, system: &System) -> Result<Checkpoint> {
    let checkpoint = Checkpoint::read(path)?;
    if !checkpoint.description.architecture.is_of(system) {
        bail!(
            "{} is a flow of another molecule or atom order ({})",
            path.display(),
            checkpoint.description.target
        );
    }
    Ok(checkpoint)
}

/// Removes a file that may not be there.
fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
