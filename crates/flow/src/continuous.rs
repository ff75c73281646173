//! Continuous-time flows.

mod gradient;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::bijection::{Bijection, FlowError, PerSample, Points};
use crate::context::Context;
use crate::divergence::{Divergence, times_of};
use crate::dual::Dual;
use crate::field::{Field, VectorField};
use crate::ode::{self, State, Steps, Tableau, Tolerance, integrate};
use crate::space::Space;
pub use gradient::{DensityGradient, Regularization};

/// A numerical method by name; each stands for one [`Tableau`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Order 1.
    Euler,
    /// Order 2.
    Midpoint,
    /// Order 4.
    Rk4,
    /// Order 3, adaptive.
    Bosh3,
    /// Order 5, adaptive.
    Dopri5,
    /// Order 5, adaptive.
    Tsit5,
}

impl Method {
    /// Its coefficients.
    pub fn tableau(self) -> &'static Tableau {
        match self {
            Self::Euler => &ode::EULER,
            Self::Midpoint => &ode::MIDPOINT,
            Self::Rk4 => &ode::RK4,
            Self::Bosh3 => &ode::BOSH3,
            Self::Dopri5 => &ode::DOPRI5,
            Self::Tsit5 => &ode::TSIT5,
        }
    }
}

/// How a continuous flow is solved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Solver {
    /// The method.
    pub method: Method,
    /// Fixed or adaptive steps.
    pub steps: Steps,
    /// The divergence.
    pub divergence: Divergence,
}

/// `x(1) = x(0) + ∫ v(t, x) dt` from latent `x(0)` to data `x(1)`, with `log |det ∂x(1)/∂x(0)| = ∫ ∇·v dt`
/// (Chen et al. 2018; Grathwohl et al. 2019), over the mean-free subspace.
///
/// With fixed steps a sample whose path runs off comes out as numbers that are not finite, and disturbs no other: whoever asked looks at
/// them. Adaptive steps are those of the whole batch, which then ends in a [`SolveError`](crate::ode::SolveError).
#[derive(Module, Debug)]
pub struct Continuous {
    /// `v`.
    pub field: Field,
    /// Where it maps from and to.
    #[module(skip)]
    pub space: Space,
    /// How it is solved.
    #[module(skip)]
    pub solver: Solver,
}

/// Where a solve stands: positions and the accumulated log-determinant.
#[derive(Clone, Debug)]
struct Path {
    x: Points,
    log_det: PerSample,
}

impl State for Path {
    fn axpy(self, h: f64, k: &Self) -> Self {
        Self {
            x: self.x + k.x.clone() * h,
            log_det: self.log_det + k.log_det.clone() * h,
        }
    }

    fn error_norm(&self, scale: &Self, tolerance: Tolerance) -> f64 {
        let [batch, points, dims] = self.x.dims();
        let columns = |path: &Self| {
            let x = path.x.clone().reshape([batch, points * dims]);
            Tensor::cat(vec![x, path.log_det.clone().reshape([batch, 1])], 1)
        };
        worst_sample(columns(self), columns(scale), tolerance)
    }
}

/// The same without a log-determinant.
#[derive(Clone, Debug)]
struct Cloud(Points);

impl State for Cloud {
    fn axpy(self, h: f64, k: &Self) -> Self {
        Self(self.0 + k.0.clone() * h)
    }

    fn error_norm(&self, scale: &Self, tolerance: Tolerance) -> f64 {
        let [batch, points, dims] = self.0.dims();
        let columns = |cloud: &Self| cloud.0.clone().reshape([batch, points * dims]);
        worst_sample(columns(self), columns(scale), tolerance)
    }
}

/// The root mean square of an error over what is allowed, the worst sample's, both `[batch, components]`.
fn worst_sample(error: Tensor<2>, scale: Tensor<2>, tolerance: Tolerance) -> f64 {
    let allowed = scale.abs() * tolerance.relative + tolerance.absolute;
    let worst = (error / allowed).square().mean_dim(1).sqrt().max();
    worst.into_data().iter::<f64>().next().unwrap_or(f64::NAN)
}

impl Continuous {
    fn solve(
        &self,
        x: Points,
        context: &Context,
        span: (f64, f64),
    ) -> Result<(Points, PerSample), FlowError> {
        self.space.check(&x)?;
        let batch = x.dims()[0];
        let probes = self.solver.divergence.probes(&x, &context.samples);
        let log_det = Tensor::zeros([batch], (&x.device(), x.dtype()));
        let slope = |t: f64, path: &Path| {
            let (x, log_det) = probes.evaluate(&self.field, t, &path.x, context);
            Path { x, log_det }
        };
        let solution = integrate(
            slope,
            Path { x, log_det },
            span,
            self.solver.method.tableau(),
            &self.solver.steps,
        )?;
        let Path { x, log_det } = solution.y;
        Ok((x, log_det))
    }

    /// Where `x` is carried, without its log-determinant; costs one velocity an evaluation.
    pub fn transport(&self, x: Points, context: &Context) -> Result<Points, FlowError> {
        self.space.check(&x)?;
        let slope = |t: f64, at: &Cloud| self.slope(t, at, context);
        let tableau = self.solver.method.tableau();
        Ok(
            integrate(slope, Cloud(x), (0.0, 1.0), tableau, &self.solver.steps)?
                .y
                .0,
        )
    }
}

impl Continuous {
    /// Where positions go to, alone.
    fn slope(&self, t: f64, Cloud(x): &Cloud, context: &Context) -> Cloud {
        let x = Dual::constant(x.clone());
        Cloud(self.field.velocity(times_of(t, &x.value), x, context).value)
    }
}

impl Bijection for Continuous {
    fn input(&self) -> Space {
        self.space
    }

    fn output(&self) -> Space {
        self.input()
    }

    fn forward(&self, x: Points, context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.solve(x, context, (0.0, 1.0))
    }

    fn inverse(&self, y: Points, context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.solve(y, context, (1.0, 0.0))
    }
}
