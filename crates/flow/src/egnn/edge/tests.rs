//! Our step of all edges, held to the composition of the back end's operations.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use rand::RngExt;
use rand_distr::StandardNormal;

use super::super::EgnnConfig;
use super::super::layer::{Layer, PairTerms};
use super::{Messages, Sizes, tile_rows};
use crate::divergence::tensor;
use crate::parameters::{flatten, gradients, unflatten};
use crate::random::{Purpose, stream};
use crate::{Context, Distances, Dual, Edges, Initializer, Points, Samples, Schedule, host};

/// What a layer is given.
#[derive(Clone)]
pub(super) struct Case {
    layer: Layer,
    x: Points,
    moved: Option<Points>,
    h: Tensor<3>,
    moved_h: Option<Tensor<3>>,
    context: Context,
    t: Tensor<1>,
}

/// What there is of a case.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) batch: usize,
    pub(super) points: usize,
    pub(super) dims: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    pub(super) directions: usize,
    /// Features and expected distances of pairs, and tangents of node features.
    pub(super) is_rich: bool,
}

pub(super) const PLAIN: Shape = Shape {
    batch: 2,
    points: 5,
    dims: 3,
    width: 8,
    channels: 1,
    directions: 0,
    is_rich: false,
};

impl Case {
    pub(super) fn new(shape: Shape, dtype: DType) -> Self {
        let device = Device::flex();
        let mut random = stream(3, Purpose::Parameters, 0);
        let mut make = Initializer {
            random: &mut random,
            device: &device,
            dtype,
        };
        let config = EgnnConfig {
            width: shape.width,
            layers: 2,
            node_features: 1,
            pair_features: if shape.is_rich { 2 } else { 0 },
            pair_kinds: 1,
            global_features: 0,
            channels: shape.channels,
            edges: Edges::Updated,
            schedule: Schedule { rate: 1.5 },
        };
        let layer = Layer::new(&config, shape.channels, true, &mut make);
        // Away from the start near zero, so that every path counts.
        let weights = flatten(&layer);
        let noise = |w: &f32| w + 0.1 * random.sample::<f32, _>(StandardNormal);
        let layer = unflatten(layer, &weights.iter().map(noise).collect::<Vec<_>>());
        let Shape {
            batch,
            points,
            dims,
            width,
            directions,
            is_rich,
            ..
        } = shape;
        let mut draw = |sizes: [usize; 3]| -> Tensor<3> {
            let count = sizes.iter().product();
            let values = (0..count).map(|_| random.sample(StandardNormal)).collect();
            tensor(values, sizes, &device, dtype)
        };
        let x = draw([batch, points, dims]);
        let moved = (directions > 0).then(|| draw([directions * batch, points, dims]));
        let moved_h =
            (directions > 0 && is_rich).then(|| draw([directions * batch, points, width]));
        let squares = draw([1, points, points]).square();
        let symmetric = (squares.clone() + squares.swap_dims(1, 2)).reshape([1, points, points, 1]);
        let context = Context {
            pairs: is_rich.then(|| {
                let features = draw([points, points, 2]);
                features.reshape([1, points, points, 2])
            }),
            kinds: Some(Tensor::zeros([points * points], &device)),
            distances: is_rich.then(|| Distances {
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
        Self {
            layer,
            h: draw([batch, points, width]),
            x,
            moved,
            moved_h,
            context,
            t: Tensor::full([batch], 0.4, (&device, dtype)),
        }
    }

    /// The same on another device.
    #[cfg(feature = "wgpu")]
    pub(super) fn on(&self, device: &Device) -> Self {
        let moved = |x: &Tensor<3>| x.clone().to_device(device);
        let context = &self.context;
        Self {
            layer: self.layer.clone().to_device(device),
            x: moved(&self.x),
            moved: self.moved.as_ref().map(moved),
            h: moved(&self.h),
            moved_h: self.moved_h.as_ref().map(moved),
            context: context.on((device, self.x.dtype())),
            t: self.t.clone().to_device(device),
        }
    }

    /// Moves the second point of every sample nearly onto the first.
    pub(super) fn with_near_points(mut self) -> Self {
        let first = self.x.clone().narrow(1, 0, 1);
        let second = first.clone() + 1e-7;
        let [_, points, _] = self.x.dims();
        let rest = self.x.narrow(1, 2, points - 2);
        self.x = Tensor::cat(vec![first, second, rest], 1);
        self
    }

    /// New points and messages, fused or composed, with their tangents.
    pub(super) fn results(&self, way: Way) -> Vec<Tensor<3>> {
        let dual = |value: &Tensor<3>, tangents: &Option<Tensor<3>>| Dual {
            value: value.clone(),
            tangents: tangents.clone(),
        };
        let (x, h) = (dual(&self.x, &self.moved), dual(&self.h, &self.moved_h));
        let distances = self.context.distances.as_ref();
        let schedule = Schedule { rate: 1.5 };
        let standard = distances.map(|d| d.at(&self.t, schedule, &self.x.clone().inner()));
        let pairs = PairTerms::of(&self.layer, &self.context);
        let standard = standard.as_ref();
        let (moved, messages) = match way {
            Way::Composed => self.layer.composed(x, h, standard, &pairs),
            Way::Fused => {
                let (moved, messages) =
                    self.layer.forward(x, h, standard, &pairs, Messages::Wanted);
                (moved, messages.unwrap())
            }
        };
        let all = [
            Some(moved.value),
            moved.tangents,
            Some(messages.value),
            messages.tangents,
        ];
        all.into_iter().flatten().collect()
    }

    /// The gradients of parameters, points, features and their tangents, of a sum that weighs every result unevenly.
    pub(super) fn gradients(&self, way: Way) -> Vec<Vec<f64>> {
        let leaf = |tensor: &Tensor<3>| tensor.clone().autodiff().require_grad();
        let case = Self {
            layer: self.layer.clone().train(),
            x: leaf(&self.x),
            moved: self.moved.as_ref().map(leaf),
            h: leaf(&self.h),
            moved_h: self.moved_h.as_ref().map(leaf),
            ..self.clone()
        };
        let weighed = case.results(way).into_iter().map(|result| {
            let count = result.shape().num_elements();
            let weights = (0..count).map(|k| (0.3 + 1.7 * k as f64).sin()).collect();
            let weights = tensor(weights, result.dims(), &self.x.device(), result.dtype());
            (result * weights).sum()
        });
        let found = weighed.reduce(|a, b| a + b).unwrap().backward();
        let parameters = gradients(&case.layer, &found);
        let mut all = vec![parameters.iter().map(|&g| f64::from(g)).collect()];
        let leaves = [Some(case.x), case.moved, Some(case.h), case.moved_h];
        all.extend(
            leaves
                .into_iter()
                .flatten()
                .map(|x| host(x.grad(&found).unwrap())),
        );
        all
    }
}

#[derive(Clone, Copy)]
pub(super) enum Way {
    Fused,
    Composed,
}

/// Asserts that two lists of numbers agree, relative to the largest of the second.
fn assert_near(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    let largest = expected.iter().fold(1e-30_f64, |a, b| a.max(b.abs()));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let off = (found - expected).abs() / largest;
        assert!(
            off <= tolerance,
            "{what}: {found} and {expected} are {off:e} apart"
        );
    }
}

/// Holds values, tangents and gradients to the composition.
fn assert_same(case: &Case, tolerance: f64, what: &str) {
    assert_as_composed(case, case, tolerance, what);
}

/// Holds values, tangents and gradients of the first case to the composition of the second, which is the same or the same elsewhere.
pub(super) fn assert_as_composed(case: &Case, composed: &Case, tolerance: f64, what: &str) {
    let (found, expected) = (case.results(Way::Fused), composed.results(Way::Composed));
    for (found, expected) in found.into_iter().zip(expected) {
        // Sample by sample.
        let size = found.shape().num_elements() / found.dims()[0];
        let (found, expected) = (host(found), host(expected));
        for (found, expected) in found.chunks(size).zip(expected.chunks(size)) {
            assert_near(found, expected, tolerance, what);
        }
    }
    let (found, expected) = (
        case.gradients(Way::Fused),
        composed.gradients(Way::Composed),
    );
    for (found, expected) in found.iter().zip(&expected) {
        // Gradients of parameters are handed on in single precision.
        assert_near(found, expected, tolerance.max(2e-7), what);
    }
}

/// From the least to more than one tile.
fn shapes() -> Vec<Shape> {
    let mut all = Vec::new();
    for (points, width) in [(1, 8), (2, 8), (5, 20), (9, 33), (13, 64)] {
        for (directions, is_rich) in [(0, false), (0, true), (1, false), (2, true)] {
            for (dims, channels) in [(2, 1), (3, 1), (3, 3)] {
                all.push(Shape {
                    points,
                    dims,
                    width,
                    channels,
                    directions,
                    is_rich,
                    ..PLAIN
                });
            }
        }
    }
    all
}

#[test]
fn the_step_is_the_composition_in_double_precision() {
    for shape in shapes() {
        let case = Case::new(shape, DType::F64);
        assert_same(&case, 1e-12, &format!("{shape:?}"));
    }
}

#[test]
fn the_step_is_the_composition_in_single_precision() {
    for shape in shapes() {
        let case = Case::new(shape, DType::F32);
        assert_same(&case, 1e-5, &format!("{shape:?}"));
    }
}

#[test]
fn points_nearly_on_top_of_each_other_are_no_exception() {
    for directions in [0, 2] {
        let shape = Shape {
            directions,
            is_rich: true,
            ..PLAIN
        };
        assert_same(
            &Case::new(shape, DType::F64).with_near_points(),
            1e-12,
            "double",
        );
        let single = Case::new(shape, DType::F32).with_near_points();
        assert_same(&single, 1e-5, "single");
    }
}

#[test]
fn clouds_of_two_hundred_points_are_as_right_as_small_ones() {
    let shape = Shape {
        batch: 1,
        points: 200,
        directions: 1,
        width: 16,
        is_rich: true,
        ..PLAIN
    };
    assert_same(
        &Case::new(shape, DType::F64),
        1e-12,
        "200 points in double precision",
    );
    assert_same(
        &Case::new(shape, DType::F32),
        1e-5,
        "200 points in single precision",
    );
}

#[test]
fn tiles_end_within_samples_and_beyond_them() {
    let sizes = Sizes {
        batch: 2,
        points: 13,
        dims: 3,
        width: 64,
        channels: 1,
        directions: 0,
        messages: Messages::Wanted,
    };
    // As in the shapes above: the first ends within the second of two samples, that of two hundred points within one.
    let rows = tile_rows(&sizes, 1);
    assert!(13 * 13 < rows && rows < 2 * 13 * 13);
    let many = Sizes {
        points: 200,
        width: 16,
        directions: 1,
        ..sizes
    };
    assert!(tile_rows(&many, 2) < 200 * 200);
}

/// Points whose features are the same.
fn alike(shape: Shape, dtype: DType) -> Case {
    let case = Case::new(shape, dtype);
    let [batch, points, width] = case.h.dims();
    let h = case
        .h
        .clone()
        .narrow(1, 0, 1)
        .expand([batch, points, width]);
    Case { h, ..case }
}

#[test]
fn edges_that_stand_for_both_orders_of_a_pair_are_those_of_the_composition() {
    for (points, width, channels) in [(1, 8, 1), (2, 8, 3), (5, 20, 1), (13, 64, 3)] {
        for has_distances in [false, true] {
            let shape = Shape {
                points,
                width,
                channels,
                ..PLAIN
            };
            let case = |dtype| {
                let rich = Case::new(
                    Shape {
                        is_rich: true,
                        ..shape
                    },
                    dtype,
                );
                let mut case = alike(shape, dtype);
                case.context.distances = rich.context.distances.filter(|_| has_distances);
                case
            };
            assert_same(&case(DType::F64), 1e-12, &format!("{shape:?}, double"));
            assert_same(&case(DType::F32), 1e-5, &format!("{shape:?}, single"));
        }
    }
}

#[test]
fn a_sample_has_the_same_bits_in_any_batch() {
    let shape = Shape {
        batch: 3,
        points: 7,
        width: 64,
        directions: 2,
        is_rich: true,
        ..PLAIN
    };
    assert_alone_as_in_a_batch(&Case::new(shape, DType::F32));
}

/// Asserts that the second sample alone has the bits that it has among the others.
pub(super) fn assert_alone_as_in_a_batch(all: &Case) {
    let batch = all.x.dims()[0];
    let second = |x: &Tensor<3>| {
        let groups = x.dims()[0] / batch;
        let rows = (0..groups).map(|group| x.clone().narrow(0, group * batch + 1, 1));
        Tensor::cat(rows.collect(), 0)
    };
    let alone = Case {
        x: second(&all.x),
        moved: all.moved.as_ref().map(second),
        h: second(&all.h),
        moved_h: all.moved_h.as_ref().map(second),
        t: all.t.clone().narrow(0, 1, 1),
        ..all.clone()
    };
    let results = all.results(Way::Fused).into_iter();
    for (found, alone) in results.zip(alone.results(Way::Fused)) {
        assert_eq!(host(second(&found)), host(alone));
    }
}
