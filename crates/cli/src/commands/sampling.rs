//! `sample` and `merge`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use boltzflow_boltzmann::{Checkpoint, Drawn, Fingerprint, Model, SampleFile, identity, sampling};
use boltzflow_flow::ode::Steps;
use boltzflow_flow::{Samples, Solver, simd::Level};
use rayon::prelude::*;
use serde::Serialize;

use super::{Existing, prepare};
use crate::arguments::{Merge, Sample, Shard};
use crate::interrupt::Interrupted;
use crate::memory::Need;
use crate::progress::Progress;
use crate::{device, interrupt, report};

/// What is to be drawn, and where to.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The flow.
    pub model: &'a Model,
    /// Its hash.
    pub flow: &'a str,
    /// Seed of the samples.
    pub seed: u64,
    /// Samples of all shards.
    pub count: u64,
    /// Which of them.
    pub shard: Shard,
    /// The NPZ file.
    pub output: &'a Path,
    /// If there is one of another run.
    pub existing: Existing,
}

pub fn sample(arguments: &Sample, json: bool) -> Result<()> {
    interrupt::stop_within(arguments.limit.get());
    if arguments.count == 0 {
        bail!("-n 0 asks for no samples; give at least 1");
    }
    let shard = Shard::parse(arguments.shard.as_deref())?;
    let checkpoint = Checkpoint::read(&arguments.checkpoint)?;
    let mut model = checkpoint.model(&device::current())?;
    if let Some(count) = arguments.steps {
        if count == 0 {
            bail!("--steps 0 leaves the ODE unsolved; give at least 1");
        }
        let Some(solver) = model.solver() else {
            bail!("--steps is for flows with an ODE, which this one has not; leave it out");
        };
        let steps = Steps::Fixed { count };
        model = model.with_solver(Solver { steps, ..solver });
    }
    if let Some(temperature) = arguments.temperature {
        model = model.at(temperature)?;
    }
    let job = Job {
        model: &model,
        flow: &checkpoint.fingerprint(),
        seed: arguments.seed,
        count: arguments.count,
        shard,
        output: &arguments.output,
        existing: Existing::from_flag(arguments.overwrite),
    };
    let (file, timing) = job.run()?;
    let written = Written {
        output: arguments.output.clone(),
        samples: file.numbers.len(),
        of: arguments.count,
        core_seconds_per_sample: timing.core_seconds_per_sample(),
        operations_per_sample: model.operations_per_sample(),
    };
    report::print(&written, json)
}

