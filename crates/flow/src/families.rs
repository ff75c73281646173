//! The laws of the maps of internal coordinates, in double precision, for each row of the table of families.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Tensor};
use rand::RngExt;
use rand_distr::StandardNormal;

use crate::elementwise::Way;
use crate::parameters::{flatten, gradients, unflatten};
use crate::random::{Purpose, stream};
use crate::testing::{alike, assert_gradient_is_slope, assert_lawful, largest, points};
use crate::*;

mod circles;
mod mass;
mod table;

use table::*;

fn context(space: Space, batch: usize) -> Context {
    let count = space.points();
    let waves = |count: usize| (0..count).map(|k| (k as f64).sin()).collect();
    let device = Device::flex();
    let [nodes, pairs] = LABELS;
    Context {
        global: Some(divergence::tensor(
            waves(batch * GLOBALS),
            [batch, GLOBALS],
            &device,
            DType::F64,
        )),
        nodes: divergence::tensor(waves(count * nodes), [1, count, nodes], &device, DType::F64),
        pairs: Some(divergence::tensor(
            waves(count * count * pairs),
            [1, count, count, pairs],
            &device,
            DType::F64,
        )),
        ..alike(space, batch)
    }
}

/// What the laws ask of a map and its parameters.
trait Family: Bijection {
    /// The gradient of what is computed from the map, in all its parameters.
    fn gradients(&self, value: &dyn Fn(&dyn Bijection) -> Tensor<1>) -> Vec<f32>;
    /// The map with one of its parameters moved.
    fn moved(&self, parameter: usize, by: f64) -> Box<dyn Family>;
    /// The map with its parameters moved by this much normal noise.
    fn shaken(&self, noise: f32) -> Box<dyn Family>;
}

impl<M: Bijection + Module + 'static> Family for M {
    fn gradients(&self, value: &dyn Fn(&dyn Bijection) -> Tensor<1>) -> Vec<f32> {
        let map = self.clone().train();
        gradients(&map, &value(&map).sum().backward())
    }

    fn moved(&self, parameter: usize, by: f64) -> Box<dyn Family> {
        Box::new(self.clone().map(&mut Move { parameter, by }))
    }

    fn shaken(&self, noise: f32) -> Box<dyn Family> {
        Box::new(shaken(self.clone(), noise))
    }
}

/// Moves one parameter: `parameter` is how many come before it.
struct Move {
    parameter: usize,
    by: f64,
}

impl ModuleMapper for Move {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (old, shape) = (param.val(), param.dims());
        let mut values = host(old.clone());
        if let Some(value) = values.get_mut(self.parameter) {
            *value += self.by;
            self.parameter = usize::MAX;
        } else {
            self.parameter = self.parameter.saturating_sub(values.len());
        }
        Param::from_tensor(divergence::tensor(
            values,
            shape,
            &old.device(),
            old.dtype(),
        ))
    }
}

/// The same network with its parameters moved by normal noise, away from the identity.
fn shaken<M: Module>(module: M, noise: f32) -> M {
    let normal = stream(21, Purpose::Parameters, 1).sample_iter(StandardNormal);
    let values: Vec<f32> = flatten(&module)
        .into_iter()
        .zip(normal)
        .map(|(value, normal): (f32, f32)| value + noise * normal)
        .collect();
    unflatten(module, &values)
}

#[test]
fn all_are_lawful() {
    for Row {
        name, space, map, ..
    } in rows(MANY)
    {
        let found = assert_lawful(&*map, points(space, 4, 4), &context(space, 4), 1e-5);
        assert!(found.is_ok(), "{name}");
    }
}

/// A value of each sample that depends on all that a map gives; of what is the same on both sides of a circle's cut.
fn value(map: &dyn Bijection, way: Way, x: Points, context: &Context) -> Tensor<1> {
    let [batch, count, _] = x.dims();
    let weights: Vec<f64> = (0..count).map(|k| (k as f64 + 0.5).cos()).collect();
    let weights: Tensor<3> = divergence::tensor(weights, [1, count, 1], &x.device(), x.dtype());
    let found = match way {
        Way::Forward => map.forward(x, context),
        Way::Inverse => map.inverse(x, context),
    };
    let (y, log_det) = found.unwrap();
    let of_y = (y * std::f64::consts::TAU).cos() * weights;
    of_y.reshape([batch, count]).sum_dim(1).reshape([batch]) + log_det
}

/// Each way with points where it starts; those that become normal scores, which have no end, keep away from the ends of 0…1.
fn both_ways(map: &dyn Family) -> [(Way, Points); 2] {
    let [start, end] = [map.input(), map.output()].map(|space| points(space, 3, 4));
    let end = if map.output() == map.input() {
        end
    } else {
        end * 0.8 + 0.1
    };
    [(Way::Forward, start), (Way::Inverse, end)]
}

#[test]
fn all_have_gradients_in_both_directions() {
    for Row { space, map, .. } in rows(MANY) {
        let context = context(space, 3);
        for (way, x) in both_ways(&*map) {
            let value = |x: Points| value(&*map, way, x, &context);
            assert_gradient_is_slope(value, x, 1e-3);
        }
    }
}

