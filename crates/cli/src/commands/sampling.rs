//! `sample` and `merge`.

use std::path::Path;

use anyhow::{Context, Result, bail};
use boltzflow_boltzmann::{Checkpoint, Drawn, Fingerprint, Model, SampleFile, sampling};
use boltzflow_flow::ode::Steps;
use boltzflow_flow::{Divergence, Samples, Solver, simd::Level};
use burn::tensor::Device;
use rayon::prelude::*;

use crate::arguments::{Merge, Sample, Shard};
use crate::{interrupt, report};

pub fn sample(arguments: &Sample) -> Result<()> {
    if arguments.count == 0 {
        bail!("-n 0 asks for no samples; give at least 1");
    }
    let checkpoint = Checkpoint::read(&arguments.checkpoint)?;
    let mut model = checkpoint.model(&Device::flex())?;
    if let Some(count) = arguments.steps {
        let solver = Solver {
            steps: Steps::Fixed { count },
            ..model.architecture().solver
        };
        model = model.with_solver(solver)?;
    }
    let shard = Shard::parse(arguments.shard.as_deref())?;
    let file = run(
        &model,
        &checkpoint,
        arguments.seed,
        arguments.count,
        shard,
        &arguments.output,
        arguments.overwrite,
    )?;
    report::say(format_args!(
        "{} samples in {}",
        file.numbers.len(),
        arguments.output.display()
    ))
}

/// Draws the chunks of a shard, each saved as it is done; those on disk are not drawn again.
pub fn run(
    model: &Model,
    checkpoint: &Checkpoint,
    seed: u64,
    count: u64,
    shard: Shard,
    output: &Path,
    overwrite: bool,
) -> Result<SampleFile> {
    if model.architecture().solver.divergence != Divergence::Exact {
        eprintln!(
            "warning: the divergence is estimated, so log q is noisy and no basis for weights"
        );
    }
    let solver = serde_json::to_string(&model.architecture().solver)?;
    let fingerprint = Fingerprint {
        model: format!("{} {solver}", checkpoint.fingerprint()),
        seed,
        count,
        chunk: sampling::CHUNK,
        simd: Level::current(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let chunks: Vec<u64> = (0..count.div_ceil(sampling::CHUNK as u64))
        .filter(|k| k % shard.count == shard.index)
        .collect();
    let range = |k: u64| k * sampling::CHUNK as u64..((k + 1) * sampling::CHUNK as u64).min(count);
    let expected: Vec<u64> = chunks.iter().flat_map(|&k| range(k)).collect();
    if output.exists() {
        match SampleFile::read(output) {
            Ok(old) if old.fingerprint == fingerprint && old.numbers == expected => {
                eprintln!("{} is complete already", output.display());
                return Ok(old);
            }
            _ if !overwrite => bail!(
                "{} holds something else; give --overwrite to replace it",
                output.display()
            ),
            _ => {}
        }
    }
    let folder = output.with_extension("chunks");
    if !folder.is_dir() {
        std::fs::create_dir(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let bar = report::progress(expected.len() as u64, "samples");
    let shape = [model.points(), model.dims()];
    let files = chunks.par_iter().map(|&k| -> Result<SampleFile> {
        interrupt::check()?;
        let path = folder.join(format!("chunk-{k}.npz"));
        let numbers: Vec<u64> = range(k).collect();
        let length = numbers.len() as u64;
        if let Ok(old) = SampleFile::read(&path)
            && old.fingerprint == fingerprint
            && old.numbers == numbers
        {
            bar.inc(length);
            return Ok(old);
        }
        let samples = Samples { seed, numbers };
        let drawn = model.sample(&samples)?;
        let file = SampleFile {
            fingerprint: fingerprint.clone(),
            shape,
            numbers: samples.numbers,
            drawn,
        };
        file.write(&path)?;
        bar.inc(length);
        Ok(file)
    });
    let files = files
        .collect::<Vec<_>>()
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    bar.finish_and_clear();
    let mut drawn = Drawn::default();
    for file in files {
        drawn.append(file.drawn);
    }
    let file = SampleFile {
        fingerprint,
        shape,
        numbers: expected,
        drawn,
    };
    file.write(output)?;
    std::fs::remove_dir_all(&folder)?;
    Ok(file)
}

pub fn merge(arguments: &Merge) -> Result<()> {
    let merged = SampleFile::merge(&arguments.inputs)?;
    merged.write(&arguments.output)?;
    report::say(format_args!(
        "{} samples in {}",
        merged.numbers.len(),
        arguments.output.display()
    ))
}
