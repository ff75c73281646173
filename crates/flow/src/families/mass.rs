//! The densities of all families integrate to one.

use super::*;
use crate::testing::integral;

/// Lines from minus this to this hold all but 1e-6 of each density.
const HALF_WIDTH: f64 = 32.0;
const CELLS: usize = 400;
/// Of midpoints, where derivatives of splines jump.
const TOLERANCE: f64 = 5e-5;

/// `∫ q(y) dy` over two coordinates of data, with `log q(y) = log p(x) + log |det ∂x/∂y|`; or with so many times that log-determinant.
fn mass(map: &dyn Family, times: f64) -> f64 {
    let (start, end) = (map.input(), map.output());
    // Features of the whole are the same everywhere.
    let context = context(end, 1);
    integral(end, HALF_WIDTH, CELLS, |y| {
        let (x, log_det) = map.inverse(y, &context).unwrap();
        host(prior(start).log_density_tensor(x) + log_det * times)
    })
}

#[test]
fn densities_integrate_to_one_but_not_with_log_dets_off_by_a_hundredth() {
    for Row { name, new, .. } in rows(TWO) {
        // As far from the identity as the grid can follow.
        let noise = if name.contains("bump") { 0.5 } else { 0.3 };
        let map = new.shaken(noise);
        let found = mass(&*map, 1.0);
        assert!(
            (found - 1.0).abs() < TOLERANCE,
            "{name}: the density integrates to {found}"
        );
        let found = mass(&*map, 1.01);
        assert!(
            SHIFTS.contains(&name) || (found - 1.0).abs() > 2.0 * TOLERANCE,
            "{name}: with a wrong log-determinant the density integrates to {found}"
        );
    }
}
