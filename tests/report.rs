//! What `energy`, `reweight`, `density` and `evaluate` say, and what they write.

use std::path::Path;

use boltzflow_boltzmann::{
    Density, Drawn, Fingerprint, Kind, Mirror, SampleFile, System, identity, torsions,
};
use boltzflow_chemio::{Npz, ReadOptions, Record, read};
use boltzflow_energy::{EnergyError, Implicit, Prmtop, Variant, energies};
use boltzflow_flow::simd::Level;
use boltzflow_molecule::{Conformers, Molecule, embed, geometry};
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::cli::{output, succeed};
use crate::support::{reference, root, trial};

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "the_terms_sum_to_the_energy",
            false,
            the_terms_sum_to_the_energy,
        ),
        trial(
            "every_record_and_frame_has_its_energy",
            false,
            every_record_and_frame_has_its_energy,
        ),
        trial(
            "samples_that_ran_off_are_counted_and_are_no_structures",
            false,
            samples_that_ran_off_are_counted_and_are_no_structures,
        ),
        trial(
            "weighted_structures_carry_their_tags",
            false,
            weighted_structures_carry_their_tags,
        ),
        trial(
            "wells_without_a_sample_have_no_population",
            false,
            wells_without_a_sample_have_no_population,
        ),
        trial(
            "histograms_of_a_reweighting_sum_to_one",
            false,
            histograms_of_a_reweighting_sum_to_one,
        ),
        trial(
            "torsions_of_capped_alanine_have_their_published_atoms",
            true,
            torsions_of_capped_alanine_have_their_published_atoms,
        ),
    ]
}

/// Capped alanine and its topology, as arguments.
fn alanine() -> String {
    let data = root().join("data");
    let topology = data.join("ala2-ff96-obc1.prmtop");
    format!(
        "{} --force-field {} --implicit obc1",
        data.join("ala2.pdb").display(),
        topology.display()
    )
}

fn json(folder: &Path, words: &str) -> Value {
    serde_json::from_str(&succeed(folder, words)).unwrap()
}

fn the_terms_sum_to_the_energy() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let table = json(folder.path(), &format!("energy {} --json", alanine()));
    let found = &table["structures"][0];
    let terms = found["terms"].as_object().unwrap();
    let names = [
        "bond",
        "angle",
        "torsion",
        "lennard_jones",
        "coulomb",
        "born",
        "surface",
    ];
    assert_eq!(terms.len(), names.len());
    let sum: f64 = names
        .iter()
        .map(|name| terms[*name].as_f64().unwrap())
        .sum();
    let energy = found["energy"].as_f64().unwrap();
    assert!((sum - energy).abs() < 1e-9, "{sum} for {energy}");
    let [largest, rms] = ["gradient_max", "gradient_rms"].map(|name| found[name].as_f64().unwrap());
    // 22 atoms: the largest is at least the root of the mean square, and at most √22 of it.
    assert!(rms > 0.0 && largest >= rms && largest <= rms * 22_f64.sqrt());
    let text = succeed(folder.path(), &format!("energy {}", alanine()));
    assert!(
        text.contains("born ") && text.contains("gradient max"),
        "{text}"
    );
    Ok(())
}

fn every_record_and_frame_has_its_energy() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    // Two molecules in one file, the first with two conformers.
    let butane = write_samples(at, "CCCC", 2);
    let ethanol = write_samples(at, "CCO", 1);
    let both = format!("{butane}{ethanol}");
    std::fs::write(at.join("both.sdf"), both)?;
    let table = json(at, "energy both.sdf --json");
    let rows = table["structures"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row["index"], index);
        assert!(row["energy"].is_f64());
    }
    assert!(rows[2]["system"].as_str().unwrap().contains("C2H6O"));
    // The same frames as configurations of a molecule.
    std::fs::write(at.join("butane.sdf"), &butane)?;
    let frames = json(at, "energy CCCC.npz --molecule butane.sdf --json");
    for (frame, row) in frames["structures"].as_array().unwrap().iter().zip(rows) {
        assert_eq!(frame["energy"], row["energy"]);
    }
    let wrong = output(at, "energy both.sdf --molecule butane.sdf");
    let message = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(
        !wrong.status.success() && message.contains("same elements"),
        "{message}"
    );
    let nameless = output(at, "energy CCCC.npz");
    assert!(String::from_utf8_lossy(&nameless.stderr).contains("give --molecule FILE"));
    Ok(())
}

