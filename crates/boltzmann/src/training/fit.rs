//! Maximum likelihood in closed form.

use boltzflow_flow::FlowError;

use super::likelihood::{Likelihood, Rows};
use crate::model::Fitted;

/// A fit, and the data that it is of.
pub struct Fit {
    /// What is fitted to, and what is held out.
    pub data: Likelihood,
    /// What was found.
    pub parameters: Vec<f32>,
}

impl Fit {
    /// Fits to the configurations before `held_out` that the flow can make, each as often as it is told, with a pseudo-count.
    pub fn new(
        (parts, pseudo_count): (&Fitted, f64),
        data: &Rows,
        often: &[f64],
        held_out: usize,
    ) -> Result<Self, FlowError> {
        let inside = data.inside(0..held_out);
        let counts: Vec<f64> = inside.iter().map(|row| often[*row]).collect();
        Ok(Self {
            parameters: parts.fit(&data.located(&inside), &counts, pseudo_count)?,
            data: Likelihood::new(data, often, held_out),
        })
    }
}
