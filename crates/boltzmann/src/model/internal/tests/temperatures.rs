//! Flows of a range of temperatures.

use super::*;
use crate::temperatures::TemperatureError;

/// The same experiment for 300 to 900 K.
fn ranged(map: Elementwise, scheme: Scheme) -> Config {
    let mut config = experiment(map, scheme, Stiffness::Whitened);
    let ModelConfig::Internal(model) = &mut config.model else {
        panic!("an experiment of internal coordinates was made")
    };
    model.hottest = 3.0;
    config
}

const FAMILIES: [(Elementwise, Scheme); 6] = [
    (SPLINE, Scheme::Coupling),
    (SPLINE, Scheme::Maf),
    (SPLINE, Scheme::Iaf),
    (Elementwise::Bump { ramps: 2 }, Scheme::Coupling),
    (Elementwise::Affine, Scheme::Coupling),
    (Elementwise::Additive, Scheme::Coupling),
];

#[test]
fn samples_of_every_temperature_have_the_log_density_that_they_were_drawn_with() {
    let (system, data) = vibrating("CCO", 60);
    let samples = Samples::consecutive(7, 0..20);
    for (map, scheme) in FAMILIES {
        let model = model(&ranged(map, scheme), &system, &data);
        let cold = model.sample(&samples).unwrap();
        for temperature in [300.0, 480.0, 900.0] {
            let model = model.clone().at(temperature).unwrap();
            let drawn = model.sample(&samples).unwrap();
            let found = model.density(&drawn.positions, &samples).unwrap().log_q();
            let pairs = drawn.log_q().into_iter().zip(found);
            let pairs: Vec<_> = pairs.filter(|(a, _)| a.is_finite()).collect();
            assert!(pairs.len() > 15, "{map:?} {scheme:?}");
            for (a, b) in pairs {
                assert!((a - b).abs() < 2e-2, "{map:?} {scheme:?}: {a} and {b}");
            }
            assert_eq!(drawn.latents, cold.latents);
            assert_eq!(temperature == 300.0, drawn.positions == cold.positions);
        }
    }
}

#[test]
fn one_temperature_takes_no_parameter_and_a_range_one_for_each_unit_that_sees_it() {
    let (system, data) = vibrating("CCO", 40);
    for (map, scheme) in FAMILIES {
        let count = |config: &Config| model(config, &system, &data).parameters().len();
        let one = count(&experiment(map, scheme, Stiffness::Whitened));
        let ranged = ranged(map, scheme);
        let coordinates = model(&ranged, &system, &data).latent_shape()[0];
        // Two networks of eight units, and where there is one the map nearest to the data: it has one input in place of a constant zero.
        assert_eq!(count(&ranged), one + 2 * 8, "{map:?} {scheme:?}");
        assert_eq!(coordinates, 21);
    }
}

#[test]
fn each_configuration_has_the_likelihood_of_its_own_temperature() {
    let (system, data) = vibrating("CCO", 40);
    let model = model(&ranged(SPLINE, Scheme::Coupling), &system, &data);
    let flow = internal(&model);
    let located = flow.locate(&data.select(&[0, 1, 2])).unwrap();
    let temperatures = [900.0, 300.0, 500.0];
    let value = |points: &[f64], temperatures: &[f64]| {
        let loss = flow.negative_log_likelihood(flow.maps(), points, temperatures);
        host(loss.unwrap())[0]
    };
    let each = located.points.chunks(located.size).zip(temperatures);
    let each: Vec<f64> = each.map(|(x, t)| value(x, &[t])).collect();
    let all = value(&located.points, &temperatures);
    assert!((all - each.iter().sum::<f64>()).abs() < 1e-3);
    assert!((value(&located.points, &[300.0]) - all).abs() > 1e-2);
    // That of the flow at a temperature is the same.
    let samples = Samples::consecutive(0, 0..3);
    for (k, (temperature, loss)) in temperatures.into_iter().zip(each).enumerate() {
        let model = model.clone().at(temperature).unwrap();
        let found = model.density(data.select(&[0, 1, 2]).positions(), &samples);
        let log_q = found.unwrap().log_q()[k] - located.log_det[k];
        assert!((log_q + loss).abs() < 1e-3, "{log_q} and {loss}");
    }
}