/// Samples from a file of known energies: `log q` of conformer `k` is `−U/kT − 2 − k mod 3`.
fn write_samples(folder: &Path, smiles: &str, count: usize) -> String {
    let molecule = Molecule::from_smiles(smiles).unwrap();
    let mut conformers = embed(&molecule, 1, count).unwrap();
    conformers.center();
    let start = conformers.select(&[0]);
    let system = System::mmff(molecule.clone(), start, Variant::Mmff94s, 300.0).unwrap();
    let record = Record {
        titles: vec![String::new(); count],
        tags: vec![boltzflow_chemio::Tags::new(); count],
        conformers,
        molecule,
    };
    let path = folder.join(format!("{smiles}.sdf"));
    let structures = record.conformers.iter().zip(&record.tags);
    let structures = structures.map(|(positions, tags)| boltzflow_chemio::Structure {
        molecule: &record.molecule,
        positions,
        tags,
    });
    boltzflow_chemio::write_sdf(&path, structures, boltzflow_chemio::SdfVersion::V3000).unwrap();
    sample_file(&system, &record.conformers)
        .write(&folder.join(format!("{smiles}.npz")))
        .unwrap();
    std::fs::read_to_string(path).unwrap()
}

fn sample_file(system: &System, conformers: &Conformers) -> SampleFile {
    let kt = system.kt();
    let energies = energies(&*system.energy, conformers).unwrap();
    let log_prior = |(index, energy): (usize, Result<f64, EnergyError>)| {
        -energy.unwrap() / kt - 2.0 - (index % 3) as f64
    };
    let n = conformers.len();
    SampleFile {
        fingerprint: Fingerprint {
            model: "made by a test".to_owned(),
            molecule: identity(&system.points()),
            mirror: Mirror::Both,
            density: Density::Positions,
            seed: 7,
            count: n as u64,
            chunk: 64,
            simd: Level::current(),
            processor: Level::detected(),
            version: "0".to_owned(),
        },
        shape: [conformers.points(), 3],
        latent_shape: [conformers.points(), 3],
        numbers: (0..n as u64).collect(),
        temperature: None,
        drawn: Drawn {
            positions: conformers.positions().to_vec(),
            latents: conformers.positions().to_vec(),
            log_prior: energies.into_iter().enumerate().map(log_prior).collect(),
            log_det: vec![0.0; n],
        },
    }
}

fn samples_that_ran_off_are_counted_and_are_no_structures() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    write_samples(at, "CCCC", 12);
    let path = at.join("CCCC.npz");
    let mut file = SampleFile::read(&path).unwrap();
    let size = 3 * file.shape[0];
    file.drawn.positions[5 * size..6 * size].fill(f64::NAN);
    file.drawn.log_det[5] = f64::NAN;
    file.write(&path).unwrap();
    let words = "reweight CCCC.npz --molecule CCCC.sdf --json -o";
    for name in ["out.sdf", "out.xyz"] {
        let summary = json(at, &format!("{words} {name}"));
        assert_eq!(summary["counts"]["rejected"]["flow not finite"], 1);
        assert_eq!(summary["samples"], 12);
        let record = read(&at.join(name), &ReadOptions::default())?;
        let numbers = record.tags.iter().map(|tags| {
            let number = tags
                .value("SAMPLE")
                .and_then(boltzflow_chemio::Value::integer);
            number.unwrap()
        });
        assert!(numbers.eq((0..12).filter(|number| *number != 5)));
    }
    Ok(())
}

