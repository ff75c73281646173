//! Sampling in chunks: the chunk is the unit of evaluation, carried from noise to `log q` on one thread.

use boltzflow_flow::{FlowError, Marginal, Samples};
use boltzflow_molecule::Conformers;
use rayon::prelude::*;

use crate::model::{Drawn, Model};

/// Samples of a chunk, unless asked otherwise. Results are bit-identical for one chunk size only.
pub const CHUNK: usize = 64;

/// What a flow's own samples are like, which others are compared with.
///
/// A log-density has two parts. That of the prior spreads by `√(D/2)` from sample to sample, with bond lengths and angles, and hides how
/// unlikely a torsion is. The other, `−log |det ∂x/∂z|`, spreads little where a flow has learnt its target, and falls where torsions clash. The
/// smaller of the percentiles of `log q` and of this part tells what is unlike the samples by either; ranked among those of the samples it is a
/// percentile again.
pub struct Usual {
    /// Ascending, as all of these.
    log_q: Vec<f64>,
    /// `−log |det ∂x/∂z|`.
    room: Vec<f64>,
    /// The smaller percentile.
    least: Vec<f64>,
}

impl Usual {
    /// The first `count` samples of a seed.
    pub fn of(model: &Model, seed: u64, count: usize) -> Result<Self, FlowError> {
        let starts: Vec<usize> = (0..count).step_by(CHUNK).collect();
        let chunks = starts.into_par_iter().map(|start| {
            let end = (start + CHUNK).min(count);
            let samples = Samples::consecutive(seed, start as u64..end as u64);
            let drawn = model.sample(&samples)?;
            Ok(drawn.log_q().into_iter().zip(drawn.log_det).collect())
        });
        let chunks = chunks.collect::<Result<Vec<Vec<(f64, f64)>>, FlowError>>()?;
        Ok(Self::new(chunks.into_iter().flatten()))
    }

    /// Of log-densities and log-determinants.
    fn new(samples: impl Iterator<Item = (f64, f64)>) -> Self {
        let samples = samples.filter(|(log_q, log_det)| !log_q.is_nan() && !log_det.is_nan());
        let samples: Vec<(f64, f64)> = samples.collect();
        let mut found = Self {
            log_q: samples.iter().map(|(log_q, _)| *log_q).collect(),
            room: samples.iter().map(|(_, log_det)| -log_det).collect(),
            least: Vec::new(),
        };
        found.log_q.sort_by(f64::total_cmp);
        found.room.sort_by(f64::total_cmp);
        let least = samples.iter().map(|&of| found.least(of));
        found.least = least.collect();
        found.least.sort_by(f64::total_cmp);
        found
    }

    fn least(&self, (log_q, log_det): (f64, f64)) -> f64 {
        below(&self.log_q, log_q).min(below(&self.room, -log_det))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.least.is_empty()
    }

    /// How usual a configuration of this log-density and log-determinant is, in per cent of the samples: 0 for one unlike all of them, below 1 for
    /// one in a hundred of themselves. Not a number for one that is none, or without samples.
    pub fn percentile(&self, log_q: f64, log_det: f64) -> f64 {
        if log_q.is_nan() || self.is_empty() {
            return f64::NAN;
        }
        if log_q == f64::NEG_INFINITY {
            return 0.0;
        }
        below(&self.least, self.least((log_q, log_det)))
    }
}

/// The percentage of ascending values that are lower.
fn below(values: &[f64], value: f64) -> f64 {
    100.0 * values.partition_point(|other| *other < value) as f64 / values.len() as f64
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

/// `log q(x)` of given configurations, moved to their centroids first, of a flow with auxiliary points; none of others. See [`Model::log_marginal`].
///
/// # Panics
/// Without draws.
pub fn log_marginal(
    model: &Model,
    conformers: &Conformers,
    seed: u64,
    draws: usize,
    progress: impl Fn(usize) + Sync,
) -> Result<Option<Vec<Marginal>>, FlowError> {
    let mut centred = conformers.clone();
    centred.center();
    let each = centred.positions().par_chunks(centred.size()).enumerate();
    let each = each.map(|(index, x)| {
        let samples = Samples::consecutive(seed, index as u64..index as u64 + 1);
        let found = model.log_marginal(x, &samples, draws)?;
        progress(1);
        Ok(found)
    });
    let found: Vec<Option<Vec<Marginal>>> = each.collect::<Result<_, FlowError>>()?;
    let found: Option<Vec<Vec<Marginal>>> = found.into_iter().collect();
    Ok(found.map(|found| found.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_tells_what_is_unlike_the_samples_by_either_part() {
        // Their priors spread widely, their determinants little.
        let prior = |k: usize| ((k * 37 % 100) as f64 - 50.0) / 5.0;
        let room = |k: usize| ((k * 61 % 100) as f64 - 50.0) / 50.0;
        let samples = (0..100).map(|k| (prior(k) + room(k), -room(k)));
        let own = Usual::new(samples.clone().chain([(f64::NAN, 0.0)]));
        let each: Vec<f64> = samples.map(|(q, det)| own.percentile(q, det)).collect();
        // Of themselves as many are in each percentile as it says, but for ties.
        for part in [1.0, 10.0, 50.0] {
            let count = each.iter().filter(|found| **found < part).count() as f64;
            assert!((count - part).abs() <= 1.0, "{part}: {count}");
        }
        // As dense as a usual sample, where there is no room.
        assert!(own.percentile(0.0, 0.0) > 20.0);
        assert_eq!(own.percentile(0.0, 3.0), 0.0);
        assert_eq!(own.percentile(-30.0, 0.0), 0.0);
        assert_eq!(own.percentile(f64::NEG_INFINITY, 0.0), 0.0);
        assert!(own.percentile(f64::NAN, 0.0).is_nan());
        assert!(Usual::new([].into_iter()).percentile(1.0, 0.0).is_nan());
    }
}
