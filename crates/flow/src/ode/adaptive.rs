//! Steps as long as the estimated error allows.

use super::{Solution, SolveError, State, Statistics, Tableau, Tolerance, combine, stages};

/// How a step follows from the errors of this one and the last (Gustafsson's PI controller; Hairer & Wanner, *Solving Ordinary
/// Differential Equations II*, IV.2): `h' = h · 0.9 · e^(−0.7/p) · e_last^(0.4/p)`, by at most a factor of 5 either way.
#[derive(Debug)]
struct Controller {
    order: f64,
    last: f64,
    rejected: bool,
}

const SAFETY: f64 = 0.9;
const SHRINK: f64 = 0.2;
const GROW: f64 = 5.0;
/// An error this small says no more than that the step may grow.
const SMALLEST_ERROR: f64 = 1e-10;

impl Controller {
    /// The factor by which the step changes after one that was made.
    fn after_success(&mut self, error: f64) -> f64 {
        let error = error.max(SMALLEST_ERROR);
        let factor = SAFETY * error.powf(-0.7 / self.order) * self.last.powf(0.4 / self.order);
        let largest = if self.rejected { 1.0 } else { GROW };
        self.last = error;
        self.rejected = false;
        factor.clamp(SHRINK, largest)
    }

    /// The factor after one that was undone.
    fn after_failure(&mut self, error: f64) -> f64 {
        self.rejected = true;
        if error.is_finite() {
            (SAFETY * error.powf(-1.0 / self.order)).clamp(SHRINK, SAFETY)
        } else {
            SHRINK
        }
    }
}

/// The adaptive half of [`super::integrate`].
pub(super) fn solve<S: State>(
    f: &mut impl FnMut(f64, &S) -> S,
    y0: S,
    (t0, t1): (f64, f64),
    tableau: &Tableau,
    tolerance: Tolerance,
    limit: usize,
) -> Result<Solution<S>, SolveError> {
    let error_weights = tableau.error.ok_or(SolveError::NoEstimate {
        method: tableau.name,
    })?;
    check(tolerance)?;
    if limit == 0 || !(t0.is_finite() && t1.is_finite()) {
        return Err(SolveError::Span {
            steps: limit,
            t0,
            t1,
        });
    }
    let mut statistics = Statistics::default();
    if t0.total_cmp(&t1).is_eq() {
        return Ok(Solution { y: y0, statistics });
    }
    let mut evaluations = 0;
    let mut counted = |t: f64, y: &S| {
        evaluations += 1;
        f(t, y)
    };
    let direction = (t1 - t0).signum();
    let mut controller = Controller {
        order: f64::from(tableau.order),
        last: 1.0,
        rejected: false,
    };
    let (mut t, mut y) = (t0, y0);
    let mut slope = counted(t, &y);
    let first = first_step(&mut counted, t, &y, &slope, t1 - t0, tableau, tolerance);
    let mut h = if first.is_finite() {
        first
    } else {
        (t1 - t0).abs()
    };

    while statistics.accepted + statistics.rejected < limit {
        let left = (t1 - t).abs();
        // A last step that is a hair longer than chosen, rather than one more of almost nothing.
        let ends = h * 1.01 >= left;
        let signed = direction * if ends { left } else { h };
        let mut slopes = vec![slope];
        stages(
            &mut counted,
            t,
            &y,
            signed,
            tableau,
            tableau.stages(),
            &mut slopes,
        );
        let error = estimate(&slopes, signed, error_weights, &y, tolerance);
        if error <= 1.0 {
            y = combine(y, signed, tableau.b, &slopes);
            t = if ends { t1 } else { t + signed };
            statistics.accepted += 1;
            if ends {
                statistics.evaluations = evaluations;
                return Ok(Solution { y, statistics });
            }
            slope = slopes.pop().expect("a step has stages");
            h = signed.abs() * controller.after_success(error);
        } else {
            statistics.rejected += 1;
            slope = slopes.swap_remove(0);
            h = signed.abs() * controller.after_failure(error);
            if h < 16.0 * f64::EPSILON * t.abs().max((t1 - t0).abs()) {
                return Err(if error.is_finite() {
                    SolveError::StepTooSmall { t, h }
                } else {
                    SolveError::NotFinite { t }
                });
            }
        }
    }
    Err(SolveError::StepLimit { t, t1, limit })
}

fn check(tolerance: Tolerance) -> Result<(), SolveError> {
    let Tolerance { absolute, relative } = tolerance;
    let sound = |value: f64| value.is_finite() && value >= 0.0;
    if sound(absolute) && sound(relative) && absolute + relative > 0.0 {
        Ok(())
    } else {
        Err(SolveError::Tolerance { absolute, relative })
    }
}

/// The norm of `h Σ e_i k_i`. The first weight comes out in front, so that no difference of nearly equal states is taken.
fn estimate<S: State>(slopes: &[S], h: f64, weights: &[f64], y: &S, tolerance: Tolerance) -> f64 {
    let first = weights[0];
    let relative: Vec<f64> = weights[1..].iter().map(|weight| weight / first).collect();
    let direction = combine(slopes[0].clone(), 1.0, &relative, &slopes[1..]);
    (h * first).abs() * direction.error_norm(y, tolerance)
}

/// A first step from the sizes of `y`, `y'` and `y''` (Hairer, Nørsett & Wanner, *Solving Ordinary Differential Equations I*, II.4).
fn first_step<S: State>(
    f: &mut impl FnMut(f64, &S) -> S,
    t: f64,
    y: &S,
    slope: &S,
    span: f64,
    tableau: &Tableau,
    tolerance: Tolerance,
) -> f64 {
    let size = y.error_norm(y, tolerance);
    let speed = slope.error_norm(y, tolerance);
    let guess = if size < 1e-5 || speed < 1e-5 {
        1e-6
    } else {
        0.01 * size / speed
    };
    let guess = guess.min(span.abs());
    let next = f(
        t + span.signum() * guess,
        &y.clone().axpy(span.signum() * guess, slope),
    );
    let change = next.axpy(-1.0, slope).error_norm(y, tolerance) / guess;
    let largest = speed.max(change);
    let better = if largest <= 1e-15 {
        (guess * 1e-3).max(1e-6)
    } else {
        (0.01 / largest).powf(1.0 / f64::from(tableau.order))
    };
    better.min(100.0 * guess).min(span.abs())
}