#[test]
fn gradients_in_all_parameters_are_finite_and_some_of_them_are_seen_to_be_slopes() {
    for Row {
        name, space, map, ..
    } in rows(MANY)
    {
        let context = context(space, 3);
        for (way, x) in both_ways(&*map) {
            let gradients = map.gradients(&|map| value(map, way, x.clone(), &context));
            assert!(gradients.iter().all(|g| g.is_finite()), "{name}");
            assert!(gradients.iter().any(|g| g.abs() > 1e-3), "{name}");
            let total = |parameter, by| {
                let moved = map.moved(parameter, by);
                host(value(&*moved, way, x.clone(), &context).sum())[0]
            };
            let step = 1e-4;
            for parameter in (0..gradients.len()).step_by(gradients.len().div_ceil(12)) {
                let slope = (total(parameter, step) - total(parameter, -step)) / (2.0 * step);
                let claimed = f64::from(gradients[parameter]);
                assert!(
                    (slope - claimed).abs() < 1e-4 * slope.abs().max(1.0),
                    "{name}, {way:?}: the slope in parameter {parameter} is {slope}, but the gradient says {claimed}"
                );
            }
        }
    }
}

#[test]
fn they_differ_from_the_identity_and_from_sample_to_sample() {
    for Row {
        name, space, map, ..
    } in rows(MANY)
    {
        let x = points(space, 4, 3);
        let (y, log_det) = map.forward(x.clone(), &context(space, 4)).unwrap();
        assert!(largest(y - x) > 1e-2, "{name}");
        // Shifts and linear maps stretch all samples alike.
        let linear = ["actnorm", "actnorm of lines", "LU", "LU of lines"];
        if !SHIFTS.contains(&name) && !linear.contains(&name) {
            let spread = log_det.clone() - log_det.mean_dim(0);
            assert!(largest(spread) > 1e-3, "{name}");
        }
    }
}

#[test]
fn the_jacobian_of_an_autoregressive_map_is_triangular() {
    for Row {
        name, space, map, ..
    } in triangular(MANY)
    {
        let (x, context) = (points(space, 1, 3), context(space, 1));
        let (y, _) = map.forward(x.clone(), &context).unwrap();
        let order = order(space);
        for (k, &moved) in order.iter().enumerate() {
            let mut step = vec![0.0; space.points()];
            step[moved] = 1e-3;
            let step = testing::cloud(step, space.points(), 1);
            let (there, _) = map.forward(x.clone() + step, &context).unwrap();
            let off = host(there - y.clone());
            for &before in &order[..k] {
                assert!(off[before].abs() < 1e-15, "{name}: {moved} moves {before}");
            }
            let (here, after) = (off[moved].abs(), &order[k + 1..]);
            assert!(here > 1e-6, "{name}: {moved} is not moved");
            let later = after.iter().map(|&k| off[k].abs()).fold(0.0, f64::max);
            assert!(
                after.is_empty() || later > 1e-9,
                "{name}: nothing follows {moved}"
            );
        }
    }
}

#[test]
fn new_maps_are_near_the_identity() {
    for Row {
        name, space, new, ..
    } in rows(MANY)
    {
        // From normal numbers to even ones there is no identity.
        if new.output() != space {
            continue;
        }
        let x = points(space, 8, 5);
        let (y, log_det) = new.forward(x.clone(), &context(space, 8)).unwrap();
        assert!(largest(y - x) < 0.05, "{name}");
        assert!(largest(log_det) < 0.2, "{name}");
    }
}

#[test]
fn what_a_map_cannot_act_on_is_refused() {
    let refused = |space, active: &[usize], map| {
        let found = made(|make| Coupling::new(space, active.to_vec(), map, 0, SIZE, make));
        found.unwrap_err().to_string()
    };
    for (space, active, map, message) in [
        (
            BOUNDED,
            &[0][..],
            Elementwise::Additive,
            "an additive map cannot act on the product of 0 lines, 1 intervals and 0 circles",
        ),
        (TURNS, &[2], Elementwise::Affine, "an affine map cannot act"),
        (LINES, &[1, 2], SPLINE, "a spline map cannot act"),
        (LINES, &[1, 2], BUMP, "a bump map cannot act"),
        (LINES, &[], Elementwise::Affine, "no coordinates"),
        (LINES, &[5], Elementwise::Affine, "[5] are no coordinates"),
    ] {
        let found = refused(space, active, map);
        assert!(found.contains(message), "{found}");
    }
    let order = vec![0, 1, 1, 3, 4];
    let (map, given) = (Elementwise::Affine, Given::Data);
    let found = made(|make| Autoregressive::new(LINES, order, map, given, 0, SIZE, make));
    assert!(
        found
            .unwrap_err()
            .to_string()
            .contains("no order of the coordinates")
    );
    let order = vec![0, 1, 2, 3, 4];
    let found = made(|make| Autoregressive::new(LINES, order, map, given, 0, ATTENTION, make));
    let message = found.unwrap_err().to_string();
    assert!(
        message.contains("attention sees coordinates in no order"),
        "{message}"
    );
}
