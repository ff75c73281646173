//! What a model knows of its molecule: invariant features of points and pairs, and which relabellings are symmetries.

use boltzflow_flow::{Context, Distances, Samples};
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::collections::{BTreeMap, BTreeSet};

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

    /// Kinds of ordered pairs that are told apart where displacements are spread.
    pub fn pair_kinds(&self) -> usize {
        self.kinds().into_iter().max().map_or(0, |last| last + 1)
    }

    /// A number for each ordered pair of atoms, the same for those of the same classes at the same distance in the bond graph.
    fn kinds(&self) -> Vec<usize> {
        // The points of a cluster are of one class, and all farther apart than bonds reach.
        let class = |atom: usize| self.classes.get(atom).copied().unwrap_or(0);
        let distances = self.graph_distances().into_iter();
        let pairs = (0..self.points).flat_map(|i| (0..self.points).map(move |j| (i, j)));
        let keys: Vec<_> = pairs
            .zip(distances)
            .map(|((i, j), distance)| (class(i), class(j), distance))
            .collect();
        let distinct: BTreeSet<_> = keys.iter().copied().collect();
        let numbers: BTreeMap<_, _> = distinct.into_iter().zip(0..).collect();
        keys.iter().map(|key| numbers[key]).collect()
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

    /// The features as tensors, with what distances are like in the data where networks are told of that.
    pub fn context(&self, statistics: Option<&PairStatistics>, device: &Device) -> Context {
        let square = |values: &[f64]| -> Tensor<4> {
            let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
            let data = TensorData::new(values, [1, self.points, self.points, 1]);
            Tensor::from_data(data, (device, DType::F32))
        };
        let expected = statistics.map(|statistics| Distances {
            mean: square(&statistics.mean),
            variance: square(&statistics.variance),
        });
        let samples = Samples {
            seed: 0,
            numbers: Vec::new(),
        };
        let kinds: Vec<i64> = self.kinds().into_iter().map(|kind| kind as i64).collect();
        let kinds = Some(Tensor::from_data(kinds.as_slice(), device));
        if self.is_cluster() {
            return Context {
                kinds,
                distances: expected,
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
            kinds,
            distances: expected,
            global: None,
            samples,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_like_atoms_at_like_distances_are_of_one_kind() {
        // Water, and the same molecule with its hydrogens told apart.
        let water = |classes: [usize; 3]| Features {
            points: 3,
            dims: 3,
            elements: vec![8, 1, 1],
            bonds: vec![[0, 1], [0, 2]],
            classes: classes.to_vec(),
        };
        // O–O, O–H, H–O, H with itself, H···H.
        assert_eq!(water([0, 1, 1]).kinds(), [0, 1, 1, 2, 3, 4, 2, 4, 3]);
        assert_eq!(water([0, 1, 1]).pair_kinds(), 5);
        assert_eq!(water([0, 1, 2]).pair_kinds(), 9);
        assert_eq!(Features::cluster(13, 3).pair_kinds(), 2);
    }
}
