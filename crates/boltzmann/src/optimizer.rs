//! AdamW over one flat vector of parameters.

use crate::config::TrainingConfig;

/// Decay of the mean of gradients, and of the mean of their squares (Kingma and Ba 2015).
const DECAY: [f64; 2] = [0.9, 0.999];
/// Added to the root of the second moment.
const EPSILON: f64 = 1e-8;
/// The last learning rate as a part of the largest.
const FLOOR: f64 = 0.01;

/// The optimiser's state: everything an identical resumption needs.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW {
    /// Steps taken.
    pub step: u64,
    /// Parameters.
    pub parameters: Vec<f32>,
    /// Their exponential moving average.
    pub average: Vec<f32>,
    /// Mean of gradients.
    pub first: Vec<f32>,
    /// Mean of squared gradients.
    pub second: Vec<f32>,
}

impl AdamW {
    /// At the start.
    pub fn new(parameters: Vec<f32>) -> Self {
        let zeros = vec![0.0; parameters.len()];
        Self {
            step: 0,
            average: parameters.clone(),
            parameters,
            first: zeros.clone(),
            second: zeros,
        }
    }

    /// One step of AdamW (Loshchilov and Hutter 2019) with the gradient's norm clipped; answers the norm before clipping.
    pub fn update(&mut self, gradient: &[f32], config: &TrainingConfig) -> f64 {
        let norm = gradient
            .iter()
            .map(|g| f64::from(*g).powi(2))
            .sum::<f64>()
            .sqrt();
        let scale = (config.clip / norm.max(f64::MIN_POSITIVE)).min(1.0) as f32;
        let rate = learning_rate(self.step, config);
        self.step += 1;
        let [a, b] = DECAY;
        // The average starts short, so that it forgets the initial parameters.
        let keep = config
            .average
            .min((1.0 + self.step as f64) / (10.0 + self.step as f64)) as f32;
        let bias = [a, b].map(|decay| 1.0 - decay.powf(self.step as f64));
        let step_size = (rate / bias[0]) as f32;
        let (root, epsilon) = ((1.0 / bias[1].sqrt()) as f32, EPSILON as f32);
        let (a, b, shrink) = (
            a as f32,
            b as f32,
            (1.0 - rate * config.weight_decay) as f32,
        );
        let moments = self.first.iter_mut().zip(&mut self.second);
        let values = self.parameters.iter_mut().zip(&mut self.average);
        for (((m, v), (p, mean)), g) in moments.zip(values).zip(gradient) {
            let g = g * scale;
            *m = a * *m + (1.0 - a) * g;
            *v = b * *v + (1.0 - b) * g * g;
            *p = *p * shrink - step_size * *m / (v.sqrt() * root + epsilon);
            *mean = keep * *mean + (1.0 - keep) * *p;
        }
        norm
    }
}

/// Linear warm-up, then half a cosine down to a hundredth.
pub fn learning_rate(step: u64, config: &TrainingConfig) -> f64 {
    if step < config.warm_up {
        return config.learning_rate * (step + 1) as f64 / config.warm_up as f64;
    }
    let span = config.steps.saturating_sub(config.warm_up).max(1) as f64;
    let done = ((step - config.warm_up) as f64 / span).min(1.0);
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
    config.learning_rate * (FLOOR + (1.0 - FLOOR) * cosine)
}
