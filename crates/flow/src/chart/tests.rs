use super::*;
use crate::bijection::{Bijection, host};
use crate::context::Context;
use crate::testing::{alike, assert_lawful, cloud, points};

/// The chart with its internal coordinates as the data, for the law's sake.
struct AsBijection(Chart);

impl Bijection for AsBijection {
    fn input(&self) -> Space {
        self.0.space()
    }

    fn output(&self) -> Space {
        Space::Free {
            points: self.0.len(),
            dims: 1,
        }
    }

    fn forward(&self, x: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.0.forward(&x)
    }

    fn inverse(&self, y: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.0.inverse(&y)
    }
}

fn chart(bounds: Vec<[f64; 2]>, rounds: Rounds) -> Chart {
    let stiff = |coordinate, center, is_angle_of_turn| Stiff {
        coordinate,
        center,
        is_angle_of_turn,
    };
    let torsion = |coordinate, cut| Turning { coordinate, cut };
    Chart {
        stiff: vec![stiff(0, 1.5, false), stiff(3, 3.0, true)],
        spread: vec![0.1, 0.2, -0.1, 0.3],
        whiten: vec![6.0, -4.0, 2.0, 2.0],
        log_det: 0.05_f64.ln(),
        bounds,
        torsions: vec![torsion(2, -2.0), torsion(1, 1.0)],
        rounds,
    }
}

#[test]
fn it_is_a_lawful_map() {
    for (bounds, rounds) in [
        (Vec::new(), Rounds::Circles),
        (Vec::new(), Rounds::Lines),
        (vec![[-4.0, 3.0], [-1.0, 5.0]], Rounds::Circles),
    ] {
        let chart = chart(bounds, rounds);
        assert_eq!(chart.flaw(4), None);
        let (space, map) = (chart.space(), AsBijection(chart));
        assert_lawful(&map, points(space, 4, 3), &alike(space, 4), 1e-6).unwrap();
    }
}

#[test]
fn a_stiff_dihedral_is_measured_the_shorter_way_round() {
    let chart = chart(Vec::new(), Rounds::Circles);
    // 3.0 and −3.0 are .28 apart across the cut at π.
    let [here, there] = [-3.0, -3.0 + TAU].map(|phi| {
        let (y, _) = chart
            .inverse(&cloud(vec![1.5, 0.0, 0.0, phi], 4, 1))
            .unwrap();
        host(y)
    });
    for (a, b) in here.iter().zip(&there) {
        assert!((a - b).abs() < 1e-12);
    }
}

#[test]
fn what_is_outside_the_bounds_has_no_density() {
    let chart = chart(vec![[-4.0, 3.0], [-1.0, 5.0]], Rounds::Circles);
    let x = cloud(vec![1.5, 0.0, 0.0, 3.0, 9.0, 0.0, 0.0, 3.0], 4, 1);
    let (y, log_det) = chart.inverse(&x).unwrap();
    let log_det = host(log_det);
    assert!(log_det[0].is_finite());
    assert_eq!(log_det[1], f64::NEG_INFINITY);
    assert!(host(y).into_iter().all(|u| (0.0..=1.0).contains(&u)));
}

#[test]
fn a_forged_chart_is_recognised() {
    let sound = chart(vec![[-4.0, 3.0], [-1.0, 5.0]], Rounds::Circles);
    assert!(sound.flaw(5).is_some());
    let forged = |forge: &dyn Fn(&mut Chart)| {
        let mut chart = sound.clone();
        forge(&mut chart);
        chart.flaw(4)
    };
    assert_eq!(forged(&|_| ()), None);
    assert!(forged(&|chart| chart.torsions[0].coordinate = 0).is_some());
    assert!(forged(&|chart| chart.bounds[0] = [1.0, 2.0]).is_some());
    assert!(forged(&|chart| chart.bounds.truncate(1)).is_some());
    assert!(forged(&|chart| chart.spread[1] = f64::NAN).is_some());
    assert!(forged(&|chart| chart.whiten.truncate(3)).is_some());
    assert!(forged(&|chart| chart.rounds = Rounds::Lines).is_some());
}

#[test]
fn a_stiff_dihedral_that_goes_too_far_round_has_no_density() {
    let chart = chart(Vec::new(), Rounds::Circles);
    // −.1 z₀ + .3 z₁ of the dihedral's centre: 3 and 3.3.
    let y = cloud(vec![0.0, 10.0, 0.5, 0.5, 0.0, 11.0, 0.5, 0.5], 4, 1);
    let log_det = host(chart.forward(&y).unwrap().1);
    assert!(log_det[0].is_finite() && log_det[1].is_nan());
}
