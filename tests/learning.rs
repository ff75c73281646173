//! What `train` takes configurations for: how often each counts, and how exact it is; and what it makes itself.

use std::fmt::Write;
use std::path::Path;

use boltzflow_chemio::{Array, Npz};
use boltzflow_molecule::geometry::dihedral;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::cli::{self, CONFIG, bytes, output, succeed};
use crate::internal::{FITTED, MOLECULE, SPLINE, config, folder};
use crate::support::trial;

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "conformers_are_learnt_from_as_often_as_they_weigh",
            false,
            conformers_are_learnt_from_as_often_as_they_weigh,
        ),
        trial(
            "rounded_coordinates_are_filled_up_or_warned_of",
            false,
            rounded_coordinates_are_filled_up_or_warned_of,
        ),
        trial(
            "a_flow_of_positions_learns_from_what_it_makes_itself",
            false,
            a_flow_of_positions_learns_from_what_it_makes_itself,
        ),
        trial(
            "annealed_samples_are_learnt_from_without_data",
            false,
            annealed_samples_are_learnt_from_without_data,
        ),
    ]
}

/// The lines of a log that have an entry.
fn lines_with(at: &Path, log: &str, entry: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(at.join(log)).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &Value| !line[entry].is_null())
        .collect()
}

fn assert_refused(at: &Path, words: &str, expected: &str) {
    let found = output(at, words);
    let message = String::from_utf8_lossy(&found.stderr);
    assert!(
        !found.status.success() && message.contains(expected),
        "{words}: {message}"
    );
}

fn a_flow_of_positions_learns_from_what_it_makes_itself() -> Result<(), Failed> {
    let folder = cli::folder(true);
    let at = folder.path();
    let write = |name: &str, pairing: &str| {
        std::fs::write(at.join(name), CONFIG.replace("\"aligned\"", pairing))
    };
    let own = |share: &str| {
        format!(
            "\"aligned\", improvement = {{ start = 0, every = 20, samples = 200, rounds = 2, share = {share} }}"
        )
    };
    write("reflow.toml", "{ reflow = { pairs = 200 } }")?;
    write("some.toml", &own("0.5"))?;
    write("all.toml", &own("1.0"))?;
    let train = |config: &str, more: &str| {
        format!("train --target dw4 --config {config}.toml -o {config}.safetensors {more}")
    };
    for config in ["reflow", "all"] {
        assert_refused(at, &train(config, ""), "give --from FLOW.safetensors");
        let both = "--data data.npz --from flow.safetensors";
        assert_refused(at, &train(config, both), "nothing from --data");
        let found = succeed(at, &train(config, "--from flow.safetensors"));
        assert!(found.starts_with("60 steps done"), "{found}");
    }
    assert_refused(at, &train("some", ""), "give --data FILE.npz");
    let found = succeed(at, &train("some", "--data data.npz"));
    assert!(found.contains("600 energy calls"), "{found}");
    for (config, learns) in [("some", false), ("all", true)] {
        let log = format!("{config}.log.jsonl");
        let rounds = lines_with(at, &log, "round");
        assert_eq!(rounds.len(), 3, "{rounds:?}");
        for line in &rounds {
            let round = &line["round"];
            assert_eq!(
                (&round["samples"], &round["energies"]),
                (&200.into(), &200.into())
            );
            assert!(round["effective"].as_f64().unwrap() > 1.0, "{round}");
        }
        // The first of an untrained flow is left out, beside data; alone it is learnt from.
        assert_eq!(rounds[0]["round"]["learnt"], learns, "{rounds:?}");
    }
    Ok(())
}

fn annealed_samples_are_learnt_from_without_data() -> Result<(), Failed> {
    let told = "{ fab = { between = 2, leapfrog = 3, least = 128, most = 512, updates = 4, correction = 10.0, threshold = 100.0 } }";
    let folder = folder(&config(SPLINE, told, 30));
    let at = folder.path();
    let train = format!("train {MOLECULE} --config config.toml -o flow.safetensors");
    assert_refused(
        at,
        &format!("{train} --data data.npz"),
        "nothing from --data",
    );
    let found = succeed(at, &train);
    assert!(
        found.starts_with("30 steps done") && found.contains("energy calls"),
        "{found}"
    );
    let lines = lines_with(at, "flow.log.jsonl", "annealed");
    assert_eq!(lines.len(), 1, "{lines:?}");
    let annealed = &lines[0]["annealed"];
    assert_eq!(annealed["samples"], 128);
    assert_eq!(annealed["energy_calls"], 128 * 7);
    Ok(())
}

