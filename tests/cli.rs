//! The program as a user runs it.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};

use assert_cmd::cargo::cargo_bin_cmd;
use boltzflow_flow::simd::Level;
use libtest_mimic::{Failed, Trial};

use crate::support::trial;

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "shards_merge_to_the_bytes_of_the_whole",
            false,
            shards_merge_to_the_bytes_of_the_whole,
        ),
        trial(
            "the_number_of_threads_changes_no_bit",
            false,
            the_number_of_threads_changes_no_bit,
        ),
        trial(
            "samples_of_another_simd_level_are_another_run",
            false,
            samples_of_another_simd_level_are_another_run,
        ),
        trial(
            "shards_of_generate_share_a_checkpoint_and_merge_to_the_whole",
            false,
            shards_of_generate_share_a_checkpoint_and_merge_to_the_whole,
        ),
        trial(
            "a_flow_of_dw4_is_weighted_and_evaluated",
            false,
            a_flow_of_dw4_is_weighted_and_evaluated,
        ),
    ]
}

/// A small experiment.
pub const CONFIG: &str = r#"
[model]
width = 16
layers = 2
edges = "initial"
schedule = 3.0
alike = "attached"
[solver]
method = "rk4"
divergence = "exact"
[solver.steps.fixed]
count = 6
[training]
seed = 1
steps = 60
batch = 32
learning_rate = 3e-3
warm_up = 10
weight_decay = 1e-4
clip = 1.0
average = 0.9
pairing = "aligned"
validation = 0.1
validate_every = 20
patience = 0
checkpoint_every = 7
"#;

/// The program with these words, in a folder.
pub fn program(folder: &Path, words: &str) -> Command {
    let path = cargo_bin_cmd!("boltzflow").get_program().to_owned();
    let mut command = Command::new(path);
    command.current_dir(folder).args(words.split_whitespace());
    command
}

/// What the program does with these words in this folder.
pub fn output(folder: &Path, words: &str) -> Output {
    program(folder, words).output().unwrap()
}

