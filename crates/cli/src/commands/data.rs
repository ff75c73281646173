//! Verbs that look at files: `info`, `density`.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use boltzflow_boltzmann::{Checkpoint, Config, Mirror, Model, System, sampling};
use boltzflow_chemio::{Array, Npz, ReadOptions, read_records};
use boltzflow_molecule::Conformers;
use serde::Serialize;

use super::marginal::{self, Averaged};
use super::{Configurations, Existing, configurations, flow_of, prepare};
use crate::arguments::{Density, Info};
use crate::memory::Need;
use crate::progress::Progress;
use crate::{device, report};

/// Samples of a flow that log-densities are compared with, where they cost little.
const OWN_SAMPLES: u64 = 2000;
/// A configuration in a lower percentile is unlike the flow's samples.
const UNUSUAL: f64 = 1.0;

pub fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension()
        .is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

/// What a file holds.
#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
enum Contents {
    /// A trained flow.
    Checkpoint {
        target: String,
        steps: u64,
        parameters: usize,
        fingerprint: String,
        config: Box<Config>,
    },
    /// Arrays by name.
    Arrays { arrays: Vec<Entry> },
    /// Molecules.
    Structures { structures: Vec<Contained> },
}

/// An array: its shape, or what it says if it is a text.
#[derive(Serialize)]
struct Entry {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shape: Option<Vec<usize>>,
}

/// A molecule.
#[derive(Serialize)]
struct Contained {
    name: String,
    formula: String,
    atoms: usize,
    bonds: usize,
    charge: i32,
    conformers: usize,
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint {
                target,
                steps,
                parameters,
                fingerprint,
                config,
            } => {
                writeln!(f, "checkpoint of {target} after {steps} steps")?;
                writeln!(f, "{parameters} parameters, fingerprint {fingerprint}")?;
                let config = toml::to_string(config).map_err(|_| fmt::Error)?;
                writeln!(f, "{}", config.trim_end())
            }
            Self::Arrays { arrays } => arrays.iter().try_for_each(|entry| match &entry.text {
                Some(text) => writeln!(f, "{}: {text}", entry.name),
                None => writeln!(
                    f,
                    "{}: {:?}",
                    entry.name,
                    entry.shape.as_deref().unwrap_or(&[])
                ),
            }),
            Self::Structures { structures } => structures.iter().try_for_each(|molecule| {
                writeln!(
                    f,
                    "{:?}: {}, {} atoms, {} bonds, charge {:+}, {} conformer(s)",
                    molecule.name,
                    molecule.formula,
                    molecule.atoms,
                    molecule.bonds,
                    molecule.charge,
                    molecule.conformers
                )
            }),
        }
    }
}

pub fn info(arguments: &Info, json: bool) -> Result<()> {
    report::print(&contents(&arguments.input)?, json)
}

fn contents(path: &Path) -> Result<Contents> {
    if has_extension(path, "safetensors") {
        let checkpoint = Checkpoint::read(path)?;
        return Ok(Contents::Checkpoint {
            steps: checkpoint.optimizer.step,
            parameters: checkpoint.optimizer.parameters.len(),
            fingerprint: checkpoint.fingerprint(),
            target: checkpoint.description.target,
            config: Box::new(checkpoint.description.config),
        });
    }
    if has_extension(path, "npz") {
        let npz = Npz::read(path)?;
        let entry = |(name, array): &(String, Array)| {
            let text = array.as_text().map(ToOwned::to_owned);
            Entry {
                name: name.clone(),
                shape: text.is_none().then(|| array.shape.clone()),
                text,
            }
        };
        let arrays = npz.arrays().iter().map(entry).collect();
        return Ok(Contents::Arrays { arrays });
    }
    let records = read_records(path, &ReadOptions::default())?.into_iter();
    let structures = records.map(|record| Contained {
        formula: record.molecule.formula(),
        atoms: record.molecule.len(),
        bonds: record.molecule.bonds.len(),
        charge: record.molecule.formal_charge(),
        conformers: record.conformers.len(),
        name: record.molecule.name,
    });
    Ok(Contents::Structures {
        structures: structures.collect(),
    })
}

