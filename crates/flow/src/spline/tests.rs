use burn::tensor::{DType, Device};
use rand::RngExt;
use rand_distr::StandardNormal;

use super::*;
use crate::bijection::host;
use crate::elementwise::tests::{assert_alike, found, value};
use crate::random::{Purpose, stream};
use crate::testing::{assert_gradient_is_slope, largest};

const DOMAINS: [Domain; 2] = [Domain::Interval, Domain::Circle];

fn tensor<const D: usize>(values: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
    crate::divergence::tensor(values, shape, &Device::flex(), DType::F64)
}

/// Splines of this many coordinates with numbers of the given width.
fn numbers(spline: Spline, batch: usize, coordinates: usize, width: f64) -> Tensor<3> {
    let count = spline.parameters();
    let random = stream(8, Purpose::Training, 1).sample_iter(StandardNormal);
    let random = random.map(|x: f64| width * x);
    let values = random.take(batch * coordinates * count).collect();
    tensor(values, [batch, coordinates, count])
}

/// Places all over 0…1, some next to its ends.
fn places(batch: usize, coordinates: usize) -> Tensor<2> {
    let mut random = stream(9, Purpose::Training, 2);
    let values = (0..batch * coordinates).map(|k| match k % 7 {
        0 => 1e-6,
        1 => 1.0 - 1e-6,
        _ => random.random::<f64>(),
    });
    tensor(values.collect(), [batch, coordinates])
}

fn splines() -> impl Iterator<Item = Spline> {
    [1, 2, 8]
        .into_iter()
        .flat_map(|bins| DOMAINS.map(|domain| Spline { bins, domain }))
}

#[test]
fn zeros_make_the_identity() {
    for spline in splines() {
        let knots = spline.knots(&numbers(spline, 5, 4, 0.0));
        let x = places(5, 4);
        let (y, log_slope) = knots.forward(x.clone());
        assert!(largest(y - x) < 1e-14);
        assert!(largest(log_slope) < 1e-13);
    }
}

#[test]
fn a_spline_goes_through_the_knots_it_was_asked_for() {
    let (widths, heights) = ([0.3, 0.1, 0.05, 0.55], [0.2, 0.4, 0.3, 0.1]);
    let ends = |sizes: &[f64]| -> Vec<f64> {
        let sums = sizes.iter().scan(0.0, |sum, size| {
            *sum += size;
            Some(*sum)
        });
        sums.take(3).collect()
    };
    let bins = 4;
    for domain in DOMAINS {
        let spline = Spline { bins, domain };
        let numbers = spline.through(&widths, &heights);
        let knots = spline.knots(&tensor(numbers, [1, 1, spline.parameters()]));
        for (k, (x, y)) in ends(&widths).into_iter().zip(ends(&heights)).enumerate() {
            let (found, log_slope) = knots.forward(tensor(vec![x], [1, 1]));
            assert!((host(found)[0] - y).abs() < 1e-12, "{domain:?}");
            let squared = heights[k] / widths[k] * heights[k + 1] / widths[k + 1];
            let expected = 0.5 * squared.ln();
            assert!((host(log_slope)[0] - expected).abs() < 1e-9, "{domain:?}");
        }
        // Bins of no width have some.
        let numbers = spline.through(&[0.5, 0.0, 0.0, 0.5], &[0.25; 4]);
        assert!(numbers.iter().all(|number| number.is_finite()));
        let knots = spline.knots(&tensor(numbers, [1, 1, spline.parameters()]));
        assert!(
            host(knots.width)
                .into_iter()
                .all(|width| width > LEAST / 4.0)
        );
    }
}

#[test]
fn the_inverse_goes_back_and_slopes_cancel() {
    for spline in splines() {
        let knots = spline.knots(&numbers(spline, 20, 4, 1.5));
        let x = places(20, 4);
        let (y, log_slope) = knots.forward(x.clone());
        let (back, inverse) = knots.inverse(y);
        assert!(largest(back - x) < 1e-10, "{spline:?}");
        assert!(largest(log_slope + inverse) < 1e-8, "{spline:?}");
    }
}

#[test]
fn the_log_slope_is_the_slope() {
    let step = 1e-6;
    for spline in splines() {
        let knots = spline.knots(&numbers(spline, 20, 4, 1.5));
        let x = places(20, 4).clamp(0.01, 0.99);
        let at = |by: f64| host(knots.forward(x.clone() + by).0);
        let claimed = host(knots.forward(x.clone()).1);
        for ((up, down), claimed) in at(step).into_iter().zip(at(-step)).zip(claimed) {
            // A circle may be cut between the two.
            let rise = (up - down).rem_euclid(1.0);
            let slope = rise / (2.0 * step);
            // The second derivative jumps at knots, so the difference is of first order there.
            let off = (slope.ln() - claimed).abs();
            assert!(
                off < 1e-3,
                "{spline:?}: {} is claimed to be {claimed}",
                slope.ln()
            );
        }
    }
}

