//! `energy`: energies by term and gradient norms of given structures.

use std::fmt;

use anyhow::{Context, Result, bail};
use boltzflow_boltzmann::System;
use boltzflow_chemio::{ReadOptions, read_records};
use boltzflow_energy::{EnergyError, Evaluator, Units};
use boltzflow_molecule::Conformers;
use serde::{Serialize, Serializer};

use super::{configurations, has_extension};
use crate::arguments::Energy;
use crate::report;

pub fn energy(arguments: &Energy, json: bool) -> Result<()> {
    let mut found = Vec::new();
    for (system, conformers) in systems(arguments)? {
        let mut evaluator = system.energy.evaluator()?;
        for x in &conformers {
            let outcome = Evaluated::new(&system, &mut *evaluator, x);
            found.push(Row {
                index: found.len(),
                system: system.name.clone(),
                units: system.units(),
                outcome: outcome.map_err(|error| error.to_string()),
            });
        }
    }
    let failed = found.iter().filter(|row| row.outcome.is_err()).count();
    let table = Table { structures: found };
    report::print(&table, json)?;
    if failed > 0 {
        bail!(
            "{failed} of {} structures have no energy",
            table.structures.len()
        );
    }
    Ok(())
}

/// What is to be evaluated: the structures of a file, each with its own system unless one is named apart from them.
fn systems(arguments: &Energy) -> Result<Vec<(System, Conformers)>> {
    let (path, named) = (&arguments.input, &arguments.system);
    let is_npz = has_extension(path, "npz");
    if named.target.is_some() || named.molecule.is_some() {
        let system = named.system(None)?;
        let conformers = configurations(path, &system)?.conformers;
        return Ok(vec![(system, conformers)]);
    }
    if is_npz {
        bail!(
            "{} does not say what its points are; give --molecule FILE or --target",
            path.display()
        );
    }
    let topology = named.molecule_of_topology()?;
    let options = ReadOptions {
        molecule: topology.as_ref(),
        ..ReadOptions::default()
    };
    let records = read_records(path, &options)?.into_iter();
    let system = |(index, record)| -> Result<_> {
        let system = named.molecular(record).with_context(|| {
            format!("cannot set up molecule {} of {}", index + 1, path.display())
        })?;
        let conformers = system.start.clone();
        Ok((system, conformers))
    };
    records.enumerate().map(system).collect()
}

/// All structures.
#[derive(Serialize)]
struct Table {
    structures: Vec<Row>,
}

/// One structure.
#[derive(Serialize)]
struct Row {
    /// From 0.
    index: usize,
    system: String,
    units: Units,
    #[serde(flatten, serialize_with = "outcome")]
    outcome: Result<Evaluated, String>,
}

/// An energy with its terms and the norms of its gradient.
#[derive(Serialize)]
struct Evaluated {
    energy: f64,
    /// The largest gradient of a point.
    gradient_max: f64,
    /// `√(Σ |∂U/∂xᵢ|² / N)` over the points.
    gradient_rms: f64,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "terms")]
    terms: Vec<(&'static str, f64)>,
}

impl Evaluated {
    fn new(system: &System, evaluator: &mut dyn Evaluator, x: &[f64]) -> Result<Self, EnergyError> {
        let mut gradient = vec![0.0; x.len()];
        let energy = evaluator.evaluate(x, &mut gradient)?;
        let squares = gradient
            .chunks_exact(system.energy.dims())
            .map(|point| point.iter().map(|g| g * g).sum::<f64>());
        Ok(Self {
            energy,
            gradient_max: squares.clone().fold(0.0, f64::max).sqrt(),
            gradient_rms: (squares.sum::<f64>() / system.energy.points() as f64).sqrt(),
            terms: system.energy.terms(x)?,
        })
    }
}

fn terms<S: Serializer>(terms: &[(&'static str, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(terms.iter().copied())
}

/// The energy's fields beside those of the row, or what is wrong.
fn outcome<S: Serializer>(
    outcome: &Result<Evaluated, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match outcome {
        Ok(evaluated) => evaluated.serialize(serializer),
        Err(error) => serializer.collect_map([("error", error)]),
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.structures {
            let (energy_unit, gradient_unit) = match row.units {
                Units::Molecular => ("kcal/mol", "kcal/mol/Å"),
                Units::Reduced => ("", ""),
            };
            match &row.outcome {
                Err(error) => writeln!(f, "{}: {error}", row.index)?,
                Ok(found) => {
                    writeln!(
                        f,
                        "{}: energy {:.8} {energy_unit}, gradient max {:.6}, RMS {:.6} {gradient_unit}  ({})",
                        row.index, found.energy, found.gradient_max, found.gradient_rms, row.system
                    )?;
                    for (name, value) in &found.terms {
                        writeln!(f, "   {name:<14} {value:>16.8}")?;
                    }
                }
            }
        }
        Ok(())
    }
}
