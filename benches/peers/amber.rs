//! Our side of `benches/peers/openmm_energy.py`: AMBER energies and gradients on one thread, timed.
//!
//! One JSON object a line: `{"prmtop": file, "implicit": "obc2", "positions": [[…], …], "batch": 8, "repeats": 100}` is answered by
//! `{"us": microseconds per energy and gradient, "energies": […]}` (Å, kcal/mol). Batch 0 evaluates one conformer after another.

mod lines;

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use boltzflow_energy::{AmberEnergy, Energy, Implicit, Prmtop};

#[derive(serde::Deserialize)]
struct Request {
    prmtop: PathBuf,
    implicit: Implicit,
    positions: Vec<Vec<f64>>,
    batch: usize,
    repeats: usize,
}

fn answer(request: &Request) -> Result<serde_json::Value, Box<dyn Error>> {
    let energy = AmberEnergy::new(&Prmtop::open(&request.prmtop)?, request.implicit)?;
    let mut evaluator = energy.evaluator()?;
    let size = 3 * energy.points();
    let x = request.positions.concat();
    if x.is_empty() || x.len() % size != 0 {
        return Err(format!(
            "{} coordinates are no conformers of {} atoms",
            x.len(),
            energy.points()
        )
        .into());
    }
    let mut gradients = vec![0.0; x.len()];
    let mut energies = Vec::new();
    let start = Instant::now();
    for _ in 0..request.repeats {
        energies.clear();
        if request.batch == 0 {
            for (x, gradient) in x.chunks_exact(size).zip(gradients.chunks_exact_mut(size)) {
                energies.push(evaluator.evaluate(x, gradient));
            }
            continue;
        }
        let chunk = size * request.batch;
        for (x, gradients) in x.chunks(chunk).zip(gradients.chunks_mut(chunk)) {
            energies.extend(evaluator.evaluate_batch(x, gradients, size));
        }
    }
    let us = start.elapsed().as_secs_f64() * 1e6 / (request.repeats * energies.len()).max(1) as f64;
    let energies = energies.into_iter().collect::<Result<Vec<f64>, _>>()?;
    Ok(serde_json::json!({ "us": us, "energies": energies }))
}

fn main() -> Result<(), Box<dyn Error>> {
    lines::serve(|request: Request| answer(&request))
}
