//! The program as a user runs it.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};

use assert_cmd::cargo::cargo_bin_cmd;
use boltzflow_boltzmann::SampleFile;
use boltzflow_chemio::{Array, Npz, ReadOptions, read};
use boltzflow_flow::simd::Level;
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
        trial(
            "merge_replaces_nothing_by_itself",
            false,
            merge_replaces_nothing_by_itself,
        ),
        trial(
            "every_verb_has_its_result_as_one_json_object",
            false,
            every_verb_has_its_result_as_one_json_object,
        ),
        trial(
            "generate_writes_a_molecule_with_its_weights",
            false,
            generate_writes_a_molecule_with_its_weights,
        ),
        trial(
            "nothing_is_said_to_a_reader_that_has_gone",
            false,
            nothing_is_said_to_a_reader_that_has_gone,
        ),
        trial(
            "estimated_densities_are_not_weighted",
            false,
            estimated_densities_are_not_weighted,
        ),
        trial(
            "a_training_goes_on_with_its_own_vector_instructions_only",
            false,
            a_training_goes_on_with_its_own_vector_instructions_only,
        ),
        trial(
            "densities_of_a_chiral_molecule_are_folded",
            false,
            densities_of_a_chiral_molecule_are_folded,
        ),
        trial(
            "a_flow_of_other_points_has_no_density_of_a_molecule",
            false,
            a_flow_of_other_points_has_no_density_of_a_molecule,
        ),
    ]
}

/// A small experiment.
pub const CONFIG: &str = r#"
[model.cartesian]
noise = "data"
schedule = 3.0
alike = "attached"

[model.cartesian.field.egnn]
width = 16
layers = 2
channels = 1
edges = "initial"
[model.cartesian.solver]
method = "rk4"
divergence = "exact"
[model.cartesian.solver.steps.fixed]
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
objective = { flow_matching = { pairing = "aligned" } }
dequantize = false
rarest = 0.0
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

fn merge_replaces_nothing_by_itself() -> Result<(), Failed> {
    let folder = folder(true);
    let at = folder.path();
    for index in 0..2 {
        let shard = format!("--shard {index}/2 -o part-{index}.npz");
        succeed(
            at,
            &format!("sample flow.safetensors -n 128 --seed 5 {shard}"),
        );
    }
    let merge = "merge part-0.npz part-1.npz -o";
    let before = bytes(at, "part-0.npz");
    let message = |words: &str| {
        let found = output(at, words);
        assert!(!found.status.success(), "{words} succeeded");
        String::from_utf8(found.stderr).unwrap()
    };
    assert!(
        message(&format!("{merge} part-0.npz --overwrite")).contains("both a shard and the output")
    );
    assert!(message(&format!("{merge} data.npz")).contains("give --overwrite"));
    assert!(message(&format!("{merge} nowhere/whole.npz")).contains("cannot write"));
    assert!(bytes(at, "part-0.npz") == before, "a shard was touched");
    succeed(at, &format!("{merge} whole.npz"));
    let again = output(at, &format!("{merge} whole.npz"));
    assert!(
        again.status.success()
            && String::from_utf8_lossy(&again.stderr).contains("complete already")
    );
    succeed(at, &format!("{merge} data.npz --overwrite"));
    assert!(bytes(at, "data.npz") == bytes(at, "whole.npz"));
    Ok(())
}

fn every_verb_has_its_result_as_one_json_object() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    std::fs::write(at.join("config.toml"), CONFIG)?;
    let sample = "sample flow.safetensors -n 64";
    let json = |words: &str, key: &str| {
        let text = succeed(at, &format!("{words} --json"));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(!value[key].is_null(), "{words}: no {key} in {text}");
        value
    };
    let simulated = json(SIMULATE, "mean_energy");
    assert_eq!(simulated["frames"], 600);
    // The same again is complete, and says the same.
    assert_eq!(json(SIMULATE, "frames"), simulated);
    assert_eq!(json(TRAIN, "steps")["steps"], 60);
    let drawn = json(
        &format!("{sample} -o samples.npz"),
        "core_seconds_per_sample",
    );
    assert!(drawn["operations_per_sample"].as_f64().unwrap() > 1e4);
    for index in 0..2 {
        json(
            &format!("sample flow.safetensors -n 100 --shard {index}/2 -o {index}.npz"),
            "samples",
        );
    }
    assert_eq!(
        json("merge 0.npz 1.npz -o merged.npz", "samples")["samples"],
        100
    );
    assert_eq!(
        json(
            "density flow.safetensors data.npz -o density.npz",
            "configurations"
        )["not_finite"],
        0
    );
    json("reweight samples.npz --target dw4", "verdict");
    json(
        "evaluate flow.safetensors --target dw4 --reference data.npz",
        "nll",
    );
    json("energy data.npz --target dw4", "structures");
    json("info flow.safetensors", "config");
    json("info samples.npz", "arrays");
    json(
        "generate --target dw4 --config config.toml --frames 600 -n 64 -o all.npz",
        "verdict",
    );
    Ok(())
}

