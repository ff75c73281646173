//! What a model knows of its molecule: invariant features of points and pairs, and which relabellings are symmetries.

use boltzflow_flow::{Context, Distances, Samples};
use burn::tensor::{DType, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::distances::PairStatistics;

/// Graph distances are told apart up to this; farther ones are alike.
const FARTHEST: usize = 4;

/// The molecule as the network sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Points of a configuration.
    pub points: usize,
    /// Spatial dimensions.
    pub dims: usize,
    /// Atomic numbers; empty for a toy, whose points are alike.
    pub elements: Vec<u8>,
    /// Bonds between atoms.
    pub bonds: Vec<[usize; 2]>,
    /// Which class of atoms that are alike to the network each is of; empty for a toy.
    pub classes: Vec<usize>,
}

impl Features {
    /// Points that are all alike.
    pub fn cluster(points: usize, dims: usize) -> Self {
        Self {
            points,
            dims,
            elements: Vec::new(),
            bonds: Vec::new(),
            classes: Vec::new(),
        }
    }

    /// Whether every relabelling of the points is a symmetry.
    pub fn is_cluster(&self) -> bool {
        self.elements.is_empty()
    }

    /// Features of each point.
    pub fn node_features(&self) -> usize {
        self.classes.iter().max().map_or(1, |last| last + 1)
    }

    /// Features of each pair.
    pub fn pair_features(&self) -> usize {
        if self.is_cluster() { 0 } else { FARTHEST + 1 }
    }

    /// Bonds on the shortest path between two atoms, at most [`FARTHEST`] + 1.
    fn graph_distances(&self) -> Vec<usize> {
        let n = self.points;
        let mut neighbours = vec![Vec::new(); n];
        for &[i, j] in &self.bonds {
            neighbours[i].push(j);
            neighbours[j].push(i);
        }
        let mut distances = vec![FARTHEST + 1; n * n];
        for start in 0..n {
            distances[start * n + start] = 0;
            let mut front = vec![start];
            for distance in 1..=FARTHEST {
                let mut next = Vec::new();
                for &atom in front.iter().flat_map(|&atom| &neighbours[atom]) {
                    if distances[start * n + atom] > FARTHEST && atom != start {
                        distances[start * n + atom] = distance;
                        next.push(atom);
                    }
                }
                front = next;
            }
        }
        distances
    }

    /// The features as tensors, with what distances are like in the data.
    pub fn context(&self, statistics: &PairStatistics, device: &Device) -> Context {
        let square = |values: &[f64]| -> Tensor<4> {
            let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
            let data = TensorData::new(values, [1, self.points, self.points, 1]);
            Tensor::from_data(data, (device, DType::F32))
        };
        let distances = Some(Distances {
            mean: square(&statistics.mean),
            variance: square(&statistics.variance),
        });
        let samples = Samples {
            seed: 0,
            numbers: Vec::new(),
        };
        if self.is_cluster() {
            return Context {
                distances,
                ..Context::alike(self.points, samples, device, DType::F32)
            };
        }
        let classes = self.node_features();
        let mut nodes = vec![0_f32; self.points * classes];
        for (atom, class) in self.classes.iter().enumerate() {
            nodes[atom * classes + class] = 1.0;
        }
        let width = self.pair_features();
        let mut pairs = vec![0_f32; self.points * self.points * width];
        for (pair, distance) in self.graph_distances().into_iter().enumerate() {
            if distance > 0 {
                pairs[pair * width + distance - 1] = 1.0;
            }
        }
        let node_data = TensorData::new(nodes, [1, self.points, classes]);
        let pair_data = TensorData::new(pairs, [1, self.points, self.points, width]);
        Context {
            nodes: Tensor::from_data(node_data, (device, DType::F32)),
            pairs: Some(Tensor::from_data(pair_data, (device, DType::F32))),
            distances,
            global: None,
            samples,
        }
    }
}