#[test]
fn intervals_keep_their_ends_and_circles_are_smooth_across_the_cut() {
    let near = 1e-12;
    let ends = |at: f64| tensor(vec![at; 80], [20, 4]);
    for spline in splines() {
        let knots = spline.knots(&numbers(spline, 20, 4, 1.5));
        let [first, last] = [near, 1.0 - near].map(|at| knots.forward(ends(at)));
        match spline.domain {
            Domain::Interval => {
                assert!(largest(first.0) < 1e-6);
                assert!(largest(last.0 - 1.0) < 1e-6);
            }
            Domain::Circle => {
                let apart = host(first.0 - last.0);
                assert!(apart.into_iter().all(|x| (x - x.round()).abs() < 1e-6));
                assert!(largest(first.1 - last.1) < 1e-5);
            }
        }
    }
}

#[test]
fn gradients_in_places_and_in_numbers_are_slopes() {
    // In narrow bins differences are off by high derivatives.
    for spline in splines().filter(|spline| spline.bins < 8) {
        let (batch, coordinates, count) = (3, 2, spline.parameters());
        let raw = numbers(spline, batch, coordinates, 0.3);
        // A third into some bin: the log-slope has a kink at every knot.
        let knots = spline.knots(&raw);
        let bin = |from: &Tensor<3>, size: &Tensor<3>| {
            let place = from.clone() + size.clone() / 3.0;
            let place = place.narrow(2, spline.bins / 2, 1);
            place.reshape([batch, coordinates])
        };
        let x = bin(&knots.left, &knots.width);
        let y = bin(&knots.bottom, &knots.height);
        let y = match &knots.turn {
            Some(turn) => wrapped(y + turn.clone()),
            None => y,
        };
        for (way, at) in [(Way::Forward, x), (Way::Inverse, y)] {
            let all = all_of(spline, coordinates);
            let at_points = |x: Tensor<3>| {
                let x = x.reshape([batch, coordinates]);
                value(map(all, way, &x, &raw))
            };
            let points = at.clone().reshape([batch, coordinates, 1]);
            assert_gradient_is_slope(at_points, points, 1e-5);
            let of_numbers = |raw: Tensor<3>| {
                let raw = raw.reshape([batch, coordinates, count]);
                value(map(all, way, &at, &raw))
            };
            assert_gradient_is_slope(of_numbers, raw.clone(), 1e-5);
        }
    }
}

/// Splines of coordinates that are all alike.
fn all_of(spline: Spline, coordinates: usize) -> Splines {
    let intervals = match spline.domain {
        Domain::Interval => coordinates,
        Domain::Circle => 0,
    };
    Splines {
        bins: spline.bins,
        intervals,
    }
}

/// Intervals and circles together; 35 coordinates, which leave lanes over.
fn mixed() -> impl Iterator<Item = (Splines, Way, Tensor<2>, Tensor<3>)> {
    let (batch, coordinates) = (7, 5);
    [1, 2, 8].into_iter().flat_map(move |bins| {
        [Way::Forward, Way::Inverse].map(|way| {
            let domain = Domain::Circle;
            let raw = numbers(Spline { bins, domain }, batch, coordinates, 1.0);
            let splines = Splines { bins, intervals: 3 };
            (splines, way, places(batch, coordinates), raw)
        })
    })
}

#[test]
fn the_loop_gives_what_the_composition_gives_and_its_gradients() {
    for (splines, way, x, raw) in mixed() {
        let ours = found(|x, raw| map(splines, way, &x, &raw), &x, &raw);
        let theirs = found(|x, raw| composed(splines, way, &x, &raw), &x, &raw);
        assert_alike(&ours, &theirs, 1e-11);
    }
}

#[test]
fn single_precision_agrees_with_double() {
    for (splines, way, x, raw) in mixed() {
        let double = found(|x, raw| map(splines, way, &x, &raw), &x, &raw);
        let (x, raw) = (x.cast(DType::F32), raw.cast(DType::F32));
        let single = found(|x, raw| map(splines, way, &x, &raw), &x, &raw);
        assert_alike(&single, &double, 2e-3);
    }
}

#[test]
fn numbers_in_single_precision_make_the_same_map_in_double_both_ways() {
    for (splines, _, x, raw) in mixed() {
        let raw = (raw * 3.0).cast(DType::F32);
        let (y, log_slope) = map(splines, Way::Forward, &x, &raw);
        let (back, inverse) = map(splines, Way::Inverse, &y, &raw);
        assert!(largest(back - x.clone()) < 1e-8, "{splines:?}");
        assert!(largest(log_slope + inverse) < 1e-6, "{splines:?}");
        let (close, _) = map(splines, Way::Forward, &x, &raw.cast(DType::F64));
        assert!(largest(close - y) < 1e-4, "{splines:?}");
    }
    for (splines, way, x, raw) in mixed() {
        let double = found(|x, raw| map(splines, way, &x, &raw), &x, &raw);
        let some = found(
            |x, raw| map(splines, way, &x, &raw),
            &x,
            &raw.cast(DType::F32),
        );
        assert_alike(&some, &double, 1e-4);
    }
}

#[test]
fn views_are_mapped_as_what_they_show() {
    let (splines, way, x, raw) = mixed().last().unwrap();
    let (y, log_slope) = map(splines, way, &x, &raw);
    let turned = (x.transpose(), raw.swap_dims(0, 1));
    let turned = (turned.0.clone() + 0.0, turned.1.clone() + 0.0);
    let back = (turned.0.transpose(), turned.1.swap_dims(0, 1));
    let (z, other) = map(splines, way, &back.0, &back.1);
    assert_eq!((host(y), host(log_slope)), (host(z), host(other)));
}