/// A file of samples, and what they cost.
#[derive(Serialize)]
struct Written {
    output: PathBuf,
    samples: usize,
    /// Samples of the whole run.
    of: u64,
    /// Of those that were drawn now.
    #[serde(skip_serializing_if = "Option::is_none")]
    core_seconds_per_sample: Option<f64>,
    /// Floating-point operations in matrix products.
    #[serde(skip_serializing_if = "Option::is_none")]
    operations_per_sample: Option<f64>,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} samples in {}", self.samples, self.output.display())?;
        if let Some(seconds) = self.core_seconds_per_sample {
            write!(f, "{:.2} ms and core for each", 1e3 * seconds)?;
            if let Some(operations) = self.operations_per_sample {
                write!(f, ", {:.3} GFLOP in matrix products", 1e-9 * operations)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// How long the drawing took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    /// Samples drawn now; those found on disk do not count.
    pub drawn: u64,
    /// Seconds that threads spent on them, summed over threads.
    core_seconds: f64,
}

impl Timing {
    fn core_seconds_per_sample(self) -> Option<f64> {
        (self.drawn > 0).then(|| self.core_seconds / self.drawn as f64)
    }
}

impl Job<'_> {
    /// Draws the chunks of a shard, each saved as it is done; those on disk are not drawn again.
    pub fn run(&self) -> Result<(SampleFile, Timing)> {
        if !self.model.has_exact_densities() {
            eprintln!(
                "warning: the divergence is estimated, so log q is noisy and no basis for weights"
            );
        }
        prepare(self.output)?;
        Need::sampling(self.model, self.shard.share(self.count)).check()?;
        let fingerprint = self.fingerprint()?;
        let chunks: Vec<u64> = (0..self.count.div_ceil(sampling::CHUNK as u64))
            .filter(|k| k % self.shard.count == self.shard.index)
            .collect();
        let expected: Vec<u64> = chunks.iter().flat_map(|&k| self.numbers(k)).collect();
        let folder = self.output.with_extension("chunks");
        if self.output.exists() {
            match SampleFile::read(self.output) {
                Ok(old) if old.fingerprint == fingerprint && old.numbers == expected => {
                    // An earlier run may have been killed before it removed them.
                    remove_chunks(&folder)?;
                    eprintln!("{} is complete already", self.output.display());
                    return Ok((old, Timing::default()));
                }
                _ if self.existing == Existing::Refuse => bail!(
                    "{} holds something else; give --overwrite to replace it",
                    self.output.display()
                ),
                _ => {}
            }
        }
        let done = self.done(&folder, &chunks, &fingerprint)?;
        let (files, timing) = self.draw(&folder, &chunks, done, &fingerprint)?;
        let mut drawn = Drawn::default();
        for file in files {
            drawn.append(file.drawn);
        }
        let file = SampleFile {
            fingerprint,
            shape: [self.model.points(), self.model.dims()],
            latent_shape: self.model.latent_shape(),
            numbers: expected,
            temperature: self.model.temperature(),
            drawn,
        };
        file.write(self.output)?;
        remove_chunks(&folder)?;
        Ok((file, timing))
    }

    fn fingerprint(&self) -> Result<Fingerprint> {
        let solver = match self.model.solver() {
            Some(solver) => format!(" {}", serde_json::to_string(&solver)?),
            None => String::new(),
        };
        let temperature = self.model.temperature_of_many();
        let temperature = temperature.map_or_else(String::new, |t| format!(" at {t:?} K"));
        // The GPU computes other bits.
        let device = match device::kind() {
            device::Kind::Cpu => "",
            device::Kind::Wgpu => " on wgpu",
        };
        Ok(Fingerprint {
            model: format!("{}{solver}{temperature}{device}", self.flow),
            molecule: identity(&self.model.architecture().features),
            mirror: self.model.architecture().mirror(),
            density: self.model.architecture().density(),
            seed: self.seed,
            count: self.count,
            chunk: sampling::CHUNK,
            simd: Level::current(),
            processor: Level::detected(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    /// The samples of a chunk.
    fn numbers(&self, chunk: u64) -> std::ops::Range<u64> {
        let size = sampling::CHUNK as u64;
        chunk * size..((chunk + 1) * size).min(self.count)
    }

    /// The chunks that an earlier part of this run has left in the folder, which is made if need be; none for those to be drawn.
    fn done(
        &self,
        folder: &Path,
        chunks: &[u64],
        fingerprint: &Fingerprint,
    ) -> Result<Vec<Option<SampleFile>>> {
        if !folder.is_dir() {
            std::fs::create_dir(folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        let load = |&k: &u64| match SampleFile::read(&chunk_path(folder, k)) {
            Ok(old)
                if old.fingerprint == *fingerprint
                    && old.numbers.iter().copied().eq(self.numbers(k)) =>
            {
                Ok(Some(old))
            }
            Ok(_) if self.existing == Existing::Refuse => bail!(
                "{} holds chunks of another run; give --overwrite to replace them, or the arguments they were made with to go on",
                folder.display()
            ),
            _ => Ok(None),
        };
        chunks.par_iter().map(load).collect()
    }

    /// Draws what is not done, and saves each chunk.
    fn draw(
        &self,
        folder: &Path,
        chunks: &[u64],
        done: Vec<Option<SampleFile>>,
        fingerprint: &Fingerprint,
    ) -> Result<(Vec<SampleFile>, Timing)> {
        let lengths = chunks.iter().map(|&k| self.numbers(k).count() as u64);
        let length = lengths.clone().sum();
        let known = lengths
            .zip(&done)
            .map(|(length, done)| if done.is_some() { length } else { 0 })
            .sum();
        let progress = Progress::new(length, known, "samples");
        let timing = Mutex::new(Timing::default());
        let draw = |(&k, done): (&u64, Option<SampleFile>)| -> Result<SampleFile> {
            if let Some(done) = done {
                return Ok(done);
            }
            interrupt::check()?;
            let samples = Samples::consecutive(self.seed, self.numbers(k));
            let started = Instant::now();
            let drawn = interrupt::timed(|| self.model.sample(&samples))?;
            let seconds = started.elapsed().as_secs_f64();
            let file = SampleFile {
                fingerprint: fingerprint.clone(),
                shape: [self.model.points(), self.model.dims()],
                latent_shape: self.model.latent_shape(),
                numbers: samples.numbers,
                temperature: self.model.temperature(),
                drawn,
            };
            file.write(&chunk_path(folder, k))?;
            let count = file.numbers.len() as u64;
            progress.inc(count);
            let mut timing = timing.lock().unwrap_or_else(PoisonError::into_inner);
            timing.drawn += count;
            timing.core_seconds += seconds;
            Ok(file)
        };
        let outcomes: Vec<Result<SampleFile>> = chunks.par_iter().zip(done).map(draw).collect();
        progress.finish_and_clear();
        // A chunk that failed says more than those that were not begun.
        let (mut files, mut stopped) = (Vec::with_capacity(chunks.len()), None);
        for outcome in outcomes {
            match outcome {
                Ok(file) => files.push(file),
                Err(error) if error.is::<Interrupted>() => stopped = Some(error),
                Err(error) => return Err(error),
            }
        }
        let timing = timing.into_inner().unwrap_or_else(PoisonError::into_inner);
        stopped.map_or(Ok((files, timing)), Err)
    }
}

fn chunk_path(folder: &Path, chunk: u64) -> PathBuf {
    folder.join(format!("chunk-{chunk}.npz"))
}

/// Removes the chunks of a run, and their folder if nothing else is in it.
fn remove_chunks(folder: &Path) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        outcome => outcome?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // What a killed run has left of a chunk half written goes with them.
        let name = name.strip_prefix('.').unwrap_or(&name);
        if name.starts_with("chunk-") {
            std::fs::remove_file(entry.path())?;
        }
    }
    match std::fs::remove_dir(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::DirectoryNotEmpty => Err(error),
        _ => Ok(()),
    }
}

pub fn merge(arguments: &Merge, json: bool) -> Result<()> {
    let Merge {
        inputs,
        output,
        overwrite,
    } = arguments;
    let same = |input: &&PathBuf| {
        let whole = |path: &Path| std::fs::canonicalize(path).ok();
        whole(input).is_some_and(|input| Some(input) == whole(output))
    };
    if let Some(input) = inputs.iter().find(same) {
        bail!(
            "{} is both a shard and the output; give another output",
            input.display()
        );
    }
    prepare(output)?;
    let merged = SampleFile::merge(inputs)?;
    let written = Written {
        output: output.clone(),
        samples: merged.numbers.len(),
        of: merged.fingerprint.count,
        core_seconds_per_sample: None,
        operations_per_sample: None,
    };
    if output.exists() {
        match SampleFile::read(output) {
            Ok(old) if old == merged => {
                eprintln!("{} is complete already", output.display());
                return report::print(&written, json);
            }
            _ if !overwrite => bail!(
                "{} holds something else; give --overwrite to replace it",
                output.display()
            ),
            _ => {}
        }
    }
    merged.write(output)?;
    report::print(&written, json)
}
