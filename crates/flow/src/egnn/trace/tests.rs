//! The exact divergence from slices, held to that of the back end's operations.

use burn::tensor::{DType, Device, Tensor};
use rand::RngExt;
use rand_distr::StandardNormal;

use super::super::{Edges, Egnn, EgnnConfig, divergence};
use super::{exact, is_taken};
use crate::divergence::tensor;
use crate::parameters::{flatten, unflatten};
use crate::random::{Purpose, stream};
use crate::testing::largest;
use crate::{Context, Distances, Initializer, Points, Samples, Schedule, host};

/// A network and what it is given.
#[derive(Clone, Copy, Debug)]
pub(in crate::egnn) struct Case {
    pub layers: usize,
    pub edges: Edges,
    pub width: usize,
    pub channels: usize,
    /// Features and expected distances of pairs.
    pub is_rich: bool,
    pub batch: usize,
    pub points: usize,
    pub dims: usize,
}

pub(in crate::egnn) const PLAIN: Case = Case {
    layers: 3,
    edges: Edges::Updated,
    width: 8,
    channels: 1,
    is_rich: false,
    batch: 3,
    points: 5,
    dims: 3,
};

impl Case {
    pub fn field(self, dtype: DType) -> Egnn {
        let mut random = stream(3, Purpose::Parameters, 0);
        let mut make = Initializer {
            random: &mut random,
            device: &Device::flex(),
            dtype,
        };
        let config = EgnnConfig {
            width: self.width,
            layers: self.layers,
            node_features: 2,
            pair_features: if self.is_rich { 2 } else { 0 },
            pair_kinds: 2,
            global_features: 0,
            channels: self.channels,
            edges: self.edges,
            schedule: Schedule { rate: 1.5 },
        };
        let field = Egnn::new(&config, &mut make);
        // Away from the start near zero, so that every path counts.
        let noise = |w: &f32| w + 0.1 * random.sample::<f32, _>(StandardNormal);
        let weights: Vec<f32> = flatten(&field).iter().map(noise).collect();
        unflatten(field, &weights)
    }

    /// Points and their context.
    pub fn given(self, dtype: DType) -> (Points, Context) {
        let device = Device::flex();
        let (batch, points) = (self.batch, self.points);
        let mut random = stream(4, Purpose::Parameters, 0);
        let mut draw = |sizes: [usize; 3]| -> Tensor<3> {
            let count = sizes.iter().product();
            let values = (0..count).map(|_| random.sample(StandardNormal)).collect();
            tensor(values, sizes, &device, dtype)
        };
        let x = draw([batch, points, self.dims]);
        let squares = draw([1, points, points]).square();
        let symmetric = (squares.clone() + squares.swap_dims(1, 2)).reshape([1, points, points, 1]);
        let kinds: Vec<i64> = (0..points * points).map(|pair| pair as i64 % 2).collect();
        let context = Context {
            nodes: draw([1, points, 2]),
            pairs: self
                .is_rich
                .then(|| draw([points, points, 2]).reshape([1, points, points, 2])),
            kinds: Some(Tensor::from_data(kinds.as_slice(), &device)),
            distances: self.is_rich.then(|| Distances {
                mean: symmetric.clone() + 1.0,
                variance: symmetric + 0.1,
            }),
            ..Context::alike(
                points,
                Samples::consecutive(0, 0..batch as u64),
                &device,
                dtype,
            )
        };
        (x, context)
    }

    /// How far displacements and traces are from those of the composition, relative to the largest.
    fn off(self, dtype: DType, change: impl Fn(Points) -> Points) -> f64 {
        let field = self.field(dtype);
        let (x, context) = self.given(dtype);
        let x = change(x);
        assert!(is_taken(&field, &x), "{self:?}");
        let t = || Tensor::full([self.batch], 0.4, (&Device::flex(), dtype));
        let (shift, trace) = exact(&field, t(), x.clone(), &context);
        let (expected, sum) = divergence::exact(&field, t(), x, &context);
        let of_shift = largest(shift - expected.clone()) / largest(expected);
        let of_trace = largest(trace - sum.clone()) / largest(sum).max(1.0);
        of_shift.max(of_trace)
    }
}

