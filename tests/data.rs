//! The molecules that this project ships: that they are what `data/README.md` says they are.

use std::path::{Path, PathBuf};

use boltzflow_chemio::{ReadOptions, Record, read};
use boltzflow_energy::{AmberEnergy, Energy, Prmtop, Stream};
use boltzflow_molecule::geometry::dihedral;
use boltzflow_molecule::{Molecule, assign_bonds, signed_chirality};
use libtest_mimic::{Failed, Trial};

use crate::reference::{OPENMM_OURS, OPENMM_TOLERANCE};
use crate::support::{reference, trial};

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "our_topology_of_capped_alanine_has_the_energies_of_the_reference",
            true,
            topologies_agree,
        ),
        trial(
            "capped_alanine_has_the_energies_that_openmm_gives_it",
            false,
            energies_of_openmm,
        ),
        trial(
            "the_structure_of_capped_alanine_fits_its_topology_name_by_name",
            false,
            structure_fits_topology,
        ),
        trial(
            "capped_alanine_has_the_atoms_and_names_of_the_reference",
            true,
            structure_fits_reference,
        ),
        trial("capped_alanine_is_of_the_l_form", false, left_handed),
        trial(
            "butane_is_anti_and_is_matched_by_its_smiles",
            false,
            butane_is_anti,
        ),
        trial(
            "every_data_file_is_small_and_has_its_line_in_the_readme",
            false,
            files_are_listed,
        ),
    ]
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data")
}

fn structure(name: &str) -> Result<Record, Failed> {
    Ok(read(&folder().join(name), &ReadOptions::default())?)
}

fn topology() -> Result<Prmtop, Failed> {
    Ok(Prmtop::open(folder().join("ala2-ff96-obc1.prmtop"))?)
}

fn reference_file(name: &str) -> Result<PathBuf, Failed> {
    let path = reference(&format!("alanine-dipeptide-ff96-obc1/{name}"));
    path.ok_or_else(|| "the reference data went away".into())
}

fn energies_of_openmm() -> Result<(), Failed> {
    let prmtop = topology()?;
    let record = structure("ala2.pdb")?;
    let mut gradient = vec![0.0; record.conformers.size()];
    for (implicit, expected) in OPENMM_OURS {
        let energy = AmberEnergy::new(&prmtop, implicit)?;
        let found = energy
            .evaluator()?
            .evaluate(record.conformers.get(0), &mut gradient)?;
        let off = (found - expected).abs();
        if off.is_nan() || off > OPENMM_TOLERANCE {
            return Err(format!(
                "{implicit:?}: {found:.8} kcal/mol, but OpenMM says {expected:.8}"
            )
            .into());
        }
    }
    Ok(())
}

/// At our structure and at copies moved far from any minimum, where every term of either topology tells.
fn topologies_agree() -> Result<(), Failed> {
    let ours = topology()?;
    let theirs = Prmtop::open(reference_file("alanine-dipeptide.prmtop")?)?;
    let record = structure("ala2.pdb")?;
    let mut random = Stream::new(1, 0);
    let mut gradients = [
        vec![0.0; record.conformers.size()],
        vec![0.0; record.conformers.size()],
    ];
    for (implicit, _) in OPENMM_OURS {
        let [ours, theirs] = [
            AmberEnergy::new(&ours, implicit)?,
            AmberEnergy::new(&theirs, implicit)?,
        ];
        let (mut ours, mut theirs) = (ours.evaluator()?, theirs.evaluator()?);
        for spread in [0.0, 0.02, 0.05, 0.1, 0.1, 0.1] {
            let x: Vec<f64> = record
                .conformers
                .get(0)
                .iter()
                .map(|x| x + spread * random.normal())
                .collect();
            let found = ours.evaluate(&x, &mut gradients[0])?;
            let expected = theirs.evaluate(&x, &mut gradients[1])?;
            let off = (found - expected).abs();
            let mut slopes = gradients[0]
                .iter()
                .zip(&gradients[1])
                .map(|(a, b)| (a - b).abs());
            let steep = slopes.find(|slope| slope.is_nan() || *slope > 1e-5);
            if off.is_nan() || off > OPENMM_TOLERANCE || steep.is_some() {
                let moved = format!("{implicit:?}, moved by {spread} Å");
                return Err(format!("{moved}: energies differ by {off:e} kcal/mol, gradients by {steep:?} kcal/mol/Å").into());
            }
        }
    }
    Ok(())
}

