//! Gradients of the reverse divergence.

use super::*;
use crate::model::batch;
use crate::weights::Weights;

/// That along a direction of parameters a gradient is the difference of the value it is of.
fn assert_is_slope(model: &Model, gradient: &[f32], value: impl Fn(&InternalFlow) -> f64) {
    let direction = normal(gradient.len(), 8);
    let pairs = gradient.iter().zip(&direction);
    let slope: f64 = pairs.map(|(g, v)| f64::from(*g) * v).sum();
    let step = 3e-3;
    let [above, below] = [step, -step].map(|step| {
        let pairs = model.parameters().into_iter().zip(&direction);
        let moved: Vec<f32> = pairs.map(|(p, v)| p + (step * v) as f32).collect();
        value(internal(&model.clone().with_parameters(&moved)))
    });
    let difference = (above - below) / (2.0 * step);
    assert!(
        (difference - slope).abs() < 0.03 * slope.abs().max(1.0),
        "{difference} and {slope}"
    );
}

/// A flow with latents of eight samples, and where they end.
fn flow_at_samples() -> (System, Model, Vec<f64>, Vec<f64>) {
    let (system, data) = vibrating("CCO", 100);
    let config = experiment(SPLINE, Scheme::Coupling, Stiffness::Whitened);
    let model = model(&config, &system, &data);
    let flow = internal(&model);
    let latents = flow.latents(&Samples::consecutive(5, 0..8));
    let z = batch(&latents, model.latent_shape(), &Device::flex());
    let here = host(flow.chain.forward(z, &flow.context).unwrap().0);
    (system, model, latents, here)
}

#[test]
fn the_gradient_along_paths_is_the_slope_of_the_divergence_without_the_part_that_has_no_mean() {
    // Σ ln q − ln p moves with the parameters θ by the paths of the samples, and by ∂ ln q/∂θ where they are, which has the mean zero.
    let (system, model, latents, here) = flow_at_samples();
    let potential = |positions: &[f64]| {
        let size = system.energy.points() * 3;
        let mut forces = vec![0.0; positions.len()];
        let mut evaluator = system.energy.evaluator().unwrap();
        let energies = evaluator.evaluate_batch(positions, &mut forces, size);
        // A hundredth of the energy, so that rounding in single precision is small beside the slope.
        forces.iter_mut().for_each(|force| *force *= -0.01);
        let energies = energies.into_iter().map(|u| 0.01 * u.unwrap());
        Potential {
            energies: energies.collect(),
            forces,
        }
    };
    let maps = internal(&model).trainable();
    let found = internal(&model)
        .reverse(&maps, &latents, ALL, potential)
        .unwrap();
    assert_eq!((found.cut, found.lost), (0, 0));
    let gradient = boltzflow_flow::parameters::gradients(&maps, &found.surrogate.backward());
    assert_is_slope(&model, &gradient, |flow| {
        let value = flow
            .reverse(flow.maps(), &latents, ALL, potential)
            .unwrap()
            .value;
        let fixed = flow
            .negative_log_likelihood(flow.maps(), &here, &[300.0])
            .unwrap();
        value + host(fixed)[0]
    });
}

#[test]
fn samples_weighted_among_themselves_are_learnt_from_as_many_as_they_are() {
    let (_, model, latents, here) = flow_at_samples();
    let flow = internal(&model);
    let maps = flow.trainable();
    // Next to nothing is left of the slope of the divergence.
    let terms = Terms {
        steepest: 1e-6,
        own: 2.0,
    };
    let reverse = |energies: &[f64]| {
        let potential = |positions: &[f64]| Potential {
            energies: energies.to_vec(),
            forces: vec![0.0; positions.len()],
        };
        flow.reverse(&maps, &latents, terms, potential).unwrap()
    };
    // Energies that make the weights alike, but not the same.
    let energies = reverse(&[0.0; 8]).log_weights.into_iter();
    let energies: Vec<f64> = energies.map(|log| 0.9 * log).collect();
    let found = reverse(&energies);
    let gradient = found.surrogate.backward();
    let gradient = boltzflow_flow::parameters::gradients(&maps, &gradient);
    let weights = Weights::from_log(found.log_weights).unwrap();
    let effective = weights.effective();
    assert!((2.0..7.9).contains(&effective), "{effective}");
    assert_is_slope(&model, &gradient, |flow| {
        let log_q = flow.log_likelihoods(flow.maps(), &here, &flow.context);
        let pairs = weights.normalised().iter().zip(host(log_q.unwrap()));
        let sums = pairs.map(|(weight, log_q)| -2.0 * 8.0 * weight * log_q);
        sums.sum::<f64>()
    });
}
