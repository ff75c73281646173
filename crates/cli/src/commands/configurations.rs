//! Configurations of a system, from files of any kind.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use boltzflow_boltzmann::{
    Config, Features, Objective, System, Temperatures, TrainingData, Weights, is_even, is_same,
    positions_of, temperatures_of, weights_of,
};
use boltzflow_chemio::{Npz, ReadOptions, Tags, quantum, read_records, tags::names};
use boltzflow_molecule::Conformers;

use super::has_extension;

/// Configurations of a file.
pub struct Configurations {
    path: PathBuf,
    /// All of them.
    pub conformers: Conformers,
    /// The temperature of each, where the file holds frames of several.
    temperatures: Option<Vec<f64>>,
    /// What each is said to count in the ensemble.
    weights: Vec<Option<f64>>,
}

impl Configurations {
    /// Those of an NPZ file, whose points are these.
    pub fn read_npz(path: &Path, expected: &Features) -> Result<Self> {
        let npz = Npz::read(path)?;
        let conformers = positions_of(&npz, path, expected)?;
        let count = conformers.len();
        let weights = weights_of(&npz, path, count)?;
        Ok(Self {
            path: path.to_owned(),
            temperatures: temperatures_of(&npz, path, count)?,
            weights: weights.map_or_else(
                || vec![None; count],
                |weights| weights.into_iter().map(Some).collect(),
            ),
            conformers,
        })
    }

    /// What each counts in the ensemble, 1 on average, where the file says that.
    fn weights(&self) -> Result<Option<Vec<f64>>> {
        let (path, all) = (self.path.display(), self.weights.len());
        let mut weights: Vec<f64> = self.weights.iter().copied().flatten().collect();
        if weights.is_empty() {
            return Ok(None);
        }
        if weights.len() < all {
            bail!(
                "{} of {all} structures of {path} have a {} or {}; give it to all, or to none",
                weights.len(),
                names::POPULATION,
                names::WEIGHT
            );
        }
        let is_one = |weight: f64| weight.is_finite() && weight >= 0.0;
        if let Some(k) = weights.iter().position(|&weight| !is_one(weight)) {
            bail!(
                "configuration {} of {path} has the weight {}; weights are finite and at least 0",
                k + 1,
                weights[k]
            );
        }
        let sum: f64 = weights.iter().sum();
        if sum <= 0.0 || !sum.is_finite() {
            bail!("the weights of {path} add up to {sum}; at least one has to be above 0");
        }
        weights
            .iter_mut()
            .for_each(|weight| *weight *= all as f64 / sum);
        Ok(Some(weights))
    }

    /// Those of a file in which all count the same.
    pub fn counting_the_same(self) -> Result<Self> {
        match self.weights()? {
            Some(weights) if !is_even(&weights) => bail!(
                "{} holds weighted configurations; a reference is of the ensemble itself, such as frames of `simulate`, each counting the same",
                self.path.display()
            ),
            _ => Ok(self),
        }
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

    /// Each with its temperature, for a flow of these; those at others are left out, but for hotter ones where they are to be a share of what a flow
    /// of one temperature learns from. A file that names none is of the system's.
    fn within(self, flow: Temperatures, hotter: f64) -> Result<TrainingData> {
        let weights = self.weights()?;
        let (path, all) = (self.path.display(), self.conformers.len());
        let mut data = TrainingData::at(self.conformers, flow.coldest);
        if let Some(weights) = weights {
            data.weights = weights;
        }
        let no_hotter = |there: &str| {
            anyhow!(
                "{path} holds frames at the temperatures {there}, and training.hotter = {hotter} asks for some at {} and some above; `simulate --all-temperatures` writes both",
                flow.coldest
            )
        };
        let Some(temperatures) = self.temperatures else {
            if hotter > 0.0 {
                return Err(no_hotter("that it does not say"));
            }
            return Ok(data);
        };
        let there = listed(&temperatures);
        data.temperatures = temperatures;
        if hotter > 0.0 {
            let above = Temperatures {
                hottest: f64::INFINITY,
                ..flow
            };
            let mixed = data.within(above).mixed(flow.coldest, hotter);
            return mixed.ok_or_else(|| no_hotter(&there));
        }
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

/// What a structure says that it counts: its tag POPULATION, or else WEIGHT; not a number where it says something else.
fn weight_of(tags: &Tags) -> Option<f64> {
    let said = tags.value(names::POPULATION);
    let said = said.or_else(|| tags.value(names::WEIGHT))?;
    Some(said.real().unwrap_or(f64::NAN))
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
    let records = read_records(path, &options)?;
    for record in &records {
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
    let tags = records.iter().flat_map(|record| &record.tags);
    Ok(Configurations {
        path: path.to_owned(),
        weights: tags.map(weight_of).collect(),
        conformers,
        temperatures: None,
    })
}

/// The same to learn from, each as often as it weighs, those at the flow's temperatures: what a file of few decimals has lost is filled with even
/// noise where that is asked for, else warned of.
pub fn to_learn_from(path: &Path, system: &System, config: &Config) -> Result<TrainingData> {
    let (flow, training) = (
        config.model.temperatures(system.temperature),
        &config.training,
    );
    let mut data = weighing(
        configurations(path, system)?.within(flow, training.hotter)?,
        path,
    )?;
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

/// The data that weigh anything, and says what the weights of all are worth.
fn weighing(data: TrainingData, path: &Path) -> Result<TrainingData> {
    if is_even(&data.weights) && !data.weights.contains(&0.0) {
        return Ok(data);
    }
    let chosen: Vec<usize> = (0..data.len()).filter(|&k| data.weights[k] > 0.0).collect();
    let logs = data.weights.iter().map(|weight| weight.ln());
    let effective = Weights::from_log(logs.collect())?.effective();
    eprintln!(
        "configurations of {} are learnt from as often as they weigh: {} of {} weigh anything, and all are worth {effective:.1} that weigh the same",
        path.display(),
        chosen.len(),
        data.len(),
    );
    Ok(data.select(&chosen))
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
