//! Gradients of log-densities through a solve, step by step.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{Cloud, Continuous, Path};
use crate::bijection::{FlowError, PerSample, Points, host};
use crate::context::Context;
use crate::divergence::Probes;
use crate::ode::{Grid, SolveError, Steps, backwards};
use crate::parameters::gradients;

/// States of a path that are held at a time on the way back.
const HELD: usize = 16;

/// The log-densities of some samples with the gradient of their sum.
#[derive(Clone, Debug)]
pub struct DensityGradient {
    /// `log q` of each.
    pub log_density: Vec<f64>,
    /// `∂/∂y Σ log q`, `[batch, points, dims]`.
    pub points: Points,
    /// `∂/∂θ Σ log q` in the field's parameters, in the order of [`flatten`](crate::parameters::flatten).
    pub parameters: Vec<f32>,
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
        log_density: impl Fn(Points) -> Result<PerSample, FlowError>,
    ) -> Result<DensityGradient, FlowError> {
        self.space.check(y)?;
        let grid = self.grid()?;
        let mut back = Back {
            continuous: self,
            context,
            grid,
            probes: self.solver.divergence.probes(y, &context.samples),
            log_density: vec![0.0; y.dims()[0]],
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
    probes: Probes,
    /// `log p`, and what the steps from the last to this have added.
    log_density: Vec<f64>,
    /// `∂/∂x Σ log q` where this step starts; nothing before the last step.
    slope: Option<Points>,
    /// `∂/∂θ Σ log q` by the steps from the last to this.
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
        let mut slope = |t: f64, path: &Path| {
            let (x, log_det) = self.probes.evaluate(&field, t, &path.x, self.context);
            Path { x, log_det }
        };
        let log_det = Tensor::zeros([x.dims()[0]], (&x.device(), x.dtype()));
        let start = Path {
            x: x.clone(),
            log_det,
        };
        let end = self.grid.step(&mut slope, start, step);
        let (added, weighted) = match self.slope.take() {
            None => {
                let added = end.log_det + log_density(end.x)?;
                (added.clone(), added.sum())
            }
            Some(slope) => {
                let weighted = end.log_det.clone().sum() + (end.x * slope).sum();
                (end.log_det, weighted)
            }
        };
        let found = weighted.backward();
        self.slope = x.grad(&found);
        let added = host(added).into_iter();
        let sums = self.log_density.iter_mut().zip(added);
        sums.for_each(|(sum, added)| *sum += added);
        let found = gradients(&field, &found);
        self.parameters.resize(found.len(), 0.0);
        let sums = self.parameters.iter_mut().zip(found);
        sums.for_each(|(sum, added)| *sum += f64::from(added));
        Ok(())
    }
}
