//! What each verb does.

mod data;
mod energy;
mod evaluation;
mod generate;
mod sampling;
mod simulation;
mod training;
mod weighting;

use data::{check_fit, has_extension};
pub use data::{density, info};
pub use energy::energy;
pub use evaluation::evaluate;
pub use generate::generate;
pub use sampling::{merge, sample};
pub use simulation::simulate;
pub use training::train;
pub use weighting::reweight;
use weighting::{Weighted, read_samples};