/// What [`density`] has done.
#[derive(Serialize)]
struct Densities {
    output: PathBuf,
    configurations: usize,
    /// The temperature of the densities in K, of a flow of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    /// Configurations of another stereoisomer than the molecule, whose log-density is −∞.
    other_stereoisomers: usize,
    /// Configurations outside the flow's bounds, whose log-density is −∞.
    outside: usize,
    /// Configurations that are less usual than all but a hundredth of the flow's own samples, see [`sampling::Usual`].
    #[serde(skip_serializing_if = "Option::is_none")]
    unusual: Option<usize>,
    /// How many of these there are.
    own_samples: usize,
    /// Configurations whose solve ended in no finite number.
    not_finite: usize,
    /// Draws of auxiliary points that each log-density is averaged over, where the flow has these.
    #[serde(skip_serializing_if = "Option::is_none")]
    draws: Option<usize>,
}

impl fmt::Display for Densities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let output = self.output.display();
        write!(f, "{} log-densities", self.configurations)?;
        if let Some(temperature) = self.temperature {
            write!(f, " at {temperature} K")?;
        }
        writeln!(f, " in {output}")?;
        if let Some(draws) = self.draws {
            writeln!(
                f,
                "`log_q` is of positions, averaged over K = {draws} draws of auxiliary points, with the standard error `log_q_error`; it is biased low, and weights are not made of it"
            )?;
        }
        if self.other_stereoisomers > 0 {
            writeln!(
                f,
                "{} of them are −∞: configurations of another stereoisomer than the molecule",
                self.other_stereoisomers
            )?;
        }
        if self.outside > 0 {
            writeln!(
                f,
                "{} of them are −∞: configurations outside the bounds of the flow",
                self.outside
            )?;
        }
        if let Some(unusual) = self.unusual {
            writeln!(
                f,
                "{unusual} of them are less usual than 99 % of {} samples of the flow: `percentile` below {UNUSUAL}",
                self.own_samples
            )?;
        }
        if self.not_finite > 0 {
            writeln!(
                f,
                "{} of them are no numbers: the flow carries those configurations out of range",
                self.not_finite
            )?;
        }
        Ok(())
    }
}

