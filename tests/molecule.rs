//! Structures matched with what says what they are: SMILES texts (20 drug-like molecules and their CREST conformers: GEOM; Axelrod, 2022),
//! and template files.

use std::fs;
use std::path::Path;

use boltzflow_boltzmann::System;
use boltzflow_chemio::{
    ReadOptions, Record, SdfVersion, Source, Structure, Tags, read, write_extxyz, write_sdf,
};
use boltzflow_energy::{Implicit, Prmtop};
use boltzflow_molecule::{
    BondOrder, Molecule, MoleculeError, StereoMatch, assign_bonds, compare, embed, geometry,
    stereo_of,
};
use libtest_mimic::{Failed, Trial};

use crate::cli::{output, succeed};
use crate::support::{reference, root, trial};

/// Conformers that show another stereoisomer than the text: the molecule, and how many. RDKit 2026.9.1 finds the same five.
const OTHER_STEREO: [(&str, usize); 1] = [("rot8_39c3318a02", 5)];

/// Capped L-alanine, and its mirror image.
const ALANINE: [&str; 2] = ["CC(=O)N[C@@H](C)C(=O)NC", "CC(=O)N[C@H](C)C(=O)NC"];

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "every_crest_conformer_takes_its_bonds_from_its_smiles_text",
            true,
            conformers_match_their_texts,
        ),
        trial(
            "a_template_says_what_a_structure_is_in_any_order_of_its_atoms",
            false,
            templates_match,
        ),
        trial(
            "a_template_of_another_stereoisomer_or_molecule_is_refused",
            false,
            templates_that_do_not_match,
        ),
        trial(
            "a_topology_takes_bond_orders_and_charges_from_a_template",
            false,
            topologies_take_orders,
        ),
        trial(
            "a_template_with_other_bonds_than_the_topology_is_refused",
            false,
            templates_of_other_bonds,
        ),
    ]
}

/// Writes a molecule at these positions, with its bonds if the name says SDF.
fn write(folder: &Path, name: &str, molecule: &Molecule, positions: &[f64]) -> Result<(), Failed> {
    let path = folder.join(name);
    let structure = Structure {
        molecule,
        positions,
        tags: &Tags::new(),
    };
    if name.contains("sdf") {
        write_sdf(&path, [structure], SdfVersion::V3000)?;
    } else {
        write_extxyz(&path, [structure])?;
    }
    Ok(())
}

/// The molecule of a SMILES text with its first embedded geometry.
fn embedded(text: &str) -> Result<(Molecule, Vec<f64>), Failed> {
    let molecule = Molecule::from_smiles(text)?;
    let x = embed(&molecule, 1, 1)?.get(0).to_vec();
    Ok((molecule, x))
}

/// A molecule and its positions with the atoms in another order.
fn shuffled(molecule: &Molecule, x: &[f64]) -> (Molecule, Vec<f64>) {
    let order: Vec<usize> = (0..molecule.len()).rev().collect();
    let x = order.iter().flat_map(|&atom| x[3 * atom..][..3].to_vec());
    (molecule.reordered(&order), x.collect())
}

fn templates_match() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    for text in [ALANINE[0], "C/C=C\\CF", "C[NH2+]CC(=O)[O-]"] {
        let (molecule, x) = embedded(text)?;
        write(at, "a.xyz", &molecule, &x)?;
        write(at, "same.sdf", &molecule, &x)?;
        let (other, moved) = shuffled(&molecule, &x);
        write(at, "shuffled.sdf", &other, &moved)?;
        let energy = |words: &str| -> Result<f64, Failed> {
            let found = succeed(at, &format!("energy a.xyz {words} --json"));
            let found: serde_json::Value = serde_json::from_str(&found)?;
            Ok(found["structures"][0]["energy"]
                .as_f64()
                .ok_or("no energy")?)
        };
        let expected = energy(&format!("--smiles {text}"))?;
        for template in ["same.sdf", "shuffled.sdf"] {
            let found = energy(&format!("--template {template}"))?;
            assert!((found - expected).abs() < 1e-9, "{text} by {template}");
        }
    }
    Ok(())
}

