//! What a map is conditioned on.

use std::ops::Range;

use burn::tensor::{DType, Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::distances::Distances;

/// What a map is conditioned on: the molecule it acts on, and which samples these are. Cheap to clone (tensor handles).
///
/// # Shapes
/// A leading dimension of 1 stands for the same values in every sample.
#[derive(Clone, Debug)]
pub struct Context {
    /// Invariant features of the points, `[batch or 1, points, features]`.
    pub nodes: Tensor<3>,
    /// Those of pairs: bond order, graph distance, …, `[batch or 1, points, points, features]`.
    pub pairs: Option<Tensor<4>>,
    /// The kind of every ordered pair, alike for pairs that are alike, the same in every sample, `[points · points]`. Networks that spread
    /// displacements need it.
    pub kinds: Option<Tensor<1, Int>>,
    /// What distances are like in the data; without them networks see `d²` as it is.
    pub distances: Option<Distances>,
    /// Those of the whole: temperature, …, `[batch or 1, features]`.
    pub global: Option<Tensor<2>>,
    /// Which samples these are.
    pub samples: Samples,
}

/// Seed and numbers of the samples of a batch: random numbers are a function of these, not of the batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Samples {
    /// Seed of the run.
    pub seed: u64,
    /// Global number of each sample.
    pub numbers: Vec<u64>,
}

impl Samples {
    /// Consecutive samples.
    pub fn consecutive(seed: u64, numbers: Range<u64>) -> Self {
        Self {
            seed,
            numbers: numbers.collect(),
        }
    }

    /// Some of them, by their place in the batch.
    pub fn rows(&self, rows: Range<usize>) -> Self {
        Self {
            seed: self.seed,
            numbers: self.numbers[rows].to_vec(),
        }
    }
}

impl Context {
    /// Indistinguishable points without pair or global features: every point has the one feature 1.
    pub fn alike(points: usize, samples: Samples, device: &Device, dtype: DType) -> Self {
        Self {
            nodes: Tensor::ones([1, points, 1], (device, dtype)),
            pairs: None,
            kinds: None,
            distances: None,
            global: None,
            samples,
        }
    }

    /// The context of some samples, by their place in the batch.
    pub fn rows(&self, rows: Range<usize>) -> Self {
        Self {
            nodes: some_rows(&self.nodes, &rows),
            pairs: self.pairs.as_ref().map(|pairs| some_rows(pairs, &rows)),
            kinds: self.kinds.clone(),
            distances: self.distances.as_ref().map(|distances| Distances {
                mean: some_rows(&distances.mean, &rows),
                variance: some_rows(&distances.variance, &rows),
            }),
            global: self.global.as_ref().map(|global| some_rows(global, &rows)),
            samples: self.samples.rows(rows),
        }
    }

    /// The context for the next samples of the same molecule.
    pub fn with_samples(&self, samples: Samples) -> Self {
        Self {
            samples,
            ..self.clone()
        }
    }
}

/// Rows of a tensor that has one for each sample, or one for all.
fn some_rows<const D: usize>(tensor: &Tensor<D>, rows: &Range<usize>) -> Tensor<D> {
    if tensor.dims()[0] == 1 {
        tensor.clone()
    } else {
        tensor.clone().slice(rows.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bijection::host;

    #[test]
    fn rows_take_what_each_sample_has_and_keep_what_all_share() {
        let device = Device::flex();
        let samples = Samples::consecutive(7, 10..14);
        let global =
            Tensor::<1>::from_data([0.0, 1.0, 2.0, 3.0], (&device, DType::F64)).reshape([4, 1]);
        let context = Context {
            global: Some(global),
            ..Context::alike(3, samples, &device, DType::F64)
        };
        let part = context.rows(1..3);
        assert_eq!(part.nodes.dims(), [1, 3, 1]);
        assert_eq!(host(part.global.unwrap()), [1.0, 2.0]);
        assert_eq!(
            part.samples,
            Samples {
                seed: 7,
                numbers: vec![11, 12]
            }
        );
    }
}