fn generate_writes_a_molecule_with_its_weights() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    std::fs::write(at.join("config.toml"), CONFIG)?;
    std::fs::copy(root().join("data/butane.xyz"), at.join("butane.xyz"))?;
    let words = "generate butane.xyz --smiles CCCC --config config.toml --frames 300 -n 70 --seed 4 --json -o out.sdf";
    let summary: serde_json::Value = serde_json::from_str(&succeed(at, words))?;
    assert_eq!(summary["samples"], 70);
    let rejected = summary["counts"]["rejected"].as_object().unwrap();
    let rejected: u64 = rejected.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(summary["counts"]["kept"].as_u64().unwrap() + rejected, 70);
    let samples = SampleFile::read(&at.join("out.samples.npz")).unwrap();
    let record = read(&at.join("out.sdf"), &ReadOptions::default())?;
    assert_eq!(record.molecule.bonds.len(), 13);
    assert_eq!(record.conformers.len(), 70);
    // Records are the flow's samples, in order and in full precision.
    assert_eq!(record.conformers.positions(), &samples.drawn.positions[..]);
    for (tags, log_q) in record.tags.iter().zip(samples.drawn.log_q()) {
        assert_eq!(tags.real("LOG_Q"), Some(log_q));
    }
    // A tenth of the frames was held out and tells what no sample has reached, in a complete run once more and to evaluate.
    assert_eq!(summary["unreached"]["count"], 30);
    let again: serde_json::Value = serde_json::from_str(&succeed(at, words))?;
    let evaluate = "evaluate out.safetensors --molecule butane.xyz --smiles CCCC --reference out.held-out.npz --samples out.samples.npz --json";
    let evaluated: serde_json::Value = serde_json::from_str(&succeed(at, evaluate))?;
    for other in [again, evaluated] {
        for name in ["unreached", "verdict", "reasons"] {
            assert_eq!(other[name], summary[name], "{name}");
        }
    }
    // An empty shard is no failure.
    let shard = "generate butane.xyz --smiles CCCC --checkpoint out.safetensors -n 10 --shard 1/2 -o part.sdf";
    succeed(at, shard);
    assert!(
        SampleFile::read(&at.join("part.samples.npz"))
            .unwrap()
            .numbers
            .is_empty()
    );
    // What another run left is not taken for this one's, nor removed.
    std::fs::write(at.join("new.samples.npz"), "mine")?;
    let refused = output(at, &words.replace("out.sdf", "new.sdf"));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("new.samples.npz exists"));
    assert_eq!(bytes(at, "new.samples.npz"), b"mine");
    Ok(())
}

fn nothing_is_said_to_a_reader_that_has_gone() -> Result<(), Failed> {
    let folder = folder(true);
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let mut info = program(folder.path(), "info flow.safetensors");
    let info = info.stdout(writer).output()?;
    assert_eq!(info.status.code(), Some(141));
    assert!(info.stderr.is_empty(), "{info:?}");
    Ok(())
}

fn estimated_densities_are_not_weighted() -> Result<(), Failed> {
    let folder = folder(false);
    let at = folder.path();
    let noisy = CONFIG.replace(
        "divergence = \"exact\"",
        "divergence = { hutchinson = { probes = 1, noise = \"rademacher\" } }",
    );
    std::fs::write(at.join("noisy.toml"), noisy)?;
    let generate = output(
        at,
        "generate --target dw4 --config noisy.toml --frames 600 -n 64 -o x.npz",
    );
    assert!(String::from_utf8_lossy(&generate.stderr).contains("would bias the weights"));
    assert!(!at.join("x.plan.toml").exists(), "work was begun");
    succeed(
        at,
        "train --target dw4 --data data.npz --config noisy.toml -o noisy.safetensors",
    );
    succeed(at, "sample noisy.safetensors -n 64 -o samples.npz");
    let reweight = output(at, "reweight samples.npz --target dw4");
    assert!(String::from_utf8_lossy(&reweight.stderr).contains("would bias the weights"));
    Ok(())
}

