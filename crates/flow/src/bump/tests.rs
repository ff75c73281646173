use burn::tensor::{DType, Device};
use rand::RngExt;
use rand_distr::StandardNormal;

use super::*;
use crate::bijection::host;
use crate::elementwise::tests::{assert_alike, found, value};
use crate::random::{Purpose, stream};
use crate::testing::{assert_gradient_is_slope, largest};

const RAMPS: [usize; 3] = [1, 2, 8];

fn f64s<const D: usize>(values: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
    tensor(values, shape, &Device::flex(), DType::F64)
}

/// Two intervals and two circles of each of 20 samples.
fn bumps(ramps: usize) -> Bumps {
    Bumps {
        ramps,
        intervals: 2,
    }
}

fn numbers(bumps: Bumps, width: f64) -> Tensor<3> {
    let count = bumps.parameters();
    let random = stream(8, Purpose::Training, 1).sample_iter(StandardNormal);
    let random = random.map(|x: f64| width * x);
    f64s(random.take(80 * count).collect(), [20, 4, count])
}

/// Places all over 0…1, some at its ends.
fn places() -> Tensor<2> {
    let mut random = stream(9, Purpose::Training, 2);
    let values = (0..80).map(|k| match k % 7 {
        0 => 0.0,
        1 => 1.0 - 1e-9,
        _ => random.random::<f64>(),
    });
    f64s(values.collect(), [20, 4])
}

#[test]
fn zeros_make_the_identity() {
    for ramps in RAMPS {
        let bumps = bumps(ramps);
        let (y, log_slope) = map(bumps, Way::Forward, places(), &numbers(bumps, 0.0));
        assert!(largest(y - places()) < 1e-15);
        assert!(largest(log_slope) < 1e-15);
    }
}

#[test]
fn the_inverse_goes_back_to_machine_precision() {
    for (ramps, width) in RAMPS
        .into_iter()
        .flat_map(|ramps| [0.1, 1.0, 5.0].map(|width| (ramps, width)))
    {
        let bumps = bumps(ramps);
        let numbers = numbers(bumps, width);
        let (y, log_slope) = map(bumps, Way::Forward, places(), &numbers);
        let (x, inverse) = map(bumps, Way::Inverse, y.clone(), &numbers);
        let apart = host(x.clone() - places());
        let (again, _) = map(bumps, Way::Forward, x, &numbers);
        let off = host(again - y).into_iter().map(|off| off - off.round());
        assert!(off.into_iter().all(|off| off.abs() < 1e-14));
        // Rounding is divided by the slope.
        let least = host(log_slope.clone()).into_iter().map(f64::exp);
        for (apart, slope) in apart.into_iter().zip(least) {
            let apart = (apart - apart.round()).abs();
            assert!(apart < 1e-13 / slope.min(1.0), "{apart:e} at slope {slope}");
        }
        assert!(largest(log_slope + inverse) < 1e-8);
    }
}

#[test]
fn single_precision_goes_back_too() {
    let bumps = bumps(8);
    let numbers = numbers(bumps, 1.0).cast(DType::F32);
    let y = places().cast(DType::F32);
    let (x, _) = map(bumps, Way::Inverse, y.clone(), &numbers);
    let (again, _) = map(bumps, Way::Forward, x, &numbers);
    let off = host(again - y).into_iter().map(|off| off - off.round());
    assert!(off.into_iter().all(|off| off.abs() < 1e-5));
}

#[test]
fn slopes_stay_above_the_least() {
    for ramps in RAMPS {
        let bumps = bumps(ramps);
        let raw = numbers(bumps, 5.0);
        let deep = raw.clone() * 0.0 - 100.0;
        for numbers in [raw, deep] {
            let made = bumps.ramps(&numbers);
            for k in 0..=200 {
                let x = f64s(vec![f64::from(k) / 200.0; 80], [20, 4]);
                let slopes = host(made.rise(x).1);
                assert!(slopes.into_iter().all(|slope| slope > 0.999 * LEAST));
            }
        }
    }
}

