//! Flows of positions and auxiliary points, from data to weights.

use std::path::Path;

use boltzflow_chemio::{Array, Npz};
use libtest_mimic::{Failed, Trial};

use crate::cli::{CONFIG, SIMULATE, bytes, output, succeed};
use crate::internal::json;
use crate::support::trial;

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "a_flow_with_auxiliary_points_goes_from_data_to_weights",
            false,
            a_flow_with_auxiliary_points_goes_from_data_to_weights,
        ),
        trial(
            "such_a_flow_learns_along_the_energy_with_and_without_data",
            false,
            such_a_flow_learns_along_the_energy_with_and_without_data,
        ),
        trial(
            "what_such_a_flow_has_not_is_refused",
            false,
            what_such_a_flow_has_not_is_refused,
        ),
    ]
}

const MODEL: &str = r#"
[model.augmented]
coupling = "projected"
map = { spline = { bins = 6 } }
layers = 4
width = 16
rounds = 1
channels = 4
spread = 1.0
alike = "symmetric"

"#;

/// The small experiment of a flow with auxiliary points.
pub fn config(objective: &str) -> String {
    let (_, training) = CONFIG.split_once("[training]").unwrap();
    let matching = r#"{ flow_matching = { pairing = "aligned" } }"#;
    assert!(training.contains(matching));
    format!("{MODEL}[training]{}", training.replace(matching, objective))
}

fn energy(likelihood: &str) -> String {
    format!(
        "{{ energy = {{ likelihood = {likelihood}, own = 0.1, pool = 0.0, threshold = 100.0, steepest = 100.0, hottest = 2.0, cooling = 30 }} }}"
    )
}

fn folder(objective: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.toml"), config(objective)).unwrap();
    succeed(folder.path(), SIMULATE);
    folder
}

fn numbers(at: &Path, file: &str, array: &str) -> Vec<f64> {
    let npz = Npz::read(&at.join(file)).unwrap();
    npz.array(array).unwrap().as_f64().unwrap().to_vec()
}

const TRAIN: &str = "train --target dw4 --data data.npz --config config.toml -o flow.safetensors";

fn a_flow_with_auxiliary_points_goes_from_data_to_weights() -> Result<(), Failed> {
    let folder = folder("\"likelihood\"");
    let at = folder.path();
    succeed(at, TRAIN);
    // Any sharding gives the same samples.
    succeed(at, "sample flow.safetensors -n 300 --seed 5 -o all.npz");
    for shard in 0..2 {
        succeed(
            at,
            &format!(
                "sample flow.safetensors -n 300 --seed 5 --shard {shard}/2 -o part-{shard}.npz"
            ),
        );
    }
    succeed(at, "merge part-0.npz part-1.npz -o merged.npz");
    assert_eq!(bytes(at, "merged.npz"), bytes(at, "all.npz"));
    // The file says what it is to be weighted by, and holds positions alone.
    let npz = Npz::read(&at.join("all.npz"))?;
    assert_eq!(npz.array("positions").unwrap().shape, [300, 4, 2]);
    assert_eq!(npz.array("latents").unwrap().shape, [300, 8, 2]);
    let said = npz.array("fingerprint").and_then(Array::as_text).unwrap();
    assert!(said.contains(r#""density":"joint""#), "{said}");
    let parts = numbers(at, "all.npz", "log_prior");
    let parts = parts.into_iter().zip(numbers(at, "all.npz", "log_det"));
    let log_q: Vec<f64> = parts.map(|(prior, det)| prior - det).collect();
    assert_eq!(numbers(at, "all.npz", "log_q"), log_q);
    let found = json(&succeed(at, "reweight all.npz --target dw4 --json"));
    assert_eq!(found["density"], "joint");
    assert_eq!(found["samples"], 300);
    let text = succeed(at, "reweight all.npz --target dw4");
    assert!(
        text.contains("of positions and auxiliary points together"),
        "{text}"
    );

    // Each density is an average over draws, with its error.
    succeed(at, "density flow.safetensors all.npz -o density.npz");
    assert_eq!(
        Npz::read(&at.join("density.npz"))?
            .array("draws")
            .and_then(Array::as_u64),
        Some(&[20][..])
    );
    let errors = numbers(at, "density.npz", "log_q_error");
    assert!(errors.iter().all(|error| *error > 0.0 && *error < 1.0));
    let joint = numbers(at, "density.npz", "log_q_joint");
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let averaged = numbers(at, "density.npz", "log_q");
    assert!(mean(&averaged) > mean(&joint));
    succeed(
        at,
        "density flow.safetensors all.npz --draws 1 -o one.npz --own-samples 0",
    );
    let pairs = numbers(at, "one.npz", "log_q").into_iter().zip(joint);
    assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-9));

    let evaluate = "evaluate flow.safetensors --target dw4 --reference data.npz --reference-count 100 --samples all.npz";
    let nll = |more: &str| {
        let found = json(&succeed(at, &format!("{evaluate} {more} --json")));
        let bias = found["averaged"]["bias"].as_f64();
        let draws = found["averaged"]["draws"].as_u64().unwrap();
        (draws, found["nll"]["value"].as_f64().unwrap(), bias)
    };
    let [(few, high, bias), (usual, low, _)] = [nll("--draws 2"), nll("")];
    assert_eq!((few, usual), (2, 20));
    assert!(low < high && bias.unwrap() > 0.0, "{low} and {high}");
    let text = succeed(at, evaluate);
    assert!(text.contains("averaged out by K = 20 draws"), "{text}");
    Ok(())
}

