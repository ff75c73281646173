//! What is said, and where: results on standard output, progress on standard error.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Result;
use boltzflow_boltzmann::{
    Bootstrap, Ensemble, Estimate, Reason, System, Verdict, average, free_energy_difference, log_z,
    populations,
};
use boltzflow_molecule::geometry::dihedral;
use serde::Serialize;

/// A number with its bootstrap error.
fn shown(estimate: &Estimate) -> String {
    format!("{:.4} ± {:.4}", estimate.value, estimate.error)
}

/// Prints a line of results.
pub fn say(line: impl std::fmt::Display) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{line}")?;
    Ok(())
}

/// What weights say, in the order in which it is to be read.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Whether averages over the weights can be trusted.
    pub trusted: bool,
    /// Why not.
    pub doubts: Vec<Reason>,
    /// All samples, those of weight 0 included.
    pub n: usize,
    /// Samples of weight 0 by reason.
    pub zero_weight: BTreeMap<String, usize>,
    /// Samples that were reflected to the right mirror image.
    pub reflected: usize,
    /// Raw effective sample size over n.
    pub ess: f64,
    /// Pareto k̂.
    pub pareto_k: Option<f64>,
    /// `ln Z` on the mean-free subspace.
    pub log_z: Estimate,
    /// Mean potential energy.
    pub mean_energy: Estimate,
    /// Populations of torsions.
    pub torsions: Vec<Torsion>,
    /// Seed of the bootstrap.
    pub seed: u64,
}

/// Populations of one torsion's three ranges.
#[derive(Debug, Serialize)]
pub struct Torsion {
    /// Its atoms, from 0.
    pub atoms: [usize; 4],
    /// |φ| < 120°.
    pub gauche: Estimate,
    /// |φ| ≥ 120°.
    pub anti: Estimate,
    /// Free energy of gauche over anti in kT.
    pub gauche_over_anti: Estimate,
}

impl Summary {
    /// Of an ensemble.
    pub fn new(system: &System, ensemble: &Ensemble, seed: u64) -> Result<Self> {
        let weights = &ensemble.weights;
        let bootstrap = Bootstrap {
            seed,
            ..Bootstrap::default()
        };
        let doubts = match weights.verdict() {
            Verdict::Trusted => Vec::new(),
            Verdict::NotToBeTrusted { reasons } => reasons,
        };
        let torsions = system
            .torsions()
            .into_iter()
            .map(|atoms| -> Result<Torsion> {
                let is_anti = |x: &[f64]| dihedral(x, atoms).abs() >= 120_f64.to_radians();
                let states: Vec<usize> = ensemble
                    .conformers
                    .iter()
                    .map(|x| usize::from(is_anti(x)))
                    .collect();
                let shares = populations(weights, &states, 2, &bootstrap)?;
                let gauche_over_anti =
                    free_energy_difference(weights, &states, [1, 0], 1.0, &bootstrap)?;
                Ok(Torsion {
                    atoms,
                    gauche: shares[0],
                    anti: shares[1],
                    gauche_over_anti,
                })
            });
        Ok(Self {
            trusted: doubts.is_empty(),
            doubts,
            n: weights.len(),
            zero_weight: ensemble.zero.clone(),
            reflected: ensemble.reflected,
            ess: weights.efficiency(),
            pareto_k: weights.tail().shape(),
            log_z: log_z(weights, &bootstrap),
            mean_energy: average(weights, &ensemble.energies, &bootstrap)?,
            torsions: torsions.collect::<Result<_>>()?,
            seed,
        })
    }

    /// Prints it as text or as JSON.
    pub fn print(&self, json: bool) -> Result<()> {
        if json {
            return say(serde_json::to_string(self)?);
        }
        if self.trusted {
            say("verdict        the weights pass all checks")?;
        } else {
            say("verdict        NOT TO BE TRUSTED:")?;
            for doubt in &self.doubts {
                say(format_args!("               - {doubt}"))?;
            }
        }
        say(format_args!(
            "samples        {} in, {} of non-zero weight",
            self.n,
            self.n - self.zero_weight.values().sum::<usize>()
        ))?;
        for (reason, count) in &self.zero_weight {
            say(format_args!("               {count} of weight 0: {reason}"))?;
        }
        if self.reflected > 0 {
            say(format_args!(
                "               {} reflected to the right mirror image",
                self.reflected
            ))?;
        }
        say(format_args!(
            "raw ESS        {:.2} % of n = {} ({:.1})",
            100.0 * self.ess,
            self.n,
            self.ess * self.n as f64
        ))?;
        match self.pareto_k {
            Some(k) => say(format_args!("Pareto k̂       {k:.3}"))?,
            None => say("Pareto k̂       too few samples")?,
        }
        say(format_args!(
            "ln Z           {} (mean-free, all labels)",
            shown(&self.log_z)
        ))?;
        say(format_args!("mean energy    {}", shown(&self.mean_energy)))?;
        for torsion in &self.torsions {
            say(format_args!(
                "torsion {:?}  gauche (|φ| < 120°) {}, anti {}, ΔF/kT {}",
                torsion.atoms,
                shown(&torsion.gauche),
                shown(&torsion.anti),
                shown(&torsion.gauche_over_anti)
            ))?;
        }
        Ok(())
    }
}
