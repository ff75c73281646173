//! Files of others: what is read from them.

use std::path::{Path, PathBuf};

use boltzflow_chemio::{
    ReadOptions, Record, SdfVersion, Source, Structure, read, read_npy, read_records,
    read_trajectory, write_extxyz, write_sdf,
};
use boltzflow_energy::{AmberEnergy, Energy, Implicit, Prmtop};
use boltzflow_molecule::BondOrder;
use libtest_mimic::{Failed, Trial};

use crate::cli::{output, succeed};
use crate::support::{carbons, reference, root, trial};

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
        trial(
            "amber_coordinates_are_a_molecule_with_their_topology",
            false,
            restart_with_topology,
        ),
        trial(
            "gaff_coordinates_and_alanine_trajectories_are_molecules_with_their_topologies",
            true,
            reference_with_topologies,
        ),
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

/// Coordinates as AMBER writes them.
fn restart(positions: &[f64]) -> String {
    let lines = positions.chunks(6).map(|line| {
        let numbers = line.iter().map(|x| format!("{x:12.7}"));
        numbers.collect::<String>() + "\n"
    });
    let atoms = positions.len() / 3;
    format!("made by hand\n{atoms:6}\n{}", lines.collect::<String>())
}

/// The energies that the program finds for the structures of a file.
fn energies(at: &Path, words: &str) -> Result<Vec<f64>, Failed> {
    let found: serde_json::Value =
        serde_json::from_str(&succeed(at, &format!("energy {words} --json")))?;
    let structures = found["structures"].as_array().ok_or("no structures")?;
    let energies = structures.iter().map(|found| found["energy"].as_f64());
    let energies: Option<Vec<f64>> = energies.collect();
    energies.ok_or_else(|| format!("{words}: a structure has no energy").into())
}

fn restart_with_topology() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    for name in ["ala2.pdb", "ala2-ff96-obc1.prmtop"] {
        std::fs::copy(root().join("data").join(name), at.join(name))?;
    }
    let record = read(&at.join("ala2.pdb"), &ReadOptions::default())?;
    let text = restart(record.conformers.get(0));
    std::fs::write(at.join("ala2.rst7"), &text)?;
    std::fs::write(at.join("ala2.inpcrd"), text)?;
    let topology = "--force-field ala2-ff96-obc1.prmtop --implicit obc1";
    let expected = energies(at, &format!("ala2.pdb {topology}"))?;
    for (input, molecule) in [("rst7", "rst7"), ("pdb", "inpcrd"), ("inpcrd", "pdb")] {
        let words = format!("ala2.{input} --molecule ala2.{molecule} {topology}");
        assert_eq!(energies(at, &words)?, expected, "{words}");
    }
    let simulate = "simulate --burn-in 0 --stride 1 --replicas 1 -n 1 -o a.npz --molecule";
    succeed(at, &format!("{simulate} ala2.rst7 {topology}"));
    // Without a topology nothing says what the atoms are.
    for words in [
        "energy ala2.rst7",
        "simulate -n 1 -o b.npz --molecule ala2.rst7",
    ] {
        let message = output(at, words).stderr;
        let message = String::from_utf8_lossy(&message);
        assert!(message.contains("--force-field FILE.prmtop"), "{message}");
    }
    Ok(())
}

fn reference_with_topologies() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    for name in ["mobley_1017962", "mobley_36119", "mobley_929676"] {
        for extension in ["inpcrd", "prmtop"] {
            let path = data(&format!("gaff-prmtop/{name}.{extension}"))?;
            std::fs::copy(path, at.join(name).with_extension(extension))?;
        }
        let prmtop = Prmtop::open(at.join(name).with_extension("prmtop"))?;
        let molecule = prmtop.molecule();
        let options = ReadOptions {
            molecule: Some(&molecule),
            ..ReadOptions::default()
        };
        let record = read(&at.join(name).with_extension("inpcrd"), &options)?;
        let mut gradient = vec![0.0; record.conformers.size()];
        let expected = AmberEnergy::new(&prmtop, Implicit::Vacuum)?
            .evaluator()?
            .evaluate(record.conformers.get(0), &mut gradient)?;
        let words = format!("{name}.inpcrd --molecule {name}.inpcrd --force-field {name}.prmtop");
        assert_eq!(energies(at, &words)?, [expected], "{name}");
    }
    let trajectory = data("alanine-dipeptide-md/trajectory-1.dcd")?;
    std::fs::copy(trajectory, at.join("ala2.dcd"))?;
    let topology = root().join("data/ala2-ff96-obc1.prmtop");
    std::fs::copy(topology, at.join("ala2.prmtop"))?;
    let found = energies(at, "ala2.dcd --molecule ala2.dcd --force-field ala2.prmtop")?;
    assert_eq!(found.len(), 10_000);
    Ok(())
}

fn toy_samples() -> Result<(), Failed> {
    let array = read_npy(&data("toy/dw4_reference.npy")?)?;
    assert_eq!(array.shape, [52000, 8]);
    let numbers = array.as_f64().ok_or("not reals")?;
    assert!(numbers.iter().all(|number| number.abs() < 20.0));
    Ok(())
}
