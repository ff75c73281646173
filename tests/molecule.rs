//! Structures matched with their SMILES texts: 20 drug-like molecules and their CREST conformers (GEOM; Axelrod, 2022).

use std::fs;

use boltzflow_chemio::{ReadOptions, Source};
use boltzflow_molecule::{Molecule, MoleculeError, StereoMatch, assign_bonds, compare, stereo_of};
use libtest_mimic::{Failed, Trial};

use crate::support::{reference, trial};

/// Conformers that show another stereoisomer than the text: the molecule, and how many. RDKit 2026.9.1 finds the same five.
const OTHER_STEREO: [(&str, usize); 1] = [("rot8_39c3318a02", 5)];

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![trial(
        "every_crest_conformer_takes_its_bonds_from_its_smiles_text",
        true,
        conformers_match_their_texts,
    )]
}

fn conformers_match_their_texts() -> Result<(), Failed> {
    let table = reference("geom-drugs-20/molecules.tsv").ok_or("the reference data went away")?;
    for line in fs::read_to_string(table)?.lines() {
        let [_, smiles, name] = line.split('\t').collect::<Vec<_>>()[..] else {
            return Err(format!("molecules.tsv has the line {line:?}").into());
        };
        let template = Molecule::from_smiles(smiles)?;
        let path = reference(&format!("geom-drugs-20/{name}/crest_conformers.xyz"));
        let path = path.ok_or_else(|| format!("{name} has no conformers"))?;
        let options = ReadOptions::default();
        let (mut conformers, mut other) = (0, 0);
        for frame in Source::open(&path, &options)?.frames() {
            let frame = frame?;
            conformers += 1;
            match assign_bonds(&frame.molecule, &frame.positions, &template) {
                Ok(found) => {
                    let shown = stereo_of(&found, &frame.positions)?;
                    if compare(&found.stereo, &shown) != StereoMatch::Same {
                        return Err(format!(
                            "{name}: conformer {conformers} was matched against its stereo"
                        )
                        .into());
                    }
                }
                Err(MoleculeError::Stereo { .. } | MoleculeError::Enantiomer { .. }) => other += 1,
                Err(error) => return Err(format!("{name}: conformer {conformers}: {error}").into()),
            }
        }
        let expected = OTHER_STEREO.iter().find(|(known, _)| *known == name);
        let expected = expected.map_or(0, |(_, count)| *count);
        if conformers == 0 || other != expected {
            return Err(format!("{name}: {other} of {conformers} conformers are other stereoisomers, expected {expected}").into());
        }
    }
    Ok(())
}
