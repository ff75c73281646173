//! Configurations of a system, from files of any kind.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use boltzflow_boltzmann::{
    Config, Features, Objective, System, Temperatures, TrainingData, is_same, positions_of,
    temperatures_of,
};
use boltzflow_chemio::{Npz, ReadOptions, quantum, read_records};
use boltzflow_molecule::Conformers;

use super::has_extension;

/// Configurations of a file.
pub struct Configurations {
    path: PathBuf,
    /// All of them.
    pub conformers: Conformers,
    /// The temperature of each, where the file holds frames of several.
    temperatures: Option<Vec<f64>>,
}

impl Configurations {
    /// Those of an NPZ file, whose points are these.
    pub fn read_npz(path: &Path, expected: &Features) -> Result<Self> {
        let npz = Npz::read(path)?;
        let conformers = positions_of(&npz, path, expected)?;
        Ok(Self {
            path: path.to_owned(),
            temperatures: temperatures_of(&npz, path, conformers.len())?,
            conformers,
        })
    }

    /// Those that are of the ensemble at one temperature, which is not known of some flows: all, unless the file says that they are at several.
    pub fn at(self, temperature: Option<f64>) -> Result<Conformers> {
        let path = self.path.display();
        let Some(temperatures) = &self.temperatures else {
            return Ok(self.conformers);
        };
        let Some(temperature) = temperature else {
            bail!(
                "{path} holds frames of several temperatures, and the flow does not say which is its own; name the molecule or toy"
            );
        };
        let chosen: Vec<usize> = (0..self.conformers.len())
            .filter(|&k| is_same(temperatures[k], temperature))
            .collect();
        if chosen.is_empty() {
            bail!(
                "{path} holds no frames at the temperature {temperature}, but at {}; choose one of these, or another file",
                listed(temperatures)
            );
        }
        if chosen.len() < self.conformers.len() {
            eprintln!(
                "{} of {} frames of {path} are at the temperature {temperature}; the others are left out",
                chosen.len(),
                self.conformers.len(),
            );
        }
        Ok(self.conformers.select(&chosen))
    }

    /// Each with its temperature, for a flow of these; those at others are left out. A file that names none is of the system's.
    fn within(self, flow: Temperatures) -> Result<TrainingData> {
        let (path, all) = (self.path.display(), self.conformers.len());
        let Some(temperatures) = self.temperatures else {
            return Ok(TrainingData::at(self.conformers, flow.coldest));
        };
        let there = listed(&temperatures);
        let data = TrainingData {
            conformers: self.conformers,
            temperatures,
        };
        let data = data.within(flow);
        if data.is_empty() && all > 0 {
            bail!(
                "{path} holds frames at the temperatures {there}, none of which is one of the flow's, {flow}"
            );
        }
        if data.len() < all {
            eprintln!(
                "{} of {all} frames of {path} are at a temperature of the flow, {flow}; the others are left out",
                data.len()
            );
        }
        Ok(data)
    }
}

/// Which temperatures there are, each once.
fn listed(temperatures: &[f64]) -> String {
    let mut different = temperatures.to_vec();
    different.sort_by(f64::total_cmp);
    different.dedup_by(|a, b| is_same(*a, *b));
    let words: Vec<String> = different.iter().map(|t| format!("{t:.2}")).collect();
    words.join(", ")
}

/// Reads the configurations of this system that a file holds: NPZ as `simulate` writes, or the structures and frames of any other file.
pub fn configurations(path: &Path, system: &System) -> Result<Configurations> {
    let molecule = system
        .molecule
        .as_ref()
        .map(|reference| &reference.molecule);
    let Some(molecule) = molecule.filter(|_| !has_extension(path, "npz")) else {
        let found = Configurations::read_npz(path, &system.points())?;
        let conformers = &found.conformers;
        let shape = [system.energy.points(), system.energy.dims()];
        if [conformers.points(), conformers.dims()] != shape {
            bail!(
                "{} holds configurations of {} points in {} dimensions, but {} has {} in {}",
                path.display(),
                conformers.points(),
                conformers.dims(),
                system.name,
                shape[0],
                shape[1]
            );
        }
        return Ok(found);
    };
    let options = ReadOptions {
        molecule: Some(molecule),
        ..ReadOptions::default()
    };
    let mut conformers = Conformers::empty(system.energy.points(), system.energy.dims());
    for record in read_records(path, &options)? {
        if !molecule.elements().eq(record.molecule.elements()) {
            bail!(
                "{} holds {}, but {} needs the same elements in the same order",
                path.display(),
                record.molecule.formula(),
                system.name
            );
        }
        record.conformers.iter().for_each(|x| conformers.push(x));
    }
    Ok(Configurations {
        path: path.to_owned(),
        conformers,
        temperatures: None,
    })
}

/// The same to learn from, those at the flow's temperatures: what a file of few decimals has lost is filled with even noise where that is asked
/// for, else warned of.
pub fn to_learn_from(path: &Path, system: &System, config: &Config) -> Result<TrainingData> {
    let (flow, training) = (
        config.model.temperatures(system.temperature),
        &config.training,
    );
    let mut data = configurations(path, system)?.within(flow)?;
    check_reach(path, flow, &data, training.objective)?;
    match quantum(path)? {
        Some(quantum) if training.dequantize => {
            boltzflow_boltzmann::dequantize(&mut data.conformers, quantum, training.seed);
        }
        Some(quantum) => eprintln!(
            "warning: coordinates of {} are multiples of {quantum} Å, and a flow learns these; dequantize = true in the experiment fills them up with noise",
            path.display()
        ),
        None => {}
    }
    Ok(data)
}

/// Refuses data, or warns of them, that do not reach the hottest of the flow's temperatures: a likelihood would say nothing of that, and the
/// bounds of splines, which are learnt from the data, would be too narrow.
fn check_reach(
    path: &Path,
    flow: Temperatures,
    data: &TrainingData,
    objective: Objective,
) -> Result<()> {
    let hottest = data.temperatures.iter().copied().fold(0.0, f64::max);
    if data.is_empty() || hottest >= flow.hottest || is_same(hottest, flow.hottest) {
        return Ok(());
    }
    let found = format!(
        "the hottest frames of {} are at the temperature {hottest:.2}, but the flow is for {flow}; `simulate --all-temperatures --hottest` writes frames up to there",
        path.display()
    );
    if objective == Objective::Likelihood {
        bail!("{found}; or choose a smaller model.internal.hottest");
    }
    eprintln!("warning: {found}");
    Ok(())
}
