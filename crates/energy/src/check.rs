//! Laws that every energy obeys, for the tests.

use approx::assert_relative_eq;

use crate::Energy;
use crate::random::Stream;

/// A Gaussian cloud of points.
pub(crate) fn cloud(points: usize, dims: usize, scale: f64, seed: u64) -> Vec<f64> {
    let mut stream = Stream::new(seed, 99);
    (0..points * dims)
        .map(|_| scale * stream.normal())
        .collect()
}

/// Asserts that the gradient at `x` is the slope of the energy, by central differences of step `h`.
pub(crate) fn assert_gradient_is_slope(energy: &dyn Energy, x: &[f64], h: f64) {
    let mut evaluator = energy.evaluator().unwrap();
    let (mut gradient, mut scratch) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    evaluator.evaluate(x, &mut gradient).unwrap();
    let scale = gradient.iter().fold(1.0_f64, |scale, g| scale.max(g.abs()));
    for k in 0..x.len() {
        let mut at = |offset: f64| {
            let mut moved = x.to_vec();
            moved[k] += offset;
            evaluator.evaluate(&moved, &mut scratch).unwrap()
        };
        let slope = (at(h) - at(-h)) / (2.0 * h);
        assert_relative_eq!(slope, gradient[k], epsilon = 1e-6 * scale);
    }
}
