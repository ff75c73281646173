//! Gradients of log-densities through a solve, step by step.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Cloud, Continuous, Path};
use crate::bijection::{FlowError, PerSample, Points, host};
use crate::context::Context;
use crate::divergence::Probes;
use crate::field::Field;
use crate::ode::{Grid, SolveError, State, Steps, Tolerance, backwards};
use crate::parameters::gradients;

/// States of a path that are held at a time on the way back.
const HELD: usize = 16;

/// What is taken off a log-density in training, `r = ∫ (λ_K |v|² + λ_J ‖∂v/∂x‖²) dt` along the path, so that equal steps stay exact along it
/// (Finlay et al. 2020, "How to train your neural ODE"). Without it maximum likelihood finds fields whose divergence the steps add up
/// wrongly, and whose densities do not integrate to one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regularization {
    /// `λ_K`, of the squared velocity.
    pub kinetic: f64,
    /// `λ_J`, of the squared Frobenius norm of the Jacobian, by the same probes as the divergence.
    pub jacobian: f64,
}

impl Regularization {
    fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// The log-densities of some samples with the gradient of the sum of `log q − r`.
#[derive(Clone, Debug)]
pub struct DensityGradient {
    /// `log q` of each.
    pub log_density: Vec<f64>,
    /// `r` of each.
    pub regularization: Vec<f64>,
    /// `∂/∂y Σ (log q − r)`, `[batch, points, dims]`.
    pub points: Points,
    /// `∂/∂θ Σ (log q − r)` in the field's parameters, in the order of [`flatten`](crate::parameters::flatten).
    pub parameters: Vec<f32>,
}

/// A path, and what is taken off its log-density.
#[derive(Clone, Debug)]
struct Regularized {
    path: Path,
    cost: PerSample,
}

impl State for Regularized {
    fn axpy(self, h: f64, k: &Self) -> Self {
        Self {
            path: self.path.axpy(h, &k.path),
            cost: self.cost + k.cost.clone() * h,
        }
    }

    fn error_norm(&self, scale: &Self, tolerance: Tolerance) -> f64 {
        self.path.error_norm(&scale.path, tolerance)
    }
}

impl Continuous {
    /// `log q(y) = log p(x) + log |det ∂x/∂y|` of data `y = f(x)`, by the solver's divergence, with the gradient of its sum over the batch:
    /// maximum likelihood through the solve (Grathwohl et al. 2019; of an equivariant flow Satorras et al. 2021). `log_density` is `log p`,
    /// the density of what goes into this map.
    ///
    /// It is the gradient of the equal steps that are taken, not of the differential equation: a step's stages are evaluated again from the
    /// state at its start, on a tape of their own, which takes `∂/∂x_{k+1}` to `∂/∂x_k` and is let go (discretise, then optimise: Onken and
    /// Ruthotto 2020). So it equals that of one tape through the whole solve to rounding, and **memory does not grow with the number of
    /// steps**: one step's tape and 16 states. States that are not held are found again by [`backwards`], along the velocity alone,
    /// because `log |det|` only adds up. `n` steps take less than `n` of these before the tapes if `n` is at most 17, less than `2n` up to
    /// 153, less than `3n` up to 969; a taped step, with tangents and reverse mode, takes several times as long as one of them.
    ///
    /// # Errors
    /// [`FlowError::Unsupported`] with adaptive steps, [`FlowError::Solve`] without steps, and what `log_density` meets.
    pub fn log_density_gradient(
        &self,
        y: &Points,
        context: &Context,
        regularization: Regularization,
        log_density: impl Fn(Points) -> Result<PerSample, FlowError>,
    ) -> Result<DensityGradient, FlowError> {
        self.space.check(y)?;
        let grid = self.grid()?;
        let mut back = Back {
            continuous: self,
            context,
            grid,
            regularization,
            probes: self.solver.divergence.probes(y, &context.samples),
            log_density: vec![0.0; y.dims()[0]],
            cost: vec![0.0; y.dims()[0]],
            slope: None,
            parameters: Vec::new(),
        };
        let mut advance = |step: usize, at: &Cloud| {
            let mut slope = |t: f64, at: &Cloud| self.slope(t, at, context);
            grid.step(&mut slope, at.clone(), step)
        };
        let mut visit = |step: usize, Cloud(x): &Cloud| back.through(step, x, &log_density);
        let start = Cloud(y.clone());
        backwards(grid.count, HELD, &start, &mut advance, &mut visit)?;
        Ok(DensityGradient {
            log_density: back.log_density,
            regularization: back.cost.into_iter().map(|cost| -cost).collect(),
            points: back.slope.expect("the first step starts at y"),
            parameters: back.parameters.iter().map(|sum| *sum as f32).collect(),
        })
    }

