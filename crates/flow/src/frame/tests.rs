use approx::assert_relative_eq;
use burn::tensor::{DType, Device};
use rand::RngExt;

use super::*;
use crate::bijection::host;
use crate::prior::{MeanFreeGaussian, Prior};
use crate::random::{Purpose, stream};
use crate::testing::{assert_gradient_is_slope, cloud, largest, turned_by};

fn place(point: usize, references: &[usize], direction: Direction) -> Placed {
    Placed {
        point,
        references: references.to_vec(),
        direction,
    }
}

/// A tree of seven points out of order: a chain that goes straight on once, a branch, and a point with references that are no neighbours.
fn tree() -> Frame {
    use Direction::{Polar, Straight};
    Frame::new(vec![
        place(3, &[], Polar),
        place(1, &[3], Polar),
        place(0, &[1, 3], Polar),
        place(6, &[3, 1, 0], Polar),
        place(2, &[0, 1, 3], Straight),
        place(5, &[2, 1, 6], Polar),
        place(4, &[3, 1, 6], Polar),
    ])
    .unwrap()
}

/// The first points of a tree whose third is bound to the first.
fn small(points: usize) -> Frame {
    let places = [
        place(0, &[], Direction::Polar),
        place(1, &[0], Direction::Polar),
        place(2, &[0, 1], Direction::Polar),
        place(3, &[0, 1, 2], Direction::Polar),
    ];
    Frame::new(places[..points].to_vec()).unwrap()
}

fn frames() -> Vec<Frame> {
    vec![small(2), small(3), small(4), tree()]
}

/// Internal coordinates as molecules have them: lengths around 1.2, angles around 1.9, any dihedral, bends up to 0.2.
fn internal(frame: &Frame, batch: usize) -> Points {
    let mut random = stream(5, Purpose::Training, 0);
    let mut between = |a: f64, b: f64| random.random_range(a..b);
    let is_straight = |k: usize| frame.places()[k].direction == Direction::Straight;
    let n = frame.points();
    let mut values = Vec::new();
    for _ in 0..batch {
        values.extend((1..n).map(|_| between(0.9, 1.5)));
        values.extend((2..n).map(|k| {
            if is_straight(k) {
                between(-0.2, 0.2)
            } else {
                between(1.6, 2.2)
            }
        }));
        values.extend((3..n).map(|k| {
            if is_straight(k) {
                between(-0.2, 0.2)
            } else {
                between(-3.1, 3.1)
            }
        }));
    }
    cloud(values, frame.internal().points(), 1)
}

#[test]
fn positions_have_the_internal_coordinates_that_they_were_made_of() {
    for frame in frames() {
        let z = internal(&frame, 6);
        let (x, log_det) = frame.forward(&z).unwrap();
        let (back, inverse) = frame.inverse(&x).unwrap();
        assert!(largest(back - z) < 1e-12);
        assert!(largest(log_det + inverse) < 1e-12);
        assert!(largest(x.mean_dim(1)) < 1e-15);
    }
}

#[test]
fn the_log_determinant_is_that_of_shape_and_orientation_together() {
    // With a turn by the small vector ω beside the internal coordinates the map to the mean-free space is square; turns have the volume 8π²,
    // or 4π across the line of two points.
    for frame in frames() {
        let z = internal(&frame, 3);
        let (x, log_det) = frame.forward(&z).unwrap();
        let space = frame.positions();
        let count = frame.internal().points();
        let size = space.coordinates();
        let step = 1e-5;
        let moved = |coordinate: usize, by: f64| {
            let mut values = host(z.clone());
            values
                .iter_mut()
                .skip(coordinate)
                .step_by(count)
                .for_each(|value| *value += by);
            host(frame.forward(&cloud(values, count, 1)).unwrap().0)
        };
        for sample in 0..3 {
            let mine = sample * size..(sample + 1) * size;
            let mut columns: Vec<Vec<f64>> = (0..count)
                .map(|coordinate| {
                    let [a, b] = [step, -step].map(|by| moved(coordinate, by));
                    let slope = a[mine.clone()].iter().zip(&b[mine.clone()]);
                    slope.map(|(a, b)| (a - b) / (2.0 * step)).collect()
                })
                .collect();
            let here = host(x.clone())[mine].to_vec();
            let turn = |axis: usize| {
                let (j, k) = ((axis + 1) % 3, (axis + 2) % 3);
                let mut column = vec![0.0; size];
                for point in 0..frame.points() {
                    column[3 * point + j] = -here[3 * point + k];
                    column[3 * point + k] = here[3 * point + j];
                }
                column
            };
            // Two points lie along z, so that turns about it move nothing.
            let turns = if frame.points() > 2 { 3 } else { 2 };
            columns.extend((0..turns).map(turn));
            let volume: f64 = if frame.points() > 2 {
                8.0 * PI * PI
            } else {
                4.0 * PI
            };
            let columns: Vec<Vec<f64>> = columns.iter().map(|c| space.project(c)).collect();
            let found = volume.ln() + crate::testing::log_abs_det(columns);
            let claimed = host(log_det.clone())[sample];
            assert!(
                (found - claimed).abs() < 1e-7,
                "{found} is claimed to be {claimed}"
            );
        }
    }
}