fn templates_that_do_not_match() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    let refused = |words: &str| {
        let output = output(at, &format!("energy a.xyz --template {words}"));
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{words} is accepted: {message}");
        message
    };
    let (molecule, x) = embedded(ALANINE[0])?;
    write(at, "a.xyz", &molecule, &x)?;
    let mut mirrored = x.clone();
    geometry::mirror(&mut mirrored);
    write(at, "d.sdf", &molecule, &mirrored)?;
    let message = refused("d.sdf");
    assert!(message.contains("the other enantiomer"), "{message}");
    // A drawing of it has no handedness.
    let mut flat = mirrored;
    flat.iter_mut().skip(2).step_by(3).for_each(|z| *z = 0.0);
    write(at, "flat.sdf", &molecule, &flat)?;
    succeed(at, "energy a.xyz --template flat.sdf");
    let (other, other_x) = embedded("CC(=O)NCCC(=O)NC")?;
    write(at, "other.sdf", &other, &other_x)?;
    let message = refused("other.sdf");
    assert!(message.contains("other bonds"), "{message}");
    let (other, other_x) = embedded("CCCC")?;
    write(at, "butane.sdf", &other, &other_x)?;
    let message = refused("butane.sdf");
    assert!(message.contains("the template is C4H10"), "{message}");

    let (trans, x) = embedded("C/C=C/CF")?;
    write(at, "a.xyz", &trans, &x)?;
    let (cis, x) = embedded("C/C=C\\CF")?;
    write(at, "cis.sdf", &cis, &x)?;
    let message = refused("cis.sdf");
    assert!(message.contains("double bond"), "{message}");
    Ok(())
}

/// Our structure and topology of capped alanine.
fn alanine() -> Result<(Record, Prmtop), Failed> {
    let data = root().join("data");
    Ok((
        read(&data.join("ala2.pdb"), &ReadOptions::default())?,
        Prmtop::open(data.join("ala2-ff96-obc1.prmtop"))?,
    ))
}

fn topologies_take_orders() -> Result<(), Failed> {
    let (record, prmtop) = alanine()?;
    let template = Molecule::from_smiles(ALANINE[0])?;
    let structure = assign_bonds(&record.molecule, record.conformers.get(0), &template)?;
    let system = |structure: &Molecule| {
        let start = record.conformers.clone();
        System::amber(&prmtop, Implicit::Obc1, structure, start, 300.0)
    };
    let plain = system(&record.molecule)?;
    let dressed = system(&structure)?;
    assert_eq!(plain.name, dressed.name);
    let [plain, dressed] = [plain, dressed].map(|system| system.molecule);
    let (plain, dressed) = plain.zip(dressed).ok_or("no molecule")?;
    assert!(
        plain
            .molecule
            .bonds
            .iter()
            .all(|bond| bond.order == BondOrder::Unknown),
        "a topology knows no orders"
    );
    assert_eq!(dressed.molecule.bonds, structure.bonds);
    assert_eq!(dressed.molecule.atoms, plain.molecule.atoms);
    assert_eq!(dressed.stereo.centers, plain.stereo.centers);
    let double = |molecule: &Molecule| {
        let double = |bond: &&boltzflow_molecule::Bond| bond.order == BondOrder::Double;
        molecule.bonds.iter().filter(double).count()
    };
    assert_eq!(double(&dressed.molecule), 2);

    // The same by the program, from a text and from an SDF file.
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    for name in ["ala2.pdb", "ala2-ff96-obc1.prmtop"] {
        fs::copy(root().join("data").join(name), at.join(name))?;
    }
    write(at, "ala2.sdf", &structure, record.conformers.get(0))?;
    let words = "--force-field ala2-ff96-obc1.prmtop --json";
    let expected = succeed(at, &format!("energy ala2.pdb {words}"));
    for more in [
        format!("ala2.pdb --smiles {}", ALANINE[0]),
        "ala2.pdb --template ala2.sdf".to_owned(),
        "ala2.sdf".to_owned(),
    ] {
        assert_eq!(succeed(at, &format!("energy {more} {words}")), expected);
    }
    Ok(())
}

fn templates_of_other_bonds() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    for name in ["ala2.pdb", "ala2-ff96-obc1.prmtop"] {
        fs::copy(root().join("data").join(name), at.join(name))?;
    }
    let (record, prmtop) = alanine()?;
    let template = Molecule::from_smiles(ALANINE[0])?;
    let mut structure = assign_bonds(&record.molecule, record.conformers.get(0), &template)?;
    let fewer = structure.bonds[1..].to_vec();
    structure.set_bonds(fewer)?;
    write(at, "fewer.sdf", &structure, record.conformers.get(0))?;
    for (words, expected) in [
        (
            format!("ala2.pdb --smiles {}", ALANINE[1]),
            "the other enantiomer",
        ),
        ("ala2.pdb --smiles CC(=O)NCCC(=O)NC".into(), "other bonds"),
        ("ala2.pdb --smiles CCCC".into(), "the template is C4H10"),
        ("fewer.sdf".into(), "are bonded in the topology only"),
    ] {
        let output = output(
            at,
            &format!("energy {words} --force-field ala2-ff96-obc1.prmtop"),
        );
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{words} is accepted");
        assert!(message.contains(expected), "{words}: {message}");
    }
    // What says nothing of orders says nothing of bonds either.
    for bond in &mut structure.bonds {
        bond.order = BondOrder::Unknown;
    }
    let start = record.conformers;
    System::amber(&prmtop, Implicit::Vacuum, &structure, start, 300.0)?;
    Ok(())
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
