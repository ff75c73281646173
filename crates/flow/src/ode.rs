//! Explicit Runge–Kutta solvers of ordinary differential equations. No tensor in sight.

mod adaptive;
mod reversal;
mod tableaux;

use serde::{Deserialize, Serialize};

pub use reversal::backwards;
pub use tableaux::{BOSH3, DOPRI5, EULER, MIDPOINT, RK4, TSIT5, Tableau};

/// What a solver moves: a vector, as far as it needs to know.
pub trait State: Clone {
    /// `self + h k`.
    fn axpy(self, h: f64, k: &Self) -> Self;

    /// How large an error estimate `self` is for a state `scale`: the root mean square of `error/(absolute + relative·|scale|)` over the
    /// components of a sample, the worst sample's. At most 1 is good enough. Homogeneous: an error `c` times as large has a norm `|c|`
    /// times as large.
    fn error_norm(&self, scale: &Self, tolerance: Tolerance) -> f64;
}

/// The error that a step may make in each component `y`: `absolute + relative·|y|`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// In the unit of the component.
    pub absolute: f64,
    /// As a share of the component.
    pub relative: f64,
}

/// How steps are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Steps {
    /// Equal steps: the same work for every sample, so that a sample's result does not depend on its batch.
    Fixed {
        /// How many.
        count: usize,
    },
    /// Steps as long as the estimated error allows.
    Adaptive {
        /// What is allowed.
        tolerance: Tolerance,
        /// Attempts after which to give up.
        limit: usize,
    },
}

/// Where a solve ended and what it took.
#[derive(Clone, Debug)]
pub struct Solution<S> {
    /// The state at the end of the span.
    pub y: S,
    /// What it took.
    pub statistics: Statistics,
}

/// What a solve took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Calls of the right-hand side.
    pub evaluations: usize,
    /// Steps made.
    pub accepted: usize,
    /// Steps tried and undone, because their error was too large.
    pub rejected: usize,
}

/// Why a solve did not reach its end.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SolveError {
    /// Too many attempts.
    #[error("{limit} steps reached t = {t:.6} of {t1:.6}; loosen the tolerance or raise the limit")]
    StepLimit {
        /// Where it stands.
        t: f64,
        /// Where it should have ended.
        t1: f64,
        /// Attempts allowed.
        limit: usize,
    },
    /// The tolerance cannot be met with steps that time can resolve.
    #[error(
        "at t = {t:.6} the tolerance asks for steps below {h:.1e}, which time cannot resolve; loosen the tolerance"
    )]
    StepTooSmall {
        /// Where it stands.
        t: f64,
        /// The step.
        h: f64,
    },
    /// The error estimate is infinite or NaN however small the step.
    #[error(
        "the right-hand side is not finite at t = {t:.6}; its input or its parameters have diverged"
    )]
    NotFinite {
        /// Where it stands.
        t: f64,
    },
    /// Settings that mean nothing.
    #[error(
        "{steps} steps cannot cross from t = {t0} to {t1}; give at least one step and finite times"
    )]
    Span {
        /// Steps asked for.
        steps: usize,
        /// Start.
        t0: f64,
        /// End.
        t1: f64,
    },
    /// A tolerance that nothing can meet.
    #[error(
        "tolerances must be finite, not negative and not both zero, but absolute {absolute} and relative {relative} were given"
    )]
    Tolerance {
        /// As given.
        absolute: f64,
        /// As given.
        relative: f64,
    },
    /// Adaptive steps with a method that does not estimate its error.
    #[error("{method} does not estimate its error; use fixed steps, or bosh3, dopri5 or tsit5")]
    NoEstimate {
        /// The method.
        method: &'static str,
    },
}

/// Solves `dy/dt = f(t, y)` from `y0` at `span.0` to `span.1`, which may be the earlier time.
///
/// Fixed steps evaluate only what the solution needs, and look at no number. Stages are applied to `y` one after another, so for
/// `n` steps of a method of `s` stages `n s` evaluations are made (`s = 6` for `DOPRI5` and `TSIT5`, 3 for `BOSH3`: the last stage
/// serves the error estimate alone, or is the next step's first). Adaptive steps make `s` an attempt and two at the start.
///
/// # Errors
/// See [`SolveError`]. With fixed steps a state that is not finite is no error: whoever asked looks at the result once.
pub fn integrate<S: State>(
    mut f: impl FnMut(f64, &S) -> S,
    y0: S,
    span: (f64, f64),
    tableau: &Tableau,
    steps: &Steps,
) -> Result<Solution<S>, SolveError> {
    let (t0, t1) = span;
    match *steps {
        Steps::Fixed { count } => {
            if count == 0 || !(t0.is_finite() && t1.is_finite()) {
                return Err(SolveError::Span {
                    steps: count,
                    t0,
                    t1,
                });
            }
            Ok(fixed(&mut f, y0, span, tableau, count))
        }
        Steps::Adaptive { tolerance, limit } => {
            adaptive::solve(&mut f, y0, span, tableau, tolerance, limit)
        }
    }
}

/// `count` equal steps.
fn fixed<S: State>(
    f: &mut impl FnMut(f64, &S) -> S,
    y0: S,
    span: (f64, f64),
    tableau: &Tableau,
    count: usize,
) -> Solution<S> {
    let grid = Grid {
        span,
        count,
        tableau,
    };
    let mut evaluations = 0;
    let mut counted = |t: f64, y: &S| {
        evaluations += 1;
        f(t, y)
    };
    let y = (0..count).fold(y0, |y, step| grid.step(&mut counted, y, step));
    Solution {
        y,
        statistics: Statistics {
            evaluations,
            accepted: count,
            rejected: 0,
        },
    }
}

/// Equal steps, for whoever takes them one by one: bit for bit those of [`integrate`].
#[derive(Clone, Copy, Debug)]
pub struct Grid<'a> {
    /// Start and end, which may be the earlier time.
    pub span: (f64, f64),
    /// How many steps.
    pub count: usize,
    /// The method.
    pub tableau: &'a Tableau,
}

impl Grid<'_> {
    /// The state after a step, numbered from 0, from that before it.
    pub fn step<S: State>(&self, f: &mut impl FnMut(f64, &S) -> S, y: S, step: usize) -> S {
        let Self {
            span: (t0, t1),
            count,
            tableau,
        } = *self;
        let h = (t1 - t0) / count as f64;
        let t = t0 + (t1 - t0) * (step as f64 / count as f64);
        let mut slopes = vec![f(t, &y)];
        stages(f, t, &y, h, tableau, tableau.working_stages(), &mut slopes);
        combine(y, h, tableau.b, &slopes)
    }
}

/// Evaluates stages after the first, up to `last`.
fn stages<S: State>(
    f: &mut impl FnMut(f64, &S) -> S,
    t: f64,
    y: &S,
    h: f64,
    tableau: &Tableau,
    last: usize,
    slopes: &mut Vec<S>,
) {
    for stage in 1..last {
        let at = combine(y.clone(), h, tableau.a[stage], slopes);
        slopes.push(f(t + tableau.c[stage] * h, &at));
    }
}

/// `y + h Σ w_i k_i`.
fn combine<S: State>(y: S, h: f64, weights: &[f64], slopes: &[S]) -> S {
    let terms = weights
        .iter()
        .zip(slopes)
        .filter(|(weight, _)| **weight != 0.0);
    terms.fold(y, |y, (weight, slope)| y.axpy(h * weight, slope))
}

#[cfg(test)]
mod tests;
