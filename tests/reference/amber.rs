//! The AMBER force field against OpenMM and GROMACS.

use std::collections::BTreeMap;
use std::path::Path;

use boltzflow_chemio::{ReadOptions, read};
use boltzflow_energy::{AmberEnergy, Energy, Implicit, Prmtop};
use libtest_mimic::{Failed, Trial};

use super::{
    FORCE_TOLERANCE, FORCES, KILOCALORIE, OPENMM, OPENMM_TOLERANCE, TERM_TOLERANCE, TOPOLOGIES,
};
use crate::support::{reference, root, trial};

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "amber_energies_of_alanine_dipeptide_are_those_of_openmm",
            true,
            openmm_energies,
        ),
        trial(
            "amber_forces_of_alanine_dipeptide_are_those_of_openmm",
            true,
            openmm_forces,
        ),
        trial(
            "amber_forces_of_alanine_dipeptide_are_those_of_the_reference_data",
            true,
            older_forces,
        ),
        trial(
            "each_term_of_sixty_gaff_molecules_is_that_of_gromacs",
            true,
            gromacs_terms,
        ),
        trial(
            "atoms_of_the_alanine_pdb_are_those_of_its_topology",
            true,
            alanine_structure,
        ),
    ]
}

/// A file of the folder of alanine dipeptide.
fn alanine(name: &str) -> Result<std::path::PathBuf, Failed> {
    let path = format!("alanine-dipeptide-ff96-obc1/{name}");
    reference(&path).ok_or_else(|| format!("the reference data lack {path}").into())
}

/// Positions for this topology.
fn positions(path: &Path, prmtop: &Prmtop) -> Result<Vec<f64>, Failed> {
    let molecule = prmtop.molecule();
    let record = read(
        path,
        &ReadOptions {
            molecule: Some(&molecule),
            ..ReadOptions::default()
        },
    )?;
    Ok(record.conformers.get(0).to_vec())
}

fn openmm_energies() -> Result<(), Failed> {
    let prmtop = Prmtop::open(alanine("alanine-dipeptide.prmtop")?)?;
    for (file, implicit, expected) in OPENMM {
        let x = positions(&alanine(file)?, &prmtop)?;
        let energy = AmberEnergy::new(&prmtop, implicit)?;
        let mut gradient = vec![0.0; x.len()];
        let found = energy.evaluator()?.evaluate(&x, &mut gradient)?;
        let off = (found - expected).abs();
        if off.is_nan() || off > OPENMM_TOLERANCE {
            return Err(
                format!("{file} {implicit:?}: {found:.8} for {expected:.8} kcal/mol").into(),
            );
        }
    }
    Ok(())
}

fn openmm_forces() -> Result<(), Failed> {
    let expected: BTreeMap<String, Vec<f64>> = toml::from_str(&std::fs::read_to_string(
        root().join("tests/reference/openmm-forces.toml"),
    )?)?;
    for (name, implicit) in [
        ("vacuum", Implicit::Vacuum),
        ("hct", Implicit::Hct),
        ("obc1", Implicit::Obc1),
        ("obc2", Implicit::Obc2),
    ] {
        compare_forces(
            name,
            implicit,
            expected.get(name).ok_or("a model is missing")?,
            FORCE_TOLERANCE,
        )?;
    }
    Ok(())
}

fn older_forces() -> Result<(), Failed> {
    for (file, implicit, tolerance) in FORCES {
        let text = std::fs::read_to_string(alanine(&format!(
            "alanine-dipeptide-implicit-forces/{file}"
        ))?)?;
        compare_forces(file, implicit, &forces(&text), tolerance)?;
    }
    Ok(())
}

