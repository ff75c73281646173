//! Flows that start from the minimum alone.

use std::f64::consts::PI;

use nalgebra::{Rotation3, Vector3};

use super::*;

#[test]
fn without_data_the_chart_is_the_harmonic_one_about_the_minimum() {
    let (system, nothing) = alone("CO");
    for stiff in [Stiffness::Whitened, Stiffness::Scaled] {
        let config = experiment(SPLINE, Scheme::Coupling, stiff);
        let architecture = Architecture::new(&config, &system, &nothing).unwrap();
        assert_eq!(architecture.flaw(), None);
        let model = Model::new(architecture, 1, &Device::flex()).unwrap();
        let chart = &internal(&model).chart;
        assert_eq!((chart.stiff.len(), chart.torsions.len()), (11, 1));
        // Samples of the flow that has learnt nothing are about 11/2 kT above the minimum, and the torsion's energy.
        let drawn = model.sample(&Samples::consecutive(3, 0..400)).unwrap();
        let ensemble = system.reweight(&drawn, Mirror::One).unwrap();
        let mut x = system.start.get(0).to_vec();
        let mut evaluator = system.energy.evaluator().unwrap();
        let settings = boltzflow_energy::Minimisation::default();
        let minimum = boltzflow_energy::minimise(&mut *evaluator, &mut x, &settings).unwrap();
        let mut excess: Vec<f64> = ensemble
            .energies
            .iter()
            .map(|energy| (energy - minimum.energy) / system.kt())
            .collect();
        excess.sort_by(f64::total_cmp);
        let median = excess[200];
        assert!((3.5..14.0).contains(&median), "{stiff:?}: {median}");
    }
}

#[test]
fn without_data_an_amide_stays_on_its_side_and_the_others_are_outside() {
    let (system, nothing) = alone("O=CNC");
    let config = experiment(SPLINE, Scheme::Coupling, Stiffness::Whitened);
    let model = model(&config, &system, &nothing);
    // A methyl group turns, and it alone.
    assert_eq!(internal(&model).chart.torsions.len(), 1);
    let samples = Samples::consecutive(3, 0..100);
    let drawn = model.sample(&samples).unwrap();
    let omega = |x: &[f64]| geometry::dihedral(x, [0, 1, 2, 3]);
    let side = omega(system.start.get(0)).cos().signum();
    assert!(
        drawn
            .positions
            .chunks(27)
            .all(|x| omega(x).cos() * side > 0.0)
    );
    // What is moved is moved with all that hangs on it.
    let mut other = drawn.positions.clone();
    for x in other.chunks_mut(27) {
        let at = |x: &[f64], atom: usize| Vector3::from_column_slice(&x[3 * atom..3 * atom + 3]);
        let (carbon, axis) = (at(x, 1), at(x, 2) - at(x, 1));
        let turn = Rotation3::new(axis.normalize() * PI);
        for atom in [0, 4] {
            let moved = carbon + turn * (at(x, atom) - carbon);
            x[3 * atom..3 * atom + 3].copy_from_slice(moved.as_slice());
        }
    }
    let found = model.density(&other, &samples).unwrap().log_q();
    assert!(
        found.iter().all(|log_q| *log_q == f64::NEG_INFINITY),
        "{found:?}"
    );
}
