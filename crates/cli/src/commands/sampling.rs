//! `sample` and `merge`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use boltzflow_boltzmann::{Checkpoint, Drawn, Fingerprint, Model, SampleFile, sampling};
use boltzflow_flow::ode::Steps;
use boltzflow_flow::{Divergence, Samples, Solver, simd::Level};
use rayon::prelude::*;

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

pub fn sample(arguments: &Sample) -> Result<()> {
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
        let solver = Solver {
            steps: Steps::Fixed { count },
            ..model.architecture().solver
        };
        model = model.with_solver(solver)?;
    }
    let file = Job {
        model: &model,
        flow: &checkpoint.fingerprint(),
        seed: arguments.seed,
        count: arguments.count,
        shard,
        output: &arguments.output,
        existing: Existing::from_flag(arguments.overwrite),
    }
    .run()?;
    report::say(format_args!(
        "{} samples in {}",
        file.numbers.len(),
        arguments.output.display()
    ))
}

impl Job<'_> {
    /// Draws the chunks of a shard, each saved as it is done; those on disk are not drawn again.
    pub fn run(&self) -> Result<SampleFile> {
        if self.model.architecture().solver.divergence != Divergence::Exact {
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
                    remove_folder(&folder)?;
                    eprintln!("{} is complete already", self.output.display());
                    return Ok(old);
                }
                _ if self.existing == Existing::Refuse => bail!(
                    "{} holds something else; give --overwrite to replace it",
                    self.output.display()
                ),
                _ => {}
            }
        }
        let done = self.done(&folder, &chunks, &fingerprint)?;
        let files = self.draw(&folder, &chunks, done, &fingerprint)?;
        let mut drawn = Drawn::default();
        for file in files {
            drawn.append(file.drawn);
        }
        let file = SampleFile {
            fingerprint,
            shape: [self.model.points(), self.model.dims()],
            numbers: expected,
            drawn,
        };
        file.write(self.output)?;
        remove_folder(&folder)?;
        Ok(file)
    }

    fn fingerprint(&self) -> Result<Fingerprint> {
        let solver = serde_json::to_string(&self.model.architecture().solver)?;
        // The GPU computes other bits.
        let device = match device::kind() {
            device::Kind::Cpu => "",
            device::Kind::Wgpu => " on wgpu",
        };
        Ok(Fingerprint {
            model: format!("{} {solver}{device}", self.flow),
            seed: self.seed,
            count: self.count,
            chunk: sampling::CHUNK,
            simd: Level::current(),
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
    ) -> Result<Vec<SampleFile>> {
        let lengths = chunks.iter().map(|&k| self.numbers(k).count() as u64);
        let length = lengths.clone().sum();
        let known = lengths
            .zip(&done)
            .map(|(length, done)| if done.is_some() { length } else { 0 })
            .sum();
        let progress = Progress::new(length, known, "samples");
        let draw = |(&k, done): (&u64, Option<SampleFile>)| -> Result<SampleFile> {
            if let Some(done) = done {
                return Ok(done);
            }
            interrupt::check()?;
            let samples = Samples::consecutive(self.seed, self.numbers(k));
            let drawn = interrupt::timed(|| self.model.sample(&samples))?;
            let file = SampleFile {
                fingerprint: fingerprint.clone(),
                shape: [self.model.points(), self.model.dims()],
                numbers: samples.numbers,
                drawn,
            };
            file.write(&chunk_path(folder, k))?;
            progress.inc(file.numbers.len() as u64);
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
        stopped.map_or(Ok(files), Err)
    }
}

fn chunk_path(folder: &Path, chunk: u64) -> PathBuf {
    folder.join(format!("chunk-{chunk}.npz"))
}

fn remove_folder(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
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
