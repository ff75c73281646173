//! Flows of a range of temperatures, from all replicas of a replica exchange to weights at any of them.

use std::path::Path;

use boltzflow_chemio::{Array, Npz};
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::cli::{bytes, output, succeed};
use crate::internal::{BOTH, MOLECULE, SPLINE, config, json};
use crate::support::{root, trial};

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "one_flow_samples_every_temperature_of_its_range",
            false,
            one_flow_samples_every_temperature_of_its_range,
        ),
        trial(
            "frames_of_other_temperatures_are_not_taken_for_the_systems",
            false,
            frames_of_other_temperatures_are_not_taken_for_the_systems,
        ),
        trial(
            "generate_goes_from_a_range_to_any_of_its_temperatures",
            false,
            generate_goes_from_a_range_to_any_of_its_temperatures,
        ),
        trial(
            "temperatures_that_cannot_be_are_refused",
            false,
            temperatures_that_cannot_be_are_refused,
        ),
    ]
}

/// The same experiment for 300 to 900 K.
fn ranged(objective: &str, steps: usize) -> String {
    config(SPLINE, objective, steps).replace("\nhottest = 1.0\n", "\nhottest = 3.0\n")
}

/// An experiment that learns from frames of hotter replicas as well.
fn mixed(config: &str) -> String {
    config.replace("\nvalidate_every", "\nhotter = 0.1\nvalidate_every")
}

/// A folder with the molecule and this experiment.
fn folder(config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::copy(root().join("data/butane.xyz"), at.join("butane.xyz")).unwrap();
    std::fs::write(at.join("config.toml"), config).unwrap();
    folder
}

fn simulate(at: &Path, more: &str) -> Value {
    let words = "--burn-in 200 --replicas 3 --ladders 2 --stride 4 --seed 3 --json";
    json(&succeed(at, &format!("simulate {MOLECULE} {words} {more}")))
}

fn numbers(at: &Path, file: &str, array: &str) -> Vec<f64> {
    let npz = Npz::read(&at.join(file)).unwrap();
    npz.array(array).unwrap().as_f64().unwrap().to_vec()
}

/// A mean and its error.
fn estimate(value: &Value) -> [f64; 2] {
    ["value", "error"].map(|name| value[name].as_f64().unwrap())
}

/// The variance of the distance of the first two atoms.
fn bond_variance(at: &Path, file: &str) -> f64 {
    let positions = numbers(at, file, "positions");
    let lengths = positions.chunks(14 * 3).map(|x| {
        let squares = (0..3).map(|axis| (x[axis] - x[3 + axis]).powi(2));
        squares.sum::<f64>().sqrt()
    });
    let lengths: Vec<f64> = lengths.collect();
    let n = lengths.len() as f64;
    let mean = lengths.iter().sum::<f64>() / n;
    lengths.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / n
}

