use super::*;
use approx::assert_relative_eq;

/// A few numbers; the worst of them counts.
#[derive(Clone, Debug, PartialEq)]
struct Numbers(Vec<f64>);

impl State for Numbers {
    fn axpy(mut self, h: f64, k: &Self) -> Self {
        for (y, k) in self.0.iter_mut().zip(&k.0) {
            *y += h * k;
        }
        self
    }

    fn error_norm(&self, scale: &Self, tolerance: Tolerance) -> f64 {
        let ratio =
            |(e, y): (&f64, &f64)| (e / (tolerance.absolute + tolerance.relative * y.abs())).abs();
        self.0
            .iter()
            .zip(&scale.0)
            .map(ratio)
            .fold(0.0, |a, b| if b.is_nan() || b > a { b } else { a })
    }
}

static ALL: [&Tableau; 6] = [&EULER, &MIDPOINT, &RK4, &BOSH3, &DOPRI5, &TSIT5];
static ESTIMATING: [&Tableau; 3] = [&BOSH3, &DOPRI5, &TSIT5];

/// Two nonlinear, time-dependent equations with the solution `[exp(sin t), tan(t/2 + ¼)]`.
fn slope(t: f64, y: &Numbers) -> Numbers {
    Numbers(vec![y.0[0] * t.cos(), 0.5 * (1.0 + y.0[1] * y.0[1])])
}

fn solution(t: f64) -> Numbers {
    Numbers(vec![t.sin().exp(), (0.5 * t + 0.25).tan()])
}

fn distance(a: &Numbers, b: &Numbers) -> f64 {
    a.0.iter()
        .zip(&b.0)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max)
}

fn fixed_error(tableau: &Tableau, count: usize, span: (f64, f64)) -> f64 {
    let found = integrate(
        slope,
        solution(span.0),
        span,
        tableau,
        &Steps::Fixed { count },
    )
    .unwrap();
    distance(&found.y, &solution(span.1))
}

fn adaptive(absolute: f64, relative: f64) -> Steps {
    Steps::Adaptive {
        tolerance: Tolerance { absolute, relative },
        limit: 10_000,
    }
}

#[test]
fn halving_the_step_divides_the_error_by_two_to_the_order() {
    // Exponential decay: every method's leading error has one sign along the way, so that it is the order that is seen.
    let decay = |_: f64, y: &Numbers| Numbers(vec![-y.0[0]]);
    let error = |tableau, count, (t0, t1): (f64, f64)| {
        let start = Numbers(vec![(-t0).exp()]);
        let end = integrate(decay, start, (t0, t1), tableau, &Steps::Fixed { count })
            .unwrap()
            .y;
        (end.0[0] - (-t1).exp()).abs()
    };
    for tableau in ALL {
        for span in [(0.0, 2.0), (2.0, 0.0)] {
            // Enough steps to near the limit, few enough to stay above rounding. `TSIT5` nears it slowly: here its first wrong
            // term, 0.031 h⁶/720, is small beside the next, h⁷/5040.
            let count = if tableau.order < 5 { 64 } else { 32 };
            let rate = (error(tableau, count, span) / error(tableau, 2 * count, span)).log2();
            assert!(
                (rate - f64::from(tableau.order)).abs() < 0.4,
                "{}: {rate} over {span:?}",
                tableau.name
            );
        }
    }
}

#[test]
fn fixed_steps_solve_coupled_nonlinear_equations_in_both_directions() {
    for (tableau, within) in [
        (&RK4, 1e-8),
        (&BOSH3, 2e-6),
        (&DOPRI5, 1e-11),
        (&TSIT5, 1e-11),
    ] {
        for span in [(0.0, 1.5), (1.0, -0.8)] {
            let off = fixed_error(tableau, 64, span);
            assert!(
                off < within,
                "{}: off by {off:e} over {span:?}",
                tableau.name
            );
        }
    }
}

#[test]
fn every_row_of_a_method_adds_up_to_its_time() {
    for tableau in ALL {
        assert_eq!(tableau.a.len(), tableau.stages());
        assert_eq!(tableau.c.len(), tableau.stages());
        for (stage, (row, c)) in tableau.a.iter().zip(tableau.c).enumerate() {
            assert_eq!(row.len(), stage, "{}", tableau.name);
            assert_relative_eq!(row.iter().sum::<f64>(), c, epsilon = 1e-13);
        }
    }
}

