//! Frames of a simulation that its flow has not learnt from, with their log-densities: they tell where no sample has come.

use std::path::Path;

use anyhow::Result;
use boltzflow_boltzmann::{
    Checkpoint, Model, StoreError, System, TargetSamples, TrainingConfig, TrainingData, held_out,
    identity, is_same, positions_of, sampling, spread,
};
use boltzflow_chemio::{Array, Npz};
use boltzflow_molecule::Conformers;

use crate::progress::Progress;
use crate::{device, interrupt};

/// Frames that are looked at, at most: a share of a tenth is then known to a fiftieth.
const MOST: usize = 256;
/// Frames of one evaluation. Log-densities by an adaptive solver depend on it.
const CHUNK: usize = 16;

/// How many of these frames are looked at.
pub fn count(frames: u64, training: &TrainingConfig) -> u64 {
    held_out(frames as usize, training).len().min(MOST) as u64
}

/// Frames and their log-densities under the flow, mirror images folded, in the order of the simulation.
pub struct HeldOut {
    frames: Conformers,
    log_q: Vec<f64>,
}

impl HeldOut {
    /// Looks at frames that were held out and are at the system's temperature, evenly spread over all of them; none where none were.
    pub fn new(system: &System, checkpoint: &Checkpoint, frames: &TrainingData) -> Result<Self> {
        let held_out = held_out(frames.len(), &checkpoint.description.config.training);
        let temperatures = &frames.temperatures;
        let held_out: Vec<usize> = held_out
            .filter(|&k| is_same(temperatures[k], system.temperature))
            .collect();
        let chosen = spread(held_out.len(), held_out.len().min(MOST));
        let chosen: Vec<usize> = chosen.into_iter().map(|k| held_out[k]).collect();
        let frames = frames.conformers.select(&chosen);
        let model = checkpoint
            .model(&device::current())?
            .proposing_at(system.temperature)?;
        let fold = system.log_fold(model.architecture().mirror());
        let log_q = log_densities(&model, &frames)?.into_iter();
        Ok(Self {
            log_q: log_q.map(|log_q| log_q + fold).collect(),
            frames,
        })
    }

    /// The file of an earlier part of this run, if it is there and of this flow.
    pub fn read(path: &Path, system: &System, flow: &str) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let npz = Npz::read(path)?;
        let frames = positions_of(&npz, path, &system.points())?;
        let log_q = npz.array("log_q").and_then(Array::as_f64);
        let log_q = log_q.filter(|log_q| log_q.len() == frames.len());
        let log_q = log_q.ok_or_else(|| StoreError::Array {
            path: path.to_owned(),
            array: "log_q",
            expected: "one number a configuration",
        })?;
        let said = npz.array("flow").and_then(Array::as_text);
        Ok((said == Some(flow)).then(|| Self {
            frames,
            log_q: log_q.to_vec(),
        }))
    }

    /// Writes the file whole or not at all.
    pub fn write(self, path: &Path, system: &System, flow: &str) -> Result<Self> {
        let Self { frames, log_q } = &self;
        let n = frames.len();
        let cloud = [n, frames.points(), frames.dims()];
        let molecule = identity(&system.points());
        Npz::write(
            path,
            &[
                (
                    "positions",
                    &Array::new(&cloud, frames.positions().to_vec()),
                ),
                ("log_q", &Array::new(&[n], log_q.clone())),
                ("molecule", &Array::text(&molecule)),
                ("flow", &Array::text(flow)),
            ],
        )?;
        Ok(self)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// `−U/kT − log q` of each.
    pub fn log_weights(&self, system: &System) -> Result<Vec<f64>> {
        let target = TargetSamples::new(system, self.frames.clone())?;
        Ok(target.log_weights(&self.log_q))
    }
}

/// Log-densities, some frames at a time so that the work can be interrupted.
fn log_densities(model: &Model, frames: &Conformers) -> Result<Vec<f64>> {
    let bar = Progress::new(frames.len() as u64, 0, "checking held-out frames");
    let mut log_q = Vec::with_capacity(frames.len());
    let all: Vec<usize> = (0..frames.len()).collect();
    for some in all.chunks(CHUNK * rayon::current_num_threads()) {
        interrupt::check()?;
        let some = frames.select(some);
        let drawn = interrupt::timed(|| sampling::density(model, &some, 0, CHUNK, |_| ()))?;
        log_q.extend(drawn.log_q());
        bar.inc(some.len() as u64);
    }
    bar.finish_and_clear();
    Ok(log_q)
}