fn such_a_flow_learns_along_the_energy_with_and_without_data() -> Result<(), Failed> {
    let folder = folder(&energy("0.3"));
    let at = folder.path();
    let found = json(&succeed(at, &format!("{TRAIN} --json")));
    // Sixty steps of 32 samples, three validations of 1024, and the minimisation before.
    let calls = found["energy_calls"].as_u64().unwrap();
    assert!((4992 + 1..4992 + 200).contains(&calls), "{calls}");
    std::fs::write(at.join("config.toml"), config(&energy("0.0")))?;
    let words = "train --target dw4 --config config.toml -o alone.safetensors";
    succeed(at, words);
    succeed(at, "sample alone.safetensors -n 100 --seed 5 -o alone.npz");
    let found = json(&succeed(at, "reweight alone.npz --target dw4 --json"));
    assert_eq!(found["counts"]["kept"], 100);
    Ok(())
}

fn what_such_a_flow_has_not_is_refused() -> Result<(), Failed> {
    let folder = folder("\"likelihood\"");
    let at = folder.path();
    std::fs::write(at.join("cartesian.toml"), CONFIG)?;
    succeed(at, TRAIN);
    succeed(
        at,
        "train --target dw4 --data data.npz --config cartesian.toml -o other.safetensors",
    );
    let pool = energy("0.3").replace("pool = 0.0", "pool = 0.1");
    std::fs::write(at.join("pool.toml"), config(&pool))?;
    let sample = "sample flow.safetensors -n 10 --seed 1 -o none.npz";
    let evaluate = "--target dw4 --reference data.npz";
    for (words, expected) in [
        (
            format!("{sample} --temperature 2"),
            "for the one temperature of its data",
        ),
        (
            format!("{sample} --steps 5"),
            "--steps is for flows with an ODE",
        ),
        (
            format!("evaluate flow.safetensors {evaluate} --draws 0"),
            "0 is not in 1..",
        ),
        (
            format!("evaluate other.safetensors {evaluate} --draws 5"),
            "--draws is for flows with auxiliary points",
        ),
        (
            "density other.safetensors data.npz --draws 5 -o none.npz".to_owned(),
            "--draws is for flows with auxiliary points",
        ),
        (
            "density flow.safetensors data.npz --draws 0 -o none.npz".to_owned(),
            "0 is not in 1..",
        ),
        (
            "train --target dw4 --data data.npz --config pool.toml -o none.safetensors".to_owned(),
            "training.objective.energy.pool = 0.0",
        ),
    ] {
        let found = output(at, &words);
        let message = String::from_utf8_lossy(&found.stderr);
        assert!(!found.status.success(), "{words} succeeded");
        assert!(message.contains(expected), "{words}: {message}");
        assert!(!at.join("none.npz").exists());
    }
    Ok(())
}