#[test]
fn gradients_are_slopes() {
    for frame in frames() {
        let z = internal(&frame, 2);
        let size = frame.positions().coordinates();
        let weights: Vec<f64> = (0..size).map(|k| (k as f64 * 0.7).sin()).collect();
        let value = |z: Points| {
            let (x, log_det) = frame.forward(&z).unwrap();
            let batch = x.dims()[0];
            let weights = cloud(weights.clone(), frame.points(), 3);
            let total = (x * weights).reshape([batch as i32, -1]).sum_dim(1);
            total.reshape([batch]) + log_det
        };
        assert_gradient_is_slope(value, z, 1e-8);
    }
}

#[test]
fn turning_changes_no_internal_coordinate_and_a_mirror_the_sign_of_dihedrals() {
    let frame = tree();
    let z = internal(&frame, 4);
    let (x, log_det) = frame.forward(&z).unwrap();
    let [distances, angles, dihedrals] = frame.counts();
    for determinant in [1, -1] {
        let (found, inverse) = frame.inverse(&turned_by(&x, determinant)).unwrap();
        assert!(largest(inverse + log_det.clone()) < 1e-12);
        let part = |z: &Points, from, count| z.clone().narrow(1, from, count);
        let same = part(&found, 0, distances + angles) - part(&z, 0, distances + angles);
        assert!(largest(same) < 1e-12);
        let [found, expected] = [&found, &z].map(|z| part(z, distances + angles, dihedrals));
        let off = found - expected * f64::from(determinant);
        assert!(largest(off) < 1e-12);
    }
}

#[test]
fn a_density_of_positions_is_one_of_internal_coordinates() {
    // The standard normal of three mean-free points, as a density of two lengths and an angle: it integrates to one.
    let frame = small(3);
    let cells = 48;
    let side = |k: usize, to: f64| (k as f64 + 0.5) * to / cells as f64;
    let (longest, count) = (7.0, cells * cells * cells);
    let z: Vec<f64> = (0..count)
        .flat_map(|n| {
            let [i, j, k] = [n % cells, n / cells % cells, n / cells / cells];
            [side(i, longest), side(j, longest), side(k, PI)]
        })
        .collect();
    let (x, log_det) = frame.forward(&cloud(z, 3, 1)).unwrap();
    let normal = x
        .square()
        .reshape([count as i32, -1])
        .sum_dim(1)
        .reshape([count as i32]);
    let log_density = normal * -0.5 - 3.0 * (2.0 * PI).ln() + log_det;
    let cell = longest * longest * PI / count as f64;
    let total: f64 = host(log_density).into_iter().map(f64::exp).sum::<f64>() * cell;
    assert_relative_eq!(total, 1.0, epsilon = 1e-3);
}

/// `log q` of `r₁`, `r₂` and the angle between them where three mean-free points are standard normal: `a = x₁ − x₀` and `b = x₂ − x₀` have the
/// variance 2 and the covariance 1 an axis, and `8π² r₁² r₂² sin θ` is the volume of all turns of them.
fn log_density_of_three(internal: &[f64]) -> f64 {
    let [a, b, angle] = [0, 1, 2].map(|k| internal[k]);
    let exponent = (a * a + b * b - a * b * angle.cos()) / 3.0;
    let log_normalizer = 3.0 * (2.0 * PI).ln() + 1.5 * 3_f64.ln();
    (8.0 * PI * PI * (a * b).powi(2) * angle.sin()).ln() - exponent - log_normalizer
}

