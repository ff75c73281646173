//! Verbs that look at files: `info`, `density`.

use std::path::Path;

use anyhow::{Result, bail};
use boltzflow_boltzmann::{Checkpoint, Model, System, read_positions, sampling};
use boltzflow_chemio::{Array, Npz, ReadOptions, read_records};
use boltzflow_molecule::Conformers;

use crate::arguments::{Density, Info};
use crate::device;
use crate::progress::Progress;
use crate::report::say;

pub fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension()
        .is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

pub fn info(arguments: &Info) -> Result<()> {
    let path = &arguments.input;
    if has_extension(path, "safetensors") {
        let checkpoint = Checkpoint::read(path)?;
        say(format_args!(
            "checkpoint of {} after {} steps",
            checkpoint.description.target, checkpoint.optimizer.step
        ))?;
        say(format_args!(
            "{} parameters, fingerprint {}",
            checkpoint.optimizer.parameters.len(),
            checkpoint.fingerprint()
        ))?;
        return say(toml::to_string(&checkpoint.description.config)?.trim_end());
    }
    if has_extension(path, "npz") {
        for (name, array) in Npz::read(path)?.arrays() {
            match array.as_text() {
                Some(text) => say(format_args!("{name}: {text}"))?,
                None => say(format_args!("{name}: {:?}", array.shape))?,
            }
        }
        return Ok(());
    }
    for record in read_records(path, &ReadOptions::default())? {
        let molecule = &record.molecule;
        say(format_args!(
            "{:?}: {}, {} atoms, {} bonds, charge {:+}, {} conformer(s)",
            molecule.name,
            molecule.formula(),
            molecule.len(),
            molecule.bonds.len(),
            molecule.formal_charge(),
            record.conformers.len()
        ))?;
    }
    Ok(())
}

pub fn density(arguments: &Density) -> Result<()> {
    let output = &arguments.output;
    if output.exists() && !arguments.overwrite {
        bail!(
            "{} exists; give --overwrite to replace it",
            output.display()
        );
    }
    let checkpoint = Checkpoint::read(&arguments.checkpoint)?;
    let model = checkpoint.model(&device::current())?;
    let conformers = read_positions(&arguments.input)?;
    check_fit(&model, &conformers, &arguments.input)?;
    let named = &arguments.system;
    let system = (named.target.is_some() || named.molecule.is_some())
        .then(|| named.system(None))
        .transpose()?;
    let bar = Progress::new(conformers.len() as u64, 0, "log-densities");
    let drawn = sampling::density(
        &model,
        &conformers,
        arguments.seed,
        sampling::CHUNK,
        |done| bar.inc(done as u64),
    )?;
    bar.finish_and_clear();
    let n = conformers.len();
    let cloud = [n, model.points(), model.dims()];
    let mut log_q = drawn.log_q();
    let wrong = system.map_or(0, |system| fold(&system, &conformers, &mut log_q));
    Npz::write(
        output,
        &[
            ("latents", &Array::new(&cloud, drawn.latents)),
            ("log_prior", &Array::new(&[n], drawn.log_prior)),
            ("log_det", &Array::new(&[n], drawn.log_det)),
            ("log_q", &Array::new(&[n], log_q)),
        ],
    )?;
    say(format_args!("{n} log-densities in {}", output.display()))?;
    if wrong > 0 {
        say(format_args!(
            "{wrong} of them are −∞: configurations of another stereoisomer than the molecule"
        ))?;
    }
    Ok(())
}

/// Turns log-densities of the flow into those of the flow with mirror images folded, which is zero where the stereochemistry is another; says
/// for how many it is.
fn fold(system: &System, conformers: &Conformers, log_q: &mut [f64]) -> usize {
    let mut wrong = 0;
    for (x, log_q) in conformers.iter().zip(log_q) {
        if system.has_right_stereo(x) {
            *log_q += system.log_fold();
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