#[test]
fn circles_are_as_smooth_across_the_cut_as_elsewhere() {
    let step = 2.5e-4;
    for (ramps, place) in RAMPS
        .into_iter()
        .flat_map(|ramps| [0.0, 0.5, 1.0].map(|place| (ramps, place)))
    {
        let bumps = bumps(ramps);
        let numbers = numbers(bumps, 0.3);
        let at = |k: f64| {
            let x = f64s(vec![place + step * k; 80], [20, 4]);
            let x = x.clone() - x.floor();
            map(bumps, Way::Forward, x, &numbers).1.narrow(1, 2, 2)
        };
        // What neighbours say by a polynomial of fifth order: a jump of the derivative of order n would be off by the step to the n.
        let around =
            [(1.0, 0.75), (2.0, -0.3), (3.0, 0.05)].map(|(k, weight)| (at(k) + at(-k)) * weight);
        let said = around.into_iter().reduce(|a, b| a + b).unwrap();
        let off = largest(said - at(0.0));
        assert!(off < 1e-10, "{ramps} ramps at {place}: off by {off:e}");
    }
}

#[test]
fn gradients_in_places_and_in_numbers_are_slopes() {
    // On narrow ramps differences are off by high derivatives.
    for (ramps, way) in [1, 2]
        .into_iter()
        .flat_map(|ramps| [Way::Forward, Way::Inverse].map(|way| (ramps, way)))
    {
        let bumps = bumps(ramps);
        let (raw, count) = (numbers(bumps, 0.5), bumps.parameters());
        let value = |x: Tensor<2>, raw: Tensor<3>| value(map(bumps, way, x, &raw));
        let places = places().clamp(0.02, 0.98);
        let of_x = |x: Tensor<3>| value(x.reshape([20, 4]), raw.clone());
        assert_gradient_is_slope(of_x, places.clone().reshape([20, 4, 1]), 1e-5);
        let of_numbers = |raw: Tensor<3>| value(places.clone(), raw.reshape([20, 4, count]));
        assert_gradient_is_slope(of_numbers, raw.clone(), 1e-5);
    }
}

/// Of which ramps do not fill the lanes, of which they do, and of which there are more.
fn mixed() -> impl Iterator<Item = (Bumps, Way, Tensor<2>, Tensor<3>)> {
    [1, 3, 8, 11].into_iter().flat_map(|ramps| {
        [Way::Forward, Way::Inverse].map(|way| {
            let bumps = bumps(ramps);
            (bumps, way, places(), numbers(bumps, 0.7))
        })
    })
}

#[test]
fn the_loop_gives_what_the_composition_gives_and_its_gradients() {
    for (bumps, way, x, raw) in mixed() {
        let ours = found(|x, raw| map(bumps, way, x, &raw), &x, &raw);
        let theirs = found(|x, raw| composed(bumps, way, x, &raw), &x, &raw);
        // The ways to solve for an inverse differ by rounding over the slope.
        assert_alike(&ours, &theirs, 1e-7);
    }
}

#[test]
fn numbers_in_single_precision_make_the_same_map_in_double_both_ways() {
    for (bumps, _, x, raw) in mixed() {
        let raw = raw.cast(DType::F32);
        let (y, log_slope) = map(bumps, Way::Forward, x.clone(), &raw);
        let (back, inverse) = map(bumps, Way::Inverse, y.clone(), &raw);
        let apart = host(back - x.clone()).into_iter();
        assert!(apart.into_iter().all(|x| (x - x.round()).abs() < 1e-11));
        assert!(largest(log_slope + inverse) < 1e-9);
        let (close, _) = map(bumps, Way::Forward, x, &raw.cast(DType::F64));
        let apart = host(close - y).into_iter();
        assert!(apart.into_iter().all(|y| (y - y.round()).abs() < 1e-5));
    }
    for (bumps, way, x, raw) in mixed() {
        let double = found(|x, raw| map(bumps, way, x, &raw), &x, &raw);
        let some = found(|x, raw| map(bumps, way, x, &raw), &x, &raw.cast(DType::F32));
        assert_alike(&some, &double, 1e-3);
    }
}
