//! Configurations of a system, from files of any kind.

use std::path::Path;

use anyhow::{Result, bail};
use boltzflow_boltzmann::{System, read_positions};
use boltzflow_chemio::{ReadOptions, quantum, read_records};
use boltzflow_molecule::Conformers;

use super::has_extension;

/// Reads the configurations of this system that a file holds: NPZ as `simulate` writes, or the structures and frames of any other file.
pub fn configurations(path: &Path, system: &System) -> Result<Conformers> {
    let molecule = system
        .molecule
        .as_ref()
        .map(|reference| &reference.molecule);
    let Some(molecule) = molecule.filter(|_| !has_extension(path, "npz")) else {
        let conformers = read_positions(path, &system.points())?;
        let shape = [system.energy.points(), system.energy.dims()];
        if [conformers.points(), conformers.dims()] != shape {
            bail!(
                "{} holds configurations of {} points in {} dimensions, but {} has {} in {}",
                path.display(),
                conformers.points(),
                conformers.dims(),
                system.name,
                shape[0],
                shape[1]
            );
        }
        return Ok(conformers);
    };
    let options = ReadOptions {
        molecule: Some(molecule),
        ..ReadOptions::default()
    };
    let mut conformers = Conformers::empty(system.energy.points(), system.energy.dims());
    for record in read_records(path, &options)? {
        if !molecule.elements().eq(record.molecule.elements()) {
            bail!(
                "{} holds {}, but {} needs the same elements in the same order",
                path.display(),
                record.molecule.formula(),
                system.name
            );
        }
        record.conformers.iter().for_each(|x| conformers.push(x));
    }
    Ok(conformers)
}

/// The same to learn from: what a file of few decimals has lost is filled with even noise where that is asked for, else warned of.
pub fn to_learn_from(
    path: &Path,
    system: &System,
    training: &boltzflow_boltzmann::TrainingConfig,
) -> Result<Conformers> {
    let mut data = configurations(path, system)?;
    match quantum(path) {
        Some(quantum) if training.dequantize => {
            boltzflow_boltzmann::dequantize(&mut data, quantum, training.seed);
        }
        Some(quantum) => eprintln!(
            "warning: coordinates of {} are multiples of {quantum} Å, and a flow learns these; dequantize = true in the experiment fills them up with noise",
            path.display()
        ),
        None => {}
    }
    Ok(data)
}