fn structure_fits_topology() -> Result<(), Failed> {
    let prmtop = topology()?;
    let differences = prmtop.check_structure(&structure("ala2.pdb")?.molecule)?;
    if !differences.is_empty() {
        return Err(format!("names differ: {differences:?}").into());
    }
    if prmtop.radius_set().contains("mbondi2") {
        Ok(())
    } else {
        Err(format!("the radii are {:?}, not mbondi2", prmtop.radius_set()).into())
    }
}

fn structure_fits_reference() -> Result<(), Failed> {
    let record = read(
        &reference_file("alanine-dipeptide.pdb")?,
        &ReadOptions::default(),
    )?;
    let differences = topology()?.check_structure(&record.molecule)?;
    if differences.is_empty() {
        Ok(())
    } else {
        Err(format!("names differ: {differences:?}").into())
    }
}

fn left_handed() -> Result<(), Failed> {
    let record = structure("ala2.pdb")?;
    let x = record.conformers.get(0);
    // Seen from Hα, the carbonyl, the side chain and the nitrogen go round clockwise.
    let [nitrogen, carbonyl, side_chain, hydrogen] = [6, 14, 10, 9];
    let volume = signed_chirality(x, [nitrogen, carbonyl, side_chain, hydrogen]);
    if volume <= 0.0 {
        return Err(format!("the signed volume at Cα is {volume}: this is D-alanine").into());
    }
    assign_bonds(
        &record.molecule,
        x,
        &Molecule::from_smiles("CC(=O)N[C@@H](C)C(=O)NC")?,
    )?;
    let mirrored = assign_bonds(
        &record.molecule,
        x,
        &Molecule::from_smiles("CC(=O)N[C@H](C)C(=O)NC")?,
    );
    if mirrored.is_ok() {
        Err("the SMILES of D-alanine is matched too".into())
    } else {
        Ok(())
    }
}

fn butane_is_anti() -> Result<(), Failed> {
    let record = structure("butane.xyz")?;
    let x = record.conformers.get(0);
    assign_bonds(&record.molecule, x, &Molecule::from_smiles("CCCC")?)?;
    let torsion = dihedral(x, [0, 1, 2, 3]).to_degrees();
    if (torsion.abs() - 180.0).abs() < 1e-3 {
        Ok(())
    } else {
        Err(format!("the torsion is {torsion}°").into())
    }
}

fn files_are_listed() -> Result<(), Failed> {
    check_folder(&folder(), 200_000)?;
    // The limit of a folder of trained flows is for all of them.
    let (models, limit) = (folder().join("models"), 5_000_000);
    let total = check_folder(&models, limit)?;
    if total > limit {
        return Err(format!("data/models has {total} bytes, more than {limit}").into());
    }
    Ok(())
}

/// Checks that the files of a folder are in its README and not too large; the bytes of all of them.
fn check_folder(folder: &Path, largest: u64) -> Result<u64, Failed> {
    let readme = std::fs::read_to_string(folder.join("README.md"))?;
    let mut total = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (path, size) = (entry.path(), entry.metadata()?.len());
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if entry.file_type()?.is_dir() || name == "README.md" {
            continue;
        }
        if !readme.contains(&format!("`{name}`")) {
            return Err(format!("README.md says nothing of {}", path.display()).into());
        }
        if size > largest {
            return Err(format!("{} has {size} bytes, more than {largest}", path.display()).into());
        }
        total += size;
    }
    Ok(total)
}
