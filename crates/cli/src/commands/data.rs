//! Verbs that look at data: `info`, `energy`, `density`, `reweight`, `evaluate`.

use std::path::Path;

use anyhow::{Context, Result, bail};
use boltzflow_boltzmann::{
    Checkpoint, Ensemble, SampleFile, System, Weights, forward_efficiency, read_positions,
    sampling, wasserstein,
};
use boltzflow_chemio::{
    Array, Npz, ReadOptions, SdfVersion, Structure, Tags, read_npy, read_records, write_extxyz,
    write_sdf,
};
use boltzflow_energy::energies;
use boltzflow_molecule::Conformers;

use crate::arguments::{Density, Energy, Evaluate, Info, Reweight};
use crate::device;
use crate::progress::Progress;
use crate::report::{Summary, say};

fn has_extension(path: &Path, extension: &str) -> bool {
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

pub fn energy(arguments: &Energy, json: bool) -> Result<()> {
    let (system, conformers) = if arguments.system.target.is_some() {
        (
            arguments.system.system(None)?,
            read_positions(&arguments.input)?,
        )
    } else {
        let system = arguments.system.system(Some(&arguments.input))?;
        let conformers = system.start.clone();
        (system, conformers)
    };
    let mut evaluator = system.energy.evaluator()?;
    let mut gradient = vec![0.0; conformers.size()];
    for (index, x) in conformers.iter().enumerate() {
        let energy = evaluator.evaluate(x, &mut gradient)?;
        let norm =
            (gradient.iter().map(|g| g * g).sum::<f64>() / system.energy.points() as f64).sqrt();
        if json {
            say(serde_json::json!({"index": index, "energy": energy, "gradient_rms": norm}))?;
        } else {
            say(format_args!(
                "{index}: energy {energy:.8}, gradient RMS {norm:.6}  ({})",
                system.name
            ))?;
        }
    }
    Ok(())
}

pub fn density(arguments: &Density) -> Result<()> {
    let checkpoint = Checkpoint::read(&arguments.checkpoint)?;
    let model = checkpoint.model(&device::current())?;
    let conformers = read_positions(&arguments.input)?;
    fits(&model, &conformers, &arguments.input)?;
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
    let log_q = drawn.log_q();
    Npz::write(
        &arguments.output,
        &[
            ("latents", &Array::new(&cloud, drawn.latents)),
            ("log_prior", &Array::new(&[n], drawn.log_prior)),
            ("log_det", &Array::new(&[n], drawn.log_det)),
            ("log_q", &Array::new(&[n], log_q)),
        ],
    )?;
    say(format_args!(
        "{n} log-densities in {}",
        arguments.output.display()
    ))
}

fn fits(model: &boltzflow_boltzmann::Model, conformers: &Conformers, path: &Path) -> Result<()> {
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

pub fn reweight(arguments: &Reweight, json: bool) -> Result<()> {
    let system = arguments.system.system(None)?;
    let file = SampleFile::read(&arguments.samples)?;
    if file.shape != [system.energy.points(), system.energy.dims()] {
        bail!(
            "{} holds samples of {} points in {} dimensions, but {} has {} in {}",
            arguments.samples.display(),
            file.shape[0],
            file.shape[1],
            system.name,
            system.energy.points(),
            system.energy.dims()
        );
    }
    if file.fingerprint.model.contains("hutchinson") {
        bail!(
            "the log-densities of {} are noisy estimates, which would bias the weights; sample with the exact divergence",
            arguments.samples.display()
        );
    }
    let ensemble = system.reweight(&file.drawn)?;
    let summary = Summary::new(&system, &ensemble, arguments.seed)?;
    if let Some(output) = &arguments.output {
        write_structures(
            output,
            &system,
            &ensemble,
            &file.numbers,
            file.fingerprint.seed,
            summary.trusted,
        )?;
    }
    summary.print(json)
}

/// Writes weighted structures, SDF or extended XYZ by extension.
pub fn write_structures(
    path: &Path,
    system: &System,
    ensemble: &Ensemble,
    numbers: &[u64],
    seed: u64,
    trusted: bool,
) -> Result<()> {
    let Some(reference) = &system.molecule else {
        bail!(
            "a toy has no structures to write to {}; its samples are in the NPZ file",
            path.display()
        );
    };
    let weights = &ensemble.weights;
    let tags: Vec<Tags> = (0..weights.len())
        .map(|index| {
            let mut tags = Tags::new();
            // A configuration without an energy has weight 0 and no such tag.
            if ensemble.energies[index].is_finite() {
                tags.set("ENERGY_KCAL_MOL", ensemble.energies[index]);
            }
            tags.set("LOG_Q", ensemble.log_q[index]);
            if weights.log_weights()[index].is_finite() {
                tags.set("LOG_WEIGHT", weights.log_weights()[index]);
            }
            tags.set("WEIGHT", weights.normalised()[index]);
            tags.set("TEMPERATURE_K", system.temperature);
            tags.set("SEED", seed as i64);
            tags.set("SAMPLE", numbers[index] as i64);
            tags.set("TRUSTED", trusted);
            tags
        })
        .collect();
    let structures = ensemble
        .conformers
        .iter()
        .zip(&tags)
        .map(|(positions, tags)| Structure {
            molecule: &reference.molecule,
            positions,
            tags,
        });
    if has_extension(path, "xyz") || has_extension(path, "extxyz") {
        write_extxyz(path, structures)?;
    } else if has_extension(path, "sdf") {
        write_sdf(path, structures, SdfVersion::default())?;
    } else {
        bail!(
            "{} is neither .sdf nor .xyz; structures are written as one of these",
            path.display()
        );
    }
    Ok(())
}

pub fn evaluate(arguments: &Evaluate, json: bool) -> Result<()> {
    let system = arguments.system.system(None)?;
    let checkpoint = Checkpoint::read(&arguments.checkpoint)?;
    let model = checkpoint.model(&device::current())?;
    let mut reference = reference_positions(&arguments.reference, &model)?;
    if let Some(count) = arguments
        .reference_count
        .filter(|count| *count > 0 && *count < reference.len())
    {
        let chosen: Vec<usize> = (0..count)
            .map(|index| index * reference.len() / count)
            .collect();
        reference = reference.select(&chosen);
    }
    fits(&model, &reference, &arguments.reference)?;
    let bar = Progress::new(reference.len() as u64, 0, "log-densities of the reference");
    let drawn = sampling::density(&model, &reference, 0, sampling::CHUNK, |done| {
        bar.inc(done as u64);
    })?;
    bar.finish_and_clear();
    let fold = if system.is_chiral() {
        std::f64::consts::LN_2
    } else {
        0.0
    };
    let log_q: Vec<f64> = drawn
        .log_q()
        .into_iter()
        .map(|log_q| log_q + fold)
        .collect();
    let n = log_q.len() as f64;
    let nll = -log_q.iter().sum::<f64>() / n;
    let error = (log_q.iter().map(|l| (l + nll).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt();
    let kt = system.kt();
    let energy = |conformers: &Conformers| -> Result<Vec<f64>> {
        energies(&*system.energy, conformers)?
            .into_iter()
            .map(|energy| Ok(energy? / kt))
            .collect()
    };
    let reference_energies = energy(&reference)?;
    let log_weights: Vec<f64> = reference_energies
        .iter()
        .zip(&log_q)
        .map(|(u, q)| -u - q)
        .collect();
    let forward = forward_efficiency(&log_weights)?;
    let distance = arguments
        .samples
        .as_ref()
        .map(|path| -> Result<(f64, usize)> {
            let file = SampleFile::read(path)?;
            let samples = Conformers::new(file.shape[0], file.shape[1], file.drawn.positions);
            let equal = [
                Weights::equal(samples.len())?,
                Weights::equal(reference.len())?,
            ];
            let distance = wasserstein::line(
                &energy(&samples)?,
                &equal[0],
                &reference_energies,
                &equal[1],
            )?;
            Ok((distance, samples.len()))
        })
        .transpose()?;
    if json {
        return say(serde_json::json!({
            "nll": nll, "nll_error": error, "reference": reference.len(), "forward_ess": forward,
            "energy_w2": distance.map(|(w2, _)| w2), "samples": distance.map(|(_, n)| n),
        }));
    }
    say(format_args!(
        "NLL            {nll:.4} ± {error:.4} over {} reference configurations (normalised, mean-free; error without autocorrelation)",
        reference.len()
    ))?;
    say(format_args!("forward ESS    {:.2} %", 100.0 * forward))?;
    if let Some((w2, n)) = distance {
        say(format_args!(
            "E-W2           {w2:.3} (raw samples, n = {n})"
        ))?;
    }
    Ok(())
}

/// Reference configurations from NPZ, or from NPY with one row a configuration.
fn reference_positions(path: &Path, model: &boltzflow_boltzmann::Model) -> Result<Conformers> {
    if !has_extension(path, "npy") {
        return Ok(read_positions(path)?);
    }
    let array = read_npy(path)?;
    let values = array
        .as_f64()
        .with_context(|| format!("{} holds no real numbers", path.display()))?;
    let size = model.points() * model.dims();
    if array.shape.last() != Some(&size) {
        bail!(
            "{} has rows of {:?} numbers, the flow has {size}",
            path.display(),
            array.shape.last()
        );
    }
    Ok(Conformers::new(
        model.points(),
        model.dims(),
        values.to_vec(),
    ))
}