fn weighted_structures_carry_their_tags() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    write_samples(at, "CCCC", 12);
    let words = "reweight CCCC.npz --molecule CCCC.sdf --json -o";
    let summary = json(at, &format!("{words} out.sdf"));
    succeed(at, &format!("{words} out.xyz"));
    assert_eq!(summary["verdict"], "not_to_be_trusted");
    assert_eq!(summary["samples"], 12);
    let text = std::fs::read_to_string(at.join("out.xyz"))?;
    let tags = [
        "ENERGY_KCAL_MOL",
        "LOG_Q",
        "LOG_WEIGHT",
        "WEIGHT",
        "POPULATION",
        "TEMPERATURE_K",
        "SEED",
        "SAMPLE",
        "TRUSTED",
    ];
    for name in tags {
        let key = format!(" {}=", name.to_lowercase());
        assert!(
            text.lines().nth(1).unwrap().contains(&key),
            "no {key} in the XYZ file"
        );
    }
    for name in ["out.sdf", "out.xyz"] {
        let record = read(&at.join(name), &ReadOptions::default())?;
        assert_eq!(record.tags.len(), 12);
        let sum = |name: &str| {
            record
                .tags
                .iter()
                .map(|tags| tags.real(name).unwrap())
                .sum::<f64>()
        };
        assert!((sum("WEIGHT") - 1.0).abs() < 1e-12 && (sum("POPULATION") - 1.0).abs() < 1e-12);
        for (index, found) in record.tags.iter().enumerate() {
            assert!(
                tags.iter().all(|tag| found.value(tag).is_some()),
                "{name}: {found:?}"
            );
            let integer = |tag: &str| found.value(tag).and_then(boltzflow_chemio::Value::integer);
            assert_eq!(
                (integer("SAMPLE"), integer("SEED")),
                (Some(index as i64), Some(7))
            );
            let real = |tag: &str| found.real(tag).unwrap();
            let log_weight = real("LOG_WEIGHT");
            assert!((log_weight - 2.0 - (index % 3) as f64).abs() < 1e-9);
            let kt = boltzflow_energy::Units::Molecular.kt(real("TEMPERATURE_K"));
            assert!((-real("ENERGY_KCAL_MOL") / kt - real("LOG_Q") - log_weight).abs() < 1e-9);
            let trusted = found
                .value("TRUSTED")
                .and_then(boltzflow_chemio::Value::flag);
            assert_eq!(trusted, Some(false));
        }
    }
    let again = output(at, &format!("{words} out.sdf"));
    assert!(String::from_utf8_lossy(&again.stderr).contains("give --overwrite"));
    Ok(())
}

/// One sample is in one well. Nothing is known of the others, and no 0 ± 0 is told.
fn wells_without_a_sample_have_no_population() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    write_samples(at, "CCCC", 1);
    let text = succeed(at, "reweight CCCC.npz --molecule CCCC.sdf");
    let wells = text.lines().skip_while(|line| !line.starts_with("torsion"));
    let wells: Vec<&str> = wells.skip(1).take(4).collect();
    let empty = wells
        .iter()
        .filter(|line| line.ends_with("  no sample is here"));
    let empty = empty.count();
    let told = wells.iter().filter(|line| line.contains('±')).count();
    // Trans and no other, or gauche and one of its signs.
    assert!(empty == 3 && told == 1 || empty == 2 && told == 2, "{text}");
    Ok(())
}