/// Compares our forces at the PDB's positions with others (kJ/mol/nm).
fn compare_forces(
    name: &str,
    implicit: Implicit,
    expected: &[f64],
    tolerance: f64,
) -> Result<(), Failed> {
    let prmtop = Prmtop::open(alanine("alanine-dipeptide.prmtop")?)?;
    let x = positions(&alanine("alanine-dipeptide-implicit.pdb")?, &prmtop)?;
    if expected.len() != x.len() {
        return Err(format!(
            "{name} has {} forces for {} coordinates",
            expected.len(),
            x.len()
        )
        .into());
    }
    let energy = AmberEnergy::new(&prmtop, implicit)?;
    let mut gradient = vec![0.0; x.len()];
    energy.evaluator()?.evaluate(&x, &mut gradient)?;
    let mut off = gradient
        .iter()
        .zip(expected)
        .map(|(g, f)| (-g * 10.0 * KILOCALORIE - f).abs());
    if let Some(off) = off.find(|off| off.is_nan() || *off > tolerance) {
        return Err(
            format!("{name}: a force is {off:.2e} kJ/mol/nm off, more than {tolerance}").into(),
        );
    }
    Ok(())
}

/// The attributes x, y and z of the elements `Force`, in order.
fn forces(text: &str) -> Vec<f64> {
    let lines = text
        .lines()
        .filter(|line| line.trim_start().starts_with("<Force "));
    lines
        .flat_map(|line| {
            line.split('"')
                .skip(1)
                .step_by(2)
                .filter_map(|value| value.parse().ok())
        })
        .collect()
}

fn gromacs_terms() -> Result<(), Failed> {
    let folder = reference("gaff-prmtop").ok_or("the reference data lack gaff-prmtop")?;
    let table = std::fs::read_to_string(folder.join("energies_kJ_mol.csv"))?;
    let mut lines = table.lines();
    let header: Vec<&str> = lines
        .next()
        .ok_or("the table is empty")?
        .split(',')
        .collect();
    let column = |name: &str| {
        header
            .iter()
            .position(|column| *column == name)
            .ok_or(format!("no column {name}"))
    };
    let columns = [
        ("bond", column("gromacs_bond")?),
        ("angle", column("gromacs_angle")?),
        ("torsion", column("gromacs_dihedral")?),
        ("coulomb", column("gromacs_coulomb_total")?),
        ("lennard_jones", column("gromacs_vdw_total")?),
    ];
    let (mut molecules, mut wrong) = (0, Vec::new());
    for line in lines {
        molecules += 1;
        let fields: Vec<&str> = line.split(',').collect();
        let prmtop = Prmtop::open(folder.join(format!("{}.prmtop", fields[0])))?;
        let x = positions(&folder.join(format!("{}.inpcrd", fields[0])), &prmtop)?;
        let terms = AmberEnergy::new(&prmtop, Implicit::Vacuum)?.terms(&x)?;
        for (name, column) in columns {
            let expected: f64 = fields[column].parse()?;
            let found = terms
                .iter()
                .find(|(term, _)| *term == name)
                .ok_or("a term is missing")?
                .1
                * KILOCALORIE;
            let off = (found - expected).abs();
            if off.is_nan() || off > TERM_TOLERANCE {
                wrong.push(format!(
                    "{} {name}: {found:.6} for {expected:.6}",
                    fields[0]
                ));
            }
        }
    }
    if molecules != TOPOLOGIES {
        return Err(
            format!("{molecules} molecules are in the table, {TOPOLOGIES} were expected").into(),
        );
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n").into())
    }
}

fn alanine_structure() -> Result<(), Failed> {
    let prmtop = Prmtop::open(alanine("alanine-dipeptide.prmtop")?)?;
    let record = read(
        &alanine("alanine-dipeptide-implicit.pdb")?,
        &ReadOptions::default(),
    )?;
    prmtop.check_structure(&record.molecule)?;
    let reversed: Vec<usize> = (0..record.molecule.len()).rev().collect();
    match prmtop.check_structure(&record.molecule.reordered(&reversed)) {
        Err(error) if error.to_string().contains("in the same order") => Ok(()),
        other => Err(format!("a structure in another order gave {other:?}").into()),
    }
}