/// `Σ_i w_i φ_i` over the rooted trees of up to five nodes, less what an exact solution has, tree by tree with their number of nodes
/// (Butcher's order conditions; Hairer, Nørsett & Wanner, II.2).
fn defects(tableau: &Tableau, weights: &[f64]) -> Vec<(u32, f64)> {
    let times = |values: &[f64]| -> Vec<f64> {
        tableau
            .a
            .iter()
            .map(|row| row.iter().zip(values).map(|(a, v)| a * v).sum())
            .collect()
    };
    let product =
        |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a * b).collect() };
    let one = vec![1.0; tableau.stages()];
    let c = tableau.c.to_vec();
    let (c2, ac) = (product(&c, &c), times(&c));
    let (c3, ac2, aac) = (product(&c2, &c), times(&c2), times(&ac));
    let trees = [
        (1, one, 1.0),
        (2, c.clone(), 2.0),
        (3, c2.clone(), 3.0),
        (3, ac.clone(), 6.0),
        (4, c3.clone(), 4.0),
        (4, product(&c, &ac), 8.0),
        (4, ac2.clone(), 12.0),
        (4, aac.clone(), 24.0),
        (5, product(&c3, &c), 5.0),
        (5, product(&c2, &ac), 10.0),
        (5, product(&ac, &ac), 20.0),
        (5, product(&c, &ac2), 15.0),
        (5, product(&c, &aac), 30.0),
        (5, times(&c3), 20.0),
        (5, times(&product(&c, &ac)), 40.0),
        (5, times(&ac2), 60.0),
        (5, times(&aac), 120.0),
    ];
    let defect =
        |values: &[f64], gamma: f64| product(weights, values).iter().sum::<f64>() - 1.0 / gamma;
    trees
        .into_iter()
        .map(|(nodes, values, gamma)| (nodes, defect(&values, gamma)))
        .collect()
}

#[test]
fn every_method_meets_the_conditions_of_its_order_and_its_estimate_those_of_one_less() {
    for tableau in ALL {
        let mut families = vec![(tableau.order, tableau.b.to_vec())];
        if let Some(error) = tableau.error {
            families.push((
                tableau.order - 1,
                tableau.b.iter().zip(error).map(|(b, e)| b - e).collect(),
            ));
        }
        for (order, weights) in families {
            let defects = defects(tableau, &weights);
            for (nodes, defect) in defects.iter().filter(|(nodes, _)| *nodes <= order) {
                assert!(
                    defect.abs() < 1e-13,
                    "{}: a tree of {nodes} nodes is off by {defect:e}",
                    tableau.name
                );
            }
            let next: Vec<_> = defects
                .iter()
                .filter(|(nodes, _)| *nodes == order + 1)
                .collect();
            assert!(
                next.is_empty() || next.iter().any(|(_, defect)| defect.abs() > 1e-6),
                "{} is of more than order {order}",
                tableau.name
            );
        }
    }
}

#[test]
fn a_method_with_an_estimate_ends_where_the_next_step_starts() {
    for tableau in ESTIMATING {
        let last = tableau.stages() - 1;
        assert_eq!(tableau.a[last], &tableau.b[..last], "{}", tableau.name);
        assert_eq!((tableau.c[last], tableau.b[last]), (1.0, 0.0));
        assert_eq!(tableau.working_stages(), last);
    }
}

#[test]
fn fixed_steps_evaluate_no_more_than_the_solution_needs() {
    for (tableau, stages) in ALL.into_iter().zip([1, 2, 4, 3, 6, 6]) {
        let mut calls = 0;
        let counted = |t: f64, y: &Numbers| {
            calls += 1;
            slope(t, y)
        };
        let found = integrate(
            counted,
            solution(0.0),
            (0.0, 1.0),
            tableau,
            &Steps::Fixed { count: 7 },
        )
        .unwrap();
        assert_eq!(calls, 7 * stages, "{}", tableau.name);
        assert_eq!(
            found.statistics,
            Statistics {
                evaluations: calls,
                accepted: 7,
                rejected: 0
            }
        );
    }
}

#[test]
fn adaptive_steps_reuse_the_last_stage() {
    for tableau in ESTIMATING {
        let mut calls = 0;
        let counted = |t: f64, y: &Numbers| {
            calls += 1;
            slope(t, y)
        };
        let found = integrate(
            counted,
            solution(0.0),
            (0.0, 2.5),
            tableau,
            &adaptive(1e-7, 1e-7),
        )
        .unwrap();
        let Statistics {
            evaluations,
            accepted,
            rejected,
        } = found.statistics;
        assert_eq!(calls, evaluations);
        assert_eq!(
            evaluations,
            2 + (accepted + rejected) * (tableau.stages() - 1),
            "{}",
            tableau.name
        );
    }
}

#[test]
fn adaptive_steps_meet_the_tolerance_in_both_directions() {
    for tableau in ESTIMATING {
        for span in [(0.0, 1.5), (1.5, 0.0), (-1.0, 1.0)] {
            for tolerance in [1e-4, 1e-6, 1e-8] {
                let steps = adaptive(tolerance, tolerance);
                let found = integrate(slope, solution(span.0), span, tableau, &steps).unwrap();
                let off = distance(&found.y, &solution(span.1));
                // The tolerance binds a step; errors add up and grow along the way.
                assert!(
                    off < 20.0 * tolerance,
                    "{} to {tolerance:e}: off by {off:e}",
                    tableau.name
                );
            }
        }
    }
}