fn a_training_goes_on_with_its_own_vector_instructions_only() -> Result<(), Failed> {
    if Level::detected() == Level::Baseline {
        return Ok(());
    }
    let folder = folder(false);
    let at = folder.path();
    succeed(at, &format!("{TRAIN} --simd baseline"));
    let refused = output(at, TRAIN);
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(
        message.contains("vector instructions (--simd)"),
        "{message}"
    );
    succeed(at, &format!("{TRAIN} --simd baseline"));
    Ok(())
}

fn densities_of_a_chiral_molecule_are_folded() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    std::fs::write(
        at.join("config.toml"),
        CONFIG
            .replace("steps = 60", "steps = 2")
            .replace("warm_up = 10", "warm_up = 1"),
    )?;
    for name in ["ala2.pdb", "ala2-ff96-obc1.prmtop"] {
        std::fs::copy(root().join("data").join(name), at.join(name))?;
    }
    let molecule = "--molecule ala2.pdb --force-field ala2-ff96-obc1.prmtop --implicit obc1";
    succeed(
        at,
        &format!("simulate {molecule} -n 40 --burn-in 20 --replicas 1 --stride 1 -o data.npz"),
    );
    succeed(
        at,
        &format!("train {molecule} --data data.npz --config config.toml -o flow.safetensors"),
    );
    let frames = Npz::read(&at.join("data.npz"))?;
    let array = frames.array("positions").unwrap();
    let mut positions = array.as_f64().unwrap().to_vec();
    // The second half is reflected.
    let half = positions.len() / 2;
    positions[half..]
        .iter_mut()
        .step_by(3)
        .for_each(|x| *x = -*x);
    Npz::write(
        &at.join("both.npz"),
        &[("positions", &Array::new(&array.shape, positions))],
    )?;
    let log_q = |words: &str, name: &str| {
        let text = succeed(
            at,
            &format!("density flow.safetensors both.npz {words} -o {name}"),
        );
        let npz = Npz::read(&at.join(name)).unwrap();
        (
            text,
            npz.array("log_q").and_then(Array::as_f64).unwrap().to_vec(),
        )
    };
    let (_, flow) = log_q("", "flow.npz");
    let (text, folded) = log_q(molecule, "folded.npz");
    assert!(text.contains("20 of them are −∞"), "{text}");
    for (index, (flow, folded)) in flow.iter().zip(&folded).enumerate() {
        if index < 20 {
            assert!((folded - flow - std::f64::consts::LN_2).abs() < 1e-12);
        } else {
            assert_eq!(*folded, f64::NEG_INFINITY);
            assert!(flow.is_finite());
        }
    }
    another_stereoisomer_is_like_no_sample(at, molecule)
}

/// Though the flow makes it as often, and it is reflected.
fn another_stereoisomer_is_like_no_sample(at: &Path, molecule: &str) -> Result<(), Failed> {
    succeed(at, "sample flow.safetensors -n 40 --seed 5 -o own.npz");
    let read = |words: &str, name: &str| {
        let density = "density flow.safetensors own.npz --own-samples 50";
        succeed(at, &format!("{density} {words} -o {name}"));
        let npz = Npz::read(&at.join(name)).unwrap();
        ["log_q", "percentile"].map(|array| {
            let numbers = npz.array(array).and_then(Array::as_f64);
            numbers.unwrap().to_vec()
        })
    };
    let [_, before] = read("", "before.npz");
    let [log_q, after] = read(molecule, "after.npz");
    let wrong: Vec<usize> = (0..40).filter(|&k| log_q[k] == f64::NEG_INFINITY).collect();
    assert!(wrong.iter().any(|&k| before[k] > 1.0), "{before:?}");
    for k in 0..40 {
        let expected = if wrong.contains(&k) { 0.0 } else { before[k] };
        assert_eq!(after[k], expected, "{k}");
    }
    Ok(())
}

fn a_flow_of_other_points_has_no_density_of_a_molecule() -> Result<(), Failed> {
    let folder = folder(true);
    let at = folder.path();
    for name in ["ala2.pdb", "ala2-ff96-obc1.prmtop"] {
        std::fs::copy(root().join("data").join(name), at.join(name))?;
    }
    let words = "density flow.safetensors data.npz --molecule ala2.pdb --force-field ala2-ff96-obc1.prmtop -o x.npz";
    let refused = output(at, words);
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{message}");
    assert!(
        message.contains("another molecule or atom order"),
        "{message}"
    );
    assert!(!at.join("x.npz").exists());
    Ok(())
}
