use super::*;
use crate::bijection::host;
use crate::frame::Placed;
use crate::testing::{assert_gradient_is_slope, cloud, largest, log_abs_det};

/// Three points in a row, on one end three that are alike, on the other two.
fn frame() -> Frame {
    let place = |point: usize, references: &[usize]| Placed {
        point,
        references: references.to_vec(),
        direction: Direction::Polar,
    };
    Frame::new(vec![
        place(0, &[]),
        place(1, &[0]),
        place(2, &[1, 0]),
        place(6, &[2, 1, 0]),
        place(3, &[0, 1, 2]),
        place(4, &[0, 1, 3]),
        place(7, &[2, 1, 6]),
        place(5, &[0, 1, 3]),
    ])
    .unwrap()
}

const COUNT: usize = 18;

fn rotor(places: &[usize], middle: f64) -> Rotor {
    Rotor {
        places: places.to_vec(),
        middle,
    }
}

fn fold() -> Fold {
    let rotors = vec![rotor(&[4, 5, 7], 0.4), rotor(&[3, 6], -2.0)];
    Fold::new(&frame(), rotors).unwrap()
}

/// Folded coordinates of clouds that are far from symmetric; the three go round one way, but for every other sample.
fn folded(batch: usize) -> Points {
    let mut random = stream(5, Purpose::Training, 0);
    let mut values = Vec::new();
    for sample in 0..batch {
        let way = if sample % 2 == 0 { 1.0 } else { -1.0 };
        values.extend((0..7).map(|_| random.random_range(0.9..1.5)));
        values.extend((0..6).map(|_| random.random_range(1.6..2.2)));
        for center in [0.0, 0.0, 2.1 * way, 2.5, -2.1 * way] {
            let width = if center == 0.0 { 3.1 } else { 0.5 };
            values.push(center + random.random_range(-width..width));
        }
    }
    cloud(values, COUNT, 1)
}

#[test]
fn all_labellings_have_the_folded_coordinates_that_they_were_made_of() {
    let (fold, folded) = (fold(), folded(40));
    assert_eq!(fold.labellings(), 6.0);
    let first = host(fold.forward(&folded));
    let mut found = first.clone();
    fold.inverse(&mut found, COUNT);
    let off = |found: Vec<f64>| largest(cloud(found, COUNT, 1) - folded.clone());
    assert!(off(found) < 1e-13);
    for seed in 0..10 {
        let mut other = first.clone();
        fold.shuffle(&mut other, COUNT, &Samples::consecutive(seed, 0..40));
        assert_ne!(other, first);
        fold.inverse(&mut other, COUNT);
        assert!(off(other) < 1e-13);
    }
}

#[test]
fn labellings_are_of_one_cloud_and_equally_likely() {
    let (frame, fold, count) = (frame(), fold(), 1200);
    let one = host(fold.forward(&folded(1)));
    let mut all = one.repeat(count);
    fold.shuffle(&mut all, COUNT, &Samples::consecutive(3, 0..count as u64));
    let points = |internal: &[f64]| {
        let (x, _) = frame.forward(&cloud(internal.to_vec(), COUNT, 1)).unwrap();
        host(x)
    };
    // Squared distances between three and two, between the ends, and of either from the end beyond.
    let distances = |x: &[f64]| {
        let squared = |a: usize, b: usize| -> f64 {
            (0..3).map(|k| (x[3 * a + k] - x[3 * b + k]).powi(2)).sum()
        };
        let mut between: Vec<f64> = (3..6)
            .flat_map(|a| (6..8).map(move |b| squared(a, b)))
            .collect();
        between.sort_by(f64::total_cmp);
        (between, squared(3, 2), squared(6, 0))
    };
    let (expected, ..) = distances(&points(&one));
    let mut labellings: Vec<([f64; 2], usize)> = Vec::new();
    for x in points(&all).chunks(24) {
        let (between, three, two) = distances(x);
        let off = expected.iter().zip(&between).map(|(a, b)| (a - b).abs());
        assert!(off.fold(0.0, f64::max) < 1e-12);
        let is_same = |(old, _): &&mut ([f64; 2], usize)| {
            (old[0] - three).abs() + (old[1] - two).abs() < 1e-9
        };
        match labellings.iter_mut().find(is_same) {
            Some((_, times)) => *times += 1,
            None => labellings.push(([three, two], 1)),
        }
    }
    assert_eq!(labellings.len(), 6, "{labellings:?}");
    // Of 1200 a sixth, within four standard errors.
    for (_, times) in &labellings {
        assert!(times.abs_diff(200) < 52, "{labellings:?}");
    }
}

#[test]
fn the_share_of_a_labelling_makes_up_for_the_length_of_its_arc() {
    let (fold, folded) = (fold(), folded(4));
    let step = 1e-6;
    let moved = |coordinate: usize, by: f64| {
        let mut values = host(folded.clone());
        let same = values.iter_mut().skip(coordinate).step_by(COUNT);
        same.for_each(|value| *value += by);
        host(fold.forward(&cloud(values, COUNT, 1)))
    };
    for sample in 0..4 {
        let mine = sample * COUNT..(sample + 1) * COUNT;
        let column = |coordinate: usize| -> Vec<f64> {
            let [a, b] = [step, -step].map(|by| moved(coordinate, by));
            let slope = a[mine.clone()].iter().zip(&b[mine.clone()]);
            slope.map(|(a, b)| (a - b) / (2.0 * step)).collect()
        };
        let found = log_abs_det((0..COUNT).map(column).collect());
        let expected = -fold.labellings().ln();
        assert!((found - expected).abs() < 1e-8, "{found}, not {expected}");
    }
}

#[test]
fn gradients_are_slopes() {
    let fold = fold();
    let slopes: Vec<f64> = (0..COUNT).map(|k| (k as f64).sin()).collect();
    let f = |x: Points| {
        let [batch, ..] = x.dims();
        let (device, dtype) = (x.device(), x.dtype());
        let slopes: Tensor<3> = tensor(slopes.clone(), [1, COUNT, 1], &device, dtype);
        (fold.forward(&x).sin() * slopes)
            .sum_dim(1)
            .reshape([batch])
    };
    assert_gradient_is_slope(f, folded(3), 1e-9);
}

#[test]
fn places_that_do_not_turn_together_are_refused() {
    for places in [
        vec![4],
        vec![4, 5, 8],
        vec![4, 6],
        vec![5, 4, 7],
        vec![2, 5],
        vec![4, 5, 5],
    ] {
        assert!(Fold::new(&frame(), vec![rotor(&places, 0.0)]).is_err());
    }
    let twice = vec![rotor(&[4, 5], 0.0), rotor(&[4, 7], 0.0)];
    assert!(Fold::new(&frame(), twice).is_err());
    assert!(Fold::new(&frame(), vec![rotor(&[4, 5], f64::NAN)]).is_err());
}
