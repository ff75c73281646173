//! Files of others: what is read from them.

use std::path::PathBuf;

use boltzflow_chemio::{
    ReadOptions, Record, SdfVersion, Source, Structure, read, read_npy, read_records,
    read_trajectory, write_extxyz, write_sdf,
};
use boltzflow_molecule::BondOrder;
use libtest_mimic::{Failed, Trial};

use crate::support::{carbons, reference, trial};

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "crest_conformers_are_read_and_written_without_losing_a_bit",
            true,
            crest_conformers,
        ),
        trial(
            "the_761_records_of_the_mmff94_suite_survive_both_formats_bit_for_bit",
            true,
            validation_suite,
        ),
        trial(
            "elements_of_the_alanine_pdb_come_from_names_alone",
            true,
            alanine_elements,
        ),
        trial(
            "amber_coordinates_lie_where_the_pdb_has_them",
            true,
            alanine_coordinates,
        ),
        trial(
            "the_sixty_gaff_coordinate_files_are_read",
            true,
            gaff_coordinates,
        ),
        trial(
            "both_alanine_trajectories_are_read_whole",
            true,
            alanine_trajectories,
        ),
        trial("the_toy_samples_are_read", true, toy_samples),
    ]
}

/// A file of the reference set.
fn data(name: &str) -> Result<PathBuf, Failed> {
    reference(name).ok_or_else(|| format!("{name} is missing from the reference data").into())
}

/// Every conformer of these records, to write.
fn structures(records: &[Record]) -> impl Iterator<Item = Structure<'_>> {
    records.iter().flat_map(|record| {
        (0..record.conformers.len()).map(|index| Structure {
            molecule: &record.molecule,
            positions: record.conformers.get(index),
            tags: &record.tags[index],
        })
    })
}

fn crest_conformers() -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    let (mut molecules, mut conformers) = (0, 0);
    for entry in std::fs::read_dir(data("geom-drugs-20")?)? {
        let path = entry?.path().join("crest_conformers.xyz");
        if !path.exists() {
            continue;
        }
        let record = read(&path, &ReadOptions::default())?;
        molecules += 1;
        conformers += record.conformers.len();
        for (name, sdf) in [("a.extxyz", false), ("a.sdf", true)] {
            let copy = directory.path().join(name);
            let all = structures(std::slice::from_ref(&record));
            if sdf {
                write_sdf(&copy, all, SdfVersion::V3000)?;
            } else {
                write_extxyz(&copy, all)?;
            }
            let back = read(&copy, &ReadOptions::default())?;
            assert_eq!(back.conformers, record.conformers, "{}", path.display());
            assert_eq!(back.molecule.atoms, record.molecule.atoms);
        }
    }
    assert_eq!(molecules, 20);
    assert!(conformers > 20 * 2, "{conformers} conformers");
    Ok(())
}

fn validation_suite() -> Result<(), Failed> {
    let path = data("mmff94-validation/MMFF94_dative.sdf.gz")?;
    let source = Source::open(&path, &ReadOptions::default())?;
    let frames = source.frames().collect::<Result<Vec<_>, _>>()?;
    assert_eq!(frames.len(), 761);
    let charged = frames
        .iter()
        .filter(|frame| {
            frame
                .molecule
                .atoms
                .iter()
                .any(|atom| atom.formal_charge != 0)
        })
        .count();
    assert!(charged > 100, "{charged} molecules with charges");
    let directory = tempfile::tempdir()?;
    let all = || {
        frames.iter().map(|frame| Structure {
            molecule: &frame.molecule,
            positions: &frame.positions,
            tags: &frame.tags,
        })
    };
    for (name, version) in [
        ("a.sdf", SdfVersion::V2000),
        ("b.sdf.gz", SdfVersion::V3000),
    ] {
        let copy = directory.path().join(name);
        write_sdf(&copy, all(), version)?;
        let back = Source::open(&copy, &ReadOptions::default())?
            .frames()
            .collect::<Result<Vec<_>, _>>()?;
        // Four decimals came in, so four decimals lose nothing.
        assert!(back == frames, "{version:?} does not give the records back");
    }
    let copy = directory.path().join("a.extxyz");
    write_extxyz(&copy, all())?;
    let source = Source::open(&copy, &ReadOptions::default())?;
    for (frame, back) in frames.iter().zip(source.frames()) {
        let back = back?;
        assert_eq!(
            (&frame.positions, &frame.molecule.atoms),
            (&back.positions, &back.molecule.atoms)
        );
        assert_eq!(frame.molecule.name, back.molecule.name);
    }
    let records = read_records(&path, &ReadOptions::default())?;
    assert_eq!(
        records
            .iter()
            .map(|record| record.conformers.len())
            .sum::<usize>(),
        761
    );
    Ok(())
}