/// What it prints, if it succeeds.
pub fn succeed(folder: &Path, words: &str) -> String {
    let output = output(folder, words);
    assert!(
        output.status.success(),
        "{words}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Data for it.
pub const SIMULATE: &str = "simulate --target dw4 -n 600 --burn-in 200 --replicas 2 --ladders 2 --stride 4 --seed 3 -o data.npz";
/// Its training.
pub const TRAIN: &str =
    "train --target dw4 --data data.npz --config config.toml -o flow.safetensors";

/// A folder with data and config, and a trained flow if asked.
pub fn folder(trained: bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.toml"), CONFIG).unwrap();
    succeed(folder.path(), SIMULATE);
    if trained {
        succeed(folder.path(), TRAIN);
    }
    folder
}

/// A file's bytes.
pub fn bytes(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap()
}

fn shards_merge_to_the_bytes_of_the_whole() -> Result<(), Failed> {
    let folder = folder(true);
    let at = folder.path();
    succeed(at, "sample flow.safetensors -n 300 --seed 5 -o whole.npz");
    let mut parts = String::new();
    for index in 0..3 {
        succeed(
            at,
            &format!(
                "sample flow.safetensors -n 300 --seed 5 --shard {index}/3 -o part-{index}.npz"
            ),
        );
        write!(parts, "part-{index}.npz ")?;
    }
    succeed(at, &format!("merge {parts} -o merged.npz"));
    assert!(
        bytes(at, "whole.npz") == bytes(at, "merged.npz"),
        "shards differ from the whole"
    );
    let missing = output(at, "merge part-0.npz part-2.npz -o merged.npz");
    assert!(String::from_utf8_lossy(&missing.stderr).contains("are missing, the first is 64"));
    let twice = output(
        at,
        "merge part-0.npz part-0.npz part-1.npz part-2.npz -o merged.npz",
    );
    assert!(String::from_utf8_lossy(&twice.stderr).contains("sample 0 is in more than one file"));
    Ok(())
}

fn the_number_of_threads_changes_no_bit() -> Result<(), Failed> {
    let folder = folder(false);
    let at = folder.path();
    let mut found = Vec::new();
    for threads in [1, 2] {
        let flow = format!("flow-{threads}.safetensors");
        succeed(
            at,
            &format!(
                "train --threads {threads} --target dw4 --data data.npz --config config.toml -o {flow}"
            ),
        );
        succeed(
            at,
            &format!("sample {flow} --threads {threads} -n 200 -o samples-{threads}.npz"),
        );
        found.push((
            bytes(at, &flow),
            bytes(at, &format!("samples-{threads}.npz")),
        ));
    }
    assert!(
        found[0] == found[1],
        "one thread and two give different bits"
    );
    Ok(())
}

fn a_flow_of_dw4_is_weighted_and_evaluated() -> Result<(), Failed> {
    let folder = folder(true);
    let at = folder.path();
    succeed(at, "sample flow.safetensors -n 500 -o samples.npz");
    let summary: serde_json::Value =
        serde_json::from_str(&succeed(at, "reweight samples.npz --target dw4 --json"))?;
    assert_eq!(summary["samples"], 500);
    let ess = summary["efficiency"]["value"].as_f64().unwrap();
    assert!(ess > 0.0 && ess <= 1.0);
    let evaluation =
        "evaluate flow.safetensors --target dw4 --reference data.npz --samples samples.npz --json";
    let evaluation: serde_json::Value = serde_json::from_str(&succeed(at, evaluation))?;
    assert!(
        evaluation["nll"]["value"].as_f64().unwrap() > 7.0,
        "no flow is better than the entropy of its target"
    );
    for distance in ["energy_raw", "energy_resampled"] {
        assert!(evaluation[distance]["error"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(evaluation["verdict"], summary["verdict"]);
    assert_eq!(evaluation["efficiency"], summary["efficiency"]);
    assert_eq!(evaluation["tail"], summary["tail"]);
    // At the reference's own number of energy calls, its method has all of its effective samples.
    let equal = "evaluate flow.safetensors --target dw4 --reference data.npz --samples samples.npz --reference-calls 1200 --training-calls 700 --json";
    let equal = serde_json::from_str::<serde_json::Value>(&succeed(at, equal))?;
    let equal = &equal["equal_cost"];
    assert_eq!(equal["energy_calls"], 1200);
    let [time, exchange] =
        ["autocorrelation_time", "reference"].map(|name| equal[name].as_f64().unwrap());
    assert!(time >= 1.0 && (exchange - 600.0 / time).abs() < 1e-9);
    // The density of a sample is the one it was drawn with.
    succeed(at, "density flow.safetensors samples.npz -o density.npz");
    let read = |name: &str| {
        let npz = boltzflow_chemio::Npz::read(&at.join(name)).unwrap();
        npz.array("log_q").unwrap().as_f64().unwrap().to_vec()
    };
    for (drawn, found) in read("samples.npz").iter().zip(read("density.npz")) {
        assert!(
            (drawn - found).abs() < 2e-2,
            "{drawn} was drawn, {found} is found"
        );
    }
    Ok(())
}

fn samples_of_another_simd_level_are_another_run() -> Result<(), Failed> {
    let folder = folder(true);
    let at = folder.path();
    let best = Level::detected();
    succeed(at, "sample flow.safetensors -n 128 --shard 0/2 -o best.npz");
    succeed(
        at,
        "sample flow.safetensors -n 128 --shard 1/2 --simd baseline -o baseline.npz",
    );
    let merged = output(at, "merge best.npz baseline.npz -o merged.npz");
    if best > Level::Baseline {
        let message = String::from_utf8_lossy(&merged.stderr);
        assert!(message.contains("other SIMD level"), "{message}");
    } else {
        assert!(merged.status.success());
    }
    if best < Level::Avx512 {
        let refused = output(at, "sample flow.safetensors -n 64 --simd avx512 -o x.npz");
        let message = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && message.contains("no Avx512 instructions"));
    }
    Ok(())
}

fn shards_of_generate_share_a_checkpoint_and_merge_to_the_whole() -> Result<(), Failed> {
    let folder = folder(true);
    let at = folder.path();
    let generate = "generate --target dw4 --checkpoint flow.safetensors -n 200 --seed 5";
    succeed(at, &format!("{generate} -o whole.npz"));
    for index in 0..2 {
        succeed(
            at,
            &format!("{generate} --shard {index}/2 -o part-{index}.npz"),
        );
    }
    succeed(
        at,
        "merge part-0.samples.npz part-1.samples.npz -o merged.npz",
    );
    assert!(bytes(at, "merged.npz") == bytes(at, "whole.samples.npz"));
    Ok(())
}