pub fn density(arguments: &Density, json: bool) -> Result<()> {
    let output = &arguments.output;
    Existing::from_flag(arguments.overwrite).check(output)?;
    prepare(output)?;
    let named = &arguments.system;
    let system = (named.target.is_some() || named.molecule.is_some())
        .then(|| named.system(None))
        .transpose()?;
    let checkpoint = match &system {
        Some(system) => flow_of(&arguments.checkpoint, system)?,
        None => Checkpoint::read(&arguments.checkpoint)?,
    };
    let mut model = checkpoint.model(&device::current())?;
    let asked = named.temperature.filter(|_| named.target.is_none());
    if let Some(temperature) = asked {
        model = model.proposing_at(temperature)?;
    }
    let found = match &system {
        Some(system) => configurations(&arguments.input, system)?,
        None => Configurations::read_npz(&arguments.input, &model.architecture().features)?,
    };
    let of_system = system.as_ref().map(|system| system.temperature);
    let conformers = found.at(asked.or(model.temperature()).or(of_system))?;
    check_fit(&model, &conformers, &arguments.input)?;
    marginal::check(&model, arguments.draws)?;
    Need::sampling(&model, conformers.len() as u64).check()?;
    let bar = Progress::new(conformers.len() as u64, 0, "log-densities");
    let drawn = sampling::density(
        &model,
        &conformers,
        arguments.seed,
        sampling::CHUNK,
        |done| bar.inc(done as u64),
    )?;
    bar.finish_and_clear();
    let averaged = Averaged::new(&model, &conformers, arguments.seed, arguments.draws)?;
    let default = if model.solver().is_some() {
        0
    } else {
        OWN_SAMPLES
    };
    let own = arguments.own_samples.unwrap_or(default) as usize;
    let usual = sampling::Usual::of(&model, arguments.seed, own)?;
    let n = conformers.len();
    let [points, dims] = model.latent_shape();
    let latent = [n, points, dims];
    let mut log_q = drawn.log_q();
    let parts = log_q.iter().zip(&drawn.log_det);
    let percentiles = parts.map(|(log_q, log_det)| usual.percentile(*log_q, *log_det));
    let mut percentiles: Vec<f64> = percentiles.collect();
    let outside = log_q.iter().filter(|log_q| **log_q == f64::NEG_INFINITY);
    let outside = outside.count();
    let not_finite = log_q.iter().filter(|log_q| log_q.is_nan()).count();
    let mut marginals = averaged.as_ref().map(Marginals::of);
    let other_stereoisomers = system.map_or(0, |system| {
        let mirror = model.architecture().mirror();
        if let Some(Marginals { log_q, .. }) = &mut marginals {
            fold((&system, mirror), &conformers, log_q);
        }
        let wrong = fold((&system, mirror), &conformers, &mut log_q);
        // Of another stereoisomer none is like a sample, whatever the density of its mirror image.
        let none = log_q.iter().zip(&mut percentiles);
        let none =
            none.filter(|(log_q, percentile)| **log_q == f64::NEG_INFINITY && !percentile.is_nan());
        none.for_each(|(_, percentile)| *percentile = 0.0);
        wrong
    });
    let unusual = percentiles
        .iter()
        .filter(|percentile| **percentile < UNUSUAL);
    let unusual = (!usual.is_empty()).then(|| unusual.count());
    let (latents, log_prior) = (
        Array::new(&latent, drawn.latents),
        Array::new(&[n], drawn.log_prior),
    );
    let (log_det, log_q) = (Array::new(&[n], drawn.log_det), Array::new(&[n], log_q));
    let flow = Array::text(&checkpoint.fingerprint());
    let percentiles = Array::new(&[n], percentiles);
    let mut arrays = vec![
        ("latents", &latents),
        ("log_prior", &log_prior),
        ("log_det", &log_det),
        ("flow", &flow),
    ];
    let of_positions = marginals.map(Marginals::arrays);
    match &of_positions {
        None => arrays.push(("log_q", &log_q)),
        Some(marginals) => {
            arrays.push(("log_q_joint", &log_q));
            arrays.extend(marginals.iter().map(|(name, array)| (*name, array)));
        }
    }
    if unusual.is_some() {
        arrays.push(("percentile", &percentiles));
    }
    Npz::write(output, &arrays)?;
    report::print(
        &Densities {
            output: output.clone(),
            configurations: n,
            temperature: model.temperature_of_many(),
            other_stereoisomers,
            outside,
            unusual,
            own_samples: own,
            not_finite,
            draws: averaged.map(|averaged| averaged.draws),
        },
        json,
    )
}

/// Log-densities of positions under a flow with auxiliary points.
struct Marginals {
    log_q: Vec<f64>,
    errors: Vec<f64>,
    draws: usize,
}

impl Marginals {
    fn of(averaged: &Averaged) -> Self {
        let marginals = averaged.marginals.iter();
        Self {
            log_q: marginals.clone().map(|found| found.log_density).collect(),
            errors: marginals.map(|found| found.standard_error).collect(),
            draws: averaged.draws,
        }
    }

    fn arrays(self) -> [(&'static str, Array); 3] {
        let n = self.log_q.len();
        [
            ("log_q", Array::new(&[n], self.log_q)),
            ("log_q_error", Array::new(&[n], self.errors)),
            ("draws", Array::new(&[1], vec![self.draws as u64])),
        ]
    }
}

/// Turns log-densities of the flow into those of the flow with mirror images folded, which is zero where the stereochemistry is another; says
/// for how many it is.
fn fold((system, mirror): (&System, Mirror), conformers: &Conformers, log_q: &mut [f64]) -> usize {
    let mut wrong = 0;
    for (x, log_q) in conformers.iter().zip(log_q) {
        if system.has_right_stereo(x) {
            *log_q += system.log_fold(mirror);
        } else {
            *log_q = f64::NEG_INFINITY;
            wrong += 1;
        }
    }
    wrong
}

/// Refuses configurations of another shape than the flow's.
pub fn check_fit(model: &Model, conformers: &Conformers, path: &Path) -> Result<()> {
    if conformers.points() != model.points() || conformers.dims() != model.dims() {
        bail!(
            "{} holds {} points in {} dimensions, but the flow is of {} in {}",
            path.display(),
            conformers.points(),
            conformers.dims(),
            model.points(),
            model.dims()
        );
    }
    Ok(())
}