/// A fit to frames of which the gauche ones weigh nine times as much; and to what `reweight` has written.
fn conformers_are_learnt_from_as_often_as_they_weigh() -> Result<(), Failed> {
    let text = FITTED.replace("rarest = 0.02", "rarest = 0.0");
    let folder = folder(&text.replace("validation = 0.1", "validation = 0.0"));
    let at = folder.path();
    let read = |name: &str| {
        let npz = Npz::read(&at.join(name)).unwrap();
        npz.array("positions").unwrap().as_f64().unwrap().to_vec()
    };
    let frames = read("data.npz");
    let is_gauche = |x: &[f64]| dihedral(x, [0, 1, 2, 3]).abs() < 2.0;
    let gauche: Vec<bool> = frames.chunks(14 * 3).map(is_gauche).collect();
    let weight = |&gauche: &bool| if gauche { 9.0 } else { 1.0 };
    let mut weights: Vec<f64> = gauche.iter().map(weight).collect();
    let all: f64 = weights.iter().sum();
    let expected = weights.iter().filter(|w| **w > 1.0).sum::<f64>() / all;
    let n = weights.len();
    let write = |name: &str, weights: Vec<f64>| {
        let arrays = [
            ("positions", &Array::new(&[n, 14, 3], frames.clone())),
            ("weights", &Array::new(&[n], weights)),
        ];
        Npz::write(&at.join(name), &arrays).unwrap();
    };
    write("weighted.npz", weights.clone());
    let train = format!("train {MOLECULE} --config config.toml --data");
    let told = |words: &str| {
        let found = output(at, words);
        let message = String::from_utf8_lossy(&found.stderr).into_owned();
        (found.status.success(), message)
    };
    let (done, message) = told(&format!("{train} weighted.npz -o flow.safetensors"));
    assert!(
        done && message.contains("as often as they weigh"),
        "{message}"
    );
    succeed(
        at,
        "sample flow.safetensors -n 2000 --seed 1 -o samples.npz",
    );
    let found = read("samples.npz")
        .chunks(14 * 3)
        .filter(|x| is_gauche(x))
        .count() as f64
        / 2000.0;
    // Four standard errors.
    assert!((found - expected).abs() < 0.045, "{found} and {expected}");
    succeed(
        at,
        &format!("reweight samples.npz {MOLECULE} -o weighted.sdf"),
    );
    let (done, message) = told(&format!("{train} weighted.sdf -o again.safetensors"));
    assert!(
        done && message.contains("of weighted.sdf are learnt from as often"),
        "{message}"
    );
    let evaluate = format!("evaluate flow.safetensors {MOLECULE} --reference weighted.sdf");
    let (done, message) = told(&evaluate);
    assert!(
        !done && message.contains("holds weighted configurations"),
        "{message}"
    );
    weights[3] = -1.0;
    write("negative.npz", weights);
    let (done, message) = told(&format!("{train} negative.npz -o none.safetensors"));
    assert!(
        !done && message.contains("configuration 4 of negative.npz has the weight -"),
        "{message}"
    );
    let text = std::fs::read_to_string(at.join("weighted.sdf"))?;
    let some = text
        .replacen("<POPULATION>", "<NONE>", 1)
        .replacen("<WEIGHT>", "<NEITHER>", 1);
    std::fs::write(at.join("some.sdf"), some)?;
    let (done, message) = told(&format!("{train} some.sdf -o none.safetensors"));
    assert!(
        !done && message.contains("1999 of 2000 structures of some.sdf have"),
        "{message}"
    );
    Ok(())
}

fn rounded_coordinates_are_filled_up_or_warned_of() -> Result<(), Failed> {
    let folder = folder(&config(SPLINE, "\"likelihood\"", 5));
    let at = folder.path();
    let frames = Npz::read(&at.join("data.npz"))?;
    let positions = frames.array("positions").unwrap().as_f64().unwrap();
    let mut pdb = String::new();
    for (model, x) in positions.chunks(14 * 3).take(100).enumerate() {
        writeln!(pdb, "MODEL     {:>4}", model + 1)?;
        for (atom, x) in x.chunks(3).enumerate() {
            let (element, serial) = (if atom < 4 { "C" } else { "H" }, atom + 1);
            let name = format!("{element}{serial}");
            writeln!(
                pdb,
                "HETATM{serial:>5} {name:<4} BUT A   1    {:>8.3}{:>8.3}{:>8.3}  1.00  0.00          {element:>2}",
                x[0], x[1], x[2]
            )?;
        }
        writeln!(pdb, "ENDMDL")?;
    }
    std::fs::write(at.join("rounded.pdb"), pdb + "END\n")?;
    let train = format!("train {MOLECULE} --data rounded.pdb --config config.toml");
    let found = output(at, &format!("{train} -o plain.safetensors"));
    let message = String::from_utf8_lossy(&found.stderr);
    assert!(found.status.success(), "{message}");
    assert!(message.contains("multiples of 0.001 Å"), "{message}");
    let text = config(SPLINE, "\"likelihood\"", 5);
    std::fs::write(
        at.join("config.toml"),
        text.replace("dequantize = false", "dequantize = true"),
    )?;
    let found = output(at, &format!("{train} -o filled.safetensors"));
    let message = String::from_utf8_lossy(&found.stderr);
    assert!(found.status.success(), "{message}");
    assert!(!message.contains("warning"), "{message}");
    assert_ne!(
        bytes(at, "filled.safetensors"),
        bytes(at, "plain.safetensors")
    );
    Ok(())
}