fn alanine_elements() -> Result<(), Failed> {
    // No element columns, names such as 1HH3.
    let expected = "HCHHCONHCHCHHHCONHCHHH";
    for name in [
        "alanine-dipeptide-ff96-obc1/alanine-dipeptide.pdb",
        "alanine-dipeptide-md/ala2.pdb",
    ] {
        let record = read(&data(name)?, &ReadOptions::default())?;
        let symbols: String = record
            .molecule
            .atoms
            .iter()
            .map(|atom| atom.element.symbol())
            .collect();
        assert_eq!(symbols, expected, "{name}");
        let residues: Vec<&str> = record
            .molecule
            .residues
            .iter()
            .map(|residue| residue.name.as_str())
            .collect();
        assert_eq!(residues, ["ACE", "ALA", "NME"], "{name}");
        assert!(
            record
                .molecule
                .bonds
                .iter()
                .all(|bond| bond.order == BondOrder::Unknown)
        );
    }
    Ok(())
}

fn alanine_coordinates() -> Result<(), Failed> {
    let pdb = read(
        &data("alanine-dipeptide-ff96-obc1/alanine-dipeptide.pdb")?,
        &ReadOptions::default(),
    )?;
    let options = ReadOptions {
        molecule: Some(&pdb.molecule),
        format: None,
    };
    let crd = read(
        &data("alanine-dipeptide-ff96-obc1/alanine-dipeptide.crd")?,
        &options,
    )?;
    for (ours, theirs) in crd
        .conformers
        .positions()
        .iter()
        .zip(pdb.conformers.positions())
    {
        assert!(
            (ours - theirs).abs() < 6e-4,
            "{ours} Å in the coordinates, {theirs} Å in the PDB"
        );
    }
    Ok(())
}

fn gaff_coordinates() -> Result<(), Failed> {
    let mut files = 0;
    for entry in std::fs::read_dir(data("gaff-prmtop")?)? {
        let path = entry?.path();
        if path
            .extension()
            .is_none_or(|extension| extension != "inpcrd")
        {
            continue;
        }
        files += 1;
        let text = std::fs::read_to_string(&path)?;
        let count = text
            .lines()
            .nth(1)
            .and_then(|line| line.split_whitespace().next())
            .ok_or("no count")?
            .parse()?;
        let molecule = carbons(count);
        let record = read(
            &path,
            &ReadOptions {
                molecule: Some(&molecule),
                format: None,
            },
        )?;
        assert_eq!(record.conformers.len(), 1);
        let fewer = carbons(count - 1);
        let message = read(
            &path,
            &ReadOptions {
                molecule: Some(&fewer),
                format: None,
            },
        )
        .err()
        .ok_or("no error")?
        .to_string();
        assert!(
            message.contains(&format!(
                "it has {count} atoms, but the molecule has {}",
                count - 1
            )),
            "{message}"
        );
    }
    assert_eq!(files, 60);
    Ok(())
}

fn alanine_trajectories() -> Result<(), Failed> {
    let pdb = read(
        &data("alanine-dipeptide-md/ala2.pdb")?,
        &ReadOptions::default(),
    )?;
    // As many frames as the header of each file and its log state.
    for (name, frames) in [("trajectory-0.dcd", 9999), ("trajectory-1.dcd", 10_000)] {
        let path = data(&format!("alanine-dipeptide-md/{name}"))?;
        let conformers = read_trajectory(&path, &pdb.molecule)?;
        assert_eq!(conformers.len(), frames, "{name}");
        // C-O of the acetyl group: a bond is a bond in every frame.
        for frame in &conformers {
            let square: f64 = (0..3)
                .map(|axis| (frame[12 + axis] - frame[15 + axis]).powi(2))
                .sum();
            assert!(
                (1.0..1.5).contains(&square.sqrt()),
                "{name}: {} Å",
                square.sqrt()
            );
        }
    }
    Ok(())
}

fn toy_samples() -> Result<(), Failed> {
    let array = read_npy(&data("toy/dw4_reference.npy")?)?;
    assert_eq!(array.shape, [52000, 8]);
    let numbers = array.as_f64().ok_or("not reals")?;
    assert!(numbers.iter().all(|number| number.abs() < 20.0));
    Ok(())
}
