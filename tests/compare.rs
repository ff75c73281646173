//! `compare`: rows that are found once, and go on where they stood.

use std::path::Path;

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::cli::{bytes, output, succeed};
use crate::support::{root, trial};

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "flows_are_compared_and_no_row_is_done_twice",
            false,
            flows_are_compared_and_no_row_is_done_twice,
        ),
        trial(
            "tables_are_those_of_their_rows",
            false,
            tables_are_those_of_their_rows,
        ),
        trial(
            "lists_that_cannot_be_compared_are_refused",
            false,
            lists_that_cannot_be_compared_are_refused,
        ),
    ]
}

const LIST: &str = r#"
samples = 320
compared = 300

[[target]]
name = "butane"
system = ["--molecule", "butane.xyz", "--smiles", "CCCC"]
frames = ["-n", "400", "--seed", "1", "--replicas", "3", "--ladders", "2", "--stride", "2", "--burn-in", "100"]
reference = ["-n", "600", "--seed", "2", "--replicas", "3", "--ladders", "2", "--stride", "2", "--burn-in", "100"]

[[target.published]]
name = "another flow"
found = "raw ESS 12 %"
source = "somewhere"

[[flow]]
name = "NICE"
configs = ["nice.toml"]

[[flow]]
name = "two stages"
configs = ["first.toml", "nice.toml"]
targets = ["butane"]
samples = 128
compared = 100
"#;

/// A folder with the molecule, the list and its experiments.
fn folder() -> Result<tempfile::TempDir, Failed> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    std::fs::copy(root().join("data/butane.xyz"), at.join("butane.xyz"))?;
    std::fs::write(at.join("list.toml"), LIST)?;
    let text = std::fs::read_to_string(root().join("configs/families/nice.toml"))?;
    let text = text.replace("start = 250", "start = 0");
    let short = |steps: usize| text.replace("steps = 1500", &format!("steps = {steps}"));
    std::fs::write(at.join("nice.toml"), short(12))?;
    std::fs::write(at.join("first.toml"), short(7))?;
    Ok(folder)
}

fn rows(found: &str) -> Vec<Value> {
    let found: Value = serde_json::from_str(found).unwrap();
    found["sections"][0]["rows"].as_array().unwrap().clone()
}

fn flows_are_compared_and_no_row_is_done_twice() -> Result<(), Failed> {
    let folder = folder()?;
    let at = folder.path();
    let found = rows(&succeed(at, "compare list.toml -o out --json"));
    // Simulation, training (every validation among it) and samples.
    let calls = |row: &Value| [0, 1, 2].map(|k| row["energy_calls"][k].as_u64().unwrap());
    let [simulated, trained, sampled] = calls(&found[0]);
    assert!(simulated > 10_000 && trained > 12 * 256, "{found:?}");
    assert_eq!((sampled, calls(&found[1])[2]), (320, 128));
    // The second stage finds the minimum again, where it is.
    assert_eq!(calls(&found[1])[1], trained + 7 * 256 + 1024 + 1);
    for (row, compared) in found.iter().zip([300, 100]) {
        assert_eq!(row["frames"], 400);
        assert!(row["core_seconds"][0].as_f64().unwrap() > 0.0);
        assert!(row["training_core_seconds"].as_f64().unwrap() > 0.0);
        assert_eq!(row["evaluation"]["reference"], compared);
    }
    let text = succeed(at, "compare list.toml -o out");
    assert!(text.contains("| two stages | 56208 | 400 |"), "{text}");
    assert!(text.contains("| replica exchange | – |"), "{text}");
    assert!(
        text.contains("another flow: raw ESS 12 % (somewhere)"),
        "{text}"
    );
    // The same row from its file: nothing is timed anew, nor simulated.
    std::fs::remove_dir_all(at.join("out/scratch"))?;
    assert_eq!(rows(&succeed(at, "compare list.toml -o out --json")), found);
    assert!(!at.join("out/scratch/butane.frames.npz").exists());
    // Without its file it is found again from the checkpoint, whose training nobody has timed.
    let flow = bytes(at, "out/butane.nice.safetensors");
    std::fs::remove_file(at.join("out/butane.nice.toml"))?;
    let again = rows(&succeed(at, "compare list.toml -o out --json"));
    assert_eq!(bytes(at, "out/butane.nice.safetensors"), flow);
    assert_eq!(again[0]["efficiency"], found[0]["efficiency"]);
    assert_eq!(again[0]["training_core_seconds"], Value::Null);
    // Another experiment's row is not taken for this one's.
    let text = std::fs::read_to_string(at.join("nice.toml"))?;
    std::fs::write(
        at.join("nice.toml"),
        text.replace("clip = 20.0", "clip = 10.0"),
    )?;
    refused(at, "compare list.toml -o out", "--overwrite");
    let other = rows(&succeed(at, "compare list.toml -o out --overwrite --json"));
    assert_ne!(other[0]["identity"], found[0]["identity"]);
    Ok(())
}

/// The rows that a folder of `data` holds are those of its list in `configs`, every one, and the table beside them is theirs.
fn tables_are_those_of_their_rows() -> Result<(), Failed> {
    ["families", "equivariant"]
        .into_iter()
        .try_for_each(is_of_its_rows)
}

fn is_of_its_rows(name: &str) -> Result<(), Failed> {
    let (folder, kept) = (tempfile::tempdir()?, root().join("data").join(name));
    for entry in std::fs::read_dir(&kept)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            std::fs::copy(&path, folder.path().join(path.file_name().unwrap()))?;
        }
    }
    let output = folder.path().display();
    let found = succeed(
        &root(),
        &format!("compare configs/{name}.toml -o {output} --time-limit 1s"),
    );
    let expected = std::fs::read_to_string(kept.join("README.md"))?;
    assert_eq!(found.trim_end(), expected.trim_end());
    Ok(())
}

fn refused(at: &Path, words: &str, expected: &str) {
    let output = output(at, words);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{words} succeeded");
    assert!(message.contains(expected), "{message}");
    assert!(!message.contains("panicked"), "{message}");
}

fn lists_that_cannot_be_compared_are_refused() -> Result<(), Failed> {
    let folder = folder()?;
    let at = folder.path();
    for (from, to, expected) in [
        ("samples = 320", "", "missing field `samples`"),
        ("\"CCCC\"", "\"CCC\"", "the target \"butane\""),
        ("\"--seed\", \"2\"", "\"--sed\", \"2\"", "--sed"),
        ("\"nice.toml\"", "\"none.toml\"", "none.toml"),
        (
            "targets = [\"butane\"]",
            "targets = [\"pentane\"]",
            "pentane",
        ),
    ] {
        std::fs::write(at.join("wrong.toml"), LIST.replacen(from, to, 1))?;
        refused(at, "compare wrong.toml -o other", expected);
    }
    refused(at, "compare nothing.toml -o other", "nothing.toml");
    Ok(())
}