#[test]
fn a_temperature_that_is_none_of_the_flows_is_refused() {
    let (system, data) = vibrating("CCO", 40);
    let ranged = model(&ranged(SPLINE, Scheme::Coupling), &system, &data);
    for temperature in [299.0, 901.0, f64::NAN, -1.0] {
        let found = ranged.clone().at(temperature).unwrap_err();
        assert!(found.to_string().contains("300 to 900 K"), "{found}");
        assert!(ranged.clone().proposing_at(temperature).is_err());
    }
    let one = experiment(SPLINE, Scheme::Coupling, Stiffness::Whitened);
    let one = model(&one, &system, &data);
    let found = one.clone().at(400.0).unwrap_err();
    assert!(matches!(found, TemperatureError::Outside { .. }), "{found}");
    // As a proposal it goes with any.
    let proposing = one.proposing_at(400.0).unwrap();
    assert_eq!(proposing.temperature(), Some(300.0));
}

#[test]
fn the_divergence_is_of_the_temperature_that_the_flow_is_at() {
    // Σ ln q − ln p of samples that the flow draws at a temperature: their log_q at it, and their energies.
    let (system, data) = vibrating("CCO", 40);
    let model = model(&ranged(SPLINE, Scheme::Coupling), &system, &data);
    let model = model.at(700.0).unwrap();
    let samples = Samples::consecutive(5, 0..8);
    let flow = internal(&model);
    let potential = |positions: &[f64]| Potential {
        energies: vec![2.5; 8],
        forces: vec![0.0; positions.len()],
    };
    let found = flow.reverse(flow.maps(), &flow.latents(&samples), ALL, potential);
    let found = found.unwrap();
    let log_q: f64 = model.sample(&samples).unwrap().log_q().iter().sum();
    assert_eq!(found.lost, 0);
    assert!((found.value - (log_q + 8.0 * 2.5)).abs() < 1e-2);
}

#[test]
fn without_data_the_chart_of_a_range_is_of_its_middle_and_reaches_its_hottest() {
    let (system, nothing) = alone("CO");
    let chart = |config: &Config| {
        let architecture = Architecture::new(config, &system, &nothing).unwrap();
        assert_eq!(architecture.flaw(), None);
        let model = Model::new(architecture, 1, &Device::flex()).unwrap();
        internal(&model).chart.clone()
    };
    let one = chart(&experiment(SPLINE, Scheme::Coupling, Stiffness::Scaled));
    let mut ranged = ranged(SPLINE, Scheme::Coupling);
    if let ModelConfig::Internal(model) = &mut ranged.model {
        model.stiff = Stiffness::Scaled;
        model.hottest = 1.1;
    }
    // So little hotter that no direction is softer than is let in.
    let found = chart(&ranged);
    let middle = 1.1_f64.powf(0.25);
    for k in 0..one.stiff.len() {
        let at = k * one.stiff.len() + k;
        let ratio = found.spread[at] / one.spread[at];
        assert!((1.0..middle + 1e-9).contains(&ratio), "{ratio}");
        let reach = found.spread[at] * found.bounds[k][1];
        assert!(reach <= one.spread[at] * one.bounds[k][1] * 1.1_f64.sqrt() + 1e-9);
        assert!((found.bounds[k][1] / one.bounds[k][1] - middle).abs() < 1e-12);
    }
    // Most directions are stiff.
    let stiff = (0..one.stiff.len()).filter(|k| {
        let at = k * one.stiff.len() + k;
        (found.spread[at] / one.spread[at] - middle).abs() < 1e-3
    });
    assert!(stiff.count() > one.stiff.len() / 2);
}
