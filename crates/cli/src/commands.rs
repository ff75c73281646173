//! What each verb does.

mod data;
mod generate;
mod sampling;
mod simulation;
mod training;

pub use data::{density, energy, evaluate, info, reweight, write_structures};
pub use generate::generate;
pub use sampling::{merge, sample};
pub use simulation::simulate;
pub use training::train;
