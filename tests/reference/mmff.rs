//! MMFF94 against its validation suite (Halgren, 1996): 761 molecules with the energies of the reference implementation.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use boltzflow_chemio::{ReadOptions, Source};
use boltzflow_energy::{Energy, Mmff, Variant};
use flate2::read::GzDecoder;
use libtest_mimic::{Failed, Trial};

use super::{MMFF_EXCEPTIONS, MMFF_MOLECULES, MMFF_TOLERANCE};
use crate::support::{reference, trial};

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![trial(
        "mmff94_energies_of_the_validation_suite_agree_within_a_hundredth",
        true,
        validation_suite,
    )]
}

fn validation_suite() -> Result<(), Failed> {
    let file = |name: &str| {
        reference(&format!("mmff94-validation/{name}")).ok_or("the reference data went away")
    };
    let expected = reference_energies(&file("MMFF94_reference.log.gz")?)?;
    let path = file("MMFF94_dative.sdf.gz")?;
    let options = ReadOptions::default();
    let source = Source::open(&path, &options)?;
    let (mut molecules, mut wrong) = (0, Vec::new());
    for frame in source.frames() {
        let frame = frame?;
        molecules += 1;
        let name = frame.molecule.name.trim();
        let excepted = MMFF_EXCEPTIONS
            .iter()
            .any(|(exception, _)| *exception == name);
        let outcome = energy(&frame.molecule, &frame.positions);
        let off = match (&outcome, expected.get(name)) {
            (Ok(found), Some(expected)) if (found - expected).abs() <= MMFF_TOLERANCE => None,
            (Ok(found), Some(expected)) => Some(format!("{name}: {found:.5} for {expected:.5}")),
            (Ok(_), None) => Some(format!("{name}: not in the log")),
            (Err(error), _) => Some(format!("{name}: {error}")),
        };
        match (off, excepted) {
            (Some(off), false) => wrong.push(off),
            (None, true) => wrong.push(format!(
                "{name} is no exception any more: take it off the list"
            )),
            _ => {}
        }
    }
    if molecules != MMFF_MOLECULES {
        return Err(format!("{molecules} molecules were read instead of {MMFF_MOLECULES}").into());
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("{} deviate:\n{}", wrong.len(), wrong.join("\n")).into())
    }
}

fn energy(
    molecule: &boltzflow_molecule::Molecule,
    positions: &[f64],
) -> Result<f64, Box<dyn std::error::Error>> {
    let force_field = Mmff::new(molecule, positions, Variant::Mmff94)?;
    let mut gradient = vec![0.0; positions.len()];
    Ok(force_field
        .evaluator()?
        .evaluate(positions, &mut gradient)?)
}

/// Total energies by the names of the molecules, kcal/mol.
fn reference_energies(log: &Path) -> Result<HashMap<String, f64>, Failed> {
    let mut energies = HashMap::new();
    let mut title = String::new();
    for line in BufReader::new(GzDecoder::new(File::open(log)?)).lines() {
        let line = line?;
        let line = line.trim();
        if let Some(energy) = line.strip_prefix("Total ENERGY (Kcal)") {
            energies.insert(title.clone(), energy.trim().parse()?);
        } else if !line.is_empty() {
            line.clone_into(&mut title);
        }
    }
    Ok(energies)
}
