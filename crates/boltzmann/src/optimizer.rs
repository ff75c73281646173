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
        // Moments of the likelihood's gradients are not those of the energy's: what hardly moved would move far.
        let beginning = beginning(self.step, config);
        if self.step == beginning {
            self.first.fill(0.0);
            self.second.fill(0.0);
        }
        self.step += 1;
        let steps = (self.step - beginning) as f64;
        let [a, b] = DECAY;
        // The average starts short, so that it forgets the initial parameters.
        let keep = config
            .average
            .min((1.0 + self.step as f64) / (10.0 + self.step as f64)) as f32;
        let bias = [a, b].map(|decay| 1.0 - decay.powf(steps));
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

/// The step with which what counts in this step began to: the likelihood alone, or the energy.
fn beginning(step: u64, config: &TrainingConfig) -> u64 {
    let start = config.objective.start();
    if step < start { 0 } else { start }
}

/// Linear warm-up, again where the energy begins to count, under half a cosine down to a hundredth.
pub fn learning_rate(step: u64, config: &TrainingConfig) -> f64 {
    let span = config.steps.saturating_sub(config.warm_up).max(1) as f64;
    let done = (step.saturating_sub(config.warm_up) as f64 / span).min(1.0);
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
    let begun = step - beginning(step, config);
    let rate = config.learning_rate * (FLOOR + (1.0 - FLOOR) * cosine);
    if begun < config.warm_up {
        return rate * (begun + 1) as f64 / config.warm_up as f64;
    }
    rate
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{energy_after, training};

    fn config(start: u64) -> TrainingConfig {
        TrainingConfig {
            steps: 100,
            learning_rate: 1e-2,
            warm_up: 10,
            clip: 1e9,
            ..training(energy_after(start))
        }
    }

    #[test]
    fn the_rate_rises_at_the_beginning_and_where_the_energy_begins_to_count_and_falls_to_a_hundredth()
     {
        let rate = |step| learning_rate(step, &config(40)) / 1e-2;
        let plain = |step| learning_rate(step, &config(0)) / 1e-2;
        for step in 0..200 {
            let expected = match step {
                40..50 => (step - 39) as f64 / 10.0 * plain(step),
                _ => plain(step),
            };
            assert!((rate(step) - expected).abs() < 1e-12, "{step}");
        }
        assert!((plain(0) - 0.1).abs() < 1e-12 && (plain(9) - 1.0).abs() < 1e-12);
        assert!((plain(55) - 0.505).abs() < 1e-12 && (plain(100) - 0.01).abs() < 1e-12);
    }

    #[test]
    fn what_hardly_moved_before_the_energy_counted_moves_no_farther_than_all_else_then() {
        // Adam's steps are as long as the rate where a gradient stays as it is, and far longer where it has grown.
        let farthest = |start| {
            let config = config(start);
            let mut optimizer = AdamW::new(vec![0.0; 2]);
            let mut farthest = 0.0_f32;
            for step in 0..60 {
                let gradient = if step < 40 { [1.0, 1e-4] } else { [1.0, 1.0] };
                let before = optimizer.parameters[1];
                let rate = learning_rate(step, &config) as f32;
                optimizer.update(&gradient, &config);
                let moved = (optimizer.parameters[1] - before).abs() / rate;
                farthest = farthest.max(moved);
            }
            farthest
        };
        assert!(farthest(40) < 1.01, "{}", farthest(40));
        assert!(farthest(0) > 1.5, "{}", farthest(0));
    }
}
