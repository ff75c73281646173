//! Sampling in chunks: the chunk is the unit of evaluation, carried from noise to `log q` on one thread.

use boltzflow_flow::{FlowError, Samples};
use boltzflow_molecule::Conformers;
use rayon::prelude::*;

use crate::model::{Drawn, Model};

/// Samples of a chunk, unless asked otherwise. Results are bit-identical for one chunk size only.
pub const CHUNK: usize = 64;

/// How usual log-densities are to a flow: for each the percentage of `own`, those of its own samples, that are lower. Configurations unlike all
/// samples have 0. Not a number for one that is none.
pub fn percentiles(log_q: &[f64], own: &[f64]) -> Vec<f64> {
    let mut own: Vec<f64> = own.iter().copied().filter(|own| !own.is_nan()).collect();
    own.sort_by(f64::total_cmp);
    let percentile = |log_q: &f64| {
        if log_q.is_nan() || own.is_empty() {
            return f64::NAN;
        }
        100.0 * own.partition_point(|own| own < log_q) as f64 / own.len() as f64
    };
    log_q.iter().map(percentile).collect()
}

/// The log-densities of the first `count` samples of a seed.
pub fn own_log_densities(model: &Model, seed: u64, count: usize) -> Result<Vec<f64>, FlowError> {
    let starts: Vec<usize> = (0..count).step_by(CHUNK).collect();
    let chunks = starts.into_par_iter().map(|start| {
        let end = (start + CHUNK).min(count);
        let samples = Samples::consecutive(seed, start as u64..end as u64);
        Ok(model.sample(&samples)?.log_q())
    });
    let chunks = chunks.collect::<Result<Vec<_>, FlowError>>()?;
    Ok(chunks.into_iter().flatten().collect())
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
    let mut all = Drawn::default();
    for drawn in chunks.collect::<Result<Vec<_>, FlowError>>()? {
        all.append(drawn);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_part_of_the_own_samples_below() {
        let own = [3.0, 1.0, f64::NAN, 2.0, 4.0];
        let found = percentiles(&[0.0, 1.5, 3.0, 9.0, f64::NEG_INFINITY, f64::NAN], &own);
        assert_eq!(found[..5], [0.0, 25.0, 50.0, 100.0, 0.0]);
        assert!(found[5].is_nan());
        assert!(percentiles(&[1.0], &[])[0].is_nan());
    }
}
