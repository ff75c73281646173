//! Log-densities of positions under flows with auxiliary points, which are averaged out.

use anyhow::{Result, bail};
use boltzflow_boltzmann::{Density, Model, sampling};
use boltzflow_flow::Marginal;
use boltzflow_molecule::Conformers;

use crate::progress::Progress;

/// Draws of auxiliary points for each configuration, unless asked otherwise: those of Midgley et al. 2023.
const DRAWS: usize = 20;

/// Estimates of `log q(x)`, for reports.
pub struct Averaged {
    /// Draws of auxiliary points for each.
    pub draws: usize,
    /// One for each configuration.
    pub marginals: Vec<Marginal>,
}

impl Averaged {
    /// Of so many draws for each of some configurations, which [`check`] has let pass; none of a flow whose densities are those of positions.
    pub fn new(
        model: &Model,
        conformers: &Conformers,
        seed: u64,
        asked: Option<u64>,
    ) -> Result<Option<Self>> {
        let draws = asked.map_or(DRAWS, |draws| draws as usize);
        if model.architecture().density() == Density::Positions {
            return Ok(None);
        }
        let bar = Progress::new(conformers.len() as u64, 0, "averaging out auxiliary points");
        let found = sampling::log_marginal(model, conformers, seed, draws, |done| {
            bar.inc(done as u64);
        })?;
        bar.finish_and_clear();
        Ok(found.map(|marginals| Self { draws, marginals }))
    }
}

/// Refuses draws of what a flow has not.
pub fn check(model: &Model, asked: Option<u64>) -> Result<()> {
    if asked.is_some() && model.architecture().density() == Density::Positions {
        bail!("--draws is for flows with auxiliary points, which this one has not; leave it out");
    }
    Ok(())
}
