use super::*;
use crate::bijection::host;
use crate::divergence::tensor;
use crate::frame::Placed;
use crate::testing::{assert_gradient_is_slope, cloud, largest, log_abs_det};

/// Three points in a row, on either end three that are alike.
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
        place(8, &[2, 1, 6]),
    ])
    .unwrap()
}

const COUNT: usize = 21;
const PLACES: [[usize; 3]; 2] = [[4, 5, 7], [3, 6, 8]];

fn fold() -> Fold {
    let orders = [Order::Rising, Order::Falling];
    let rotors = PLACES.into_iter().zip(orders);
    let rotors = rotors.map(|(places, order)| Rotor { places, order });
    Fold::new(&frame(), rotors.collect()).unwrap()
}

/// The frame's coordinates of clouds that are far from symmetric.
fn internal(batch: usize) -> Vec<f64> {
    let mut random = stream(5, Purpose::Training, 0);
    let mut values = Vec::new();
    for _ in 0..batch {
        values.extend((0..8).map(|_| random.random_range(0.9..1.5)));
        values.extend((0..7).map(|_| random.random_range(1.6..2.2)));
        // Dihedrals of places 3 to 8: two go round, and from each two others are measured.
        for center in [None, None, Some(2.1), Some(-2.1), Some(-2.1), Some(2.1)] {
            let (center, width) = center.map_or((0.0, 3.1), |center| (center, 0.5));
            values.push(center + random.random_range(-width..width));
        }
    }
    values
}

fn folded(batch: usize) -> Points {
    let mut values = internal(batch);
    fold().inverse(&mut values, COUNT);
    cloud(values, COUNT, 1)
}

#[test]
fn all_labellings_have_the_same_folded_coordinates_and_these_give_one_of_them_back() {
    let fold = fold();
    assert_eq!(Rotor::labellings(fold.rotors()), 9.0);
    let all = internal(40);
    let mut folded = all.clone();
    let log_det = fold.inverse(&mut folded, COUNT);
    let off = |found: Vec<f64>| {
        let off = cloud(found, COUNT, 1) - cloud(folded.clone(), COUNT, 1);
        // χ is on a circle.
        host(off)
            .into_iter()
            .map(|off| principal_angle(off).abs())
            .fold(0.0, f64::max)
    };
    for seed in 0..10 {
        let mut other = all.clone();
        fold.shuffle(&mut other, COUNT, &Samples::consecutive(seed, 0..40));
        assert_ne!(other, all);
        assert_eq!(fold.inverse(&mut other, COUNT), log_det);
        assert!(off(other) < 1e-13);
    }
    let (again, change) = fold.forward(&cloud(folded.clone(), COUNT, 1));
    let mut again = host(again);
    fold.inverse(&mut again, COUNT);
    assert!(off(again) < 1e-13);
    for (there, back) in host(change).iter().zip(log_det) {
        assert!((there + back).abs() < 1e-14);
    }
}

#[test]
fn labellings_are_of_one_cloud_and_equally_likely() {
    let (frame, fold, count) = (frame(), fold(), 1800);
    let one = internal(1);
    let mut all = one.repeat(count);
    fold.shuffle(&mut all, COUNT, &Samples::consecutive(3, 0..count as u64));
    let points = |internal: &[f64]| {
        let (x, _) = frame.forward(&cloud(internal.to_vec(), COUNT, 1)).unwrap();
        host(x)
    };
    // Squared distances between the two groups in any order, and of the first of either from the end beyond.
    let distances = |x: &[f64]| {
        let squared = |a: usize, b: usize| -> f64 {
            (0..3).map(|k| (x[3 * a + k] - x[3 * b + k]).powi(2)).sum()
        };
        let mut between: Vec<f64> = (3..6)
            .flat_map(|a| (6..9).map(move |b| squared(a, b)))
            .collect();
        between.sort_by(f64::total_cmp);
        (between, [squared(3, 2), squared(6, 0)])
    };
    let (expected, _) = distances(&points(&one));
    let mut labellings: Vec<([f64; 2], usize)> = Vec::new();
    for x in points(&all).chunks(27) {
        let (between, found) = distances(x);
        let off = expected.iter().zip(&between).map(|(a, b)| (a - b).abs());
        assert!(off.fold(0.0, f64::max) < 1e-12);
        let is_same = |(old, _): &&mut ([f64; 2], usize)| {
            (old[0] - found[0]).abs() + (old[1] - found[1]).abs() < 1e-9
        };
        match labellings.iter_mut().find(is_same) {
            Some((_, times)) => *times += 1,
            None => labellings.push((found, 1)),
        }
    }
    assert_eq!(labellings.len(), 9, "{labellings:?}");
    // Of 1800 a ninth, within four standard errors.
    for (_, times) in &labellings {
        assert!(times.abs_diff(200) < 54, "{labellings:?}");
    }
}