/// `log q` of offsets of as many auxiliary points from the centroid of the others, where all together are standard normal and mean-free: both
/// centroids vary, so that along the offsets' mean the variance is 2.
fn log_density_of_offsets(offsets: &[f64]) -> f64 {
    let count = offsets.len() / 3;
    let squares = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
    let along = [0, 1, 2].map(|axis| {
        let total: f64 = offsets.iter().skip(axis).step_by(3).sum();
        total / (count as f64).sqrt()
    });
    let exponent = 0.5 * (squares(offsets) - squares(&along)) + 0.25 * squares(&along);
    -exponent - 0.5 * offsets.len() as f64 * (2.0 * PI).ln() - 1.5 * 2_f64.ln()
}

#[test]
fn a_normal_density_is_the_same_in_internal_coordinates_as_positions_and_with_auxiliary_points() {
    let (frame, count) = (small(3), 3);
    let [positions, whole] = [count, 2 * count].map(|points| MeanFreeGaussian { points, dims: 3 });
    for number in 0..8 {
        let cloud_of_all = whole.draw(1, number);
        let (x, auxiliary) = cloud_of_all.split_at(3 * count);
        let centroid = [0, 1, 2].map(|axis| x.iter().skip(axis).step_by(3).sum::<f64>() / 3.0);
        let from_centroid = |x: &[f64]| -> Vec<f64> {
            let parts = x.iter().enumerate();
            parts.map(|(k, x)| x - centroid[k % 3]).collect()
        };
        let (x, offsets) = (from_centroid(x), from_centroid(auxiliary));

        let (internal, log_det) = frame.inverse(&cloud(x.clone(), count, 3)).unwrap();
        let log_positions = log_density_of_three(&host(internal)) + host(log_det)[0];
        assert_relative_eq!(log_positions, positions.log_density_of(&x), epsilon = 1e-12);
        // Read as positions and offsets, the joint density is less by (D/2) ln 2.
        let log_joint = log_positions + log_density_of_offsets(&offsets);
        let expected = whole.log_density_of(&cloud_of_all) - 1.5 * 2_f64.ln();
        assert_relative_eq!(log_joint, expected, epsilon = 1e-12);
    }
}

#[test]
fn it_is_read_back_as_written_and_checked_again() {
    let frame = tree();
    let text = serde_json::to_string(&frame).unwrap();
    assert_eq!(serde_json::from_str::<Frame>(&text).unwrap(), frame);
    let broken = text.replacen("[3,1,0]", "[3,1,5]", 1);
    let refused = serde_json::from_str::<Frame>(&broken)
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("place 3 has the references [3, 1, 5]"),
        "{refused}"
    );
}

#[test]
fn places_that_place_nothing_are_refused() {
    use Direction::{Polar, Straight};
    let refused = |places: Vec<Placed>| Frame::new(places).unwrap_err().to_string();
    assert!(refused(vec![place(0, &[], Polar)]).contains("1 points have no internal coordinates"));
    let start = || vec![place(0, &[], Polar), place(1, &[0], Polar)];
    for (next, message) in [
        (place(2, &[0, 0], Polar), "references [0, 0]"),
        (place(2, &[0], Polar), "references [0]"),
        (place(2, &[0, 7], Polar), "references [0, 7]"),
        (place(1, &[0, 1], Polar), "point 1, which is placed already"),
        (place(9, &[0, 1], Polar), "none of 3"),
        (place(2, &[0, 1], Straight), "placed by angles"),
    ] {
        let mut places = start();
        places.push(next);
        let found = refused(places);
        assert!(found.contains(message), "{found}");
    }
}

#[test]
fn a_batch_of_another_shape_is_refused() {
    let frame = tree();
    let zeros = |points, dims| Tensor::zeros([1, points, dims], (&Device::flex(), DType::F64));
    assert!(matches!(
        frame.forward(&zeros(14, 1)),
        Err(FlowError::Shape { points: 14, .. })
    ));
    assert!(matches!(
        frame.inverse(&zeros(6, 3)),
        Err(FlowError::Shape { points: 6, .. })
    ));
}
