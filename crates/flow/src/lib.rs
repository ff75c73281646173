//! Equivariant maps of point clouds with tractable densities.
//!
//! A [`Bijection`] carries latents to data and says by how much it stretches space; a [`Prior`] knows the density of latents; together
//! they are a flow, whose `log q(y) = log p(x) − log |det ∂y/∂x|` is exact. *Forward is latent → data; a log-determinant belongs to the
//! direction called.* Nothing here knows chemistry.
//!
//! Parameters are made in the float type that [`Initializer`] names and every tensor follows its input's, so the same code
//! works in `f32` and is held to its laws in `f64`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::float_cmp))]

pub mod activation;
mod actnorm;
mod affine;
mod attention;
mod augmented;
mod autoregressive;
mod bijection;
mod bump;
mod chain;
mod chart;
mod conditioner;
mod context;
mod continuous;
mod coupling;
mod dense;
mod distances;
mod divergence;
mod dual;
mod edge;
mod egnn;
mod elementwise;
mod embedding;
#[cfg(test)]
mod families;
mod field;
mod flex;
mod fold;
mod frame;
mod hollow;
mod kernel;
#[cfg(test)]
mod laws;
mod layer;
mod linear;
mod lower_upper;
mod marginals;
mod matrix;
mod mixing;
mod network;
pub mod normal;
pub mod ode;
#[cfg(all(test, feature = "wgpu"))]
mod on_gpu;
pub mod parameters;
mod prior;
mod product;
pub mod random;
mod schedule;
mod scores;
mod separation;
pub mod simd;
mod space;
mod spline;
#[cfg(test)]
pub mod testing;
mod transformer;

pub use actnorm::Actnorm;
pub use affine::Affine;
pub use attention::{Attention, AttentionConfig, AttentionSize};
pub use augmented::{
    AugmentedConfig, AugmentedCoupling, AugmentedPrior, Auxiliary, Half, Marginal, Reference,
};
pub use autoregressive::{Autoregressive, Given};
pub use bijection::{Bijection, FlowError, PerSample, Points, host};
pub use chain::Chain;
pub use chart::{Chart, Rounds, Stiff, Turning};
pub use conditioner::{Conditioner, Size};
pub use context::{Context, Samples};
pub use continuous::{Continuous, DensityGradient, Method, Regularization, Solver};
pub use coupling::Coupling;
pub use distances::Distances;
pub use divergence::{Divergence, Noise, Probes, by_coordinates};
pub use dual::Dual;
pub use egnn::{Edges, Egnn, EgnnConfig};
pub use elementwise::Elementwise;
pub use field::{Field, VectorField};
pub use fold::{Fold, Order, Rotor, principal_angle};
pub use frame::{Direction, Frame, Placed};
pub use hollow::{Hollow, HollowConfig};
pub use kernel::{Kernel, KernelConfig, Profile};
pub use layer::Layer;
pub use linear::{Initializer, Linear};
pub use lower_upper::LowerUpper;
pub use marginals::Marginals;
pub use mixing::Mixing;
pub use network::NetworkConfig;
pub use prior::{MeanFreeGaussian, Prior, ProductPrior};
pub use schedule::Schedule;
pub use scores::Scores;
pub use space::Space;
pub use spline::{Domain, Knots, Spline};
pub use transformer::{Symmetry, Transformer, TransformerConfig};