#[test]
fn the_log_determinant_is_that_of_the_jacobian_and_of_the_share_of_a_labelling() {
    let (fold, folded) = (fold(), folded(4));
    let step = 1e-6;
    let moved = |coordinate: usize, by: f64| {
        let mut values = host(folded.clone());
        let same = values.iter_mut().skip(coordinate).step_by(COUNT);
        same.for_each(|value| *value += by);
        host(fold.forward(&cloud(values, COUNT, 1)).0)
    };
    let claimed = host(fold.forward(&folded).1);
    for sample in 0..4 {
        let mine = sample * COUNT..(sample + 1) * COUNT;
        let column = |coordinate: usize| -> Vec<f64> {
            let [a, b] = [step, -step].map(|by| moved(coordinate, by));
            let slope = a[mine.clone()].iter().zip(&b[mine.clone()]);
            slope.map(|(a, b)| (a - b) / (2.0 * step)).collect()
        };
        let jacobian = log_abs_det((0..COUNT).map(column).collect());
        // A labelling has one part in nine of the density.
        let found = jacobian + Rotor::labellings(fold.rotors()).ln();
        assert!((found - claimed[sample]).abs() < 1e-8, "{found}");
    }
}

#[test]
fn clouds_are_continuous_where_a_turn_starts_anew() {
    // One of the labellings of either side is near to the other's.
    let (frame, fold) = (frame(), fold());
    let chi = fold.columns[0].dihedrals[0];
    let [below, above] = [PI - 1e-9, PI + 1e-9].map(|value| {
        let mut x = host(folded(1));
        x[chi] = value;
        host(fold.forward(&cloud(x, COUNT, 1)).0)
    });
    let points = |internal: &[f64]| {
        let (x, _) = frame.forward(&cloud(internal.to_vec(), COUNT, 1)).unwrap();
        let (internal, _) = frame.inverse(&x).unwrap();
        host(internal)
    };
    let off = (0..N).map(|by| {
        let mut turned = above.clone();
        fold.columns[0].turn(&mut turned, by);
        let pairs = points(&turned).into_iter().zip(points(&below));
        pairs
            .map(|(a, b)| principal_angle(a - b).abs())
            .fold(0.0, f64::max)
    });
    let off: Vec<f64> = off.collect();
    assert!(off[0] > 0.1, "{off:?}");
    assert!(off.iter().any(|off| *off < 1e-8), "{off:?}");
}

#[test]
fn the_other_order_has_no_density_and_what_has_lost_its_order_is_no_number() {
    let (frame, fold) = (frame(), fold());
    let all = internal(5);
    for places in PLACES {
        let found = Fold::order(&frame, places, &all).unwrap();
        assert_eq!(found == Some(Order::Rising), places == PLACES[0]);
    }
    let mut swapped = all.clone();
    let [_, second, third] = fold.columns[0].dihedrals;
    swapped.swap(COUNT + second, COUNT + third);
    assert_eq!(Fold::order(&frame, PLACES[0], &swapped).unwrap(), None);
    let log_det = fold.inverse(&mut swapped, COUNT);
    let is_out: Vec<bool> = log_det
        .iter()
        .map(|log_det| *log_det == f64::NEG_INFINITY)
        .collect();
    assert_eq!(is_out, [false, true, false, false, false]);

    let mut folded = host(folded(2));
    folded[COUNT + second] = 4.0;
    let log_det = host(fold.forward(&cloud(folded, COUNT, 1)).1);
    assert!(log_det[0].is_finite() && log_det[1].is_nan(), "{log_det:?}");
}

#[test]
fn gradients_are_slopes() {
    let fold = fold();
    let slopes: Vec<f64> = (0..COUNT).map(|k| (k as f64).sin()).collect();
    let f = |x: Points| {
        let [batch, ..] = x.dims();
        let (device, dtype) = (x.device(), x.dtype());
        let slopes: Tensor<3> = tensor(slopes.clone(), [1, COUNT, 1], &device, dtype);
        let (internal, log_det) = fold.forward(&x);
        (internal.sin() * slopes).sum_dim(1).reshape([batch]) + log_det
    };
    assert!(largest(folded(3)) < 4.0);
    assert_gradient_is_slope(f, folded(3), 1e-9);
}

#[test]
fn places_that_do_not_turn_together_are_refused() {
    let rotor = |places: [usize; 3]| Rotor {
        places,
        order: Order::Rising,
    };
    for places in [
        [4, 5, 9],
        [4, 5, 6],
        [5, 4, 7],
        [2, 4, 5],
        [4, 5, 5],
        [0, 1, 2],
    ] {
        assert!(
            Fold::new(&frame(), vec![rotor(places)]).is_err(),
            "{places:?}"
        );
    }
    assert!(Fold::new(&frame(), vec![rotor([4, 5, 7]), rotor([4, 7, 5])]).is_err());
    assert!(Fold::new(&frame(), Vec::new()).unwrap().rotors().is_empty());
}