    /// The steps from data to latents.
    fn grid(&self) -> Result<Grid<'static>, FlowError> {
        let span = (1.0, 0.0);
        match self.solver.steps {
            Steps::Fixed { count: 0 } => Err(SolveError::Span {
                steps: 0,
                t0: span.0,
                t1: span.1,
            }
            .into()),
            Steps::Fixed { count } => Ok(Grid {
                span,
                count,
                tableau: self.solver.method.tableau(),
            }),
            Steps::Adaptive { .. } => Err(FlowError::Unsupported {
                what: "gradients go through solves with fixed steps only; give a count of steps"
                    .to_owned(),
            }),
        }
    }
}

/// The way back, as far as it has come.
struct Back<'a> {
    continuous: &'a Continuous,
    context: &'a Context,
    grid: Grid<'a>,
    regularization: Regularization,
    probes: Probes,
    /// `log p`, and what the steps from the last to this have added.
    log_density: Vec<f64>,
    /// What these steps have added to `−r`.
    cost: Vec<f64>,
    /// `∂/∂x Σ (log q − r)` where this step starts; nothing before the last step.
    slope: Option<Points>,
    /// `∂/∂θ Σ (log q − r)` by the steps from the last to this.
    parameters: Vec<f64>,
}

impl Back<'_> {
    /// Goes back through a step that starts at `x`.
    fn through(
        &mut self,
        step: usize,
        x: &Points,
        log_density: &impl Fn(Points) -> Result<PerSample, FlowError>,
    ) -> Result<(), FlowError> {
        // Leaves of its own: threads that shared them would wait for each other for ever.
        let field = self.continuous.field.clone().train();
        let x = x.clone().autodiff().require_grad();
        let none = Tensor::zeros([x.dims()[0]], (&x.device(), x.dtype()));
        let start = Path {
            x: x.clone(),
            log_det: none.clone(),
        };
        let (end, cost) = if self.regularization.is_none() {
            let mut slope = |t: f64, path: &Path| {
                let (x, log_det) = self.probes.evaluate(&field, t, &path.x, self.context);
                Path { x, log_det }
            };
            (self.grid.step(&mut slope, start, step), None)
        } else {
            let mut slope = |t: f64, at: &Regularized| self.regularized(&field, t, &at.path.x);
            let start = Regularized {
                path: start,
                cost: none,
            };
            let end = self.grid.step(&mut slope, start, step);
            (end.path, Some(end.cost))
        };
        let (added, mut weighted) = match self.slope.take() {
            None => {
                let added = end.log_det + log_density(end.x)?;
                (added.clone(), added.sum())
            }
            Some(slope) => {
                let weighted = end.log_det.clone().sum() + (end.x * slope).sum();
                (end.log_det, weighted)
            }
        };
        if let Some(cost) = cost {
            weighted = weighted + cost.clone().sum();
            add(&mut self.cost, cost);
        }
        let found = weighted.backward();
        self.slope = x.grad(&found);
        add(&mut self.log_density, added);
        let found = gradients(&field, &found);
        self.parameters.resize(found.len(), 0.0);
        let sums = self.parameters.iter_mut().zip(found);
        sums.for_each(|(sum, added)| *sum += f64::from(added));
        Ok(())
    }

    /// What a path changes by, and its cost: negative where time runs from data to noise, `−r` when all steps are taken.
    fn regularized(&self, field: &Field, t: f64, x: &Points) -> Regularized {
        let (velocity, divergence, norm) =
            self.probes.evaluate_with_norm(field, t, x, self.context);
        let [batch, points, dims] = x.dims();
        let square = velocity.clone().square().reshape([batch, points * dims]);
        let square = square.sum_dim(1).reshape([batch]);
        Regularized {
            cost: square * self.regularization.kinetic + norm * self.regularization.jacobian,
            path: Path {
                x: velocity,
                log_det: divergence,
            },
        }
    }
}

fn add(sums: &mut [f64], added: PerSample) {
    let sums = sums.iter_mut().zip(host(added));
    sums.for_each(|(sum, added)| *sum += added);
}
