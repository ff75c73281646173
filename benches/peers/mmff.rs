//! Our side of `rdkit_mmff.py`: energies and timings of MMFF94s, asked and answered in JSON lines.

mod lines;

use std::error::Error;
use std::time::Instant;

use boltzflow_energy::{Energy, Mmff, Variant};
use boltzflow_molecule::Molecule;
use serde::{Deserialize, Serialize};

/// A molecule, its conformers (Å), and how many of them to evaluate, again from the first one when all are done.
#[derive(Deserialize)]
struct Request {
    smiles: String,
    positions: Vec<Vec<f64>>,
    repeats: usize,
}

/// Time of one energy and gradient, and the energy of each conformer in kcal/mol.
#[derive(Serialize)]
struct Answer {
    us: f64,
    energies: Vec<f64>,
}

fn answer(request: &Request) -> Result<Answer, Box<dyn Error>> {
    let Request {
        smiles,
        positions,
        repeats,
    } = request;
    let first = positions.first().ok_or("no conformers were given")?;
    let molecule = Molecule::from_smiles(smiles)?;
    let field = Mmff::new(&molecule, first, Variant::Mmff94s)?;
    let mut evaluator = field.evaluator()?;
    let mut gradient = vec![0.0; 3 * field.points()];
    let energies = positions
        .iter()
        .map(|x| evaluator.evaluate(x, &mut gradient))
        .collect::<Result<_, _>>()?;
    let start = Instant::now();
    for x in positions.iter().cycle().take(*repeats) {
        evaluator.evaluate(x, &mut gradient)?;
    }
    Ok(Answer {
        us: 1e6 * start.elapsed().as_secs_f64() / *repeats as f64,
        energies,
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    lines::serve(|request: Request| answer(&request))
}