fn one_flow_samples_every_temperature_of_its_range() -> Result<(), Failed> {
    let folder = folder(&ranged(BOTH, 300));
    let at = folder.path();
    let simulated = simulate(at, "-n 1500 --all-temperatures -o data.npz");
    succeed(
        at,
        &format!("train {MOLECULE} --data data.npz --config config.toml -o flow.safetensors"),
    );
    let ladder = simulated["temperatures"].as_array().unwrap();
    let mut variances = Vec::new();
    for rung in ladder {
        let temperature = rung["temperature"].as_f64().unwrap();
        let file = format!("{temperature:.0}.npz");
        succeed(
            at,
            &format!(
                "sample flow.safetensors -n 2000 --seed 5 --temperature {temperature} -o {file}"
            ),
        );
        assert_eq!(numbers(at, &file, "temperature"), [temperature]);
        let found = json(&succeed(
            at,
            &format!("reweight {file} {MOLECULE} --temperature {temperature} --json"),
        ));
        let efficiency = found["efficiency"]["value"].as_f64().unwrap();
        assert!(efficiency > 0.05, "{temperature}: {found}");
        let ([mean, error], [expected, other]) = (
            estimate(&found["mean_energy"]),
            estimate(&rung["mean_energy"]),
        );
        assert!(
            (mean - expected).abs() < 4.0 * error.hypot(other),
            "{temperature} K: {mean} ± {error}, but {expected} ± {other} in replica exchange"
        );
        variances.push(bond_variance(at, &file));
    }
    // Of a stiff bond it is proportional to the temperature.
    for (variance, expected) in variances.iter().zip([1.0, 3.0_f64.sqrt(), 3.0]) {
        let ratio = variance / variances[0] / expected;
        assert!((0.75..1.33).contains(&ratio), "{variances:?}");
    }
    // Another temperature than the target's makes a worse proposal, which is said, and right weights.
    let words = format!("reweight 520.npz {MOLECULE} --json");
    let done = output(at, &words);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    assert!(said.contains("weighted here for 300 K"), "{said}");
    // Its density is that of the temperature that is named.
    let density = "density flow.safetensors 900.npz --own-samples 0 --json";
    let found = json(&succeed(
        at,
        &format!("{density} --temperature 900 -o density.npz"),
    ));
    assert_eq!(found["temperature"], 900.0);
    let pairs = numbers(at, "900.npz", "log_q").into_iter();
    for (a, b) in pairs.zip(numbers(at, "density.npz", "log_q")) {
        assert!((a - b).abs() < 2e-2, "{a} and {b}");
    }
    let found = json(&succeed(at, &format!("{density} -o cold.npz")));
    assert_eq!(found["temperature"], 300.0);
    let log_q = ["density.npz", "cold.npz"].map(|file| numbers(at, file, "log_q"));
    let mean = log_q.map(|log_q| log_q.iter().map(|q| q.max(-1e3)).sum::<f64>() / 2000.0);
    assert!(mean[1] < mean[0] - 1.0, "{mean:?}");
    // A flow is compared with frames of the temperature that is asked for, and samples drawn for it.
    let evaluate = "evaluate flow.safetensors --reference data.npz --reference-count 300 --json";
    let evaluate = format!("{evaluate} {MOLECULE} --temperature 900");
    let found = json(&succeed(at, &format!("{evaluate} --samples 900.npz")));
    assert_eq!(found["reference"], 300);
    let done = output(at, &format!("{evaluate} --samples 300.npz"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        !done.status.success() && said.contains("drawn for 300 K"),
        "{said}"
    );
    Ok(())
}

fn frames_of_other_temperatures_are_not_taken_for_the_systems() -> Result<(), Failed> {
    let folder = folder(&config(SPLINE, "\"likelihood\"", 10));
    let at = folder.path();
    let lowest = simulate(at, "-n 300 -o lowest.npz");
    let all = simulate(at, "-n 300 --all-temperatures -o all.npz");
    for name in ["frames", "mean_energy", "torsions", "energy_calls"] {
        assert_eq!(lowest[name], all[name]);
    }
    let means = all["temperatures"].as_array().unwrap().iter();
    let means: Vec<f64> = means.map(|at| estimate(&at["mean_energy"])[0]).collect();
    assert!(means.len() == 3 && means.is_sorted(), "{means:?}");
    let temperatures = numbers(at, "all.npz", "temperatures");
    assert_eq!(temperatures.len(), 900);
    let cold = numbers(at, "all.npz", "energies");
    let cold = cold.into_iter().zip(&temperatures);
    let cold: Vec<f64> = cold
        .filter_map(|(u, t)| (*t == 300.0).then_some(u))
        .collect();
    assert_eq!(cold, numbers(at, "lowest.npz", "energies"));
    // A flow of one temperature learns from its own frames: the same bytes.
    for name in ["lowest", "all"] {
        let train = format!("train {MOLECULE} --data {name}.npz --config config.toml");
        let done = output(at, &format!("{train} -o {name}.safetensors"));
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{said}");
        assert_eq!(said.contains("300 of 900 frames"), name == "all", "{said}");
        let density = format!("density lowest.safetensors {name}.npz --own-samples 0");
        succeed(at, &format!("{density} -o {name}-density.npz"));
    }
    for (a, b) in [
        ("lowest.safetensors", "all.safetensors"),
        ("lowest-density.npz", "all-density.npz"),
    ] {
        assert!(bytes(at, a) == bytes(at, b), "{b} is of other frames");
    }
    // Unless a share of them is to be of hotter ones.
    std::fs::write(
        at.join("mixed.toml"),
        mixed(&config(SPLINE, "\"likelihood\"", 10)),
    )?;
    let train = format!("train {MOLECULE} --data all.npz --config mixed.toml");
    let done = output(at, &format!("{train} -o mixed.safetensors"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    assert!(said.contains("900 of 900 weigh anything"), "{said}");
    // (900)²/(300 · 2.7² + 600 · .15²).
    assert!(said.contains("worth 368.1 that"), "{said}");
    assert!(bytes(at, "mixed.safetensors") != bytes(at, "all.safetensors"));
    let evaluated = ["lowest", "all"].map(|name| {
        let evaluate = format!("evaluate lowest.safetensors {MOLECULE} --reference {name}.npz");
        json(&succeed(at, &format!("{evaluate} --json")))
    });
    assert_eq!(evaluated[0], evaluated[1]);
    Ok(())
}

fn generate_goes_from_a_range_to_any_of_its_temperatures() -> Result<(), Failed> {
    let folder = folder(&ranged(BOTH, 20));
    let at = folder.path();
    let generate = "generate butane.xyz --smiles CCCC -n 64 --seed 4 --json";
    let found = json(&succeed(
        at,
        &format!("{generate} --config config.toml --frames 300 -o out.sdf"),
    ));
    assert_eq!(found["samples"], 64);
    // Held out are a tenth of the frames of four replicas, those at the system's temperature.
    let held_out = numbers(at, "out.held-out.npz", "log_q");
    assert_eq!(held_out.len(), 30);
    assert_eq!(numbers(at, "out.samples.npz", "temperature"), [300.0]);
    let one = mixed(&config(SPLINE, BOTH, 20));
    std::fs::write(at.join("mixed.toml"), one)?;
    let more = "--config mixed.toml --frames 300 -o mixed.sdf";
    succeed(at, &format!("{generate} {more}"));
    assert_eq!(numbers(at, "mixed.held-out.npz", "log_q").len(), 30);
    let hotter = format!("{generate} --checkpoint out.safetensors --temperature");
    succeed(at, &format!("{hotter} 500 -o hot.sdf"));
    assert_eq!(numbers(at, "hot.samples.npz", "temperature"), [500.0]);
    assert_ne!(
        numbers(at, "hot.samples.npz", "positions"),
        numbers(at, "out.samples.npz", "positions")
    );
    let done = output(at, &format!("{hotter} 1000 -o hotter.sdf"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        !done.status.success() && said.contains("300 to 900 K"),
        "{said}"
    );
    Ok(())
}

fn temperatures_that_cannot_be_are_refused() -> Result<(), Failed> {
    let folder = folder(&ranged(BOTH, 4));
    let at = folder.path();
    simulate(at, "-n 100 -o lowest.npz");
    simulate(at, "-n 100 --all-temperatures -o all.npz");
    let train = format!("train {MOLECULE} --config");
    succeed(
        at,
        &format!("{train} config.toml --data all.npz -o range.safetensors"),
    );
    std::fs::write(at.join("one.toml"), config(SPLINE, "\"likelihood\"", 4))?;
    succeed(
        at,
        &format!("{train} one.toml --data all.npz -o one.safetensors"),
    );
    std::fs::write(
        at.join("mixed.toml"),
        mixed(&config(SPLINE, "\"likelihood\"", 4)),
    )?;
    std::fs::write(at.join("both.toml"), mixed(&ranged(BOTH, 4)))?;
    let cooling = BOTH.replace("hottest = 1.0", "hottest = 2.0");
    std::fs::write(at.join("cooling.toml"), ranged(&cooling, 4))?;
    std::fs::write(at.join("likelihood.toml"), ranged("\"likelihood\"", 4))?;
    let colder = config(SPLINE, BOTH, 4).replace("\nhottest = 1.0\n", "\nhottest = 0.5\n");
    std::fs::write(at.join("colder.toml"), colder)?;
    let frames = Npz::read(&at.join("all.npz"))?;
    let positions = frames.array("positions").unwrap();
    for (name, temperatures) in [("short", vec![300.0; 7]), ("cold", vec![-1.0; 300])] {
        let temperatures = Array::new(&[temperatures.len()], temperatures);
        let arrays = [("positions", positions), ("temperatures", &temperatures)];
        Npz::write(&at.join(format!("{name}.npz")), &arrays)?;
    }
    let evaluate = format!("evaluate range.safetensors {MOLECULE} --reference all.npz");
    for (words, message) in [
        (
            "sample range.safetensors -n 64 --temperature 901".to_owned(),
            "300 to 900 K",
        ),
        (
            "sample range.safetensors -n 64 --temperature nan".to_owned(),
            "300 to 900 K",
        ),
        (
            "sample one.safetensors -n 64 --temperature 400".to_owned(),
            "for 300 K, but 400 K",
        ),
        (
            format!("{train} cooling.toml --data all.npz"),
            "learns all of them from the start",
        ),
        (
            format!("{train} mixed.toml --data lowest.npz"),
            "asks for some at 300 and some above",
        ),
        (
            format!("{train} mixed.toml --data all.npz --temperature 2000"),
            "asks for some at 2000 and some above",
        ),
        (
            format!("{train} both.toml --data all.npz"),
            "learns frames as of their own",
        ),
        (
            format!("{train} colder.toml --data all.npz"),
            "model.internal.hottest is 0.5",
        ),
        (
            format!("{train} likelihood.toml --data lowest.npz"),
            "simulate --all-temperatures",
        ),
        (
            format!("{train} config.toml --data short.npz"),
            "one number a configuration",
        ),
        (
            format!("{train} config.toml --data cold.npz"),
            "must be above 0",
        ),
        (
            format!("{train} one.toml --data all.npz --temperature 350"),
            "none of which is one of",
        ),
        (
            format!("{evaluate} --temperature 350"),
            "holds no frames at the temperature 350",
        ),
        (format!("{evaluate} --temperature 200"), "300 to 900 K"),
        (
            "density range.safetensors all.npz --temperature 350".to_owned(),
            "no frames at",
        ),
    ] {
        let words = if words.starts_with("evaluate") {
            words
        } else {
            format!("{words} -o x.npz")
        };
        let done = output(at, &words);
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{words}: {said}");
        assert!(said.contains(message), "{words}: {said}");
        assert!(!at.join("x.npz").exists(), "{words}");
    }
    Ok(())
}
