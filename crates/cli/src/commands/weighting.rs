//! `reweight`, and weighted structures on their way into a file.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use boltzflow_boltzmann::{
    Bootstrap, Cost, Ensemble, Part, SampleFile, Spent, Summary, System, identity, is_same,
};
use boltzflow_chemio::{Format, SdfVersion, Structure, Tags, tags::names, write_extxyz, write_sdf};

use super::{Existing, prepare, prepare_histograms};
use crate::arguments::Reweight;
use crate::report;

pub fn reweight(arguments: &Reweight, json: bool) -> Result<()> {
    let system = arguments.system.system(None)?;
    let existing = Existing::from_flag(arguments.overwrite);
    if let Some(output) = &arguments.output {
        existing.check(output)?;
        check_structures(output, &system)?;
        prepare(output)?;
    }
    if let Some(path) = &arguments.histograms {
        prepare_histograms(path, &system, existing)?;
    }
    let file = read_samples(&arguments.samples, &system)?;
    warn_of_temperature(&arguments.samples, &file, &system);
    let threads = rayon::current_num_threads();
    let sampling = arguments.sampling_core_seconds.map(|seconds| Spent {
        part: Part::Sampling,
        energy_calls: 0,
        seconds: Some(seconds / threads as f64),
    });
    let cost = Cost {
        threads,
        parts: sampling.into_iter().collect(),
    };
    let weighted = Weighted::new(&system, &file, arguments.seed, cost)?;
    if let Some(output) = &arguments.output {
        weighted.write(output)?;
    }
    if let Some(path) = &arguments.histograms {
        report::write_histograms(path, &weighted.summary.torsions)?;
    }
    report::print(&weighted.summary, json)
}

/// Reads samples that are fit to be weighted for a system.
pub fn read_samples(path: &Path, system: &System) -> Result<SampleFile> {
    let file = SampleFile::read(path)?;
    if file.shape != [system.energy.points(), system.energy.dims()] {
        bail!(
            "{} holds samples of {} points in {} dimensions, but {} has {} in {}",
            path.display(),
            file.shape[0],
            file.shape[1],
            system.name,
            system.energy.points(),
            system.energy.dims()
        );
    }
    if file.fingerprint.molecule != identity(&system.points()) {
        bail!(
            "{} holds samples of another molecule or toy than {}, or of the same molecule with its atoms in another order",
            path.display(),
            system.name
        );
    }
    Ok(file)
}

/// Weights are right for any proposal whose density is known, but the fewer samples count the further its temperature is from the target's.
fn warn_of_temperature(path: &Path, file: &SampleFile, system: &System) {
    let other = |drawn: &f64| !is_same(*drawn, system.temperature);
    if let Some(drawn) = file.temperature.filter(other) {
        eprintln!(
            "warning: {} holds samples drawn for {drawn} K, weighted here for {} K: the weights are right, but fewer samples count than of a flow that draws for that temperature",
            path.display(),
            system.temperature
        );
    }
}

/// Samples with their weights and what these say.
pub struct Weighted<'a> {
    system: &'a System,
    file: &'a SampleFile,
    /// The samples with energies and weights.
    pub ensemble: Ensemble,
    /// The diagnostics.
    pub summary: Summary,
}

impl<'a> Weighted<'a> {
    /// Weights samples; `seed` is the bootstrap's, `cost` what was spent before.
    pub fn new(
        system: &'a System,
        file: &'a SampleFile,
        seed: u64,
        mut cost: Cost,
    ) -> Result<Self> {
        if file.fingerprint.model.contains("hutchinson") {
            bail!(
                "the log-densities of these samples are noisy estimates, which would bias the weights; sample with the exact divergence"
            );
        }
        let started = Instant::now();
        let ensemble = system.reweight(&file.drawn, file.fingerprint.mirror)?;
        cost.parts.push(Spent {
            part: Part::Weighting,
            energy_calls: ensemble.weights.len() as u64,
            seconds: Some(started.elapsed().as_secs_f64()),
        });
        let bootstrap = Bootstrap {
            seed,
            ..Bootstrap::default()
        };
        let summary = Summary::new(system, &ensemble, bootstrap, cost)?;
        let summary = summary.with_density(file.fingerprint.density);
        Ok(Self {
            system,
            file,
            ensemble,
            summary,
        })
    }

    /// Writes weighted structures, SDF or extended XYZ by extension.
    pub fn write(&self, path: &Path) -> Result<()> {
        check_structures(path, self.system)?;
        let Some(reference) = &self.system.molecule else {
            return Ok(());
        };
        let tags: Vec<Tags> = (0..self.file.numbers.len())
            .map(|index| self.tags(index))
            .collect();
        let is_there = |(positions, tags): &(&[f64], &Tags)| {
            let log_q = tags.real(names::LOG_Q);
            log_q.is_some_and(f64::is_finite) && positions.iter().all(|x| x.is_finite())
        };
        let records: Vec<_> = self.ensemble.conformers.iter().zip(&tags).collect();
        let lost = records.iter().filter(|record| !is_there(record)).count();
        if lost > 0 {
            eprintln!(
                "{lost} of {} samples ran off: they count with weight 0, but are no structures to write",
                records.len()
            );
        }
        let records = records.into_iter().filter(is_there);
        let structures = records.map(|(positions, tags)| Structure {
            molecule: &reference.molecule,
            positions,
            tags,
        });
        if Format::of(path)? == Format::Sdf {
            write_sdf(path, structures, SdfVersion::default())?;
        } else {
            write_extxyz(path, structures)?;
        }
        Ok(())
    }

    fn tags(&self, index: usize) -> Tags {
        let Ensemble {
            energies,
            log_q,
            weights,
            ..
        } = &self.ensemble;
        let mut tags = Tags::new();
        // A configuration without an energy has weight 0 and no such tag.
        if energies[index].is_finite() {
            tags.set(names::ENERGY, energies[index]);
        }
        tags.set(names::LOG_Q, log_q[index]);
        let log_weight = weights.log_weights()[index];
        if log_weight.is_finite() {
            tags.set(names::LOG_WEIGHT, log_weight);
        }
        let weight = weights.normalised()[index];
        tags.set(names::WEIGHT, weight);
        // Every record stands for itself alone.
        tags.set(names::POPULATION, weight);
        tags.set(names::TEMPERATURE, self.system.temperature);
        tags.set(names::SEED, self.file.fingerprint.seed as i64);
        tags.set(names::SAMPLE, self.file.numbers[index] as i64);
        tags.set(names::TRUSTED, self.summary.verdict.is_trusted());
        tags
    }
}

/// Refuses a file that [`Weighted::write`] would not write.
pub fn check_structures(path: &Path, system: &System) -> Result<()> {
    if system.molecule.is_none() {
        bail!(
            "a toy has no structures to write to {}; its samples are in the NPZ file",
            path.display()
        );
    }
    match Format::of(path) {
        Ok(Format::Sdf | Format::Xyz) => Ok(()),
        _ => bail!(
            "{} is neither .sdf nor .xyz; structures are written as one of these",
            path.display()
        ),
    }
}