/// Every kind of network that is taken, of 2 and 3 dimensions.
pub(in crate::egnn) fn cases() -> impl Iterator<Item = Case> {
    let networks = [
        (1, Edges::Updated),
        (2, Edges::Updated),
        (3, Edges::Updated),
        (2, Edges::Initial),
        (4, Edges::Initial),
    ];
    networks.into_iter().flat_map(|(layers, edges)| {
        [(1, false, 2), (1, true, 3), (3, true, 3)].map(|(channels, is_rich, dims)| Case {
            layers,
            edges,
            channels,
            is_rich,
            dims,
            ..PLAIN
        })
    })
}

#[test]
fn the_trace_is_that_of_the_composition_in_double_precision() {
    for case in cases() {
        let off = case.off(DType::F64, |x| x);
        assert!(off < 1e-12, "{case:?}: {off:e}");
    }
}

#[test]
fn the_trace_is_that_of_the_composition_in_single_precision() {
    for case in cases() {
        let off = case.off(DType::F32, |x| x);
        assert!(off < 2e-5, "{case:?}: {off:e}");
    }
}

#[test]
fn every_number_of_points_and_width_is_as_right() {
    for (points, width) in [(1, 8), (2, 20), (4, 64), (9, 33), (17, 8), (40, 8)] {
        for layers in [2, 3] {
            let case = Case {
                points,
                width,
                layers,
                batch: 2,
                is_rich: points > 2,
                ..PLAIN
            };
            let off = case.off(DType::F64, |x| x);
            assert!(off < 1e-12, "{case:?}: {off:e}");
        }
    }
}

#[test]
fn points_in_the_same_place_are_no_exception() {
    for case in cases() {
        let near = |x: Points| {
            let first = x.clone().narrow(1, 0, 1);
            let rest = x.narrow(1, 2, 3);
            Tensor::cat(vec![first.clone(), first, rest], 1)
        };
        let off = case.off(DType::F64, near);
        assert!(off < 1e-10, "{case:?}: {off:e}");
    }
}

#[test]
fn a_sample_has_the_same_bits_in_any_batch() {
    for (points, width) in [(1, 8), (2, 8), (4, 64), (13, 64)] {
        let case = Case {
            points,
            batch: 16,
            width,
            ..PLAIN
        };
        let field = case.field(DType::F32);
        let (x, context) = case.given(DType::F32);
        let evaluate = |x: Points| {
            let batch = x.dims()[0];
            let t = Tensor::full([batch], 0.4, (&Device::flex(), DType::F32));
            let (shift, trace) = exact(&field, t, x, &context);
            Tensor::cat(vec![shift.flatten(1, 2), trace.reshape([batch, 1])], 1)
        };
        assert_same_bits_alone(&x, evaluate);
    }
}

/// Asserts that what is made of some samples, a row each, is made of each alone as well, to the bit.
pub(in crate::egnn) fn assert_same_bits_alone(x: &Points, of: impl Fn(Points) -> Tensor<2>) {
    let all = of(x.clone());
    for sample in [0, 7, 15] {
        let alone = of(x.clone().narrow(0, sample, 1));
        assert_eq!(host(alone), host(all.clone().narrow(0, sample, 1)));
    }
}

#[test]
fn deep_networks_whose_edges_see_updates_go_by_the_composition() {
    let case = Case { layers: 4, ..PLAIN };
    let (x, _) = case.given(DType::F64);
    assert!(!is_taken(&case.field(DType::F64), &x));
}

#[test]
fn what_gradients_are_asked_of_goes_by_the_composition() {
    let (x, _) = PLAIN.given(DType::F64);
    let field = PLAIN.field(DType::F64);
    assert!(!is_taken(&field, &x.autodiff().require_grad()));
}
