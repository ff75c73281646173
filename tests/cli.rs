//! The program as a user runs it.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use assert_cmd::cargo::cargo_bin_cmd;
use libtest_mimic::{Failed, Trial};

use crate::support::{root, trial};

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "shards_merge_to_the_bytes_of_the_whole",
            false,
            shards_merge_to_the_bytes_of_the_whole,
        ),
        trial(
            "a_killed_training_resumes_to_the_same_bytes",
            false,
            a_killed_training_resumes_to_the_same_bytes,
        ),
        trial(
            "a_killed_simulation_resumes_to_the_same_bytes",
            false,
            a_killed_simulation_resumes_to_the_same_bytes,
        ),
        trial(
            "the_number_of_threads_changes_no_bit",
            false,
            the_number_of_threads_changes_no_bit,
        ),
        trial(
            "bad_input_is_refused_with_a_message",
            false,
            bad_input_is_refused_with_a_message,
        ),
        trial(
            "a_flow_of_dw4_is_weighted_and_evaluated",
            false,
            a_flow_of_dw4_is_weighted_and_evaluated,
        ),
    ]
}

const CONFIG: &str = r#"
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

fn program(folder: &Path, words: &str) -> Command {
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

const SIMULATE: &str = "simulate --target dw4 -n 600 --burn-in 200 --replicas 2 --ladders 2 --stride 4 --seed 3 -o data.npz";
const TRAIN: &str = "train --target dw4 --data data.npz --config config.toml -o flow.safetensors";

/// A folder with data and config, and a trained flow if asked.
fn folder(trained: bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.toml"), CONFIG).unwrap();
    succeed(folder.path(), SIMULATE);
    if trained {
        succeed(folder.path(), TRAIN);
    }
    folder
}

fn bytes(folder: &Path, name: &str) -> Vec<u8> {
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

/// Kills the program again and again, each time a little later, until it has finished.
fn run_with_kills(folder: &Path, words: &str) -> usize {
    for kills in 0.. {
        let mut child = program(folder, words).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(
            150 + 97 * kills as u64 % 400 + 20 * kills as u64,
        ));
        if child
            .try_wait()
            .unwrap()
            .is_some_and(|status| status.success())
        {
            return kills;
        }
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success() || kills > 200);
    }
    unreachable!("the loop ends when the program has finished")
}

fn a_killed_training_resumes_to_the_same_bytes() -> Result<(), Failed> {
    let (whole, killed) = (folder(true), folder(false));
    run_with_kills(killed.path(), TRAIN);
    assert!(bytes(whole.path(), "flow.safetensors") == bytes(killed.path(), "flow.safetensors"));
    Ok(())
}

fn a_killed_simulation_resumes_to_the_same_bytes() -> Result<(), Failed> {
    let (whole, killed) = (folder(false), tempfile::tempdir().unwrap());
    run_with_kills(killed.path(), SIMULATE);
    assert!(bytes(whole.path(), "data.npz") == bytes(killed.path(), "data.npz"));
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

fn bad_input_is_refused_with_a_message() -> Result<(), Failed> {
    let folder = folder(true);
    let at = folder.path();
    let butane = root().join("data/butane.xyz");
    let butane = butane.display();
    let cut = &bytes(at, "flow.safetensors")[..1000];
    std::fs::write(at.join("cut.safetensors"), cut)?;
    std::fs::write(
        at.join("unknown.toml"),
        CONFIG.replace("batch = 32", "batch = 32\nbach = 3"),
    )?;
    std::fs::write(
        at.join("nan.toml"),
        CONFIG.replace("clip = 1.0", "clip = nan"),
    )?;
    succeed(at, "sample flow.safetensors -n 64 -o samples.npz");
    let cases = [
        (
            format!("generate {butane} -n 10 -o x.sdf"),
            "no bonds; give --smiles",
        ),
        (
            format!("generate {butane} --smiles CCC -n 10 -o x.sdf"),
            "C4H10",
        ),
        (
            format!("generate {butane} --smiles CCCC -n 0 -o x.sdf"),
            "-n 0 asks for no samples",
        ),
        (
            format!("generate {butane} --smiles CCCC -n 1 --temperature -5 -o x.sdf"),
            "temperature is -5",
        ),
        (
            format!("generate {butane} --smiles CCCC -n 1 --checkpoint flow.safetensors -o x.sdf"),
            "another molecule",
        ),
        (
            format!("energy {butane} --target dw4"),
            "is no usable npz file",
        ),
        (
            "sample flow.safetensors -n 0 -o x.npz".into(),
            "-n 0 asks for no samples",
        ),
        (
            "sample flow.safetensors -n 10 -o missing/x.npz".into(),
            "missing",
        ),
        (
            "sample flow.safetensors -n 10 --shard 3/3 -o x.npz".into(),
            "shard 3/3 does not exist",
        ),
        (
            "sample flow.safetensors -n 10 --shard auto -o x.npz".into(),
            "SLURM_ARRAY_TASK_ID",
        ),
        (
            "sample flow.safetensors -n 32 -o samples.npz".into(),
            "give --overwrite",
        ),
        ("sample cut.safetensors -n 10 -o x.npz".into(), "is damaged"),
        (
            "sample nothing.safetensors -n 10 -o x.npz".into(),
            "cannot read",
        ),
        (
            "train --target dw4 --data data.npz --config unknown.toml -o x.safetensors".into(),
            "bach",
        ),
        (
            "train --target dw4 --data data.npz --config nan.toml -o x.safetensors".into(),
            "training.clip is NaN",
        ),
        (
            "train --target lj:13,2,1 --data data.npz --config config.toml -o x.safetensors".into(),
            "has 13 in 3",
        ),
        (
            "train --target dw5 --data data.npz --config config.toml -o x.safetensors".into(),
            "dw4",
        ),
        (
            "reweight samples.npz --target lj:13,2,1".into(),
            "has 13 in 3",
        ),
        ("reweight data.npz --target dw4".into(), "no usable array"),
    ];
    for (words, expected) in cases {
        let output = output(at, &words);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{words} succeeded");
        assert!(message.contains(expected), "{words}: {message}");
        assert!(!message.contains("panicked"), "{words}: {message}");
    }
    for name in ["x.sdf", "x.npz", "x.safetensors"] {
        assert!(!at.join(name).exists(), "{name} was left behind");
    }
    Ok(())
}
