//! Maximum likelihood in closed form.

use boltzflow_flow::FlowError;

use super::likelihood::Likelihood;
use crate::model::{Fitted, InternalFlow};
use crate::temperatures::TrainingData;

/// A fit, and the data that it is of.
pub struct Fit {
    /// What is fitted to, and what is held out.
    pub data: Likelihood,
    /// What was found.
    pub parameters: Vec<f32>,
}

impl Fit {
    /// Fits to the configurations before `held_out` that the flow can make, each as often as it weighs, with a pseudo-count.
    pub fn new(
        (parts, pseudo_count): (&Fitted, f64),
        (flow, data): (&InternalFlow, &TrainingData),
        weights: &[f64],
        held_out: usize,
    ) -> Result<Self, FlowError> {
        let located = flow.locate(&data.conformers)?;
        let rows = (0..held_out).filter(|row| located.log_det[*row].is_finite());
        let rows: Vec<usize> = rows.collect();
        let inside: Vec<f64> = rows.iter().map(|row| weights[*row]).collect();
        Ok(Self {
            parameters: parts.fit(&located.select(&rows), &inside, pseudo_count)?,
            data: Likelihood::new(flow, data, weights, held_out)?,
        })
    }
}
