//! Sampling in chunks: the chunk is the unit of evaluation, carried from noise to `log q` on one thread.

use std::ops::Range;

use boltzflow_flow::{FlowError, Samples};
use boltzflow_molecule::Conformers;
use rayon::prelude::*;

use crate::model::{Drawn, Model};

/// Samples of a chunk, unless asked otherwise. Results are bit-identical for one chunk size only.
pub const CHUNK: usize = 64;

/// Samples `seed`'s `numbers`, chunk by chunk in parallel, in order. `progress` is called from workers with the samples done.
pub fn sample(
    model: &Model,
    seed: u64,
    numbers: Range<u64>,
    chunk: usize,
    progress: impl Fn(usize) + Sync,
) -> Result<Drawn, FlowError> {
    let starts: Vec<u64> = numbers.clone().step_by(chunk).collect();
    let chunks = starts.into_par_iter().map(|start| {
        let end = (start + chunk as u64).min(numbers.end);
        let drawn = model.sample(&Samples {
            seed,
            numbers: (start..end).collect(),
        })?;
        progress((end - start) as usize);
        Ok(drawn)
    });
    Ok(joined(chunks.collect::<Result<_, FlowError>>()?))
}

/// The latents and log-densities of given configurations, moved to their centroids first.
pub fn density(
    model: &Model,
    conformers: &Conformers,
    seed: u64,
    chunk: usize,
    progress: impl Fn(usize) + Sync,
) -> Result<Drawn, FlowError> {
    let mut centred = conformers.clone();
    centred.center();
    let size = centred.size();
    let chunks = centred
        .positions()
        .par_chunks(chunk * size)
        .enumerate()
        .map(|(index, positions)| {
            let (start, count) = (index * chunk, positions.len() / size);
            let numbers = (start as u64..(start + count) as u64).collect();
            let drawn = model.density(positions, &Samples { seed, numbers })?;
            progress(count);
            Ok(drawn)
        });
    Ok(joined(chunks.collect::<Result<_, FlowError>>()?))
}

fn joined(chunks: Vec<Drawn>) -> Drawn {
    let mut all = Drawn::default();
    chunks.into_iter().for_each(|chunk| all.append(chunk));
    all
}
