//! No family sees where circles are cut, but for copulas.

use super::*;
use crate::testing::{across, assert_round};

#[test]
fn maps_and_log_dets_are_the_same_on_both_sides_of_a_cut() {
    // Copulas have cuts of their own; see below.
    for Row {
        name, space, map, ..
    } in rows(MANY)
        .into_iter()
        .filter(|row| !COPULAS.contains(&row.name))
    {
        let found = assert_round(&*map, points(space, 4, 6), &context(space, 4), 1e-6);
        assert!(found.is_ok(), "{name}");
    }
}

#[test]
fn a_copula_has_a_cut_where_the_scores_of_a_circle_end() {
    // Normal scores are lines: where one of them goes from −∞ to ∞, the density of those correlated with it jumps.
    for map in [SPLINE, BUMP] {
        let copula = shaken(made(|make| copula(BOUNDED, map, make)).unwrap(), 0.2);
        let context = context(BOUNDED, 4);
        let marginals = &copula.layers()[2];
        for circle in 3..6 {
            let sides = across(&points(BOUNDED, 4, 6), circle).map(|u| {
                let (y, _) = marginals.forward(u, &context).unwrap();
                let (x, log_det) = copula.inverse(y, &context).unwrap();
                ProductPrior::normal(6).log_density_tensor(x) + log_det
            });
            let [low, high] = sides;
            assert!(largest(low - high) > 0.1);
        }
    }
}