fn histograms_of_a_reweighting_sum_to_one() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    write_samples(at, "CCCC", 60);
    let words = "reweight CCCC.npz --molecule CCCC.sdf --histograms";
    let summary = json(at, &format!("{words} dihedrals.npz --json"));
    let torsion = &summary["torsions"][0];
    let value = |estimate: &Value| estimate["value"].as_f64().unwrap();
    let wells: Vec<(&str, f64)> = torsion["wells"]
        .as_array()
        .unwrap()
        .iter()
        .map(|well| (well["name"].as_str().unwrap(), value(&well["population"])))
        .collect();
    let names: Vec<&str> = wells.iter().map(|well| well.0).collect();
    assert_eq!(names, ["trans", "gauche", "gauche+", "gauche−"]);
    let samples = |well: &Value| well["samples"].as_u64().unwrap();
    let counts = [0, 1].map(|k| samples(&torsion["wells"][k]));
    assert!(
        counts.iter().sum::<u64>() == 60 && counts[0] > 0,
        "{counts:?}"
    );
    assert!((wells[0].1 + wells[1].1 - 1.0).abs() < 1e-12);
    assert!((wells[2].1 + wells[3].1 - wells[1].1).abs() < 1e-12);
    let free_energy = value(&torsion["wells"][1]["free_energy"]);
    assert!((free_energy + (wells[1].1 / wells[0].1).ln()).abs() < 1e-9);
    let npz = Npz::read(&at.join("dihedrals.npz"))?;
    let numbers = |name: &str| npz.array(name).unwrap().as_f64().unwrap();
    let (centers, shares) = (numbers("center"), numbers("probability"));
    assert_eq!(npz.array("probability").unwrap().shape, [1, 36]);
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    let trans = centers
        .iter()
        .zip(shares)
        .filter(|(center, _)| center.abs() > 120.0);
    let trans = trans.map(|(_, share)| share).sum::<f64>();
    assert!((trans - wells[0].1).abs() < 1e-9, "{trans} for {wells:?}");
    assert_eq!(npz.array("names").unwrap().as_text(), Some("C1-C2-C3-C4"));
    succeed(at, &format!("{words} dihedrals.json"));
    let file: Value = serde_json::from_slice(&std::fs::read(at.join("dihedrals.json"))?)?;
    assert_eq!(file, summary["torsions"]);
    let unknown = output(at, &format!("{words} dihedrals.txt"));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("neither .json nor .npz"));
    Ok(())
}

/// φ is [4, 6, 8, 14] and ψ [6, 8, 14, 16] in the order of the reference's file (benchmarks of Boltzmann generators count so).
fn torsions_of_capped_alanine_have_their_published_atoms() -> Result<(), Failed> {
    let folder = "alanine-dipeptide-ff96-obc1";
    let files = [
        format!("{folder}/alanine-dipeptide.prmtop"),
        format!("{folder}/alanine-dipeptide.pdb"),
    ];
    let [topology, structure] = files.map(|file| reference(&file).unwrap());
    let prmtop = Prmtop::open(topology)?;
    let found = torsions(&prmtop.molecule());
    let atoms = |wanted: fn(Kind) -> bool| {
        let found = found.iter().find(|torsion| wanted(torsion.kind));
        found.map(|torsion| (torsion.name.clone(), torsion.atoms))
    };
    let phi = atoms(|kind| matches!(kind, Kind::Phi { .. }));
    let psi = atoms(|kind| matches!(kind, Kind::Psi { .. }));
    assert_eq!(phi, Some(("phi ALA 2".to_owned(), [4, 6, 8, 14])));
    assert_eq!(psi, Some(("psi ALA 2".to_owned(), [6, 8, 14, 16])));
    // Both mirror images of the peptide fold onto the same torsions.
    let record = read(&structure, &ReadOptions::default())?;
    let system = System::amber(
        &prmtop,
        Implicit::Obc1,
        &record.molecule,
        record.conformers.clone(),
        300.0,
    )?;
    let mut mirrored = record.conformers.clone();
    geometry::mirror(mirrored.get_mut(0));
    let drawn = sample_file(&system, &mirrored).drawn;
    let folded = system.reweight(&drawn, Mirror::Both)?;
    assert_eq!(folded.reflected, 1);
    let angle = |x: &[f64]| geometry::dihedral(x, [4, 6, 8, 14]);
    let (found, expected) = (
        angle(folded.conformers.get(0)),
        angle(record.conformers.get(0)),
    );
    assert!((found - expected).abs() < 1e-9);
    Ok(())
}
