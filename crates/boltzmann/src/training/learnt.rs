//! Configurations whose likelihood counts, with or without an energy.

use boltzflow_flow::FlowError;
use rand_chacha::ChaCha8Rng;

use super::Losses;
use super::joint::Joint;
use super::likelihood::{Likelihood, Rows};
use crate::model::{Flow, Model};
use crate::temperatures::TrainingData;

/// Configurations whose likelihood counts, by what it is of.
pub enum Learnt {
    /// Internal coordinates.
    Located(Likelihood),
    /// Positions and auxiliary points.
    Joint(Joint),
}

impl Learnt {
    /// The data, those before `held_out` to be drawn as often as they are told to.
    pub fn new(
        model: &Model,
        data: &TrainingData,
        often: &[f64],
        held_out: usize,
    ) -> Result<Self, FlowError> {
        Ok(match model.flow() {
            Flow::Internal(flow) => {
                let rows = Rows::new(flow, data)?;
                Self::Located(Likelihood::new(&rows, often, held_out))
            }
            Flow::Augmented(_) => Self::Joint(Joint::new(data, often, held_out)),
            Flow::Cartesian(_) => unreachable!("made for this model"),
        })
    }

    /// Configurations for training and held out.
    pub fn counts(&self) -> [usize; 2] {
        match self {
            Self::Located(data) => data.counts(),
            Self::Joint(data) => data.counts(),
        }
    }

    /// The loss of new configurations, with its gradient.
    pub fn losses(&self, model: &Model, count: usize, random: &mut ChaCha8Rng) -> Losses {
        match (self, model.flow()) {
            (Self::Located(data), Flow::Internal(flow)) => data.losses(flow, count, random),
            (Self::Joint(data), Flow::Augmented(flow)) => data.losses(flow, count, random),
            _ => unreachable!("made for this model"),
        }
    }

    /// The loss of all that is held out: the sum, each as often as it weighs, and of the weights.
    pub fn held_out(&self, model: &Model, random: &mut ChaCha8Rng) -> (f64, f64) {
        match (self, model.flow()) {
            (Self::Located(data), Flow::Internal(flow)) => data.held_out(flow),
            (Self::Joint(data), Flow::Augmented(flow)) => data.held_out(flow, random),
            _ => unreachable!("made for this model"),
        }
    }
}