#[test]
fn a_tighter_tolerance_gives_a_smaller_error_for_more_work() {
    for tableau in ESTIMATING {
        let solve = |tolerance| {
            let found = integrate(
                slope,
                solution(0.0),
                (0.0, 2.5),
                tableau,
                &adaptive(tolerance, tolerance),
            )
            .unwrap();
            (
                distance(&found.y, &solution(2.5)),
                found.statistics.evaluations,
            )
        };
        let ((loose, few), (tight, many)) = (solve(1e-4), solve(1e-9));
        assert!(
            tight < loose / 100.0 && many > few,
            "{}: {loose:e} by {few}, {tight:e} by {many}",
            tableau.name
        );
    }
}

#[test]
fn there_and_back_is_where_it_started() {
    for steps in [Steps::Fixed { count: 200 }, adaptive(1e-11, 1e-11)] {
        let there = integrate(slope, solution(0.3), (0.3, 1.7), &DOPRI5, &steps)
            .unwrap()
            .y;
        let back = integrate(slope, there, (1.7, 0.3), &DOPRI5, &steps)
            .unwrap()
            .y;
        assert!(distance(&back, &solution(0.3)) < 1e-9);
    }
}

#[test]
fn a_sudden_change_is_found_and_costs_rejected_steps() {
    let switch = |t: f64, _: &Numbers| Numbers(vec![if t < 0.637 { 1.0 } else { -40.0 }]);
    let found = integrate(
        switch,
        Numbers(vec![0.0]),
        (0.0, 1.0),
        &TSIT5,
        &adaptive(1e-8, 1e-8),
    )
    .unwrap();
    assert!(found.statistics.rejected > 0);
    assert_relative_eq!(found.y.0[0], 0.637 - 40.0 * 0.363, epsilon = 1e-6);
}

#[test]
fn an_empty_span_changes_nothing() {
    let found = integrate(
        slope,
        solution(0.4),
        (0.4, 0.4),
        &TSIT5,
        &adaptive(1e-8, 1e-8),
    )
    .unwrap();
    assert_eq!(found.y, solution(0.4));
    assert_eq!(found.statistics.evaluations, 0);
}

#[test]
fn a_field_at_rest_is_crossed_in_few_steps() {
    let rest = |_: f64, y: &Numbers| Numbers(vec![0.0; y.0.len()]);
    let found = integrate(
        rest,
        Numbers(vec![1.0, 0.0]),
        (0.0, 1.0),
        &DOPRI5,
        &adaptive(1e-8, 1e-8),
    )
    .unwrap();
    assert_eq!(found.y.0, [1.0, 0.0]);
    assert!(found.statistics.accepted < 20, "{:?}", found.statistics);
}

#[test]
fn a_solve_that_cannot_end_says_where_it_stands() {
    let steps = Steps::Adaptive {
        tolerance: Tolerance {
            absolute: 1e-10,
            relative: 1e-10,
        },
        limit: 5,
    };
    let Err(SolveError::StepLimit { t, t1, limit }) =
        integrate(slope, solution(0.0), (0.0, 2.0), &BOSH3, &steps)
    else {
        panic!("five steps cannot be enough");
    };
    assert!(t < t1 && t1 == 2.0 && limit == 5);

    let explode = |t: f64, y: &Numbers| Numbers(vec![y.0[0] * y.0[0] + 0.0 * t]);
    let found = integrate(
        explode,
        Numbers(vec![1.0]),
        (0.0, 2.0),
        &DOPRI5,
        &adaptive(1e-9, 1e-9),
    )
    .unwrap_err();
    let (SolveError::StepTooSmall { t, .. }
    | SolveError::NotFinite { t }
    | SolveError::StepLimit { t, .. }) = found
    else {
        panic!("1/(1 − t) has no value at 2");
    };
    assert_relative_eq!(t, 1.0, epsilon = 1e-3);

    let nothing = |_: f64, _: &Numbers| Numbers(vec![f64::NAN]);
    let found = integrate(
        nothing,
        Numbers(vec![1.0]),
        (0.0, 2.0),
        &DOPRI5,
        &adaptive(1e-9, 1e-9),
    )
    .unwrap_err();
    assert_eq!(found, SolveError::NotFinite { t: 0.0 });
}

#[test]
fn settings_that_mean_nothing_are_refused() {
    let solve =
        |tableau, steps| integrate(slope, solution(0.0), (0.0, 1.0), tableau, &steps).unwrap_err();
    assert_eq!(
        solve(&RK4, Steps::Fixed { count: 0 }),
        SolveError::Span {
            steps: 0,
            t0: 0.0,
            t1: 1.0
        }
    );
    assert_eq!(
        solve(&RK4, adaptive(1e-3, 1e-3)),
        SolveError::NoEstimate { method: "rk4" }
    );
    assert_eq!(
        solve(&TSIT5, adaptive(0.0, 0.0)),
        SolveError::Tolerance {
            absolute: 0.0,
            relative: 0.0
        }
    );
    assert!(matches!(
        solve(&TSIT5, adaptive(f64::NAN, 1e-3)),
        SolveError::Tolerance { .. }
    ));
    assert!(matches!(
        solve(&TSIT5, adaptive(-1e-3, 1e-2)),
        SolveError::Tolerance { .. }
    ));
}
