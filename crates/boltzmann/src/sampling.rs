//! Sampling in chunks: the chunk is the unit of evaluation, carried from noise to `log q` on one thread.

use boltzflow_flow::{FlowError, Samples};
use boltzflow_molecule::Conformers;
use rayon::prelude::*;

use crate::model::{Drawn, Model};

/// Samples of a chunk, unless asked otherwise. Results are bit-identical for one chunk size only.
pub const CHUNK: usize = 64;

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
    let mut all = Drawn::default();
    for drawn in chunks.collect::<Result<Vec<_>, FlowError>>()? {
        all.append(drawn);
    }
    Ok(all)
}
